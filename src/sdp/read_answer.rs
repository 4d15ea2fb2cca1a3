//! The answer to an offer of the relay's own.
//!
//! It is read as an offer is, and then compared with what was offered. The rule: an answer that accepts something that
//! was not offered is refused, because the session would expect packets that it cannot read.

use std::net::SocketAddr;

use super::candidate;
use super::negotiated::Negotiated;
use super::offer::Offer;
use super::own_offer::OwnOffer;
use super::own_section::{OwnMedia, OwnSection};
use super::payload::Payload;
use super::section::{Content, OfferedMedia, OfferedSection};
use super::transport::Setup;
use super::{OfferError, own_section};
use crate::name::Role;

/// What both sides have agreed on after an answer.
pub struct Answered {
    /// The agreement; its own answer is empty.
    pub negotiated: Negotiated,
    /// The other side's addresses for UDP as it wrote them, best first: the caller decides which of them it may use.
    pub candidates: Vec<SocketAddr>,
}

/// Why an answer is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It breaks a rule of offers.
    #[error("the server's answer cannot be used; read as an offer, this is wrong with it: {0}")]
    Unusable(#[from] OfferError),
    /// It declines everything.
    #[error("the server accepts none of the media that was offered: check which codecs it supports")]
    NothingAccepted,
    /// It accepts something that was not offered.
    #[error("the server's answer does not fit the offer: {0}")]
    Unfitting(String),
}

impl OwnOffer {
    /// Reads the answer to this offer (RFC 3264 6, RFC 9429 5.3).
    ///
    /// # Errors
    /// [`AnswerError`] for text that would not be accepted as an offer, and for an answer that does not fit this one.
    pub fn read_answer(&self, answer: &str) -> Result<Answered, AnswerError> {
        let mut ports = answer.lines().filter(|line| line.starts_with("m=")).map(|line| line.split(' ').nth(1));
        if answer.contains("\nm=") && ports.all(|port| port == Some("0")) {
            return Err(AnswerError::NothingAccepted);
        }
        let read = Offer::parse(answer, self.role)?;
        self.check(&read)?;
        let mut negotiated = match self.role {
            Role::Publisher => read.answer_sender(&self.local)?,
            Role::Viewer => read.answer_viewer(&self.local, &self.formats)?,
        };
        negotiated.answer.clear();
        for section in negotiated.sections.iter_mut().filter(|_| self.role == Role::Viewer) {
            // The offer has declared its sources.
            if let Some(own) = self.sections.get(section.place).and_then(OwnSection::as_media) {
                section.ssrc = own.ssrc;
                section.rtx_ssrc = section.rtx_ssrc.map(|_| own.rtx_ssrc);
            }
        }
        Ok(Answered { negotiated, candidates: candidate::read(answer) })
    }

    /// Whether an answer has the sections of the offer in its order, and in each only what was offered.
    fn check(&self, answer: &Offer) -> Result<(), AnswerError> {
        if answer.sections.len() != self.sections.len() {
            let (answered, offered) = (answer.sections.len(), self.sections.len());
            return Err(unfitting(format!("it has {answered} sections and the offer {offered}")));
        }
        for (place, (own, section)) in (1..).zip(self.sections.iter().zip(&answer.sections)) {
            if section.media != own.media() {
                return Err(unfitting(format!("section {place} of the offer is for {}", own.media())));
            }
            match check_section(own, section) {
                Ok(()) => {}
                Err(sentence) => return Err(unfitting(format!("in section {place} ({}) {sentence}", own.media()))),
            }
        }
        Ok(())
    }
}

fn unfitting(sentence: String) -> AnswerError {
    AnswerError::Unfitting(sentence)
}

fn check_section(own: &OwnSection, section: &OfferedSection) -> Result<(), String> {
    if section.is_declined() {
        return Ok(());
    }
    if !section.is_named || section.mid != own.mid {
        return Err("a=mid is not that of the offer".to_owned());
    }
    // RFC 8842 5.3: the answerer chooses.
    if section.transport.setup == Some(Setup::ActPass) {
        return Err("a=setup must be active or passive".to_owned());
    }
    match (&own.content, &section.content) {
        (own_section::OwnContent::Media(own), Content::Media(media)) => check_media(own, media),
        _ => Ok(()),
    }
}

fn check_media(own: &OwnMedia, answered: &OfferedMedia) -> Result<(), String> {
    for payload in &answered.payloads {
        if !own.payloads.iter().any(|offered| is_offered(offered, payload)) {
            let codec = payload.format.codec.name();
            return Err(format!("payload type {} was not offered for {codec}", payload.payload_type));
        }
    }
    for mapping in &answered.extensions {
        if !own.extensions.contains(&(mapping.id, mapping.extension)) {
            return Err(format!("the a=extmap id {} was not offered for {}", mapping.id, mapping.extension.uri()));
        }
    }
    let is_asked_for = |rid: &String| own.rids.contains(rid);
    match answered.layers.iter().find(|layer| !layer.is_named || !is_asked_for(&layer.rid)) {
        Some(layer) => Err(format!("the simulcast encoding {} was not offered", layer.rid)),
        None => Ok(()),
    }
}

/// Whether an answered payload type is the offered one, with its retransmissions and redundant audio.
fn is_offered(offered: &Payload, answered: &Payload) -> bool {
    let line = |payload: &Payload| {
        let format = &payload.format;
        (payload.payload_type, format.codec, format.clock_rate, format.channels)
    };
    let red = answered.red.map(|red| red.payload_type);
    line(offered) == line(answered)
        && (answered.rtx_payload_type.is_none() || answered.rtx_payload_type == offered.rtx_payload_type)
        && (red.is_none() || red == offered.red.map(|red| red.payload_type))
}
