//! Where the directory of a cluster is.

use std::sync::Arc;

use super::calls::{Calls, CallsConfig, SecretsError};
use super::directory::{Directory, Identity, Timing};
use super::store::{CredentialsError, Memory, Nats, NatsConfig, Store};

/// The configuration of the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The NATS servers that keep it; without one, it is in memory, and this node is the only one.
    pub nats: NatsConfig,
    /// The URL of this node, as other nodes list it.
    pub url: Option<String>,
    /// The region of this node: streams are pulled from nodes of the same one if these have them.
    pub region: Option<String>,
    /// How it calls the others.
    pub calls: CallsConfig,
}

impl Config {
    /// Whether other nodes may use the directory too.
    pub(crate) fn is_shared(&self) -> bool {
        !self.nats.servers.is_empty()
    }

    /// What this node calls others by; `None` if there are none, or without a secret.
    ///
    /// # Errors
    /// [`SecretsError`] if a file is not usable.
    pub(crate) fn calls(&self, directory: &Arc<Directory>) -> Result<Option<Arc<Calls>>, SecretsError> {
        if !self.is_shared() {
            return Ok(None);
        }
        let calls = Calls::new(&self.calls, self.nats.authority.as_deref(), Arc::clone(directory))?;
        Ok(calls.map(Arc::new))
    }

    /// Reads the files that calls need, and leaves nothing behind.
    ///
    /// # Errors
    /// As [`Self::calls`].
    pub(crate) fn check(&self) -> Result<(), SecretsError> {
        self.calls.secrets.read().map(drop)
    }

    /// The directory, before anything is read.
    ///
    /// # Errors
    /// [`CredentialsError`] if the file of the credentials is not usable.
    pub(crate) fn directory(&self) -> Result<Arc<Directory>, CredentialsError> {
        let own = Identity::of_process(self.url.clone(), self.region.clone());
        let own = Identity { public_url: self.calls.public_url.clone(), ..own };
        let store = match self.is_shared() {
            true => Store::Nats(Nats::new(self.nats.clone(), &own.node)?),
            false => Store::Memory(Memory::default()),
        };
        Ok(Arc::new(Directory::new(own, store, Timing::default())))
    }
}
