//! HTTP from an attacker's address: connections that send nothing or little, answers that are not read, mutated offers,
//! sessions that come and go.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::{Rng as _, RngExt as _};
use sluice::client::HttpClient;
use socket2::{Domain, Socket, Type};

use crate::Attack;
use crate::pace::Pace;
use crate::session::ADDRESS;

/// Connections a second that are made, and how many are kept at most.
const CONNECT_RATE: u32 = 500;
const KEPT: usize = 900;
/// Requests that one connection pipelines without reading an answer.
const PIPELINED: usize = 200;
/// Offers a second.
const OFFER_RATE: u32 = 100;
const JOIN_RATE: u32 = 40;

const OFFER: &str = include_str!("../golden/chromium-156-whep.offer.sdp");
const PUBLISHING: &str = include_str!("../golden/chromium-156-whip.offer.sdp");

/// Connections that send nothing, from three addresses.
pub(crate) fn idle_connections(attack: &mut Attack) -> Result<String> {
    let (made, held) = connections(attack, |_| Vec::new(), |_, _| Vec::new())?;
    Ok(format!("{made} connections, {CONNECT_RATE} a second, {held} at once, that say nothing"))
}

/// Headers and bodies that arrive octet by octet and never end.
pub(crate) fn slow_requests(attack: &mut Attack) -> Result<String> {
    let head = "POST /whep/victim HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\n";
    let begin = move |number| match number % 2 {
        0 => head.as_bytes()[..20].to_vec(),
        _ => format!("{head}Content-Length: 5000\r\n\r\nv=0\r\n").into_bytes(),
    };
    let (made, held) = connections(attack, begin, move |number, turn| match number % 2 {
        0 => head.as_bytes().get(20 + turn..21 + turn).unwrap_or(b"x").to_vec(),
        _ => b"a".to_vec(),
    })?;
    Ok(format!("{made} connections, {CONNECT_RATE} a second, {held} at once, octet by octet"))
}

/// Requests by the hundred whose answers are not read.
pub(crate) fn unread_answers(attack: &mut Attack) -> Result<String> {
    let requests = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(PIPELINED).into_bytes();
    let (made, held) = connections(attack, |_| requests.clone(), |_, _| Vec::new())?;
    Ok(format!("{made} connections, {CONNECT_RATE} a second, {held} at once, {PIPELINED} requests each, unread"))
}

/// Makes connections at the rate. Each sends `begin`, and `go_on` about once a second.
fn connections(
    attack: &mut Attack,
    begin: impl Fn(usize) -> Vec<u8>,
    go_on: impl Fn(usize, usize) -> Vec<u8>,
) -> Result<(usize, usize)> {
    let mut open: Vec<TcpStream> = Vec::new();
    let mut most = 0;
    let mut made = 0;
    let mut pace = Pace::new(CONNECT_RATE, attack.duration);
    while let Some(due) = pace.due() {
        for _ in 0..due {
            let place = made % KEPT;
            made += 1;
            // From a few addresses, so that the attack gets past the limit of one.
            let address = Ipv4Addr::from(u32::from(ADDRESS) + made as u32 % 3);
            let Ok(mut stream) = connect(address, attack.relay) else { continue };
            let _ = stream.write(&begin(place));
            match open.get_mut(place) {
                Some(old) => *old = stream,
                None => open.push(stream),
            }
            most = most.max(open.len());
        }
        let turn = made / KEPT;
        for (place, stream) in open.iter_mut().enumerate().skip(made % 50).step_by(50) {
            let _ = stream.write(&go_on(place, turn));
        }
    }
    Ok((made, most))
}

fn connect(from: Ipv4Addr, to: SocketAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    // A full listener makes new connections wait.
    socket.connect_timeout(&to.into(), Duration::from_millis(100)).context("it is not taken")?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Offers with octets changed, lines doubled, left out and cut.
pub(crate) fn mutated_offers(attack: &mut Attack) -> Result<String> {
    let mut answers = [0usize; 6];
    let mut pace = Pace::new(OFFER_RATE, attack.duration);
    while let Some(due) = pace.due() {
        for _ in 0..due {
            let (endpoint, offer) = match attack.random.random_range(0..2) {
                0 => ("whep/victim", OFFER),
                _ => ("whip/mutated", PUBLISHING),
            };
            let body = mutated(attack, offer);
            let status = post(attack.relay, endpoint, &body).unwrap_or(0);
            answers[usize::from(status / 100).min(5)] += 1;
        }
    }
    let [none, _, taken, _, refused, failed] = answers;
    anyhow::ensure!(failed == 0 || taken + refused > 0, "the relay answers nothing but failures");
    Ok(format!("{taken} taken, {refused} refused, {failed} of 5xx, {none} without answer, {OFFER_RATE} a second"))
}

fn mutated(attack: &mut Attack, offer: &str) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = offer.lines().map(|line| line.as_bytes().to_vec()).collect();
    for _ in 0..attack.random.random_range(1..8) {
        let place = attack.random.random_range(0..lines.len());
        match attack.random.random_range(0..5) {
            0 => {
                let line = lines[place].clone();
                lines.insert(place, line);
            }
            1 if lines.len() > 1 => {
                lines.remove(place);
            }
            2 => {
                let length = attack.random.random_range(0..=lines[place].len());
                lines[place].truncate(length);
            }
            3 => lines[place].extend(vec![b'9'; attack.random.random_range(1..400)]),
            _ => attack.random.fill_bytes(lines[place].last_chunk_mut::<1>().unwrap_or(&mut [0])),
        }
    }
    lines.join(&b"\r\n"[..])
}

/// The status of a POST.
fn post(relay: SocketAddr, endpoint: &str, body: &[u8]) -> Result<u16> {
    let mut stream = connect(ADDRESS, relay)?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let head = format!(
        "POST /{endpoint} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(std::str::from_utf8(&start[9..])?.parse()?)
}

/// Sessions that never connect, half of which are ended by DELETE.
pub(crate) fn joins(attack: &mut Attack) -> Result<String> {
    let http = HttpClient::new(None, None);
    let (mut taken, mut refused) = (Vec::new(), 0);
    let mut pace = Pace::new(JOIN_RATE, attack.duration);
    while let Some(due) = pace.due() {
        for _ in 0..due {
            match http.post(&format!("http://{}/whep/victim", attack.relay), OFFER) {
                Ok(created) => taken.push(created),
                Err(_) => refused += 1,
            }
            if taken.len() % 2 == 0
                && let Some(created) = taken.last()
            {
                let _ = http.delete(created);
            }
        }
    }
    for created in &taken {
        let _ = http.delete(created);
    }
    Ok(format!("{} sessions and {refused} refused, {JOIN_RATE} a second", taken.len()))
}
