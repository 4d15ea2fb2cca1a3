//! Claims: which node has a stream, decided by compare-and-set.
//!
//! A claim names when its publisher started. The later start wins; of two equal ones the node with the greater name. A
//! node whose lease has expired ranks last: another one takes its stream, and notes a later start than its own, so that
//! the first one does not take the stream back when it goes on. Starts are read from the clocks of different machines: if
//! these differ by some seconds, of two publishers that start within that time the wrong one may win, and a publisher
//! cannot replace one that seems to have started later.

use std::time::Duration;

use super::directory::{Directory, Identity, now};
use super::key::Key;
use super::store::{Entry, StoreError};
use super::value::{ClaimValue, NodeValue, VERSION};
use crate::name::StreamName;

/// How many times a claim is tried again because another write came first.
pub(super) const ROUNDS: u32 = 16;

/// By how much the longest pause before each further try grows: while three servers agree on a write, they refuse others
/// and show the value before it.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// A time in which this node has the live publisher of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The stream.
    pub stream: StreamName,
    /// When the publisher started, in ms since 1970.
    pub started: u64,
    /// Tells it from other publications of this node.
    pub nonce: u64,
}

/// The outcome of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// This node has the stream.
    Won {
        /// Larger than that of every earlier claim.
        epoch: u64,
        /// The start that the claim names: later than the publication's, if it was taken from a node that does not live.
        started: u64,
    },
    /// Another node has it, whose publisher started later.
    Lost(super::NodeId),
}

impl Publication {
    /// A publisher that starts now.
    pub fn starting(stream: StreamName) -> Self {
        Self { stream, started: now(), nonce: rand::random() }
    }
}

impl Directory {
    /// Claims the stream of a publication, or finds that it is claimed already. To be repeated after an error.
    ///
    /// # Errors
    /// [`StoreError`]; the claim may have been written all the same.
    pub async fn claim(&self, publication: &Publication) -> Result<Claimed, StoreError> {
        let key = Key::Stream(publication.stream.clone()).encode();
        for round in 0..ROUNDS {
            let entry = self.store.get(&key).await?;
            let before = read(&entry);
            if let Some(own) = before.clone().filter(|claim| self.is_of(claim, publication)) {
                return Ok(won(own));
            }
            let mut claim = self.claim_after(before.as_ref(), publication);
            if let Some(before) = before.filter(|before| before.node != self.own.node && before.outranks(&claim)) {
                if self.is_live_now(&before).await? {
                    return Ok(Claimed::Lost(before.node));
                }
                claim.started = before.started.saturating_add(1);
            }
            match self.store.compare_and_set(&key, claim.write(), entry.revision).await {
                Ok(_) => return Ok(won(claim)),
                Err(StoreError::Changed) => {
                    tokio::time::sleep(rand::random_range(Duration::ZERO..=PAUSE * round)).await
                }
                Err(StoreError::TimedOut) => {
                    // It may have landed, or may land later: then the next claim finds it.
                    let landed = read(&self.store.get(&key).await?).filter(|claim| self.is_of(claim, publication));
                    return landed.map(won).ok_or(StoreError::TimedOut);
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Changed)
    }

    /// Gives up the claim of a publication that has ended. A claim that another node has made meanwhile stays.
    ///
    /// # Errors
    /// [`StoreError`]; the claim may have been removed all the same.
    pub async fn release(&self, publication: &Publication) -> Result<(), StoreError> {
        let key = Key::Stream(publication.stream.clone()).encode();
        let entry = self.store.get(&key).await?;
        if !read(&entry).is_some_and(|claim| self.is_of(&claim, publication)) {
            return Ok(());
        }
        match self.store.purge(&key, entry.revision).await {
            // It is another node's now.
            Err(StoreError::Changed) => Ok(()),
            outcome => outcome,
        }
    }

    /// The publication of this node that the claim of a stream names, as it was read last.
    pub(super) fn own_claim(&self, stream: &StreamName) -> Option<Publication> {
        let claim = self.view().claim(stream).map(|recorded| recorded.claim.clone())?;
        let is_own = claim.node == self.own.node && claim.inc == self.own.incarnation;
        is_own.then(|| Publication { stream: stream.clone(), started: claim.started, nonce: claim.nonce })
    }

    /// The streams that this node has claimed, as they were read last.
    pub(super) fn own_streams(&self) -> Vec<StreamName> {
        let view = self.view();
        let own = view.claims().filter(|(_, recorded)| recorded.claim.node == self.own.node);
        own.map(|(stream, _)| stream.clone()).collect()
    }

    /// Whether a claim is the one of this publication.
    pub(super) fn is_of(&self, claim: &ClaimValue, publication: &Publication) -> bool {
        let Identity { node, incarnation, .. } = &self.own;
        (&claim.node, claim.inc, claim.nonce) == (node, *incarnation, publication.nonce)
    }

    /// The claim that follows the one that there is. What a later version has written in that one stays.
    fn claim_after(&self, before: Option<&ClaimValue>, publication: &Publication) -> ClaimValue {
        let previous = before.map_or(0, |before| before.epoch);
        ClaimValue {
            v: VERSION.max(before.map_or(0, |before| before.v)),
            node: self.own.node.clone(),
            inc: self.own.incarnation,
            epoch: now().max(previous.saturating_add(1)),
            started: publication.started,
            nonce: publication.nonce,
            url: self.own.url.clone(),
            evictions: before.map(|before| before.evictions.clone()).unwrap_or_default(),
            other: before.map(|before| before.other.clone()).unwrap_or_default(),
        }
    }

    async fn is_live_now(&self, claim: &ClaimValue) -> Result<bool, StoreError> {
        let node = self.store.get(&Key::Node(claim.node.clone()).encode()).await?;
        let value = node.value.as_deref().and_then(NodeValue::read);
        Ok(value.is_some_and(|value| value.inc == claim.inc))
    }
}

fn won(claim: ClaimValue) -> Claimed {
    Claimed::Won { epoch: claim.epoch, started: claim.started }
}

/// The claim in an entry, if it has one.
pub(super) fn read(entry: &Entry) -> Option<ClaimValue> {
    ClaimValue::read(entry.value.as_deref()?)
}
