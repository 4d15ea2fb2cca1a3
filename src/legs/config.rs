//! The configuration of legs.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::configured::Configured;
use crate::client::Authorities;
use crate::setting::Network;

/// The configuration of legs.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to pull and to push.
    pub configured: Vec<Configured>,
    /// Networks whose addresses are used although they are loopback, link-local, multicast or metadata addresses.
    pub allowed: Vec<Network>,
    /// The authorities of the servers' certificates, if not the public ones.
    pub authorities: Option<Authorities>,
    /// How long a pull on demand goes on after the last viewer.
    pub idle: Duration,
    /// The shortest and the longest pause before a leg is tried again.
    pub pauses: RangeInclusive<Duration>,
    /// The same where no node of the cluster gives a stream that one has.
    pub node_pauses: RangeInclusive<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            configured: Vec::new(),
            allowed: Vec::new(),
            authorities: None,
            idle: Duration::from_secs(30),
            pauses: Duration::from_millis(250)..=Duration::from_secs(15),
            node_pauses: Duration::from_millis(100)..=Duration::from_secs(2),
        }
    }
}
