//! The types of state that several threads write.
//!
//! Unit tests replace these types by models that behave alike, and under which loom explores every interleaving of
//! threads: `model::explore`. The rule: threads share only values of these types, single locks and counters.

#[cfg(not(test))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize};

    pub(crate) use crossbeam_queue::ArrayQueue;
    pub(crate) use dashmap::DashMap;
    pub(crate) use dashmap::mapref::entry::Entry;
}

#[cfg(test)]
pub(crate) mod model;

#[cfg(test)]
pub(crate) use model::{ArrayQueue, AtomicBool, AtomicUsize, DashMap, Entry};
#[cfg(not(test))]
pub(crate) use real::{ArrayQueue, AtomicBool, AtomicUsize, DashMap, Entry};
