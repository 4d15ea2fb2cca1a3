//! What real clients and encoders send, as it was recorded: the answers to their offers (`tests/golden/`) and the
//! keyframes in their packets (`tests/media/`).

#[allow(dead_code, reason = "tests/sim reads the marker too")]
#[path = "../media/recording.rs"]
mod recording;

mod answers;
mod keyframes;
