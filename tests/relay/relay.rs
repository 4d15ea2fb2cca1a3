//! A relay inside the test's process, on ports of its own, and its HTTP interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use sluice::config::Config;
use sluice::name::Role;
use sluice::node::Handle;
use sluice::server::Server;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::client::PATIENCE;

/// A running relay; it ends with the test.
pub(crate) struct Relay {
    url: String,
    media: Handle,
    stop: oneshot::Sender<()>,
    running: JoinHandle<anyhow::Result<()>>,
}

/// The content of a 201.
#[derive(Clone, Debug)]
pub(crate) struct Created {
    /// The session's URL.
    pub(crate) location: String,
    pub(crate) answer: String,
}

impl Relay {
    /// Two workers, so that media crosses from one to another, and no limit on how fast sessions are made.
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    /// The same with a configuration of the test.
    pub(crate) async fn with(mut config: Config) -> Self {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        (config.http.listen, config.worker.media) = (anywhere, anywhere);
        config.worker.workers = NonZeroUsize::MIN.saturating_add(1);
        config.http.limit = None;
        let server = Server::load(&config).expect("loopback has free ports");
        let url = format!("http://{}", server.addresses().http);
        let media = server.media();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run_and_drain(std::future::pending(), async { _ = stopped.await }));
        Self { url, media, stop, running }
    }

    /// The handle of its node.
    pub(crate) fn media(&self) -> &Handle {
        &self.media
    }

    /// Ends it as SIGTERM does.
    pub(crate) async fn shut_down(self) {
        self.stop.send(()).expect("it runs");
        let ended = timeout(PATIENCE, self.running).await.expect("it ends soon");
        ended.expect("it does not panic").expect("it ends well");
    }

    /// POSTs an offer; panics unless it is taken.
    pub(crate) async fn create(&self, role: Role, stream: &str, offer: &str) -> Created {
        let endpoint = match role {
            Role::Publisher => "whip",
            Role::Viewer => "whep",
        };
        let url = format!("{}/{endpoint}/{stream}", self.url);
        let offer = offer.to_owned();
        let base = self.url.clone();
        blocking(move || {
            let mut response =
                agent().post(&url).header("content-type", "application/sdp").send(offer).expect("the relay answers");
            let body = response.body_mut().read_to_string().expect("a body of text");
            assert_eq!(response.status(), 201, "{body}");
            let header = |name: &str| response.headers()[name].to_str().expect("headers are ASCII").to_owned();
            Created { location: format!("{base}{}", header("location")), answer: body }
        })
        .await
    }

    /// DELETEs a session and returns the status.
    pub(crate) async fn delete(&self, session: &Created) -> u16 {
        let url = session.location.clone();
        blocking(move || agent().delete(&url).call().expect("the relay answers").status().as_u16()).await
    }

    /// Waits until the relay counts no session.
    pub(crate) async fn no_sessions_left(&self) {
        let gone = async {
            while self.metric("sluice_sessions", &[]).await != 0.0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, gone).await.expect("every session ends");
    }

    /// The sum of the samples of one metric whose labels contain `labels` (e.g. `role="viewer"`), 0 if there are none.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let url = format!("{}/metrics", self.url);
        let text = blocking(move || {
            let mut response = agent().get(&url).call().expect("the relay answers");
            response.body_mut().read_to_string().expect("a body of text")
        })
        .await;
        let samples = text.lines().filter_map(|line| {
            let (sample, value) = line.rsplit_once(' ')?;
            let (found, rest) = sample.split_once('{').unwrap_or((sample, ""));
            let wanted = found == name && labels.iter().all(|label| rest.contains(label));
            wanted.then(|| value.parse::<f64>().expect("a sample is a number"))
        });
        samples.sum()
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the request does not panic")
}
