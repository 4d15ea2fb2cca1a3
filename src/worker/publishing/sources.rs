//! The sources of a published track: the active one, retired ones, and those that may become active. A source is an
//! SSRC. `source_change` decides which one is active.
//!
//! The rule: what is kept of inactive sources is bounded, and so is the rate of changes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::srtp::Opened;
use crate::srtp::index::ReceivedIndices;

/// Changes of a track's source within [`CHANGES_WITHIN`].
const MAX_CHANGES: usize = 10;
const CHANGES_WITHIN: Duration = Duration::from_secs(1);

/// Packets kept of an inactive source, in case they are parameter sets that begin its keyframe. When full, the oldest
/// is dropped.
const MAX_LEAD: usize = 16;

/// The minimum time between two log lines of a kind that any packet of a publisher can cause.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What happens to a packet of a source other than the active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// Its source is active from this packet on.
    Activated,
    /// It was late, and has filled its gap in the history.
    FilledGap,
    /// It is a probe of the network, without media.
    Probe,
}

/// Limits a log line that many packets can cause to one in [`LOG_INTERVAL`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogThrottle(Option<Instant>);

impl LogThrottle {
    /// True if the line may be written now; it then counts as written.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        let allowed = self.0.is_none_or(|before| now.saturating_duration_since(before) >= LOG_INTERVAL);
        if allowed {
            self.0 = Some(now);
        }
        allowed
    }
}

/// The sources of one track besides the active one.
#[derive(Default)]
pub(crate) struct TrackSources {
    /// Sources retired within the last second, oldest first: at most [`MAX_CHANGES`].
    pub(super) retired: VecDeque<RetiredSource>,
    /// The newest packets of an inactive source.
    pub(super) lead: Lead,
    /// When the source changed, within the last second.
    pub(super) changes: VecDeque<Instant>,
}

/// A source that was active until less than a second ago.
pub(super) struct RetiredSource {
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: Option<u32>,
    /// In the epoch of its packets.
    pub(super) restart: u32,
    pub(super) payload_type: u8,
    /// Its late packets can fill gaps in the history.
    pub(super) fills_gaps: bool,
    pub(super) arrived: ReceivedIndices,
    pub(super) until: Instant,
}

/// The packets of one frame of a source that may become active.
#[derive(Default)]
pub(super) struct Lead {
    /// SSRC and timestamp.
    pub(super) of: (u32, u32),
    pub(super) packets: VecDeque<(Vec<u8>, Opened, Instant)>,
}

impl TrackSources {
    /// True if the source may change once more within this second.
    pub(super) fn may_change(&mut self, now: Instant) -> bool {
        let is_over = |changed: &mut Instant| now.saturating_duration_since(*changed) >= CHANGES_WITHIN;
        while self.changes.pop_front_if(is_over).is_some() {}
        self.changes.len() < MAX_CHANGES
    }

    /// The retired source that `is_it` accepts.
    pub(super) fn retired(
        &mut self,
        is_it: impl Fn(&RetiredSource) -> bool,
        now: Instant,
    ) -> Option<&mut RetiredSource> {
        while self.retired.pop_front_if(|retired| retired.until <= now).is_some() {}
        self.retired.iter_mut().find(|retired| is_it(retired))
    }

    /// True for a source that was retired lately, or its retransmissions.
    pub(super) fn has_retired(&self, ssrc: u32) -> bool {
        self.retired.iter().any(|retired| retired.ssrc == ssrc || retired.rtx_ssrc == Some(ssrc))
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
