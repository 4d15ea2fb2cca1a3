//! What one viewer receives: packets are counted by their clear header and, for a few viewers, decrypted.

use std::time::{Duration, Instant};

use ::rtcp::reception_report::ReceptionReport;

use super::payload;
use super::payload::Contents;
use super::shown::Shown;
use crate::srtp::Opener;
use crate::srtp::index::ReceivedIndices;

/// Delays kept per viewer; more would not change the distribution.
const MAX_DELAYS: usize = 4_000_000;

/// One RTP stream as it arrives.
#[derive(Default)]
pub(crate) struct ReceivedStream {
    ssrc: Option<u32>,
    rtx_ssrc: Option<u32>,
    received: Option<ReceivedIndices>,
    /// When the first packet arrived.
    pub(crate) began: Option<Instant>,
    /// What arrived since counting began.
    pub(crate) counted: Counted,
    /// The first counted number.
    counted_from: u64,
    reported: Reported,
    sample: Option<Sample>,
}

/// Packet numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Distinct packets of the media's SSRC.
    pub(crate) packets: u64,
    /// Packets that had arrived before, or are too old to know.
    pub(crate) repeated: u64,
    /// Packets of the SSRC of its retransmissions: resends and padding.
    pub(crate) resent: u64,
    /// Packets of other SSRCs.
    pub(crate) stray: u64,
}

/// Decrypts packets.
#[derive(Default)]
struct Sample {
    opener: Option<Opener>,
    opened: Measured,
}

/// What it measured since counting began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Packets that could not be decrypted or differ from what the publisher sent.
    pub(crate) damaged: u64,
    /// From sending by the publisher to reception by the kernel, in microseconds.
    pub(crate) delays: Vec<u32>,
    /// The layers of the packets.
    pub(crate) shown: Shown,
}

/// What receiver reports have covered so far.
#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    first_index: u64,
    expected: u64,
    packets: u64,
    packets_in_report: u64,
}

impl ReceivedStream {
    /// Counts an RTP stream with this SSRC, or with the first that arrives if the answer named none. `rtx_ssrc` is that of
    /// its retransmissions.
    pub(crate) fn new(ssrc: Option<u32>, rtx_ssrc: Option<u32>, is_sample: bool) -> Self {
        Self { ssrc, rtx_ssrc, sample: is_sample.then(Sample::default), ..Self::default() }
    }

    /// The counted SSRC.
    pub(crate) fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    /// Makes this viewer decrypt its packets.
    pub(crate) fn open_with(&mut self, opener: impl FnOnce() -> Opener) {
        if let Some(sample) = &mut self.sample {
            sample.opener = Some(opener());
        }
    }

    /// Resets the counts.
    pub(crate) fn begin_counting(&mut self) {
        self.counted = Counted::default();
        self.counted_from = self.behind();
        if let Some(sample) = &mut self.sample {
            let mut shown = sample.opened.shown;
            shown.begin_counting();
            sample.opened = Measured { shown, ..Measured::default() };
        }
    }

    /// How many packets the RTP stream had since counting began, judging by its numbers: all that can be known of
    /// another client's stream.
    pub(crate) fn len(&self) -> u64 {
        self.behind() - self.counted_from
    }

    /// What it measured, if it decrypts.
    pub(crate) fn opened(&self) -> Option<&Measured> {
        self.sample.as_ref().map(|sample| &sample.opened)
    }

    /// Takes an SRTP packet that the kernel received `at` this time since the Unix epoch.
    pub(crate) fn take(&mut self, datagram: &mut [u8], at: Duration, now: Instant) {
        let &mut [_, _, high, low, _, _, _, _, s0, s1, s2, s3, ..] = datagram else { return };
        let ssrc = u32::from_be_bytes([s0, s1, s2, s3]);
        if self.rtx_ssrc == Some(ssrc) {
            self.counted.resent += 1;
            return;
        }
        if *self.ssrc.get_or_insert(ssrc) != ssrc {
            self.counted.stray += 1;
            return;
        }
        let sequence = u16::from_be_bytes([high, low]);
        let Some(received) = &mut self.received else {
            self.began = Some(now);
            self.received = Some(ReceivedIndices::begin(u64::from(sequence)));
            (self.reported.first_index, self.counted_from) = (u64::from(sequence), u64::from(sequence));
            return self.count(datagram, at);
        };
        match received.admit(sequence) {
            Some(index) => {
                received.accept(index);
                self.count(datagram, at);
            }
            None => self.counted.repeated += 1,
        }
    }

    /// Reception since the previous report (RFC 3550 6.4.2, A.3).
    pub(crate) fn report(&mut self) -> Option<ReceptionReport> {
        let highest = self.received.as_ref()?.highest();
        let reported = &mut self.reported;
        let expected = (highest + 1).saturating_sub(reported.first_index);
        let newly_expected = expected - reported.expected;
        let newly_lost = newly_expected.saturating_sub(reported.packets - reported.packets_in_report);
        (reported.expected, reported.packets_in_report) = (expected, reported.packets);
        Some(ReceptionReport {
            ssrc: self.ssrc?,
            fraction_lost: (newly_lost * 256).checked_div(newly_expected).unwrap_or(0).min(255) as u8,
            total_lost: expected.saturating_sub(reported.packets).min(0x7f_ffff) as u32,
            // RFC 3550 6.4.1: the number with its rollovers, in 32 bits.
            last_sequence_number: highest as u32,
            ..Default::default()
        })
    }

    fn count(&mut self, datagram: &mut [u8], at: Duration) {
        self.counted.packets += 1;
        self.reported.packets += 1;
        if let Some(sample) = &mut self.sample {
            sample.open(datagram, at);
        }
    }

    /// The number after the highest.
    fn behind(&self) -> u64 {
        self.received.as_ref().map_or(0, |received| received.highest() + 1)
    }
}

impl Sample {
    fn open(&mut self, datagram: &mut [u8], at: Duration) {
        let Some(opener) = &mut self.opener else { return };
        let read = opener.open(datagram).ok().and_then(|opened| payload::read(&datagram[opened.payload]));
        let Some(Contents { size: (width, _), sent, .. }) = read else {
            self.opened.damaged += 1;
            return;
        };
        let is_last = datagram[1] & 0x80 != 0;
        self.opened.shown.take(width, is_last, at);
        if self.opened.delays.len() < MAX_DELAYS {
            let delay = at.saturating_sub(sent).as_micros();
            self.opened.delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::payload::{Contents, Part};
    use crate::srtp::{MasterKey, Sealer, SrtpProfile};

    fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 96];
        packet.extend(sequence.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(ssrc.to_be_bytes());
        packet.resize(100, 0);
        packet
    }

    fn take(line: &mut ReceivedStream, ssrc: u32, sequence: u16) {
        line.take(&mut packet(ssrc, sequence), Duration::ZERO, Instant::now());
    }

    #[test]
    fn counts_each_packet_of_its_ssrc_once_across_the_wrap() {
        let mut line = ReceivedStream::new(Some(7), Some(9), false);
        for sequence in [65_534, 65_535, 0, 0, 2] {
            take(&mut line, 7, sequence);
        }
        take(&mut line, 8, 3);
        take(&mut line, 9, 3);
        assert_eq!(line.counted, Counted { packets: 4, repeated: 1, resent: 1, stray: 1 });
        assert_eq!(line.len(), 5);
        line.begin_counting();
        take(&mut line, 7, 3);
        assert_eq!((line.counted.packets, line.len()), (1, 1));
    }

    #[test]
    fn reports_what_was_lost_since_the_report_before() {
        let mut line = ReceivedStream::new(None, None, false);
        assert_eq!(line.report(), None);
        for sequence in [10, 11, 13] {
            take(&mut line, 7, sequence);
        }
        let report = line.report().unwrap();
        assert_eq!((report.fraction_lost, report.total_lost, report.last_sequence_number), (64, 1, 13));
        take(&mut line, 7, 14);
        assert_eq!(line.report().map(|report| (report.fraction_lost, report.total_lost)), Some((0, 1)));
    }

    #[test]
    fn the_sample_knows_when_a_packet_was_sent_and_whether_it_is_whole() {
        let key = MasterKey { profile: SrtpProfile::Aes128Gcm, key: [1; 16], salt: [2; 14] };
        let mut sealer = Sealer::new(&key);
        let mut line = ReceivedStream::new(Some(7), None, true);
        line.open_with(|| Opener::new(&key));
        for sequence in 1..=2 {
            let mut packet = packet(7, sequence);
            let contents = Contents { size: (640, 360), number: 5, sent: Duration::from_millis(1000) };
            payload::write(&mut packet[12..], Part::Start, contents);
            packet[99] ^= u8::from(sequence == 2);
            packet.resize(116, 0);
            sealer.seal(&mut packet, 12, 100, u64::from(sequence)).unwrap();
            line.take(&mut packet, Duration::from_millis(1002), Instant::now());
        }
        let opened = line.opened().unwrap();
        assert_eq!((opened.damaged, opened.delays.as_slice(), opened.shown.width), (1, &[2000][..], Some(640)));
    }
}
