//! What real clients and encoders send, as it was recorded: the answers to their offers (`tests/golden/`) and the keyframes
//! in their packets (`tests/media/`).

mod answers;
mod keyframes;
