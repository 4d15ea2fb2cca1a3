//! Sessions that end before DTLS has completed: which reason they end for, and the warning for the operator.
//!
//! A client that cannot reach the media port gives up in many ways: its page sends DELETE, an administrator ends the
//! session, the relay's own timeout fires. The rule: once such a session is [`SETTLED`] old, its end reason shows how
//! far it came, whatever ended it; before that, a client that leaves has only changed its mind.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::log::OnceAMinute;
use crate::reason::EndReason;

/// From this age on a session that has not connected counts as a failure.
pub(crate) const SETTLED: Duration = Duration::from_secs(3);

/// How far a session came that has not completed DTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// No valid STUN check arrived.
    Nothing,
    /// A valid check arrived.
    Checked,
}

impl Progress {
    /// The reason of a session of this age that was asked to end for `asked`.
    pub(crate) fn reason(self, asked: EndReason, age: Duration) -> EndReason {
        match (asked, self) {
            (EndReason::Deleted, _) if age < SETTLED => EndReason::Abandoned,
            (EndReason::Kicked | EndReason::Shutdown, _) if age < SETTLED => asked,
            (EndReason::Deleted | EndReason::Kicked | EndReason::Shutdown, Self::Nothing) => EndReason::NeverConnected,
            (EndReason::Deleted | EndReason::Kicked | EndReason::Shutdown, Self::Checked) => {
                EndReason::HandshakeTimeout
            }
            _ => asked,
        }
    }
}

/// What the warning says about one such session.
pub(crate) struct Unreached<'a> {
    pub(crate) reason: EndReason,
    /// Where its offer came from.
    pub(crate) client: IpAddr,
    /// The relay's addresses in the newest answer to it.
    pub(crate) candidates: &'a [SocketAddr],
    /// The relay's media port.
    pub(crate) media_port: u16,
}

/// Warns of clients that do not connect, at most once a minute. Workers and HTTP write, once a session.
#[derive(Debug, Default)]
pub(crate) struct Warning(Mutex<OnceAMinute>);

impl Warning {
    /// Notes a session that ends, and warns unless the last warning is too recent.
    pub(crate) fn note(&self, session: &Unreached<'_>, now: Instant) {
        let advice = match session.reason {
            EndReason::NeverConnected => "no packet of this client arrived",
            EndReason::HandshakeTimeout => {
                "packets of this client arrived, but it did not complete DTLS, as if the relay's packets did not \
                 reach it"
            }
            _ => return,
        };
        let mut warning = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(others) = warning.due(now) else { return };
        drop(warning);
        let candidates: Vec<String> = session.candidates.iter().map(ToString::to_string).collect();
        let ports: BTreeSet<u16> = session.candidates.iter().map(SocketAddr::port).collect();
        let ports = if ports.is_empty() { BTreeSet::from([session.media_port]) } else { ports };
        let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" and ");
        tracing::warn!(
            client = %session.client,
            candidates = %candidates.join(" "),
            media_port = session.media_port,
            others,
            "a client did not connect: {advice}; open port {ports} for UDP and TCP in firewalls, in both directions, and \
             set --advertise to the address that clients can reach if `candidates` does not list it",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YOUNG: Duration = Duration::from_millis(2_999);

    #[test]
    fn a_session_that_saw_no_packet_has_not_connected_whoever_ends_it() {
        for asked in [EndReason::Deleted, EndReason::Kicked, EndReason::Shutdown, EndReason::NeverConnected] {
            assert_eq!(Progress::Nothing.reason(asked, SETTLED), EndReason::NeverConnected, "{asked:?}");
        }
        for asked in [EndReason::Deleted, EndReason::Kicked, EndReason::Shutdown, EndReason::HandshakeTimeout] {
            assert_eq!(Progress::Checked.reason(asked, SETTLED), EndReason::HandshakeTimeout, "{asked:?}");
        }
    }

    #[test]
    fn a_quick_reload_is_no_failure() {
        for progress in [Progress::Nothing, Progress::Checked] {
            assert_eq!(progress.reason(EndReason::Deleted, YOUNG), EndReason::Abandoned);
            for asked in [EndReason::Kicked, EndReason::Shutdown] {
                assert_eq!(progress.reason(asked, YOUNG), asked);
            }
        }
    }

    #[test]
    fn what_is_known_better_stays() {
        for asked in
            [EndReason::Failed, EndReason::Closed, EndReason::Flooded, EndReason::Panicked, EndReason::Replaced]
        {
            assert_eq!(Progress::Checked.reason(asked, Duration::from_secs(9)), asked);
        }
    }
}
