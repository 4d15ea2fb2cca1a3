//! The access settings.

use std::path::PathBuf;

use super::config::Config;
use super::jwt::{InvalidUrl, check_url};

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

    /// Files of keys that JSON Web Tokens are signed with: public keys in PEM, a JWK Set, or the secret of HS256 as text; they
    /// are read again when they change
    #[arg(long, env = "SLUICE_JWT_KEY", value_name = "FILE[,FILE]", value_delimiter = ',')]
    jwt_key: Vec<PathBuf>,

    /// URL where a server publishes the keys that JSON Web Tokens are signed with (JWK Set); they are fetched every 5 minutes
    /// and for a token with an unknown key
    #[arg(long, env = "SLUICE_JWKS_URL", value_name = "URL", value_parser = url)]
    jwks_url: Option<String>,

    /// Issuer that JSON Web Tokens must name (iss)
    #[arg(long, env = "SLUICE_JWT_ISSUER", value_name = "ISSUER")]
    jwt_issuer: Option<String>,

    /// Audience that JSON Web Tokens must name (aud); if unset, tokens that name one are refused
    #[arg(long, env = "SLUICE_JWT_AUDIENCE", value_name = "AUDIENCE")]
    jwt_audience: Option<String>,

    /// End sessions when their token expires, is taken out of the token file, or is refused by the webhook, which is asked again
    /// about running sessions
    #[arg(long, env = "SLUICE_END_WITH_TOKEN", value_name = "BOOL", action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    end_with_token: bool,

    /// URL of a server that decides about tokens which the relay does not know otherwise: it gets a POST with token, action,
    /// stream and client, and has 2 s to answer
    #[arg(long, env = "SLUICE_ACCESS_WEBHOOK", value_name = "URL", value_parser = url)]
    access_webhook: Option<String>,

    /// Token with which the relay authenticates itself to that server (Authorization: Bearer)
    #[arg(long, env = "SLUICE_ACCESS_WEBHOOK_SECRET", value_name = "TOKEN", hide_env_values = true)]
    access_webhook_secret: Option<String>,

    /// PEM file with the root certificates of a private authority that signs for the servers of --jwks-url and
    /// --access-webhook; it is read again when it changes. If unset, the roots that browsers trust are used
    #[arg(long, env = "SLUICE_ACCESS_CA", value_name = "FILE")]
    access_ca: Option<PathBuf>,
}

impl From<Settings> for Config {
    fn from(settings: Settings) -> Self {
        Self {
            publish_token: settings.publish_token,
            watch_token: settings.watch_token,
            admin_token: settings.admin_token,
            public_watch: settings.public_watch,
            token_file: settings.token_file,
            jwt_keys: settings.jwt_key,
            jwks_url: settings.jwks_url,
            jwt_issuer: settings.jwt_issuer,
            jwt_audience: settings.jwt_audience,
            end_with_token: settings.end_with_token,
            webhook: settings.access_webhook,
            webhook_secret: settings.access_webhook_secret,
            webhook_again: None,
            access_ca: settings.access_ca,
        }
    }
}

fn url(text: &str) -> Result<String, InvalidUrl> {
    check_url(text)
}
