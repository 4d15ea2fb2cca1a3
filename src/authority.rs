//! The root certificates of a private authority, from a PEM file that a setting names.

use std::path::Path;

use ureq::tls::{Certificate, PemItem, parse_pem};

use crate::setting::{file_advice, read_file};

/// The certificates in a PEM file. The error says what is wrong with the file and what to do.
pub(crate) fn authority_certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let text = read_file(path).map_err(|error| file_advice(&error))?;
    let items: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if items.is_empty() {
        return Err("it has no certificate: write the authority's root as PEM".to_owned());
    }
    Ok(items)
}
