//! Serves the routes on a listener until the relay stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::listener::accept::{self, Entry};
use super::nodes::farewell;
use super::shared::node::Node;
use super::tls::PlainHttp;
use super::{redirect, routes};

impl Node {
    /// Serves everything, or everything but the API, metrics and health, until `stop` completes.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let routes = self.base_path.beneath(routes::public(&self));
        let events = self.media.events();
        let media = self.media_by_http.map(|_| self.media.clone());
        let plain = match (&self.tls, self.plain_http) {
            (None, _) | (_, PlainHttp::Reject) => None,
            (Some(_), PlainHttp::Redirect) => Some(redirect::routes(None)),
            (Some(_), PlainHttp::Serve) => Some(routes.clone()),
        };
        let entry = Entry { proxy_protocol: self.proxy_protocol, tls: self.tls.clone(), plain, media, ..self.entry() };
        tokio::select! {
            () = self.keep_certificate() => {}
            () = accept::serve(listener, routes, entry, stop) => {}
            () = self.event_streams.follow(&self.media, events) => {}
            () = Arc::clone(&self.access).keep_current() => {}
            () = self.leases.follow(&self.media, &self.access) => {}
            () = self.leases.ask_again(&self.media, &self.access) => {}
        }
    }

    /// Tells viewers that this node is about to stop and where to go, spread over this time.
    pub(crate) async fn farewell(self: Arc<Self>, within: Duration) {
        farewell::tell(&self, within).await;
    }

    /// Never completes; a relay without HTTPS has no certificate to keep current.
    async fn keep_certificate(&self) {
        match &self.tls {
            Some(tls) => Arc::clone(tls).keep_current().await,
            None => std::future::pending().await,
        }
    }

    /// Redirects every request to HTTPS on `port`, until `stop` completes.
    pub(crate) async fn serve_redirects(
        self: Arc<Self>,
        listener: TcpListener,
        port: u16,
        stop: impl Future<Output = ()>,
    ) {
        accept::serve(listener, redirect::routes(Some(port)), self.entry(), stop).await;
    }

    /// Serves the API, metrics and health alone, until `stop` completes.
    pub(crate) async fn serve_admin(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let routes = self.base_path.beneath(routes::for_operators_alone(&self));
        accept::serve(listener, routes, self.entry(), stop).await;
    }
}
