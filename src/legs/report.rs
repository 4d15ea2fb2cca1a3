//! What a leg does now, for the API and the metrics.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::configured::{Configured, Mode};
use super::failure::Failure;
use crate::label::Label as _;
use crate::metrics::{LegDirection, LegStage, Metrics};
use crate::name::{SessionId, StreamName};

/// A leg as `/api` shows it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) direction: LegDirection,
    pub(crate) stream: StreamName,
    /// Without its query.
    pub(crate) url: String,
    pub(crate) mode: Mode,
    pub(crate) stage: LegStage,
    /// How long it has been in this stage.
    pub(crate) since: Duration,
    /// The session here, while there is one.
    pub(crate) session: Option<SessionId>,
    /// How often it has failed.
    pub(crate) failures: u64,
    /// Why it failed last; `None` once it runs.
    pub(crate) failure: Option<String>,
}

/// Which leg it is.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) direction: LegDirection,
    pub(super) stream: StreamName,
    /// Without its query.
    pub(super) url: String,
    pub(super) mode: Mode,
}

/// What a leg does now. Its task writes it, HTTP reads it.
pub(super) struct Report {
    subject: Subject,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

struct State {
    stage: LegStage,
    since: Instant,
    session: Option<SessionId>,
    failures: u64,
    failure: Option<String>,
}

impl From<&Configured> for Subject {
    fn from(configured: &Configured) -> Self {
        let Configured { direction, stream, mode, .. } = configured.clone();
        Self { direction, stream, url: configured.shown_url(), mode }
    }
}

impl Report {
    pub(super) fn new(subject: Subject, metrics: Arc<Metrics>) -> Self {
        let stage = LegStage::Idle;
        metrics.legs[subject.direction][stage].inc();
        let state = State { stage, since: Instant::now(), session: None, failures: 0, failure: None };
        Self { subject, metrics, state: Mutex::new(state) }
    }

    /// Nothing wants the leg.
    pub(super) fn idles(&self) {
        self.set(LegStage::Idle, None);
    }

    /// The other server is being asked, or the session has not connected yet.
    pub(super) fn connects(&self, session: Option<SessionId>) {
        self.set(LegStage::Connecting, session);
    }

    /// It runs.
    pub(super) fn runs(&self, session: SessionId) {
        self.set(LegStage::Connected, Some(session));
        self.state().failure = None;
        let Subject { stream, url, .. } = &self.subject;
        let what = self.subject.direction.as_str();
        info!(%stream, url, %session, "the {what} runs");
    }

    /// It does not run, and is tried again after a pause. Said once for each reason in a row.
    pub(super) fn fails(&self, failure: &Failure, pause: Duration) {
        self.set(LegStage::Failed, None);
        self.metrics.leg_failures[failure.label()].inc();
        let text = failure.to_string();
        let mut state = self.state();
        state.failures += 1;
        let is_new = state.failure.replace(text.clone()).is_none_or(|earlier| earlier != text);
        drop(state);
        let Subject { stream, url, .. } = &self.subject;
        let what = self.subject.direction.as_str();
        let seconds = pause.as_secs_f32();
        match is_new {
            true => warn!(%stream, url, "the {what} does not run, the next try is in {seconds:.1} s: {text}"),
            false => debug!(%stream, url, "the {what} still does not run, the next try is in {seconds:.1} s: {text}"),
        }
    }

    pub(super) fn list(&self) -> Listed {
        let (Subject { direction, stream, url, mode }, state) = (self.subject.clone(), self.state());
        Listed {
            direction,
            stream,
            url,
            mode,
            stage: state.stage,
            since: state.since.elapsed(),
            session: state.session,
            failures: state.failures,
            failure: state.failure.clone(),
        }
    }

    fn set(&self, stage: LegStage, session: Option<SessionId>) {
        let mut state = self.state();
        state.session = session;
        if state.stage != stage {
            let stages = &self.metrics.legs[self.subject.direction];
            stages[state.stage].dec();
            stages[stage].inc();
            (state.stage, state.since) = (stage, Instant::now());
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let stage = self.state().stage;
        self.metrics.legs[self.subject.direction][stage].dec();
    }
}
