//! The payload types of one section: the codecs of the offer that the relay forwards, with feedback, RTX and RED of
//! each.

use rtc::sdp::description::common::Attribute;

use super::OfferError;
use super::limits::{self, MAX_PAYLOAD_TYPES};
use crate::forward::codec::{Codec, Format, Kind};

/// Channels of surround audio: 7.1 is the largest layout of Opus (RFC 7845 5.1.1.2).
const MAX_CHANNELS: u8 = 8;

/// Blocks that `a=fmtp` may name for redundant audio; Chromium names two.
const MAX_BLOCKS: usize = 16;

/// RTCP feedback that the offer has for a payload type and the relay uses (RFC 4585 4.2, RFC 5104 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Feedback {
    /// `nack`: lost packets are requested again.
    pub(crate) nack: bool,
    /// `nack pli`: Picture Loss Indication asks for a keyframe.
    pub(crate) pli: bool,
    /// `ccm fir`: Full Intra Request asks for a keyframe.
    pub(crate) fir: bool,
    /// `goog-remb`: the receiver's bandwidth estimate.
    pub(crate) remb: bool,
    /// `transport-cc`: arrival times of all packets of the transport.
    pub(crate) transport_cc: bool,
}

/// The payload type of redundant audio (RFC 2198): Opus with copies of earlier packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Red {
    /// Its number.
    pub(crate) payload_type: u8,
    /// Blocks that the offer names for it (`a=fmtp:63 111/111`): the packet's own and copies.
    pub(crate) blocks: u8,
    /// True if it comes before the codec itself in the offer, so that a publisher prefers to send it.
    pub(crate) preferred: bool,
}

/// One payload type with its codec, and its retransmission payload type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    /// The number in the RTP header, as the offer has it: 0 to 63 or 96 to 127.
    pub(crate) payload_type: u8,
    /// The codec, with the format parameters of the offer.
    pub(crate) format: Format,
    /// The payload type of its retransmissions (RFC 4588 8.1), if the offer has one.
    pub(crate) rtx_payload_type: Option<u8>,
    /// The payload type that carries it with copies of earlier packets, if the offer has one.
    pub(crate) red: Option<Red>,
    /// The feedback that was agreed.
    pub(crate) feedback: Feedback,
}

/// What a section offers, in its order of preference.
#[derive(Debug, Default)]
pub(crate) struct Payloads {
    /// The payload types that the relay can forward.
    pub(crate) known: Vec<Payload>,
    /// The names of all codecs, each once, for the log.
    pub(crate) names: Vec<String>,
}

/// The attribute lines of one payload type.
#[derive(Default)]
struct Lines<'a> {
    rtpmap: Option<&'a str>,
    parameters: Option<&'a str>,
    feedback: Feedback,
}

/// Reads the formats of an `m=` line and their `a=rtpmap`, `a=fmtp` and `a=rtcp-fb` lines.
pub(crate) fn read(kind: Kind, formats: &[String], attributes: &[Attribute]) -> Result<Payloads, OfferError> {
    if formats.len() > MAX_PAYLOAD_TYPES {
        return Err(OfferError::unsupported("a section offers more than 64 payload types: offer fewer codecs"));
    }
    let mut lines: Vec<(u8, Lines<'_>)> = Vec::with_capacity(formats.len());
    for format in formats {
        let number = format.parse().ok().filter(|number| *number <= 127);
        let number = number.ok_or_else(|| OfferError::malformed("an RTP payload type must be a number up to 127"))?;
        if lines.iter().any(|(earlier, _)| *earlier == number) {
            return Err(OfferError::malformed(format!("payload type {number} stands twice in an m= line")));
        }
        lines.push((number, Lines::default()));
    }
    for attribute in attributes {
        read_line(&mut lines, attribute)?;
    }
    collect(kind, &lines)
}

fn read_line<'a>(lines: &mut [(u8, Lines<'a>)], attribute: &'a Attribute) -> Result<(), OfferError> {
    let key = attribute.key.as_str();
    if !matches!(key, "rtpmap" | "fmtp" | "rtcp-fb") {
        return Ok(());
    }
    let Some((target, rest)) = attribute.value.as_deref().and_then(|value| value.split_once(' ')) else {
        return Err(OfferError::malformed(format!("an a={key} line needs a payload type and a value")));
    };
    let rest = rest.trim();
    if key == "rtcp-fb" && target == "*" {
        lines.iter_mut().for_each(|(_, line)| line.feedback.read(rest));
        return Ok(());
    }
    let Ok(number) = target.parse::<u8>() else {
        return Err(OfferError::malformed(format!("an a={key} line must begin with a payload type")));
    };
    let Some((_, line)) = lines.iter_mut().find(|(listed, _)| *listed == number) else {
        return Ok(());
    };
    match key {
        "rtpmap" if line.rtpmap.is_some_and(|earlier| earlier != rest) => {
            return Err(OfferError::malformed(format!("payload type {number} has two different a=rtpmap lines")));
        }
        "rtpmap" => line.rtpmap = Some(rest),
        // The answer repeats them.
        "fmtp" if !rest.is_ascii() => {
            return Err(OfferError::malformed(format!("the a=fmtp line of payload type {number} must be ASCII")));
        }
        "fmtp" => line.parameters = line.parameters.or(Some(rest)),
        _ => line.feedback.read(rest),
    }
    Ok(())
}

fn collect(kind: Kind, lines: &[(u8, Lines<'_>)]) -> Result<Payloads, OfferError> {
    let mut payloads = Payloads::default();
    let mut retransmissions: Vec<(u8, u8)> = Vec::new();
    let mut redundant: Vec<(u8, Red)> = Vec::new();
    for (number, line) in lines {
        let Some(rtpmap) = line.rtpmap.or_else(|| fixed(*number)) else {
            continue;
        };
        let encoding = Encoding::read(rtpmap)?;
        if !payloads.names.iter().any(|name| name == encoding.name) {
            payloads.names.push(encoding.name.to_owned());
        }
        let parameters = line.parameters.unwrap_or_default();
        if encoding.name.eq_ignore_ascii_case("rtx") {
            let apt = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("apt="));
            let primary = apt.and_then(|apt| apt.parse::<u8>().ok());
            let listed = |primary: &u8| lines.iter().any(|(listed, _)| listed == primary) && primary != number;
            let Some(primary) = primary.filter(listed) else {
                return Err(OfferError::malformed(format!("rtx payload type {number} must name a listed one by apt=")));
            };
            retransmissions.push((primary, *number));
            continue;
        }
        if kind == Kind::Audio && encoding.name.eq_ignore_ascii_case("red") {
            redundant.extend(encoding.red(*number, parameters).filter(|_| !(64..=95).contains(number)));
            continue;
        }
        // RFC 5761 4: with rtcp-mux, 64 to 95 read as RTCP packet types.
        let Some(format) = encoding.format(kind, parameters).filter(|_| !(64..=95).contains(number)) else {
            continue;
        };
        let feedback = line.feedback;
        payloads.known.push(Payload { payload_type: *number, format, rtx_payload_type: None, red: None, feedback });
    }
    for payload in &mut payloads.known {
        let rtx =
            retransmissions.iter().find(|(primary, rtx)| *primary == payload.payload_type && !(64..=95).contains(rtx));
        payload.rtx_payload_type = rtx.map(|(_, rtx)| *rtx);
        if payload.format.codec == Codec::Opus {
            let place = |number| lines.iter().position(|(listed, _)| *listed == number);
            let red = redundant.iter().find(|(carried, _)| *carried == payload.payload_type).map(|(_, red)| *red);
            payload.red =
                red.map(|red| Red { preferred: place(red.payload_type) < place(payload.payload_type), ..red });
        }
    }
    Ok(payloads)
}

/// The value of `a=rtpmap` behind the payload type: name, clock rate and channels (RFC 8866 6.6).
struct Encoding<'a> {
    name: &'a str,
    clock_rate: u32,
    channels: Option<u8>,
}

impl<'a> Encoding<'a> {
    fn read(rtpmap: &'a str) -> Result<Self, OfferError> {
        let mut parts = rtpmap.split('/');
        let name = parts.next().filter(|name| limits::is_token(name));
        let clock_rate = parts.next().and_then(|rate| rate.parse().ok());
        let (Some(name), Some(clock_rate)) = (name, clock_rate) else {
            return Err(OfferError::malformed("an a=rtpmap line must name a codec and its clock rate"));
        };
        Ok(Self { name, clock_rate, channels: parts.next().and_then(|channels| channels.parse().ok()) })
    }

    /// The payload type that redundant audio carries, if the parameters name no other and the clock is that of Opus
    /// (RFC 2198 5).
    fn red(&self, payload_type: u8, parameters: &str) -> Option<(u8, Red)> {
        let mut blocks = parameters.split('/').map(|block| block.trim().parse::<u8>().ok());
        let carried = blocks.next()??;
        let rest = blocks.clone().count();
        let alone = (1..MAX_BLOCKS).contains(&rest) && blocks.all(|block| block == Some(carried));
        let same_clock = (self.clock_rate, self.channels) == (Codec::Opus.clock_rate(), Some(2));
        let red = Red { payload_type, blocks: 1 + rest as u8, preferred: false };
        (alone && same_clock).then_some((carried, red))
    }

    /// The codec, if it is one the relay forwards in a section of this kind.
    fn format(&self, kind: Kind, parameters: &str) -> Option<Format> {
        let codec = Codec::named(self.name).filter(|codec| codec.kind() == kind)?;
        let channels = match (codec, self.channels) {
            // RFC 7587 7: two channels in the SDP of mono too.
            (Codec::Opus, Some(2)) => 2,
            (Codec::Multiopus, Some(channels @ 1..=MAX_CHANNELS)) => channels,
            (Codec::Pcmu | Codec::Pcma | Codec::G722, None | Some(1)) => 1,
            (codec, _) if codec.kind() == Kind::Video => 0,
            _ => return None,
        };
        let format = Format { codec, clock_rate: self.clock_rate, channels, parameters: parameters.to_owned() };
        (format.clock_rate == codec.clock_rate() && format.is_forwarded()).then_some(format)
    }
}

/// The `a=rtpmap` that a payload type has without one (RFC 3551 table 4), of the codecs that are forwarded.
fn fixed(payload_type: u8) -> Option<&'static str> {
    match payload_type {
        0 => Some("PCMU/8000"),
        8 => Some("PCMA/8000"),
        9 => Some("G722/8000"),
        _ => None,
    }
}

impl Payload {
    /// All its numbers, in the order of preference.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u8> + use<> {
        let red = |preferred| self.red.filter(|red| red.preferred == preferred).map(|red| red.payload_type);
        [red(true), Some(self.payload_type), self.rtx_payload_type, red(false)].into_iter().flatten()
    }
}

impl Feedback {
    fn read(&mut self, value: &str) {
        match value {
            "nack" => self.nack = true,
            "nack pli" => self.pli = true,
            "ccm fir" => self.fir = true,
            "goog-remb" => self.remb = true,
            "transport-cc" => self.transport_cc = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::tests::attributes;

    fn section(kind: Kind, formats: &str, lines: &[&str]) -> Result<Payloads, OfferError> {
        let formats: Vec<String> = formats.split(' ').map(str::to_owned).collect();
        read(kind, &formats, &attributes(lines))
    }

    #[test]
    fn joins_a_codec_with_its_parameters_feedback_and_retransmissions() {
        let lines = [
            "rtpmap:106 H264/90000",
            "fmtp:106 packetization-mode=1;profile-level-id=42e01f",
            "rtcp-fb:106 nack",
            "rtcp-fb:* transport-cc",
            "rtcp-fb:105 nack pli",
            "rtpmap:105 rtx/90000",
            "fmtp:105 apt=106",
            "rtpmap:98 theora/90000",
        ];
        let payloads = section(Kind::Video, "106 105 98", &lines).unwrap();
        let [h264] = payloads.known.as_slice() else { panic!("{payloads:?}") };
        assert_eq!((h264.payload_type, h264.rtx_payload_type), (106, Some(105)));
        assert_eq!(h264.format.parameters, "packetization-mode=1;profile-level-id=42e01f");
        assert_eq!(h264.feedback, Feedback { nack: true, transport_cc: true, ..Feedback::default() });
        assert_eq!(payloads.names, ["H264", "rtx", "theora"]);
    }

    #[test]
    fn redundant_audio_goes_with_the_opus_that_it_names() {
        let opus = ["rtpmap:111 opus/48000/2", "rtpmap:63 red/48000/2"];
        let red = |formats: &str, parameters: &str| {
            let parameters = format!("fmtp:63 {parameters}");
            let payloads = section(Kind::Audio, formats, &[opus[0], opus[1], &parameters]).unwrap();
            let [payload] = payloads.known.as_slice() else { panic!("{payloads:?}") };
            assert_eq!(payloads.names.len(), 2);
            (payload.red, payload.numbers().collect::<Vec<_>>())
        };
        let carried = |blocks, preferred| Some(Red { payload_type: 63, blocks, preferred });
        assert_eq!(red("111 63", "111/111"), (carried(2, false), vec![111, 63]));
        assert_eq!(red("63 111", "111/111/111"), (carried(3, true), vec![63, 111]));
        for bad in ["111", "", "111/13", "13/111", "112/112", "111/", "x/x", &["111"; 17].join("/")] {
            assert_eq!(red("63 111", bad), (None, vec![111]), "{bad}");
        }
        for rtpmap in ["red/8000/2", "red/48000", "red/48000/1"] {
            let lines = [opus[0], &format!("rtpmap:63 {rtpmap}"), "fmtp:63 111/111"];
            assert_eq!(section(Kind::Audio, "111 63", &lines).unwrap().known[0].red, None, "{rtpmap}");
        }
        let lines = ["rtpmap:0 PCMU/8000", "rtpmap:63 red/48000/2", "fmtp:63 0/0"];
        assert_eq!(section(Kind::Audio, "63 0", &lines).unwrap().known[0].red, None, "not of another codec");
    }

    #[test]
    fn leaves_out_what_is_not_forwarded() {
        for (kind, rtpmap) in [
            (Kind::Audio, "opus/48000"),
            (Kind::Audio, "opus/16000/2"),
            (Kind::Audio, "VP8/90000"),
            (Kind::Video, "opus/48000/2"),
            (Kind::Video, "VP8/8000"),
            (Kind::Video, "red/90000"),
            (Kind::Audio, "telephone-event/8000"),
            (Kind::Audio, "multiopus/48000/9"),
            (Kind::Audio, "PCMU/16000"),
            (Kind::Audio, "G722/8000/2"),
        ] {
            assert!(section(kind, "96", &[&format!("rtpmap:96 {rtpmap}")]).unwrap().known.is_empty(), "{rtpmap}");
        }
        for (rtpmap, parameters) in [
            ("H264/90000", "packetization-mode=3"),
            ("H265/90000", "tx-mode=MRST"),
            ("H265/90000", "sprop-max-don-diff=2"),
        ] {
            let lines = [format!("rtpmap:96 {rtpmap}"), format!("fmtp:96 {parameters}")];
            assert!(section(Kind::Video, "96", &lines.each_ref().map(String::as_str)).unwrap().known.is_empty());
        }
        assert!(section(Kind::Audio, "72", &["rtpmap:72 opus/48000/2"]).unwrap().known.is_empty());
    }

    #[test]
    fn every_codec_is_known_by_its_name_clock_and_channels() {
        for (kind, rtpmap, codec, channels) in [
            (Kind::Video, "H264/90000", Codec::H264, 0),
            (Kind::Video, "h265/90000", Codec::H265, 0),
            (Kind::Video, "VP8/90000", Codec::Vp8, 0),
            (Kind::Video, "VP9/90000", Codec::Vp9, 0),
            (Kind::Video, "AV1/90000", Codec::Av1, 0),
            (Kind::Audio, "OPUS/48000/2", Codec::Opus, 2),
            (Kind::Audio, "multiopus/48000/6", Codec::Multiopus, 6),
            (Kind::Audio, "PCMU/8000", Codec::Pcmu, 1),
            (Kind::Audio, "PCMA/8000/1", Codec::Pcma, 1),
            (Kind::Audio, "G722/8000", Codec::G722, 1),
        ] {
            let payloads = section(kind, "96", &[&format!("rtpmap:96 {rtpmap}")]).unwrap();
            let [Payload { format, .. }] = payloads.known.as_slice() else { panic!("{rtpmap}: {payloads:?}") };
            assert_eq!((format.codec, format.channels), (codec, channels), "{rtpmap}");
        }
    }

    #[test]
    fn static_payload_types_need_no_rtpmap() {
        let payloads = section(Kind::Audio, "0 3 8 9 13", &[]).unwrap();
        let codecs: Vec<_> =
            payloads.known.iter().map(|payload| (payload.payload_type, payload.format.codec)).collect();
        assert_eq!(codecs, [(0, Codec::Pcmu), (8, Codec::Pcma), (9, Codec::G722)]);
        let other = section(Kind::Audio, "0", &["rtpmap:0 opus/48000/2"]).unwrap();
        assert_eq!(other.known[0].format.codec, Codec::Opus);
    }

    #[test]
    fn contradictions_are_malformed() {
        for (formats, lines) in [
            ("128", &[][..]),
            ("-1", &[]),
            ("opus", &[]),
            ("96 96", &[]),
            ("96", &["rtpmap:96"]),
            ("96", &["rtpmap:x VP8/90000"]),
            ("96", &["rtpmap:96 VP8"]),
            ("96", &["rtpmap:96 VP8/fast"]),
            ("96", &["rtpmap:96 VP8/90000", "rtpmap:96 H264/90000"]),
            ("96", &["rtpmap:96 VP8/90000", "fmtp:96 \u{202e}"]),
            ("96", &["rtpmap:96 rtx/90000"]),
            ("96", &["rtpmap:96 rtx/90000", "fmtp:96 apt=97"]),
            ("96", &["rtpmap:96 rtx/90000", "fmtp:96 apt=96"]),
            ("96", &["rtpmap:96 rtx/90000", "fmtp:96 apt=400"]),
        ] {
            let read = section(Kind::Video, formats, lines);
            assert!(matches!(read, Err(OfferError::Malformed(_))), "{formats} {lines:?}");
        }
    }

    #[test]
    fn more_than_64_payload_types_are_unsupported() {
        let formats = (0..65).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
        assert!(matches!(section(Kind::Video, &formats, &[]), Err(OfferError::Unsupported(_))));
    }
}
