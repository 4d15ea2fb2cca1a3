//! The body of a PATCH: an SDP fragment (`application/trickle-ice-sdpfrag`, RFC 8840 9) that brings candidates or asks
//! for an ICE restart, and the fragment that answers a restart (RFC 9725 4.3.3).
//!
//! The rule: a client's candidates are only counted. The relay never sends to an address from SDP, so a candidate that
//! it could not use is not an error.

use std::fmt::Write as _;

use super::Candidates;
use crate::ice::{Credentials, InvalidCredentials};

/// The largest fragment, in bytes.
pub(crate) const FRAGMENT_LIMIT: usize = 8 * 1024;
/// Octets of one line without its end.
const MAX_LINE: usize = 512;

/// A client's fragment.
pub struct TrickleFragment {
    /// The client's ICE credentials, where it names both. In a restart they are new.
    pub credentials: Option<Credentials>,
    /// How many candidates it brings.
    pub candidates: usize,
    /// True when it says that no more candidates come.
    pub end_of_candidates: bool,
    /// The first `m=` line and its `a=mid`, which the answer to a restart repeats.
    section: Option<Section>,
}

struct Section {
    media: String,
    mid: Option<String>,
}

/// Why a text is not a fragment: HTTP 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// Longer than a browser's candidates could ever be.
    #[error("the fragment is longer than 8 KiB, or one of its lines than 512 bytes")]
    TooLong,
    /// A line that is not SDP.
    #[error("line {0} of the fragment is no line of SDP, such as a=candidate:...")]
    Line(usize),
    /// Neither candidates nor credentials.
    #[error("the fragment brings nothing: it needs a=candidate or a=end-of-candidates, or a=ice-ufrag and a=ice-pwd")]
    Empty,
    /// A password that belongs to nothing.
    #[error("a=ice-pwd needs a=ice-ufrag beside it")]
    LonePassword,
    /// Two generations of ICE in one fragment.
    #[error("all sections share one transport: a=ice-ufrag and a=ice-pwd must be the same in each")]
    Contradiction,
    /// Credentials that ICE does not allow.
    #[error(transparent)]
    Credentials(#[from] InvalidCredentials),
}

impl TrickleFragment {
    /// Parses the body of a PATCH.
    ///
    /// # Errors
    ///
    /// When the text is too long, has a line that is none of SDP, contradicts itself or brings nothing.
    pub fn parse(text: &str) -> Result<Self, FragmentError> {
        if text.len() > FRAGMENT_LIMIT {
            return Err(FragmentError::TooLong);
        }
        let mut fragment = Self { credentials: None, candidates: 0, end_of_candidates: false, section: None };
        let (mut ufrag, mut pwd, mut sections) = (None, None, 0);
        for (number, line) in (1..).zip(text.lines()) {
            if line.is_empty() {
                continue;
            }
            if line.len() > MAX_LINE {
                return Err(FragmentError::TooLong);
            }
            let (field, value) = split(line).ok_or(FragmentError::Line(number))?;
            if field == b'm' {
                sections += 1;
                fragment.section.get_or_insert_with(|| Section { media: value.to_owned(), mid: None });
            }
            if field != b'a' {
                continue;
            }
            let (name, value) = value.split_once(':').unwrap_or((value, ""));
            match name {
                "candidate" => fragment.candidates += 1,
                "end-of-candidates" => fragment.end_of_candidates = true,
                "ice-ufrag" => keep_same(&mut ufrag, value)?,
                "ice-pwd" => keep_same(&mut pwd, value)?,
                "mid" if sections == 1 => {
                    fragment.section.iter_mut().for_each(|section| section.mid = Some(value.to_owned()));
                }
                _ => {}
            }
        }
        fragment.credentials = match (ufrag, pwd) {
            (Some(ufrag), Some(pwd)) => Some(Credentials::parse(ufrag, pwd)?),
            (None, Some(_)) => return Err(FragmentError::LonePassword),
            (_, None) => None,
        };
        if fragment.candidates == 0 && !fragment.end_of_candidates && fragment.credentials.is_none() {
            return Err(FragmentError::Empty);
        }
        Ok(fragment)
    }

    /// The answer to this fragment where it asked for an ICE restart: the relay's new credentials and its candidates,
    /// best first, in the section that the client named.
    pub fn answer_restart(&self, local: &Credentials, candidates: &Candidates) -> String {
        let mut answer = String::from("a=ice-lite\r\na=ice-options:trickle\r\n");
        if let Some(section) = &self.section {
            push(&mut answer, format_args!("m={}", section.media));
            if let Some(mid) = &section.mid {
                push(&mut answer, format_args!("a=mid:{mid}"));
            }
        }
        push(&mut answer, format_args!("a=ice-ufrag:{}", local.ufrag));
        push(&mut answer, format_args!("a=ice-pwd:{}", local.pwd));
        for value in candidates.values() {
            push(&mut answer, format_args!("a=candidate:{value}"));
        }
        answer.push_str("a=end-of-candidates\r\n");
        answer
    }
}

/// The type and the value of a line, if it is one: a letter, `=`, and no control character.
fn split(line: &str) -> Option<(u8, &str)> {
    let (field, value) = line.split_once('=')?;
    let [letter @ b'a'..=b'z'] = field.as_bytes() else {
        return None;
    };
    (!value.is_empty() && !value.contains(char::is_control)).then_some((*letter, value))
}

fn keep_same<'a>(kept: &mut Option<&'a str>, value: &'a str) -> Result<(), FragmentError> {
    match kept.replace(value) {
        Some(earlier) if earlier != value => Err(FragmentError::Contradiction),
        _ => Ok(()),
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    write!(text, "{line}\r\n").expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRICKLE: &str = "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n\
        a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
        a=candidate:3471623853 1 udp 2122194687 0b1b.local 61765 typ host\r\na=end-of-candidates\r\n";

    fn error(text: &str) -> Option<FragmentError> {
        TrickleFragment::parse(text).err()
    }

    #[test]
    fn reads_the_credentials_and_counts_the_candidates_of_a_trickle() {
        let fragment = TrickleFragment::parse(TRICKLE).unwrap();
        assert_eq!((fragment.candidates, fragment.end_of_candidates), (2, true));
        assert_eq!(fragment.credentials.unwrap().ufrag, "EsAw");
    }

    #[test]
    fn takes_the_shapes_that_clients_send() {
        let bare = TrickleFragment::parse("a=candidate:1 1 tcp 1 example.invalid 9 typ host tcptype active\n").unwrap();
        assert!(bare.credentials.is_none() && bare.candidates == 1);
        assert!(TrickleFragment::parse("a=ice-ufrag:EsAw\r\na=end-of-candidates\r\n").unwrap().credentials.is_none());
        let twice = "m=audio 9 RTP/AVP 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n";
        assert!(TrickleFragment::parse(&twice.repeat(2)).unwrap().credentials.is_some());
    }

    #[test]
    fn answers_a_restart_in_the_section_that_the_client_named() {
        let fragment =
            TrickleFragment::parse(&format!("{TRICKLE}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n")).unwrap();
        let local = Credentials { ufrag: "new1".to_owned(), pwd: "newpasswordnewpassword".to_owned() };
        let addresses = ["203.0.113.7:8081", "[2001:db8::7]:8081"].map(|text| text.parse().unwrap()).to_vec();
        let candidates = Candidates { udp: addresses, tcp: Vec::new() };
        assert_eq!(
            fragment.answer_restart(&local, &candidates),
            "a=ice-lite\r\na=ice-options:trickle\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:new1\r\n\
             a=ice-pwd:newpasswordnewpassword\r\na=candidate:1 1 udp 2130706431 203.0.113.7 8081 typ host\r\n\
             a=candidate:2 1 udp 2130706175 2001:db8::7 8081 typ host\r\na=end-of-candidates\r\n"
        );
        assert!(TrickleFragment::parse(&fragment.answer_restart(&local, &candidates)).is_ok());
    }

    #[test]
    fn what_is_no_fragment_is_refused_with_the_reason() {
        assert_eq!(error(""), Some(FragmentError::Empty));
        assert_eq!(error("a=mid:0\r\n"), Some(FragmentError::Empty));
        assert_eq!(error("a=ice-ufrag:EsAw\r\n"), Some(FragmentError::Empty));
        assert_eq!(error("{\"candidate\":\"\"}"), Some(FragmentError::Line(1)));
        assert_eq!(error("a=candidate:1\r\na=x\0\r\n"), Some(FragmentError::Line(2)));
        assert_eq!(error("a=\r\n"), Some(FragmentError::Line(1)));
        assert_eq!(error("a=ice-pwd:0123456789012345678901\r\n"), Some(FragmentError::LonePassword));
        assert_eq!(error("a=ice-ufrag:abcd\na=ice-ufrag:efgh\n"), Some(FragmentError::Contradiction));
        let short = "a=ice-ufrag:abcd\na=ice-pwd:short\n";
        assert_eq!(error(short), Some(FragmentError::Credentials(InvalidCredentials::Pwd)));
        assert_eq!(error(&format!("a={}\n", "x".repeat(511))), Some(FragmentError::TooLong));
        assert_eq!(error(&"a=candidate:1\n".repeat(600)), Some(FragmentError::TooLong));
    }

    proptest! {
        #[test]
        fn any_text_is_a_fragment_or_an_error(text in "\\PC*") {
            let _ = TrickleFragment::parse(&text);
        }

        #[test]
        fn lines_of_sdp_in_any_order_are_a_fragment_or_an_error(lines in prop::collection::vec(
            prop::sample::select(TRICKLE.lines().collect::<Vec<_>>()), 0..20,
        )) {
            let _ = TrickleFragment::parse(&lines.join("\r\n"));
        }
    }
}
