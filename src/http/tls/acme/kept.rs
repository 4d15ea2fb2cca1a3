//! The files of one authority in the state directory: the account, the certificate with its key, and the times of
//! orders. Their names contain the authority's URL, so a test with the staging directory of Let's Encrypt leaves the
//! files of its production directory unchanged. A file that cannot be read is replaced.

use instant_acme::AccountCredentials;
use serde::de::DeserializeOwned;
use tracing::warn;

use super::schedule::Attempts;
use crate::http::tls::certificate::Certificate;
use crate::state_dir::{StateDir, StateDirError};

/// The files of one authority.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    state: StateDir,
    /// The beginning of their names.
    prefix: String,
}

impl Kept {
    /// The files of the authority with this directory.
    pub(super) fn new(state: StateDir, directory: &str) -> Self {
        let place = directory.split_once("://").map_or(directory, |(_, place)| place);
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "-.".contains(char);
        let place: String = place.chars().map(|char| if is_plain(char) { char } else { '_' }).take(150).collect();
        Self { state, prefix: format!("acme_{place}_") }
    }

    /// Does `work` on a thread that may block, because the directory may be on a drive that does not answer.
    ///
    /// # Errors
    /// That of `work`, or [`StateDirError`] if `work` panics.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StateDirError> + Send + 'static,
    ) -> Result<T, StateDirError> {
        let own = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&own)).await;
        done.unwrap_or_else(|fault| Err(self.state.failed(fault.into())))
    }

    /// The certificate, if there is one for all these names. It may have expired.
    ///
    /// # Errors
    /// [`StateDirError`] if its file cannot be opened.
    pub(super) fn certificate(&self, domains: &[String]) -> Result<Option<Certificate>, StateDirError> {
        let Some(text) = self.state.read(&self.name("certificate.pem"))? else { return Ok(None) };
        let Some(kept) = Certificate::read(&text) else {
            warn!("the certificate in --state-dir cannot be read, and another one is ordered");
            return Ok(None);
        };
        Ok(kept.facts.has_names(domains).then_some(kept))
    }

    /// Keeps a certificate with its key, both PEM.
    ///
    /// # Errors
    /// [`StateDirError`].
    pub(super) fn put_certificate(&self, text: &str) -> Result<(), StateDirError> {
        self.state.write(&self.name("certificate.pem"), text.as_bytes())
    }

    /// The account.
    ///
    /// # Errors
    /// [`StateDirError`] if its file cannot be opened.
    pub(super) fn account(&self) -> Result<Option<AccountCredentials>, StateDirError> {
        self.json("account.json", "the account with the authority")
    }

    /// Keeps the account.
    ///
    /// # Errors
    /// [`StateDirError`].
    pub(super) fn put_account(&self, account: &AccountCredentials) -> Result<(), StateDirError> {
        self.state.write(&self.name("account.json"), &serde_json::to_vec(account).unwrap_or_default())
    }

    /// The record of former orders for these names.
    ///
    /// # Errors
    /// [`StateDirError`] if its file cannot be opened.
    pub(super) fn attempts(&self, domains: &[String]) -> Result<Attempts, StateDirError> {
        let kept: Option<Attempts> = self.json("orders.json", "the record of former orders")?;
        Ok(kept.unwrap_or_default().of(domains))
    }

    /// Keeps the record of orders.
    ///
    /// # Errors
    /// [`StateDirError`].
    pub(super) fn put_attempts(&self, attempts: &Attempts) -> Result<(), StateDirError> {
        self.state.write(&self.name("orders.json"), &serde_json::to_vec(attempts).unwrap_or_default())
    }

    fn json<T: DeserializeOwned>(&self, file: &str, what: &str) -> Result<Option<T>, StateDirError> {
        let Some(text) = self.state.read(&self.name(file))? else { return Ok(None) };
        let read = serde_json::from_slice(&text).ok();
        if read.is_none() {
            warn!("{what} in --state-dir cannot be read, and is replaced by a new one");
        }
        Ok(read)
    }

    fn name(&self, file: &str) -> String {
        format!("{}{file}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::SystemTime;

    use super::*;
    use crate::http::tls::place::Place;

    const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

    fn kept_in(place: &Place, directory: &str) -> Kept {
        Kept::new(StateDir::open(place.path()).unwrap(), directory)
    }

    fn files(place: &Place) -> Vec<PathBuf> {
        std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn pem(list: &[&str]) -> String {
        let made = rcgen::generate_simple_self_signed(names(list)).unwrap();
        made.cert.pem() + &made.signing_key.serialize_pem()
    }

    fn account() -> AccountCredentials {
        serde_json::from_str(r#"{"id":"https://ca.example/1","key_pkcs8":"AAAA","directory":"https://ca.example/"}"#)
            .unwrap()
    }

    fn fill(kept: &Kept) -> Attempts {
        let begun = Attempts::default().of(&names(&["a.example"])).begin(SystemTime::now(), 0.5);
        kept.put_certificate(&pem(&["a.example", "b.example"])).unwrap();
        kept.put_account(&account()).unwrap();
        kept.put_attempts(&begun).unwrap();
        begun
    }

    #[test]
    fn what_was_kept_is_read_back_for_its_names_and_its_authority_alone() {
        let place = Place::new("kept-back");
        let kept = kept_in(&place, DIRECTORY);
        let begun = fill(&kept);
        let one = names(&["a.example"]);
        assert_eq!(kept.certificate(&one).unwrap().unwrap().facts.names, ["a.example", "b.example"]);
        assert!(kept.certificate(&names(&["a.example", "c.example"])).unwrap().is_none());
        assert_eq!(kept.attempts(&one).unwrap(), begun);
        assert_eq!(kept.attempts(&names(&["c.example"])).unwrap().failures(), 0);
        assert!(kept.account().unwrap().is_some());
        let staging = kept_in(&place, "https://acme-staging-v02.api.letsencrypt.org/directory");
        assert!(staging.certificate(&one).unwrap().is_none() && staging.account().unwrap().is_none());
        assert_eq!(staging.attempts(&one).unwrap().failures(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_relays_user_may_read_what_is_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = Place::new("kept-mode");
        fill(&kept_in(&place, DIRECTORY));
        let files = files(&place);
        assert_eq!(files.len(), 3, "{files:?}");
        for file in files {
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
    }

    #[test]
    fn files_that_cannot_be_read_count_as_missing() {
        let place = Place::new("kept-broken");
        let kept = kept_in(&place, DIRECTORY);
        let one = names(&["a.example"]);
        for content in ["", "nonsense", "{}", "[1]", "\0"] {
            fill(&kept);
            for file in files(&place) {
                std::fs::write(file, content).unwrap();
            }
            assert!(kept.certificate(&one).unwrap().is_none() && kept.account().unwrap().is_none(), "{content:?}");
            assert_eq!(kept.attempts(&one).unwrap().failures(), 0, "{content:?}");
        }
    }

    #[test]
    fn a_url_of_any_characters_names_files_in_the_directory() {
        let place = Place::new("kept-names");
        let directory = format!("https://ca.example:14000/../dir?x=/{}", "y".repeat(999));
        let kept = kept_in(&place, &directory);
        assert!(
            kept.prefix.starts_with("acme_ca.example_14000_.._dir_x__") && !kept.prefix.contains('/'),
            "{}",
            kept.prefix
        );
        fill(&kept);
        assert_eq!(files(&place).len(), 3);
    }
}
