//! What the nodes of a cluster know of each other: a directory of nodes and of streams, each stream with the node that
//! has its publisher.
//!
//! The directory is soft state. Media, `/healthz` and `/readyz` never depend on it: a publisher is live as soon as it is
//! connected, and its stream is claimed beside that; while the directory cannot be reached, nodes keep their publishers
//! and the last state that they read. The rule for two publishers of one stream: the one that started later has it, and
//! the other one is ended as replaced.
//!
//! [`Store`] keeps values under keys, in memory or in a NATS JetStream bucket. [`Directory`] decides by them which node
//! has a stream. [`follow()`] announces this node and reads what others write; `publications` claims the streams of this
//! node's publishers. [`placement`] chooses the node that a stream is pulled from; [`Calls`] are what nodes ask of each other
//! by HTTP.

mod calls;
mod carried;
mod claim;
mod config;
mod directory;
mod evictions;
mod fence;
mod follow;
mod key;
mod listing;
mod node_id;
mod orphans;
pub mod placement;
mod publications;
mod settings;
mod store;
mod value;
mod view;

pub use calls::{Allowed, CallsConfig, Secrets, SecretsError};
pub(crate) use calls::{Call, CallError, Calls, NODE, NodeTag, StreamState, read};
pub use carried::Carried;
pub use claim::{Claimed, Publication};
pub use config::Config;
pub use directory::{Carrier, Directory, Identity, Timing};
pub use fence::{Fence, Seen, Verdict};
pub use follow::follow;
pub use node_id::NodeId;
pub use orphans::Orphans;
pub(crate) use publications::run;
pub(crate) use settings::Settings;
pub use store::{CredentialsError, Memory, Nats, NatsConfig, Store, StoreError};
pub use view::{ClaimedStream, ListedNode, Source, View};
