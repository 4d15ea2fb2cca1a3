//! The ticket with which a node sends a client to another one: browsers drop Authorization on the way to another origin.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::auth::{Action, PassedGrant, SharedSecrets};
use crate::cluster::node_id::NodeId;
use crate::name::StreamName;

/// The type in the header of the ticket.
const KIND: &str = "sluice-ticket+jwt";

/// How long a ticket is valid.
const LIFETIME: Duration = Duration::from_secs(30);

/// What a ticket is for.
#[derive(Clone, Copy)]
pub(super) struct Purpose<'a> {
    /// The node to which the client is sent.
    pub(super) audience: &'a NodeId,
    pub(super) action: Action,
    pub(super) stream: &'a StreamName,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: NodeId,
    action: Action,
    stream: String,
    /// In seconds since 1970.
    exp: u64,
    grant: PassedGrant,
}

/// A ticket that passes a grant.
pub(super) fn sign(secrets: &SharedSecrets, purpose: Purpose<'_>, grant: PassedGrant, now: SystemTime) -> String {
    let Purpose { audience, action, stream } = purpose;
    let exp = seconds(now + LIFETIME);
    secrets.sign(KIND, &Claims { aud: audience.clone(), action, stream: stream.to_string(), exp, grant })
}

/// The grant of a ticket, if it is valid now and for this purpose. Clocks may differ by [`LIFETIME`].
pub(super) fn verify(
    secrets: &SharedSecrets,
    ticket: &str,
    purpose: Purpose<'_>,
    now: SystemTime,
) -> Option<PassedGrant> {
    let claims: Claims = secrets.verify(KIND, ticket)?;
    let is_current = (seconds(now)..=seconds(now + 2 * LIFETIME)).contains(&claims.exp);
    let is_meant = claims.aud == *purpose.audience && claims.action == purpose.action;
    (is_current && is_meant && claims.stream == purpose.stream.as_str()).then_some(claims.grant)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
