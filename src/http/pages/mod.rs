//! The pages and the files that they load, compiled into the binary.

mod html;

pub(super) use html::{asset, explain, index, publish, watch};
