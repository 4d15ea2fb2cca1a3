//! Where the directory is kept: values under keys, written by compare-and-set or under a lease, and a watch that reads
//! every change.

mod backend;
mod credentials;
mod entry;
mod memory;
mod nats;

pub use backend::Store;
pub(crate) use backend::Watch;
pub use credentials::CredentialsError;
pub use entry::StoreError;
pub(crate) use entry::{Entry, Link, Update};
pub use memory::Memory;
pub use nats::{Nats, NatsConfig};
