//! The client that asks: its token and its address.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use headers::authorization::Bearer;
use headers::{Authorization, HeaderMapExt as _};
use tokio::sync::OwnedSemaphorePermit;

use super::connection::Connection;
use crate::auth::{Asking, Credential};

/// The client that asks. Not `Debug`: it holds a token.
pub(in crate::http) struct Asker {
    bearer: Option<Bearer>,
    address: IpAddr,
    turn: Option<Turn>,
}

/// The turn of a request whose token another server is asked about; another request of its client waits for it.
#[derive(Clone)]
pub(in crate::http) struct Turn(Arc<Mutex<Vec<OwnedSemaphorePermit>>>);

impl From<Vec<OwnedSemaphorePermit>> for Turn {
    fn from(permits: Vec<OwnedSemaphorePermit>) -> Self {
        Self(Arc::new(Mutex::new(permits)))
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

    /// The holder of its token, whether or not that counts now.
    pub(in crate::http) fn shown(&self) -> Credential {
        self.token().map_or(Credential::ANONYMOUS, Credential::of_token)
    }
}

/// The token of `Authorization: Bearer TOKEN`.
pub(in crate::http) fn bearer(headers: &HeaderMap) -> Option<Bearer> {
    headers.typed_get::<Authorization<Bearer>>().map(|Authorization(bearer)| bearer)
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let bearer = bearer(&parts.headers);
        let connection = Connection::from_request_parts(parts, state).await?;
        let turn = parts.extensions.get().cloned();
        Ok(Self { bearer, address: connection.remote.ip(), turn })
    }
}
