use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

/// What a node has read, written as the values themselves.
#[derive(Default)]
struct Directory {
    view: View,
    revision: u64,
}

impl Directory {
    fn write(&mut self, key: &str, value: Option<String>) {
        self.revision += 1;
        self.view.read(key, value.map(Into::into), self.revision);
    }

    fn node(&mut self, name: &str, more: &str) {
        let value = format!(r#"{{"v":1,"inc":1,"gen":1,"url":"http://{name}"{more}}}"#);
        self.write(&format!("n.{name}"), Some(value));
    }

    fn origin(&mut self, name: &str, epoch: u64) {
        let value =
            format!(r#"{{"v":1,"node":"{name}","inc":1,"epoch":{epoch},"started":1,"nonce":1,"url":"http://{name}"}}"#);
        self.write("s.cam", Some(value));
    }

    fn carries(&mut self, name: &str, hops: usize, parent: &str, epoch: u64) {
        let carried = format!(r#"{{"stream":"cam","epoch":{epoch},"hops":{hops},"parent":"{parent}"}}"#);
        let value = format!(r#"{{"v":1,"inc":1,"url":"http://{name}","carries":[{carried}]}}"#);
        self.write(&format!("c.{name}"), Some(value));
    }

    fn parents(&self, own: &Own, seed: u64) -> Vec<String> {
        let parents = parents(&self.view, &cam(), own, &mut StdRng::seed_from_u64(seed));
        parents.iter().map(NodeId::to_string).collect()
    }

    fn admit(&self, path: &[&str], children: &[NodeId], own: &Own, seed: u64) -> Result<(), Refusal> {
        let path: Vec<_> = path.iter().map(|name| node(name)).collect();
        let asked = Asked { path: &path, is_receiving: true, children };
        admit(&self.view, &cam(), asked, own, &mut StdRng::seed_from_u64(seed))
    }
}

fn cam() -> StreamName {
    "cam".parse().unwrap()
}

fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

fn own(name: &str, region: Option<&str>, hops: Option<u8>) -> Own {
    Own { node: node(name), region: region.map(str::to_owned), hops }
}

/// An origin in region `us` that two nodes pull from, in `us` and in `eu`.
fn two_regions() -> Directory {
    let mut directory = Directory::default();
    directory.node("o", r#","region":"us""#);
    directory.node("us1", r#","region":"us","load":0.5"#);
    directory.node("eu1", r#","region":"eu","load":0.9"#);
    directory.origin("o", 5);
    directory.carries("us1", 1, "o", 5);
    directory.carries("eu1", 1, "o", 5);
    directory
}

#[test]
fn the_region_goes_first_then_a_node_that_pulls_before_the_origin_then_load() {
    let directory = two_regions();
    for seed in 0..20 {
        assert_eq!(directory.parents(&own("new", Some("eu"), None), seed), ["eu1", "us1", "o"]);
        assert_eq!(directory.parents(&own("new", Some("us"), None), seed), ["us1", "o", "eu1"]);
        let first = directory.parents(&own("new", None, None), seed);
        assert!(first[0] != "o" && first[2] == "o", "{first:?}");
    }
}

#[test]
fn of_the_best_two_of_a_kind_either_goes_first_and_never_the_third() {
    let mut directory = two_regions();
    for (name, load) in [("eu2", "0.1"), ("eu3", "0.2")] {
        directory.node(name, &format!(r#","region":"eu","load":{load}"#));
        directory.carries(name, 1, "o", 5);
    }
    let lists: Vec<_> = (0..100).map(|seed| directory.parents(&own("new", Some("eu"), None), seed)).collect();
    let first = |name: &str| lists.iter().filter(|list| list[0] == name).count();
    assert!(first("eu2") > 25 && first("eu3") > 25, "{} and {}", first("eu2"), first("eu3"));
    assert!(lists.iter().all(|list| list[2..] == ["eu1", "us1", "o"]));
}

#[test]
fn the_same_seed_makes_the_same_choice() {
    let directory = two_regions();
    let chosen = |seed| directory.parents(&own("new", None, None), seed);
    assert!((0..20).all(|seed| chosen(seed) == chosen(seed)));
}

#[test]
fn a_node_of_three_hops_is_no_parent() {
    let mut directory = two_regions();
    for (name, hops, parent) in [("eu2", 2, "eu1"), ("eu3", 3, "eu2")] {
        directory.node(name, r#","region":"eu""#);
        directory.carries(name, hops, parent, 5);
    }
    let parents = directory.parents(&own("new", Some("eu"), None), 1);
    assert!(parents.contains(&"eu2".to_owned()) && !parents.contains(&"eu3".to_owned()), "{parents:?}");
}

#[test]
fn a_node_that_lost_its_parent_turns_to_fewer_hops_or_to_the_origin() {
    let mut directory = two_regions();
    directory.node("eu2", r#","region":"eu""#);
    directory.carries("eu2", 2, "eu1", 5);
    assert_eq!(directory.parents(&own("x", Some("eu"), Some(2)), 1), ["eu1", "us1", "o"]);
    assert_eq!(directory.parents(&own("x", Some("eu"), Some(1)), 1), ["o"]);
}

#[test]
fn a_descendant_is_no_parent() {
    let mut directory = two_regions();
    directory.node("eu2", r#","region":"eu""#);
    directory.carries("eu2", 2, "eu1", 5);
    assert_eq!(directory.parents(&own("eu1", Some("eu"), None), 1), ["us1", "o"], "also without hops of its own");
    // A circle, as two values of different age may show it.
    directory.carries("us1", 2, "eu2", 5);
    directory.carries("eu1", 1, "us1", 5);
    assert_eq!(directory.parents(&own("new", Some("us"), None), 1), ["o"]);
}

#[test]
fn an_origin_whose_lease_has_expired_goes_last_and_is_still_there() {
    let mut directory = two_regions();
    directory.write("n.o", None);
    assert_eq!(directory.parents(&own("new", Some("us"), None), 1), ["us1", "eu1", "o"]);
    directory.write("n.us1", None);
    assert_eq!(directory.parents(&own("new", Some("us"), None), 1), ["eu1", "us1", "o"]);
}

#[test]
fn a_node_without_a_place_goes_behind_the_others() {
    let mut directory = two_regions();
    for number in 0..LEGS {
        directory.node(&format!("c{number}"), r#","region":"eu","draining":true"#);
        directory.carries(&format!("c{number}"), 2, "eu1", 5);
    }
    assert_eq!(directory.parents(&own("new", Some("eu"), None), 1), ["us1", "o", "eu1"]);
}

#[test]
fn nodes_that_drain_or_have_no_url_or_older_media_are_no_parents() {
    let mut directory = two_regions();
    directory.node("us1", r#","region":"us","draining":true"#);
    directory.origin("o", 6);
    directory.carries("eu1", 1, "o", 6);
    directory.write("n.quiet", Some(r#"{"v":1,"inc":1,"gen":1}"#.to_owned()));
    let carried = r#"{"stream":"cam","epoch":6,"hops":1,"parent":"o"}"#;
    directory.write("c.quiet", Some(format!(r#"{{"v":1,"inc":1,"carries":[{carried}]}}"#)));
    directory.node("old", r#","region":"us""#);
    directory.carries("old", 1, "o", 5);
    assert_eq!(directory.parents(&own("new", Some("us"), None), 1), ["o", "eu1"]);
    directory.node("o", r#","region":"us","draining":true"#);
    assert_eq!(directory.parents(&own("new", Some("us"), None), 1), ["eu1", "o"], "nobody else has a publisher");
}

#[test]
fn the_origin_and_streams_that_nobody_has_need_no_parent() {
    let directory = two_regions();
    assert!(directory.parents(&own("o", Some("us"), None), 1).is_empty());
    assert!(Directory::default().parents(&own("o", None, None), 1).is_empty());
}

#[test]
fn the_origin_is_in_a_long_list() {
    let mut directory = two_regions();
    for number in 0..20 {
        directory.node(&format!("eu{number}"), r#","region":"eu""#);
        directory.carries(&format!("eu{number}"), 1, "o", 5);
    }
    let parents = directory.parents(&own("new", Some("eu"), None), 1);
    assert_eq!((parents.len(), parents.last().map(String::as_str)), (CANDIDATES, Some("o")));
}

#[test]
fn a_parent_refuses_without_media_and_to_a_node_on_its_path() {
    let directory = two_regions();
    let path = [node("o"), node("us1")];
    let asked = Asked { path: &path, is_receiving: false, children: &[] };
    let random = &mut StdRng::seed_from_u64(1);
    let new = own("new", None, None);
    assert_eq!(admit(&directory.view, &cam(), asked, &new, random), Err(Refusal::NoMedia));
    let origin = own("o", None, Some(1));
    assert_eq!(directory.admit(&["o", "us1"], &[], &origin, 1), Err(Refusal::OwnPath));
    assert_eq!(directory.admit(&["o", "us1"], &[], &new, 1), Ok(()));
}

/// An origin with 32 children, of which the last four are in region `eu`.
fn full() -> (Directory, Vec<NodeId>) {
    let mut directory = Directory::default();
    directory.node("o", r#","region":"us""#);
    directory.origin("o", 5);
    for number in 0..LEGS {
        let region = if number < LEGS - 4 { "us" } else { "eu" };
        directory.node(&format!("c{number}"), &format!(r#","region":"{region}""#));
        directory.carries(&format!("c{number}"), 1, "o", 5);
    }
    (directory, (0..LEGS).map(|number| node(&format!("c{number}"))).collect())
}

fn others(refusal: Result<(), Refusal>) -> Vec<String> {
    match refusal {
        Err(Refusal::NoPlace { others }) => others.iter().map(NodeId::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_parent_names_two_others_in_the_region_of_the_asker() {
    let (directory, children) = full();
    let new = own("new", Some("eu"), None);
    for seed in 0..20 {
        let named = others(directory.admit(&["o"], &children, &new, seed));
        assert!(named.len() == 2 && named[0] != named[1], "{named:?}");
        assert!(named.iter().all(|name| ["c28", "c29", "c30", "c31"].contains(&name.as_str())), "{named:?}");
    }
    assert_eq!(directory.admit(&["o"], &children[1..], &new, 1), Ok(()), "31 legs leave a place");
    assert_eq!(directory.admit(&["o"], &children, &own("c3", None, Some(1)), 1), Ok(()), "a child keeps its place");
}

#[test]
fn nodes_that_end_are_not_named_and_do_not_name_each_other() {
    let (mut directory, children) = full();
    for child in &children[..30] {
        directory.node(child.as_str(), r#","draining":true"#);
    }
    let named = others(directory.admit(&["o"], &children, &own("new", None, None), 1));
    assert_eq!(named.len(), 2);
    assert!(named.iter().all(|name| ["c30", "c31"].contains(&name.as_str())), "{named:?}");
}

#[test]
fn children_that_the_directory_does_not_list_yet_are_named() {
    let mut directory = Directory::default();
    directory.node("o", "");
    directory.origin("o", 5);
    let children: Vec<_> = (0..LEGS).map(|number| node(&format!("c{number}"))).collect();
    children.iter().for_each(|child| directory.node(child.as_str(), ""));
    assert_eq!(others(directory.admit(&["o"], &children, &own("new", None, None), 1)).len(), 2);
}

#[test]
fn a_node_of_three_hops_names_nodes_that_have_fewer() {
    let directory = two_regions();
    let named = others(directory.admit(&["o", "us1", "x", "y"], &[node("z")], &own("new", Some("us"), None), 1));
    assert_eq!(named, ["us1", "o"]);
}

/// Nodes as they are, and the directory that shows them later.
struct Cluster {
    directory: Directory,
    nodes: Vec<Member>,
    random: StdRng,
}

#[derive(Clone, Default)]
struct Member {
    is_gone: bool,
    /// The node that it pulls from.
    parent: Option<usize>,
    /// From the origin to it, as its parent has said last. Empty if it does not carry the stream.
    path: Vec<usize>,
}

/// The node that has the publisher.
const ORIGIN: usize = 0;

impl Cluster {
    fn new(count: usize, seed: u64) -> Self {
        let mut directory = Directory::default();
        for number in 0..count {
            directory.node(&number.to_string(), &format!(r#","region":"{}""#, number % 3));
        }
        directory.origin("0", 1);
        let mut nodes = vec![Member::default(); count];
        nodes[ORIGIN].path = vec![ORIGIN];
        Self { directory, nodes, random: StdRng::seed_from_u64(seed) }
    }

    fn children(&self, of: usize) -> Vec<NodeId> {
        let is_child = |(_, member): &(usize, &Member)| member.parent == Some(of) && !member.is_gone;
        self.nodes.iter().enumerate().filter(is_child).map(|(number, _)| node(&number.to_string())).collect()
    }

    /// Looks for a parent, asks each once, and pulls from the first that has a place.
    fn join(&mut self, number: usize, hops: Option<u8>) -> Result<(), Vec<Refusal>> {
        let own = own(&number.to_string(), Some(&(number % 3).to_string()), hops);
        let mut list = parents(&self.directory.view, &cam(), &own, &mut self.random);
        let (mut next, mut refusals) = (0, Vec::new());
        while let Some(candidate) = list.get(next) {
            next += 1;
            let candidate: usize = candidate.to_string().parse().unwrap();
            let asked = self.nodes[candidate].clone();
            if asked.is_gone {
                continue;
            }
            let path: Vec<_> = asked.path.iter().map(|number| node(&number.to_string())).collect();
            let is_receiving = candidate == ORIGIN || asked.parent.is_some_and(|parent| !self.nodes[parent].is_gone);
            let children = self.children(candidate);
            let asked = Asked { path: &path, is_receiving, children: &children };
            match admit(&self.directory.view, &cam(), asked, &own, &mut self.random) {
                Ok(()) => {
                    let path = self.nodes[candidate].path.clone();
                    self.nodes[number].parent = Some(candidate);
                    self.nodes[number].path = path.into_iter().chain([number]).collect();
                    return Ok(());
                }
                Err(Refusal::NoPlace { others }) => {
                    let further: Vec<_> =
                        others.iter().filter(|other| !list[..next].contains(other)).cloned().collect();
                    list.splice(next..next, further);
                    refusals.push(Refusal::NoPlace { others });
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        Err(refusals)
    }

    /// A node goes, and those that pulled from it look for another parent.
    fn end(&mut self, number: usize) {
        self.nodes[number] = Member { is_gone: true, ..Member::default() };
        self.directory.write(&format!("n.{number}"), None);
        for orphan in 0..self.nodes.len() {
            if self.nodes[orphan].parent == Some(number) {
                self.move_away(orphan);
            }
        }
    }

    fn move_away(&mut self, number: usize) {
        let hops = self.nodes[number].path.len() - 1;
        self.nodes[number].parent = None;
        if self.join(number, u8::try_from(hops).ok()).is_err() {
            self.nodes[number].path.clear();
        }
    }

    /// A node learns the path of its parent. One that is too far away moves.
    fn tell(&mut self, number: usize) {
        let Some(parent) = self.nodes[number].parent else { return };
        if self.nodes[parent].path.is_empty() {
            return self.move_away(number);
        }
        let path: Vec<_> = self.nodes[parent].path.iter().copied().chain([number]).collect();
        let is_loop = path[..path.len() - 1].contains(&number);
        let is_far = path.len() > usize::from(HOPS) + 1;
        assert!(!is_loop, "{number} pulls from its descendant");
        self.nodes[number].path = path;
        if is_far {
            self.move_away(number);
        }
    }

    /// The directory shows a node as it is.
    fn list(&mut self, number: usize) {
        let member = self.nodes[number].clone();
        match member.parent {
            Some(parent) => {
                self.directory.carries(&number.to_string(), member.path.len() - 1, &parent.to_string(), 1);
            }
            None => self.directory.write(&format!("c.{number}"), None),
        }
    }

    /// No node gets the stream through itself, and none serves too many.
    fn check(&self) -> Result<(), TestCaseError> {
        for number in 0..self.nodes.len() {
            prop_assert!(self.children(number).len() <= LEGS, "{number} serves {}", self.children(number).len());
            let (mut at, mut steps) = (number, 0);
            while let Some(parent) = self.nodes[at].parent {
                (at, steps) = (parent, steps + 1);
                prop_assert!(steps <= self.nodes.len(), "{number} is in a circle");
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn there_is_no_loop_and_nobody_is_far_away_or_serves_too_many(
        seed: u64,
        steps in prop::collection::vec((0..5_u8, 1..120_usize), 50..250),
    ) {
        let mut cluster = Cluster::new(120, seed);
        for (what, number) in steps {
            let is_idle = cluster.nodes[number].parent.is_none() && !cluster.nodes[number].is_gone;
            match what {
                0 | 1 if is_idle => drop(cluster.join(number, None)),
                2 if number % 4 == 0 => cluster.end(number),
                3 => cluster.tell(number),
                4 => cluster.list(number),
                _ => {}
            }
            cluster.check()?;
        }
        // Everything is said and read.
        for _ in 0..3 {
            for number in 0..120 {
                cluster.tell(number);
                cluster.list(number);
            }
        }
        cluster.check()?;
        let far = cluster.nodes.iter().map(|member| member.path.len()).max();
        prop_assert!(far <= Some(usize::from(HOPS) + 1), "{far:?}");
    }

    #[test]
    fn whatever_the_directory_has_read_every_node_gets_a_place(seed: u64, listed in 0..10_u32) {
        let mut cluster = Cluster::new(200, seed);
        for number in 1..200 {
            let joined = cluster.join(number, None);
            prop_assert!(joined.is_ok(), "{number}: {joined:?}");
            if rand::RngExt::random_ratio(&mut cluster.random, listed, 10) {
                cluster.list(number);
            }
        }
        cluster.check()?;
        let far = cluster.nodes.iter().map(|member| member.path.len()).max();
        prop_assert!(far <= Some(usize::from(HOPS) + 1), "{far:?}");
    }
}
