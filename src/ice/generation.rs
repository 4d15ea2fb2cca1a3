//! One ICE generation of a session: the credentials of both sides with their HMAC keys. An ICE restart adds a
//! generation; the previous one stays valid until a path has been proven under the new one (RFC 8445 9).

use ring::hmac;

use super::admission::Admission;
use super::stun;
use super::stun::{CheckRole, StunMessage, Transaction};

/// Counts the ICE restarts of a session.
pub(crate) type Number = u32;

/// The credentials of one generation.
pub(crate) struct Generation {
    pub(crate) number: Number,
    pub(crate) local_ufrag: String,
    /// The USERNAME that a client's request must carry: `local:remote`.
    incoming_username: String,
    /// The USERNAME of a check of ours: `remote:local`.
    outgoing_username: String,
    local_key: hmac::Key,
    remote_key: hmac::Key,
}

impl Generation {
    /// Sets up the keys.
    pub(crate) fn new(number: Number, admission: Admission) -> Generation {
        let Admission { local, remote } = admission;
        Generation {
            number,
            incoming_username: format!("{}:{}", local.ufrag, remote.ufrag),
            outgoing_username: format!("{}:{}", remote.ufrag, local.ufrag),
            local_ufrag: local.ufrag,
            local_key: stun::key(&local.pwd),
            remote_key: stun::key(&remote.pwd),
        }
    }

    /// Whether a request names this generation and is signed with the relay's password.
    pub(crate) fn accepts(&self, request: &StunMessage) -> bool {
        request.username == Some(self.incoming_username.as_bytes()) && request.is_authentic(&self.local_key)
    }

    /// Whether an answer is signed with the client's password.
    pub(crate) fn signed(&self, answer: &StunMessage) -> bool {
        answer.is_authentic(&self.remote_key)
    }

    /// The answer to a request that was accepted.
    pub(crate) fn answer(&self, transaction: &Transaction, remote: std::net::SocketAddr) -> Vec<u8> {
        stun::answer(transaction, remote, &self.local_key)
    }

    /// The error answer to a request of an agent with the same role.
    pub(crate) fn role_conflict(&self, transaction: &Transaction) -> Vec<u8> {
        stun::role_conflict(transaction, &self.local_key)
    }

    /// A check of ours in this role, with the tie-breaker for it.
    pub(crate) fn request(&self, transaction: &Transaction, role: (CheckRole, u64)) -> Vec<u8> {
        stun::check(transaction, &self.outgoing_username, role, &self.remote_key)
    }
}
