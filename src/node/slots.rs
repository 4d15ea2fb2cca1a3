//! The slot that a session takes.

use super::create::{Create, CreateError, FULL_RETRY};
use super::handle::Handle;
use crate::metrics::{Label as _, Refusal};
use crate::name::Role;
use crate::session::quota::{Applicant, Slot};
use std::time::Instant;

impl Handle {
    /// Takes a slot for the session that is asked for.
    pub(crate) fn take_slot(&self, request: &Create, now: Instant) -> Result<Slot, CreateError> {
        let shared = self.shared();
        let replaces = match request.role {
            Role::Publisher => shared.registry.replaced_by(&request.stream, request.standby),
            Role::Viewer => None,
        };
        let (stream, address) = (request.stream.clone(), request.http_remote);
        let applicant = Applicant { role: request.role, stream, address, source: request.source, replaces };
        shared.slots.take(applicant, now).map_err(|refused| {
            let (quota, retry_after) = (&shared.config.quota, FULL_RETRY);
            if refused.warns {
                let (stream, client, limit) = (&request.stream, request.http_remote, refused.reason.as_str());
                tracing::warn!(%stream, %client, limit, "a session was refused: raise the limit or add a relay");
            }
            match refused.reason {
                Refusal::MaxViewers => CreateError::TooManyViewers { limit: quota.viewers, retry_after },
                Refusal::MaxSessionsPerAddress => {
                    CreateError::TooManyFromAddress { limit: quota.sessions_per_address, retry_after }
                }
                _ => CreateError::TooManySessions { limit: quota.sessions, retry_after },
            }
        })
    }
}
