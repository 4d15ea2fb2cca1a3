//! The values of the directory, as JSON.
//!
//! Each has a version. Later versions only add members: a reader ignores those that it does not know, and keeps them where it
//! writes a value again, such as the claim of another node.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::node_id::NodeId;
use crate::name::StreamName;
use crate::stream::COOL_DOWN;

/// The version that this node writes.
pub(crate) const VERSION: u32 = 1;

/// The largest value that is read, in octets.
const LARGEST: usize = 16 * 1024;

/// The largest list of carried streams that is read, in octets: 256 of them take less than 48 KiB.
const LARGEST_LIST: usize = 64 * 1024;

/// The longest URL of a node, in octets.
const LONGEST_URL: usize = 1024;

/// The longest name of a region, in octets.
pub(crate) const LONGEST_REGION: usize = 64;

/// A node, while its lease has not expired.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeValue {
    pub(crate) v: u32,
    /// Which start of the node it is, in ms since 1970: a claim of an earlier start has ended.
    pub(crate) inc: u64,
    /// Which watch the node reads: it has read everything before once it reads this.
    pub(crate) r#gen: u64,
    /// Where other nodes reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// Where clients reach it, if they may be sent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<String>,
    /// Nodes of one region are near each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    /// The part of its capacity that is in use, from 0 to 1.
    #[serde(default)]
    pub(crate) load: f32,
    /// Whether it is about to end.
    #[serde(default)]
    pub(crate) draining: bool,
    /// The legs on which it sends streams to other relays.
    #[serde(default)]
    pub(crate) legs: u32,
    /// What other versions write.
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// Some of the streams that a node pulls from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CarriesValue {
    pub(crate) v: u32,
    /// The start of the node.
    pub(crate) inc: u64,
    /// Where other nodes reach it, also after its lease has expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    pub(crate) carries: Vec<CarriedValue>,
    /// What other versions write.
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// A stream that a node pulls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CarriedValue {
    #[serde(with = "as_text")]
    pub(crate) stream: StreamName,
    /// That of the publication which it receives.
    pub(crate) epoch: u64,
    /// Legs between it and the origin.
    pub(crate) hops: u8,
    /// The node that it pulls from.
    #[serde(with = "as_text")]
    pub(crate) parent: NodeId,
    /// What other versions write.
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// Which node has the publisher of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClaimValue {
    pub(crate) v: u32,
    pub(crate) node: NodeId,
    /// The start of that node.
    pub(crate) inc: u64,
    /// Larger than that of every earlier claim of the stream.
    pub(crate) epoch: u64,
    /// When the publisher started, in ms since 1970 by the clock of its node, and after every one that it replaced.
    pub(crate) started: u64,
    /// Tells the publications of one node apart.
    pub(crate) nonce: u64,
    /// The encoders that were replaced lately, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) evictions: Vec<EvictedValue>,
    /// Where other nodes reach that node, also after its lease has expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// What other versions write.
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// An encoder that was replaced, in a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EvictedValue {
    /// Its keyed digest.
    pub(crate) key: String,
    /// Until when it is refused, in ms since 1970 by the clock of the node that had it.
    #[serde(default)]
    pub(crate) until: u64,
}

impl NodeValue {
    /// Reads a value; `None` if it is none.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        let mut value: Self = read(octets, LARGEST)?;
        value.load = value.load.clamp(0.0, 1.0);
        let fits = |text: &Option<String>, most| text.as_ref().is_none_or(|text| text.len() <= most);
        let is_usable = fits(&value.url, LONGEST_URL) && fits(&value.public_url, LONGEST_URL);
        (is_usable && fits(&value.region, LONGEST_REGION)).then_some(value)
    }

    pub(crate) fn write(&self) -> Bytes {
        write(self)
    }
}

impl CarriesValue {
    /// Reads a value; `None` if it is none.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        let value: Self = read(octets, LARGEST_LIST)?;
        value.url.as_ref().is_none_or(|url| url.len() <= LONGEST_URL).then_some(value)
    }

    pub(crate) fn write(&self) -> Bytes {
        write(self)
    }
}

impl ClaimValue {
    /// Reads a value; `None` if it is none.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        let value: Self = read(octets, LARGEST)?;
        value.url.as_ref().is_none_or(|url| url.len() <= LONGEST_URL).then_some(value)
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

impl EvictedValue {
    /// How long it is still refused; a clock that is ahead prolongs nothing.
    pub(super) fn left(&self, now: u64) -> Option<Duration> {
        let left = Duration::from_millis(self.until.checked_sub(now)?);
        (!left.is_zero()).then_some(left.min(COOL_DOWN))
    }
}

fn read<T: for<'a> Deserialize<'a>>(octets: &[u8], largest: usize) -> Option<T> {
    (octets.len() <= largest).then(|| serde_json::from_slice(octets).ok()).flatten()
}

fn write(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("texts and numbers are JSON").into()
}

mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<T: Display, S: Serializer>(name: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(name)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(node: &str, started: u64) -> ClaimValue {
        ClaimValue {
            v: 1,
            node: node.parse().unwrap(),
            inc: 1,
            epoch: 1,
            started,
            nonce: 1,
            evictions: Vec::new(),
            url: None,
            other: Map::new(),
        }
    }

    #[test]
    fn the_later_start_goes_first_and_then_the_greater_name() {
        assert!(claim("a", 2).outranks(&claim("b", 1)));
        assert!(!claim("a", 1).outranks(&claim("b", 1)));
        assert!(claim("b", 1).outranks(&claim("a", 1)));
    }

    #[test]
    fn a_claim_keeps_what_a_later_version_added() {
        let text = r#"{"v":2,"node":"a","inc":1,"epoch":2,"started":3,"nonce":4,"evictions":[{"key":"k","until":5}],"later":[{"a":1}]}"#;
        let claim = ClaimValue::read(text.as_bytes()).unwrap();
        let written: Value = serde_json::from_slice(&claim.write()).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_node_and_its_list_of_a_later_version_are_read_and_keep_what_it_added() {
        let text =
            r#"{"v":2,"inc":1,"gen":2,"url":"http://a","region":"eu","load":0.5,"draining":true,"legs":3,"zone":"z"}"#;
        let read = NodeValue::read(text.as_bytes()).unwrap();
        assert_eq!((read.region.as_deref(), read.load, read.draining, read.legs), (Some("eu"), 0.5, true, 3));
        let written: Value = serde_json::from_slice(&read.write()).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(text).unwrap());
        let text =
            r#"{"v":2,"inc":1,"carries":[{"stream":"cam","epoch":7,"hops":2,"parent":"a","rids":["h"]}],"more":[1]}"#;
        let written: Value = serde_json::from_slice(&CarriesValue::read(text.as_bytes()).unwrap().write()).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn the_values_of_an_earlier_version_are_read() {
        let node = NodeValue::read(br#"{"v":1,"inc":1,"gen":2,"url":"http://a"}"#).unwrap();
        assert_eq!((node.region, node.load, node.draining, node.legs), (None, 0.0, false, 0));
        assert!(ClaimValue::read(br#"{"v":1,"node":"a","inc":1,"epoch":2,"started":3,"nonce":4}"#).is_some());
    }

    #[test]
    fn an_earlier_version_reads_these_values() {
        /// What the first version read of a node.
        #[derive(Deserialize)]
        struct First {
            v: u32,
            inc: u64,
            r#gen: u64,
            url: Option<String>,
        }
        let value =
            NodeValue { v: VERSION, inc: 5, r#gen: 6, region: Some("eu".into()), load: 0.25, ..Default::default() };
        let first: First = serde_json::from_slice(&value.write()).unwrap();
        assert_eq!((first.v, first.inc, first.r#gen, first.url), (VERSION, 5, 6, None));
    }

    #[test]
    fn a_load_is_from_0_to_1() {
        for (text, load) in [("-1", 0.0), ("0.25", 0.25), ("7", 1.0), ("1e38", 1.0)] {
            let value = format!(r#"{{"v":1,"inc":1,"gen":2,"load":{text}}}"#);
            assert_eq!(NodeValue::read(value.as_bytes()).unwrap().load, load, "{text}");
        }
    }

    #[test]
    fn what_is_too_large_or_no_name_is_not_read() {
        let long = format!(r#"{{"v":1,"inc":1,"gen":2,"url":"{}"}}"#, "u".repeat(LONGEST_URL + 1));
        assert_eq!(NodeValue::read(long.as_bytes()), None);
        let large = format!(r#"{{"v":1,"inc":1,"gen":2,"more":"{}"}}"#, "u".repeat(LARGEST));
        assert_eq!(NodeValue::read(large.as_bytes()), None);
        let region = format!(r#"{{"v":1,"inc":1,"gen":2,"region":"{}"}}"#, "r".repeat(LONGEST_REGION + 1));
        assert_eq!(NodeValue::read(region.as_bytes()), None);
        let list = format!(r#"{{"v":1,"inc":1,"carries":[],"more":"{}"}}"#, "u".repeat(LARGEST_LIST));
        assert_eq!(CarriesValue::read(list.as_bytes()), None);
        let list = r#"{"v":1,"inc":1,"carries":[{"stream":"a/b","epoch":1,"hops":1,"parent":"a"}]}"#;
        assert_eq!(CarriesValue::read(list.as_bytes()), None);
        let text = r#"{"v":2,"node":"a/b","inc":1,"epoch":2,"started":3,"nonce":4}"#;
        assert_eq!(ClaimValue::read(text.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (ClaimValue::read(&octets), NodeValue::read(&octets), CarriesValue::read(&octets));
        }
    }
}
