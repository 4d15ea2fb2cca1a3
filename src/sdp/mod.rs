//! Offer in, answer out: what a client proposes becomes the values that its session lives by, and the text that says so.
//!
//! WHIP and WHEP know one offer and one answer and no renegotiation, so everything later work needs is promised here on
//! the first day: RTX payload types, header-extension ids, a source for each section that has no media yet,
//! `m=application` where it was offered. Nothing here touches a peer connection: RTP passes it by in both directions, so
//! it negotiates a constant stub and the real answer is this one.
//!
//! The rule: hostile text is an [`OfferError`] with a sentence that says what to do, never a panic. webrtc-rs's parser
//! reads the grammar, `limits` stands before it and the types of this module behind it.
//!
//! # What is promised and why
//!
//! * A publisher gets one payload type of each codec, in its own order (browsers send the first, Pion what its track has;
//!   the packets of a track decide), and of the header extensions `mid` (which section an undeclared source
//!   belongs to), transport-wide-cc (its send rate), and what viewers are told: audio-level and abs-capture-time.
//!   Video-orientation only where the operator says so: a publisher that has it stops turning its own picture, which the
//!   browser of a phone does well, and each viewer that has it not (Firefox) would see it lie on its side. It is for
//!   publishers that cannot turn a picture, watched by clients that can.
//! * Redundant sound (RFC 2198) is accepted beside the Opus that it carries, from publishers and for viewers, in the
//!   publisher's order: a browser sends it where it stands first. A viewer gets it of a publisher that sends it.
//! * A viewer of a live stream gets the stream's format first, under its own payload type and format parameters: of
//!   several profiles the publisher's. Behind it stands one payload type of each other codec, so that a publisher with
//!   another codec can take over without a new offer. A viewer that waits for a publisher gets one payload type for each
//!   codec and profile.
//! * A viewer gets each of `mid`, abs-capture-time, playout-delay, video-orientation and audio-level that it offers. The
//!   first is on every packet; what the publisher says of its packets on all of them as soon as it says it, and its
//!   absence means "unknown" and "upright"; playout-delay once packets have been lost.
//! * abs-send-time and transport-wide-cc, which change with each sending, are promised only beside RTX: a resend without
//!   RTX repeats the first sending bit for bit. A viewer that has both gets abs-send-time with `goog-remb`: it then says
//!   once a second how much its network carries, where with transport-wide-cc it would report arrivals ten to twenty times
//!   a second; and a report of 30 arrivals takes the relay as many instructions as forwarding four packets.
//! * The dependency descriptor (AV1 RTP specification, appendix A; with any codec) is promised beside pictures, to
//!   publishers and to viewers, where the offer has `a=extmap-allow-mixed`: on key pictures it needs a two-byte element.
//!   Only then is that line answered. Ids above 14 are not taken: all other packets have one-byte elements.

mod answer;
mod candidate;
mod extension;
mod format_parameters;
mod fragment;
mod limits;
mod local;
mod narrow;
mod negotiated;
mod offer;
mod payload;
mod reply;
mod section;
mod text;
mod transport;

#[cfg(test)]
mod tests;

pub use candidate::host_candidate;
pub use extension::Extension;
pub use fragment::{FRAGMENT_LIMIT, Fragment, FragmentError};
pub use limits::OFFER_LIMIT;
pub use local::{Local, OfferError};
pub use negotiated::{Application, Negotiated, Offered, Section};
pub use offer::Offer;
pub use payload::{Feedback, Payload, Red};
