//! The agent of a leg: how it dials the addresses of an answer as the controlling agent (RFC 8445 6.1.1), and how
//! closely either end of a leg watches the other.
//!
//! Each address is checked, best first, and the first that answers is nominated by a second check with USE-CANDIDATE:
//! regular nomination, the only kind of RFC 8445 (8.1.1). The checks of the other addresses end then. DTLS need not wait
//! for the nomination to be answered (RFC 8445 12.1). The rule: nothing but checks goes to an address that has not
//! answered, and an answer counts only from the address that was asked. Requests of the other end are answered and
//! select nothing.

use std::time::Instant;

use super::agent::{Agent, HandledRequest};
use super::check::{Check, DIAL};
use super::control::{Control, Nomination};
use super::leg::{CHECK_INTERVAL, LEG_CONSENT, PACE};
use super::stun::{StunMessage, Transaction};
use crate::five_tuple::FiveTuple;

impl Agent {
    /// Makes it the agent of a leg: it checks the path of its media often, and a short silence ends it.
    pub(crate) fn watch_closely(&mut self) {
        self.consent = LEG_CONSENT;
        self.interval = Some(CHECK_INTERVAL);
    }

    /// Begins to check these paths as the controlling agent, in this order. The transaction ids must be fresh and random.
    pub(crate) fn dial(
        &mut self,
        paths: impl IntoIterator<Item = (FiveTuple, Transaction)>,
        tie_breaker: u64,
        now: Instant,
    ) {
        self.control = Control::Controlling { tie_breaker, nomination: Nomination::None };
        let mut begins = now;
        for (path, transaction) in paths {
            let (index, _) = self.remember(path, self.current.number, now);
            self.known[index].check = Some(Check::new(transaction, &DIAL, begins));
            begins += PACE;
        }
    }

    /// Whether it is the controlling agent, also after this valid request: of two that want to be, the one with the
    /// larger tie-breaker is (RFC 8445 7.3.1.1).
    pub(super) fn stays_controlling(&mut self, request: &StunMessage) -> bool {
        let Control::Controlling { .. } = self.control else { return false };
        let stays = request.controlling().is_none() || self.control.is_kept_against(request);
        if !stays {
            self.control = Control::Controlled;
        }
        stays
    }

    /// What a valid request changes for the controlling agent: nothing but that the other end was heard, if it came over
    /// the selected path. Nothing is sent anywhere else, so a request from elsewhere is no sign that media arrives.
    pub(super) fn answered_as_controlling(&mut self, path: FiveTuple, answer: Vec<u8>, now: Instant) -> HandledRequest {
        let is_selected = self.selected_path() == Some(path) && self.heard_on(path, now);
        HandledRequest { answer, is_first: false, is_selected, is_claimed: false, forgotten: None, retired: None }
    }

    /// An address has answered: the first one is nominated, and the checks of the others end.
    pub(super) fn on_dialled(&mut self, path: FiveTuple) {
        let Control::Controlling { nomination, .. } = &mut self.control else { return };
        match *nomination {
            Nomination::None => {
                *nomination = Nomination::Asked(path);
                self.known.iter_mut().for_each(|known| known.check = None);
            }
            Nomination::Asked(asked) if asked == path => *nomination = Nomination::Done,
            Nomination::Asked(_) | Nomination::Done => {}
        }
    }

    /// Takes an error answer. True if the other end has the role that this agent took, which takes the other one then: the
    /// path is to be checked again (RFC 8445 7.2.5.1).
    pub(crate) fn handle_error(&mut self, path: FiveTuple, answer: &StunMessage, now: Instant) -> bool {
        let is_conflict = answer.is_role_conflict() && matches!(self.control, Control::Controlling { .. });
        if !is_conflict || self.take_check(path, answer, now).is_none() {
            return false;
        }
        self.control = Control::Controlled;
        true
    }
}
