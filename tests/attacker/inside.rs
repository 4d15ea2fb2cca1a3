//! Clients with keys that send bad SCTP, RTP and RTCP. One whose session the relay ends joins again, ten times a second
//! at most.

use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};
use sluice::forward::codec::{Codec, Kind};
use sluice::name::Role;

use crate::Attack;
use crate::hostile::{self, CODECS, RTCP_KINDS};
use crate::pace::Pace;
use crate::sctp_packet::*;
use crate::session::Session;

/// Packets a second of each attack.
const SCTP_RATE: u32 = 2_000;
const RTP_RATE: u32 = 3_000;
const SSRC_RATE: u32 = 1_700;
const RTCP_RATE: u32 = 2_000;

/// How to make the chunks of one kind's packet, from the next TSN and a number.
type Make = fn(&mut StdRng, &mut u32, u32) -> Vec<Vec<u8>>;

/// Kinds of bad SCTP packets.
const SCTP: [Make; 12] = [
    |_, tsn, _| vec![forward_tsn(tsn.wrapping_add(0x7fff_fff0), &[])],
    |_, tsn, _| {
        *tsn = tsn.wrapping_add(4_000);
        vec![forward_tsn(tsn.wrapping_sub(1), &[(1, 1), (2, 9)])]
    },
    |_, tsn, number| vec![init(INIT, number.max(1), *tsn, &[supports_forward_tsn()])],
    |_, tsn, number| vec![data(WHOLE, next(tsn), (number * 3) as u16, 0, DCEP, &open(0, &[b'x'; 1_000]))],
    |_, tsn, number| vec![data(BEGINS, tsn.wrapping_add(2 * number), number as u16, 0, TEXT, b"x")],
    |_, tsn, number| vec![data(WHOLE, next(tsn), 1, 1, DCEP, &vec![(number % 4) as u8; number as usize % 6])],
    |random, _, _| vec![chunk(ERROR, 0, &noise(random))],
    |random, _, _| vec![chunk(ABORT, 0, &noise(random))],
    |random, _, _| vec![sack(random.random(), &[(1, u16::MAX); 200])],
    |_, _, number| vec![reset(number, number, &(0..500).collect::<Vec<_>>())],
    |_, _, _| vec![chunk(HEARTBEAT, 0, &parameter(1, &[1; 1_100])), chunk(COOKIE_ECHO, 0, &[7; 32])],
    |random, tsn, number| {
        let kind = random.random();
        vec![claiming(number as u16, chunk(kind, 0, &noise(random))), data(WHOLE, next(tsn), 1, 0, TEXT, b"x")]
    },
];

/// Packets of one kind in a row, in a session of their own: many kinds end it.
const IN_A_ROW: u32 = 400;

fn next(tsn: &mut u32) -> u32 {
    let this = *tsn;
    *tsn = tsn.wrapping_add(1);
    this
}

fn noise(random: &mut StdRng) -> Vec<u8> {
    let mut noise = vec![0; random.random_range(0..200)];
    random.fill_bytes(&mut noise);
    noise
}

/// A client, and its successors.
struct Again {
    role: Role,
    stream: &'static str,
    codecs: &'static [Codec],
    session: Session,
    joined: Instant,
    joins: u32,
}

impl Again {
    fn new(attack: &Attack, role: Role, stream: &'static str, codecs: &'static [Codec]) -> Result<Self> {
        let session = Session::join(attack.relay, role, stream, codecs)?;
        Ok(Self { role, stream, codecs, session, joined: Instant::now(), joins: 1 })
    }

    /// The client, a new one if the relay has ended the last.
    fn session(&mut self, attack: &Attack) -> &mut Session {
        self.session.listen();
        if self.session.ended && self.joined.elapsed() > Duration::from_millis(100) {
            self.joined = Instant::now();
            // The relay may refuse it for a moment.
            if let Ok(session) = Session::join(attack.relay, self.role, self.stream, self.codecs) {
                std::mem::replace(&mut self.session, session).leave();
                self.joins += 1;
            }
        }
        &mut self.session
    }
}

pub(crate) fn sctp(attack: &mut Attack) -> Result<String> {
    let mut again = Again::new(attack, Role::Viewer, "victim", &[Codec::Vp8])?;
    let mut number = attack.random.random_range(0..SCTP.len() as u32) * IN_A_ROW;
    let mut sent = 0u32;
    let mut pace = Pace::new(SCTP_RATE, attack.duration);
    while let Some(due) = pace.due() {
        let session = again.session(attack);
        for _ in 0..due {
            if sent % IN_A_ROW == IN_A_ROW - 1 {
                session.ended = true;
            }
            let make = SCTP[(number / IN_A_ROW) as usize % SCTP.len()];
            let chunks = make(&mut attack.random, &mut session.tsn, number);
            session.send_sctp(&chunks);
            number = number.wrapping_add(1);
            sent += 1;
        }
    }
    again.session.leave();
    Ok(format!("{sent} packets, {SCTP_RATE} a second, in {} sessions", again.joins))
}

pub(crate) fn rtp(attack: &mut Attack) -> Result<String> {
    let mut again = Again::new(attack, Role::Publisher, "hostile", CODECS)?;
    let watching = Session::join(attack.relay, Role::Viewer, "hostile", CODECS)?;
    let mut sent = 0usize;
    let mut pace = Pace::new(RTP_RATE, attack.duration);
    while let Some(due) = pace.due() {
        let session = again.session(attack);
        for _ in 0..due {
            let track = &session.tracks[sent % session.tracks.len()];
            let (ssrc, payload_type) = match attack.random.random_range(0..100) {
                0 => (attack.random.random(), attack.random.random_range(0..128)),
                // Each codec for a while: a track's codec may change only a few times a second.
                _ => (track.ssrc.unwrap_or(1), track.accepted[sent / 1_000 % track.accepted.len()].0),
            };
            let index = session.next_index(ssrc);
            let packet = hostile::rtp(&mut attack.random, payload_type, ssrc, index);
            session.send_rtp(packet, index);
            sent += 1;
        }
    }
    again.session.leave();
    watching.leave();
    Ok(format!("{sent} packets of {} codecs, {RTP_RATE} a second", CODECS.len()))
}

/// Sources that take turns from packet to packet, with keyframes, before a viewer.
pub(crate) fn alternating_sources(attack: &mut Attack) -> Result<String> {
    let mut again = Again::new(attack, Role::Publisher, "hostile", &[Codec::Vp8])?;
    let watching = Session::join(attack.relay, Role::Viewer, "hostile", &[Codec::Vp8])?;
    let mut sent = 0u32;
    let mut pace = Pace::new(SSRC_RATE, attack.duration);
    while let Some(due) = pace.due() {
        let session = again.session(attack);
        for _ in 0..due {
            let ssrc = 1 + sent % if sent % 4_000 < 2_000 { 2 } else { 40 };
            let video = session.tracks.iter().find(|track| track.kind == Kind::Video);
            let payload_type = video.map_or(96, |track| track.payload_type);
            let index = session.next_index(ssrc);
            let mut bytes = vec![0x80, 0x80 | payload_type];
            bytes.extend((index as u16).to_be_bytes());
            bytes.extend((sent * 50).to_be_bytes());
            bytes.extend(ssrc.to_be_bytes());
            bytes.extend([0x10, 0, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);
            bytes.resize(80, 7);
            session.send_rtp(hostile::Rtp { bytes, header: 12 }, index);
            sent += 1;
        }
    }
    again.session.leave();
    watching.leave();
    Ok(format!("{sent} packets, {SSRC_RATE} a second, of 2 and of 40 SSRCs"))
}

pub(crate) fn rtcp(attack: &mut Attack) -> Result<String> {
    let mut viewer = Again::new(attack, Role::Viewer, "victim", &[Codec::Vp8])?;
    let mut publisher = Again::new(attack, Role::Publisher, "hostile", CODECS)?;
    let mut sent = 0usize;
    let mut pace = Pace::new(RTCP_RATE, attack.duration);
    while let Some(due) = pace.due() {
        for again in [&mut viewer, &mut publisher] {
            let session = again.session(attack);
            let sources: Vec<u32> =
                session.tracks.iter().flat_map(|track| [track.ssrc, track.rtx_ssrc]).flatten().collect();
            for _ in 0..due.div_ceil(2) {
                // The worst for half of the time.
                let kind = if (sent / 500).is_multiple_of(2) { 8 } else { sent % RTCP_KINDS };
                session.send_rtcp(hostile::rtcp(&mut attack.random, kind, &sources));
                sent += 1;
            }
        }
    }
    viewer.session.leave();
    publisher.session.leave();
    Ok(format!("{sent} packets, {RTCP_RATE} a second, of a viewer and a publisher"))
}
