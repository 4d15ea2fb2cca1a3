//! The settings of a cluster.

use std::path::PathBuf;

use async_nats::ServerAddr;
use url::Url;

use super::calls::{AllowedEntry, CallsConfig, Secrets};
use super::config::Config;
use super::store::NatsConfig;
use super::value::LONGEST_REGION;

/// The section `[cluster]`. Not `Debug`: it holds a secret.
#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "cluster")]
pub(crate) struct Settings {
    /// NATS servers with JetStream (2.11 or newer) that keep the directory of a cluster: which node has which stream;
    /// tls:// encrypts the connection. If unset, this relay is the only node
    #[arg(id = "cluster.servers", long = "cluster", env = "SLUICE_CLUSTER", value_name = "nats://HOST:PORT[,...]")]
    #[arg(value_delimiter = ',', value_parser = server)]
    servers: Vec<ServerAddr>,

    /// File with which the relay authenticates itself to these servers: NAME:PASSWORD or a token, which are read again for
    /// each connection, or an NKEY seed or a .creds file
    #[arg(long, env = "SLUICE_CLUSTER_CREDENTIALS", value_name = "FILE")]
    cluster_credentials: Option<PathBuf>,

    /// PEM file with the certificates of the authorities that these servers' certificates (tls://) and those of other nodes
    /// (https://) are verified with; if unset, those of the system
    #[arg(long, env = "SLUICE_CLUSTER_CA", value_name = "FILE")]
    cluster_ca: Option<PathBuf>,

    /// URL of this node for the other nodes, also in the lists of the cluster (/api/nodes)
    #[arg(long, env = "SLUICE_NODE_URL", value_name = "URL", value_parser = node_url)]
    node_url: Option<String>,

    /// Region of this node, such as eu-west: nodes pull streams from nodes of their own region where these have them
    #[arg(long, env = "SLUICE_REGION", value_name = "NAME", value_parser = region)]
    region: Option<String>,

    /// URL at which clients reach this node by itself, past a balancer in front of the nodes; if unset, clients are never
    /// redirected to it
    #[arg(long, env = "SLUICE_PUBLIC_URL", value_name = "URL", value_parser = node_url)]
    public_url: Option<String>,

    /// Secret of at least 32 characters that all nodes of the cluster share, for the calls between them; while it is
    /// replaced, the new and the old one. If unset, nodes do not call each other
    #[arg(
        long,
        env = "SLUICE_CLUSTER_SECRET",
        value_name = "SECRET[,SECRET]",
        value_delimiter = ',',
        hide_env_values = true
    )]
    cluster_secret: Vec<String>,

    /// File with the secret, or with the new and the old one, one a line
    #[arg(long, env = "SLUICE_CLUSTER_SECRET_FILE", value_name = "FILE")]
    cluster_secret_file: Option<PathBuf>,

    /// Networks and names (.example.org: all below) of other nodes: only these are called. If unset, all but loopback,
    /// link-local and metadata addresses, which are called only if a network here has them
    #[arg(long, env = "SLUICE_CLUSTER_ALLOW", value_name = "NET_OR_NAME[,...]", value_delimiter = ',')]
    cluster_allow: Vec<AllowedEntry>,
}

impl From<Settings> for Config {
    fn from(settings: Settings) -> Self {
        let secrets = match settings.cluster_secret_file {
            Some(path) => Secrets::File(path),
            None if settings.cluster_secret.is_empty() => Secrets::None,
            None => Secrets::Given(settings.cluster_secret),
        };
        let allowed = settings.cluster_allow.into_iter().collect();
        Self {
            nats: NatsConfig {
                servers: settings.servers,
                credentials: settings.cluster_credentials,
                authority: settings.cluster_ca,
            },
            url: settings.node_url,
            calls: CallsConfig { secrets, allowed, public_url: settings.public_url },
            region: settings.region,
        }
    }
}

/// Reads the URL of a server, or says how to write one.
fn server(text: &str) -> Result<ServerAddr, String> {
    let wrong = || "write it like nats://nats.example.org:4222, or tls:// for an encrypted connection".to_owned();
    let server: ServerAddr = text.parse().map_err(|_| wrong())?;
    if !["nats", "tls"].contains(&server.scheme()) || server.host().is_empty() {
        return Err(wrong());
    }
    if server.has_user_pass() || server.username().is_some() {
        return Err("a URL here has no password: write it into the file of --cluster-credentials".to_owned());
    }
    Ok(server)
}

/// Reads the URL of a node, without a slash at its end.
fn node_url(text: &str) -> Result<String, String> {
    let is_usable = |url: &Url| {
        ["http", "https"].contains(&url.scheme()) && url.has_host() && url.query().is_none() && url.fragment().is_none()
    };
    match Url::parse(text) {
        Ok(url) if is_usable(&url) && url.as_str().len() <= 512 => Ok(url.as_str().trim_end_matches('/').to_owned()),
        _ => Err("write it like https://node1.example.org:8080".to_owned()),
    }
}

/// Reads the name of a region.
fn region(text: &str) -> Result<String, String> {
    let is_usable = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    match (1..=LONGEST_REGION).contains(&text.len()) && text.bytes().all(is_usable) {
        true => Ok(text.to_owned()),
        false => Err(format!("write it with 1 to {LONGEST_REGION} characters of A-Z a-z 0-9 _ . -")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_perhaps_a_port() {
        for good in ["nats://127.0.0.1:4222", "tls://nats.example.org", "nats.example.org:4223", "nats://[::1]:4222"] {
            assert!(server(good).is_ok(), "{good}");
        }
        for wrong in ["", "http://nats.example.org", "ws://nats.example.org", "nats://"] {
            assert!(server(wrong).unwrap_err().contains("nats://nats.example.org:4222"), "{wrong}");
        }
        for secret in ["nats://node:hunter2@nats.example.org", "nats://hunter2@nats.example.org"] {
            let sentence = server(secret).unwrap_err();
            assert!(sentence.contains("--cluster-credentials") && !sentence.contains("hunter2"), "{sentence}");
        }
    }

    #[test]
    fn the_url_of_a_node_is_one_of_http() {
        assert_eq!(node_url("https://Node1.example.org:443/").as_deref(), Ok("https://node1.example.org"));
        assert_eq!(node_url("http://10.0.0.1:8080/relay").as_deref(), Ok("http://10.0.0.1:8080/relay"));
        for wrong in ["", "node1", "nats://node1", "http://", "http://node1/?a=b", "http://node1/#a"] {
            assert!(node_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_region_is_a_short_name() {
        assert_eq!(region("eu-west_1.a").as_deref(), Ok("eu-west_1.a"));
        for wrong in ["", "eu west", "eu\n", &"x".repeat(65)] {
            assert!(region(wrong).is_err(), "{wrong}");
        }
    }
}
