//! The DTLS handshake of one session before webrtc-rs: which datagrams pass, within which budget, in which shape.
//!
//! webrtc-rs reassembles recursively, queues without a bound and keeps every fragment that it no longer needs. The
//! rule: until a session is connected, at most 64 KiB pass in each direction, at most 200 records and fragments pass
//! from the client, no message in more than 32 fragments, and a ClientHello only as one record. Alerts in clear, which
//! anybody can write, are not counted. Once the session is connected, encrypted data passes uncounted, and everything
//! else is stale or forged (RFC 6347 4.1.2.7) and is refused; a handshake record among it may mean that our last flight
//! was lost.

use std::time::{Duration, Instant};

use super::client_hello::{Reassembly, SrtpProfiles};
use super::flight::Flight;
use super::record::{DtlsRecord, HandshakeFragment, Malformed};
use crate::dtls;
use crate::five_tuple::FiveTuple;
use crate::reason::DropReason;

/// Bytes of handshake in each direction; a whole handshake takes 3 to 6 KiB. Above it the session ends.
const MAX_BYTES: usize = 64 * 1_024;

/// Records and handshake fragments of the client together. Above it the session ends.
const MAX_RECORDS: u32 = 200;

/// Fragments of one message with all repetitions: Chromium repeats a ClientHello of two fragments 8 times in 10 s.
const MAX_FRAGMENTS: u8 = 32;

/// Messages of the client, numbered from 0; a client's side of a handshake ends below 8.
const MAX_MESSAGES: usize = 32;

/// Datagrams of a connected client with records of a handshake that are no fault: it repeats its last flight while ours
/// is late or lost, and answers each repetition of ours.
const MAX_REPEATED: u8 = 16;

/// Bytes of a ClientHello; a post-quantum one takes 1,500.
const MAX_HELLO: usize = 8 * 1_024;

/// What becomes of a datagram.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum HandshakeVerdict {
    /// Give the datagram to the peer, or what is here instead of it.
    Pass(Option<Vec<u8>>),
    /// The first complete ClientHello, in one record.
    Hello(SrtpProfiles, Vec<u8>),
    /// A piece of a ClientHello whose rest is missing, or a ClientHello that the peer already has.
    Hold,
    /// Encrypted data of a connected session. `beside`: other records of the datagram are refused.
    Data { beside: bool },
    /// Not for the peer: after the handshake, nothing but records in clear.
    Clear {
        /// With a handshake record.
        is_handshake: bool,
        /// Of handshake records and ChangeCipherSpec alone.
        is_flight: bool,
    },
    /// Not for the peer for another reason.
    Refuse(DropReason),
}

/// The five-tuples that a handshake went over. A client that answers from an address to which the whole handshake was
/// sent receives there; a client that mixes addresses may have forged one of them.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum PathsTaken {
    None,
    One(FiveTuple),
    Several { latest: FiveTuple },
}

/// The state of one session's handshake.
pub(crate) struct Handshake {
    bytes_in: usize,
    bytes_out: usize,
    records: u32,
    fragments: [u8; MAX_MESSAGES],
    /// The highest message number received; a higher one answers our flight.
    newest: Option<u16>,
    reassembly: Option<Reassembly>,
    /// The number of the ClientHello that the peer has.
    delivered: Option<u16>,
    flight: Option<Flight>,
    /// How long the client took to answer our previous flight: the round-trip time and its own work.
    answer_time: Duration,
    paths_taken: PathsTaken,
    connected: bool,
    /// Datagrams after the handshake that may repeat the client's last flight, up to [`MAX_REPEATED`].
    repeated: u8,
}

impl Handshake {
    /// A handshake that has not begun.
    pub(crate) fn new() -> Handshake {
        Handshake {
            bytes_in: 0,
            bytes_out: 0,
            records: 0,
            fragments: [0; MAX_MESSAGES],
            newest: None,
            reassembly: None,
            delivered: None,
            flight: None,
            answer_time: Duration::ZERO,
            paths_taken: PathsTaken::None,
            connected: false,
            repeated: 0,
        }
    }

    /// The five-tuples that it went over so far.
    pub(crate) fn paths_taken(&self) -> PathsTaken {
        self.paths_taken
    }

    /// DTLS has completed: frees the reassembly.
    pub(crate) fn connect(&mut self) {
        self.connected = true;
        self.reassembly = None;
    }

    /// Decides about a datagram from a claimed path of this session.
    pub(crate) fn receive(&mut self, path: FiveTuple, datagram: &[u8], now: Instant) -> HandshakeVerdict {
        if self.connected {
            return receive_connected(datagram);
        }
        let before = self.newest;
        let Ok(survey) = Survey::of(datagram) else {
            return HandshakeVerdict::Refuse(DropReason::SpoofedDtls);
        };
        // The peer keeps their description for the log, and does nothing else with them.
        if survey.is_alert {
            return HandshakeVerdict::Pass(None);
        }
        if !self.spend(datagram.len(), &survey) {
            return HandshakeVerdict::Refuse(DropReason::Flood);
        }
        if (self.newest > before || survey.is_ciphered)
            && let Some(flight) = self.flight.take()
        {
            self.answer_time = flight.age(now);
        }
        let verdict = match survey.has_hello {
            true => self.receive_hello(&survey),
            false => HandshakeVerdict::Pass(None),
        };
        // A refused datagram proves nothing about its path.
        if !matches!(verdict, HandshakeVerdict::Refuse(_)) {
            self.follow(path);
        }
        verdict
    }

    /// Counts a datagram that the peer sends to `path`, and keeps it if it belongs to a flight. False if the budget of
    /// the handshake is spent: do not send it.
    pub(crate) fn send(&mut self, path: FiveTuple, datagram: &[u8], now: Instant) -> bool {
        let is_flight = matches!(datagram.first(), Some(&(dtls::CHANGE_CIPHER_SPEC | dtls::HANDSHAKE)));
        if !is_flight {
            return true;
        }
        self.bytes_out += datagram.len();
        if !self.connected {
            if self.bytes_out > MAX_BYTES {
                return false;
            }
            self.follow(path);
        }
        match &mut self.flight {
            Some(flight) => flight.push(path, datagram, now),
            None => self.flight = Some(Flight::new(path, datagram, self.answer_time, now)),
        }
        true
    }

    /// Authentic data or media shows that the client has our last flight: stops repeating it.
    pub(crate) fn settle(&mut self) {
        self.flight = None;
    }

    /// Takes one of the client's repetitions of its last flight that are no fault; false if there were too many.
    pub(crate) fn take_repeated(&mut self) -> bool {
        let is_expected = self.repeated < MAX_REPEATED;
        self.repeated += u8::from(is_expected);
        is_expected
    }

    /// When to repeat the flight.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.flight.as_ref().and_then(Flight::poll_timeout)
    }

    /// Sends the flight again when that is due and within the budget.
    pub(crate) fn poll_repeat(&mut self, now: Instant, send: impl FnMut(FiveTuple, &[u8])) {
        let repeat = self.flight.as_mut().and_then(|flight| flight.poll(now));
        repeat_within(&mut self.bytes_out, repeat, send);
    }

    /// Sends the flight again because the client has repeated its own.
    pub(crate) fn echo(&mut self, now: Instant, send: impl FnMut(FiveTuple, &[u8])) {
        let is_last = self.connected;
        let repeat = self.flight.as_mut().and_then(|flight| flight.echo(is_last, now));
        repeat_within(&mut self.bytes_out, repeat, send);
    }

    fn follow(&mut self, path: FiveTuple) {
        self.paths_taken = match self.paths_taken {
            PathsTaken::None => PathsTaken::One(path),
            PathsTaken::One(known) if known == path => self.paths_taken,
            PathsTaken::One(_) | PathsTaken::Several { .. } => PathsTaken::Several { latest: path },
        };
    }

    /// Counts the datagram; false if the budget is exceeded.
    fn spend(&mut self, length: usize, survey: &Survey<'_>) -> bool {
        self.bytes_in += length;
        self.records += survey.records;
        if self.bytes_in > MAX_BYTES || self.records > MAX_RECORDS {
            return false;
        }
        for (_, fragment) in &survey.fragments {
            let Some(count) = self.fragments.get_mut(usize::from(fragment.message_sequence)) else {
                return false;
            };
            *count += 1;
            if *count > MAX_FRAGMENTS {
                return false;
            }
            self.newest = self.newest.max(Some(fragment.message_sequence));
        }
        true
    }

    fn receive_hello(&mut self, survey: &Survey<'_>) -> HandshakeVerdict {
        let mut whole = None;
        for (record, fragment) in &survey.fragments {
            if fragment.message_type != dtls::CLIENT_HELLO || fragment.length > MAX_HELLO {
                return HandshakeVerdict::Refuse(DropReason::SpoofedDtls);
            }
            let reassembly = match &mut self.reassembly {
                Some(reassembly) if reassembly.fits(fragment) => reassembly,
                other => other.insert(Reassembly::new(record, fragment)),
            };
            reassembly.push(fragment);
            let Some(message) = reassembly.finish(fragment) else {
                continue;
            };
            let profiles = SrtpProfiles::of(reassembly.message());
            self.reassembly = None;
            let Some(profiles) = profiles else {
                return HandshakeVerdict::Refuse(DropReason::SpoofedDtls);
            };
            whole = Some((fragment.message_sequence, profiles, message));
        }
        let Some((number, profiles, message)) = whole else {
            return HandshakeVerdict::Hold;
        };
        // webrtc-rs stops its own repetitions when it gets the same ClientHello again, so it gets each one once.
        if self.delivered == Some(number) && self.flight.is_some() {
            return HandshakeVerdict::Hold;
        }
        if self.delivered.replace(number).is_some() {
            return HandshakeVerdict::Pass((!survey.is_plain_hello).then_some(message));
        }
        HandshakeVerdict::Hello(profiles, message)
    }
}

fn repeat_within(
    bytes_out: &mut usize,
    repeat: Option<(FiveTuple, &[Vec<u8>])>,
    mut send: impl FnMut(FiveTuple, &[u8]),
) {
    let Some((path, datagrams)) = repeat else {
        return;
    };
    for datagram in datagrams {
        *bytes_out += datagram.len();
        if *bytes_out > MAX_BYTES {
            return;
        }
        send(path, datagram);
    }
}

/// Decides about a datagram of a session whose handshake is done.
fn receive_connected(datagram: &[u8]) -> HandshakeVerdict {
    let (mut has_data, mut has_handshake, mut has_change, mut has_other, mut is_whole) =
        (false, false, false, false, true);
    for record in dtls::records(datagram) {
        match record {
            Ok(record) if record.is_sealed_data() => has_data = true,
            Ok(record) if record.content_type == dtls::HANDSHAKE => has_handshake = true,
            Ok(record) if record.content_type == dtls::CHANGE_CIPHER_SPEC => has_change = true,
            Ok(_) => has_other = true,
            Err(Malformed) => is_whole = false,
        }
    }
    match () {
        () if has_data => HandshakeVerdict::Data { beside: has_handshake || has_change || has_other || !is_whole },
        () if !is_whole => HandshakeVerdict::Refuse(DropReason::SpoofedDtls),
        () => HandshakeVerdict::Clear { is_handshake: has_handshake, is_flight: !has_other },
    }
}

/// What a datagram of a handshake contains.
struct Survey<'a> {
    /// Records, without alerts in clear, and handshake fragments in clear.
    records: u32,
    /// True if all records are alerts in clear.
    is_alert: bool,
    has_hello: bool,
    /// True for one record with one complete ClientHello, which needs no rewriting.
    is_plain_hello: bool,
    /// True for an encrypted record or a ChangeCipherSpec, which a client sends once it has derived keys.
    is_ciphered: bool,
    /// The handshake fragments in clear, each with its record.
    fragments: Vec<(DtlsRecord<'a>, HandshakeFragment<'a>)>,
}

impl<'a> Survey<'a> {
    fn of(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let mut survey = Survey {
            records: 0,
            is_alert: true,
            has_hello: false,
            is_plain_hello: false,
            is_ciphered: false,
            fragments: Vec::new(),
        };
        let mut whole = true;
        for record in dtls::records(datagram) {
            let record = record?;
            if record.clear_alert().is_some() {
                continue;
            }
            survey.is_alert = false;
            survey.is_ciphered |= !record.is_clear() || record.content_type == dtls::CHANGE_CIPHER_SPEC;
            survey.records += 1;
            if record.content_type != dtls::HANDSHAKE || !record.is_clear() {
                continue;
            }
            for fragment in dtls::fragments(record) {
                let fragment = fragment?;
                survey.fragments.push((record, fragment));
                whole &= fragment.body.len() == fragment.length;
                survey.has_hello |= fragment.message_type == dtls::CLIENT_HELLO;
            }
        }
        survey.is_plain_hello = survey.has_hello && survey.records == 1 && survey.fragments.len() == 1 && whole;
        survey.records += survey.fragments.len() as u32;
        Ok(survey)
    }
}
