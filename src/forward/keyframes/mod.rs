//! Keyframes of one published video: when its publisher is asked for one, and how each gets its parameter sets.

mod assembler;
mod gate;

pub use assembler::KeyframeAssembler;
pub(crate) use assembler::SetsSource;
pub(crate) use gate::{ANSWER_TIME, KeyframeGate};
