//! What a token allows: actions, on which streams, and within which limits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::pattern::StreamPattern;
use crate::name::{Role, StreamName};

/// What a token can allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// Send a stream to the relay.
    Publish,
    /// Receive a stream from the relay.
    Watch,
    /// List every stream and session, end any session, and read metrics.
    Admin,
}

impl Action {
    /// Every action.
    pub(crate) const ALL: [Self; 3] = [Self::Publish, Self::Watch, Self::Admin];

    /// Its name in token files, in claims and in webhooks.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Watch => "watch",
            Self::Admin => "admin",
        }
    }
}

impl From<Role> for Action {
    /// What a session of this role does.
    fn from(role: Role) -> Self {
        match role {
            Role::Publisher => Self::Publish,
            Role::Viewer => Self::Watch,
        }
    }
}

impl FromStr for Action {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let action = Self::ALL.into_iter().find(|action| action.as_str() == text);
        action.ok_or("an action is publish, watch or admin")
    }
}

/// Limits of the sessions that a grant allows; `None` for no limit but the relay's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The largest encoding that a viewer is sent, by its place in the order of size from 0.
    pub max_layer: Option<u8>,
    /// Bits per second: of a publisher, or of the video encoding that a viewer is sent. Never 0.
    pub max_bitrate: Option<u64>,
    /// Viewers of one stream at a time with this grant. Never 0.
    pub max_viewers: Option<usize>,
}

impl Limits {
    /// The largest bitrate of a publisher when the relay has this limit of its own, in bits per second; 0 for no limit.
    pub(crate) fn bitrate_within(&self, relay: u64) -> u64 {
        match self.max_bitrate {
            Some(own) if relay == 0 || own < relay => own,
            _ => relay,
        }
    }
}

/// What a token allows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    pub(crate) actions: Vec<Action>,
    /// The streams that it may publish and watch; it does not restrict an administrator.
    pub(crate) streams: Vec<StreamPattern>,
    pub(crate) limits: Limits,
}

impl Scope {
    /// One action on every stream, without limits.
    pub(crate) fn of_all_streams(action: Action) -> Self {
        Self { actions: vec![action], streams: vec![StreamPattern::all()], limits: Limits::default() }
    }

    /// Whether it allows an action at all, on some stream.
    pub(crate) fn has(&self, action: Action) -> bool {
        self.actions.contains(&action)
    }

    /// Whether it allows an action on this stream.
    pub(crate) fn allows(&self, action: Action, stream: &StreamName) -> bool {
        self.has(action) && self.streams.iter().any(|pattern| pattern.matches(stream))
    }
}

impl fmt::Display for Scope {
    /// As in a line of a token file.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions: Vec<_> = self.actions.iter().map(|action| action.as_str()).collect();
        formatter.write_str(&actions.join(","))?;
        let streams: Vec<_> = self.streams.iter().map(ToString::to_string).collect();
        if !streams.is_empty() {
            write!(formatter, " {}", streams.join(","))?;
        }
        let Limits { max_layer, max_bitrate, max_viewers } = self.limits;
        let limits = [
            max_layer.map(|value| format!(" max-layer={value}")),
            max_bitrate.map(|value| format!(" max-bitrate={value}")),
            max_viewers.map(|value| format!(" max-viewers={value}")),
        ];
        limits.into_iter().flatten().try_for_each(|limit| formatter.write_str(&limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_bitrate_limit_counts() {
        let limits = |max_bitrate| Limits { max_bitrate, ..Limits::default() };
        for (own, relay, counts) in [(None, 0, 0), (None, 9, 9), (Some(5), 0, 5), (Some(5), 9, 5), (Some(9), 5, 5)] {
            assert_eq!(limits(own).bitrate_within(relay), counts);
        }
    }
}
