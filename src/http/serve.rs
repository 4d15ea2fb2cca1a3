//! Serves the routes on a listener until the relay stops.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::listener::accept;
use super::routes;
use super::shared::node::Node;

impl Node {
    /// Serves everything, or everything but the API, metrics and health, until `stop` completes.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let routes = self.base_path.beneath(routes::public(&self));
        let events = self.media.events();
        tokio::select! {
            () = accept::serve(listener, routes, self.entry(), stop) => {}
            () = self.event_streams.follow(&self.media, events) => {}
            () = Arc::clone(&self.access).keep_current() => {}
        }
    }

    /// Serves the API, metrics and health alone, until `stop` completes.
    pub(crate) async fn serve_admin(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let routes = self.base_path.beneath(routes::for_operators_alone(&self));
        accept::serve(listener, routes, self.entry(), stop).await;
    }
}
