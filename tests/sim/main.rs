//! The relay in virtual time: the real core and real clients over a network that each test holds in its hands, with no
//! socket, no thread and no clock. One program, because the network is compiled and linked once for all of them;
//! `cargo test --test sim takeover::` runs one behaviour.

mod broadcast;
mod net;
mod receiver;
#[path = "../media/recording.rs"]
mod recording;

mod absence;
mod channels;
mod churn;
mod delivery;
mod departures;
mod extensions;
mod facts;
mod fast_start;
mod feedback;
mod impairment;
mod limits;
mod parameter_sets;
mod publishers;
mod redundancy;
mod shapes;
mod slow_publishers;
mod sources;
mod sync;
mod takeover;
