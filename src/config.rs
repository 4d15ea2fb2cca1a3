//! Gathers each module's own configuration: defaults, then the TOML file, then the environment, then flags.
//!
//! [`Settings`] is the one list of what can be set. Its fields are the flags (`--publish-token`), their environment
//! twins (`SLUICE_PUBLISH_TOKEN`) and the keys of the file (`publish-token`), so that the three cannot differ.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::forward::PictureLimits;
use crate::{auth, http, worker};

/// What an operator can set; `None` is unset here.
#[derive(Clone, Default, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where pages, WHIP and WHEP are served [default: 0.0.0.0:8080]
    #[arg(long, env = "SLUICE_HTTP", value_name = "ADDR:PORT", value_parser = parse_address)]
    pub http: Option<SocketAddr>,

    /// Where media is received and sent, over UDP [default: 0.0.0.0:8081]
    #[arg(long, env = "SLUICE_MEDIA", value_name = "ADDR:PORT", value_parser = parse_address)]
    pub media: Option<SocketAddr>,

    /// Serves /metrics, /healthz and /readyz here, and no longer beside the pages
    #[arg(long, env = "SLUICE_ADMIN", value_name = "ADDR:PORT", value_parser = parse_address)]
    pub admin: Option<SocketAddr>,

    /// Addresses that clients are told to send media to, when this machine's own are not the ones they reach
    #[arg(long, env = "SLUICE_ADVERTISE", value_name = "IP[,IP]", value_delimiter = ',')]
    pub advertise: Option<Vec<IpAddr>>,

    /// Only who sends this token may publish; without one, everybody may
    #[arg(long, env = "SLUICE_PUBLISH_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub publish_token: Option<String>,

    /// Only who sends this token may watch
    #[arg(long, env = "SLUICE_WATCH_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub watch_token: Option<String>,

    /// Everybody may watch, although publishing needs a token
    #[arg(long, env = "SLUICE_PUBLIC_WATCH", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub public_watch: Option<bool>,

    /// What viewers send on data channels reaches the publisher
    #[arg(long, env = "SLUICE_VIEWER_MESSAGES", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub viewer_messages: Option<bool>,

    /// Web pages that may use the relay from a browser [default: *]
    #[arg(long, env = "SLUICE_ALLOW_ORIGIN", value_name = "ORIGIN[,ORIGIN]", value_delimiter = ',')]
    pub allow_origin: Option<Vec<String>>,

    /// Sessions that one address may start, change and end per second, with 30 times that at once; 0 for no limit
    /// [default: 20]
    #[arg(long, env = "SLUICE_RATE_LIMIT", value_name = "N")]
    pub rate_limit: Option<u32>,

    /// Threads that forward media [default: 1]
    #[arg(long, env = "SLUICE_WORKERS", value_name = "N")]
    pub workers: Option<NonZeroUsize>,

    /// Seconds for which pictures are kept since the last keyframe, so that late viewers have one at once; 0 for none
    /// [default: 20]
    #[arg(long, env = "SLUICE_FAST_START", value_name = "SECONDS")]
    pub fast_start: Option<u32>,

    /// Mebibytes of pictures that are kept for that at most, for each published video [default: 16]
    #[arg(long, env = "SLUICE_FAST_START_SIZE", value_name = "MIB")]
    pub fast_start_size: Option<u32>,

    /// What is logged, such as debug or info,sluice::door=trace [default: warn,rtc=error,sluice=info]
    #[arg(long, env = "SLUICE_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

/// Each module's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// HTTP.
    pub http: http::Config,
    /// Who may do what.
    pub auth: auth::Config,
    /// Media.
    pub worker: worker::Config,
    /// The log filter, in the syntax of `tracing_subscriber::EnvFilter`.
    pub log: String,
}

/// What cannot be configured; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is no TOML, or has an unknown key or a wrong value.
    #[error("{path}, line {line}: {message}: correct it")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where in the file, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A token would be taken for configured, and is not.
    #[error("{0} is no setting of sluice, and may leave the relay open: correct or unset it (sluice --help has all)")]
    UnknownSecret(String),
    /// Not an origin.
    #[error("allow-origin has {0:?}, which is no origin: write it like https://example.org, or * for every page")]
    NotAnOrigin(String),
}

impl Settings {
    /// Reads the keys of a TOML file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        toml::from_str(&text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
            // The message only: what `Display` adds is the line itself, which may hold a token.
            ConfigError::Invalid { path: path.to_owned(), line, message: error.message().trim().replace('\n', ", ") }
        })
    }

    /// These settings, and those of `other` where these say nothing.
    pub fn or(self, other: Self) -> Self {
        Self {
            http: self.http.or(other.http),
            media: self.media.or(other.media),
            admin: self.admin.or(other.admin),
            advertise: self.advertise.or(other.advertise),
            publish_token: self.publish_token.or(other.publish_token),
            watch_token: self.watch_token.or(other.watch_token),
            public_watch: self.public_watch.or(other.public_watch),
            allow_origin: self.allow_origin.or(other.allow_origin),
            rate_limit: self.rate_limit.or(other.rate_limit),
            workers: self.workers.or(other.workers),
            viewer_messages: self.viewer_messages.or(other.viewer_messages),
            fast_start: self.fast_start.or(other.fast_start),
            fast_start_size: self.fast_start_size.or(other.fast_start_size),
            log: self.log.or(other.log),
        }
    }

    /// The configuration of each module, with defaults for what is not set.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let http = http::Config::default();
        let worker = worker::Config::default();
        let pictures = pictures(worker.pictures, self.fast_start, self.fast_start_size);
        let auth = auth::Config {
            publish_token: self.publish_token,
            watch_token: self.watch_token,
            public_watch: self.public_watch.unwrap_or_default(),
        };
        Ok(Config {
            http: http::Config {
                listen: self.http.unwrap_or(http.listen),
                admin: self.admin,
                origins: self.allow_origin.map_or(Ok(http.origins), origins)?,
                limit: self.rate_limit.map_or(http.limit, limit),
                header_deadline: http.header_deadline,
                body_deadline: http.body_deadline,
            },
            auth,
            worker: worker::Config {
                media: self.media.unwrap_or(worker.media),
                advertise: self.advertise.unwrap_or(worker.advertise),
                workers: self.workers.unwrap_or(worker.workers),
                viewer_messages: self.viewer_messages.unwrap_or(worker.viewer_messages),
                pictures,
            },
            log: self.log.unwrap_or_else(|| "warn,rtc=error,sluice=info".to_owned()),
        })
    }
}

/// The limits of what is kept since a keyframe; 60 pictures a second are plenty.
fn pictures(default: PictureLimits, seconds: Option<u32>, mebibytes: Option<u32>) -> PictureLimits {
    let age = seconds.map_or(default.age, |seconds| Duration::from_secs(seconds.into()));
    let frames = seconds.map_or(default.frames, |seconds| seconds.saturating_mul(60));
    let octets = mebibytes.map_or(default.octets, |mebibytes| (mebibytes as usize).saturating_mul(1 << 20));
    if age.is_zero() { PictureLimits::NONE } else { PictureLimits { octets, frames, age } }
}

impl std::fmt::Debug for Settings {
    /// Leaves the values out: two of them are secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Settings").finish_non_exhaustive()
    }
}

/// Variables that are read elsewhere.
const OTHERS: [&str; 2] = ["SLUICE_CONFIG", "SLUICE_LOAD_TOKEN"];

/// Variables that look like ours and are not. A misspelt token is an error, because it would leave the relay open;
/// the others are returned to be warned of. Kubernetes sets some for a service called sluice; those are left out.
pub fn unknown_variables(names: impl Iterator<Item = String>) -> Result<Vec<String>, ConfigError> {
    use clap::Args as _;
    let known = Settings::augment_args(clap::Command::new("sluice"));
    let known: Vec<&str> = known.get_arguments().filter_map(|argument| argument.get_env()?.to_str()).collect();
    let is_unknown = |name: &String| {
        let kubernetes = name.contains("_SERVICE_") || name.ends_with("_PORT") || name.contains("_PORT_");
        name.starts_with("SLUICE_")
            && !OTHERS.contains(&name.as_str())
            && !known.contains(&name.as_str())
            && !kubernetes
    };
    let unknown: Vec<String> = names.filter(is_unknown).collect();
    match unknown.iter().find(|name| name.contains("TOKEN") || name.contains("SECRET")) {
        Some(name) => Err(ConfigError::UnknownSecret(name.clone())),
        None => Ok(unknown),
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, for example 0.0.0.0:8080 or [::]:8080".to_owned())
}

fn origins(list: Vec<String>) -> Result<http::Origins, ConfigError> {
    if list.iter().any(|origin| origin == "*") {
        return Ok(http::Origins::Any);
    }
    // Browsers send scheme, host and port, in lower case and with nothing behind.
    let is_origin = |origin: &String| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let plain = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && !b"/*?#@\"".contains(&byte);
        host.is_some_and(|host| !host.is_empty() && host.bytes().all(plain))
    };
    match list.iter().find(|origin| !is_origin(origin)) {
        Some(wrong) => Err(ConfigError::NotAnOrigin(wrong.clone())),
        None => Ok(http::Origins::Listed(list)),
    }
}

fn limit(per_second: u32) -> Option<http::Limit> {
    let per_second = NonZeroU32::new(per_second)?;
    let burst = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(29));
    Some(http::Limit { per_second, burst, loopback: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Settings, ConfigError> {
        let path = std::env::temp_dir().join(format!("sluice-{}.toml", crate::name::SessionId::random()));
        fs::write(&path, text).unwrap();
        let settings = Settings::read(&path);
        fs::remove_file(&path).unwrap();
        settings
    }

    #[test]
    fn every_setting_has_a_key_in_the_file() {
        let settings = file(
            "http = '127.0.0.1:1'\nmedia = '127.0.0.1:2'\nadmin = '[::1]:3'\nadvertise = ['203.0.113.7']\n\
             publish-token = 'p'\nwatch-token = 'w'\npublic-watch = true\nallow-origin = ['https://a.example']\n\
             rate-limit = 3\nworkers = 2\nlog = 'debug'\n",
        );
        let config = settings.unwrap().resolve().unwrap();
        assert_eq!(config.http.listen.port(), 1);
        assert_eq!(config.http.admin.map(|address| address.port()), Some(3));
        assert_eq!(config.http.origins, http::Origins::Listed(vec!["https://a.example".to_owned()]));
        assert_eq!(config.http.limit.map(|limit| (limit.per_second.get(), limit.burst.get())), Some((3, 90)));
        assert_eq!((config.worker.media.port(), config.worker.workers.get()), (2, 2));
        assert_eq!(config.worker.advertise, ["203.0.113.7".parse::<IpAddr>().unwrap()]);
        assert_eq!((config.auth.publish_token.as_deref(), config.auth.watch_token.as_deref()), (Some("p"), Some("w")));
        assert!(config.auth.public_watch);
        assert_eq!(config.log, "debug");
    }

    #[test]
    fn what_is_wrong_in_the_file_is_said_in_one_sentence_with_its_line_and_without_its_secrets() {
        for (text, line, part) in [
            ("\nhtpp = '127.0.0.1:1'\n", 2, "unknown field `htpp`"),
            ("http = 'nowhere'\n", 1, "invalid socket address"),
            ("publish-token = 'hunter2\n", 1, ""),
            ("workers = 0\n", 1, "nonzero"),
        ] {
            let error = file(text).unwrap_err();
            assert!(matches!(&error, ConfigError::Invalid { line: at, .. } if *at == line), "{error}");
            let sentence = error.to_string();
            assert!(sentence.contains(part) && !sentence.contains('\n') && !sentence.contains("hunter2"), "{sentence}");
        }
        assert!(matches!(Settings::read(Path::new("/nowhere.toml")), Err(ConfigError::Unreadable { .. })));
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let flags = Settings { rate_limit: Some(0), ..Settings::default() };
        let config = flags.or(file("rate-limit = 5\nworkers = 3\n").unwrap()).resolve().unwrap();
        assert_eq!(config.http.limit, None);
        assert_eq!(config.worker.workers.get(), 3);
        assert_eq!(config.http.listen, SocketAddr::from(([0, 0, 0, 0], 8080)));
    }

    #[test]
    fn an_origin_is_scheme_and_host_or_everything() {
        let listed = |list: &[&str]| origins(list.iter().map(|&origin| origin.to_owned()).collect());
        assert!(matches!(listed(&["*"]), Ok(http::Origins::Any)));
        assert!(matches!(listed(&["https://a.example", "http://localhost:3000"]), Ok(http::Origins::Listed(_))));
        for wrong in ["a.example", "https://a.example/", "https://", "null", "https://*.example", "https://A.example"] {
            assert!(listed(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_misspelt_token_variable_is_an_error_and_other_unknown_ones_are_told() {
        let unknown = |names: &[&str]| unknown_variables(names.iter().map(|&name| name.to_owned()));
        assert!(unknown(&["PATH", "SLUICE_HTTP", "SLUICE_CONFIG", "SLUICE_PUBLISH_TOKEN"]).unwrap().is_empty());
        assert!(unknown(&["SLUICE_SERVICE_HOST", "SLUICE_PORT", "SLUICE_PORT_8080_TCP"]).unwrap().is_empty());
        assert_eq!(unknown(&["SLUICE_HTPP"]).unwrap(), ["SLUICE_HTPP"]);
        assert!(matches!(unknown(&["SLUICE_PUBLISH_TOKENS"]), Err(ConfigError::UnknownSecret(_))));
    }
}
