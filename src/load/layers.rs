//! The simulcast layers of a synthetic publisher: their sizes, the packets of their frames, and how an offer names them
//! (RFC 8853).

use std::fmt::Write as _;

use super::payload;
use crate::peer::client;
use crate::sdp::Extension;

/// The size of the largest layer in pixels; each other has half of it in each direction.
const LARGEST: (u16, u16) = (640, 360);

/// By how much the bitrate of a layer is larger than that of the next smaller one.
const STEP: usize = 4;

/// The header extensions of a publisher of several layers.
pub(super) const EXTENSIONS: &[Extension] = &[client::EXTENSIONS[0], client::EXTENSIONS[1], Extension::RtpStreamId];

/// The frames of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Width and height in pixels.
    pub(super) size: (u16, u16),
    /// Packets of a frame.
    pub(super) packets: u32,
    /// Bytes of payload in each packet.
    pub(super) payload: usize,
}

/// The layers, the smallest first. The frames of the largest one have this number of packets of this length.
pub(super) fn shapes(count: u8, packets: u32, payload: usize) -> Vec<Shape> {
    let shape = |step: u32| {
        let frame = packets as usize * payload / STEP.pow(step);
        let packets = frame.div_ceil(payload).max(1);
        let (width, height) = LARGEST;
        Shape {
            size: (width >> step, height >> step),
            packets: packets as u32,
            payload: (frame / packets).max(payload::FILLER),
        }
    };
    (0..u32::from(count)).rev().map(shape).collect()
}

/// The name of a layer by its place among the [`shapes`].
pub(super) fn rid(place: usize) -> String {
    place.to_string()
}

/// The offer of this number of layers: in its only media section their names are in the place of the SSRC.
pub(super) fn offer(offer: &str, count: u8) -> String {
    let rids: Vec<String> = (0..usize::from(count)).map(rid).collect();
    let mut text = String::with_capacity(offer.len() + 128);
    for line in offer.lines().filter(|line| !line.starts_with("a=ssrc")) {
        text += line;
        text += "\r\n";
        if line.starts_with("a=mid:") {
            for rid in &rids {
                // Writing to a string does not fail.
                let _ = write!(text, "a=rid:{rid} send\r\n");
            }
            let _ = write!(text, "a=simulcast:send {}\r\n", rids.join(";"));
        }
    }
    text
}

/// The place of the layer with frames of this width among `count` layers, from the smallest.
pub(super) fn place(width: u16, count: u8) -> Option<usize> {
    (0..usize::from(count)).find(|place| LARGEST.0 >> (usize::from(count) - 1 - place) == width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_has_a_quarter_of_the_next_larger_one() {
        let shape = |size, packets, payload| Shape { size, packets, payload };
        let expected = [shape((160, 90), 1, 725), shape((320, 180), 3, 966), shape((640, 360), 10, 1160)];
        assert_eq!(shapes(3, 10, 1160), expected);
        assert_eq!(shapes(1, 10, 1160), expected[2..]);
        assert_eq!(shapes(4, 1, 64)[0], shape((80, 45), 1, payload::FILLER));
        assert_eq!([160, 320, 640, 80].map(|width| place(width, 3)), [Some(0), Some(1), Some(2), None]);
    }

    #[test]
    fn an_offer_names_the_layers_in_place_of_the_ssrc() {
        let offered = offer("m=video 9 x 96\r\na=mid:0\r\na=ssrc:1 cname:x\r\na=sendonly\r\n", 2);
        let expected =
            "m=video 9 x 96\r\na=mid:0\r\na=rid:0 send\r\na=rid:1 send\r\na=simulcast:send 0;1\r\na=sendonly\r\n";
        assert_eq!(offered, expected);
    }
}
