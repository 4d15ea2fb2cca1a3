//! `sluice check-reachability URL`: requests a viewer's session of a relay from another machine, tries each address in
//! the answer, and reports whether it is reachable and what to do if it is not.
//!
//! The rule: it does what any viewer does, a POST and signed checks, so the relay needs nothing more for it than for
//! viewers. The session ends before it counts as one that could not connect.

mod answer;
mod attempt;
mod command;

pub use command::{Config, Reachability, ReachabilityError, run};
