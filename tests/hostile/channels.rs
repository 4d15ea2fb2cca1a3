//! Clients that attack the relay inside their own DTLS, in virtual time against the real webrtc-rs: whatever they send,
//! nothing panics, another stream's viewer gets every packet, and the memory comes back.

use std::time::Duration;

use sluice::forward::codec::Codec;
use sluice::name::Role;
use sluice::peer::Certificate;
use sluice::srtp::SrtpProfile;
use stats_alloc::Region;

use crate::net::{NUMBER, Net, vp8};
use crate::sctp::Tap;
use crate::sctp_packet::*;
use crate::{ALLOCATOR, alone};

const CODECS: &[Codec] = &[Codec::Vp8];
const GCM: &[SrtpProfile] = &[SrtpProfile::Aes128Gcm];
const MANY: u32 = 20_000;
/// Packets of an attack between two of the victim's.
const BURST: u32 = 250;

/// A relay with a stream, its viewer, and an attacker that watches another stream.
struct Attack {
    net: Net,
    publisher: usize,
    viewer: usize,
    attacker: usize,
    tap: Tap,
    /// The attacker's verification tag for the relay, and the next TSN that is its own.
    tag: u32,
    tsn: u32,
    sent: u32,
}

impl Attack {
    fn new(role: Role) -> Self {
        let mut net = Net::new(1);
        let publisher = net.join(Role::Publisher, "victim", CODECS, GCM);
        let viewer = net.join(Role::Viewer, "victim", CODECS, GCM);
        let other = if role == Role::Viewer { Role::Publisher } else { Role::Viewer };
        net.application = true;
        net.join(other, "other", CODECS, GCM);
        net.connect();
        let tap = Tap::default();
        let ordinary = std::mem::replace(
            &mut net.certificate,
            Certificate::generate_with(tap.provider()).expect("a certificate can be made"),
        );
        let attacker = net.join(role, "other", CODECS, GCM);
        net.certificate = ordinary;
        net.connect();
        net.run(Duration::from_secs(1));
        let mut attack = Self { net, publisher, viewer, attacker, tap, tag: 0, tsn: 0, sent: 0 };
        attack.take_association();
        attack.send_video();
        attack
    }

    /// Takes over the association that the attacker's own webrtc-rs has set up, which sends nothing from then on.
    fn take_association(&mut self) {
        let sent = self.tap.sent();
        let last = sent.last().expect("the association was made");
        self.tag = word(last, 4);
        let mut tsns = sent.iter().flat_map(|packet| chunks(packet)).filter_map(|(kind, value)| match kind {
            DATA => Some(word(&value, 0).wrapping_add(1)),
            INIT => Some(word(&value, 12)),
            _ => None,
        });
        self.tsn = tsns.next_back().expect("an INIT was sent");
        self.tap.take_received();
        self.net.clients[self.attacker].gone = true;
    }

    /// One packet of the attacker.
    fn send(&mut self, chunks: &[Vec<u8>]) {
        let sealed = self.tap.seal(&packet(self.tag, chunks));
        self.net.deliver(self.attacker, sealed);
    }

    fn send_raw(&mut self, plaintext: &[u8]) {
        let sealed = self.tap.seal(plaintext);
        self.net.deliver(self.attacker, sealed);
    }

    /// The publisher of the other stream sends one packet.
    fn send_video(&mut self) {
        self.net.send(self.publisher, 0, self.sent * 3000, true, &vp8(self.sent == 0, self.sent));
        self.sent += 1;
        self.net.run(Duration::from_millis(2));
    }

    /// Sends [`MANY`] packets, with packets of the other stream between them.
    fn flood(&mut self, mut packet: impl FnMut(&mut Self, u32)) {
        for number in 0..MANY {
            packet(self, number);
            if number % BURST == 0 {
                self.send_video();
            }
        }
    }

    /// The other stream's viewer has everything.
    #[track_caller]
    fn assert_unharmed(&mut self) {
        self.send_video();
        self.net.run(Duration::from_millis(100));
        let numbers: Vec<_> =
            self.net.clients[self.viewer].received.iter().map(|packet| word(&packet.payload, NUMBER)).collect();
        let expected: Vec<u32> = (0..self.sent).collect();
        assert_eq!(numbers, expected, "the victim misses packets");
        assert_eq!(self.net.metric_sum("sluice_session_ends_total{reason=\"panicked\""), 0);
    }

    fn drops(&mut self, reason: &str) -> u64 {
        self.net.run(Duration::from_millis(2));
        self.net.drops(reason)
    }

    fn misuses(&mut self) -> u64 {
        self.net.run(Duration::from_millis(2));
        self.net.metric_sum("sluice_session_ends_total{reason=\"data_channel_misuse\"")
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four octets"))
}

/// Runs an attack against both roles, and limits the memory that it leaves behind.
fn attack(mut run: impl FnMut(&mut Attack)) {
    let _alone = alone();
    for role in [Role::Viewer, Role::Publisher] {
        let mut attack = Attack::new(role);
        let region = Region::new(ALLOCATOR);
        let before = attack.net.clients[attack.viewer].received.len();
        run(&mut attack);
        attack.assert_unharmed();
        // What the test itself keeps of the victim's packets.
        let kept: usize = attack.net.clients[attack.viewer].received[before..]
            .iter()
            .map(|packet| packet.payload.capacity() + packet.sealed.capacity() + 400)
            .sum();
        let change = region.change();
        let grown = change.bytes_allocated as i64 - change.bytes_deallocated as i64 - kept as i64;
        assert!(grown < 1024 * 1024, "{grown} octets are kept");
    }
}

#[test]
fn forward_tsn_far_ahead() {
    attack(|attack| {
        attack.flood(|attack, _| {
            let far = attack.tsn.wrapping_add(0x7fff_fff0);
            attack.send(&[forward_tsn(far, &[])]);
        });
        assert_eq!(attack.drops("sctp_window") + attack.drops("sctp_rate"), u64::from(MANY));
    });
}

#[test]
fn forward_tsn_within_the_window_again_and_again() {
    attack(|attack| {
        attack.flood(|attack, _| {
            attack.tsn = attack.tsn.wrapping_add(4000);
            let last = attack.tsn.wrapping_sub(1);
            attack.send(&[forward_tsn(last, &[(1, 1), (2, 9)])]);
        });
    });
}

#[test]
fn repeated_and_other_inits() {
    attack(|attack| {
        let tsn = attack.tsn;
        attack.flood(|attack, number| {
            let tag = if number % 2 == 0 { 7 } else { number };
            attack.send_raw(&packet(0, &[init(INIT, tag.max(1), tsn, &[supports_forward_tsn()])]));
        });
        assert_eq!(attack.drops("sctp_unexpected"), u64::from(MANY));
        assert!(attack.tap.take_received().is_empty(), "no INIT was answered");
    });
}

#[test]
fn two_thousand_channels_with_16_kb_labels() {
    attack(|attack| {
        for stream in 0..2000u16 {
            let message = open(0, &vec![b'x'; 16_000]);
            for (number, part) in message.chunks(1000).enumerate() {
                let flags = if number == 0 { BEGINS } else { 0 } | if number == 16 { ENDS } else { 0 };
                let chunk = data(flags, attack.tsn, stream, 0, DCEP, part);
                attack.send(&[chunk]);
                attack.tsn = attack.tsn.wrapping_add(1);
            }
        }
        assert_eq!(attack.misuses(), 1);
    });
}

#[test]
fn channels_of_every_id() {
    attack(|attack| {
        attack.flood(|attack, number| {
            let chunk = data(WHOLE, attack.tsn, (number * 3) as u16, 0, DCEP, &open(0, b"x"));
            attack.send(&[chunk]);
            attack.tsn = attack.tsn.wrapping_add(1);
        });
        assert_eq!(attack.misuses(), 1);
    });
}

#[test]
fn channels_that_are_opened_and_closed_again_and_again() {
    attack(|attack| {
        let first = attack.tsn;
        attack.flood(|attack, number| {
            let tsn = attack.tsn;
            attack.tsn = tsn.wrapping_add(1);
            let opening = data(WHOLE, tsn, 101, 0, DCEP, &open(0, &[b'x'; 1000]));
            attack.send(&[opening, reset(first.wrapping_add(number), tsn, &[101])]);
            for received in attack.tap.take_received() {
                for (kind, value) in chunks(&received) {
                    if kind == RE_CONFIG && value[1] == 13 {
                        attack.send(&[reset_done(word(&value, 4))]);
                    }
                }
            }
        });
    });
}

#[test]
fn first_fragments_on_many_streams() {
    attack(|attack| {
        attack.flood(|attack, number| {
            let chunk = data(BEGINS, attack.tsn.wrapping_add(2 * number), number as u16, 0, TEXT, b"x");
            attack.send(&[chunk]);
        });
        assert_eq!(attack.misuses(), 1);
    });
}

#[test]
fn data_far_ahead_with_gaps_and_without_content() {
    attack(|attack| {
        let tsn = attack.tsn;
        attack.flood(|attack, number| {
            let ahead = data(WHOLE, tsn.wrapping_add(2 + 2 * number), 1, number as u16, TEXT, &[b'x'; 900]);
            let far = data(WHOLE, tsn.wrapping_add(0x4000_0000 + number), 1, 0, TEXT, b"x");
            let empty = data(WHOLE, tsn, 1, 0, TEXT, b"");
            let chunks = [ahead, far];
            match number % 3 {
                0 => attack.send(&chunks[..1]),
                1 => attack.send(&chunks),
                _ => attack.send(&[empty]),
            }
        });
    });
}

#[test]
fn a_message_without_end() {
    attack(|attack| {
        attack.flood(|attack, number| {
            let flags = if number == 0 { BEGINS } else { 0 };
            let chunk = data(flags, attack.tsn, 1, 1, TEXT, &[b'x'; 100]);
            attack.send(&[chunk]);
            attack.tsn = attack.tsn.wrapping_add(1);
        });
        assert_eq!(attack.misuses(), 1);
    });
}

#[test]
fn messages_that_stay_out_of_order() {
    attack(|attack| {
        attack.flood(|attack, number| {
            let chunk = data(WHOLE, attack.tsn, 101, 2 + number as u16, TEXT, &[b'x'; 1000]);
            attack.send(&[chunk]);
            attack.tsn = attack.tsn.wrapping_add(1);
        });
    });
}

#[test]
fn dcep_of_odd_shapes() {
    for length in 0..6 {
        for first in [0, 1, 2, 3] {
            attack(|attack| {
                let chunk = data(WHOLE, attack.tsn, 1, 0, DCEP, &vec![first; length]);
                attack.send(&[chunk]);
                attack.send_video();
                assert_eq!(attack.misuses(), u64::from(length > 0), "{first} {length}");
            });
        }
    }
}

#[test]
fn aborts_and_errors_with_odd_bodies() {
    attack(|attack| {
        attack.flood(|attack, number| {
            let body: Vec<u8> =
                (0..number % 40).map(|octet| (number.wrapping_mul(2_654_435_761) >> (octet % 24)) as u8).collect();
            let kind = if number < MANY / 2 { ERROR } else { ABORT };
            attack.send(&[chunk(kind, 0, &body)]);
        });
    });
}

#[test]
fn wrong_checksums_tags_and_lengths() {
    attack(|attack| {
        attack.flood(|attack, number| {
            let tsn = attack.tsn;
            let mut whole = packet(attack.tag, &[data(WHOLE, tsn, 1, 0, TEXT, b"hello")]);
            match number % 5 {
                0 => whole[8] ^= 1,
                1 => whole = packet(attack.tag.wrapping_add(number), &[sack(1, &[])]),
                2 => whole = packet(attack.tag, &[claiming(0, chunk(SACK, 0, &[0; 12]))]),
                3 => whole = packet(attack.tag, &[claiming(number as u16, chunk(RE_CONFIG, 0, &[0; 12]))]),
                _ => whole.truncate((number % 28) as usize),
            }
            attack.send_raw(&whole);
        });
    });
}

#[test]
fn chunks_hidden_behind_the_length_that_webrtc_rs_computes() {
    attack(|attack| {
        let hidden = forward_tsn(attack.tsn.wrapping_add(0x7fff_ff00), &[]);
        let padded = |value: &[u8]| [value, &hidden].concat();
        let covers = [
            chunk(SACK, 0, &padded(&[0; 12])),
            chunk(COOKIE_ACK, 0, &hidden),
            chunk(8, 0, &hidden),
            chunk(14, 0, &hidden),
            chunk(HEARTBEAT, 0, &padded(&[0, 1, 0, 8, 0, 0, 0, 0])),
            chunk(RE_CONFIG, 0, &padded(&[0, 16, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0])),
            chunk(RE_CONFIG, 0, &padded(&[0xc0, 0, 0, 12])),
            chunk(ABORT, 0, &padded(&[0, 1, 0, 4])),
            chunk(ERROR, 0, &padded(&[0, 1, 0, 5, 1, 0, 0, 0])),
        ];
        attack.flood(|attack, number| attack.send(&[covers[number as usize % covers.len()].clone()]));
    });
}

#[test]
fn acknowledgements_of_what_was_never_sent() {
    attack(|attack| {
        attack.flood(|attack, number| match number % 3 {
            0 => attack.send(&[sack(number.wrapping_mul(0x1234_5677), &[])]),
            1 => attack.send(&[sack(number, &[(1, u16::MAX); 200])]),
            _ => attack.send(&[sack(attack.tsn, &[(3, 1), (0, 0)])]),
        });
    });
}

#[test]
fn heartbeats_cookies_and_the_end() {
    attack(|attack| {
        attack.flood(|attack, number| match number % 6 {
            0 => attack.send(&[chunk(HEARTBEAT, 0, &parameter(1, &[1; 1400]))]),
            1 => attack.send(&[chunk(COOKIE_ECHO, 0, &[number as u8; 32])]),
            2 => attack.send(&[chunk(COOKIE_ACK, 0, &[])]),
            3 => attack.send(&[chunk(8, 0, &[])]),
            4 => attack.send(&[init(INIT_ACK, 1, 1, &[parameter(7, &[1; 32])])]),
            _ => attack.send(&[chunk(HEARTBEAT, 0, &parameter(1, &[1; 15_000]))]),
        });
        attack.send(&[chunk(SHUTDOWN, 0, &[0; 4])]);
        attack.flood(|attack, number| match number % 3 {
            0 => attack.send(&[chunk(SHUTDOWN, 0, &[0; 4])]),
            1 => attack.send(&[chunk(8, 0, &[])]),
            _ => {
                let chunk = data(WHOLE, attack.tsn, 1, 1, TEXT, b"more");
                attack.send(&[chunk]);
            }
        });
    });
}

#[test]
fn resets_out_of_turn() {
    attack(|attack| {
        attack.flood(|attack, number| {
            let last = attack.tsn.wrapping_add(if number % 2 == 0 { 100 } else { 0x7000_0000 });
            let streams: Vec<u16> = (0..500).collect();
            attack.send(&[reset(number.wrapping_mul(77), last, &streams)]);
        });
    });
}

#[test]
fn more_messages_than_allowed() {
    attack(|attack| {
        let mut sequence = 0u16;
        let opening = data(WHOLE, attack.tsn, 101, 0, DCEP, &open(0, b"flood"));
        attack.send(&[opening]);
        attack.flood(|attack, _| {
            sequence = sequence.wrapping_add(1);
            attack.tsn = attack.tsn.wrapping_add(1);
            let chunk = data(WHOLE, attack.tsn, 101, sequence, TEXT, &[b'x'; 100]);
            attack.send(&[chunk]);
        });
        assert!(attack.drops("sctp_rate") + attack.drops("sctp_window") > u64::from(MANY) / 2);
    });
}
