//! Which node a stream is pulled from.
//!
//! A node that has viewers of a stream that is published elsewhere pulls it once, from a node that has it: its *parent*. Media
//! goes from the origin over at most [`HOPS`] such legs, and a node serves at most [`LEGS`] of one stream.
//!
//! The asker chooses by what it has read of the directory ([`parents`]), which may be seconds old; the node that is asked
//! decides by what it knows of itself ([`admit`]). So no rule depends on the age of what was read: a node that has no place
//! names two others, and a node that gets no media, or gets it through the asker, refuses. No loop can be made of these rules: a
//! node that has lost its parent turns only to nodes with fewer hops than it had, which its own descendants do not have, or to
//! the origin.
//!
//! Nothing here has a clock, state, or randomness of its own.

use std::cmp::Ordering;
use std::collections::HashMap;

use rand::Rng;
use rand::seq::SliceRandom as _;

use super::node_id::NodeId;
use super::view::{Source, View};
use crate::name::StreamName;

/// Legs between a node and the origin, at most.
pub const HOPS: u8 = 3;

/// Legs on which a node serves one stream to other nodes, at most.
pub const LEGS: usize = 32;

/// Nodes in a list of parents, at most.
const CANDIDATES: usize = 8;

/// How many other nodes are named by one that has no place.
const NAMED: usize = 2;

/// A node that looks for a parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its name.
    pub node: NodeId,
    /// Its region, if it has one.
    pub region: Option<String>,
    /// Legs between it and the origin, if it carries the stream, or did until its parent went away.
    pub hops: Option<u8>,
}

/// A node that is asked for a stream, as it knows itself.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The nodes from the origin to this one, both included.
    pub path: &'a [NodeId],
    /// Whether it gets media of the stream now.
    pub is_receiving: bool,
    /// The nodes that pull the stream from it.
    pub children: &'a [NodeId],
}

/// Why a node does not serve another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It gets no media of the stream.
    #[error("this node gets no media of the stream: ask another one, or this one again later")]
    NoMedia,
    /// The asker is between the origin and this node.
    #[error("this node gets the stream through the one that asks: ask another one")]
    OwnPath,
    /// It serves [`LEGS`] nodes, or is [`HOPS`] legs from the origin.
    #[error("this node serves as many nodes as it may: ask one of those that it names")]
    NoPlace {
        /// Other nodes to ask, at most two.
        others: Vec<NodeId>,
    },
}

/// How good a parent is: the least is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    is_expired: bool,
    is_full: bool,
    is_draining: bool,
    is_elsewhere: bool,
    is_origin: bool,
}

/// A node that may be a parent.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    source: Source<'a>,
    class: Class,
}

/// The nodes that may serve a stream to `own`, in the order in which to ask them; empty if `own` is the origin, or if no node
/// that has a URL has the stream.
///
/// Those in its region go first, then those that pull the stream before the origin, then those with the lower load; of the
/// best two that differ in load alone, either goes first at random, so that nodes that read the same do not all ask the same
/// one. Nodes that have no place as far as is known, and then nodes whose lease has expired, go last. The origin is always
/// among them.
pub fn parents(view: &View, stream: &StreamName, own: &Own, random: &mut impl Rng) -> Vec<NodeId> {
    let origin = view.origin(stream);
    if origin.is_some_and(|origin| origin.node == &own.node) {
        return Vec::new();
    }
    let mut candidates = candidates(view, stream, own);
    candidates.sort_by(Candidate::compare);
    if let [first, second, ..] = candidates.as_slice()
        && first.class == second.class
        && random.next_u32().is_multiple_of(2)
    {
        candidates.swap(0, 1);
    }
    let is_origin = |candidate: &Candidate<'_>| candidate.class.is_origin;
    if let Some(place) = candidates.iter().position(is_origin).filter(|place| *place >= CANDIDATES) {
        candidates.swap(CANDIDATES - 1, place);
    }
    candidates.iter().take(CANDIDATES).map(|candidate| candidate.source.node.clone()).collect()
}

/// Whether a node serves a stream to `own`, which asks it. A node that is among its children already keeps its place.
///
/// # Errors
/// [`Refusal`] says why it does not.
pub fn admit(
    view: &View,
    stream: &StreamName,
    asked: Asked<'_>,
    own: &Own,
    random: &mut impl Rng,
) -> Result<(), Refusal> {
    if asked.path.contains(&own.node) {
        return Err(Refusal::OwnPath);
    }
    if !asked.is_receiving {
        return Err(Refusal::NoMedia);
    }
    let others = asked.children.iter().filter(|child| **child != own.node).count();
    if others >= LEGS || asked.path.len() > usize::from(HOPS) {
        return Err(Refusal::NoPlace { others: name_others(view, stream, asked, own, random) });
    }
    Ok(())
}

/// Two other nodes to ask: children of the one that was asked, which certainly carry the stream, at random, those in the
/// region of the asker first; then any that the directory knows.
fn name_others(view: &View, stream: &StreamName, asked: Asked<'_>, own: &Own, random: &mut impl Rng) -> Vec<NodeId> {
    let legs = legs(view, stream);
    let known: HashMap<_, _> = view.carriers(stream).map(|carrier| (carrier.node, carrier)).collect();
    // A child may not be listed yet.
    let is_usable = |child: &&NodeId| match known.get(child) {
        Some(carrier) => !carrier.is_draining && carrier.url.is_some() && !descends(view, stream, *carrier, &own.node),
        None => view.url(child).is_some(),
    };
    let has_place = |child: &&NodeId| **child != own.node && legs.get(*child).is_none_or(|legs| *legs < LEGS);
    let can_serve = asked.path.len() < usize::from(HOPS);
    let mut children: Vec<&NodeId> = asked.children.iter().filter(|_| can_serve).filter(has_place).collect();
    children.retain(is_usable);
    children.shuffle(random);
    children.sort_by_key(|child| view.region(child) != own.region.as_deref());
    let mut named: Vec<NodeId> = children.into_iter().take(NAMED).cloned().collect();
    let mut known = candidates(view, stream, own);
    known.retain(|candidate| !candidate.class.is_draining && !candidate.class.is_full);
    known.sort_by(Candidate::compare);
    for candidate in known {
        let node = candidate.source.node;
        if named.len() < NAMED && asked.path.last() != Some(node) && !named.contains(node) {
            named.push(node.clone());
        }
    }
    named
}

/// The nodes that may be the parent of `own`, as far as the directory knows, in no order.
fn candidates<'a>(view: &'a View, stream: &StreamName, own: &Own) -> Vec<Candidate<'a>> {
    let origin = view.origin(stream);
    let epoch = origin.map_or(0, |origin| origin.epoch);
    let legs = legs(view, stream);
    // One that is not the origin any more may still be listed as a carrier, or the other way round.
    let is_other =
        |source: &Source<'_>| source.node != &own.node && origin.is_none_or(|origin| origin.node != source.node);
    let may_serve = |source: &Source<'_>| {
        source.hops < HOPS
            && own.hops.is_none_or(|hops| source.hops < hops)
            // One that still has the media of an earlier publication waits for the origin itself.
            && source.epoch >= epoch
            && !source.is_draining
            && !descends(view, stream, *source, &own.node)
    };
    let carriers = view.carriers(stream).filter(is_other).filter(may_serve);
    let all = origin.into_iter().chain(carriers).filter(|source| source.url.is_some());
    let candidate = |source: Source<'a>| Candidate {
        source,
        class: Class {
            is_expired: !source.is_live,
            is_full: legs.get(source.node).is_some_and(|legs| *legs >= LEGS),
            is_draining: source.is_draining,
            is_elsewhere: source.region != own.region.as_deref(),
            is_origin: source.parent.is_none(),
        },
    };
    all.map(candidate).collect()
}

/// How many nodes pull a stream from each node, as far as the directory knows.
fn legs<'a>(view: &'a View, stream: &StreamName) -> HashMap<&'a NodeId, usize> {
    let mut legs = HashMap::new();
    for parent in view.carriers(stream).filter(|carrier| carrier.is_live).filter_map(|carrier| carrier.parent) {
        *legs.entry(parent).or_default() += 1;
    }
    legs
}

/// Whether a node gets a stream through another one, or through a circle, as far as the directory knows.
fn descends(view: &View, stream: &StreamName, source: Source<'_>, from: &NodeId) -> bool {
    let mut parent = source.parent.cloned();
    for _ in 0..=HOPS {
        let Some(node) = parent else { return false };
        if node == *from {
            return true;
        }
        parent = view.carrier_of(stream, &node).and_then(|carrier| carrier.parent.cloned());
    }
    parent.is_some()
}

impl Candidate<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        let rest = || (self.source.hops, self.source.node).cmp(&(other.source.hops, other.source.node));
        self.class.cmp(&other.class).then(self.source.load.total_cmp(&other.source.load)).then_with(rest)
    }
}

#[cfg(test)]
mod tests;
