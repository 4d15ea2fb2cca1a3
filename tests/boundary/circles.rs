//! Finds circles among what uses what.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What each node uses.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

/// A largest set of nodes that all reach each other.
#[derive(Debug, PartialEq)]
pub(crate) struct Circle {
    pub(crate) members: BTreeSet<String>,
    /// A shortest way around, whose first node is also its last.
    pub(crate) shortest: Vec<String>,
}

pub(crate) fn circles(graph: &Graph) -> Vec<Circle> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|start| (start, ways_from(graph, start).into_keys().collect())).collect();
    let mut done = BTreeSet::new();
    let mut circles = Vec::new();
    for (start, ahead) in &reached {
        if done.contains(start) || !ahead.contains(start) {
            continue;
        }
        let members: BTreeSet<&String> =
            ahead.iter().copied().filter(|other| reached.get(other).is_some_and(|back| back.contains(start))).collect();
        done.extend(members.iter().copied());
        let shortest = members.iter().map(|start| way_around(graph, start)).min_by_key(Vec::len);
        circles.push(Circle {
            members: members.into_iter().cloned().collect(),
            shortest: shortest.expect("a circle has members"),
        });
    }
    circles
}

/// All nodes that `start` leads to, each with the node before it on a shortest way.
fn ways_from<'a>(graph: &'a Graph, start: &'a String) -> BTreeMap<&'a String, &'a String> {
    let mut before = BTreeMap::new();
    let mut ahead = VecDeque::from([start]);
    while let Some(node) = ahead.pop_front() {
        for next in graph.get(node).into_iter().flatten().filter(|next| *next != node) {
            before.entry(next).or_insert_with(|| {
                ahead.push_back(next);
                node
            });
        }
    }
    before
}

fn way_around(graph: &Graph, start: &String) -> Vec<String> {
    let before = ways_from(graph, start);
    let mut way = vec![start.clone()];
    let mut node = start;
    loop {
        node = before[node];
        way.push(node.clone());
        if node == start {
            break;
        }
    }
    way.reverse();
    way
}
