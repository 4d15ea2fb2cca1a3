//! An offer of the relay's own to another server: to watch a stream there and publish it here, or to publish a stream of
//! this relay there.
//!
//! The server's answer is read by the rules of an offer (`read_answer`): it lists what the other side sends or receives,
//! as the offer of a client does. So hostile answers meet the limits of hostile offers.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::extension::Extension;
use super::limits::MAX_RIDS;
use super::own_payloads::{Numbers, to_receive, to_send};
use super::own_section::{OwnContent, OwnMedia, OwnSection};
use super::own_text;
use super::payload::Payload;
use super::{Local, simulcast};
use crate::forward::codec::{Format, Kind};
use crate::name::Role;

/// What is offered to receive: what a publisher's offer is accepted with.
const RECEIVED: [Extension; 6] = [
    Extension::Mid,
    Extension::AbsCaptureTime,
    Extension::VideoOrientation,
    Extension::DependencyDescriptor,
    Extension::AudioLevel,
    Extension::TransportWideCc,
];

/// What names the simulcast encoding of a packet.
const OF_SIMULCAST: [Extension; 2] = [Extension::RtpStreamId, Extension::RepairedRtpStreamId];

/// What is offered to send: what a viewer's offer is accepted with.
const SENT: [Extension; 8] = [
    Extension::Mid,
    Extension::AbsCaptureTime,
    Extension::PlayoutDelay,
    Extension::VideoOrientation,
    Extension::DependencyDescriptor,
    Extension::AudioLevel,
    Extension::AbsSendTime,
    Extension::TransportWideCc,
];

/// An offer of the relay's own, which waits for its answer. It contains an ICE password: do not log it.
pub struct OwnOffer {
    /// The role of this relay's session: the other side's media is published here, or it is sent what is watched.
    pub(super) role: Role,
    pub(super) local: Local,
    pub(super) sections: Vec<OwnSection>,
    /// The formats of the stream that is sent.
    pub(super) formats: Vec<Format>,
    origin: u64,
}

/// What a section of media offers.
struct Offered {
    kind: Kind,
    payloads: Vec<Payload>,
    extensions: Vec<(u8, Extension)>,
    rids: Vec<String>,
}

impl OwnOffer {
    /// An offer to receive a stream: audio and video in each codec that is forwarded, and data channels. Of a video with
    /// simulcast encodings of these names, all are asked for; names that are no rids are left out.
    pub fn to_pull(local: Local, rids: &[String]) -> Self {
        let (mut numbers, mut random) = (Numbers::default(), StdRng::seed_from_u64(local.seed));
        let origin = random.next_u64() >> 1;
        let mut sections = Vec::new();
        for kind in [Kind::Audio, Kind::Video] {
            let rids = rids.iter().filter(|rid| kind == Kind::Video && simulcast::is_rid(rid));
            let rids: Vec<String> = rids.take(MAX_RIDS).cloned().collect();
            let of_simulcast = OF_SIMULCAST.into_iter().filter(|_| !rids.is_empty());
            let extensions = numbered(kind, RECEIVED.into_iter().chain(of_simulcast));
            let payloads = to_receive(kind, &mut numbers);
            sections.push(media_section(&sections, Offered { kind, payloads, extensions, rids }, &mut random));
        }
        // A publisher that cannot rotate its video is watched by viewers that can.
        let local = Local { video_orientation: true, ..local };
        sections.push(OwnSection { mid: sections.len().to_string(), content: OwnContent::Application });
        Self { role: Role::Publisher, local, sections, formats: Vec::new(), origin }
    }

    /// An offer to send a stream in these formats; `None` without a format.
    pub fn to_push(local: Local, formats: &[Format]) -> Option<Self> {
        let (mut numbers, mut random) = (Numbers::default(), StdRng::seed_from_u64(local.seed));
        let origin = random.next_u64() >> 1;
        let mut sections = Vec::new();
        for kind in [Kind::Audio, Kind::Video] {
            let payloads = to_send(kind, formats, &mut numbers);
            if !payloads.is_empty() {
                let extensions = numbered(kind, SENT.into_iter());
                sections.push(media_section(
                    &sections,
                    Offered { kind, payloads, extensions, rids: Vec::new() },
                    &mut random,
                ));
            }
        }
        let formats = formats.to_vec();
        (!sections.is_empty()).then_some(Self { role: Role::Viewer, local, sections, formats, origin })
    }

    /// The SDP to POST.
    pub fn text(&self) -> String {
        own_text::write(self.role, &self.local, &self.sections, self.origin)
    }
}

/// The next section, with sources that those before it do not have.
fn media_section(before: &[OwnSection], offered: Offered, random: &mut StdRng) -> OwnSection {
    let mut taken: Vec<u32> =
        before.iter().filter_map(OwnSection::as_media).flat_map(|media| [media.ssrc, media.rtx_ssrc]).collect();
    let mut draw = || loop {
        let ssrc = random.next_u32();
        if ssrc != 0 && !taken.contains(&ssrc) {
            taken.push(ssrc);
            break ssrc;
        }
    };
    let Offered { kind, payloads, extensions, rids } = offered;
    let media = OwnMedia { kind, payloads, extensions, rids, ssrc: draw(), rtx_ssrc: draw() };
    OwnSection { mid: before.len().to_string(), content: OwnContent::Media(media) }
}

/// The extensions for a section of this kind, each with the same id in all sections.
fn numbered(kind: Kind, extensions: impl Iterator<Item = Extension>) -> Vec<(u8, Extension)> {
    let suits = |extension: &Extension| match extension {
        Extension::AudioLevel => kind == Kind::Audio,
        Extension::VideoOrientation
        | Extension::DependencyDescriptor
        | Extension::PlayoutDelay
        | Extension::AbsSendTime
        | Extension::TransportWideCc
        | Extension::RtpStreamId
        | Extension::RepairedRtpStreamId => kind == Kind::Video,
        Extension::Mid | Extension::AbsCaptureTime => true,
    };
    (1..).zip(extensions).filter(|(_, extension)| suits(extension)).collect()
}
