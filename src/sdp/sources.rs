//! The SSRCs that a section of a publisher declares (RFC 5576).

use rtc::sdp::description::common::Attribute;

use super::OfferError;
use super::limits::MAX_RIDS;

/// Distinct `a=ssrc` numbers that are read; a section of four encodings with retransmissions has eight.
const MAX_SOURCES: usize = 16;

/// The declared SSRCs of a section.
#[derive(Debug, Default)]
pub(crate) struct DeclaredSources {
    /// Of the media, one for each encoding, in the offer's order.
    pub(crate) media: Vec<u32>,
    /// Media and retransmissions of it (RFC 4588, `FID`).
    pairs: Vec<(u32, u32)>,
    /// A `SIM` group says that the media sources are encodings of one video.
    pub(crate) is_simulcast: bool,
}

impl DeclaredSources {
    /// Reads `a=ssrc` and `a=ssrc-group` (RFC 5576 4.1, 4.2).
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self, OfferError> {
        let number = |text: &str| {
            text.parse::<u32>().map_err(|_| OfferError::malformed("an SSRC in the offer must be a 32-bit number"))
        };
        let mut declared: Vec<u32> = Vec::new();
        let mut layers: Vec<u32> = Vec::new();
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for attribute in attributes {
            let Some(value) = attribute.value.as_deref() else { continue };
            let mut words = value.split_ascii_whitespace();
            match attribute.key.as_str() {
                "ssrc" if declared.len() < MAX_SOURCES => {
                    let ssrc = words.next().map(number).transpose()?;
                    declared.extend(ssrc.filter(|ssrc| !declared.contains(ssrc)));
                }
                "ssrc-group" => match words.next() {
                    Some("FID") if pairs.len() < MAX_RIDS => {
                        if let (Some(media), Some(rtx)) = (words.next(), words.next()) {
                            pairs.push((number(media)?, number(rtx)?));
                        }
                    }
                    // One more than is accepted is read, to refuse it.
                    Some("SIM") if layers.is_empty() => {
                        layers = words.take(MAX_RIDS + 1).map(number).collect::<Result<_, _>>()?;
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        let is_simulcast = layers.len() > 1;
        let media = match (layers.is_empty(), pairs.is_empty()) {
            (false, _) => layers,
            (true, false) => pairs.iter().map(|(media, _)| *media).collect(),
            (true, true) => declared,
        };
        Ok(Self { media, pairs, is_simulcast })
    }

    /// The retransmissions of a media source.
    pub(crate) fn rtx_of(&self, ssrc: u32) -> Option<u32> {
        self.pairs.iter().find(|(media, _)| *media == ssrc).map(|(_, rtx)| *rtx)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = u32> {
        self.media.iter().copied().chain(self.pairs.iter().flat_map(|(media, rtx)| [*media, *rtx]))
    }
}
