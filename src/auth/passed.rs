//! A grant that one node passes to another, in a ticket: what it allows and whose it is, without the token.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::credential::Credential;
use super::denied::Denied;
use super::holder::{Holder, Source};
use super::scope::{Action, Limits, Scope};

/// A grant as it is written into a ticket. Times are in seconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PassedGrant {
    /// Digests: see [`Credential::write`].
    credential: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_layer: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_bitrate: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_viewers: Option<usize>,
}

impl PassedGrant {
    /// What a holder may use.
    pub(super) fn new(credential: Credential, holder: Option<&Holder>, limits: Limits) -> Self {
        let Limits { max_layer, max_bitrate, max_viewers } = limits;
        let text = |text: &Arc<str>| text.to_string();
        Self {
            credential: credential.write(),
            name: holder.and_then(|holder| holder.name.as_ref().map(text)),
            token_id: holder.and_then(|holder| holder.token_id.as_ref().map(text)),
            issued: holder.and_then(|holder| holder.issued).map(seconds),
            expires: holder.and_then(|holder| holder.expires).map(seconds),
            max_layer,
            max_bitrate,
            max_viewers,
        }
    }

    /// What the session may use.
    pub(super) fn limits(&self) -> Limits {
        Limits { max_layer: self.max_layer, max_bitrate: self.max_bitrate, max_viewers: self.max_viewers }
    }

    /// The holder, which may do this; `None` for a client without a token.
    ///
    /// # Errors
    /// [`Denied`] if its credential cannot be read.
    pub(super) fn into_holder(self, action: Action) -> Result<Option<Holder>, Denied> {
        let credential = Credential::read(&self.credential).ok_or(Denied::NoTicket)?;
        let scope = Scope { limits: self.limits(), ..Scope::of_all_streams(action) };
        let holder = Holder {
            credential,
            // Its token is not here, so no server is asked about it again.
            source: Source::Signed,
            scopes: vec![scope],
            name: self.name.map(Into::into),
            token_id: self.token_id.map(Into::into),
            issued: self.issued.map(time),
            expires: self.expires.map(time),
        };
        Ok((!credential.is_anonymous()).then_some(holder))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}
