//! The filter alone, packet by packet; `src/peer/tests/sctp.rs` and `tests/hostile/channels.rs` test it with webrtc-rs.

mod attacks;
#[allow(dead_code, reason = "the attack tests need more of it")]
#[path = "../../../tests/support/sctp_packet.rs"]
pub(crate) mod made;
mod ordinary;

use std::time::{Duration, Instant};

use made::*;

use super::{ChannelLimits, Filter, Filtered, Violation};
use crate::name::Role;
use crate::reason::DropReason;

const THEIR_TAG: u32 = 0x1111_1111;
const OUR_TAG: u32 = 0x2222_2222;
const THEIR_TSN: u32 = 1000;
const OUR_TSN: u32 = 5000;
const COOKIE: [u8; 32] = [7; 32];
const LONGEST: usize = 16_384;

const PASSED: Filtered = Filtered::Pass(None);

fn dropped(loss: DropReason) -> Filtered {
    Filtered::Drop(Some(loss))
}

/// A filter and the time.
struct Bed {
    filter: Filter,
    now: Instant,
    /// The client's next TSN.
    tsn: u32,
}

impl Bed {
    /// No association yet.
    fn new() -> Self {
        let limits = ChannelLimits { message: LONGEST, rates: None };
        Self { filter: Filter::new(Some(limits)), now: Instant::now(), tsn: THEIR_TSN }
    }

    /// With the rates of a role.
    fn of(role: Role) -> Self {
        Self { filter: Filter::new(Some(ChannelLimits::of(role, LONGEST))), ..Self::new() }
    }

    /// An established association; the relay answered the client's INIT.
    fn open() -> Self {
        Self::new().opened()
    }

    fn opened(mut self) -> Self {
        assert_eq!(self.put(&their_init()), PASSED);
        self.filter.handle_outbound(&our_init_ack());
        assert_eq!(self.take(&[chunk(COOKIE_ECHO, 0, &COOKIE)]), PASSED);
        self
    }

    fn put(&mut self, packet: &[u8]) -> Filtered {
        self.change(packet).0
    }

    /// The packet after the filter.
    fn change(&mut self, packet: &[u8]) -> (Filtered, Vec<u8>) {
        let mut changed = packet.to_vec();
        let verdict = self.filter.handle_inbound(&mut changed, self.now);
        if verdict == PASSED && changed == packet {
            assert_eq!(seal(changed.clone()), changed);
        }
        (verdict, changed)
    }

    /// Chunks of the client arrive in one packet.
    fn take(&mut self, chunks: &[Vec<u8>]) -> Filtered {
        self.put(&packet(OUR_TAG, chunks))
    }

    /// The relay sends chunks.
    fn send(&mut self, chunks: &[Vec<u8>]) {
        self.filter.handle_outbound(&packet(THEIR_TAG, chunks));
    }

    /// The next DATA chunk of the client.
    fn data(&mut self, flags: u8, stream: u16, sequence: u16, ppid: u32, payload: &[u8]) -> Filtered {
        self.tsn = self.tsn.wrapping_add(1);
        self.take(&[data(flags, self.tsn.wrapping_sub(1), stream, sequence, ppid, payload)])
    }

    fn open_channel(&mut self, stream: u16) -> Filtered {
        self.data(WHOLE, stream, 0, DCEP, &open(0, b"chat"))
    }

    /// Both sides reset a stream.
    fn close_channel(&mut self, number: u32, stream: u16) {
        assert_eq!(self.take(&[reset(number, self.tsn.wrapping_sub(1), &[stream])]), PASSED);
        self.send(&[reset(100 + number, OUR_TSN, &[stream])]);
        self.send(&[reset_done(number)]);
        assert_eq!(self.take(&[reset_done(100 + number)]), PASSED);
    }
}

fn their_init() -> Vec<u8> {
    packet(0, &[init(INIT, THEIR_TAG, THEIR_TSN, &[supports_forward_tsn()])])
}

fn our_init_ack() -> Vec<u8> {
    packet(THEIR_TAG, &[init(INIT_ACK, OUR_TAG, OUR_TSN, &[parameter(7, &COOKIE), supports_forward_tsn()])])
}
