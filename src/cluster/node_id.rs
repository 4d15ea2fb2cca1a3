//! The name of a node in the directory.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::name::{InvalidStreamName, StreamName};

/// Octets of the machine's name in a node's name, at most.
const HOST: usize = 48;

/// The name of one sluice process among the nodes of a cluster: written like the name of a stream.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// A name for this process: the machine's name, and random digits that no other process has.
    pub fn random() -> Self {
        let host = gethostname::gethostname();
        let host = host.to_string_lossy();
        let readable = host.chars().filter(|character| character.is_ascii_alphanumeric() || *character == '-');
        let host: String = readable.take(HOST).collect();
        Self(format!("{host}-{:08x}", rand::random::<u32>()).into())
    }

    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = InvalidStreamName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<StreamName>()?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_name_is_a_name_and_has_no_equal() {
        let (one, other) = (NodeId::random(), NodeId::random());
        assert_eq!(one.as_str().parse(), Ok(one.clone()));
        assert_ne!(one, other);
    }
}
