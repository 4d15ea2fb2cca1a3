//! The relay in virtual time: the real core and real clients over a network that each test holds in its hands, with no
//! socket, no thread and no clock. One program, because the network is compiled and linked once for all of them;
//! `cargo test --test sim takeover::` runs one behaviour.

mod broadcast;
mod net;
mod receiver;
#[path = "../media/recording.rs"]
mod recording;

mod audio_video_sync;
mod bandwidth;
mod channels;
mod churn;
mod codecs;
mod dark_downlink;
mod delivery;
mod extensions;
mod fast_start;
mod feedback;
mod frame_descriptors;
mod impairment;
mod layer_changes;
mod layer_choice;
mod layer_feedback;
mod layer_sync;
#[path = "../support/leg_offer.rs"]
mod leg_offer;
mod legs;
mod limits;
mod parameter_sets;
mod publisher_leaves;
mod publishers;
mod redundancy;
mod refusals;
mod session_reports;
mod simulcast;
mod slow_publishers;
mod slow_tcp;
mod ssrc_changes;
mod takeover;
mod viewer_pause;
