//! What a node has read of the directory.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use url::Url;

use super::key::Key;
use super::node_id::NodeId;
use super::store::{Entry, Update};
use super::value::{CarriesValue, ClaimValue, NodeValue};
use crate::name::StreamName;

/// The nodes, claims and pulled streams that one watch has read.
#[derive(Clone, Debug, Default)]
pub struct View {
    nodes: BTreeMap<NodeId, NodeValue>,
    claims: HashMap<StreamName, Recorded>,
    lists: HashMap<(NodeId, u16), List>,
    carriers: HashMap<StreamName, BTreeMap<NodeId, Pulled>>,
}

/// A claim and the number of its write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) claim: ClaimValue,
    pub(crate) revision: u64,
}

/// A part of the list of streams that a node pulls.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) inc: u64,
    pub(crate) revision: u64,
    url: Option<String>,
    streams: Vec<StreamName>,
}

/// A stream in such a list.
#[derive(Clone, Debug)]
struct Pulled {
    part: u16,
    inc: u64,
    epoch: u64,
    hops: u8,
    parent: NodeId,
}

/// A node in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedNode {
    /// Its name.
    pub node: NodeId,
    /// Where other nodes reach it, if it says so.
    pub url: Option<String>,
    /// Where clients reach it, if they may be sent there.
    pub public_url: Option<String>,
    /// Its region, if it has one.
    pub region: Option<String>,
    /// The part of its capacity that is in use, from 0 to 1.
    pub load: f32,
    /// Whether it is about to end.
    pub is_draining: bool,
    /// The legs on which it sends streams to other relays.
    pub legs: u32,
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

/// A node that has a stream: its origin, or one that pulls it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source<'a> {
    /// Its name.
    pub node: &'a NodeId,
    /// The epoch of the claim whose publication it has.
    pub epoch: u64,
    /// Legs between it and the origin: 0 for the origin.
    pub hops: u8,
    /// The node that it pulls from; none for the origin.
    pub parent: Option<&'a NodeId>,
    /// Where other nodes reach it, if it says so.
    pub url: Option<&'a str>,
    /// Its region, if it has one.
    pub region: Option<&'a str>,
    /// The part of its capacity that is in use, from 0 to 1.
    pub load: f32,
    /// Whether it is about to end.
    pub is_draining: bool,
    /// Whether it lives. Otherwise its lease has expired, and its region and its load are not known.
    pub is_live: bool,
}

impl View {
    /// Takes a value as a watch reads it: its key, its octets (none if it was removed), and the number of its write.
    pub fn read(&mut self, key: &str, value: Option<Bytes>, revision: u64) {
        self.apply(&Update { key: key.to_owned(), entry: Entry { value, revision } });
    }

    /// Takes a write, and returns what it is about. A value that cannot be read counts as none.
    pub(crate) fn apply(&mut self, update: &Update) -> Option<Key> {
        let key = Key::decode(&update.key)?;
        let value = update.entry.value.as_deref();
        let revision = update.entry.revision;
        match &key {
            Key::Node(node) => match value.and_then(NodeValue::read) {
                Some(value) => drop(self.nodes.insert(node.clone(), value)),
                None => drop(self.nodes.remove(node)),
            },
            Key::Stream(stream) => match value.and_then(ClaimValue::read) {
                Some(claim) => drop(self.claims.insert(stream.clone(), Recorded { claim, revision })),
                None => drop(self.claims.remove(stream)),
            },
            Key::Carries(node, part) => {
                self.remove_list(node, *part);
                if let Some(value) = value.and_then(CarriesValue::read) {
                    self.insert_list(node, *part, value, revision);
                }
            }
        }
        Some(key)
    }

    fn remove_list(&mut self, node: &NodeId, part: u16) {
        let Some(list) = self.lists.remove(&(node.clone(), part)) else { return };
        for stream in list.streams {
            let Some(carriers) = self.carriers.get_mut(&stream) else { continue };
            // It may have been read in another part since.
            if carriers.get(node).is_some_and(|pulled| pulled.part == part) {
                carriers.remove(node);
            }
            if carriers.is_empty() {
                self.carriers.remove(&stream);
            }
        }
    }

    fn insert_list(&mut self, node: &NodeId, part: u16, value: CarriesValue, revision: u64) {
        let CarriesValue { inc, url, carries, .. } = value;
        let streams = carries.iter().map(|carried| carried.stream.clone()).collect();
        self.lists.insert((node.clone(), part), List { inc, revision, url, streams });
        for carried in carries {
            // A node that pulls is at least one leg away.
            let pulled = Pulled { part, inc, epoch: carried.epoch, hops: carried.hops.max(1), parent: carried.parent };
            self.carriers.entry(carried.stream).or_default().insert(node.clone(), pulled);
        }
    }

    /// The claim of a stream.
    pub(crate) fn claim(&self, stream: &StreamName) -> Option<&Recorded> {
        self.claims.get(stream)
    }

    /// All claims.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (&StreamName, &Recorded)> {
        self.claims.iter()
    }

    /// The parts of all lists of pulled streams, with their nodes.
    pub(crate) fn lists(&self) -> impl Iterator<Item = (&(NodeId, u16), &List)> {
        self.lists.iter()
    }

    /// Whether a node is alive, and has not started anew since `incarnation`.
    pub(crate) fn is_live(&self, node: &NodeId, incarnation: u64) -> bool {
        self.nodes.get(node).is_some_and(|value| value.inc == incarnation)
    }

    /// The node that has the publisher of a stream.
    pub fn origin(&self, stream: &StreamName) -> Option<Source<'_>> {
        let claim = &self.claims.get(stream)?.claim;
        let source = Source {
            node: &claim.node,
            epoch: claim.epoch,
            hops: 0,
            parent: None,
            url: claim.url.as_deref(),
            region: None,
            load: 0.0,
            is_draining: false,
            is_live: self.is_live(&claim.node, claim.inc),
        };
        Some(self.with_value(source))
    }

    /// The nodes that pull a stream, by name.
    pub fn carriers<'a>(&'a self, stream: &StreamName) -> impl Iterator<Item = Source<'a>> + use<'a> {
        self.carriers.get(stream).into_iter().flatten().map(|(node, pulled)| self.carrier(node, pulled))
    }

    /// A node that pulls a stream, if it does.
    pub fn carrier_of(&self, stream: &StreamName, node: &NodeId) -> Option<Source<'_>> {
        let (node, pulled) = self.carriers.get(stream)?.get_key_value(node)?;
        Some(self.carrier(node, pulled))
    }

    /// Where other nodes reach a node, if it has said so; also one whose lease has expired.
    pub fn url(&self, node: &NodeId) -> Option<&str> {
        let living = || self.nodes.get(node)?.url.as_deref();
        let listed = || self.lists.get(&(node.clone(), 0))?.url.as_deref();
        let claimed = || self.claims.values().find(|recorded| recorded.claim.node == *node)?.claim.url.as_deref();
        living().or_else(listed).or_else(claimed)
    }

    fn carrier<'a>(&'a self, node: &'a NodeId, pulled: &'a Pulled) -> Source<'a> {
        let list = self.lists.get(&(node.clone(), pulled.part));
        let source = Source {
            node,
            epoch: pulled.epoch,
            hops: pulled.hops,
            parent: Some(&pulled.parent),
            url: list.and_then(|list| list.url.as_deref()),
            region: None,
            load: 0.0,
            is_draining: false,
            is_live: self.is_live(node, pulled.inc),
        };
        self.with_value(source)
    }

    /// Adds what a living node says of itself.
    fn with_value<'a>(&'a self, source: Source<'a>) -> Source<'a> {
        let Some(value) = self.nodes.get(source.node).filter(|_| source.is_live) else { return source };
        Source {
            url: value.url.as_deref().or(source.url),
            region: value.region.as_deref(),
            load: value.load,
            is_draining: value.draining,
            ..source
        }
    }

    /// The names of the nodes, in order.
    pub(crate) fn node_names(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.keys()
    }

    /// The region of a living node.
    pub(crate) fn region(&self, node: &NodeId) -> Option<&str> {
        self.nodes.get(node)?.region.as_deref()
    }

    /// The nodes, by name.
    pub(crate) fn list_nodes(&self) -> Vec<ListedNode> {
        let mut streams: HashMap<&NodeId, usize> = HashMap::new();
        let claims = self.claims.values().map(|recorded| &recorded.claim);
        for claim in claims.filter(|claim| self.is_live(&claim.node, claim.inc)) {
            *streams.entry(&claim.node).or_default() += 1;
        }
        let listed = self.nodes.iter().map(|(node, value)| ListedNode {
            node: node.clone(),
            url: value.url.clone(),
            public_url: value.public_url.clone().filter(|url| is_for_clients(url)),
            region: value.region.clone(),
            load: value.load,
            is_draining: value.draining,
            legs: value.legs,
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
            url: self.origin(stream)?.url.map(str::to_owned),
            is_live: self.is_live(&claim.node, claim.inc),
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

/// Whether clients may be sent to a URL that the directory has: they would follow any other kind too.
fn is_for_clients(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
}

#[cfg(test)]
mod tests {
    use super::super::value::VERSION;
    use super::*;

    fn update(key: &str, value: Option<&str>) -> Update {
        let value = value.map(|value| value.as_bytes().to_vec().into());
        Update { key: key.to_owned(), entry: Entry { value, revision: 1 } }
    }

    #[test]
    fn a_claim_is_live_while_its_node_has_a_lease_of_the_same_start() {
        let (mut view, stream) = (View::default(), "cam".parse().unwrap());
        let claim = format!(r#"{{"v":{VERSION},"node":"a","inc":7,"epoch":1,"started":1,"nonce":1}}"#);
        view.apply(&update("s.cam", Some(&claim)));
        let is_live = |view: &View| view.list_stream(&stream).map(|listed| listed.is_live);
        assert_eq!(is_live(&view), Some(false), "no lease");
        view.apply(&update("n.a", Some(r#"{"v":1,"inc":7,"gen":1}"#)));
        assert_eq!(is_live(&view), Some(true));
        assert_eq!(view.list_nodes()[0].streams, 1);
        view.apply(&update("n.a", Some(r#"{"v":1,"inc":8,"gen":1}"#)));
        assert_eq!(is_live(&view), Some(false), "it started anew");
        assert_eq!(view.list_nodes()[0].streams, 0);
        view.apply(&update("s.cam", None));
        assert_eq!(is_live(&view), None);
    }

    #[test]
    fn what_cannot_be_read_counts_as_no_value() {
        let (mut view, stream) = (View::default(), "cam".parse().unwrap());
        view.apply(&update("s.cam", Some(r#"{"v":1,"node":"a","inc":7,"epoch":1,"started":1,"nonce":1}"#)));
        assert!(view.claim(&stream).is_some());
        view.apply(&update("s.cam", Some("not json")));
        assert!(view.claim(&stream).is_none());
        assert_eq!(view.apply(&update("x.later", Some("{}"))), None);
    }

    fn list(entries: &[(&str, u8)]) -> String {
        let entry =
            |(stream, hops): &(&str, u8)| format!(r#"{{"stream":"{stream}","epoch":5,"hops":{hops},"parent":"o"}}"#);
        let entries: Vec<_> = entries.iter().map(entry).collect();
        format!(r#"{{"v":1,"inc":7,"url":"http://a","carries":[{}]}}"#, entries.join(","))
    }

    fn carriers(view: &View, stream: &str) -> Vec<(String, u8, bool)> {
        let carriers = view.carriers(&stream.parse().unwrap()).map(|it| (it.node.to_string(), it.hops, it.is_live));
        carriers.collect()
    }

    #[test]
    fn a_list_of_pulled_streams_takes_the_place_of_the_one_before() {
        let mut view = View::default();
        view.apply(&update("c.a", Some(&list(&[("cam", 1), ("two", 0)]))));
        assert_eq!(carriers(&view, "cam"), [("a".to_owned(), 1, false)], "no lease");
        assert_eq!(carriers(&view, "two"), [("a".to_owned(), 1, false)], "no node that pulls is the origin");
        view.apply(&update("n.a", Some(r#"{"v":1,"inc":7,"gen":1}"#)));
        view.apply(&update("c.a", Some(&list(&[("cam", 2)]))));
        assert_eq!(carriers(&view, "cam"), [("a".to_owned(), 2, true)]);
        assert!(carriers(&view, "two").is_empty());
        view.apply(&update("c.a", None));
        assert!(carriers(&view, "cam").is_empty());
        assert!(view.lists.is_empty() && view.carriers.is_empty());
    }

    #[test]
    fn a_stream_that_moves_to_another_part_of_a_list_stays() {
        let mut view = View::default();
        view.apply(&update("c.a.3", Some(&list(&[("cam", 1)]))));
        view.apply(&update("c.a", Some(&list(&[("cam", 2)]))));
        view.apply(&update("c.a.3", None));
        assert_eq!(carriers(&view, "cam"), [("a".to_owned(), 2, false)]);
    }

    #[test]
    fn the_url_of_a_node_is_known_after_its_lease_has_expired() {
        let mut view = View::default();
        let url = |view: &View, node: &str| view.url(&node.parse().unwrap()).map(str::to_owned);
        view.apply(&update("c.a", Some(&list(&[("cam", 1)]))));
        view.apply(&update(
            "s.cam",
            Some(r#"{"v":1,"node":"o","inc":1,"epoch":1,"started":1,"nonce":1,"url":"http://o"}"#),
        ));
        assert_eq!(url(&view, "a").as_deref(), Some("http://a"));
        assert_eq!(url(&view, "o").as_deref(), Some("http://o"));
        assert_eq!(view.origin(&"cam".parse().unwrap()).unwrap().url, Some("http://o"));
        view.apply(&update("n.a", Some(r#"{"v":1,"inc":7,"gen":1,"url":"http://new"}"#)));
        assert_eq!(url(&view, "a").as_deref(), Some("http://new"));
        assert_eq!(url(&view, "x"), None);
    }
}
