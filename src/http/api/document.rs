//! The OpenAPI document as an answer.

use axum::Extension;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::administrator::Administrator;
use crate::http::base_path::BasePath;
use crate::http::openapi::document::Document;
use crate::http::openapi::refusals::{Forbidden, Unauthorized};
use crate::http::openapi::texts::OpenApiDocument;

/// This document
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    operation_id = "document",
    tag = "api",
    security((), ("admin" = [])),
    responses((status = 200, description = "An OpenAPI document.", body = inline(OpenApiDocument)), Unauthorized, Forbidden),
)]
pub(in crate::http) async fn get(
    _: Administrator,
    base_path: BasePath,
    Extension(document): Extension<Document>,
) -> Response {
    ([(CONTENT_TYPE, "application/json")], document.below(&base_path).to_string()).into_response()
}
