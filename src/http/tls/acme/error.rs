//! Why an order gave no certificate; each text says what to do.

use std::path::PathBuf;
use std::time::Duration;

use instant_acme::{Error, Problem};

use crate::state_dir::StateDirError;

/// Maximum characters of an authority's own words in the log.
const WORDS: usize = 400;

/// Why an order gave no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The authority does not answer.
    #[error(
        "cannot ask the authority at {directory}: {cause}; check the DNS of this machine, that it may connect to the \
         authority's port, and with a private authority --acme-ca"
    )]
    Unreachable {
        /// The URL of its directory.
        directory: String,
        /// What failed.
        cause: String,
    },
    /// The authority accepts no more requests or orders for now.
    #[error(
        "the authority limits its orders: {0}; order again later, and use its staging directory for tests (--acme-directory)"
    )]
    Limited(String),
    /// The authority could not verify that a name belongs to this machine.
    #[error(
        "the authority cannot validate {domain}: {words}; its A and AAAA records must lead to this machine, and port 443 \
         there to the relay by TCP"
    )]
    NotValidated {
        /// The name.
        domain: String,
        /// What the authority says.
        words: String,
    },
    /// The authority requires another challenge.
    #[error(
        "the authority does not offer tls-alpn-01 for {0}, the one challenge that the relay answers: get the certificate by \
         another program, and name its files with --tls-cert and --tls-key"
    )]
    NoChallenge(String),
    /// The authority requires an account that is registered with it elsewhere.
    #[error(
        "the authority issues only to accounts that are registered with it elsewhere, which the relay cannot use: choose \
         another one with --acme-directory"
    )]
    NeedsAccount,
    /// The authority refuses the order.
    #[error("the authority refuses the order: {0}; correct --domain, or the CAA records of the names")]
    Refused(String),
    /// The authority reports an internal error.
    #[error("the authority has a fault of its own: {0}; the relay orders again")]
    Failing(String),
    /// The authority's answer is not one of ACME.
    #[error("the authority's answer cannot be used: {0}; check --acme-directory")]
    Unusable(String),
    /// The authority does not decide in time.
    #[error("the authority did not complete the order in time")]
    TooSlow,
    /// There is no state directory.
    #[error("certificates are ordered only with a directory that keeps them: set --state-dir")]
    NoStateDir,
    /// The state directory is not usable.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// The file of `--acme-ca` is not usable.
    #[error("cannot use {path} (--acme-ca): {complaint}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        complaint: String,
    },
}

/// An order has failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}; the next order is in {}, or at a reload unless the authority named that time", rounded(*pause))]
pub struct FailedOrder {
    /// Why.
    pub(super) error: AcmeError,
    /// How long it is until the next order begins.
    pub(super) pause: Duration,
}

impl AcmeError {
    /// What a failed exchange with the authority at `directory` means.
    pub(super) fn of(error: Error, directory: &str) -> Self {
        match error {
            Error::Api(problem) => Self::of_problem(&problem),
            Error::Other(cause) if cause.is::<ureq::Error>() => {
                Self::Unreachable { directory: directory.to_owned(), cause: words(&cause.to_string()) }
            }
            Error::Timeout(_) => Self::TooSlow,
            other => Self::Unusable(words(&other.to_string())),
        }
    }

    fn of_problem(problem: &Problem) -> Self {
        let words = words(&sentence(problem));
        match kind(problem) {
            "rateLimited" => Self::Limited(words),
            "externalAccountRequired" => Self::NeedsAccount,
            "serverInternal" => Self::Failing(words),
            _ => Self::Refused(words),
        }
    }

    /// What it means that the authority could not validate a name.
    pub(super) fn not_validated(domain: String, problem: &Problem) -> Self {
        match kind(problem) {
            "rateLimited" | "caa" | "rejectedIdentifier" => Self::of_problem(problem),
            _ => Self::NotValidated { domain, words: words(&sentence(problem)) },
        }
    }
}

/// The last part of a problem's type (RFC 8555 6.7).
pub(super) fn kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().and_then(|uri| uri.strip_prefix("urn:ietf:params:acme:error:")).unwrap_or_default()
}

/// The details of a problem and of its subproblems.
fn sentence(problem: &Problem) -> String {
    let inner = problem.subproblems.iter().filter_map(|inner| inner.detail.as_deref());
    let parts: Vec<&str> = problem.detail.as_deref().into_iter().chain(inner).collect();
    if parts.is_empty() { kind(problem).to_owned() } else { parts.join(", ") }
}

/// An authority's own words, on one line and of bounded length.
fn words(text: &str) -> String {
    text.chars().take(WORDS).map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// A duration in the largest unit that is exact enough.
fn rounded(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str, detail: &str) -> Problem {
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        serde_json::from_value(serde_json::json!({ "type": kind, "detail": detail })).unwrap()
    }

    #[test]
    fn what_an_authority_refuses_becomes_one_sentence_that_says_what_to_do() {
        for (kind, part) in [
            ("rateLimited", "limits its orders: no; order again later"),
            ("externalAccountRequired", "another one with --acme-directory"),
            ("rejectedIdentifier", "correct --domain"),
            ("serverInternal", "fault of its own: no"),
        ] {
            let sentence = AcmeError::of(Error::Api(problem(kind, "no")), "https://ca.example/").to_string();
            assert!(sentence.contains(part), "{sentence}");
        }
        let not_validated = |kind| AcmeError::not_validated("live.example.org".to_owned(), &problem(kind, "no"));
        assert!(not_validated("connection").to_string().contains("live.example.org: no; its A and AAAA records"));
        assert!(not_validated("caa").to_string().contains("CAA records"));
        assert!(matches!(not_validated("rateLimited"), AcmeError::Limited(_)));
        let json = serde_json::from_str::<u8>("<html>").unwrap_err();
        assert!(AcmeError::of(Error::Json(json), "x").to_string().contains("check --acme-directory"));
        let away = Error::Other(Box::new(ureq::Error::HostNotFound));
        assert!(AcmeError::of(away, "https://ca.example/").to_string().contains("at https://ca.example/: "));
    }

    #[test]
    fn the_words_of_an_authority_are_one_line_of_bounded_length() {
        let long = "a\n\x1b[2J".to_owned() + &"b".repeat(9999);
        let sentence = AcmeError::of(Error::Api(problem("malformed", &long)), "x").to_string();
        assert!(sentence.len() < 600 && !sentence.contains(['\n', '\x1b']), "{sentence}");
    }
}
