//! Bad RTP of every codec and bad RTCP of every type, to be sealed by a client that has keys: headers and payloads that
//! are random, truncated, lie about their lengths, or are the worst of what their RFC allows.

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};
use sluice::forward::codec::Codec;

/// Every codec that the relay accepts.
pub(crate) const CODECS: &[Codec] = &[
    Codec::Vp8,
    Codec::Vp9,
    Codec::H264,
    Codec::H265,
    Codec::Av1,
    Codec::Opus,
    Codec::Multiopus,
    Codec::Pcmu,
    Codec::Pcma,
    Codec::G722,
];

/// The largest random payload.
const LONGEST: usize = 1_100;

/// Octets of an RTP header without CSRCs and extension.
const HEADER: usize = 12;

/// First octets of payloads, so that a parser is led beyond its first test: VP8 (RFC 7741), VP9 (RFC 9628), H.264
/// (RFC 6184), H.265 (RFC 7798), AV1 and RED (RFC 2198).
const STARTS: [&[u8]; 24] = [
    &[],
    &[0x10, 0, 0, 0, 0x9d, 0x01, 0x2a, 0xff, 0xff, 0xff, 0xff],
    &[0x10, 0, 0, 0, 0x9d, 0x01, 0x2a],
    &[0x90, 0x80, 0x80],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x8a, 0x80, 0x01, 0x02, 0xff, 0xff],
    &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x08, 0x83, 0x49, 0x83, 0x42],
    &[0x67, 0x42, 0xe0, 0x1f],
    &[0x67, 0xff, 0xff, 0xff, 0xff],
    &[0x68, 0xce],
    &[0x78, 0x00, 0x00],
    &[0x78, 0xff, 0xff, 0x67],
    &[0x7c, 0x85],
    &[0x7c, 0x45],
    &[0x40, 0x01],
    &[0x42, 0x01, 0x01],
    &[0x60, 0x01, 0xff, 0xff],
    &[0x62, 0x01, 0x93],
    &[0x08, 0x0a, 0x0b],
    &[0x18, 0x0a, 0xff, 0xff, 0xff],
    &[0x30, 0xff, 0xff, 0xff, 0x7f],
    &[0xef, 0xff, 0xff, 0xff, 0xef, 0xff, 0xff, 0xff, 0x6f],
    &[0x80, 0x00, 0x00, 0x00],
];

/// An RTP packet before it is sealed.
pub(crate) struct Rtp {
    pub(crate) bytes: Vec<u8>,
    /// What its header takes with CSRCs and extension, if they fit.
    pub(crate) header: usize,
}

/// One RTP packet of this payload type, with a header as RFC 3550 5.1 allows it or not.
pub(crate) fn rtp(random: &mut StdRng, payload_type: u8, ssrc: u32, index: u64) -> Rtp {
    let marker = u8::from(random.random_range(0..4) == 0) << 7;
    let mut bytes = vec![0x80, marker | payload_type];
    bytes.extend((index as u16).to_be_bytes());
    let timestamp: u32 =
        if random.random_range(0..8) == 0 { random.random() } else { (index as u32).wrapping_mul(3_000) };
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    if random.random_range(0..6) == 0 {
        let sources = random.random_range(1..16u8);
        bytes[0] |= sources;
        bytes.extend((0..sources).flat_map(|_| random.random::<[u8; 4]>()));
    }
    if random.random_range(0..3) == 0 {
        add_extension(random, &mut bytes);
    }
    let header = bytes.len();
    bytes.extend(STARTS[random.random_range(0..STARTS.len())]);
    if random.random_range(0..5) != 0 {
        let mut payload = vec![0; random.random_range(0..LONGEST)];
        random.fill_bytes(&mut payload);
        bytes.extend(payload);
    }
    match random.random_range(0..20) {
        // Padding that is valid, empty, or longer than the payload.
        0 => {
            bytes[0] |= 0x20;
            bytes.extend([0, 0, 3]);
        }
        1 => {
            bytes[0] |= 0x20;
            bytes.push([0, 255][random.random_range(0..2)]);
        }
        // CSRCs and an extension that are missing.
        2 => {
            bytes[0] |= 0x1f;
            bytes.truncate(HEADER + random.random_range(0..8));
        }
        _ => {}
    }
    Rtp { header: header.min(bytes.len()), bytes }
}

/// A header extension of one-octet or two-octet elements (RFC 8285), or of no known profile.
fn add_extension(random: &mut StdRng, bytes: &mut Vec<u8>) {
    bytes[0] |= 0x10;
    bytes.extend([[0xbe, 0xde], [0x10, 0x00], [0x10, 0x0f], [0x12, 0x34]][random.random_range(0..4)]);
    let words = random.random_range(0..20u16);
    bytes.extend(words.to_be_bytes());
    let mut elements = vec![0; usize::from(words) * 4];
    random.fill_bytes(&mut elements);
    bytes.extend(elements);
}

/// Kinds of bad RTCP.
pub(crate) const RTCP_KINDS: usize = 18;

/// One RTCP packet of this kind; `sources` are SSRCs to lie about. Its length is a multiple of four octets.
pub(crate) fn rtcp(random: &mut StdRng, kind: usize, sources: &[u32]) -> Vec<u8> {
    let source = if sources.is_empty() || random.random_range(0..4) == 0 {
        random.random::<u32>()
    } else {
        sources[random.random_range(0..sources.len())]
    };
    let about = [1u32.to_be_bytes(), source.to_be_bytes()].concat();
    match kind {
        // A sender report and a receiver report, of others' sources and with counts that lie.
        0 => packet(random.random_range(0..32), 200, &[&source.to_be_bytes()[..], &noise(random, 20)].concat()),
        1 => packet(31, 201, &[&about[..4], &noise(random, 31 * 24)].concat()),
        2 => packet(random.random_range(0..32), 201, &[&about[..4], &about[4..], &noise(random, 20)].concat()),
        3 => packet(31, 202, &noise(random, 400)),
        4 => packet(1, 202, &[&about[4..], &[1, 255], &noise(random, 10)].concat()),
        5 => packet(31, 203, &[&about[4..], &noise(random, 120)].concat()),
        6 => packet(random.random_range(0..32), 204, &[&about[4..], &noise(random, 40)].concat()),
        // NACKs (RFC 4585 6.2.1) of as many packets as fit.
        7 => {
            let newest: u16 = random.random();
            let all = (0..240u16).flat_map(|back| {
                let [high, low] = newest.wrapping_sub(17 * back).to_be_bytes();
                [high, low, 0xff, 0xff]
            });
            packet(1, 205, &[about, all.collect()].concat())
        }
        // Transport-wide feedback: 40 octets that report 65,535 packets as received, or as unknown symbols; and noise.
        8 => packet(15, 205, &[&about[..], &[0, 0, 0xff, 0xff, 0, 0, 0, 0], &[0x7f, 0xff].repeat(9)[..]].concat()),
        9 => packet(15, 205, &[&about[..], &[0, 0, 0xff, 0xff, 0, 0, 0, 0], &[0x3f, 0xff].repeat(9)[..]].concat()),
        10 => packet(15, 205, &[about, noise(random, 600)].concat()),
        11 => packet(random.random_range(0..32), 205, &[about, noise(random, 60)].concat()),
        // PLI, FIR (RFC 5104 4.3.1) of every sequence number, REMB with an absurd bitrate.
        12 => packet(1, 206, &about),
        13 => {
            let requests = (0..100u8).flat_map(|number| [&source.to_be_bytes()[..], &[number, 0, 0, 0]].concat());
            packet(4, 206, &[&about[..4], &[0; 4], &requests.collect::<Vec<_>>()].concat())
        }
        14 => packet(15, 206, &[&about[..4], &[0; 4], b"REMB", &[255, 0xff, 0xff, 0xff], &about[4..]].concat()),
        15 => packet(random.random_range(0..32), 206, &[about, noise(random, 60)].concat()),
        // Extended reports (RFC 3611) whose blocks lie about their lengths.
        16 => packet(0, 207, &[&about[..4], &[4, 0, 0xff, 0xff], &noise(random, 40)].concat()),
        // Other types, and a second packet in the compound whose length lies.
        _ => {
            let kind = random.random_range(192..224);
            let mut compound = packet(random.random_range(0..32), kind, &noise(random, 40));
            compound.extend([0x9f, random.random_range(200..208), random.random(), random.random()]);
            compound
        }
    }
}

/// A packet with the correct length.
fn packet(count: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let words = (body.len() / 4) as u16;
    [&[0x80 | count & 31, kind][..], &words.to_be_bytes(), &body].concat()
}

fn noise(random: &mut StdRng, length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    random.fill_bytes(&mut noise);
    noise
}
