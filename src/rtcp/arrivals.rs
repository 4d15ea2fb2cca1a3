//! Transport-wide arrival times (draft-holmer-rmcat-transport-wide-cc-extensions-01), from which a publisher estimates
//! its bandwidth. Without this feedback browsers stay at their start bit rate.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ::rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, RunLengthChunk, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc,
    SymbolTypeTcc, TransportLayerCc,
};

use crate::srtp::index;

/// From the first arrival to the feedback about it.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long an arrival is kept to be reported again when a packet before it comes late.
const KEPT: Duration = Duration::from_millis(500);

/// Packets reported in one feedback packet: with two bytes each and their status it stays below 1,200 bytes.
const MAX_REPORTED: usize = 450;

/// Sequence numbers kept; after a larger jump the numbering begins again.
const MAX_SPAN: usize = 8192;

/// Arrival times are reported in units of 250 us, the reference time in units of 64 ms (section 3.1).
const TICK: u128 = 250;
const REFERENCE: i64 = 256;

/// Arrivals of one transport. Extended sequence numbers begin at 2^16, so that an earlier packet has a number too.
pub(crate) struct Arrivals {
    start: Option<Instant>,
    /// The sequence number of the front of `times`.
    first: u64,
    /// Ticks since `start`, or `None` for a packet that has not arrived.
    times: VecDeque<Option<i64>>,
    /// The first sequence number to report next.
    next: u64,
    /// When to report; `None` while there is nothing to report.
    due: Option<Instant>,
    /// The SSRC of the latest packet; feedback must name one.
    media_ssrc: u32,
    count: u8,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self { start: None, first: 0, times: VecDeque::new(), next: 0, due: None, media_ssrc: 0, count: 0 }
    }

    pub(crate) fn on_packet(&mut self, media_ssrc: u32, sequence: u16, received: Instant) {
        let start = *self.start.get_or_insert(received);
        let ticks = (received.saturating_duration_since(start).as_micros() / TICK) as i64;
        let highest = self.first + (self.times.len() as u64).saturating_sub(1);
        let Some(sequence) = index::estimate(highest, sequence).filter(|_| !self.times.is_empty()) else {
            self.restart(u64::from(sequence) | 1 << 16);
            return self.on_packet(media_ssrc, sequence, received);
        };
        if sequence + MAX_SPAN as u64 <= self.first {
            // No network reorders that far: the sender has restarted its numbers.
            self.restart(sequence);
        }
        let Some(position) = sequence.checked_sub(self.first).map(|position| position as usize) else {
            return;
        };
        if position >= self.times.len() {
            if position - self.times.len() >= MAX_SPAN {
                self.restart(sequence);
                return self.on_packet(media_ssrc, sequence as u16, received);
            }
            self.times.resize(position + 1, None);
        }
        if self.times[position].is_some() {
            return;
        }
        self.times[position] = Some(ticks);
        // A late packet was reported as missing: report again from there.
        self.next = self.next.min(sequence);
        self.media_ssrc = media_ssrc;
        self.due.get_or_insert(received + INTERVAL);
        while self.times.len() > MAX_SPAN {
            self.forget_first();
        }
    }

    /// Whether packets carry a transport-wide sequence number.
    pub(crate) fn is_used(&self) -> bool {
        self.start.is_some()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// One feedback packet; call again until there is none.
    pub(crate) fn poll(&mut self, sender_ssrc: u32, now: Instant) -> Option<TransportLayerCc> {
        self.due.filter(|due| *due <= now)?;
        self.poll_early(sender_ssrc, now)
    }

    /// The same before it is due, to join a datagram that is sent anyway.
    pub(crate) fn poll_early(&mut self, sender_ssrc: u32, now: Instant) -> Option<TransportLayerCc> {
        self.due?;
        let feedback = self.feedback(sender_ssrc);
        if self.next == self.first + self.times.len() as u64 {
            self.due = None;
            self.forget(now);
        }
        feedback
    }

    fn feedback(&mut self, sender_ssrc: u32) -> Option<TransportLayerCc> {
        let reported = (self.next - self.first) as usize;
        let first_time = self.times.iter().skip(reported).find_map(|time| *time)?;
        let reference = first_time.div_euclid(REFERENCE);
        let (mut symbols, mut deltas) = (Vec::new(), Vec::new());
        let mut before = reference * REFERENCE;
        let mut taken = 0;
        for time in self.times.range(reported..) {
            let Some(time) = *time else {
                symbols.push(SymbolTypeTcc::PacketNotReceived);
                continue;
            };
            let delta = time - before;
            if deltas.len() == MAX_REPORTED || i16::try_from(delta).is_err() {
                break;
            }
            before = time;
            let symbol = match u8::try_from(delta) {
                Ok(_) => SymbolTypeTcc::PacketReceivedSmallDelta,
                Err(_) => SymbolTypeTcc::PacketReceivedLargeDelta,
            };
            symbols.push(symbol);
            deltas.push(RecvDelta { type_tcc_packet: symbol, delta: delta * TICK as i64 });
            taken = symbols.len();
        }
        // Packets missing behind the last arrival are reported with the next one.
        symbols.truncate(taken);
        let base = self.next;
        self.next += taken as u64;
        let count = self.count;
        self.count = count.wrapping_add(1);
        Some(TransportLayerCc {
            sender_ssrc,
            media_ssrc: self.media_ssrc,
            base_sequence_number: base as u16,
            packet_status_count: taken as u16,
            // 24 bits; it wraps after 12 days.
            reference_time: (reference & 0xff_ffff) as u32,
            fb_pkt_count: count,
            packet_chunks: chunks(&symbols),
            recv_deltas: deltas,
        })
    }

    fn restart(&mut self, sequence: u64) {
        self.times.clear();
        self.times.push_back(None);
        self.first = sequence;
        self.next = sequence;
    }

    /// Forgets arrivals that were reported and are too old to be reported again.
    fn forget(&mut self, now: Instant) {
        let Some(start) = self.start else { return };
        let age = now.saturating_duration_since(start).saturating_sub(KEPT);
        let oldest = (age.as_micros() / TICK) as i64;
        // The last one is kept: sequence numbers are extended from it.
        while self.times.len() > 1 && self.times[0].is_none_or(|time| time < oldest) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        self.times.pop_front();
        self.first += 1;
        self.next = self.next.max(self.first);
    }
}

/// The status chunks (section 3.1.2): runs where they are shorter, else vectors of 14 one-bit or 7 two-bit symbols.
fn chunks(mut symbols: &[SymbolTypeTcc]) -> Vec<PacketStatusChunk> {
    let mut chunks = Vec::new();
    while let Some(&first) = symbols.first() {
        let run = symbols.iter().take(0x1fff).take_while(|symbol| **symbol == first).count();
        let one_bit = symbols.iter().take(14).all(|symbol| *symbol != SymbolTypeTcc::PacketReceivedLargeDelta);
        let (symbol_size, vector) =
            if one_bit { (SymbolSizeTypeTcc::OneBit, 14) } else { (SymbolSizeTypeTcc::TwoBit, 7) };
        let len = if run >= vector || run == symbols.len() {
            chunks.push(PacketStatusChunk::RunLengthChunk(RunLengthChunk {
                type_tcc: StatusChunkTypeTcc::RunLengthChunk,
                packet_status_symbol: first,
                run_length: run as u16,
            }));
            run
        } else {
            let len = vector.min(symbols.len());
            chunks.push(PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
                type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
                symbol_size,
                symbol_list: symbols[..len].to_vec(),
            }));
            len
        };
        symbols = &symbols[len..];
    }
    chunks
}

#[cfg(test)]
mod tests;
