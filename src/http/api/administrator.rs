//! Proof that a request may see and end every session.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::auth::Admin;
use crate::http::error::Problem;
use crate::http::request::asker::Asker;
use crate::http::shared::node::Shared;

/// Proof that the request may see and end every session.
#[derive(Debug)]
pub(in crate::http) struct Administrator(Admin);

impl FromRequestParts<Shared> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let Ok(asker) = Asker::from_request_parts(parts, shared).await;
        let administrator = shared.access.administer(asker.asking()).await?;
        asker.accepted();
        Ok(Self(administrator))
    }
}
