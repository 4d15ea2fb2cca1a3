//! The settings of legs.

use super::allowed::{Allowed, Entry};
use super::config::Config;
use super::configured::Configured;
use crate::client::Authorities;

/// The section `[legs]`.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "legs")]
pub(crate) struct Settings {
    /// Stream to pull from another server by WHEP: its name here and the URL there, then options separated by spaces:
    /// mode=on-demand pulls it only while it has viewers, token-file=FILE or token-env=VARIABLE names the token. In the file
    /// also as [[pull]]
    #[arg(long, env = "SLUICE_PULL", value_name = "NAME=URL", value_parser = Configured::pull, value_delimiter = ',')]
    pull: Vec<Configured>,

    /// Stream to push to another server by WHIP while it is published: its name here and the URL there, then the token as in
    /// --pull. In the file also as [[push]]
    #[arg(long, env = "SLUICE_PUSH", value_name = "NAME=URL", value_parser = Configured::push, value_delimiter = ',')]
    push: Vec<Configured>,

    /// Networks and names of servers that pulls and pushes may use although their addresses are loopback, link-local,
    /// multicast or metadata addresses. If unset, none
    #[arg(long, env = "SLUICE_LEG_ALLOW", value_name = "NET_OR_NAME[,...]", value_delimiter = ',')]
    leg_allow: Vec<Entry>,

    /// PEM file with the certificates of the authorities that the servers of pulls and pushes are verified with; if unset,
    /// the public ones
    #[arg(long, env = "SLUICE_LEG_CA", value_name = "FILE", value_parser = Authorities::read)]
    leg_ca: Option<Authorities>,
}

impl From<Settings> for Config {
    fn from(settings: Settings) -> Self {
        let Settings { pull, push, leg_allow, leg_ca } = settings;
        let configured = pull.into_iter().chain(push).collect();
        Self { configured, allowed: Allowed(leg_allow), authorities: leg_ca, ..Self::default() }
    }
}
