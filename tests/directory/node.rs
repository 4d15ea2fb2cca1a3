//! A node that follows a directory, on a thread of its own that can stand still.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sluice::cluster::{Claimed, Directory, Identity, Publication, Store, StoreError, Timing, follow};
use sluice::metrics::DirectoryState;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How long something may take that takes a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// As short as whole seconds of a lease allow.
pub(crate) const TIMING: Timing = Timing {
    lease: Duration::from_secs(2),
    heartbeat: Duration::from_millis(300),
    silence: Duration::from_secs(1),
    orphan: Duration::from_millis(500),
};

/// A node. Dropping it ends it without a word, as a crash does.
pub(crate) struct Node {
    pub(crate) directory: Arc<Directory>,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A node that stands still until this is dropped.
pub(crate) struct Frozen(#[expect(dead_code, reason = "its drop is what ends the standstill")] mpsc::Sender<()>);

impl Node {
    /// A node that begins to follow.
    pub(crate) fn start(name: &str, store: Store) -> Self {
        Self::with(name, store, TIMING)
    }

    pub(crate) fn with(name: &str, store: Store, timing: Timing) -> Self {
        let (node, incarnation) = (name.parse().unwrap(), rand::random::<u32>().into());
        let url = Some(format!("http://{name}.example"));
        let own = Identity { node, incarnation, url, public_url: None, region: Some("here".to_owned()) };
        let directory = Arc::new(Directory::new(own, store, timing));
        let (stop, stopped) = oneshot::channel();
        let (send, handle) = mpsc::channel();
        let followed = Arc::clone(&directory);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            send.send(runtime.handle().clone()).unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = follow(&followed) => {}
                    asked = stopped => if asked.is_ok() {
                        followed.leave().await.unwrap();
                    }
                }
            });
        });
        let runtime = handle.recv().unwrap();
        Self { directory, runtime, stop: Some(stop), thread: Some(thread) }
    }

    /// A node that has read everything.
    pub(crate) fn connected(name: &str, store: Store) -> Self {
        let node = Self::start(name, store);
        node.until_state(DirectoryState::Connected);
        node
    }

    /// Ends it, and says so.
    pub(crate) fn leave(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Does something on its thread.
    pub(crate) fn run<F>(&self, work: impl FnOnce(Arc<Directory>) -> F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.begin(work).recv_timeout(PATIENCE).unwrap()
    }

    /// Begins something on its thread, and does not wait for its end.
    pub(crate) fn begin<F>(&self, work: impl FnOnce(Arc<Directory>) -> F) -> mpsc::Receiver<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (send, receive) = mpsc::channel();
        let work = work(Arc::clone(&self.directory));
        self.runtime.spawn(async move {
            // A test may have ended meanwhile.
            let _ = send.send(work.await);
        });
        receive
    }

    pub(crate) fn claim(&self, publication: &Publication) -> Result<Claimed, StoreError> {
        self.run(|directory| claim(directory, publication.clone()))
    }

    pub(crate) fn release(&self, publication: &Publication) {
        let publication = publication.clone();
        self.run(|directory| async move { directory.release(&publication).await }).unwrap();
    }

    /// The name of the node that has a stream, and whether it lives, as this node has read it.
    pub(crate) fn origin(&self, stream: &str) -> Option<(String, bool)> {
        let listed = self.directory.lookup(&stream.parse().unwrap())?;
        Some((listed.node.to_string(), listed.is_live))
    }

    pub(crate) fn until_origin(&self, stream: &str, origin: Option<(&str, bool)>) {
        until(&format!("{stream} is of {origin:?}"), || {
            self.origin(stream).as_ref().map(|(node, is_live)| (node.as_str(), *is_live)) == origin
        });
    }

    pub(crate) fn until_state(&self, state: DirectoryState) {
        until(&format!("{} is {state:?}", self.directory.node()), || self.directory.state() == state);
    }

    /// The names of the nodes that it knows to live.
    pub(crate) fn nodes(&self) -> Vec<String> {
        self.directory.nodes().iter().map(|listed| listed.node.to_string()).collect()
    }

    /// Nothing of it goes on, as in a process that is stopped.
    pub(crate) fn freeze(&self) -> Frozen {
        let (thaw, thawed) = mpsc::channel::<()>();
        let (send, frozen) = mpsc::channel();
        self.runtime.spawn(async move {
            send.send(()).unwrap();
            let _ = thawed.recv();
        });
        frozen.recv_timeout(PATIENCE).unwrap();
        Frozen(thaw)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

pub(crate) async fn claim(directory: Arc<Directory>, publication: Publication) -> Result<Claimed, StoreError> {
    directory.claim(&publication).await
}

/// A publisher of a stream that started at this time.
pub(crate) fn publication(stream: &str, started: u64) -> Publication {
    Publication { started, ..Publication::starting(stream.parse().unwrap()) }
}

/// Waits until something is true.
#[track_caller]
pub(crate) fn until(what: &str, is_true: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < PATIENCE, "it does not come about that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
