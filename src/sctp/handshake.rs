//! The beginning of an association: INIT, INIT ACK, COOKIE ECHO (RFC 9260 5.1), from either side.
//!
//! As the DTLS server, webrtc-rs makes and keeps a new association for each INIT. So an INIT passes a bounded number of
//! times, as often as a client repeats it, and nothing else of an association passes before its cookie came back.

use super::parameters::Init;

/// How often an INIT passes.
const MAX_REPEATED: usize = 8;

/// The verification tag and the first TSN of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) tag: u32,
    pub(super) tsn: u32,
}

impl From<&Init<'_>> for Side {
    fn from(init: &Init<'_>) -> Self {
        Self { tag: init.tag, tsn: init.tsn }
    }
}

/// An INIT ACK of ours.
#[derive(Debug)]
struct Answer {
    ours: Side,
    theirs: Side,
    cookie: Box<[u8]>,
}

/// An association that is not established yet.
#[derive(Debug, Default)]
pub(super) struct SctpHandshake {
    /// The INIT that webrtc-rs sent as the DTLS client.
    sent: Option<Side>,
    /// The INITs that passed, each once. Each tag has one TSN, because an INIT ACK names only the tag.
    received: Vec<Side>,
    passed: usize,
    /// The INIT ACKs of webrtc-rs.
    answers: Vec<Answer>,
}

/// An established association.
#[derive(Clone, Debug)]
pub(super) struct Established {
    pub(super) ours: Side,
    pub(super) theirs: Side,
    /// The cookie that the client echoes; empty where the client made it.
    pub(super) cookie: Box<[u8]>,
}

/// What to do with an INIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InitDecision {
    Pass,
    /// Too many.
    Refuse,
    /// Both sides sent an INIT; webrtc-rs continues with its own and does not need the client's.
    Ignore,
}

impl SctpHandshake {
    pub(super) fn handle_init(&mut self, init: &Init<'_>) -> InitDecision {
        if self.sent.is_some() {
            return InitDecision::Ignore;
        }
        let theirs = Side::from(init);
        let known = self.received.iter().find(|known| known.tag == theirs.tag);
        if self.passed > MAX_REPEATED || known.is_some_and(|known| *known != theirs) {
            return InitDecision::Refuse;
        }
        if known.is_none() {
            self.received.push(theirs);
        }
        self.passed += 1;
        InitDecision::Pass
    }

    pub(super) fn handle_init_ack(&self, tag: u32, init: &Init<'_>) -> Option<Established> {
        let ours = self.sent.filter(|sent| sent.tag == tag)?;
        Some(Established { ours, theirs: init.into(), cookie: Box::default() })
    }

    pub(super) fn handle_cookie_echo(&self, tag: u32, cookie: &[u8]) -> Option<Established> {
        let answer = self.answers.iter().find(|answer| answer.ours.tag == tag && *answer.cookie == *cookie)?;
        Some(Established { ours: answer.ours, theirs: answer.theirs, cookie: answer.cookie.clone() })
    }

    /// Whether an ABORT of this tag is for an association that is not established yet.
    pub(super) fn knows(&self, tag: u32) -> bool {
        self.sent.is_some_and(|sent| sent.tag == tag) || self.answers.iter().any(|answer| answer.ours.tag == tag)
    }

    /// webrtc-rs sends an INIT.
    pub(super) fn sent_init(&mut self, init: &Init<'_>) {
        self.sent = Some(init.into());
    }

    /// webrtc-rs answers an INIT of the client whose tag is `tag`.
    pub(super) fn sent_init_ack(&mut self, tag: u32, init: &Init<'_>) {
        let Some(theirs) = self.received.iter().find(|known| known.tag == tag).copied() else { return };
        if let Some(cookie) = init.cookie.filter(|_| self.answers.len() <= MAX_REPEATED) {
            self.answers.push(Answer { ours: init.into(), theirs, cookie: cookie.into() });
        }
    }
}
