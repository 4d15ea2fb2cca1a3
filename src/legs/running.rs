//! The legs that are configured, each with its task.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::Config;
use super::configured::Configured;
use super::context::Context;
use super::edges::Edges;
use super::nodes::Nodes;
use super::report::{Listed, Report};
use super::supervisor::Supervisor;
use crate::cluster::{Calls, Directory};
use crate::metrics::{LegDirection, Metrics};
use crate::name::StreamName;
use crate::node::Handle;

/// How long legs may take to end their sessions on other servers when the relay stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// The legs of this relay. Cheap to clone; clones share them.
#[derive(Clone)]
pub(crate) struct Legs {
    context: Arc<Context>,
    /// The other nodes of the cluster, where they call each other.
    nodes: Option<Arc<Nodes>>,
    tasks: Arc<Mutex<Vec<Task>>>,
    /// The task of the streams of other nodes.
    pulling: Arc<Mutex<Option<Pulling>>>,
}

struct Pulling {
    stop: watch::Sender<bool>,
    ended: JoinHandle<()>,
}

struct Task {
    configured: Configured,
    report: Arc<Report>,
    stop: watch::Sender<bool>,
    ended: JoinHandle<()>,
}

impl Legs {
    /// Those of a relay, none of which runs before [`start`](Self::start).
    pub(crate) fn new(
        config: Config,
        media: Handle,
        (directory, calls): (Arc<Directory>, Option<Arc<Calls>>),
        metrics: Arc<Metrics>,
    ) -> Self {
        let context = Arc::new(Context::new(config, media, directory, metrics));
        let nodes = calls.map(|calls| Arc::new(Nodes::new(Arc::clone(&context), calls)));
        Self { context, nodes, tasks: Arc::default(), pulling: Arc::default() }
    }

    /// Begins to run the configured legs; called once, on the runtime.
    pub(crate) fn start(&self) {
        self.replace((*self.context.config()).clone());
        if let Some(nodes) = &self.nodes {
            let (stop, stopped) = watch::channel(false);
            let ended = tokio::spawn(Edges::new(Arc::clone(nodes)).run(stopped));
            *self.pulling.lock().unwrap_or_else(PoisonError::into_inner) = Some(Pulling { stop, ended });
        }
    }

    /// Ends the legs that the new configuration does not have, and begins those that it has besides.
    pub(crate) fn replace(&self, config: Config) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| {
            let stays = config.configured.contains(&task.configured);
            if !stays {
                let _ = task.stop.send(true);
            }
            stays
        });
        for configured in &config.configured {
            if !tasks.iter().any(|task| task.configured == *configured) {
                tasks.push(self.task(configured.clone()));
            }
        }
        self.context.set_config(config);
    }

    /// Ends every leg, and waits for a moment until the other servers know it.
    pub(crate) async fn stop(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in &tasks {
            let _ = task.stop.send(true);
        }
        let pulling = self.pulling.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(pulling) = &pulling {
            let _ = pulling.stop.send(true);
        }
        let all_ended = async {
            for ended in tasks.into_iter().map(|task| task.ended).chain(pulling.map(|pulling| pulling.ended)) {
                let _ = ended.await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, all_ended).await;
    }

    /// Notes that a viewer asks for a stream, which may be pulled on demand.
    pub(crate) fn want(&self, stream: &StreamName) {
        self.context.want(stream, Instant::now());
    }

    /// Whether a leg brings a stream here, now or once a viewer asks for it.
    pub(crate) fn brings(&self, stream: &StreamName) -> bool {
        let is_pull = |leg: &Configured| leg.direction == LegDirection::Pull && leg.stream == *stream;
        let is_elsewhere = || self.nodes.is_some() && self.context.claim_elsewhere(stream).is_some();
        is_elsewhere() || self.context.config().configured.iter().any(is_pull)
    }

    /// Every leg: those of the configuration in its order, then those from other nodes by stream.
    pub(crate) fn list(&self) -> Vec<Listed> {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut listed: Vec<Listed> = tasks.iter().map(|task| task.report.list()).collect();
        listed.extend(self.nodes.iter().flat_map(|nodes| nodes.list()));
        listed
    }

    fn task(&self, configured: Configured) -> Task {
        let (stop, stopped) = watch::channel(false);
        let report = Arc::new(Report::new((&configured).into(), Arc::clone(&self.context.metrics)));
        let context = Arc::clone(&self.context);
        let supervisor = Supervisor::new(context, configured.clone(), Arc::clone(&report), stopped);
        Task { configured, report, stop, ended: tokio::spawn(supervisor.run()) }
    }
}

impl std::fmt::Debug for Legs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Legs").finish_non_exhaustive()
    }
}
