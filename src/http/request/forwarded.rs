//! The client of a request that another node sends on: its address, and the digest of what it shows. The node that the
//! client has reached judges its token, so that no token travels.

use std::net::IpAddr;

use axum::http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::auth::{Credential, Denied};

/// The header that holds it. It counts only with the token of a node.
pub(in crate::http) const CLIENT: HeaderName = HeaderName::from_static("sluice-client");

/// The client of a request that another node sends on.
#[derive(Clone, Debug)]
pub(in crate::http) struct Forwarded {
    /// `None` if a proxy does not name it readably.
    pub(in crate::http) address: Option<IpAddr>,
    /// Its token, whether or not that counts; `None` if it has sent no Authorization.
    pub(in crate::http) shown: Option<Credential>,
    /// The holder of its token, by the node that it has reached.
    pub(in crate::http) identified: Result<Credential, Denied>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shown: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<Denied>,
}

impl Forwarded {
    /// The value of the header.
    pub(in crate::http) fn write(&self) -> HeaderValue {
        let written = Written {
            address: self.address,
            shown: self.shown.as_ref().map(Credential::write),
            holder: self.identified.as_ref().ok().map(Credential::write),
            denied: self.identified.err(),
        };
        let text = serde_json::to_string(&written).expect("texts are JSON");
        HeaderValue::try_from(text).expect("addresses, digests and names of refusals are visible ASCII")
    }

    /// Reads the header; `None` if it is not what [`Self::write`] writes.
    pub(in crate::http) fn read(value: &HeaderValue) -> Option<Self> {
        let written: Written = serde_json::from_slice(value.as_bytes()).ok()?;
        let credential = |text: String| Credential::read(&text);
        let identified = match (written.holder, written.denied) {
            (Some(holder), None) => Ok(credential(holder)?),
            (None, Some(denied)) => Err(denied),
            _ => return None,
        };
        let shown = match written.shown {
            Some(shown) => Some(credential(shown)?),
            None => None,
        };
        Some(Self { address: written.address, shown, identified })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_survives_its_header_and_nothing_else_is_one() {
        let token = Credential::of_token("t");
        for client in [
            Forwarded { address: Some([192, 0, 2, 1].into()), shown: Some(token), identified: Ok(token) },
            Forwarded { address: None, shown: None, identified: Ok(Credential::ANONYMOUS) },
            Forwarded { address: None, shown: Some(token), identified: Err(Denied::Expired) },
        ] {
            let read = Forwarded::read(&client.write()).unwrap();
            assert_eq!((read.address, read.shown, read.identified), (client.address, client.shown, client.identified));
        }
        for wrong in ["", "{}", "x", r#"{"holder":"x"}"#, r#"{"holder":"","denied":"expired"}"#, r#"{"denied":"x"}"#] {
            assert!(Forwarded::read(&HeaderValue::from_static(wrong)).is_none(), "{wrong}");
        }
    }
}
