//! A publisher of several encodings of its video, in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::receiver_report::ReceiverReport;
use rtcp::sender_report::SenderReport;
use sluice::forward::codec::{Codec, Kind};
use sluice::name::Role;
use sluice::node::Create;
use sluice::sdp::Extension;
use sluice::session::TrackReport;

use crate::broadcast::{GCM, track};
use crate::net::{NUMBER, Net, vp8};

pub(crate) const FRAME: Duration = Duration::from_millis(40);
/// The numbers of the frames of one encoding begin at a multiple of this.
pub(crate) const LAYER: u32 = 1_000_000;

/// The publisher's wall clock when it begins: NTP, 32.32 fixed-point seconds.
pub(crate) const EPOCH: u64 = 3_900_000_000 << 32;

/// The encodings of a browser.
pub(crate) const QHF: &[(&str, u16, u16)] = &[("q", 160, 90), ("h", 320, 180), ("f", 640, 360)];

/// The header extensions that it offers.
const EXTENSIONS: [Extension; 5] = [
    Extension::TransportWideCc,
    Extension::Mid,
    Extension::RtpStreamId,
    Extension::RepairedRtpStreamId,
    Extension::AbsCaptureTime,
];

/// One encoding as its publisher sends it.
pub(crate) struct Encoding {
    pub(crate) rid: String,
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) ssrc: u32,
    pub(crate) rtx: u32,
    /// The RTP timestamp of its first frame.
    pub(crate) start: u32,
    /// The number of its next frame.
    frame: u32,
}

/// What a publisher offers of its video.
pub(crate) struct Offer<'a> {
    pub(crate) encodings: &'a [(&'a str, u16, u16)],
    /// Lines of the video section, instead of those about SSRCs.
    pub(crate) lines: &'a str,
    pub(crate) codec: Codec,
}

impl Offer<'_> {
    fn with_lines(&self, offer: &str) -> String {
        let mut video = false;
        let mut text = String::new();
        for line in offer.lines() {
            video = if line.starts_with("m=") { line.starts_with("m=video") } else { video };
            if !(video && line.starts_with("a=ssrc")) {
                text.push_str(line);
                text.push_str("\r\n");
            }
            if video && line.starts_with("a=mid") {
                text.push_str(self.lines);
            }
        }
        text
    }
}

/// A publisher that sends frames of one packet, of all its encodings at a time.
pub(crate) struct Sender {
    pub(crate) publisher: usize,
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) codec: Codec,
    /// Packets name their encoding until a report names their SSRC, as those of Chromium; else always, as those of OBS.
    pub(crate) stops_naming: bool,
    /// The packets that it seals end a frame.
    pub(crate) is_last: bool,
    /// Frames of all encodings until now.
    pub(crate) frames: u32,
    /// The value of `frames` with which each frame was sent, by the frame's number.
    pub(crate) captured: BTreeMap<u32, u32>,
    /// Keyframe requests that [`Self::newly_asked`] has returned.
    answered: usize,
    pub(crate) transport_sequence: u16,
    /// The capture time of the packets that it seals, if they have one: NTP, 32.32 fixed-point seconds.
    pub(crate) capture_ntp: Option<u64>,
}

impl Sender {
    /// A publisher joins and is connected. It offers `a=simulcast:send` with this list.
    pub(crate) fn join(net: &mut Net, encodings: &[(&str, u16, u16)], list: &str) -> Self {
        Self::join_with(net, encodings, &lines(encodings, list))
    }

    /// The same with these lines in its video section, instead of those about SSRCs.
    pub(crate) fn join_with(net: &mut Net, encodings: &[(&str, u16, u16)], lines: &str) -> Self {
        Self::join_by(net, &Offer { encodings, lines, codec: Codec::Vp8 }, |_| {})
    }

    /// A publisher joins with this offer and is connected; `change` changes its request.
    pub(crate) fn join_by(net: &mut Net, offer: &Offer<'_>, change: impl FnOnce(&mut Create)) -> Self {
        let extensions = std::mem::replace(&mut net.extensions, EXTENSIONS.to_vec());
        let codecs = [offer.codec, Codec::Opus];
        let joined = net.try_join(Role::Publisher, "cam", &codecs, GCM, |request| {
            request.offer = offer.with_lines(&request.offer);
            change(request);
        });
        let publisher = joined.expect("the offer is answered");
        net.extensions = extensions;
        net.connect();
        let encoding = |(place, (rid, width, height)): (u32, &(&str, u16, u16))| Encoding {
            rid: (*rid).to_owned(),
            width: *width,
            height: *height,
            ssrc: 0x1000 + place,
            rtx: 0x2000 + place,
            // Each encoder has a timestamp offset of its own.
            start: place * 1_234_567,
            frame: 0,
        };
        Self {
            publisher,
            encodings: (0..).zip(offer.encodings).map(encoding).collect(),
            codec: offer.codec,
            stops_naming: true,
            is_last: true,
            frames: 0,
            captured: BTreeMap::new(),
            answered: 0,
            transport_sequence: 0,
            capture_ntp: None,
        }
    }

    /// From here on it sends its video in another codec of the answer.
    pub(crate) fn prefer(&mut self, net: &mut Net, codec: Codec) {
        let client = &mut net.clients[self.publisher];
        let place = track(client, Kind::Video);
        let track = &mut client.tracks[place];
        let (payload_type, _) = track.accepted.iter().find(|(_, other)| *other == codec).expect("it was accepted");
        (track.payload_type, track.codec, self.codec) = (*payload_type, Some(codec), codec);
    }

    fn id(&self, net: &Net, extension: Extension) -> u8 {
        let client = &net.clients[self.publisher];
        let agreed = &client.tracks[track(client, Kind::Video)].extensions;
        agreed.iter().find(|(_, other)| *other == extension).expect("it was negotiated").0
    }

    /// True once a report has named an SSRC.
    pub(crate) fn is_reported(net: &Net, publisher: usize, ssrc: u32) -> bool {
        let packets = net.clients[publisher].rtcp.iter().flatten();
        let mut reports = packets.filter_map(|packet| packet.as_any().downcast_ref::<ReceiverReport>());
        reports.any(|report| report.reports.iter().any(|block| block.ssrc == ssrc))
    }

    /// A packet of this SSRC and payload type, sealed; `named` for an encoding or what it repairs.
    pub(crate) fn seal(
        &mut self,
        net: &mut Net,
        (ssrc, is_rtx): (u32, bool),
        named: Option<&str>,
        timestamp: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        self.transport_sequence += 1;
        let [number, mid, rid] = [
            Extension::TransportWideCc,
            Extension::Mid,
            if is_rtx { Extension::RepairedRtpStreamId } else { Extension::RtpStreamId },
        ]
        .map(|extension| self.id(net, extension));
        let mut elements = vec![number << 4 | 1];
        elements.extend(self.transport_sequence.to_be_bytes());
        if let Some(named) = named {
            elements.extend([mid << 4, b'1', rid << 4 | (named.len() as u8 - 1)]);
            elements.extend(named.bytes());
        }
        if let Some(ntp) = self.capture_ntp {
            elements.push(self.id(net, Extension::AbsCaptureTime) << 4 | 7);
            elements.extend(ntp.to_be_bytes());
        }
        elements.resize(elements.len().next_multiple_of(4), 0);
        let mut says = vec![0xbe, 0xde, 0, (elements.len() / 4) as u8];
        says.extend(elements);
        let client = &mut net.clients[self.publisher];
        let place = track(client, Kind::Video);
        let before = client.tracks[place].clone();
        client.tracks[place].ssrc = Some(ssrc);
        client.tracks[place].payload_type += u8::from(is_rtx);
        client.says = says;
        let sealed = client.seal(place, timestamp, self.is_last, payload);
        client.says.clear();
        client.tracks[place] = before;
        sealed
    }

    /// The next frame of one encoding, sealed.
    pub(crate) fn frame(&mut self, net: &mut Net, place: usize, keyframe: bool) -> Vec<u8> {
        let encoding = &mut self.encodings[place];
        let size = (encoding.width, encoding.height);
        let payload = payload(self.codec, keyframe, size, place as u32 * LAYER + encoding.frame);
        self.captured.insert(place as u32 * LAYER + encoding.frame, self.frames);
        encoding.frame += 1;
        let (rid, ssrc) = (encoding.rid.clone(), encoding.ssrc);
        let names = !(self.stops_naming && Self::is_reported(net, self.publisher, ssrc));
        let timestamp = self.timestamp(place);
        self.seal(net, (ssrc, false), names.then_some(&rid), timestamp, &payload)
    }

    /// The RTP timestamp of the next frame of one encoding.
    pub(crate) fn timestamp(&self, place: usize) -> u32 {
        self.frames.wrapping_mul(3_600).wrapping_add(self.encodings[place].start)
    }

    /// A frame of these encodings, and the time until the next one.
    pub(crate) fn show(&mut self, net: &mut Net, places: &[usize], keyframe: bool) {
        for place in places {
            let datagram = self.frame(net, *place, keyframe);
            net.deliver(self.publisher, datagram);
        }
        self.frames += 1;
        net.run(FRAME);
    }

    /// Frames of these encodings, after a keyframe of each.
    pub(crate) fn begin(&mut self, net: &mut Net, places: &[usize], frames: u32) {
        for frame in 0..frames {
            self.show(net, places, frame == 0);
        }
    }

    /// Frames of all encodings, after a keyframe of each.
    pub(crate) fn begin_all(&mut self, net: &mut Net, frames: u32) {
        let places: Vec<usize> = (0..self.encodings.len()).collect();
        self.begin(net, &places, frames);
    }

    /// A sender report of an encoding, by the publisher's one wall clock.
    pub(crate) fn report(&self, net: &mut Net, place: usize) {
        let report = SenderReport {
            ssrc: self.encodings[place].ssrc,
            ntp_time: ntp(self.frames * FRAME.as_millis() as u32),
            rtp_time: self.timestamp(place),
            ..SenderReport::default()
        };
        net.send_rtcp(self.publisher, report);
    }

    /// The SSRCs for which keyframes were requested.
    pub(crate) fn asked(&self, net: &Net) -> Vec<u32> {
        let packets = net.clients[self.publisher].rtcp.iter().flatten();
        let requests = packets.filter_map(|packet| packet.as_any().downcast_ref::<PictureLossIndication>());
        requests.map(|request| request.media_ssrc).collect()
    }

    /// The SSRCs of which keyframes were requested since the last call.
    pub(crate) fn newly_asked(&mut self, net: &Net) -> Vec<u32> {
        let asked = self.asked(net).split_off(self.answered);
        self.answered += asked.len();
        asked
    }

    pub(crate) fn reports(&self, net: &Net) -> Vec<TrackReport> {
        net.report(self.publisher).tracks.into_iter().filter(|track| track.kind == "video").collect()
    }
}

/// The publisher's wall clock after a number of milliseconds.
pub(crate) fn ntp(milliseconds: u32) -> u64 {
    EPOCH + (u64::from(milliseconds) << 32) / 1000
}

/// The place of the encoding that a viewer's newest video packet belongs to.
pub(crate) fn newest_layer(net: &Net, viewer: usize) -> u32 {
    net.video(viewer).last().expect("the viewer is sent video").number / LAYER
}

/// Encodings as a list of `a=simulcast`.
pub(crate) fn list(encodings: &[(&str, u16, u16)]) -> String {
    encodings.iter().map(|(rid, ..)| *rid).collect::<Vec<_>>().join(";")
}

/// The lines that offer these encodings by `a=simulcast:send` with this list.
pub(crate) fn lines(encodings: &[(&str, u16, u16)], list: &str) -> String {
    let rids = encodings.iter().map(|(rid, ..)| format!("a=rid:{rid} send\r\n")).collect::<String>();
    format!("{rids}a=simulcast:send {list}\r\n")
}

/// What [`vp8`] writes, with this size of the frame.
pub(crate) fn vp8_of_size(keyframe: bool, (width, height): (u16, u16), number: u32) -> Vec<u8> {
    let mut payload = vp8(keyframe, number);
    payload[7..9].copy_from_slice(&width.to_le_bytes());
    payload[9..11].copy_from_slice(&height.to_le_bytes());
    payload
}

/// A frame of one packet in the codec's packetisation, with its number where [`vp8`] writes it. A keyframe of VP8 and
/// VP9 has the size of its encoding; frames of the others have more octets the wider they are.
fn payload(codec: Codec, keyframe: bool, (width, height): (u16, u16), number: u32) -> Vec<u8> {
    let mut payload = match (codec, keyframe) {
        (Codec::Vp8, _) => return vp8_of_size(keyframe, (width, height), number),
        // Colour space and range, then columns and rows less one, of 16 bits each.
        (Codec::Vp9, true) => {
            let sizes = u64::from(width - 1) << 44 | u64::from(height - 1) << 28;
            [&[0x08, 0x82, 0x49, 0x83, 0x42][..], &sizes.to_be_bytes()[..5]].concat()
        }
        (Codec::Vp9, false) => vec![0x48, 0x86],
        (Codec::H264, true) => vec![0x65, 0x88],
        (Codec::H264, false) => vec![0x41, 0x9a],
        (other, _) => panic!("no test sends {other:?} in several encodings"),
    };
    payload.resize(NUMBER, 0);
    payload.extend(number.to_be_bytes());
    payload.resize(300 + usize::from(width), number as u8);
    payload
}
