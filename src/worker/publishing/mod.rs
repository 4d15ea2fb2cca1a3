//! A publisher's side of a session: from an opened packet to one push for each worker with viewers. The engine calls
//! it.

pub(crate) mod bitrate;
mod cache;
mod examine;
mod formats;
mod header_extensions;
mod layers;
mod lint;
pub(crate) mod publisher;
mod publisher_loss;
mod redundancy;
mod release;
mod repair_delay;
pub(crate) mod simulcast;
mod source_change;
mod sources;
mod subscribers;
pub(crate) mod track;
