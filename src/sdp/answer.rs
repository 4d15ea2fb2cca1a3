//! The answer to an offer: the agreement as values for the session and as SDP for the client.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::extension::{Extension, Mapping};
use super::negotiated::{Application, Negotiated, Offered, Section};
use super::offer::Offer;
use super::payload::Payload;
use super::reply::Reply;
use super::section::{Content, OfferedMedia, OfferedSection};
use super::simulcast;
use super::sources::DeclaredSources;
use super::text::Text;
use super::transport::Setup;
use super::{Local, OfferError, narrow};
use crate::forward::LONGEST_MID;
use crate::forward::codec::{Format, Kind};
use crate::name::Role;

/// Picks SSRCs that no other RTP stream of the session has.
struct Sources {
    random: StdRng,
    taken: Vec<u32>,
}

impl Sources {
    fn reserve(&mut self) -> u32 {
        loop {
            let ssrc = self.random.next_u32();
            if ssrc != 0 && !self.taken.contains(&ssrc) {
                self.taken.push(ssrc);
                return ssrc;
            }
        }
    }
}

impl Offer {
    /// Answers a publisher: one payload type of each codec, in the order of its preference, in sections that receive.
    ///
    /// # Errors
    ///
    /// [`OfferError::Malformed`] where sections that share a transport contradict each other.
    pub fn answer_publisher(&self, local: &Local) -> Result<Negotiated, OfferError> {
        self.answer(local, |media| narrow::for_publisher(&media.payloads))
    }

    /// Answers a viewer of a stream with these tracks; without tracks, of a stream that has no publisher yet. Every
    /// accepted section has a reserved SSRC, also if the stream has no such track yet.
    ///
    /// # Errors
    ///
    /// [`OfferError::Unsupported`] when the viewer offers no format of the stream at all, and
    /// [`OfferError::Malformed`] where sections that share a transport contradict each other.
    pub fn answer_viewer(&self, local: &Local, tracks: &[Format]) -> Result<Negotiated, OfferError> {
        self.answer(local, |media| {
            let mut of_kind = tracks.iter().filter(|track| track.codec.kind() == media.kind).peekable();
            if of_kind.peek().is_some() {
                narrow::for_tracks(&media.payloads, of_kind)
            } else {
                narrow::for_any_track(&media.payloads)
            }
        })
    }

    /// The agreement with a server whose answer this is: it may send each payload type in it, since the relay offered
    /// them all.
    ///
    /// # Errors
    ///
    /// As [`Self::answer_publisher`].
    pub(super) fn answer_sender(&self, local: &Local) -> Result<Negotiated, OfferError> {
        self.answer(local, |media| media.payloads.clone())
    }

    fn answer(&self, local: &Local, choose: impl Fn(&OfferedMedia) -> Vec<Payload>) -> Result<Negotiated, OfferError> {
        let mut random = StdRng::seed_from_u64(local.seed);
        let origin = random.next_u64() >> 1;
        let mut sources = Sources { random, taken: self.declared_sources() };
        let mut replies: Vec<Reply<'_>> = Vec::with_capacity(self.sections.len());
        for (place, section) in self.sections.iter().enumerate() {
            let reply = self.reply((place, section), local, &choose, &mut sources);
            // Of several sections of a kind the first that fits is answered.
            let is_surplus = |kind| replies.iter().any(|earlier| earlier.kind() == Some(kind));
            let is_surplus = reply.kind().is_some_and(is_surplus);
            replies.push(if is_surplus { Reply::Rejected } else { reply });
        }
        if !replies.iter().any(|reply| matches!(reply, Reply::Media { .. })) {
            return Err(OfferError::unsupported("the offer has no codec of this stream: offer all that you decode"));
        }
        check_shared_numbers(&replies)?;
        let mut accepted = self.bundle.clone();
        accepted.retain(|index| !matches!(replies[*index], Reply::Rejected));
        // RFC 9143 7.3.2: the first bundled section that is accepted has the transport of all. There is one: see above.
        let tagged = accepted.first().copied().unwrap_or_default();
        let transport = self.sections[tagged].transport.clone().complete()?;
        let dtls_client = transport.setup == Setup::Passive;
        let mids: Vec<&str> = accepted.iter().map(|index| self.sections[*index].mid.as_str()).collect();
        let mut text = Text::begin(self.role, local, dtls_client, origin, if self.grouped { &mids } else { &[] });
        if replies.iter().any(has_descriptors) {
            text.allow_mixed(self.allows_mixed);
        }
        for (index, (section, reply)) in self.sections.iter().zip(&replies).enumerate() {
            text.section(section, reply, index == tagged);
        }
        Ok(Negotiated {
            answer: text.finish(),
            remote: transport.credentials,
            remote_fingerprint: transport.fingerprint,
            dtls_client,
            application: self.sections.iter().find_map(application),
            sections: replies.into_iter().filter_map(agreed).collect(),
            offered: self.offered(),
        })
    }

    fn reply<'a>(
        &self,
        (place, section): (usize, &'a OfferedSection),
        local: &Local,
        choose: impl Fn(&OfferedMedia) -> Vec<Payload>,
        sources: &mut Sources,
    ) -> Reply<'a> {
        let offered = match &section.content {
            Content::Declined(_) => return Reply::Rejected,
            Content::Application { .. } => return Reply::Application,
            Content::Media(offered) => offered,
        };
        let mut payloads = choose(offered);
        if payloads.is_empty() {
            return Reply::Rejected;
        }
        let retransmits = payloads.iter().any(|payload| payload.rtx_payload_type.is_some());
        let sends = self.role == Role::Viewer;
        let has = |extension| offered.extensions.iter().any(|mapping| mapping.extension == extension);
        // A viewer estimates by the send time of packets.
        let estimates =
            sends && retransmits && has(Extension::AbsSendTime) && payloads.iter().any(|payload| payload.feedback.remb);
        let reports_arrivals = payloads.iter().any(|payload| payload.feedback.transport_cc);
        let layers = simulcast::accept(&offered.layers, &payloads, has(Extension::RtpStreamId));
        let mut mappings = offered.extensions.clone();
        mappings.retain(|Mapping { extension, .. }| match extension {
            Extension::TransportWideCc if !reports_arrivals => false,
            // The numbers must be consecutive over the whole transport, so only one outbound track has them.
            Extension::TransportWideCc if sends && offered.kind == Kind::Audio => false,
            // Without it a publisher rotates its video itself, also for viewers without the extension.
            Extension::VideoOrientation => sends || local.video_orientation,
            // With the template structure of a keyframe it is longer than a one-byte element.
            Extension::DependencyDescriptor => {
                offered.kind == Kind::Video && (self.allows_mixed || offered.allows_mixed)
            }
            Extension::RtpStreamId | Extension::RepairedRtpStreamId => layers.iter().any(|layer| layer.is_named),
            // The client does not know the relay's name for the section.
            Extension::Mid if !section.is_named => false,
            // A longer one does not fit a one-byte element.
            Extension::Mid if sends && section.mid.len() > LONGEST_MID => false,
            // A resend without RTX repeats the first sending bit for bit.
            _ => !sends || retransmits || !extension.changes_with_each_sending(),
        });
        let numbered = mappings.iter().any(|mapping| mapping.extension == Extension::TransportWideCc);
        for payload in &mut payloads {
            payload.feedback.transport_cc &= numbered;
            payload.feedback.remb &= estimates;
        }
        let remote_ssrc = offered.sources.media.first().copied();
        let agreed = Section {
            place,
            mid: section.mid.clone(),
            kind: offered.kind,
            payloads,
            ssrc: sources.reserve(),
            rtx_ssrc: (sends && retransmits).then(|| sources.reserve()),
            remote_ssrc: remote_ssrc.filter(|_| !sends),
            remote_rtx_ssrc: remote_ssrc.and_then(|ssrc| offered.sources.rtx_of(ssrc)).filter(|_| !sends),
            layers,
            extensions: mappings.iter().map(|mapping| (mapping.id, mapping.extension)).collect(),
        };
        Reply::Media { offered, mappings, agreed }
    }

    fn declared_sources(&self) -> Vec<u32> {
        let media = self.sections.iter().filter_map(|section| match &section.content {
            Content::Media(media) => Some(&media.sources),
            _ => None,
        });
        media.flat_map(DeclaredSources::all).collect()
    }

    fn offered(&self) -> Offered {
        Offered {
            codecs: self.sections.iter().flat_map(|section| section.codecs.iter().cloned()).collect(),
            candidates: self.candidates + self.sections.iter().map(|section| section.candidates).sum::<usize>(),
        }
    }
}

fn application(section: &OfferedSection) -> Option<Application> {
    let Content::Application { max_message_size } = section.content else {
        return None;
    };
    Some(Application { mid: section.mid.clone(), max_message_size })
}

/// Whether packets of the section may need two-byte elements.
fn has_descriptors(reply: &Reply<'_>) -> bool {
    matches!(reply, Reply::Media { agreed, .. } if agreed.extension_id(Extension::DependencyDescriptor).is_some())
}

fn agreed(reply: Reply<'_>) -> Option<Section> {
    match reply {
        Reply::Media { agreed, .. } => Some(agreed),
        Reply::Rejected | Reply::Application => None,
    }
}

/// Checks that in the sections of one transport each payload type and SSRC belongs to one section and each extension id
/// to one extension (RFC 9143 9.1, 9.4), because packets are distinguished by them.
fn check_shared_numbers(replies: &[Reply<'_>]) -> Result<(), OfferError> {
    let mut payload_types = Vec::new();
    let mut extensions: Vec<(u8, Extension)> = Vec::new();
    let mut sources = Vec::new();
    for reply in replies {
        let Reply::Media { agreed, .. } = reply else {
            continue;
        };
        for payload in &agreed.payloads {
            for number in payload.numbers() {
                if payload_types.contains(&number) {
                    return Err(OfferError::malformed(format!(
                        "payload type {number} stands for two different things"
                    )));
                }
                payload_types.push(number);
            }
        }
        for (id, extension) in &agreed.extensions {
            if extensions.iter().any(|(other_id, other)| (other_id == id) != (other == extension)) {
                return Err(OfferError::malformed(format!("bundled sections disagree about the a=extmap id {id}")));
            }
            extensions.push((*id, *extension));
        }
        let mut declared = vec![agreed.remote_ssrc, agreed.remote_rtx_ssrc];
        if agreed.layers.iter().any(|layer| layer.ssrc.is_some()) {
            // The section's own is that of the first encoding.
            declared = agreed.layers.iter().flat_map(|layer| [layer.ssrc, layer.rtx_ssrc]).collect();
        }
        for ssrc in declared.into_iter().flatten() {
            if sources.contains(&ssrc) {
                return Err(OfferError::malformed(format!("a=ssrc {ssrc} stands for two different things")));
            }
            sources.push(ssrc);
        }
    }
    Ok(())
}
