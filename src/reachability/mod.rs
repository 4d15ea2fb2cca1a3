//! `sluice check-reachability URL`: asks a relay from another machine for a viewer's session, tries each address that the
//! answer names, and says of each whether it is reachable and what to do if not.
//!
//! The rule: it does what any viewer does, a POST and signed checks, so the relay needs nothing for it that it does not
//! have for viewers. The session ends before it counts as one that could not connect.

mod answer;
mod attempt;
mod command;

pub use command::{Config, Reachability, ReachabilityError, run};
