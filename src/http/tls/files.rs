//! The certificate and the key in two files, and when they have changed. A program that renews them writes one after
//! the other, so a pair that does not fit is an error only if it is still the same at the next look.

use std::io;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

use super::certificate::{Certificate, chain, key};
use super::error::TlsError;
use crate::setting::read_file;

/// The two files, and which content of them is known.
#[derive(Debug)]
pub(super) struct Files {
    cert: PathBuf,
    key: PathBuf,
    /// The content that was last reported, as a certificate or as an error.
    settled: Option<Content>,
    /// A content that does not fit, which may be half of a change.
    suspect: Option<Content>,
}

/// What tells one content of the two files from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Read([u8; 32]),
    Unreadable(io::ErrorKind),
}

impl Files {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// [`TlsError`] that names the file and says what to do.
    pub(super) fn open(cert: PathBuf, key: PathBuf) -> Result<(Self, Certificate), TlsError> {
        let (content, certificate) = look(&cert, &key);
        Ok((Self { cert, key, settled: Some(content), suspect: None }, certificate?))
    }

    /// Reads the files again: a new certificate, or what is wrong with the changed files; `None` if all is as before.
    pub(super) fn changed(&mut self) -> Option<Result<Certificate, TlsError>> {
        let (content, certificate) = look(&self.cert, &self.key);
        if self.settled.as_ref() == Some(&content) {
            self.suspect = None;
            return None;
        }
        if certificate.is_err() && self.suspect.as_ref() != Some(&content) {
            self.suspect = Some(content);
            return None;
        }
        self.settled = Some(content);
        self.suspect = None;
        Some(certificate)
    }

    /// The certificate's file.
    pub(super) fn cert(&self) -> &Path {
        &self.cert
    }
}

fn look(cert: &Path, key_path: &Path) -> (Content, Result<Certificate, TlsError>) {
    let unreadable = |path: &Path, flag: &'static str, error: io::Error| {
        let content = Content::Unreadable(error.kind());
        (content, Err(TlsError::Unreadable { path: path.to_owned(), flag, error }))
    };
    let chain_text = match read_file(cert) {
        Ok(text) => text,
        Err(error) => return unreadable(cert, "--tls-cert", error),
    };
    let key_text = match read_file(key_path) {
        Ok(text) => text,
        Err(error) => return unreadable(key_path, "--tls-key", error),
    };
    let digests = [&chain_text, &key_text].map(|text| digest(&SHA256, text));
    let both = digest(&SHA256, &[digests[0].as_ref(), digests[1].as_ref()].concat());
    let content = Content::Read(both.as_ref().try_into().expect("SHA-256 has 32 octets"));
    (content, pair(cert, &chain_text, key_path, &key_text))
}

fn pair(cert: &Path, chain_text: &[u8], key_path: &Path, key_text: &[u8]) -> Result<Certificate, TlsError> {
    let chain = chain(chain_text).map_err(|fault| TlsError::Chain { path: cert.to_owned(), fault })?;
    let key = key(key_text).map_err(|fault| TlsError::Key { path: key_path.to_owned(), fault })?;
    let mismatch = || TlsError::Mismatch { cert: cert.to_owned(), key: key_path.to_owned() };
    Certificate::join(chain, key).ok_or_else(mismatch)
}

#[cfg(test)]
mod tests {
    use std::fs::write;

    use super::*;
    use crate::http::tls::place::Place;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["live.example.org".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_pair_that_is_written_one_file_after_the_other_is_taken_when_it_fits() {
        let place = Place::new("pair");
        let (cert, key) = (place.file("cert.pem"), place.file("key.pem"));
        let ((first, first_key), (second, second_key)) = (pair(), pair());
        write(&cert, first).unwrap();
        write(&key, first_key).unwrap();
        let (mut files, before) = Files::open(cert.clone(), key.clone()).unwrap();
        assert!(files.changed().is_none());
        write(&cert, second).unwrap();
        assert!(files.changed().is_none(), "the key may follow");
        write(&key, second_key).unwrap();
        let after = files.changed().unwrap().unwrap();
        assert_ne!(after.key.cert, before.key.cert);
        assert!(files.changed().is_none());
    }

    #[test]
    fn files_that_stay_wrong_are_an_error_once_until_they_change() {
        let place = Place::new("wrong");
        let (cert, key) = (place.file("cert.pem"), place.file("key.pem"));
        let ((first, first_key), (_, other_key)) = (pair(), pair());
        write(&cert, &first).unwrap();
        write(&key, &first_key).unwrap();
        let (mut files, _) = Files::open(cert, key.clone()).unwrap();
        for (content, part) in [(other_key.as_str(), "does not belong"), ("", "has no private key")] {
            write(&key, content).unwrap();
            assert!(files.changed().is_none());
            let sentence = files.changed().unwrap().unwrap_err().to_string();
            assert!(sentence.contains(part) && sentence.contains("key.pem"), "{sentence}");
            assert!(files.changed().is_none() && files.changed().is_none(), "one line says it");
        }
        std::fs::remove_file(&key).unwrap();
        assert!(files.changed().is_none());
        assert!(files.changed().unwrap().unwrap_err().to_string().contains("does not exist"));
        write(&key, &first_key).unwrap();
        assert!(files.changed().unwrap().is_ok());
    }

    #[test]
    fn files_that_cannot_be_served_are_refused_by_name_with_what_to_do() {
        let place = Place::new("refused");
        let (cert, key) = (place.file("cert.pem"), place.file("key.pem"));
        let (first, first_key) = pair();
        let open = |cert: &PathBuf, key: &PathBuf| Files::open(cert.clone(), key.clone()).unwrap_err().to_string();
        assert!(open(&cert, &key).contains("cert.pem (--tls-cert): the file does not exist"));
        write(&cert, &first).unwrap();
        assert!(open(&cert, &key).contains("key.pem (--tls-key): the file does not exist"));
        write(&key, &first_key).unwrap();
        assert!(open(&key, &cert).contains("exchange the files"));
        assert!(open(&place.path().to_owned(), &key).contains("it is a directory"));
        write(&key, pair().1).unwrap();
        assert!(open(&cert, &key).contains("issued together"));
    }
}
