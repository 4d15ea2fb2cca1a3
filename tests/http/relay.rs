//! A relay in this process, on free loopback ports, and a client for it.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use sluice::config::Config;
use sluice::node::Handle;
use sluice::server::{Addresses, Server};
use tokio::sync::oneshot;
use ureq::http::{HeaderMap, Request};

pub(crate) const WHIP_OFFER: &str = include_str!("../golden/ffmpeg-9.0.2-av.offer.sdp");
pub(crate) const WHEP_OFFER: &str = include_str!("../golden/chromium-156-whep.offer.sdp");
pub(crate) const SDP: (&str, &str) = ("content-type", "application/sdp");
pub(crate) const FRAGMENT: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");

/// Dropping it stops the relay, which must not take longer than a moment.
pub(crate) struct Relay {
    pub(crate) addresses: Addresses,
    pub(crate) media: Handle,
    stop: Option<oneshot::Sender<()>>,
    drain: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    ended: mpsc::Receiver<()>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Relay {
    /// Defaults, on free ports.
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// Defaults, but for what `change` does.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut config = Config::default();
        (config.http.listen, config.worker.media) = (free, free);
        change(&mut config);
        let server = Server::load(&config).unwrap();
        let (addresses, media) = (server.addresses(), server.media());
        let (stop, stopped) = oneshot::channel::<()>();
        let (drain, drained) = oneshot::channel::<()>();
        let (end, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let (drained, stopped) = (async move { drop(drained.await) }, async move { drop(stopped.await) });
            runtime.block_on(server.run_and_drain(drained, stopped)).unwrap();
            let _ = end.send(());
        });
        Self { addresses, media, stop: Some(stop), drain: Some(drain), thread: Some(thread), ended }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.addresses.is_https { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.addresses.http)
    }

    /// One request on a connection of its own.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        request(&self.url(path), method, headers, body)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[], "")
    }

    /// Starts a session and returns its path and entity tag.
    pub(crate) fn publish(&self, stream: &str, headers: &[(&str, &str)]) -> (String, String) {
        let reply = self.request("POST", &format!("/whip/{stream}"), &[&[SDP], headers].concat(), WHIP_OFFER);
        assert_eq!(reply.status, 201, "{reply:?}");
        (reply.header("location").to_owned(), reply.header("etag").to_owned())
    }

    /// Asks it to take no new session and to end with the last one.
    pub(crate) fn drain(&mut self) {
        drop(self.drain.take());
    }

    /// Stops it and waits until it has stopped.
    pub(crate) fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return };
        self.ended.recv_timeout(Duration::from_secs(10)).expect("the relay stops when it is asked to");
        thread.join().unwrap();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.halt();
        }
    }
}

impl Reply {
    /// A header that must be there once.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.optional(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub(crate) fn optional(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Checks that it is a problem document (RFC 9457) about `status`, and returns its detail.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let document: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(document["status"], status);
        assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()));
        document["detail"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn request(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let config = ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true);
    // Certificates of tests are no authority's, and redirects are what tests look at.
    let tls = ureq::tls::TlsConfig::builder().disable_verification(true).build();
    let config = config.tls_config(tls).max_redirects(0).max_redirects_will_error(false);
    let agent = config.timeout_global(Some(Duration::from_secs(20))).build().new_agent();
    let mut builder = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let sent = match body {
        "" => agent.run(builder.body(()).unwrap()),
        text => agent.run(builder.body(text.to_owned()).unwrap()),
    };
    let mut response = sent.unwrap();
    Reply {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.body_mut().read_to_string().unwrap(),
    }
}
