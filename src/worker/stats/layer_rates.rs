//! What the temporal layers of one encoding cost, as shares of its rate: they decide which frames a viewer's network
//! carries, and the `layers` event lists them. Keyframes are left out, because they come seldom and would make every
//! choice too careful.

use crate::bwe::MAX_TEMPORAL;
use crate::forward::Packet;

/// Fewer packets say little.
const ENOUGH: u32 = 20;

/// Counts the packets of one encoding.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayerRates {
    /// Octets of payload by temporal id, and of keyframes.
    octets: [u64; MAX_TEMPORAL],
    keyframes: u64,
    packets: u32,
    /// The RTP timestamp of the newest keyframe.
    keyframe: Option<u32>,
    shares: Option<Shares>,
}

/// Shares of an encoding's rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shares {
    /// Of the frames up to each temporal id, from 0 to 1.
    pub(crate) up_to: [f64; MAX_TEMPORAL],
    /// The highest temporal id.
    pub(crate) highest: u8,
}

impl Shares {
    /// One temporal layer.
    const WHOLE: Self = Self { up_to: [1.0; MAX_TEMPORAL], highest: 0 };

    /// Bits per second of the frames up to each temporal id, for an encoding of this rate; empty where there is one
    /// temporal layer.
    pub(crate) fn temporal_bits(&self, bits: f64) -> Vec<u64> {
        let below = self.up_to[..usize::from(self.highest)].iter().map(|share| (bits * share) as u64);
        if self.highest == 0 { Vec::new() } else { below.chain([bits as u64]).collect() }
    }
}

impl LayerRates {
    /// A packet has come.
    pub(crate) fn on_packet(&mut self, packet: &Packet) {
        if packet.keyframe {
            self.keyframe = Some(packet.timestamp);
        }
        self.count(packet.timestamp, packet.frame.temporal(), packet.payload.len() as u64);
    }

    fn count(&mut self, timestamp: u32, temporal: u8, octets: u64) {
        if self.keyframe == Some(timestamp) {
            self.keyframes += octets;
        } else {
            self.octets[usize::from(temporal).min(MAX_TEMPORAL - 1)] += octets;
        }
        self.packets += 1;
    }

    /// The time that the shares are of is over: about once a second.
    pub(crate) fn turn(&mut self) {
        let media: u64 = self.octets.iter().sum();
        if self.packets < ENOUGH || media == 0 {
            return;
        }
        let all = (media + self.keyframes) as f64;
        let mut sum = 0;
        let up_to = self.octets.map(|octets| {
            sum += octets;
            sum as f64 / all
        });
        let highest = self.octets.iter().rposition(|octets| *octets > 0).unwrap_or_default() as u8;
        *self = Self { keyframe: self.keyframe, shares: Some(Shares { up_to, highest }), ..Self::default() };
    }

    /// The shares of the last second in which enough came.
    pub(crate) fn shares(&self) -> Shares {
        self.shares.unwrap_or(Shares::WHOLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_all_that_is_sent_and_keyframes_belong_to_no_temporal_layer() {
        let mut rates = LayerRates::default();
        assert_eq!(rates.shares(), Shares::WHOLE);
        // A keyframe of 10 packets, then 40 packets with the temporal ids 0, 2, 1, 2.
        rates.keyframe = Some(1);
        for _ in 0..10 {
            rates.count(1, 0, 100);
        }
        for frame in 0..40u32 {
            rates.count(2 + frame, [0, 2, 1, 2][frame as usize % 4], 100);
        }
        rates.turn();
        assert_eq!(rates.shares(), Shares { up_to: [0.2, 0.4, 0.8, 0.8], highest: 2 });
        assert_eq!(rates.shares().temporal_bits(1000.0), [200, 400, 1000], "keyframes are part of the whole");
        assert!(Shares::WHOLE.temporal_bits(1000.0).is_empty());
        rates.count(50, 0, 100);
        rates.turn();
        assert_eq!(rates.shares().highest, 2, "one packet says little");
    }
}
