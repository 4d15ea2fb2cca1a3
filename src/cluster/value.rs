//! The values of the directory, as JSON.
//!
//! Each has a version. Later versions only add members: a reader ignores those that it does not know, and a node that
//! writes over the claim of another one keeps them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::node_id::NodeId;

/// The version that this node writes.
pub(crate) const VERSION: u32 = 1;

/// The largest value that is read, in octets.
const LARGEST: usize = 16 * 1024;

/// The longest URL of a node, in octets.
const LONGEST_URL: usize = 1024;

/// A node, while its lease has not expired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeValue {
    pub(crate) v: u32,
    /// Which start of the node it is, in ms since 1970: a claim of an earlier start has ended.
    pub(crate) inc: u64,
    /// Which watch the node reads: it has read everything before once it reads this.
    pub(crate) r#gen: u64,
    /// Where other nodes reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
}

/// Which node has the publisher of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClaimValue {
    pub(crate) v: u32,
    #[serde(with = "as_text")]
    pub(crate) node: NodeId,
    /// The start of that node.
    pub(crate) inc: u64,
    /// Larger than that of every earlier claim of the stream.
    pub(crate) epoch: u64,
    /// When the publisher started, in ms since 1970 by the clock of its node, and after every one that it replaced.
    pub(crate) started: u64,
    /// Tells the publications of one node apart.
    pub(crate) nonce: u64,
    /// What other versions write.
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

impl NodeValue {
    /// Reads a value; `None` if it is none.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        let value: Self = read(octets)?;
        let length = value.url.as_ref().map_or(0, String::len);
        (length <= LONGEST_URL).then_some(value)
    }

    pub(crate) fn write(&self) -> Bytes {
        write(self)
    }
}

impl ClaimValue {
    /// Reads a value; `None` if it is none.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        read(octets)
    }

    pub(crate) fn write(&self) -> Bytes {
        write(self)
    }

    /// Whether it goes before another claim, if both nodes live: the later start does, and of two equal ones that of the
    /// node whose name is the greater one.
    pub(crate) fn outranks(&self, other: &Self) -> bool {
        (self.started, &self.node) > (other.started, &other.node)
    }
}

fn read<T: for<'a> Deserialize<'a>>(octets: &[u8]) -> Option<T> {
    (octets.len() <= LARGEST).then(|| serde_json::from_slice(octets).ok()).flatten()
}

fn write(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("texts and numbers are JSON").into()
}

mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::NodeId;

    pub(super) fn serialize<S: Serializer>(node: &NodeId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(node.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NodeId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(node: &str, started: u64) -> ClaimValue {
        ClaimValue { v: 1, node: node.parse().unwrap(), inc: 1, epoch: 1, started, nonce: 1, other: Map::new() }
    }

    #[test]
    fn the_later_start_goes_first_and_then_the_greater_name() {
        assert!(claim("a", 2).outranks(&claim("b", 1)));
        assert!(!claim("a", 1).outranks(&claim("b", 1)));
        assert!(claim("b", 1).outranks(&claim("a", 1)));
    }

    #[test]
    fn a_claim_keeps_what_a_later_version_added() {
        let text = r#"{"v":2,"node":"a","inc":1,"epoch":2,"started":3,"nonce":4,"evictions":[{"key":"k"}]}"#;
        let claim = ClaimValue::read(text.as_bytes()).unwrap();
        let written: Value = serde_json::from_slice(&claim.write()).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_node_of_a_later_version_is_read() {
        let text = r#"{"v":2,"inc":1,"gen":2,"url":"http://a","load":0.5}"#;
        let read = NodeValue::read(text.as_bytes()).unwrap();
        assert_eq!(read, NodeValue { v: 2, inc: 1, r#gen: 2, url: Some("http://a".into()) });
        assert_eq!(NodeValue::read(&read.write()), Some(read));
    }

    #[test]
    fn what_is_too_large_or_no_name_is_not_read() {
        let long = format!(r#"{{"v":1,"inc":1,"gen":2,"url":"{}"}}"#, "u".repeat(LONGEST_URL + 1));
        assert_eq!(NodeValue::read(long.as_bytes()), None);
        let large = format!(r#"{{"v":1,"inc":1,"gen":2,"more":"{}"}}"#, "u".repeat(LARGEST));
        assert_eq!(NodeValue::read(large.as_bytes()), None);
        let text = r#"{"v":2,"node":"a/b","inc":1,"epoch":2,"started":3,"nonce":4}"#;
        assert_eq!(ClaimValue::read(text.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (ClaimValue::read(&octets), NodeValue::read(&octets));
        }
    }
}
