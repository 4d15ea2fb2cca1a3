//! The reception of one publisher: takes its packets, and writes the RTCP for it.

use std::time::{Duration, Instant};

use ::rtcp::receiver_report::ReceiverReport;
use ::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;

use super::arrivals::Arrivals;
use super::clocks::{PATIENCE, PATIENCE_WITHOUT_REPORTS, WallClock};
use super::compound::{Compound, description};
use super::missing::Missing;
use super::packets::{RtcpPacket, packets};
use super::reader::Reader;
use super::sender::keyframe_request;
use super::sender_clock::{Basis, SenderClock};
use super::source::{Source, Step};
use crate::srtp::index;

/// From one receiver report to the next.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The same for a publisher that reads few datagrams (RFC 3550 6.2 recommends at least 5 s).
const SELDOM: Duration = Duration::from_secs(5);

/// Octets of packets that are joined in one datagram; with what SRTCP adds it stays below 1,200.
const MAX_JOINED: usize = 1100;

/// A loss is noticed at the next packet, so frames at longer intervals than this delay the request, up to
/// `MOST_NOTICE`: at still longer intervals a late frame is not visible.
const USUAL_FRAME: Duration = Duration::from_millis(33);
const MOST_NOTICE: Duration = Duration::from_millis(50);

/// Report blocks that fit one receiver report (RFC 3550 6.4.2); the opener accepts fewer SSRCs.
const MAX_SOURCES: usize = 31;

/// The RTCP for one publisher: receiver reports each second (RFC 3550 6.4.2), NACKs after a short allowance for
/// reordering (RFC 4585 6.2.1), and transport-wide arrival times every 50 ms if packets carry numbers for them. A
/// publisher with such numbers gets all of that in one datagram; others get one packet in each datagram, because FFmpeg
/// understands a NACK only if it is alone. The state is bounded whatever a publisher sends.
pub struct Reception {
    sender_ssrc: u32,
    cname: String,
    /// At most [`MAX_SOURCES`].
    sources: Vec<Received>,
    arrivals: Arrivals,
    reader: Reader,
    /// SSRCs of which a keyframe is to be requested.
    wanted: Vec<(u32, Instant)>,
    /// What did not fit the datagram before, and when that left.
    waiting: Option<(Compound, Instant)>,
    /// `None` until something arrives.
    report_due: Option<Instant>,
    wall: WallClock,
    /// Since when an SSRC has had no clock; `None` while each has one.
    clockless: Option<Instant>,
    /// True while the arrival of packets is the clock for viewers.
    by_arrival: bool,
    tally: ReceptionCounts,
}

struct Received {
    source: Source,
    /// `None` if NACK was not negotiated.
    missing: Option<Missing>,
    /// Packets that were recovered by retransmissions on another SSRC or by copies in later packets.
    retransmitted: u64,
    /// The copies among them.
    restored: u64,
}

/// Plain counts, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReceptionCounts {
    /// Requests for missing packets, repetitions included.
    pub(crate) asked: u64,
    /// Missing packets that arrived late, by retransmission or as a copy.
    pub(crate) recovered: u64,
    /// Missing packets that were given up.
    pub(crate) given_up: u64,
}

/// How the packets of one SSRC arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quality {
    /// Packets that did not arrive and were given up.
    pub(crate) lost: u64,
    /// Packets that arrived after a request, or as copies in later ones.
    pub(crate) repaired: u64,
    /// Interarrival jitter (RFC 3550 A.8).
    pub(crate) jitter: Duration,
}

impl Reception {
    /// `sender_ssrc` and `cname` are the relay's own on this transport.
    #[must_use]
    pub fn new(sender_ssrc: u32, cname: &str) -> Self {
        Self {
            sender_ssrc,
            cname: cname.to_owned(),
            sources: Vec::new(),
            arrivals: Arrivals::new(),
            reader: Reader::new(),
            wanted: Vec::new(),
            waiting: None,
            report_due: None,
            wall: WallClock::default(),
            clockless: None,
            by_arrival: false,
            tally: ReceptionCounts::default(),
        }
    }

    /// Begins to keep statistics of an SSRC; packets of other SSRCs count for the transport only. `clock_rate` is in
    /// ticks per second; `nack`: missing packets are requested. A known SSRC, or a 32nd, has no effect.
    pub fn add_source(&mut self, ssrc: u32, clock_rate: u32, nack: bool) {
        if self.position(ssrc).is_none() && self.sources.len() < MAX_SOURCES {
            let source = Received {
                source: Source::new(ssrc, clock_rate),
                missing: nack.then(Missing::new),
                retransmitted: 0,
                restored: 0,
            };
            self.sources.push(source);
        }
    }

    /// An authentic packet arrived that carries this transport-wide sequence number, whatever becomes of it: also one
    /// of an SSRC that has no statistics.
    pub fn on_transport_sequence(&mut self, ssrc: u32, sequence: u16, received: Instant) {
        self.reader.on_transport_sequence();
        // Feedback names an SSRC that has statistics, as soon as there is one: a sender takes no other for its own.
        let known = self.position(ssrc).or_else(|| self.sources.len().checked_sub(1));
        let named = known.map_or(ssrc, |position| self.sources[position].source.ssrc);
        self.arrivals.on_packet(named, sequence, received);
    }

    /// An authentic packet of the media arrived. `index` is its extended sequence number.
    pub fn on_packet(&mut self, ssrc: u32, index: u64, timestamp: u32, received: Instant) {
        let Some(position) = self.position(ssrc) else { return };
        let Received { source, missing, .. } = &mut self.sources[position];
        self.report_due.get_or_insert(received + REPORT_INTERVAL);
        let (highest_before, timestamp_before) = (source.highest(), source.timestamp());
        let step = source.on_packet(index, timestamp, received);
        if timestamp_before != Some(timestamp) && !matches!(step, Step::Behind) {
            self.reader.on_frame(received);
        }
        let Some(missing) = missing else { return };
        match (step, highest_before) {
            (Step::Behind, _) => {
                let repaired = missing.repaired();
                self.tally.recovered += u64::from(missing.on_late(index, received));
                if missing.repaired() > repaired {
                    self.reader.on_answer(received);
                }
            }
            (Step::Ahead(before), _) | (Step::Next, Some(before)) => missing.on_highest(before, index, received),
            (Step::Next, None) => missing.on_first(index, received),
        }
    }

    /// A retransmission (RFC 4588) contained the packet of `ssrc` with this sequence number: returns its index, or
    /// `None` if it has arrived before or was given up.
    pub(crate) fn recover(&mut self, ssrc: u32, sequence: u16, received: Instant) -> Option<u64> {
        let position = self.position(ssrc)?;
        let Received { source, missing, retransmitted, .. } = &mut self.sources[position];
        let index = index::estimate(source.highest()?, sequence)?;
        let recovered = missing.as_mut()?.on_late(index, received);
        if recovered {
            self.reader.on_answer(received);
        }
        self.tally.recovered += u64::from(recovered);
        *retransmitted += u64::from(recovered);
        recovered.then_some(index)
    }

    /// A copy in a later packet (RFC 2198) replaces the packet with this index, which is not requested any more.
    pub(crate) fn restore(&mut self, ssrc: u32, index: u64) {
        let Some(position) = self.position(ssrc) else { return };
        let Received { missing, retransmitted, restored, .. } = &mut self.sources[position];
        if let Some(missing) = missing {
            missing.forget(index);
        }
        *retransmitted += 1;
        *restored += 1;
        self.tally.recovered += 1;
    }

    /// Ends the statistics of an SSRC, and returns them; later packets under it are another RTP stream.
    pub(crate) fn forget_source(&mut self, ssrc: u32) -> Option<Quality> {
        let quality = self.quality(ssrc)?;
        let received = self.sources.swap_remove(self.position(ssrc)?);
        self.wanted.retain(|(wanted, _)| *wanted != ssrc);
        self.tally.given_up += received.missing.map_or(0, |missing| missing.given_up());
        Some(quality)
    }

    /// When the packet with the highest index of this SSRC arrived.
    #[must_use]
    pub(crate) fn heard(&self, ssrc: u32) -> Option<Instant> {
        self.sources[self.position(ssrc)?].source.heard()
    }

    /// Packets of this SSRC that were requested for the first time since the last call, and how long a repair takes
    /// from the first request on if the second is answered. `None` for an SSRC that is not known or has no NACK.
    pub(crate) fn take_losses(&mut self, ssrc: u32) -> Option<(u64, Duration)> {
        let position = self.position(ssrc)?;
        let missing = self.sources[position].missing.as_mut()?;
        let notice = self.reader.interval().unwrap_or_default().saturating_sub(USUAL_FRAME).min(MOST_NOTICE);
        Some((missing.take_lost(), missing.repair_time() + notice))
    }

    /// Reads sender reports about known SSRCs from a compound of the publisher. Everything else has no effect.
    pub fn on_rtcp(&mut self, compound: &[u8], received: Instant) {
        for packet in packets(compound) {
            if let RtcpPacket::SenderReport { ssrc, ntp, rtp, .. } = packet {
                self.on_sender_report(ssrc, SenderClock { ntp, rtp, received, basis: Basis::Report });
            }
        }
    }

    fn on_sender_report(&mut self, ssrc: u32, clock: SenderClock) {
        let Some(position) = self.position(ssrc) else { return };
        let source = &mut self.sources[position].source;
        // RFC 3550 6.4.1: a sender without a wall clock sends 0.
        source.has_no_clock = clock.ntp == 0;
        source.clock = (!source.has_no_clock).then_some(clock);
        source.for_viewers = source.clock.map(|clock| self.wall.read(clock, source.moment(clock)));
        source.is_news = source.for_viewers.is_some();
        self.settle_clocks(clock.received);
    }

    /// Decides which clock all SSRCs have for viewers.
    fn settle_clocks(&mut self, now: Instant) {
        let mut sources =
            self.sources.iter().map(|received| &received.source).filter(|source| source.heard().is_some());
        if sources.clone().all(|source| source.clock.is_some()) {
            if std::mem::take(&mut self.by_arrival) {
                for Received { source, .. } in &mut self.sources {
                    source.for_viewers = source.clock.map(|clock| self.wall.read(clock, source.moment(clock)));
                    source.is_news = true;
                }
            }
            self.clockless = None;
            return;
        }
        let since = *self.clockless.get_or_insert(now);
        let patience = if self.wall.is_known() { PATIENCE } else { PATIENCE_WITHOUT_REPORTS };
        self.by_arrival |=
            sources.any(|source| source.has_no_clock) || now.saturating_duration_since(since) >= patience;
        if self.by_arrival {
            for Received { source, .. } in &mut self.sources {
                source.for_viewers = source.soonest().map(|packet| self.wall.by_arrival(packet));
                source.is_news = true;
            }
        }
    }

    /// The clock of this SSRC for viewers.
    #[must_use]
    pub fn clock(&self, ssrc: u32) -> Option<SenderClock> {
        self.sources[self.position(ssrc)?].source.for_viewers
    }

    /// The same, if it has changed since the last call.
    pub(crate) fn take_clock(&mut self, ssrc: u32) -> Option<SenderClock> {
        let position = self.position(ssrc)?;
        let source = &mut self.sources[position].source;
        if std::mem::take(&mut source.is_news) { source.for_viewers } else { None }
    }

    /// The publisher was sent a datagram that did not come from [`Self::poll`], such as the answer to its STUN check.
    pub(crate) fn on_sent(&mut self, now: Instant) {
        self.reader.on_sent(now);
    }

    /// Makes [`Self::poll`] request a keyframe of this SSRC.
    pub(crate) fn request_keyframe(&mut self, ssrc: u32, now: Instant) {
        if self.wanted.len() < MAX_SOURCES && self.wanted.iter().all(|(wanted, _)| *wanted != ssrc) {
            self.wanted.push((ssrc, now));
        }
    }

    /// When [`Self::poll`] will have something; `None` while nothing is pending.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let nacks = self.sources.iter().filter_map(|source| source.missing.as_ref()?.poll_timeout());
        let left = self.wanted.iter().map(|(_, since)| *since).chain(self.waiting.as_ref().map(|(_, since)| *since));
        let requests = nacks.chain(self.arrivals.poll_timeout()).chain(left);
        let requests = requests.min().map(|due| self.reader.ready(due));
        let report = self.report_due.map(|due| self.reader.ready_for_report(due));
        requests.into_iter().chain(report).min()
    }

    /// The next datagram that is due; call again until there is none. A publisher with transport-wide numbers gets
    /// everything in one datagram, as far as it fits.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Compound> {
        if self.reader.ready(now) > now {
            return None;
        }
        let mut compound = self.waiting.take().map(|(compound, _)| compound).or_else(|| self.poll_one(now))?;
        while self.arrivals.is_used() {
            let Some(mut next) = self.poll_one(now).or_else(|| self.poll_arrivals_early(now)) else { break };
            if size(&compound) + size(&next) > MAX_JOINED {
                self.waiting = Some((next, now));
                break;
            }
            // Reports come first (RFC 3550 6.1).
            let in_front = next.iter().any(|packet| packet.as_any().is::<ReceiverReport>());
            if in_front {
                std::mem::swap(&mut next, &mut compound);
            }
            compound.append(&mut next);
        }
        self.reader.on_sent(now);
        Some(compound)
    }

    fn poll_arrivals_early(&mut self, now: Instant) -> Option<Compound> {
        let feedback = self.arrivals.poll_early(self.sender_ssrc, now)?;
        Some(vec![Box::new(feedback)])
    }

    fn poll_one(&mut self, now: Instant) -> Option<Compound> {
        // 1. NACKs: their delay is added to the delay of every viewer.
        for Received { source, missing, .. } in &mut self.sources {
            let nacks = missing.as_mut().map(|missing| missing.poll(now)).unwrap_or_default();
            if !nacks.is_empty() {
                self.tally.asked += nacks.iter().map(|pair| pair.into_iter().count() as u64).sum::<u64>();
                let nack = TransportLayerNack { sender_ssrc: self.sender_ssrc, media_ssrc: source.ssrc, nacks };
                return Some(vec![Box::new(nack)]);
            }
        }
        // 2. Keyframe requests.
        if let Some((ssrc, _)) = self.wanted.pop() {
            return Some(keyframe_request(self.sender_ssrc, ssrc));
        }
        // 3. Arrival times: the publisher's bandwidth estimator waits for them.
        if let Some(feedback) = self.arrivals.poll(self.sender_ssrc, now) {
            return Some(vec![Box::new(feedback)]);
        }
        // 4. Statistics.
        self.report_due.filter(|due| self.reader.ready_for_report(*due) <= now)?;
        self.settle_clocks(now);
        let reports: Vec<_> = self.sources.iter_mut().filter_map(|received| received.source.report(now)).collect();
        let interval = if self.reader.is_slow() { SELDOM } else { REPORT_INTERVAL };
        // Without packets there is nothing to report.
        self.report_due = (!reports.is_empty()).then_some(now + interval);
        self.report_due?;
        let report = ReceiverReport { ssrc: self.sender_ssrc, reports, ..ReceiverReport::default() };
        Some(vec![Box::new(report), description(self.sender_ssrc, &self.cname)])
    }

    /// How the packets of this SSRC arrive.
    #[must_use]
    pub(crate) fn quality(&self, ssrc: u32) -> Option<Quality> {
        let Received { source, missing, retransmitted, restored } = &self.sources[self.position(ssrc)?];
        let waited_for = missing.as_ref().map_or(0, |missing| missing.len() as u64);
        Some(Quality {
            lost: source.lost().saturating_sub(retransmitted + waited_for),
            repaired: restored + missing.as_ref().map_or(0, Missing::repaired),
            jitter: source.jitter(),
        })
    }

    /// Counts since the session began.
    #[must_use]
    pub(crate) fn tally(&self) -> ReceptionCounts {
        let given_up: u64 = self.sources.iter().filter_map(|source| Some(source.missing.as_ref()?.given_up())).sum();
        ReceptionCounts { given_up: self.tally.given_up + given_up, ..self.tally }
    }

    fn position(&self, ssrc: u32) -> Option<usize> {
        self.sources.iter().position(|received| received.source.ssrc == ssrc)
    }
}

fn size(compound: &Compound) -> usize {
    compound.iter().map(|packet| packet.marshal_size()).sum()
}

#[cfg(test)]
mod tests;
