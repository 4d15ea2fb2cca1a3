//! What a directory is kept in, of either kind.

use sluice::cluster::{Memory, Nats, NatsConfig, Store};

use super::nats_server::NatsServer;

/// A store of its own for a test.
pub(crate) enum Server {
    Memory(Memory),
    Nats(Vec<NatsServer>),
}

impl Server {
    pub(crate) fn memory() -> Self {
        Self::Memory(Memory::default())
    }

    pub(crate) fn nats() -> Self {
        Self::Nats(start())
    }

    /// What a node of this name uses.
    pub(crate) fn store(&self, name: &str) -> Store {
        match self {
            Self::Memory(memory) => Store::Memory(memory.clone()),
            Self::Nats(servers) => store(servers, name),
        }
    }

    /// It answers nothing any more, and does later what is sent meanwhile.
    pub(crate) fn pause(&self) {
        match self {
            Self::Memory(memory) => memory.pause(),
            Self::Nats(servers) => servers.iter().for_each(|server| server.signal("STOP")),
        }
    }

    pub(crate) fn resume(&self) {
        match self {
            Self::Memory(memory) => memory.resume(),
            Self::Nats(servers) => servers.iter().for_each(|server| server.signal("CONT")),
        }
    }

    /// All values are lost under the watches of the nodes.
    pub(crate) fn lose_values(&self) {
        match self {
            Self::Memory(memory) => memory.lose(),
            Self::Nats(servers) => with_jetstream(&servers[0].url(), async |jetstream| {
                jetstream.delete_stream("KV_sluice").await.unwrap();
            }),
        }
    }
}

/// One server, or three.
pub(crate) fn start() -> Vec<NatsServer> {
    if is_cluster() { NatsServer::start_three() } else { vec![NatsServer::start("")] }
}

/// Whether three are asked for.
pub(crate) fn is_cluster() -> bool {
    match std::env::var("SLUICE_NATS_SERVERS").as_deref() {
        Ok("3") => true,
        Ok(other) => panic!("SLUICE_NATS_SERVERS is 3 or not set, not {other}"),
        Err(_) => false,
    }
}

/// A connection of its own, as each node has.
pub(crate) fn store(servers: &[NatsServer], name: &str) -> Store {
    let servers = servers.iter().map(|server| server.url().parse().unwrap()).collect();
    Store::Nats(Nats::new(NatsConfig { servers, ..NatsConfig::default() }, name).unwrap())
}

/// Does something with a connection of an administrator.
pub(crate) fn with_jetstream(url: &str, work: impl AsyncFnOnce(async_nats::jetstream::Context)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(url).await.unwrap();
        work(async_nats::jetstream::new(client)).await;
    });
}
