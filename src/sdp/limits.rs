//! The limits of an offer before it is parsed: its size, its lines and its sections.
//!
//! The rule: the cost of reading an offer is at most linear in its size and quadratic in what these constants limit.

use super::OfferError;
use super::format_parameters::own_parameters;
use crate::name::Role;

/// The largest offer, in bytes. Chromium's largest is 8 KiB with candidates.
pub(crate) const OFFER_LIMIT: usize = 64 * 1024;
/// Bytes of one line without its end.
const MAX_LINE: usize = 512;
/// Bytes of a line with format parameters: those of a publisher may hold its parameter sets (`sprop-parameter-sets`).
/// Without them it is at most as long as others, because the answer repeats it.
const MAX_FORMAT_LINE: usize = 2048;
/// Sections of a publisher: one audio, one video, one for data channels.
const MAX_SECTIONS: usize = 3;
/// Sections of a viewer: a page may offer to receive several of a kind, of which one is accepted.
const MAX_SECTIONS_OF_VIEWER: usize = 8;
/// Payload types in one section.
pub(crate) const MAX_PAYLOAD_TYPES: usize = 64;
/// Simulcast encodings in one section.
pub(crate) const MAX_RIDS: usize = 4;

/// Refuses text that is too large or has control characters.
pub(super) fn check(offer: &str, role: Role) -> Result<(), OfferError> {
    if offer.len() > OFFER_LIMIT {
        return Err(OfferError::malformed("the offer is longer than 64 KiB: send fewer candidates and codecs"));
    }
    let mut sections = 0;
    for (number, line) in (1..).zip(offer.split('\n')) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let is_format = line.starts_with("a=fmtp:");
        let limit = if is_format { MAX_FORMAT_LINE } else { MAX_LINE };
        if line.len() > limit {
            return Err(OfferError::malformed(format!("line {number} of the offer is longer than {limit} bytes")));
        }
        if is_format && own_parameters(line).len() > MAX_LINE {
            return Err(OfferError::malformed(format!(
                "line {number} of the offer has more than {MAX_LINE} bytes of format parameters besides sprop-"
            )));
        }
        if line.contains(char::is_control) {
            return Err(OfferError::malformed(format!("line {number} of the offer has a control character")));
        }
        sections += usize::from(line.starts_with("m="));
    }
    let (most, sentence) = match role {
        Role::Publisher => (
            MAX_SECTIONS,
            "the offer has more than 3 sections: offer one audio, one video and one data section at most",
        ),
        Role::Viewer => (
            MAX_SECTIONS_OF_VIEWER,
            "the offer has more than 8 sections: one audio, one video and one data section can be answered, so offer those",
        ),
    };
    if sections > most { Err(OfferError::unsupported(sentence)) } else { Ok(()) }
}

/// True for a token of RFC 8866 9 that is short enough to be written into an answer.
pub(crate) fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_any(offer: &str) -> Result<(), OfferError> {
        check(offer, Role::Publisher)
    }

    #[test]
    fn bounds_the_size_the_lines_and_the_sections() {
        assert_eq!(check_any("v=0\r\nm=a\r\nm=b\nm=c\n"), Ok(()));
        assert_eq!(check_any(&format!("a={}\r\n", "x".repeat(510))), Ok(()));
        assert!(matches!(check_any(&format!("a={}\r\n", "x".repeat(511))), Err(OfferError::Malformed(_))));
        let sets = |octets: usize| format!("a=fmtp:96 a=1;sprop-parameter-sets={};b=2\r\n", "A".repeat(octets));
        assert_eq!(check_any(&sets(2048 - 39)), Ok(()));
        assert!(matches!(check_any(&sets(2049 - 39)), Err(OfferError::Malformed(_))));
        assert!(matches!(check_any(&format!("a=fmtp:96 {}\r\n", "x".repeat(510))), Err(OfferError::Malformed(_))));
        assert!(matches!(check_any(&"a=x\n".repeat(17_000)), Err(OfferError::Malformed(_))));
        for (role, most) in [(Role::Publisher, 3), (Role::Viewer, 8)] {
            assert_eq!(check(&"m=audio\n".repeat(most), role), Ok(()));
            assert!(matches!(check(&"m=audio\n".repeat(most + 1), role), Err(OfferError::Unsupported(_))));
        }
    }

    #[test]
    fn refuses_control_characters_and_carriage_returns_inside_a_line() {
        for hostile in ["a=x\0", "a=x\ra=y", "a=\u{1b}[31m", "a=\u{85}", "a=x\t"] {
            assert!(matches!(check_any(hostile), Err(OfferError::Malformed(_))), "{hostile:?}");
        }
    }

    #[test]
    fn a_token_has_no_space_colon_or_line_end() {
        assert!(is_token("0") && is_token("video-1_a.b") && is_token("{7e3f}"));
        for bad in ["", "a b", "a:b", "a\r\nb", "ä", "a/b", "\"", &"x".repeat(65)] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }
}
