//! Names by which clients open the relay although the certificate is not for them: browsers refuse it there.
//!
//! Each name is logged once for each certificate, and no more than [`MOST`] of them, because anyone can ask for any name.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::certificate::Facts;

/// Names that are logged for one certificate.
const MOST: usize = 16;

/// The names of the certificate in use, and those that were logged. Handshakes read and write; a renewal writes.
#[derive(Debug)]
pub(super) struct NamesAsked {
    /// What an operator does about a name that is missing; `None` if every client is warned of the certificate anyway.
    advice: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` until the certificate is one that clients accept.
    facts: Option<Facts>,
    noted: BTreeSet<String>,
}

impl NamesAsked {
    pub(super) fn new(advice: Option<String>, facts: Option<Facts>) -> Self {
        Self { advice, state: Mutex::new(State { facts, noted: BTreeSet::new() }) }
    }

    /// A sentence for the log about a client that asks for `name`, if one is due.
    pub(super) fn note(&self, name: &str) -> Option<String> {
        let advice = self.advice.as_ref()?;
        let mut state = self.state();
        let facts = state.facts.as_ref().filter(|facts| !facts.is_for(name))?;
        let sentence = format!(
            "a client opens the relay as {name}, and the certificate is only for {}: browsers refuse it under that name; \
             {advice}",
            facts.names.join(", ")
        );
        (state.noted.len() < MOST && state.noted.insert(name.to_owned())).then_some(sentence)
    }

    /// Takes the facts of a new certificate. Returns a sentence for the log if names of the one before are missing.
    pub(super) fn renew(&self, newer: &Facts) -> Option<String> {
        let mut state = self.state();
        let before = std::mem::replace(&mut *state, State { facts: Some(newer.clone()), noted: BTreeSet::new() });
        let names = before.facts.map(|facts| facts.names).unwrap_or_default();
        let lost: Vec<String> = names.into_iter().filter(|name| !newer.is_for(name)).collect();
        let advice = self.advice.as_ref().filter(|_| !lost.is_empty())?;
        Some(format!(
            "the new certificate is not for {}, as the one before was: browsers refuse it under that name; {advice}",
            lost.join(", ")
        ))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn facts(names: &[&str]) -> Facts {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Facts { names, valid_from: SystemTime::UNIX_EPOCH, expires: SystemTime::UNIX_EPOCH }
    }

    fn asked(names: &[&str]) -> NamesAsked {
        NamesAsked::new(Some("write another one".to_owned()), Some(facts(names)))
    }

    #[test]
    fn a_name_that_the_certificate_is_not_for_is_one_line_with_what_to_do() {
        let asked = asked(&["live.example.org", "*.cdn.example.org"]);
        for own in ["live.example.org", "LIVE.example.org", "a.cdn.example.org"] {
            assert_eq!(asked.note(own), None, "{own}");
        }
        let line = asked.note("www.example.org").unwrap();
        for part in ["opens the relay as www.example.org", "for live.example.org, *.cdn", "write another one"] {
            assert!(line.contains(part), "{line}");
        }
        assert_eq!(asked.note("www.example.org"), None, "one line says it");
        for other in ["cdn.example.org", "a.b.cdn.example.org"] {
            assert!(asked.note(other).is_some(), "{other}");
        }
        let lines = (0..100).filter(|number| asked.note(&format!("{number}.example.com")).is_some());
        assert_eq!(lines.count(), MOST - 3, "names that clients invent do not fill the log");
    }

    #[test]
    fn a_renewed_certificate_without_a_name_of_the_one_before_is_one_line() {
        let asked = asked(&["live.example.org", "www.example.org"]);
        assert!(asked.note("a.example.org").is_some());
        let line = asked.renew(&facts(&["live.example.org"])).unwrap();
        assert!(line.contains("is not for www.example.org, as the one before"), "{line}");
        assert!(asked.note("www.example.org").is_some() && asked.note("a.example.org").is_some());
        assert_eq!(asked.renew(&facts(&["*.example.org"])), None, "a wildcard is for it too");
    }

    #[test]
    fn a_certificate_that_every_client_is_warned_of_causes_no_line() {
        let own = NamesAsked::new(None, Some(facts(&["localhost"])));
        assert_eq!((own.note("a.example"), own.renew(&facts(&[]))), (None, None));
        let not_yet = NamesAsked::new(Some(String::new()), None);
        assert_eq!(not_yet.note("a.example"), None);
    }
}
