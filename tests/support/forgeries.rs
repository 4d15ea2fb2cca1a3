//! Datagrams that a stranger without keys forges, by kind: STUN, DTLS, SRTP and SRTCP.

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

/// What the forger has seen of the client: empty until the client has sent it.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) check: Vec<u8>,
    pub(crate) rtp: Vec<u8>,
    pub(crate) rtcp: Vec<u8>,
    /// SSRC and payload type of what it publishes.
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
}

/// How to forge one kind.
pub(crate) type Forge = fn(&mut StdRng, &Seen) -> Vec<u8>;

/// A kind by its name. `harms`: may make a session fail that is not connected yet.
pub(crate) struct Forgery {
    pub(crate) name: &'static str,
    pub(crate) harms: bool,
    pub(crate) forge: Forge,
}

pub(crate) const FORGERIES: [Forgery; 35] = [
    Forgery {
        name: "STUN: a check with another password",
        harms: false,
        forge: |random, seen| {
            // FINGERPRINT is the last 8 bytes, MESSAGE-INTEGRITY the 24 before.
            changed(random, &seen.check, |length| length.saturating_sub(28)..length.saturating_sub(8))
        },
    },
    Forgery {
        name: "STUN: a check without integrity",
        harms: false,
        forge: |random, seen| {
            let end = seen.check.len().saturating_sub(32);
            let mut check = seen.check[..end].to_vec();
            if end >= 20 {
                check[2..4].copy_from_slice(&((end - 20) as u16).to_be_bytes());
                random.fill_bytes(&mut check[8..20]);
            }
            check
        },
    },
    Forgery {
        name: "STUN: a check with an unknown user name",
        harms: false,
        forge: |random, _| {
            stun(random, 0x0001, &[0, 6, 0, 9, b'a', b'b', b'c', b'd', b':', b'e', b'f', b'g', b'h', 0, 0, 0])
        },
    },
    Forgery { name: "STUN: answers to nothing", harms: false, forge: |random, _| stun(random, 0x0101, &[]) },
    Forgery {
        name: "STUN: refusals",
        harms: false,
        forge: |random, _| stun(random, 0x0111, &[0, 9, 0, 4, 0, 0, 4, 1]),
    },
    Forgery {
        name: "STUN: role conflicts",
        harms: false,
        forge: |random, _| stun(random, 0x0111, &[0, 9, 0, 4, 0, 0, 4, 87]),
    },
    Forgery { name: "STUN: indications", harms: false, forge: |random, _| stun(random, 0x0011, &[]) },
    Forgery { name: "STUN: other methods", harms: false, forge: |random, _| stun(random, 0x0003, &[]) },
    Forgery {
        name: "STUN: lengths that lie",
        harms: false,
        forge: |random, _| {
            let mut lie = stun(random, 0x0001, &[0, 6, 0xff, 0xff, 1, 2, 3, 4]);
            lie[3] = random.random();
            lie
        },
    },
    Forgery { name: "DTLS: fatal alerts", harms: false, forge: |random, _| record(random, 21, 0, &[2, 40]) },
    Forgery { name: "DTLS: close_notify", harms: false, forge: |random, _| record(random, 21, 0, &[1, 0]) },
    Forgery {
        name: "DTLS: clear alerts of the next epoch",
        harms: false,
        forge: |random, _| record(random, 21, 1, &[2, 80]),
    },
    Forgery {
        name: "DTLS: any alert",
        harms: false,
        forge: |random, _| {
            let body = [random.random(), random.random()];
            record(random, 21, 0, &body)
        },
    },
    Forgery { name: "DTLS: encrypted alerts", harms: true, forge: |random, _| random_record(random, 21, 1) },
    Forgery { name: "DTLS: ChangeCipherSpec", harms: true, forge: |random, _| record(random, 20, 0, &[1]) },
    Forgery {
        name: "DTLS: ChangeCipherSpec of the next epoch",
        harms: false,
        forge: |random, _| record(random, 20, 1, &[1]),
    },
    Forgery {
        name: "DTLS: ChangeCipherSpec of any content",
        harms: false,
        forge: |random, _| random_record(random, 20, 1),
    },
    Forgery { name: "DTLS: ClientHello fragments", harms: true, forge: |random, _| handshake(random, 1, 1_500) },
    Forgery {
        name: "DTLS: HelloVerifyRequests",
        harms: true,
        forge: |random, _| {
            let body = [3, 0, 0, 23, 0, 0, 0, 0, 0, 0, 0, 23, 0xfe, 0xfd, 20];
            let cookie: [u8; 20] = random.random();
            record(random, 22, 0, &[&body[..], &cookie].concat())
        },
    },
    Forgery {
        name: "DTLS: other handshake messages",
        harms: true,
        forge: |random, _| {
            let kind = random.random();
            handshake(random, kind, 40)
        },
    },
    Forgery { name: "DTLS: encrypted handshake", harms: true, forge: |random, _| random_record(random, 22, 1) },
    Forgery { name: "DTLS: data", harms: true, forge: |random, _| random_record(random, 23, 1) },
    Forgery {
        name: "DTLS: much data in a datagram",
        harms: true,
        forge: |random, _| (0..15).flat_map(|_| random_record(random, 23, 1)).collect(),
    },
    Forgery { name: "DTLS: data in clear", harms: false, forge: |random, _| random_record(random, 23, 0) },
    Forgery { name: "DTLS: data of a later epoch", harms: false, forge: |random, _| random_record(random, 23, 2) },
    Forgery {
        name: "DTLS: other content",
        harms: false,
        forge: |random, _| {
            let (kind, epoch) = (random.random_range(24..64), random.random_range(0..3));
            random_record(random, kind, epoch)
        },
    },
    Forgery {
        name: "DTLS: lengths that lie",
        harms: false,
        forge: |random, _| {
            let mut lie = random_record(random, 22, 0);
            lie[11] = 0xff;
            lie
        },
    },
    Forgery {
        name: "DTLS: clear beside encrypted",
        harms: true,
        forge: |random, _| {
            [record(random, 21, 0, &[2, 0]), random_record(random, 23, 1), random_record(random, 22, 0)].concat()
        },
    },
    Forgery {
        name: "SRTP: any payload",
        harms: false,
        forge: |random, seen| {
            let mut packet = rtp(random, seen.payload_type, seen.ssrc);
            random.fill_bytes(&mut packet[12..]);
            packet
        },
    },
    Forgery {
        name: "SRTP: any SSRC",
        harms: false,
        forge: |random, seen| {
            let ssrc = random.random();
            rtp(random, seen.payload_type, ssrc)
        },
    },
    Forgery {
        name: "SRTP: what was sent, changed",
        harms: false,
        forge: |random, seen| {
            if seen.rtp.is_empty() { rtp(random, 96, 1) } else { changed(random, &seen.rtp, |length| 2..length) }
        },
    },
    Forgery {
        name: "SRTP: headers that lie",
        harms: false,
        forge: |random, seen| {
            let mut packet = rtp(random, seen.payload_type, seen.ssrc);
            packet[0] = 0x80 | random.random_range(1..64);
            packet.truncate(random.random_range(12..60));
            packet
        },
    },
    Forgery {
        name: "SRTCP: any payload",
        harms: false,
        forge: |random, seen| {
            let mut packet = [&[0x81, random.random_range(192..224), 0, 6], &seen.ssrc.to_be_bytes()[..]].concat();
            packet.extend(random.random::<[u8; 32]>());
            packet
        },
    },
    Forgery {
        name: "SRTCP: what was sent, changed",
        harms: false,
        forge: |random, seen| {
            if seen.rtcp.is_empty() { rtp(random, 72, 1) } else { changed(random, &seen.rtcp, |length| 8..length) }
        },
    },
    Forgery {
        name: "SRTCP: BYE that claims not to be encrypted",
        harms: false,
        forge: |_, seen| [&[0x81, 203, 0, 1], &seen.ssrc.to_be_bytes()[..], &[0; 20]].concat(),
    },
];

/// A STUN message of this type (RFC 8489 5).
fn stun(random: &mut StdRng, kind: u16, attributes: &[u8]) -> Vec<u8> {
    let mut message = kind.to_be_bytes().to_vec();
    message.extend((attributes.len() as u16).to_be_bytes());
    message.extend([0x21, 0x12, 0xa4, 0x42]);
    message.extend(random.random::<[u8; 12]>());
    message.extend(attributes);
    message
}

/// A DTLS record; its number is one that the client may use next.
fn record(random: &mut StdRng, content_type: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
    let mut record = vec![content_type, 0xfe, 0xfd];
    record.extend(epoch.to_be_bytes());
    record.extend([0, 0, 0, 0, 0, random.random_range(0..60)]);
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

fn random_record(random: &mut StdRng, content_type: u8, epoch: u16) -> Vec<u8> {
    let mut body = vec![0; random.random_range(3..60)];
    random.fill_bytes(&mut body);
    record(random, content_type, epoch, &body)
}

/// A fragment of a handshake message.
fn handshake(random: &mut StdRng, kind: u8, length: usize) -> Vec<u8> {
    let (offset, part) = (random.random_range(0..length / 2), random.random_range(1..length / 2));
    let number = |number: usize| (number as u32).to_be_bytes();
    let mut body = vec![kind];
    body.extend(&number(length)[1..]);
    body.extend([0, random.random_range(0..8)]);
    body.extend(&number(offset)[1..]);
    body.extend(&number(part)[1..]);
    body.resize(body.len() + part, random.random());
    record(random, 22, 0, &body)
}

fn rtp(random: &mut StdRng, payload_type: u8, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(random.random::<[u8; 6]>());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x5a; 60]);
    packet
}

/// The same with one bit changed within a range.
fn changed(random: &mut StdRng, genuine: &[u8], range: impl FnOnce(usize) -> std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = genuine.to_vec();
    let at = random.random_range(range(bytes.len()));
    bytes[at] ^= 1 << random.random_range(0..8);
    bytes
}

/// A check as a client writes it, for a forger that has seen none yet: USERNAME, MESSAGE-INTEGRITY, FINGERPRINT.
pub(crate) fn stun_like() -> Vec<u8> {
    let mut attributes = vec![0, 6, 0, 9, b'a', b'b', b'c', b'd', b':', b'e', b'f', b'g', b'h', 0, 0, 0, 0, 8, 0, 20];
    attributes.extend([7; 20]);
    attributes.extend([0x80, 0x28, 0, 4, 1, 2, 3, 4]);
    stun(&mut StdRng::seed_from_u64(1), 1, &attributes)
}
