//! Received RTCP, read in place: the packets of a decrypted compound that the relay uses.
//!
//! The rule: reading allocates nothing, and its cost is linear in the octets. So source descriptions, BYE, APP and XR
//! are skipped by their length, and transport-wide feedback is handed on unread. A packet with malformed content is
//! left out; a malformed header ends the compound.

/// Packets of one compound that are looked at, read or skipped. Clients put a report, a description and one or two
/// requests for each of their tracks into one compound.
const MAX_PACKETS: usize = 32;

/// A 32-bit word in network order (RFC 3550 6.4.1).
type Word = [u8; 4];

/// One packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RtcpPacket<'a> {
    /// A sender report (RFC 3550 6.4.1).
    SenderReport {
        /// The sender's SSRC.
        ssrc: u32,
        /// The sender's wall clock as an NTP timestamp; 0 if it has none.
        ntp: u64,
        /// The RTP timestamp of the same instant.
        rtp: u32,
        /// One for each SSRC that the sender receives.
        blocks: Blocks<'a>,
    },
    /// A receiver report (RFC 3550 6.4.2).
    ReceiverReport {
        /// One for each SSRC that the sender receives.
        blocks: Blocks<'a>,
    },
    /// A NACK (RFC 4585 6.2.1).
    Nack {
        /// The SSRC that packets are missing from.
        ssrc: u32,
        /// The missing packets.
        sequences: Sequences<'a>,
    },
    /// A keyframe request: PLI (RFC 4585 6.3.1) or FIR (RFC 5104 4.3.1).
    KeyframeRequest {
        /// The SSRCs that need a keyframe.
        sources: SsrcList<'a>,
    },
    /// The receiver's estimate of its bandwidth (REMB, draft-alvestrand-rmcat-remb).
    Estimate {
        /// Bits per second for all that it receives.
        bits: f32,
        /// The SSRCs that it receives.
        sources: SsrcList<'a>,
    },
    /// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01), which [`Feedback::parse`] reads.
    ///
    /// [`Feedback::parse`]: crate::bwe::Feedback::parse
    TransportFeedback {
        /// The packet with its header.
        packet: &'a [u8],
    },
}

/// Report blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks<'a>(&'a [[Word; 6]]);

/// The report block of one SSRC (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The SSRC that the block is about.
    pub ssrc: u32,
    /// The share of packets lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the first; 0 if duplicates outnumber them.
    pub total_lost: u32,
    /// The highest sequence number received, with the count of its cycles before it.
    pub highest: u32,
    /// Interarrival jitter in ticks of the codec's clock.
    pub jitter: u32,
    /// The middle of the NTP timestamp of the sender report that arrived last; 0 for none.
    pub last_sr: u32,
    /// The time since that report arrived, in 1/65536 s.
    pub delay: u32,
}

/// Sequence numbers of a NACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequences<'a>(&'a [Word]);

/// SSRCs of a request or an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SsrcList<'a> {
    words: &'a [Word],
    /// Words from one SSRC to the next.
    step: usize,
}

/// The packets of a decrypted compound that are read, in their order.
pub fn packets(compound: &[u8]) -> impl Iterator<Item = RtcpPacket<'_>> {
    let mut rest = compound;
    let next = move || {
        let [first, _, length @ ..] = rest.first_chunk::<4>()?;
        let (packet, behind) = rest.split_at_checked(4 * (usize::from(u16::from_be_bytes(*length)) + 1))?;
        rest = behind;
        (first >> 6 == 2).then_some(packet)
    };
    std::iter::from_fn(next).take(MAX_PACKETS).filter_map(read)
}

/// One packet with its header.
fn read(packet: &[u8]) -> Option<RtcpPacket<'_>> {
    let ([first, kind, ..], body) = packet.split_first_chunk::<4>()?;
    let (first, kind) = (*first, *kind);
    if (kind, first & 0x1f) == (205, 15) {
        // Its content ends where its times end. Browsers pad it by less than a word.
        return Some(RtcpPacket::TransportFeedback { packet });
    }
    let (words, _) = without_padding(first, body)?.as_chunks::<4>();
    let count = first & 0x1f;
    Some(match (kind, count, words) {
        (200, _, [ssrc, high, low, rtp, _, _, rest @ ..]) => RtcpPacket::SenderReport {
            ssrc: number(*ssrc),
            ntp: u64::from(number(*high)) << 32 | u64::from(number(*low)),
            rtp: number(*rtp),
            blocks: blocks(rest, count)?,
        },
        (201, _, [_, rest @ ..]) => RtcpPacket::ReceiverReport { blocks: blocks(rest, count)? },
        (205, 1, [_, ssrc, pairs @ ..]) => RtcpPacket::Nack { ssrc: number(*ssrc), sequences: Sequences(pairs) },
        (206, 1, [_, ssrc, ..]) => {
            RtcpPacket::KeyframeRequest { sources: SsrcList { words: std::slice::from_ref(ssrc), step: 1 } }
        }
        // The media SSRC of a FIR is unused; its entries of two words name the sources.
        (206, 4, [_, _, words @ ..]) if words.len().is_multiple_of(2) => {
            RtcpPacket::KeyframeRequest { sources: SsrcList { words, step: 2 } }
        }
        (206, 15, [_, _, [b'R', b'E', b'M', b'B'], [sources, exponent, mantissa @ ..], words @ ..]) => {
            let mantissa = u32::from_be_bytes([0, exponent & 3, mantissa[0], mantissa[1]]);
            RtcpPacket::Estimate {
                bits: mantissa as f32 * 2f32.powi(i32::from(exponent >> 2)),
                sources: SsrcList { words: words.get(..usize::from(*sources))?, step: 1 },
            }
        }
        _ => return None,
    })
}

fn blocks(words: &[Word], count: u8) -> Option<Blocks<'_>> {
    words.as_chunks().0.get(..usize::from(count)).map(Blocks)
}

/// The last octet of padding is its length (RFC 3550 6.4.1).
fn without_padding(first: u8, body: &[u8]) -> Option<&[u8]> {
    if first & 0x20 == 0 {
        return Some(body);
    }
    let padding = usize::from(*body.last()?);
    if padding == 0 || !padding.is_multiple_of(4) {
        return None;
    }
    body.get(..body.len().checked_sub(padding)?)
}

const fn number(word: Word) -> u32 {
    u32::from_be_bytes(word)
}

impl<'a> Blocks<'a> {
    /// Each block, in the order of the report.
    pub fn iter(self) -> impl Iterator<Item = Block> + use<'a> {
        self.0.iter().map(|[ssrc, [fraction_lost, lost @ ..], highest, jitter, last_sr, delay]| {
            // 24 bits with a sign.
            let lost = u32::from_be_bytes([0, lost[0], lost[1], lost[2]]);
            Block {
                ssrc: number(*ssrc),
                fraction_lost: *fraction_lost,
                total_lost: if lost < 0x80_0000 { lost } else { 0 },
                highest: number(*highest),
                jitter: number(*jitter),
                last_sr: number(*last_sr),
                delay: number(*delay),
            }
        })
    }
}

impl<'a> Sequences<'a> {
    /// How many there are, with repetitions.
    #[must_use]
    pub fn count(self) -> usize {
        self.0.iter().map(|[_, _, mask @ ..]| 1 + u16::from_be_bytes(*mask).count_ones() as usize).sum()
    }

    /// Each of them, in the order of the request.
    pub fn iter(self) -> impl Iterator<Item = u16> + use<'a> {
        self.0.iter().flat_map(|[high, low, mask @ ..]| {
            let (first, mask) = (u16::from_be_bytes([*high, *low]), u16::from_be_bytes(*mask));
            // The first of 17 bits is the packet that the pair names.
            let mut left = u32::from(mask) << 1 | 1;
            std::iter::from_fn(move || {
                let next = left.trailing_zeros() as u16;
                left &= left.checked_sub(1)?;
                Some(first.wrapping_add(next))
            })
        })
    }
}

impl<'a> SsrcList<'a> {
    /// Each SSRC, with repetitions.
    pub fn iter(self) -> impl Iterator<Item = u32> + use<'a> {
        self.words.iter().step_by(self.step).map(|word| number(*word))
    }
}

#[cfg(test)]
mod tests;
