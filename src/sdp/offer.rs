//! A checked offer, for which an answer can be written.

use std::io::Cursor;

use rtc::sdp::description::session::SessionDescription;
use rtc::shared::error::Error;

use super::section::{Content, Direction, OfferedSection};
use super::transport::TransportLines;
use super::{OfferError, limits};
use crate::forward::codec::Kind;
use crate::name::Role;

/// A checked offer of a client; only codecs that do not fit the stream can still be refused.
pub struct Offer {
    pub(crate) role: Role,
    /// All sections in the offer's order, declined ones too: the answer mirrors them.
    pub(crate) sections: Vec<OfferedSection>,
    /// The sections that are not declined, as indexes into `sections` in the order of `a=group:BUNDLE`.
    pub(crate) bundle: Vec<usize>,
    /// False for a single section without `a=group:BUNDLE`: the answer has none either (RFC 9143 7.3).
    pub(crate) grouped: bool,
    /// `a=extmap-allow-mixed` at the session level: it holds for all sections (RFC 8285 6).
    pub(crate) allows_mixed: bool,
    /// ICE candidates at the session level; the others are counted in their sections.
    pub(crate) candidates: usize,
}

impl Offer {
    /// Parses and checks an offer (RFC 8866, RFC 8829 5.8) of a client in this role.
    ///
    /// # Errors
    ///
    /// [`OfferError::Malformed`] for text that is not SDP, contradicts itself or lacks what WebRTC needs;
    /// [`OfferError::Unsupported`] for an offer without BUNDLE, rtcp-mux, a SHA-256 fingerprint or a codec that is
    /// relayed, with the wrong direction, or with more than one track of a kind from a publisher.
    pub fn parse(sdp: &str, role: Role) -> Result<Self, OfferError> {
        if sdp.trim().is_empty() {
            return Err(OfferError::malformed("the body is empty: send an SDP offer"));
        }
        limits::check(sdp, role)?;
        let description =
            SessionDescription::unmarshal(&mut Cursor::new(sdp.as_bytes())).map_err(|error| not_sdp(&error))?;
        let direction = Direction::read(&description.attributes)?.unwrap_or(Direction::SendRecv);
        let sections = &description.media_descriptions;
        let mut sections = sections
            .iter()
            .map(|section| OfferedSection::read(role, section, direction))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(first) = sections.first()
            && sections.iter().all(OfferedSection::is_declined)
            && let Content::Declined(sentence) = first.content
        {
            return Err(OfferError::unsupported(sentence));
        }
        if !sections.iter().any(|section| matches!(section.content, Content::Media(_))) {
            return Err(OfferError::unsupported("the offer has no audio and no video: offer at least one of them"));
        }
        name_all(&mut sections);
        let group = read_group(&description, &sections)?;
        keep_one_of_a_kind(role, &mut sections, group.as_deref())?;
        let bundle = group.map(|group| bundle_of(group, &sections)).transpose()?;
        let (grouped, bundle) = match bundle {
            Some(bundle) => (true, bundle),
            None => (false, read_single(&sections)?),
        };
        complete_transports(TransportLines::read(&description.attributes)?, &mut sections, &bundle)?;
        let candidates = description.attributes.iter().filter(|attribute| attribute.is_ice_candidate()).count();
        let allows_mixed = description.attributes.iter().any(|attribute| attribute.key == "extmap-allow-mixed");
        Ok(Self { role, sections, bundle, grouped, allows_mixed, candidates })
    }
}

/// The parser's message, which quotes the offer: shortened and without control characters.
fn not_sdp(error: &Error) -> OfferError {
    let reason = match error {
        Error::SdpInvalidSyntax(line) => format!("an unexpected line, {line}"),
        Error::SdpInvalidValue(value) => format!("a wrong value, {value}"),
        other => other.to_string(),
    };
    let plain = |letter: char| letter == ' ' || letter.is_ascii_graphic();
    let shown = reason.chars().map(|letter| match plain(letter) {
        true => letter.to_string(),
        false => letter.escape_default().to_string(),
    });
    let reason: String = shown.collect::<String>().chars().take(128).collect();
    OfferError::malformed(format!("the offer is no valid SDP ({reason}): send the text of the offer unchanged"))
}

/// Names each section without `a=mid` as no other is named.
fn name_all(sections: &mut [OfferedSection]) {
    for index in 0..sections.len() {
        if sections[index].is_named {
            continue;
        }
        let taken = |name: &str| sections.iter().any(|section| section.mid == name);
        let name = (index..).map(|number| format!("unnamed-{number}")).find(|name| !taken(name));
        sections[index].mid = name.unwrap_or_default();
    }
}

/// A stream has one audio and one video track, so a publisher's offer of more is refused (RFC 9725 4.4.2). Of a
/// viewer's sections of a kind, those in the bundle are left to the answer, which accepts the first that fits the
/// stream; without one in the bundle the first is kept.
fn keep_one_of_a_kind(role: Role, sections: &mut [OfferedSection], group: Option<&[usize]>) -> Result<(), OfferError> {
    const SENTENCE: &str = "a stream has one audio and one video track: offer one section of each";
    let mut seen: Vec<Option<Kind>> = Vec::new();
    let is_bundled = |index: &usize| group.is_some_and(|group| group.contains(index));
    let mut order: Vec<usize> = (0..sections.len()).collect();
    order.sort_by_key(|index| !is_bundled(index));
    for index in order {
        let section = &mut sections[index];
        let kind = match &section.content {
            Content::Declined(_) => continue,
            Content::Media(media) => Some(media.kind),
            Content::Application { .. } => None,
        };
        match (seen.contains(&kind), role) {
            (false, _) => seen.push(kind),
            (true, Role::Viewer) if kind.is_some() && is_bundled(&index) => {}
            (true, Role::Viewer) => section.content = Content::Declined(SENTENCE),
            (true, Role::Publisher) => return Err(OfferError::unsupported(SENTENCE)),
        }
    }
    Ok(())
}

const ONE_BUNDLE: &str = "all media shares one transport: offer one a=group:BUNDLE (max-bundle)";

/// An offer without a group must have a single section, as GStreamer offers a single track.
fn read_single(sections: &[OfferedSection]) -> Result<Vec<usize>, OfferError> {
    let mut wanted = (0..).zip(sections).filter(|(_, section)| !section.is_declined()).map(|(index, _)| index);
    match (wanted.next(), wanted.next()) {
        (Some(only), None) => Ok(vec![only]),
        _ => Err(OfferError::unsupported(ONE_BUNDLE)),
    }
}

/// RFC 9143 7.2: the sections that the one group names, in its order; `None` without a group.
fn read_group(description: &SessionDescription, sections: &[OfferedSection]) -> Result<Option<Vec<usize>>, OfferError> {
    let groups = description.attributes.iter().filter(|attribute| attribute.key == "group");
    let mut bundles = groups.filter_map(|group| group.value.as_deref()?.strip_prefix("BUNDLE "));
    let Some(mids) = bundles.next() else {
        return Ok(None);
    };
    if bundles.next().is_some() {
        return Err(OfferError::unsupported(ONE_BUNDLE));
    }
    for (index, section) in sections.iter().enumerate() {
        if sections[..index].iter().any(|earlier| earlier.mid == section.mid) {
            return Err(OfferError::malformed("two sections of the offer have the same a=mid"));
        }
    }
    let mut bundle = Vec::new();
    for mid in mids.split_ascii_whitespace() {
        let named = |section: &OfferedSection| section.is_named && section.mid == mid;
        let Some(index) = sections.iter().position(named) else {
            return Err(OfferError::malformed("a=group:BUNDLE names an a=mid that the offer does not have"));
        };
        if bundle.contains(&index) {
            return Err(OfferError::malformed("a=group:BUNDLE names a section twice"));
        }
        bundle.push(index);
    }
    Ok(Some(bundle))
}

/// The sections that share the transport: all that are not declined, because only one transport is supported.
fn bundle_of(mut bundle: Vec<usize>, sections: &[OfferedSection]) -> Result<Vec<usize>, OfferError> {
    bundle.retain(|index| !sections[*index].is_declined());
    if bundle.len() < sections.iter().filter(|section| !section.is_declined()).count() {
        return Err(OfferError::unsupported("all media shares one transport: name each a=mid in a=group:BUNDLE"));
    }
    Ok(bundle)
}

/// A section without transport lines has those of the session level, else those of the first bundled section.
fn complete_transports(
    session: TransportLines,
    sections: &mut [OfferedSection],
    bundle: &[usize],
) -> Result<(), OfferError> {
    let tagged = bundle.first().map(|index| sections[*index].transport.clone()).unwrap_or_default();
    for index in bundle {
        let own = std::mem::take(&mut sections[*index].transport);
        sections[*index].transport = own.or(&session).or(&tagged);
        sections[*index].transport.clone().complete()?;
    }
    Ok(())
}
