//! Creates sessions: a few separate threads make and post offers, so that joining does not delay the clients that count
//! packets.

use std::net::{IpAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use mio::Waker;
use url::Url;

use super::config::Config;
use super::field::{Arrival, Field, Joined};
use super::{layers, link};
use crate::client::{Created, HttpClient, HttpClientError};
use crate::forward::codec::Codec;
use crate::name::Role;
use crate::peer::Certificate;
use crate::peer::client::{Client, Config as ClientConfig};
use crate::srtp::SrtpProfile;

/// Requests in progress at a time.
const THREADS: usize = 4;

/// How often one client retries when the relay is busy, and the longest wait each time.
const TRIES: usize = 20;
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long a relay may take to accept a TCP connection.
const CONNECT: Duration = Duration::from_secs(5);

/// The sessions that a run has created. The remaining ones are ended on drop.
pub(super) struct Sessions {
    http: HttpClient,
    created: Arc<Mutex<Vec<Created>>>,
}

impl Sessions {
    pub(super) fn new(http: HttpClient) -> Self {
        Self { http, created: Arc::default() }
    }

    /// Ends all sessions, several at a time; returns how many could not be ended. Once the relay does not answer in
    /// time, the others are left to it.
    pub(super) fn end_all(&self) -> usize {
        let created = std::mem::take(&mut *self.created.lock().unwrap_or_else(PoisonError::into_inner));
        let share = created.len().div_ceil(THREADS).max(1);
        std::thread::scope(|scope| {
            let threads: Vec<_> = created.chunks(share).map(|share| scope.spawn(|| self.end_each(share))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_default()).sum()
        })
    }

    fn end_each(&self, sessions: &[Created]) -> usize {
        let mut left = 0;
        for (number, session) in sessions.iter().enumerate() {
            match self.end(session) {
                Ok(()) => {}
                Err(HttpClientError::Late { .. }) => return left + sessions.len() - number,
                Err(_) => left += 1,
            }
        }
        left
    }

    fn end(&self, session: &Created) -> Result<(), HttpClientError> {
        match patiently(|| self.http.delete(session), || false) {
            Err(error) if !matches!(error, HttpClientError::Refused { .. } | HttpClientError::Late { .. }) => {
                // The relay may have closed the connection, which was idle, at this moment.
                self.http.delete(session)
            }
            ended => ended,
        }
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.end_all();
    }
}

/// The joining threads.
pub(super) struct Joiner {
    work: Option<Sender<(Role, usize)>>,
    stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What the joining threads share.
struct Shared {
    whip: Option<String>,
    whep: String,
    streams: usize,
    layers: u8,
    local: IpAddr,
    certificate: Certificate,
    http: HttpClient,
    created: Arc<Mutex<Vec<Created>>>,
    stopped: Arc<AtomicBool>,
    work: Mutex<Receiver<(Role, usize)>>,
    arrivals: Sender<Arrival>,
    waker: Arc<Waker>,
}

impl Joiner {
    /// Checks that the relay is reachable and starts the threads.
    pub(super) fn new(config: &Config, sessions: &Sessions, field: &Field) -> Result<Self> {
        let (work, receiver) = channel();
        let (arrivals, waker) = field.entrance();
        let stopped = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
            whip: config.whip.clone(),
            whep: config.whep.clone(),
            streams: config.streams as usize,
            layers: config.layers,
            local: local_address(&config.whep)?,
            certificate: Certificate::generate().context("no certificate for the clients")?,
            http: sessions.http.clone(),
            created: sessions.created.clone(),
            stopped: stopped.clone(),
            work: Mutex::new(receiver),
            arrivals,
            waker,
        });
        let threads = (0..THREADS).map(|_| {
            let shared = shared.clone();
            // Making an offer needs more stack than a thread gets in a build without optimisation.
            std::thread::Builder::new().name("join".to_owned()).stack_size(8 << 20).spawn(move || shared.run())
        });
        Ok(Self { work: Some(work), stopped, threads: threads.collect::<Result<_, _>>()? })
    }

    /// Lets this many clients join, spread over the streams.
    pub(super) fn join(&self, role: Role, count: usize) {
        if let Some(work) = &self.work {
            for number in 0..count {
                // The threads end after this sender is dropped, so there is a receiver.
                let _ = work.send((role, number));
            }
        }
    }

    /// Gives up the clients that have not joined yet.
    pub(super) fn stop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.work = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::warn!("a joining thread had panicked");
            }
        }
    }
}

impl Drop for Joiner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let next = self.work.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((role, number)) = next else { return };
            if self.stopped.load(Ordering::Relaxed) {
                continue;
            }
            let arrival = self.join(role, number);
            if self.arrivals.send(arrival).is_ok() {
                // It fails only when the poll is gone, and then nothing waits for it.
                let _ = self.waker.wake();
            }
        }
    }

    fn join(&self, role: Role, number: usize) -> Result<Joined> {
        let endpoint = match role {
            Role::Publisher => self.whip.as_deref().ok_or_else(|| anyhow!("--whip URL is needed to publish"))?,
            Role::Viewer => &self.whep,
        };
        let endpoint = endpoint_of(endpoint, number % self.streams);
        let socket = link::open(self.local)?;
        let sends_layers = role == Role::Publisher && self.layers > 1;
        let config = ClientConfig {
            role,
            codecs: &[Codec::Vp8],
            application: false,
            extensions: if sends_layers { layers::EXTENSIONS } else { crate::peer::client::EXTENSIONS },
            profiles: &[SrtpProfile::Aes128Gcm, SrtpProfile::Aes128CmSha1_80],
            local: socket.local_addr()?,
            certificate: &self.certificate,
        };
        let mut client = Client::new(&config, Instant::now())?;
        let asked = Instant::now();
        let offer = match client.offer() {
            offer if sends_layers => layers::offer(offer, self.layers),
            offer => offer.to_owned(),
        };
        let created = patiently(|| self.http.post(&endpoint, &offer), || self.stopped.load(Ordering::Relaxed))
            .map_err(|error| explain(error, role))?;
        self.created.lock().unwrap_or_else(PoisonError::into_inner).push(created.clone());
        let tracks = client.accept(&created.answer, Instant::now())?;
        Ok(Joined { role, client, socket, tracks, asked })
    }
}

/// Retries as long as the relay answers when to retry.
fn patiently<T>(
    mut request: impl FnMut() -> Result<T, HttpClientError>,
    stopped: impl Fn() -> bool,
) -> Result<T, HttpClientError> {
    for _ in 1..TRIES {
        match request() {
            Err(HttpClientError::Refused { retry_after: Some(wait), status: 429 | 503, .. }) if !stopped() => {
                std::thread::sleep(wait.min(LONGEST_WAIT));
            }
            other => return other,
        }
    }
    request()
}

/// Adds what an operator can do about a refusal.
fn explain(error: HttpClientError, role: Role) -> anyhow::Error {
    let advice = match &error {
        HttpClientError::Refused { status: 401 | 403, .. } => "give the relay's token by --token",
        HttpClientError::Refused { status: 429, .. } => "start the relay with --rate-limit 0 for a test like this",
        HttpClientError::Refused { status: 404 | 405, .. } if role == Role::Publisher => {
            "--whip wants an endpoint such as http://localhost:8080/whip/load"
        }
        HttpClientError::Refused { status: 404 | 405, .. } => {
            "--whep wants an endpoint such as http://localhost:8080/whep/load"
        }
        _ => return error.into(),
    };
    anyhow!("{error}: {advice}")
}

/// The endpoint of a stream by its number: the first keeps the given name.
fn endpoint_of(endpoint: &str, stream: usize) -> String {
    if stream == 0 { endpoint.to_owned() } else { format!("{endpoint}-{}", stream + 1) }
}

/// The local address from which the relay is reached; fails if it is unreachable.
fn local_address(endpoint: &str) -> Result<IpAddr> {
    let url = Url::parse(endpoint).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let url = url.ok_or_else(|| anyhow!("{endpoint:?} is not a URL: write it like http://localhost:8080/whep/NAME"))?;
    let host = url.host_str().unwrap_or_default();
    let addresses = url.socket_addrs(|| None).with_context(|| format!("cannot find the address of {host}"))?;
    let mut refusal = anyhow!("{host} has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream.local_addr()?.ip()),
            Err(error) => refusal = anyhow!("cannot reach the relay at {address} ({error}): is it running there?"),
        }
    }
    Err(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_numbered_behind_their_name() {
        assert_eq!(endpoint_of("http://a/whip/x", 0), "http://a/whip/x");
        assert_eq!(endpoint_of("http://a/whip/x", 2), "http://a/whip/x-3");
    }

    #[test]
    fn an_address_without_a_listener_is_explained_in_a_sentence() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let (_held, address) = crate::client::tests::closed_port(any);
            let error = local_address(&format!("http://{address}/whep/x")).unwrap_err();
            assert!(error.to_string().contains("is it running there?"), "{error}");
        }
        for endpoint in ["whep", "127.0.0.1/whep/x", "localhost:8080", "", "/whep/x"] {
            let error = local_address(endpoint).unwrap_err();
            assert!(error.to_string().contains("write it like http://"), "{endpoint}: {error}");
        }
    }

    #[test]
    fn a_busy_relay_is_asked_again_and_another_refusal_is_final() {
        let refused = |status, retry_after| {
            Err::<(), _>(HttpClientError::Refused { url: String::new(), status, detail: String::new(), retry_after })
        };
        let mut tries = 0;
        let outcome = patiently(
            || {
                tries += 1;
                if tries < 3 { refused(503, Some(Duration::ZERO)) } else { Ok(()) }
            },
            || false,
        );
        assert!(outcome.is_ok() && tries == 3);
        for (status, retry_after) in [(503, None), (401, Some(Duration::ZERO))] {
            let mut tries = 0;
            let outcome = patiently(
                || {
                    tries += 1;
                    refused(status, retry_after)
                },
                || false,
            );
            assert!(outcome.is_err() && tries == 1);
        }
    }
}
