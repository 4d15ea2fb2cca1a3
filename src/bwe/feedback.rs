//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1), read in place.
//!
//! The rule: malformed feedback is refused as a whole, before any packet of it is returned, and reading costs no more
//! than the packets that it can name. A chunk often covers more numbers than the status count has left; those are left
//! out.

/// Packets that one feedback may name. Receivers report every 50 to 250 ms; with more the sender has forgotten the
/// first ones, and a chunk of two octets could name 8,191.
const MAX_COUNT: u16 = 8192;

/// The header of the RTCP packet, two SSRCs, and the fixed part of the feedback.
const HEADER: usize = 20;

/// Feedback about some consecutive transport-wide sequence numbers.
#[derive(Clone, Copy, Debug)]
pub struct Feedback<'a> {
    base: u16,
    count: u16,
    reference: u32,
    /// The chunks that cover the count.
    chunks: &'a [[u8; 2]],
    /// The arrival times of the packets that arrived, as many octets as these take.
    deltas: &'a [u8],
}

impl<'a> Feedback<'a> {
    /// Reads one RTCP packet, from its header to its end (payload type 205, format 15). `None` if it is something else
    /// or malformed: chunks that end before the status count is covered, a run of no packets, missing arrival times.
    pub fn parse(packet: &'a [u8]) -> Option<Self> {
        let [first, kind, length @ ..] = *packet.first_chunk::<4>()?;
        if first & 0xdf != 0x8f || kind != 205 {
            return None;
        }
        let packet = packet.get(..4 * (usize::from(u16::from_be_bytes(length)) + 1))?;
        let (header, body) = packet.split_first_chunk::<HEADER>()?;
        let base = u16::from_be_bytes([header[12], header[13]]);
        let count = u16::from_be_bytes([header[14], header[15]]);
        let reference = u32::from_be_bytes([0, header[16], header[17], header[18]]);
        if count > MAX_COUNT {
            return None;
        }

        let (words, _) = body.as_chunks::<2>();
        let (mut left, mut octets, mut chunks) = (count, 0, 0);
        while left > 0 {
            let chunk = Chunk::read(*words.get(chunks)?);
            // It would go on for ever.
            if chunk.length == 0 {
                return None;
            }
            let counted = chunk.length.min(left);
            octets += chunk.octets_of_deltas(counted);
            left -= counted;
            chunks += 1;
        }
        let deltas = body.get(2 * chunks..)?.get(..octets)?;
        Some(Self { base, count, reference, chunks: &words[..chunks], deltas })
    }

    /// The reference time, 24 bits in units of 64 ms, from which the arrivals count.
    pub(crate) fn reference(&self) -> u32 {
        self.reference
    }

    /// Each number with its arrival since the reference time in units of 250 us, or `None` for a packet that has not
    /// arrived.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, Option<i32>)> + use<'a> {
        let Self { base, count, chunks, deltas, .. } = *self;
        Statuses { next: base, left: count, chunks, chunk: Chunk::EMPTY, deltas, arrival: 0 }
    }
}

/// Symbols of packets: 0 has not arrived, 1 has a time of one octet, 2 of two octets with a sign, 3 is reserved.
#[derive(Clone, Copy)]
struct Chunk {
    /// The symbols that are left, the next one in the upper bits. A run is one symbol, which stays.
    symbols: u16,
    /// Bits that a symbol takes; 0 in a run.
    width: u16,
    length: u16,
}

impl Chunk {
    const EMPTY: Self = Self { symbols: 0, width: 0, length: 0 };

    fn read(octets: [u8; 2]) -> Self {
        let word = u16::from_be_bytes(octets);
        match word >> 14 {
            0b10 => Self { symbols: word << 2, width: 1, length: 14 },
            0b11 => Self { symbols: word << 2, width: 2, length: 7 },
            _ => Self { symbols: word << 1, width: 0, length: word & 0x1fff },
        }
    }

    fn next(&mut self) -> u16 {
        let symbol = if self.width == 1 { self.symbols >> 15 } else { self.symbols >> 14 };
        self.symbols <<= self.width;
        self.length = self.length.saturating_sub(1);
        symbol
    }

    /// Octets of the arrival times of its first `packets` packets.
    fn octets_of_deltas(mut self, packets: u16) -> usize {
        let octets = |symbol| if symbol < 3 { usize::from(symbol) } else { 0 };
        if self.width == 0 {
            return octets(self.next()) * usize::from(packets);
        }
        (0..packets).map(|_| octets(self.next())).sum()
    }
}

struct Statuses<'a> {
    next: u16,
    left: u16,
    chunks: &'a [[u8; 2]],
    chunk: Chunk,
    deltas: &'a [u8],
    /// Of the packet that arrived last.
    arrival: i32,
}

impl Iterator for Statuses<'_> {
    type Item = (u16, Option<i32>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if self.chunk.length == 0 {
            let (chunk, rest) = self.chunks.split_first()?;
            self.chunk = Chunk::read(*chunk);
            self.chunks = rest;
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        let delta = match self.chunk.next() {
            1 => {
                let (delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                i32::from(*delta)
            }
            2 => {
                let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                i32::from(i16::from_be_bytes(*delta))
            }
            _ => return Some((number, None)),
        };
        // At most 8,192 times 2^15.
        self.arrival += delta;
        Some((number, Some(self.arrival)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feedback from number 65,534 on, with these chunks and arrival times.
    fn packet(count: u16, chunks: &[u16], deltas: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe];
        packet.extend(count.to_be_bytes());
        packet.extend([0x12, 0x34, 0x56, 7]);
        packet.extend(chunks.iter().flat_map(|chunk| chunk.to_be_bytes()));
        packet.extend(deltas);
        packet.resize(packet.len().next_multiple_of(4), 0);
        let words = (packet.len() / 4 - 1) as u16;
        packet[2..4].copy_from_slice(&words.to_be_bytes());
        packet
    }

    fn statuses(packet: &[u8]) -> Option<Vec<(u16, Option<i32>)>> {
        Some(Feedback::parse(packet)?.statuses().collect())
    }

    #[test]
    fn reads_runs_and_vectors_of_both_widths() {
        let run = packet(3, &[0x2003], &[4, 5, 6]);
        assert_eq!(statuses(&run), Some(vec![(65_534, Some(4)), (65_535, Some(9)), (0, Some(15))]));
        let one_bit = packet(3, &[0x8000 | 0b101 << 11], &[4, 5]);
        assert_eq!(statuses(&one_bit), Some(vec![(65_534, Some(4)), (65_535, None), (0, Some(9))]));
        let two_bits = packet(3, &[0xc000 | 0b01_10_11 << 8], &[4, 0xff, 0xfe]);
        assert_eq!(statuses(&two_bits), Some(vec![(65_534, Some(4)), (65_535, Some(2)), (0, None)]));
        let mixed = packet(16, &[0x8000 | 0b10 << 12, 0x0002], &[9]);
        assert_eq!(statuses(&mixed).map(|all| (all.len(), all[0], all[15])), Some((16, (65_534, Some(9)), (13, None))));
        assert_eq!(Feedback::parse(&run).map(|feedback| feedback.reference()), Some(0x12_3456));
    }

    #[test]
    fn tells_no_more_than_its_count_although_a_run_is_longer() {
        let long_run = packet(2, &[0x2000 | 8000], &[1, 2]);
        assert_eq!(statuses(&long_run), Some(vec![(65_534, Some(1)), (65_535, Some(3))]));
        assert_eq!(statuses(&packet(0, &[], &[])), Some(vec![]));
    }

    #[test]
    fn refuses_what_is_malformed_or_would_be_long() {
        let good = packet(3, &[0x2003], &[4, 5, 6]);
        assert!(statuses(&packet(3, &[0x2000], &[4, 5, 6, 7])).is_none(), "a run of nothing");
        assert!(statuses(&packet(30, &[0x2003], &[])).is_none(), "chunks that do not cover the count");
        assert!(statuses(&packet(9, &[0x2009], &[1, 2, 3])).is_none(), "arrival times are missing");
        assert!(statuses(&packet(8193, &[0x1fff, 2], &[])).is_none(), "more than a sender remembers");
        for end in 0..good.len() {
            assert!(statuses(&good[..end]).is_none(), "cut at {end}");
        }
        for (at, octet) in [(0, 0x81), (0, 0x4f), (1, 206)] {
            let mut other = good.clone();
            other[at] = octet;
            assert!(statuses(&other).is_none(), "another packet: {other:?}");
        }
    }
}
