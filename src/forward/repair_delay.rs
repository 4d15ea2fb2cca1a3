//! Delays a publisher's packets while some of them are lost on the way: long enough for resends to arrive in their
//! places, so that viewers get the RTP stream as evenly as the publisher sent it.
//!
//! Why not let viewers wait (header extension playout-delay)? Some do not support it; each viewer would ask for each
//! packet that the publisher's path lost; and a receiver (libwebrtc) computes when a frame is due from a line through
//! all arrivals, which is wrong by up to 300 ms while and after a publisher catches up, as FFmpeg does when it starts
//! late: the time for repairs is used up, or returned in a jump that is a gap of its own. Packets that wait here are
//! due relative to their arrival.
//!
//! The rule: a packet waits as long as the delay was when it arrived, whatever is missing before it, and never less
//! than the packet before it. A packet that is later than that passes at once. Without losses no packet waits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::packet::Packet;
use super::source::SourceIndex;

/// Packets that may wait at a time; beyond that the oldest pass at once.
const MOST: usize = 4096;

/// Packets that are due within this time pass together: one wake-up per burst.
const TOGETHER: Duration = Duration::from_millis(1);

/// The delayed packets of one track.
#[derive(Debug, Default)]
pub(crate) struct RepairBuffer {
    /// In the order of the publisher's RTP stream; each is due no earlier than the one before it.
    waiting: VecDeque<Held>,
    /// Packets below this index have passed, or are late.
    passed: SourceIndex,
}

#[derive(Debug)]
struct Held {
    due: Instant,
    packet: Packet,
}

impl RepairBuffer {
    /// True when no packet waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Notes a packet that passes without waiting.
    #[inline]
    pub(crate) fn pass(&mut self, index: SourceIndex) {
        self.passed = self.passed.max(index);
    }

    /// Delays a packet by this long after its arrival. A packet that was missing is put in its place before the packets
    /// that already wait. Each packet passes once.
    pub(crate) fn put(&mut self, packet: Packet, hold: Duration) {
        let place = self.waiting.partition_point(|waiting| waiting.packet.index < packet.index);
        let due = if packet.index < self.passed {
            packet.received
        } else if let Some(follower) = self.waiting.get(place) {
            follower.due
        } else {
            let due = packet.received + hold;
            self.waiting.back().map_or(due, |before| before.due.max(due))
        };
        self.waiting.insert(place, Held { due, packet });
        if self.waiting.len() > MOST
            && let Some(first) = self.waiting.front_mut()
        {
            first.due = first.packet.received;
        }
    }

    /// The next packet that is due, as if it arrived now.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Packet> {
        let is_due = |first: &mut Held| first.due <= now + TOGETHER;
        let Held { mut packet, .. } = self.waiting.pop_front_if(is_due)?;
        self.pass(packet.index);
        packet.received = now;
        Some(packet)
    }

    /// Passes all packets now, because no more packets follow.
    pub(crate) fn drain(&mut self, now: Instant) -> impl Iterator<Item = Packet> {
        self.waiting.drain(..).map(move |Held { packet, .. }| Packet { received: now, ..packet })
    }

    /// When the next packet is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.front().map(|first| first.due)
    }

    /// Forgets the packets that wait, because another RTP stream begins.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.passed = 0;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::forward::codec::{Descriptor, Part};
    use crate::forward::header_extensions::HeaderExtensions;
    use crate::forward::source::{LayerId, generation};

    const MS: Duration = Duration::from_millis(1);

    fn packet(index: SourceIndex, received: Instant) -> Packet {
        Packet {
            received,
            generation: generation(1),
            layer: LayerId::default(),
            index,
            timestamp: 0,
            marker: false,
            payload_type: 96,
            descriptor: Descriptor::default(),
            frame: Default::default(),
            part: Part::default(),
            keyframe: false,
            leads: 0,
            payload: Bytes::new(),
            extensions: HeaderExtensions::default(),
            redundancy: None,
        }
    }

    fn popped(delay: &mut RepairBuffer, now: Instant) -> Vec<SourceIndex> {
        std::iter::from_fn(|| delay.pop(now)).map(|packet| packet.index).collect()
    }

    #[test]
    fn a_resend_in_time_passes_in_its_place_and_a_late_one_passes_on_arrival() {
        let start = Instant::now();
        let mut delay = RepairBuffer::default();
        delay.pass(9);
        delay.put(packet(10, start), 100 * MS);
        delay.put(packet(12, start + 30 * MS), 100 * MS);
        delay.put(packet(14, start + 60 * MS), 100 * MS);
        delay.put(packet(11, start + 90 * MS), 100 * MS);
        assert_eq!(delay.poll_timeout(), Some(start + 100 * MS));
        assert!(popped(&mut delay, start + 98 * MS).is_empty());
        assert_eq!(popped(&mut delay, start + 100 * MS), [10]);
        assert_eq!(popped(&mut delay, start + 130 * MS), [11, 12]);
        assert_eq!(popped(&mut delay, start + 159 * MS), [14], "the hole is given up");
        delay.put(packet(15, start + 165 * MS), 100 * MS);
        delay.put(packet(13, start + 170 * MS), 100 * MS);
        assert_eq!(popped(&mut delay, start + 170 * MS), [13]);
        assert_eq!(popped(&mut delay, start + 265 * MS), [15]);
        assert!(delay.is_empty());
    }

    #[test]
    fn a_delayed_packet_counts_as_received_when_it_passes() {
        let start = Instant::now();
        let mut delay = RepairBuffer::default();
        delay.put(packet(1, start), 50 * MS);
        assert_eq!(delay.pop(start + 51 * MS).unwrap().received, start + 51 * MS);
    }

    #[test]
    fn a_full_buffer_passes_the_oldest() {
        let start = Instant::now();
        let mut delay = RepairBuffer::default();
        for index in 1..=MOST as u64 + 1 {
            delay.put(packet(index, start), 100 * MS);
        }
        assert_eq!(popped(&mut delay, start), [1]);
    }

    proptest! {
        /// Whatever is lost and resent, and however the delay changes: each packet passes once, none waits longer than
        /// the longest delay, and a packet that arrives within the delay of its successor is in order.
        #[test]
        fn everything_passes_once_and_within_its_time(
            packets in prop::collection::vec((0u64..20, 0u64..200, prop::option::weighted(0.2, 1u64..300)), 1..100)
        ) {
            let start = Instant::now();
            let mut arrivals = Vec::new();
            let mut at = start;
            for (index, (spacing, hold, late)) in (1u64..).zip(&packets) {
                at += MS * *spacing as u32;
                let late = late.map_or(Duration::ZERO, |late| MS * late as u32);
                arrivals.push((at + late, index, MS * *hold as u32));
            }
            arrivals.sort();
            let mut delay = RepairBuffer::default();
            let (mut passed, mut arrivals) = (Vec::new(), arrivals.into_iter().peekable());
            let mut now = start;
            while arrivals.peek().is_some() || !delay.is_empty() {
                while let Some((received, index, hold)) = arrivals.next_if(|(received, ..)| *received <= now) {
                    delay.put(packet(index, received), hold);
                }
                while let Some(packet) = delay.pop(now) {
                    passed.push(packet.index);
                }
                prop_assert!(delay.poll_timeout().is_none_or(|due| due <= now + 200 * MS));
                now += MS;
            }
            passed.sort_unstable();
            prop_assert_eq!(passed, (1..=packets.len() as u64).collect::<Vec<_>>());
        }
    }
}
