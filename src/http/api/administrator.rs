//! Proof that a request may see and end every session.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use headers::authorization::Bearer;

use crate::auth::Admin;
use crate::http::error::Problem;
use crate::http::request::headers::bearer;
use crate::http::shared::node::Shared;

/// Proof that the request may see and end every session.
#[derive(Debug)]
pub(in crate::http) struct Administrator(Admin);

impl FromRequestParts<Shared> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        Ok(Self(shared.access.administer(bearer(&parts.headers).as_ref().map(Bearer::token)).await?))
    }
}
