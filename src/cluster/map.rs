//! What a node has read of the directory.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::key::Key;
use super::node_id::NodeId;
use super::store::Update;
use super::value::{ClaimValue, NodeValue};
use crate::name::StreamName;

/// The nodes and claims that one watch has read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    nodes: BTreeMap<NodeId, NodeValue>,
    claims: HashMap<StreamName, Recorded>,
}

/// A claim and the number of its write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) claim: ClaimValue,
    pub(crate) revision: u64,
}

/// A node in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedNode {
    /// Its name.
    pub node: NodeId,
    /// Where other nodes reach it, if it says so.
    pub url: Option<String>,
    /// The streams that it has claimed.
    pub streams: usize,
}

/// A stream in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedStream {
    /// Its name.
    pub stream: StreamName,
    /// The node that has its publisher.
    pub node: NodeId,
    /// Where other nodes reach that one, if it says so.
    pub url: Option<String>,
    /// Whether that node lives. Otherwise its lease has expired, and the next publisher gets the stream.
    pub is_live: bool,
    /// Larger than that of every earlier claim.
    pub epoch: u64,
    /// When the publisher started, by the clock of its node.
    pub started: SystemTime,
}

impl Map {
    /// Takes a write, and returns what it is about. A value that cannot be read counts as none.
    pub(crate) fn apply(&mut self, update: &Update) -> Option<Key> {
        let key = Key::decode(&update.key)?;
        let value = update.entry.value.as_deref();
        match &key {
            Key::Node(node) => match value.and_then(NodeValue::read) {
                Some(value) => drop(self.nodes.insert(node.clone(), value)),
                None => drop(self.nodes.remove(node)),
            },
            Key::Stream(stream) => match value.and_then(ClaimValue::read) {
                Some(claim) => {
                    let recorded = Recorded { claim, revision: update.entry.revision };
                    self.claims.insert(stream.clone(), recorded);
                }
                None => drop(self.claims.remove(stream)),
            },
        }
        Some(key)
    }

    /// The claim of a stream.
    pub(crate) fn claim(&self, stream: &StreamName) -> Option<&Recorded> {
        self.claims.get(stream)
    }

    /// All claims.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (&StreamName, &Recorded)> {
        self.claims.iter()
    }

    /// Whether the node that made a claim is alive, in the same incarnation.
    pub(crate) fn is_live(&self, claim: &ClaimValue) -> bool {
        self.nodes.get(&claim.node).is_some_and(|node| node.inc == claim.inc)
    }

    /// The names of the nodes, in order.
    pub(crate) fn node_names(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.keys()
    }

    /// The nodes, by name.
    pub(crate) fn list_nodes(&self) -> Vec<ListedNode> {
        let mut streams: HashMap<&NodeId, usize> = HashMap::new();
        for Recorded { claim, .. } in self.claims.values().filter(|recorded| self.is_live(&recorded.claim)) {
            *streams.entry(&claim.node).or_default() += 1;
        }
        let listed = self.nodes.iter().map(|(node, value)| ListedNode {
            node: node.clone(),
            url: value.url.clone(),
            streams: streams.get(node).copied().unwrap_or_default(),
        });
        listed.collect()
    }

    /// A stream, as a list shows it.
    pub(crate) fn list_stream(&self, stream: &StreamName) -> Option<ClaimedStream> {
        let claim = &self.claims.get(stream)?.claim;
        Some(ClaimedStream {
            stream: stream.clone(),
            node: claim.node.clone(),
            url: self.nodes.get(&claim.node).and_then(|node| node.url.clone()),
            is_live: self.is_live(claim),
            epoch: claim.epoch,
            started: UNIX_EPOCH.checked_add(Duration::from_millis(claim.started)).unwrap_or(UNIX_EPOCH),
        })
    }

    /// The streams, by name.
    pub(crate) fn list_streams(&self) -> Vec<ClaimedStream> {
        let mut listed: Vec<_> = self.claims.keys().filter_map(|stream| self.list_stream(stream)).collect();
        listed.sort_by(|left, right| left.stream.cmp(&right.stream));
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::Entry;
    use super::super::value::VERSION;
    use super::*;

    fn update(key: &str, value: Option<&str>) -> Update {
        let value = value.map(|value| value.as_bytes().to_vec().into());
        Update { key: key.to_owned(), entry: Entry { value, revision: 1 } }
    }

    #[test]
    fn a_claim_is_live_while_its_node_has_a_lease_of_the_same_start() {
        let (mut map, stream) = (Map::default(), "cam".parse().unwrap());
        let claim = format!(r#"{{"v":{VERSION},"node":"a","inc":7,"epoch":1,"started":1,"nonce":1}}"#);
        map.apply(&update("s.cam", Some(&claim)));
        let is_live = |map: &Map| map.list_stream(&stream).map(|listed| listed.is_live);
        assert_eq!(is_live(&map), Some(false), "no lease");
        map.apply(&update("n.a", Some(r#"{"v":1,"inc":7,"gen":1}"#)));
        assert_eq!(is_live(&map), Some(true));
        assert_eq!(map.list_nodes()[0].streams, 1);
        map.apply(&update("n.a", Some(r#"{"v":1,"inc":8,"gen":1}"#)));
        assert_eq!(is_live(&map), Some(false), "it started anew");
        assert_eq!(map.list_nodes()[0].streams, 0);
        map.apply(&update("s.cam", None));
        assert_eq!(is_live(&map), None);
    }

    #[test]
    fn what_cannot_be_read_counts_as_no_value() {
        let (mut map, stream) = (Map::default(), "cam".parse().unwrap());
        map.apply(&update("s.cam", Some(r#"{"v":1,"node":"a","inc":7,"epoch":1,"started":1,"nonce":1}"#)));
        assert!(map.claim(&stream).is_some());
        map.apply(&update("s.cam", Some("not json")));
        assert!(map.claim(&stream).is_none());
        assert_eq!(map.apply(&update("x.later", Some("{}"))), None);
    }
}
