//! Audio packets that carry copies of earlier ones (RFC 2198): a lost packet is rebuilt from a copy in a later packet,
//! for every viewer, and no NACK is sent for it.
//!
//! The rule: a copy stands for a packet only where the numbers prove which one. The packets before and behind the gap
//! must be as many steps apart in time as in number, a step being the age of the newest copy; after silence, or from a
//! sender whose packets are not equally long, nothing is rebuilt. If the packet itself arrives later, it is
//! refused like any that has arrived before: what viewers got does not change.

use std::sync::Arc;

use super::track::Track;
use crate::forward::codec::Redundancy;
use crate::forward::{Packet, Source};

/// How many packets back the last one before a gap is searched.
const LONGEST_GAP: u64 = 17;

impl Track {
    /// Rebuilds what is missing before a packet that is about to be kept, as far as it has copies; the indices of what
    /// was rebuilt.
    pub(crate) fn rebuild(&mut self, packet: &Packet, redundancy: Redundancy) -> Vec<u64> {
        let mut rebuilt = Vec::new();
        let source = packet.source();
        let at = |back: u64| Some(Source { index: source.index.checked_sub(back)?, ..source });
        let before = (1..=LONGEST_GAP).find_map(|back| Some((back, self.history.find(at(back)?)?.timestamp)));
        let (Some((gap, before)), Some(step)) = (before, redundancy.newest_age(&packet.payload)) else {
            return rebuilt;
        };
        if step == 0 || packet.timestamp.wrapping_sub(before) != gap as u32 * step {
            return rebuilt;
        }
        for back in (1..gap).rev() {
            let age = back as u32 * step;
            let copy = redundancy.copy_of_age(&packet.payload, age);
            let (Some(source), Some(copy)) = (at(back), copy) else { continue };
            let lost = Arc::new(Packet {
                index: source.index,
                timestamp: packet.timestamp.wrapping_sub(age),
                marker: false,
                // The lost packet's own extensions are unknown.
                extensions: Default::default(),
                payload_type: redundancy.carries(),
                part: packet.part,
                keyframe: true,
                leads: 0,
                payload: packet.payload.slice(copy),
                redundancy: None,
                ..*packet
            });
            if self.history.push(lost.clone()).is_some() {
                self.pending.push(lost);
                rebuilt.push(source.index);
            }
        }
        rebuilt
    }
}
