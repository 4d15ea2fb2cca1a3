//! Keeps repeated lines out of the log: applies [`Limits`] where `tracing` asks whether a line is enabled.
//!
//! A line is about the session or client that one of its fields names. Lines of other crates name none, so each of
//! their callsites counts as one; lines about the relay itself have only the limit of their callsite. `trace` is not
//! limited: it is logged per packet, and only on request. Lines that have a limit of their own are not limited here
//! either.

use std::fmt::{self, Debug, Write as _};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::limits::{Limits, Line};

/// Fields that name the subject of a line.
const ABOUT: [&str; 4] = ["session", "client", "remote", "location"];

/// The module whose lines ban tools read: it limits them itself, as those tools need.
const LIMITED_ITSELF: &str = "sluice::http::refused";

/// Fields with the origin of a line of the `log` crate: `tracing` sees all of them at one callsite.
const PLACE: [&str; 2] = ["log.target", "log.line"];

/// Bytes of a message that identify its callsite.
const EXAMPLE: usize = 120;

/// The limit of one log. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Repeats {
    limits: Arc<Mutex<Limits>>,
    random: foldhash::fast::RandomState,
}

impl Repeats {
    pub(super) fn new(now: Instant) -> Self {
        let limits = Arc::new(Mutex::new(Limits::new(now)));
        Self { limits, random: foldhash::fast::RandomState::default() }
    }

    /// Logs how many lines were suppressed since the last report, if any.
    pub(super) fn report(&self) {
        let suppressed = self.limits.lock().unwrap_or_else(PoisonError::into_inner).take_suppressed();
        for suppressed in suppressed {
            warn!(lines = suppressed.lines, of = suppressed.place, "repeated lines were not logged");
        }
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() == Level::TRACE || metadata.target() == LIMITED_ITSELF {
            return true;
        }
        let mut callsite = self.random.build_hasher();
        metadata.callsite().hash(&mut callsite);
        let mut visit = Fields { callsite, about: self.random.build_hasher(), names_somebody: false };
        event.record(&mut visit);
        let is_ours = metadata.target().starts_with(env!("CARGO_PKG_NAME"));
        let about = (visit.names_somebody || !is_ours).then(|| visit.about.finish());
        let line = Line { callsite: visit.callsite.finish(), about };
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        limits.admits(line, Instant::now(), || place(event))
    }
}

/// Hashes what distinguishes lines.
struct Fields<H> {
    callsite: H,
    about: H,
    names_somebody: bool,
}

impl<H: std::hash::Hasher> Visit for Fields<H> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let into = match field.name() {
            name if ABOUT.contains(&name) => {
                self.names_somebody = true;
                &mut self.about
            }
            name if PLACE.contains(&name) => &mut self.callsite,
            _ => return,
        };
        // Hashing cannot fail, and values that cannot be formatted are ignored.
        let _ = write!(Hashed(into), "{value:?}");
    }
}

struct Hashed<'a, H>(&'a mut H);

impl<H: std::hash::Hasher> fmt::Write for Hashed<'_, H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// The origin of a line, in words: its target and its message.
fn place(event: &Event<'_>) -> String {
    let mut words = Words { target: event.metadata().target().to_owned(), message: String::new() };
    event.record(&mut words);
    let mut end = words.message.len().min(EXAMPLE);
    while !words.message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}: {}", words.target, &words.message[..end])
}

struct Words {
    target: String,
    message: String,
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == PLACE[0] {
            value.clone_into(&mut self.target);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Lines of the `log` crate under the same limit as the relay's.
    fn logged(log: impl FnOnce(&Repeats)) -> Vec<String> {
        let (written, repeats) = (Written::default(), Repeats::new(Instant::now()));
        let writer = written.clone();
        let format = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(format).with(repeats.clone());
        tracing::subscriber::with_default(subscriber, || log(&repeats));
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_about_one_session_is_written_a_few_times_and_the_rest_is_counted() {
        let lines = logged(|repeats| {
            for number in 0..20_000 {
                tracing::info!(session = %7, number, "session ended");
            }
            tracing::info!(session = %8, "session ended");
            repeats.report();
            repeats.report();
        });
        // That is another callsite.
        assert_eq!(lines.len(), 5 + 1 + 1, "{lines:?}");
        assert!(lines[6].contains("repeated lines were not logged lines=19995"), "{lines:?}");
        assert!(lines[6].contains("session ended"), "{lines:?}");
    }

    #[test]
    fn lines_for_ban_tools_have_a_limit_of_their_own() {
        let lines = logged(|_| {
            for _ in 0..20 {
                tracing::info!(target: "sluice::http::refused", client = "192.0.2.1", "access refused");
            }
        });
        assert_eq!(lines.len(), 20);
    }

    #[test]
    fn lines_of_other_crates_are_counted_by_their_origin() {
        let lines = logged(|_| {
            for number in 0..20_000 {
                tracing::error!(target: "rtc_sctp::association", "ABORT chunk: {number}");
                tracing::error!(target: "log", { log.target = "rtc_sctp", log.line = 1 }, "one {number}");
                tracing::error!(target: "log", { log.target = "rtc_sctp", log.line = 2 }, "two {number}");
            }
        });
        assert_eq!(lines.len(), 3 * 5, "{lines:?}");
    }

    #[test]
    fn hostile_text_stays_within_its_line() {
        let lines = logged(|repeats| {
            for _ in 0..10 {
                tracing::warn!(target: "rtc_sctp", "{}", "ä\n2026-01-01 ERROR forged".repeat(100));
            }
            repeats.report();
        });
        let line = lines.last().unwrap();
        assert!(line.contains("lines=5") && line.len() < 400, "{line}");
    }

    #[test]
    fn the_relays_own_lines_have_only_the_limit_of_their_callsite_and_trace_has_none() {
        let lines = logged(|_| {
            for number in 0..2_000 {
                tracing::warn!(number, "a setting that is not known");
                tracing::trace!(session = %1, number, "a packet");
            }
        });
        assert_eq!(lines.len(), 3_000);
    }
}
