//! The client that asks: its token and its address.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use headers::authorization::Bearer;
use headers::{Authorization, HeaderMapExt as _};
use tokio::sync::OwnedSemaphorePermit;

use super::connection::Connection;
use super::forwarded::Forwarded;
use crate::auth::{Access, Action, Asking, Credential, Denied, Holder, credential_of};
use crate::name::StreamName;

/// The client that asks. Not `Debug`: it holds a token.
pub(in crate::http) struct Asker {
    bearer: Option<Bearer>,
    address: IpAddr,
    turn: Option<Turn>,
    has_authorization: bool,
    /// What another node says of the client whose request it sends on.
    forwarded: Option<Forwarded>,
}

/// The holder of the client's token, as far as it is known: one that another node has identified is known by its
/// credential alone.
pub(in crate::http) struct Identified {
    pub(in crate::http) credential: Credential,
    pub(in crate::http) holder: Option<Arc<Holder>>,
}

/// The turn of a request whose token another server is asked about; another request of its client waits for it.
#[derive(Clone)]
pub(in crate::http) struct Turn(Arc<Mutex<Vec<OwnedSemaphorePermit>>>);

impl From<Vec<OwnedSemaphorePermit>> for Turn {
    fn from(permits: Vec<OwnedSemaphorePermit>) -> Self {
        Self(Arc::new(Mutex::new(permits)))
    }
}

impl From<Option<Arc<Holder>>> for Identified {
    fn from(holder: Option<Arc<Holder>>) -> Self {
        Self { credential: credential_of(holder.as_ref()), holder }
    }
}

impl Asker {
    /// For access to decide.
    pub(in crate::http) fn asking(&self) -> Asking<'_> {
        Asking { token: self.token(), address: self.address }
    }

    /// The token of `Authorization: Bearer TOKEN` (RFC 6750 2.1), which `?token=` has become if there was none.
    pub(in crate::http) fn token(&self) -> Option<&str> {
        self.bearer.as_ref().map(Bearer::token)
    }

    /// Its token has been accepted: ends its [`Turn`], so that no other request waits for the body of this one. The turn
    /// of a refused request ends once the refusal is counted.
    pub(in crate::http) fn accepted(&self) {
        if let Some(Turn(permits)) = &self.turn {
            permits.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Whether it has sent Authorization, usable or not.
    pub(in crate::http) fn has_authorization(&self) -> bool {
        self.forwarded.as_ref().map_or(self.has_authorization, |forwarded| forwarded.shown.is_some())
    }

    /// The holder of its token, whether or not that counts now.
    pub(in crate::http) fn shown(&self) -> Credential {
        match &self.forwarded {
            Some(forwarded) => forwarded.shown.unwrap_or(Credential::ANONYMOUS),
            None => self.token().map_or(Credential::ANONYMOUS, Credential::of_token),
        }
    }

    /// The holder of its token.
    ///
    /// # Errors
    /// As [`Access::holder`].
    pub(in crate::http) async fn identify(&self, access: &Access) -> Result<Identified, Denied> {
        match &self.forwarded {
            Some(forwarded) => forwarded.identified.map(|credential| Identified { credential, holder: None }),
            None => access.holder(self.token()).await.map(Identified::from),
        }
    }

    /// The same for this action and stream.
    ///
    /// # Errors
    /// As [`Access::holder_for`].
    pub(in crate::http) async fn identify_for(
        &self,
        access: &Access,
        action: Action,
        stream: &StreamName,
    ) -> Result<Identified, Denied> {
        match &self.forwarded {
            Some(_) => self.identify(access).await,
            None => access.holder_for(self.asking(), action, stream).await.map(Identified::from),
        }
    }
}

/// The token of `Authorization: Bearer TOKEN`.
pub(in crate::http) fn bearer(headers: &HeaderMap) -> Option<Bearer> {
    headers.typed_get::<Authorization<Bearer>>().map(|Authorization(bearer)| bearer)
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let connection = Connection::from_request_parts(parts, state).await?;
        Ok(Self {
            bearer: bearer(&parts.headers),
            address: connection.remote.ip(),
            turn: parts.extensions.get().cloned(),
            has_authorization: parts.headers.contains_key(AUTHORIZATION),
            forwarded: parts.extensions.get().cloned(),
        })
    }
}
