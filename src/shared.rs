//! What state that several threads write is made of.
//!
//! In unit tests these types are replaced by ones that behave alike and under which loom goes through every order in
//! which threads can meet: `model::explore`. The rule: threads meet in values of these types, in a single
//! lock, or in a counter, and nowhere else.

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
