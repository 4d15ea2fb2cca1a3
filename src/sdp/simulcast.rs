//! Simulcast of a publisher's video (RFC 8853): which encodings of it a section offers to send, and the lines of the
//! answer that accept them.
//!
//! An encoding has a name, its rid (RFC 8851), which its packets carry until the publisher knows that the relay has
//! learnt their SSRC (RFC 8852). Older clients declare a group of SSRCs instead (`a=ssrc-group:SIM`); the relay then
//! numbers the encodings, and the answer names none. The rule: all that is offered is accepted, of alternatives the
//! first; an encoding that was offered as paused stays so.

use rtc::sdp::description::common::Attribute;

use super::OfferError;
use super::limits::MAX_RIDS;
use super::payload::Payload;
use super::sources::DeclaredSources;

/// Characters of a rid.
const LONGEST_RID: usize = 64;

/// One simulcast encoding that a publisher offers to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Its `a=rid`: letters, digits, `-` and `_`; a number of the relay's own if the offer has none.
    pub(crate) rid: String,
    /// True if the offer has the rid: packets then carry it.
    pub(crate) is_named: bool,
    /// True if the publisher does not send it at first (`~`, RFC 8853 5.1).
    pub(crate) is_paused: bool,
    /// The payload types that it is limited to (RFC 8851 5); empty for any of the section.
    pub(crate) payload_types: Vec<u8>,
    /// The SSRC that the offer declares for it.
    pub(crate) ssrc: Option<u32>,
    /// The SSRC that the offer declares for its retransmissions.
    pub(crate) rtx_ssrc: Option<u32>,
}

impl Layer {
    /// Whether it may have this payload type.
    pub(crate) fn takes(&self, payload: &Payload) -> bool {
        self.payload_types.is_empty() || self.payload_types.contains(&payload.payload_type)
    }
}

/// An `a=rid` line of a sender.
struct Rid<'a> {
    name: &'a str,
    payload_types: Vec<u8>,
}

/// Reads the encodings that a publisher's video section offers to send, in the order in which it lists them. Empty
/// where there is one.
///
/// # Errors
///
/// [`OfferError::Malformed`] for rids that are no names or stand twice, and for two `a=simulcast` lines;
/// [`OfferError::Unsupported`] for more than four encodings.
pub(crate) fn read(attributes: &[Attribute], sources: &DeclaredSources) -> Result<Vec<Layer>, OfferError> {
    let rids = read_rids(attributes)?;
    let mut layers: Vec<Layer> = Vec::new();
    for stream in read_streams(attributes)?.unwrap_or_default().split(';') {
        // RFC 8853 5.1: alternatives, of which those that are not paused are preferred here.
        let alternatives = stream.split(',').map(str::trim).map(|name| match name.strip_prefix('~') {
            Some(name) => (name, true),
            None => (name, false),
        });
        let known = alternatives.filter_map(|(name, is_paused)| {
            let rid = rids.iter().find(|rid| rid.name == name)?;
            Some((rid, is_paused))
        });
        // The first of the least: the offer's order is kept among equals.
        let Some((rid, is_paused)) = known.min_by_key(|(_, is_paused)| *is_paused) else { continue };
        if layers.iter().any(|layer| layer.rid == rid.name) {
            return Err(OfferError::malformed("a=simulcast names a rid twice"));
        }
        layers.push(Layer {
            rid: rid.name.to_owned(),
            is_named: true,
            is_paused,
            payload_types: rid.payload_types.clone(),
            ssrc: None,
            rtx_ssrc: None,
        });
    }
    if layers.is_empty() && sources.is_simulcast {
        let number = |place: usize| Layer {
            rid: place.to_string(),
            is_named: false,
            is_paused: false,
            payload_types: Vec::new(),
            ssrc: None,
            rtx_ssrc: None,
        };
        layers = (0..sources.media.len()).map(number).collect();
    }
    if layers.len() > MAX_RIDS {
        return Err(too_many());
    }
    // The offer does not say which SSRC has which rid, but clients write both in one order.
    if layers.len() == sources.media.len() {
        for (layer, ssrc) in layers.iter_mut().zip(&sources.media) {
            (layer.ssrc, layer.rtx_ssrc) = (Some(*ssrc), sources.rtx_of(*ssrc));
        }
    }
    Ok(layers)
}

/// The encodings that an answer with these payload types accepts. Without `named`, their packets cannot carry a rid, so
/// they must be known by SSRC. One encoding without a name is no simulcast.
pub(crate) fn accept(offered: &[Layer], payloads: &[Payload], named: bool) -> Vec<Layer> {
    let mut layers = offered.to_vec();
    layers.retain(|layer| {
        let is_known = (layer.is_named && named) || layer.ssrc.is_some();
        is_known && payloads.iter().any(|payload| layer.takes(payload))
    });
    for layer in &mut layers {
        layer.payload_types.retain(|number| payloads.iter().any(|payload| payload.payload_type == *number));
    }
    let is_simulcast = layers.len() > 1 || layers.iter().any(|layer| layer.is_named);
    if is_simulcast { layers } else { Vec::new() }
}

/// The attribute lines that accept these encodings (RFC 8851 6.3, RFC 8853 5.3.2), without their `a=`.
pub(crate) fn answer(layers: &[Layer]) -> Vec<String> {
    let named: Vec<&Layer> = layers.iter().filter(|layer| layer.is_named).collect();
    if named.is_empty() {
        return Vec::new();
    }
    let rid = |layer: &&Layer| {
        let numbers: Vec<String> = layer.payload_types.iter().map(u8::to_string).collect();
        let limits = if numbers.is_empty() { String::new() } else { format!(" pt={}", numbers.join(",")) };
        format!("rid:{} recv{limits}", layer.rid)
    };
    let name = |layer: &&Layer| format!("{}{}", if layer.is_paused { "~" } else { "" }, layer.rid);
    let names: Vec<String> = named.iter().map(name).collect();
    named.iter().map(rid).chain([format!("simulcast:recv {}", names.join(";"))]).collect()
}

/// A section has more encodings than are accepted.
pub(crate) fn too_many() -> OfferError {
    OfferError::unsupported("a section offers more than 4 simulcast layers: offer 4 at most")
}

/// The `a=rid` lines of a sender (RFC 8851 10): name, direction and limits, of which only the payload types matter
/// here.
fn read_rids(attributes: &[Attribute]) -> Result<Vec<Rid<'_>>, OfferError> {
    let mut rids: Vec<Rid<'_>> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.key == "rid") {
        let mut words = attribute.value.as_deref().unwrap_or_default().split_ascii_whitespace();
        let (name, direction) = (words.next().unwrap_or_default(), words.next());
        if !is_rid(name) {
            return Err(OfferError::malformed("an a=rid line must name 1 to 64 letters, digits, - and _"));
        }
        if names.contains(&name) {
            return Err(OfferError::malformed("two a=rid lines of a section have one name"));
        }
        names.push(name);
        match direction {
            Some("send") => {}
            Some("recv") => continue,
            _ => return Err(OfferError::malformed("an a=rid line must say send or recv behind its name")),
        }
        let limits = words.next().unwrap_or_default();
        let numbers = limits.split(';').find_map(|limit| limit.trim().strip_prefix("pt="));
        let numbers = numbers.map(|numbers| numbers.split(',').map(str::parse).collect::<Result<Vec<u8>, _>>());
        let payload_types = numbers.transpose();
        let payload_types =
            payload_types.map_err(|_| OfferError::malformed("pt= of an a=rid line must list payload types"))?;
        rids.push(Rid { name, payload_types: payload_types.unwrap_or_default() });
    }
    Ok(rids)
}

/// The encodings that the one `a=simulcast` line offers to send (RFC 8853 10), as it lists them.
fn read_streams(attributes: &[Attribute]) -> Result<Option<&str>, OfferError> {
    let mut lines = attributes.iter().filter(|attribute| attribute.key == "simulcast");
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(OfferError::malformed("a section of the offer has two a=simulcast lines"));
    }
    let mut words = line.value.as_deref().unwrap_or_default().split_ascii_whitespace();
    let mut sent = None;
    while let Some(direction) = words.next() {
        let (Some(streams), "send" | "recv") = (words.next(), direction) else {
            return Err(OfferError::malformed("a=simulcast must list rids behind send or recv"));
        };
        if direction == "send" && sent.replace(streams).is_some() {
            return Err(OfferError::malformed("a=simulcast has two lists to send"));
        }
    }
    Ok(sent)
}

/// RFC 8851 10, as corrected: letters, digits, `-` and `_`.
pub(super) fn is_rid(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=LONGEST_RID).contains(&name.len()) && name.bytes().all(allowed)
}
