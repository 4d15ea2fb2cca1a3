//! Datagrams without keys: from unknown sockets, and from a client's own address.

use std::net::{SocketAddr, UdpSocket};

use anyhow::Result;
use rand::{Rng as _, RngExt as _};
use sluice::forward::codec::Codec;
use sluice::name::Role;

use crate::Attack;
use crate::forgeries::{FORGERIES, Seen, stun_like};
use crate::hostile;
use crate::pace::Pace;
use crate::session::{ADDRESS, Session};

/// Datagrams a second of all strangers together.
const RATE: u32 = 10_000;
/// Datagrams a second with the address of a client.
const FORGED_RATE: u32 = 5_000;
const SOCKETS: usize = 16;

/// Garbage and forgeries of each kind from many sockets.
pub(crate) fn from_other_sockets(attack: &mut Attack) -> Result<String> {
    let session = Session::join(attack.relay, Role::Viewer, "victim", &[Codec::Vp8])?;
    let sockets = (0..SOCKETS).map(|_| UdpSocket::bind((ADDRESS, 0))).collect::<Result<Vec<_>, _>>()?;
    let seen = Seen { check: session.check.clone(), rtcp: session.rtcp.clone(), ssrc: 1, ..Seen::default() };
    let sent = flood(attack, RATE, &seen, session.media, |number| &sockets[number % SOCKETS]);
    session.leave();
    Ok(format!("{sent} datagrams, {RATE} a second, from {SOCKETS} sockets"))
}

/// The same from the socket of a publisher that is connected.
pub(crate) fn from_a_clients_socket(attack: &mut Attack) -> Result<String> {
    let mut session = Session::join(attack.relay, Role::Publisher, "forged", &[Codec::Vp8])?;
    let ssrc = session.tracks[0].ssrc.unwrap_or(1);
    let payload_type = session.tracks[0].payload_type;
    let index = session.next_index(ssrc);
    let packet = hostile::rtp(&mut attack.random, payload_type, ssrc, index);
    let rtp = session.send_rtp(packet, index);
    session.send_rtcp(hostile::rtcp(&mut attack.random, 12, &[ssrc]));
    let check = if session.check.is_empty() { stun_like() } else { session.check.clone() };
    let seen = Seen { check, rtp, rtcp: session.rtcp.clone(), ssrc, payload_type };
    let sent = flood(attack, FORGED_RATE, &seen, session.media, |_| &session.socket);
    session.leave();
    Ok(format!("{sent} datagrams, {FORGED_RATE} a second, from a publisher's address"))
}

fn flood<'a>(
    attack: &mut Attack,
    rate: u32,
    seen: &Seen,
    to: SocketAddr,
    socket: impl Fn(usize) -> &'a UdpSocket,
) -> usize {
    let mut sent = 0;
    let mut pace = Pace::new(rate, attack.duration);
    while let Some(due) = pace.due() {
        for _ in 0..due {
            let datagram = match sent % (FORGERIES.len() + 1) {
                0 => {
                    let mut garbage = vec![0; attack.random.random_range(0..1_400)];
                    attack.random.fill_bytes(&mut garbage);
                    garbage
                }
                kind => (FORGERIES[kind - 1].forge)(&mut attack.random, seen),
            };
            // Loss in a full buffer does not matter.
            let _ = socket(sent).send_to(&datagram, to);
            sent += 1;
        }
    }
    sent
}
