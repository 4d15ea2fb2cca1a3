//! The OpenAPI document: made from the handlers and the types that they send, and completed here with what those cannot
//! say. A test drives every operation of it.

pub(super) mod document;
pub(super) mod refusals;
pub(super) mod texts;
