//! What the workers and the node share.

use super::Config;
use super::cache_budget::CacheBudget;
use super::departed::Departed;
use super::drops::SocketDrops;
use super::events::Events;
use super::heartbeat::Heartbeat;
use super::lobby::Lobby;
use super::message::Message;
use super::placing::Placing;
use super::quota::Slots;
use super::record::Ended;
use super::unreached::Warning;
use super::watchdog::Health;
use crate::metrics::{LimitName, Metrics};
use crate::peer::{Certificate, CertificateError};
use crate::stream::{Registry, Sender};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What the handle and all workers share. Written on join and leave only.
pub(crate) struct Shared {
    pub(super) config: Config,
    pub(super) media_port: u16,
    pub(super) registry: Registry,
    pub(super) lobby: Lobby,
    pub(super) departed: Departed,
    pub(super) events: Events,
    pub(super) ended: Ended,
    pub(super) unreached: Warning,
    pub(super) cache_budget: CacheBudget,
    pub(super) socket_drops: SocketDrops,
    pub(super) slots: Slots,
    pub(super) placing: Placing,
    /// Of the workers by their number.
    pub(super) heartbeats: Vec<Arc<Heartbeat>>,
    pub(super) health: Health,
    pub(super) certificate: Certificate,
    pub(super) metrics: Arc<Metrics>,
    /// Inboxes by worker number.
    pub(super) workers: Vec<Sender<Message>>,
    /// Set once, when the relay stops taking sessions.
    pub(super) draining: AtomicBool,
}

impl Shared {
    /// What the workers with these inboxes share; makes the node's certificate.
    pub(super) fn new(
        config: Config,
        media_port: u16,
        metrics: Arc<Metrics>,
        workers: Vec<Sender<Message>>,
    ) -> Result<Self, CertificateError> {
        let limits = [
            (LimitName::Sessions, config.quota.sessions),
            (LimitName::Viewers, config.quota.viewers),
            (LimitName::SessionsPerAddress, config.quota.sessions_per_address),
            (LimitName::PublisherBitrate, config.max_publisher_bitrate as usize),
        ];
        for (limit, value) in limits {
            metrics.limits[limit].set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        Ok(Self {
            slots: Slots::new(config.quota),
            cache_budget: CacheBudget::new(config.pictures_total),
            config,
            media_port,
            registry: Registry::default(),
            lobby: Lobby::default(),
            departed: Departed::default(),
            events: Events::default(),
            ended: Ended::default(),
            unreached: Warning::default(),
            socket_drops: SocketDrops::default(),
            placing: Placing::new(workers.len()),
            heartbeats: workers.iter().map(|_| Arc::default()).collect(),
            health: Health::default(),
            certificate: Certificate::generate()?,
            metrics,
            workers,
            draining: AtomicBool::new(false),
        })
    }
}
