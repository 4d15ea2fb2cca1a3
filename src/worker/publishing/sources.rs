//! The sources of a published track: the one that plays, those that played lately, and those that may play next. A
//! source is an SSRC. `source_change` decides which one plays.
//!
//! The rule: what is kept of sources that do not play is bounded, and so are their changes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::srtp::Opened;
use crate::srtp::index::Received;

/// Changes of a track's source within [`CHANGES_WITHIN`].
const MAX_CHANGES: usize = 10;
const CHANGES_WITHIN: Duration = Duration::from_secs(1);

/// Packets of a source that does not play yet that are kept for the case that they begin its keyframe: parameter sets.
/// The oldest makes room for one more.
const MAX_LEAD: usize = 16;

/// What each of many packets would say of a publisher is logged at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What becomes of a packet of another source than the one that plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// Its source plays from here on, beginning with it.
    Plays,
    /// It was late, and has gone to its place.
    Placed,
}

/// A log line for which many packets are a reason: asked before it is made, which would cost more than the packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rarely(Option<Instant>);

impl Rarely {
    /// True if the line may be written now; it then counts as written.
    pub(crate) fn may(&mut self, now: Instant) -> bool {
        let may = self.0.is_none_or(|before| now.saturating_duration_since(before) >= LOG_INTERVAL);
        if may {
            self.0 = Some(now);
        }
        may
    }
}

/// The sources of one track beside the one that plays.
#[derive(Default)]
pub(crate) struct Sources {
    /// Those of the last second, the oldest first; no more than there are changes in a second.
    pub(super) retired: VecDeque<Retired>,
    pub(super) lead: Lead,
    /// Changes of the last second.
    pub(super) changes: VecDeque<Instant>,
}

/// A source that played until lately.
pub(super) struct Retired {
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: Option<u32>,
    /// Its number among the track's sources.
    pub(super) number: u32,
    pub(super) payload_type: u8,
    /// What comes late of it can be put where it was missing.
    pub(super) has_places: bool,
    pub(super) arrived: Received,
    pub(super) until: Instant,
}

/// The packets of one frame of a source that may take over.
#[derive(Default)]
pub(super) struct Lead {
    /// SSRC and timestamp.
    pub(super) of: (u32, u32),
    pub(super) packets: VecDeque<(Vec<u8>, Opened, Instant)>,
}

impl Sources {
    /// True if there is room for one more change.
    pub(super) fn may_change(&mut self, now: Instant) -> bool {
        let is_over = |changed: &mut Instant| now.saturating_duration_since(*changed) >= CHANGES_WITHIN;
        while self.changes.pop_front_if(is_over).is_some() {}
        self.changes.len() < MAX_CHANGES
    }

    /// The source that was retired within the last second, by what it was heard under.
    pub(super) fn retired(&mut self, is_it: impl Fn(&Retired) -> bool, now: Instant) -> Option<&mut Retired> {
        while self.retired.pop_front_if(|retired| retired.until <= now).is_some() {}
        self.retired.iter_mut().find(|retired| is_it(retired))
    }

    pub(super) fn keep(&mut self, datagram: &[u8], opened: &Opened, received: Instant) {
        let of = (opened.ssrc, opened.timestamp);
        if self.lead.of != of {
            self.lead = Lead { of, packets: VecDeque::new() };
        }
        if self.lead.packets.len() == MAX_LEAD {
            self.lead.packets.pop_front();
        }
        self.lead.packets.push_back((datagram.to_vec(), opened.clone(), received));
    }
}
