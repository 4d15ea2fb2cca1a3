//! Random ICE credentials and entity tags of sessions, which must not be guessed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ice::Credentials;

/// ICE credentials with 48 and 144 random bits (RFC 8445 5.3 asks for 24 and 128).
pub(crate) fn random_credentials() -> Credentials {
    Credentials { ufrag: random_text::<6>(), pwd: random_text::<18>() }
}

/// An entity tag with 72 random bits, with its quotes.
pub(crate) fn random_etag() -> String {
    format!("\"{}\"", random_text::<9>())
}

/// `N` random bytes in the `ice-char` alphabet (RFC 8839 5.4), which is that of standard base64.
fn random_text<const N: usize>() -> String {
    let bytes: [u8; N] = std::array::from_fn(|_| rand::random());
    URL_SAFE_NO_PAD.encode(bytes).replace('-', "+").replace('_', "/")
}
