//! The access settings.

use std::path::PathBuf;

use super::config::Config;

/// The section `[auth]`. Not `Debug`: it holds secrets.
#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "auth")]
pub(crate) struct Settings {
    /// Token required to publish; if unset, anyone may publish
    #[arg(long, env = "SLUICE_PUBLISH_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    publish_token: Option<String>,

    /// Token required to watch; if unset, anyone may watch, or nobody once publishing has a token
    #[arg(long, env = "SLUICE_WATCH_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    watch_token: Option<String>,

    /// Token required to see and end sessions (/api) and to read /metrics; if unset, anyone may, or nobody once another
    /// token is set
    #[arg(long, env = "SLUICE_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    admin_token: Option<String>,

    /// Let anyone watch although publishing has a token
    #[arg(long, env = "SLUICE_PUBLIC_WATCH", value_name = "BOOL", action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    public_watch: bool,

    /// File of tokens, one a line as "sluice token" prints it: name, digest, actions, streams and limits; it is read again
    /// when it changes
    #[arg(long, env = "SLUICE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl From<Settings> for Config {
    fn from(settings: Settings) -> Self {
        let Settings { publish_token, watch_token, admin_token, public_watch, token_file } = settings;
        Self { publish_token, watch_token, admin_token, public_watch, token_file }
    }
}
