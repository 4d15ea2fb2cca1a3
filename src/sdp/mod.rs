//! SDP (RFC 8866, RFC 9429): reads an offer, decides what is agreed, and writes the answer. HTTP calls it, so that
//! joins do not delay media threads.
//!
//! WHIP and WHEP have one offer and one answer and no renegotiation, so an answer accepts what a session may need
//! later: RTX payload types, header extensions, an SSRC for each section that has no media yet, `m=application` if it
//! was offered. The peer connection is not involved: RTP does not go through it, so it negotiates a constant stub.
//!
//! Towards another server the relay offers ([`OwnOffer`]), and reads the answer by the same rules.
//!
//! The rule: hostile text is an [`OfferError`] with a sentence that says what to do, never a panic. `limits` checks the
//! text first, then webrtc-rs's parser reads the grammar, then the types of this module check the content.
//!
//! # What is agreed and why
//!
//! * A publisher gets one payload type of each codec, in its own order (browsers send the first, Pion what its track
//!   has; the packets of a track decide), and of the header extensions `mid` (which section an undeclared source
//!   belongs to), transport-wide-cc (its send rate), and what viewers get too: audio-level and abs-capture-time.
//!   Video-orientation is accepted only if the operator enables it: a publisher that has it stops rotating its own
//!   video, and viewers without the extension (Firefox) show the video rotated. It is for publishers that cannot rotate
//!   video, watched by clients that can.
//! * Redundant audio (RFC 2198) is accepted beside the Opus that it carries, from publishers and for viewers, in the
//!   publisher's order: a browser sends it if it is first. A viewer gets it if the publisher sends it.
//! * A viewer of a live stream gets the stream's format first, under its own payload type and format parameters: of
//!   several profiles the publisher's. After it comes one payload type of each other codec, so that a publisher with
//!   another codec can take over without a new offer. A viewer that waits for a publisher gets one payload type for
//!   each codec and profile.
//! * A viewer gets each of `mid`, abs-capture-time, playout-delay, video-orientation and audio-level that it offers.
//!   The first is on every packet; the publisher's extensions are on all packets from when it first sends them, and
//!   their absence means "unknown" and "upright"; playout-delay is sent once packets have been lost.
//! * abs-send-time and transport-wide-cc, which change with each sending, are accepted only beside RTX: a resend
//!   without RTX repeats the first sending bit for bit. A viewer that has both gets both, with `goog-remb` and
//!   `transport-cc`: it sends a bandwidth estimate once per second while packets have no transport-wide numbers, and
//!   reports arrivals 10 to 20 times per second while they have. The relay writes the numbers only while the stream has
//!   several layers to choose from, because a report of 30 arrivals takes it as many instructions as forwarding 4
//!   packets. A stream may get layers at any time, and there is no later answer.
//! * The simulcast encodings of a publisher's video are all accepted (module `simulcast`), with the header extensions
//!   that name the encoding of a packet: rtp-stream-id and repaired-rtp-stream-id.
//! * The dependency descriptor (AV1 RTP specification, appendix A; with any codec) is accepted for video, from
//!   publishers and for viewers, if the offer has `a=extmap-allow-mixed`: on keyframes it needs a two-byte element.
//!   Only then does the answer have that line. Ids above 14 are not accepted: all other packets have one-byte elements.

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
mod own_offer;
mod own_payloads;
mod own_section;
mod own_text;
mod payload;
mod read_answer;
mod reply;
mod section;
mod simulcast;
mod sources;
mod text;
mod transport;

#[cfg(test)]
mod tests;

pub use candidate::Candidates;
pub use extension::Extension;
pub(crate) use fragment::FRAGMENT_LIMIT;
pub use fragment::TrickleFragment;
pub(crate) use limits::OFFER_LIMIT;
pub use local::{Local, OfferError};
pub use negotiated::Negotiated;
pub(crate) use negotiated::{Offered, Section};
pub use offer::Offer;
pub use own_offer::OwnOffer;
pub(crate) use payload::Payload;
pub use read_answer::{AnswerError, Answered};
pub(crate) use simulcast::Layer;
