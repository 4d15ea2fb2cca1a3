//! The settings of legs.

use super::config::Config;
use super::configured::Configured;
use crate::client::Authorities;
use crate::setting::Network;

/// The section `[legs]`.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "legs")]
pub(crate) struct Settings {
    /// Stream to pull from another server by WHEP: its name here and the URL there, then options separated by spaces:
    /// mode=on-demand pulls it only while it has viewers, token-file=FILE or token-env=VARIABLE names the token. In the file
    /// also as tables of the list pull
    #[arg(long, env = "SLUICE_PULL", value_name = "NAME=URL", value_parser = Configured::pull, value_delimiter = ',')]
    pull: Vec<Configured>,

    /// Stream to push to another server by WHIP while it is published: its name here and the URL there, then the token as in
    /// --pull. In the file also as tables of the list push
    #[arg(long, env = "SLUICE_PUSH", value_name = "NAME=URL", value_parser = Configured::push, value_delimiter = ',')]
    push: Vec<Configured>,

    /// Networks whose addresses pulls and pushes may use although they are loopback, link-local, multicast or metadata
    /// addresses, such as 127.0.0.1. If unset, none
    #[arg(long, env = "SLUICE_LEG_ALLOW", value_name = "CIDR[,CIDR]", value_delimiter = ',')]
    leg_allow: Vec<Network>,

    /// PEM file with the certificates of the authorities that the servers of pulls and pushes are verified with; if unset,
    /// the public ones
    #[arg(long, env = "SLUICE_LEG_CA", value_name = "FILE", value_parser = Authorities::read)]
    leg_ca: Option<Authorities>,
}

impl From<Settings> for Config {
    fn from(settings: Settings) -> Self {
        let Settings { pull, push, leg_allow, leg_ca } = settings;
        let configured = pull.into_iter().chain(push).collect();
        Self { configured, allowed: leg_allow, authorities: leg_ca, ..Self::default() }
    }
}
