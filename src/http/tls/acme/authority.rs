//! The root certificates of a private authority, from the file of `--acme-ca`.

use std::path::Path;

use ureq::tls::{Certificate, PemItem, parse_pem};

use super::error::AcmeError;
use crate::setting::{file_advice, read_file};

/// The certificates in a PEM file.
///
/// # Errors
/// [`AcmeError::Authority`] if it cannot be read or has none.
pub(super) fn authority_certificates(path: &Path) -> Result<Vec<Certificate<'static>>, AcmeError> {
    let failed = |complaint: String| AcmeError::Authority { path: path.to_owned(), complaint };
    let text = read_file(path).map_err(|error| failed(file_advice(&error)))?;
    let items: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if items.is_empty() {
        return Err(failed("it has no certificate: write the authority's root as PEM".to_owned()));
    }
    Ok(items)
}
