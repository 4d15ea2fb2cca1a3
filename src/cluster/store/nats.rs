//! A bucket of NATS JetStream.
//!
//! Values are read by the API of streams, not by that of buckets: the leader answers it, and the others answer the other
//! one with values that are up to some seconds old. Writes with a lease are not part of the API of buckets either.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::context::{GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::kv::{self, Operation};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, StorageType};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{ConnectOptions, Event, HeaderMap, ServerAddr};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::{OnceCell, watch};
use tracing::{info, warn};

use super::credentials::{self, CredentialsError};
use super::entry::{Entry, Link, StoreError, TIMEOUT, Update};
use crate::log::OnceAMinute;

/// The bucket.
const BUCKET: &str = "sluice";

/// The stream that holds it.
const STREAM: &str = "KV_sluice";

/// How long the marker of a purged key is kept, and of one whose lease has expired.
const MARKER: Duration = Duration::from_secs(3600);

/// Replicas of the bucket in a cluster of servers.
const REPLICAS: usize = 3;

/// How often the server must show that it is there; after two times without an answer the connection is made anew.
const PING: Duration = Duration::from_secs(1);

/// The longest pause between two attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);

/// Answers in a row that the bucket does not exist, before it is made: one such answer also comes while servers elect a
/// leader.
const MISSING: usize = 2;

/// The pause after such an answer.
const ELECTION: Duration = Duration::from_millis(300);

/// A bucket on NATS servers. Nothing is connected before the first request.
#[derive(Clone)]
pub struct Nats(Arc<Shared>);

/// Every clone uses it; the connection's callback writes the link.
struct Shared {
    config: NatsConfig,
    name: String,
    context: OnceCell<Context>,
    link: Arc<watch::Sender<Link>>,
    warning: Arc<Mutex<OnceAMinute>>,
}

/// Where the servers are, and how a node authenticates itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatsConfig {
    /// The URLs of the servers.
    pub servers: Vec<ServerAddr>,
    /// The file with the credentials.
    pub credentials: Option<PathBuf>,
    /// The file with the certificates of the authorities that are trusted, instead of those of the system.
    pub authority: Option<PathBuf>,
}

/// Every value, then every change.
pub(crate) struct NatsWatch(kv::Watch);

impl Nats {
    /// For a node of this name, which the servers show in their lists of connections.
    ///
    /// # Errors
    /// [`CredentialsError`] if the file of the credentials is not usable.
    pub fn new(config: NatsConfig, name: impl fmt::Display) -> Result<Self, CredentialsError> {
        let shared = Shared {
            config,
            name: name.to_string(),
            context: OnceCell::new(),
            link: Arc::new(watch::Sender::default()),
            warning: Arc::default(),
        };
        shared.options()?;
        Ok(Self(Arc::new(shared)))
    }

    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.0.link.subscribe()
    }

    pub(super) async fn get(&self, key: &str) -> Result<Entry, StoreError> {
        let stream = self.connected().await?.get_stream_no_info(STREAM).await.map_err(refused)?;
        match within(stream.get_last_raw_message_by_subject(&subject(key))).await? {
            Ok(message) => Ok(entry(&message.headers, message.payload, message.sequence)),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(Entry::default()),
                LastRawMessageErrorKind::Other => Err(unanswered(&error)),
                LastRawMessageErrorKind::JetStream(_) | LastRawMessageErrorKind::InvalidSubject => Err(refused(error)),
            },
        }
    }

    pub(super) async fn put_lease(&self, key: &str, value: Bytes, lease: Duration) -> Result<u64, StoreError> {
        self.publish(key, PublishMessage::build().payload(value).ttl(lease)).await
    }

    pub(super) async fn compare_and_set(&self, key: &str, value: Bytes, revision: u64) -> Result<u64, StoreError> {
        self.publish(key, PublishMessage::build().payload(value).expected_last_subject_sequence(revision)).await
    }

    pub(super) async fn purge(&self, key: &str, revision: u64) -> Result<(), StoreError> {
        let marker = PublishMessage::build().header("KV-Operation", "PURGE").header("Nats-Rollup", "sub").ttl(MARKER);
        self.publish(key, marker.expected_last_subject_sequence(revision)).await.map(|_| ())
    }

    pub(super) async fn watch(&self) -> Result<NatsWatch, StoreError> {
        self.0.context.get_or_try_init(|| self.0.connect()).await?;
        // A connection takes some milliseconds. Without one, the request fails below.
        let _ = tokio::time::timeout(TIMEOUT, self.link().wait_for(|link| link.is_connected)).await;
        let context = self.connected().await?;
        let bucket = within(self.bucket(context)).await??;
        let watch = within(bucket.watch_with_history(">")).await?.map_err(refused)?;
        Ok(NatsWatch(watch))
    }

    async fn publish(&self, key: &str, message: PublishMessage) -> Result<u64, StoreError> {
        let context = self.connected().await?;
        let write = async { context.send_publish(subject(key), message).await?.await };
        within(write).await?.map(|ack| ack.sequence).map_err(|error| {
            let code = std::error::Error::source(&error)
                .and_then(|source| source.downcast_ref::<jetstream::Error>())
                .map(jetstream::Error::error_code);
            match error.kind() {
                PublishErrorKind::WrongLastSequence => StoreError::Changed,
                // What followers answer.
                _ if code == Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT) => StoreError::Changed,
                PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => StoreError::TimedOut,
                _ => refused(match std::error::Error::source(&error) {
                    Some(source) => source.to_string(),
                    None => error.to_string(),
                }),
            }
        })
    }

    /// The bucket, which is made if there is none.
    async fn bucket(&self, context: &Context) -> Result<kv::Store, StoreError> {
        for _ in 0..MISSING {
            let Err(error) = context.get_stream(STREAM).await else {
                return context.get_key_value(BUCKET).await.map_err(refused);
            };
            match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    tokio::time::sleep(ELECTION).await;
                }
                GetStreamErrorKind::JetStream(error) => return Err(refused(error)),
                _ => return Err(unanswered(&error)),
            }
        }
        let created = match context.create_key_value(bucket_config(REPLICAS)).await {
            Err(error) if error.to_string().contains("replicas > 1 not supported") => {
                context.create_key_value(bucket_config(1)).await
            }
            created => created,
        };
        let bucket = created.map_err(refused)?;
        info!(bucket = BUCKET, "made the bucket of the directory");
        Ok(bucket)
    }

    /// What requests go by.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] without a connection: a request would wait for one, and be carried out long after its
    /// caller has given up.
    async fn connected(&self) -> Result<&Context, StoreError> {
        let context = self.0.context.get_or_try_init(|| self.0.connect()).await?;
        self.0.link.borrow().is_connected.then_some(context).ok_or(StoreError::Unreachable)
    }
}

impl Shared {
    fn options(&self) -> Result<ConnectOptions, CredentialsError> {
        let options = match &self.config.credentials {
            Some(path) => credentials::options(path)?,
            None => ConnectOptions::new(),
        };
        Ok(match &self.config.authority {
            Some(path) => options.add_root_certificates(path.clone()),
            None => options,
        })
    }

    /// Begins to connect, and goes on until the process ends.
    async fn connect(&self) -> Result<Context, StoreError> {
        let (link, warning) = (Arc::clone(&self.link), Arc::clone(&self.warning));
        let options = self.options().map_err(refused)?;
        let options = options
            .name(&self.name)
            .ping_interval(PING)
            .connection_timeout(TIMEOUT)
            .max_reconnects(None)
            .retry_on_initial_connect()
            .reconnect_delay_callback(|attempts| {
                let pause = Duration::from_millis(100).saturating_mul(u32::try_from(attempts).unwrap_or(u32::MAX));
                pause.min(PAUSE).mul_f64(rand::random_range(0.5..1.0))
            })
            .event_callback(move |event| {
                note(&event, &link, &warning);
                std::future::ready(())
            });
        let client = options.connect(self.config.servers.clone()).await.map_err(refused)?;
        let mut context = jetstream::new(client);
        context.set_timeout(TIMEOUT);
        Ok(context)
    }
}

/// Notes what the connection reports.
fn note(event: &Event, link: &watch::Sender<Link>, warning: &Mutex<OnceAMinute>) {
    match event {
        Event::Connected => {
            link.send_modify(|link| *link = Link { is_connected: true, times: link.times + 1 });
        }
        Event::Disconnected | Event::Closed => link.send_modify(|link| link.is_connected = false),
        Event::ServerError(_) | Event::ClientError(_) => {
            let mut warning = warning.lock().unwrap_or_else(PoisonError::into_inner);
            if warning.due(Instant::now()).is_some() {
                warn!("the directory's server refuses this node, which goes on without it: {event}");
            }
        }
        Event::LameDuckMode | Event::Draining | Event::SlowConsumer(_) => {}
    }
}

fn bucket_config(num_replicas: usize) -> kv::Config {
    kv::Config {
        bucket: BUCKET.to_owned(),
        history: 1,
        storage: StorageType::File,
        num_replicas,
        limit_markers: Some(MARKER),
        ..kv::Config::default()
    }
}

fn subject(key: &str) -> String {
    format!("$KV.{BUCKET}.{key}")
}

/// The markers of purged keys and of expired leases have no content, values always have.
fn entry(headers: &HeaderMap, payload: Bytes, revision: u64) -> Entry {
    let is_marker = payload.is_empty() || headers.get("KV-Operation").is_some();
    Entry { value: (!is_marker).then_some(payload), revision }
}

/// A server without JetStream says that nothing there answers such requests.
fn unanswered(error: &impl fmt::Display) -> StoreError {
    match error.to_string().contains("JetStream resource does not exist") {
        true => StoreError::Refused("JetStream is not ready: start nats-server with --jetstream".to_owned()),
        false => StoreError::TimedOut,
    }
}

async fn within<T>(work: impl Future<Output = T>) -> Result<T, StoreError> {
    tokio::time::timeout(TIMEOUT * 2, work).await.map_err(|_| StoreError::TimedOut)
}

fn refused(error: impl fmt::Display) -> StoreError {
    StoreError::Refused(error.to_string())
}

impl fmt::Debug for Nats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Nats").field("servers", &self.0.config.servers).finish_non_exhaustive()
    }
}

impl NatsWatch {
    /// The next value; `None` once the watch has ended.
    pub(super) async fn next(&mut self) -> Option<Update> {
        loop {
            match self.0.next().await? {
                Ok(kv::Entry { key, value, revision, operation, .. }) => {
                    let value = (operation == Operation::Put && !value.is_empty()).then_some(value);
                    return Some(Update { key, entry: Entry { value, revision } });
                }
                // It is not the end: the subscription is made anew by itself.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}
