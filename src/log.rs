//! What is logged, where, and how often: to stderr, because stdout is for requested output, and repeated lines only to
//! a limit, so that no client can flood the log.

mod limits;
mod once_a_minute;
mod repeats;
mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Instant;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

pub(crate) use once_a_minute::OnceAMinute;
use repeats::Repeats;
use writer::Lines;

/// The default filter. It has no lines of webrtc-rs, whose messages are about bytes that anyone can send.
pub const DEFAULT: &str = "warn,rtc=off,sluice=info";

/// The limit of this process's log.
static REPEATS: OnceLock<Repeats> = OnceLock::new();

/// The lines of this process's log that wait for its reader.
static LINES: OnceLock<Lines> = OnceLock::new();

/// The section `[log]`.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "log")]
pub(crate) struct Settings {
    /// Log filter, such as debug or info,sluice::demux=trace
    #[arg(id = "log.filter", long = "log", env = "SLUICE_LOG", value_name = "FILTER", default_value = DEFAULT)]
    pub(crate) filter: String,
}

/// Why a text is not a filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The syntax is wrong.
    #[error("log filter {filter:?}: {error}: write it like info,sluice=debug")]
    Syntax {
        /// The given text.
        filter: String,
        /// The error in it.
        error: tracing_subscriber::filter::ParseError,
    },
    /// A word that would be read as the name of a crate, and disable all logging.
    #[error("log filter {0:?} is not a level: write error, warn, info, debug or trace, or like info,sluice=debug")]
    NoLevel(String),
}

/// Reads a filter in the syntax of [`EnvFilter`].
///
/// # Errors
/// [`FilterError`] if the text is not a filter.
pub fn filter(text: &str) -> Result<EnvFilter, FilterError> {
    let is_level = |word: &str| word.is_empty() || word.parse::<LevelFilter>().is_ok();
    let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_word(text) && !is_level(text) && text != env!("CARGO_PKG_NAME") {
        return Err(FilterError::NoLevel(text.to_owned()));
    }
    EnvFilter::try_new(text).map_err(|error| FilterError::Syntax { filter: text.to_owned(), error })
}

/// Starts logging what passes `filter`, including panics, with repeated lines limited.
pub fn start(filter: EnvFilter) -> Control {
    let (filter, handle) = reload::Layer::new(filter);
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // Without a thread for it, the log is written by those that log.
    let lines = Lines::to(std::io::stderr()).ok().map(|lines| LINES.get_or_init(|| lines).clone());
    let writer = match lines {
        Some(lines) => BoxMakeWriter::new(lines),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    // Where stderr is closed, reporting the lost line would go there too, and panic.
    let format = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours).log_internal_errors(false);
    let repeats = REPEATS.get_or_init(|| Repeats::new(Instant::now()));
    tracing_subscriber::registry().with(filter).with(format).with(repeats.clone()).init();
    std::panic::set_hook(Box::new(tell_panic));
    // Runs as long as the process, so that suppressed lines are reported before its end.
    let teller = std::thread::Builder::new().name("log".to_owned()).spawn(|| {
        loop {
            std::thread::sleep(limits::WINDOW);
            report_suppressed();
        }
    });
    if let Err(error) = teller {
        tracing::warn!(%error, "cannot start the thread that reports suppressed log lines");
    }
    Control(handle)
}

/// Changes the filter while the process runs.
pub struct Control(reload::Handle<EnvFilter, Registry>);

impl Control {
    /// Sets the filter.
    ///
    /// # Errors
    /// When the log has ended.
    pub(crate) fn set(&self, filter: EnvFilter) -> Result<(), reload::Error> {
        self.0.reload(filter)
    }
}

/// Logs how many repeated lines were suppressed since the last report.
fn report_suppressed() {
    if let Some(repeats) = REPEATS.get() {
        repeats.report();
    }
}

/// The last thing before the end: reports suppressed lines, and waits a moment until all lines are written.
pub fn flush() {
    report_suppressed();
    if let Some(lines) = LINES.get() {
        lines.flush();
    }
}

/// A panic ends at most its own session, so it is logged and limited like any other line.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("without a message");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let thread = std::thread::current().name().unwrap_or_default().to_owned();
    tracing::error!(location, thread, backtrace, "panic, a fault of the relay: {message:?}");
    // A panic of the main thread ends the process.
    if thread == "main"
        && let Some(lines) = LINES.get()
    {
        lines.flush();
    }
}
