//! How the RTP timestamps of a publisher's layers relate: each encoding counts from a random timestamp of its own, and
//! sender reports or capture times say which timestamps are of one instant. Without those, packets that arrive together
//! count as being of one instant: the error is how much longer one layer takes to arrive than another.
//!
//! The rule: a difference between two layers is measured once and kept, because the clocks of one encoder run alike. So
//! errors of measuring do not add up however often a viewer changes layers, and neither does the drift between the
//! publisher's wall clock and its media clock.

use std::time::Instant;

use super::packet::Packet;
use super::source::{Generation, LayerId};

/// RTP streams remembered: the layers of a publisher and those of the one before it. When full, the oldest is
/// forgotten.
const RTP_STREAMS: usize = 8;

/// A wall clock that moves by more than this part of a second against the media clock has been set.
const SET_PART: u32 = 2;

/// The clocks of a track's layers.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayerClocks {
    /// By sender reports.
    reports: Vec<Clock>,
    /// By capture times in header extensions.
    captures: Vec<Clock>,
    /// By the arrival of packets.
    arrivals: Vec<Clock>,
    /// The instant that arrivals are counted from.
    origin: Option<Instant>,
}

/// The clock of one RTP stream.
#[derive(Clone, Copy, Debug)]
struct Clock {
    generation: Generation,
    layer: LayerId,
    /// Added to its timestamps, modulo 2^32, it gives a clock that all layers of the publisher share.
    offset: u32,
    /// Added to its timestamps it gives the wall clock in ticks, by the latest measurement.
    wall: u32,
}

impl LayerClocks {
    /// Notes a sender report (RFC 3550 6.4.1): NTP time in 32.32 fixed-point seconds, and the RTP timestamp of the same
    /// instant, on this clock in hertz.
    pub(crate) fn on_report(
        &mut self,
        generation: Generation,
        layer: LayerId,
        ntp: u64,
        timestamp: u32,
        clock_rate: u32,
    ) {
        let of = (generation, layer);
        note(&mut self.reports, of, of_ntp(ntp, clock_rate).wrapping_sub(timestamp), clock_rate);
    }

    /// Notes the arrival of a packet, and its capture time if it has one.
    pub(crate) fn on_packet(&mut self, packet: &Packet, clock_rate: u32) {
        let of = (packet.generation, packet.layer);
        if let Some(ntp) = packet.extensions.capture_ntp() {
            let wall = of_ntp(ntp, clock_rate).wrapping_sub(packet.timestamp);
            note(&mut self.captures, of, wall, clock_rate);
        }
        let origin = *self.origin.get_or_insert(packet.received);
        let wall = ticks(packet.received, origin, clock_rate).wrapping_sub(packet.timestamp);
        note(&mut self.arrivals, of, wall, clock_rate);
    }

    /// What must be added to timestamps of one RTP stream to get those of another at the same instant; `None` while
    /// that is unknown.
    pub(super) fn difference(&self, from: (Generation, LayerId), to: (Generation, LayerId)) -> Option<u32> {
        if from == to {
            return Some(0);
        }
        let between = |clocks: &[Clock]| {
            let offset =
                |of| clocks.iter().find(|clock| (clock.generation, clock.layer) == of).map(|clock| clock.offset);
            Some(offset(from)?.wrapping_sub(offset(to)?))
        };
        between(&self.reports).or_else(|| between(&self.captures)).or_else(|| between(&self.arrivals))
    }
}

/// The time between two receptions in RTP clock ticks, modulo 2^32; 0 if they are out of order.
pub(super) fn ticks(later: Instant, earlier: Instant, clock_rate: u32) -> u32 {
    (later.saturating_duration_since(earlier).as_nanos() * u128::from(clock_rate) / 1_000_000_000) as u32
}

/// NTP time in 32.32 fixed-point seconds as ticks modulo 2^32.
fn of_ntp(ntp: u64, clock_rate: u32) -> u32 {
    ((u128::from(ntp) * u128::from(clock_rate)) >> 32) as u32
}

/// Notes what must be added to timestamps of an RTP stream to get the wall clock. The newest measurement is last.
fn note(clocks: &mut Vec<Clock>, (generation, layer): (Generation, LayerId), wall: u32, clock_rate: u32) {
    let before = clocks.iter().position(|clock| (clock.generation, clock.layer) == (generation, layer));
    let before = before.map(|place| clocks.remove(place));
    let moved = |before: &Clock| (wall.wrapping_sub(before.wall) as i32).unsigned_abs();
    let offset = match before.filter(|before| moved(before) <= clock_rate / SET_PART) {
        Some(before) => before.offset,
        None => {
            let other = clocks.iter().rfind(|other| other.generation.publisher() == generation.publisher());
            other.map_or(wall, |other| other.offset.wrapping_add(wall.wrapping_sub(other.wall)))
        }
    };
    if clocks.len() == RTP_STREAMS {
        clocks.remove(0);
    }
    clocks.push(Clock { generation, layer, offset, wall });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::source::{Epoch, generation};

    const RATE: u32 = 90_000;

    /// Each layer has restarted as often as its number says.
    fn of_layer(layer: u8) -> Generation {
        Epoch { publisher: 1, restart: u32::from(layer) }.generation()
    }

    /// Reports that layers with these timestamps at second 0 send at this second of the publisher's wall clock, which
    /// runs this many parts in a million faster than its media clock.
    fn report(clocks: &mut LayerClocks, layer: u8, start: u32, second: f64, fast: f64) {
        let timestamp = start.wrapping_add((second * f64::from(RATE)).round() as u64 as u32);
        let ntp = ((second * (1.0 + fast / 1e6) + 3.9e9) * f64::powi(2.0, 32)) as u64;
        clocks.on_report(of_layer(layer), LayerId(layer), ntp, timestamp, RATE);
    }

    fn difference(clocks: &LayerClocks, from: u8, to: u8) -> Option<u32> {
        let source = |layer: u8| (of_layer(layer), LayerId(layer));
        clocks.difference(source(from), source(to))
    }

    fn close(measured: Option<u32>, expected: u32) -> bool {
        measured.is_some_and(|measured| (measured.wrapping_sub(expected) as i32).unsigned_abs() <= RATE / 1000)
    }

    #[test]
    fn a_difference_is_known_with_a_report_of_each_layer() {
        let mut clocks = LayerClocks::default();
        assert_eq!((difference(&clocks, 0, 0), difference(&clocks, 0, 1)), (Some(0), None));
        report(&mut clocks, 0, 7, 1.0, 0.0);
        assert_eq!(difference(&clocks, 0, 1), None);
        report(&mut clocks, 1, 5_000_007, 3.0, 0.0);
        assert!(close(difference(&clocks, 0, 1), 5_000_000));
        assert!(close(difference(&clocks, 1, 0), 5_000_000u32.wrapping_neg()));
    }

    #[test]
    fn a_layer_that_begins_an_hour_later_is_measured_against_the_latest_report_and_no_drift_counts() {
        let mut clocks = LayerClocks::default();
        for second in 0..3600 {
            report(&mut clocks, 0, u32::MAX - 9, f64::from(second), 100.0);
        }
        report(&mut clocks, 1, 400, 3600.5, 100.0);
        assert!(close(difference(&clocks, 1, 0), (u32::MAX - 9).wrapping_sub(400)));
        report(&mut clocks, 1, 400, 3700.0, 100.0);
        assert!(close(difference(&clocks, 1, 0), (u32::MAX - 9).wrapping_sub(400)));
    }

    #[test]
    fn a_wall_clock_that_is_set_changes_no_difference_once_all_layers_have_reported() {
        let mut clocks = LayerClocks::default();
        for (second, set) in [(1.0, 0.0), (2.0, 0.0), (3.0, 7e6), (4.0, 7e6)] {
            report(&mut clocks, 0, 1000, second, set);
            report(&mut clocks, 1, 9000, second, set);
        }
        assert!(close(difference(&clocks, 0, 1), 8000));
    }

    #[test]
    fn a_publisher_before_does_not_count_and_is_forgotten() {
        let mut clocks = LayerClocks::default();
        clocks.on_report(generation(1), LayerId(0), 5 << 32, 0, RATE);
        for layer in 0..RTP_STREAMS as u8 {
            clocks.on_report(generation(2), LayerId(layer), 900 << 32, 100 * u32::from(layer), RATE);
        }
        let of_second = |layer| (generation(2), LayerId(layer));
        assert_eq!(clocks.difference(of_second(0), of_second(7)), Some(700));
        assert_eq!(clocks.difference((generation(1), LayerId(0)), of_second(0)), None);
    }
}
