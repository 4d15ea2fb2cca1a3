//! What is logged, and where: to stderr, because stdout has only what was asked for.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// What is logged unless somebody says otherwise.
pub const DEFAULT: &str = "warn,rtc=error,sluice=info";

/// The section `[log]`.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "log")]
pub struct Settings {
    /// What is logged, such as debug or info,sluice::door=trace
    #[arg(id = "log.filter", long = "log", env = "SLUICE_LOG", value_name = "FILTER", default_value = DEFAULT)]
    pub filter: String,
}

/// No filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Not the syntax.
    #[error("log filter {filter:?}: {error}: write it like info,sluice=debug")]
    Syntax {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        error: tracing_subscriber::filter::ParseError,
    },
    /// A word that would be taken for the name of a crate, and silence everything.
    #[error("log filter {0:?} is no level: write error, warn, info, debug or trace, or like info,sluice=debug")]
    NoLevel(String),
}

/// Reads a filter in the syntax of [`EnvFilter`].
///
/// # Errors
/// [`FilterError`], when it is none.
pub fn filter(text: &str) -> Result<EnvFilter, FilterError> {
    let is_level = |word: &str| word.is_empty() || word.parse::<LevelFilter>().is_ok();
    let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_word(text) && !is_level(text) && text != env!("CARGO_PKG_NAME") {
        return Err(FilterError::NoLevel(text.to_owned()));
    }
    EnvFilter::try_new(text).map_err(|error| FilterError::Syntax { filter: text.to_owned(), error })
}

/// Logs from here on what passes `filter`.
pub fn start(filter: EnvFilter) {
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // Where stderr is closed (its reader has ended) the complaint about a lost line would go there too, and panic.
    subscriber.log_internal_errors(false).init();
}
