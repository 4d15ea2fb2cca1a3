//! The task of one configured leg: it runs the leg while it is wanted, and tries again after failures.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::sleep;

use super::backoff::Backoff;
use super::call::Call;
use super::configured::{Configured, Mode};
use super::context::Context;
use super::failure::Failure;
use super::report::Report;
use crate::forward::codec::Format;
use crate::metrics::LegDirection;
use crate::name::StreamName;
use crate::reason::EndReason;
use crate::session::{NodeEvent, PublisherState};
use crate::stream::Absence;

/// How often is looked at what no event tells: the number of viewers, and a publisher's formats.
const TICK: Duration = Duration::from_millis(250);

/// The same until a session is connected.
const CONNECTING: Duration = Duration::from_millis(20);

/// How long the formats of a stream stay the same before it is pushed: a publisher's audio may come before its video.
const SETTLED: Duration = Duration::from_millis(300);

/// A leg that ran for this time begins with short pauses again.
const GOOD: Duration = Duration::from_secs(5);

/// The task of one leg.
pub(super) struct Supervisor {
    context: Arc<Context>,
    configured: Configured,
    report: Arc<Report>,
    events: broadcast::Receiver<NodeEvent>,
    wants: broadcast::Receiver<StreamName>,
    stop: watch::Receiver<bool>,
    /// The formats of the stream that is to be pushed, and since when it has had them.
    formats: (Vec<Format>, Instant),
}

/// How a leg ended.
enum End {
    /// Nothing wants it any more, or not in this way.
    Unwanted,
    /// It is to stop for good.
    Stopped,
    /// It failed after it had run for this time.
    Failed(Failure, Option<Duration>),
}

impl Supervisor {
    pub(super) fn new(
        context: Arc<Context>,
        configured: Configured,
        report: Arc<Report>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let (events, wants) = (context.media.events(), context.wants());
        Self { context, configured, report, events, wants, stop, formats: (Vec::new(), Instant::now()) }
    }

    /// Runs the leg until it is stopped.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(self.context.config().pauses.clone());
        loop {
            // 1. Wait until something wants it.
            while !self.is_wanted() {
                self.report.idles();
                if self.wait(TICK).await {
                    return;
                }
            }
            // 2. Call.
            self.report.connects(None);
            let mut stop = self.stop.clone();
            let begun = tokio::select! {
                begun = Call::begin(&self.context, &self.configured) => begun,
                () = stopped(&mut stop) => return,
            };
            // 3. Stay with the session until it ends.
            let end = match begun {
                Ok(call) => {
                    self.report.connects(Some(call.session));
                    let end = self.accompany(&call).await;
                    call.end(&self.context).await;
                    end
                }
                Err(failure) => End::Failed(failure, None),
            };
            // 4. Pause, after a failure.
            match end {
                End::Stopped => return,
                End::Unwanted => backoff.reset(),
                End::Failed(failure, lasted) => {
                    if lasted.is_some_and(|lasted| lasted >= GOOD) {
                        backoff.reset();
                    }
                    let pause = backoff.pause(failure.retry_after(), &mut rand::rng());
                    self.report.fails(&failure, pause);
                    tokio::select! {
                        () = sleep(pause) => {}
                        () = stopped(&mut stop) => return,
                    }
                }
            }
        }
    }

    /// Whether it is to begin now.
    fn is_wanted(&mut self) -> bool {
        let (media, stream) = (&self.context.media, &self.configured.stream);
        if !media.is_ready() {
            return false;
        }
        match self.configured.direction {
            // Of several nodes that are to pull a stream, one has it, and the others get it from that one.
            LegDirection::Pull => {
                let is_elsewhere = self.context.claim_elsewhere(stream).is_some_and(|claim| claim.is_live);
                self.context.knows_claims()
                    && !is_elsewhere
                    && media.publisher(stream) != PublisherState::Live
                    && self.is_watched()
            }
            LegDirection::Push => {
                let formats = media.stream(stream).map(|info| info.formats).unwrap_or_default();
                if self.formats.0 != formats {
                    self.formats = (formats, Instant::now());
                }
                let (formats, since) = &self.formats;
                media.publisher(stream) == PublisherState::Live && !formats.is_empty() && since.elapsed() >= SETTLED
            }
        }
    }

    /// Whether it is to go on.
    fn is_still_wanted(&self, call: &Call) -> bool {
        let (media, stream) = (&self.context.media, &self.configured.stream);
        match self.configured.direction {
            LegDirection::Pull => self.is_watched(),
            LegDirection::Push => {
                let formats = media.stream(stream).map(|info| info.formats).unwrap_or_default();
                let is_offered = |format: &Format| call.formats.iter().any(|offered| offered.codec == format.codec);
                let has_left = matches!(
                    media.publisher(stream),
                    PublisherState::Absent(Absence::Ended, _) | PublisherState::Never
                );
                !has_left && formats.iter().all(is_offered)
            }
        }
    }

    /// Whether a pull has viewers, or needs none.
    fn is_watched(&self) -> bool {
        let (media, configured) = (&self.context.media, &self.configured);
        let is_always = configured.mode == Mode::Always && media.is_ready();
        is_always || self.context.is_watched(&configured.stream, Instant::now())
    }

    /// Waits until a session ends or is not wanted any more.
    async fn accompany(&mut self, call: &Call) -> End {
        let mut connected: Option<Instant> = None;
        loop {
            let record = self.context.media.record(&call.session);
            let report = record.map(|record| record.report());
            if connected.is_none() && report.as_ref().is_some_and(|report| report.connected.is_some()) {
                connected = Some(Instant::now());
                self.report.runs(call.session);
            }
            let ended = match &report {
                Some(report) => report.ended.map(|(reason, _)| reason),
                None => Some(EndReason::Failed),
            };
            match ended {
                None => {}
                // A client publishes the stream here.
                Some(EndReason::Replaced) => return End::Unwanted,
                Some(reason) => return self.failed(call, reason, connected),
            }
            if !self.is_still_wanted(call) {
                return End::Unwanted;
            }
            if self.wait(if connected.is_some() { TICK } else { CONNECTING }).await {
                return End::Stopped;
            }
        }
    }

    fn failed(&self, call: &Call, reason: EndReason, connected: Option<Instant>) -> End {
        let lasted = connected.map(|connected| connected.elapsed());
        let failure = match lasted {
            Some(_) => Failure::Lost(reason),
            None => Failure::NotConnected { reason, explanation: self.context.media.explanation(&call.session) },
        };
        End::Failed(failure, lasted)
    }

    /// Waits until something may have changed; true if the leg is to stop.
    async fn wait(&mut self, longest: Duration) -> bool {
        tokio::select! {
            () = stopped(&mut self.stop) => return true,
            event = self.events.recv() => {
                // The workers have ended.
                return matches!(event, Err(RecvError::Closed));
            }
            _ = self.wants.recv() => {}
            () = sleep(longest) => {}
        }
        false
    }
}

/// Completes once the leg is to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        pending::<()>().await;
    }
}
