//! An answer as SDP (RFC 8866, RFC 8829 5.3).
//!
//! The rule: of a client's text, only checked tokens and the format parameters of an accepted codec are repeated.

use super::extension::Mapping;
use super::format_parameters::own_parameters;
use super::negotiated::Section;
use super::payload::{Payload, Red};
use super::reply::Reply;
use super::section::{OfferedMedia, OfferedSection};
use super::simulcast;
use super::{Candidates, Local};
use crate::forward::codec::{Format, Kind};
use crate::name::{Role, StreamName};
use crate::sctp::MAX_MESSAGE_SIZE;

/// An answer that is being written, line by line.
pub(crate) struct Text<'a> {
    role: Role,
    local: &'a Local,
    dtls_client: bool,
    /// True if the answer to a section with `a=extmap-allow-mixed` has it too.
    mixed: bool,
    lines: Vec<String>,
}

impl<'a> Text<'a> {
    /// The session level. `bundle` names the accepted sections, the one with the transport first; it is empty if the
    /// offer has no group.
    pub(crate) fn begin(role: Role, local: &'a Local, dtls_client: bool, origin: u64, bundle: &[&str]) -> Self {
        let mut text = Self { role, local, dtls_client, mixed: false, lines: Vec::with_capacity(64) };
        text.line("v=0");
        text.line(format!("o=- {origin} 1 IN IP4 0.0.0.0"));
        text.line("s=-");
        text.bandwidth();
        text.line("t=0 0");
        if !bundle.is_empty() {
            text.line(format!("a=group:BUNDLE {}", bundle.join(" ")));
        }
        text.line("a=ice-lite");
        text.line("a=ice-options:trickle");
        text
    }

    /// Allows one-byte and two-byte elements (RFC 8285 6) at the level where the offer does: for all sections, or in
    /// each section that has the attribute.
    pub(crate) fn allow_mixed(&mut self, for_all: bool) {
        match for_all {
            true => self.line("a=extmap-allow-mixed"),
            false => self.mixed = true,
        }
    }

    /// One section; the tagged one has the candidates for all (RFC 9143 7.3.2).
    pub(crate) fn section(&mut self, offered: &OfferedSection, reply: &Reply<'_>, tagged: bool) {
        let OfferedSection { media, protocol, .. } = offered;
        match reply {
            Reply::Rejected => {
                self.line(format!("m={media} 0 {protocol} {}", offered.format));
                self.line("c=IN IP4 0.0.0.0");
                self.mid(offered);
                self.line("a=inactive");
                return;
            }
            Reply::Application => {
                self.line(format!("m={media} 9 {protocol} {}", offered.format));
                self.line("c=IN IP4 0.0.0.0");
                self.transport(offered);
                self.line("a=sctp-port:5000");
                self.line(format!("a=max-message-size:{MAX_MESSAGE_SIZE}"));
            }
            Reply::Media { offered: media_offered, mappings, agreed } => {
                let numbers: Vec<String> =
                    agreed.payloads.iter().flat_map(Payload::numbers).map(|n| n.to_string()).collect();
                self.line(format!("m={media} 9 {protocol} {}", numbers.join(" ")));
                self.line("c=IN IP4 0.0.0.0");
                // Browsers read it only here. In an audio section they take it for the bit rate of Opus.
                if agreed.kind == Kind::Video {
                    self.bandwidth();
                }
                self.transport(offered);
                self.media(agreed, mappings, media_offered);
            }
        }
        if tagged {
            self.lines.extend(candidate_lines(&self.local.candidates));
        }
    }

    /// The whole answer, each line ended by CR LF.
    pub(crate) fn finish(self) -> String {
        let mut answer = self.lines.join("\r\n");
        answer.push_str("\r\n");
        answer
    }

    /// The bit rate that a publisher may send, in bits per second (RFC 3890 6.2).
    fn bandwidth(&mut self) {
        if self.role == Role::Publisher && self.local.max_bitrate > 0 {
            self.line(format!("b=TIAS:{}", self.local.max_bitrate));
        }
    }

    fn transport(&mut self, offered: &OfferedSection) {
        let Local { credentials, fingerprint, .. } = self.local;
        self.line(format!("a=ice-ufrag:{}", credentials.ufrag));
        self.line(format!("a=ice-pwd:{}", credentials.pwd));
        self.line(format!("a=fingerprint:sha-256 {fingerprint}"));
        self.line(if self.dtls_client { "a=setup:active" } else { "a=setup:passive" });
        self.mid(offered);
    }

    /// RFC 9429 5.3.1: only if the offer has it.
    fn mid(&mut self, offered: &OfferedSection) {
        if offered.is_named {
            self.line(format!("a=mid:{}", offered.mid));
        }
    }

    fn media(&mut self, agreed: &Section, mappings: &[Mapping], offered: &OfferedMedia) {
        let (stream, track) = (&self.local.stream, agreed.kind.as_str());
        match self.role {
            Role::Publisher => self.line("a=recvonly"),
            Role::Viewer => {
                let msid = format!("a=msid:{stream} {track}");
                self.line("a=sendonly");
                self.line(msid);
            }
        }
        self.line("a=rtcp-mux");
        // RFC 9725 4.4.1 requires it in answers too; RFC 8858 has it only in offers.
        self.line("a=rtcp-mux-only");
        if offered.reduced_size {
            self.line("a=rtcp-rsize");
        }
        if self.mixed && offered.allows_mixed {
            self.line("a=extmap-allow-mixed");
        }
        for Mapping { id, extension, directional } in mappings {
            let direction = match (directional, self.role) {
                (false, _) => "",
                (true, Role::Publisher) => "/recvonly",
                (true, Role::Viewer) => "/sendonly",
            };
            self.line(format!("a=extmap:{id}{direction} {}", extension.uri()));
        }
        for payload in &agreed.payloads {
            self.lines.extend(payload_lines(payload));
        }
        for line in simulcast::answer(&agreed.layers) {
            self.line(format!("a={line}"));
        }
        if self.role == Role::Viewer {
            self.lines.extend(source_lines(stream, agreed.kind, agreed.ssrc, agreed.rtx_ssrc));
        }
    }

    fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }
}

/// The lines of one payload type, with its retransmissions and redundant audio.
pub(super) fn payload_lines(payload: &Payload) -> Vec<String> {
    let Payload { payload_type: number, format, feedback, .. } = payload;
    let mut lines = vec![format!("a=rtpmap:{number} {}", encoding(format))];
    for (agreed, value) in [
        (feedback.nack, "nack"),
        (feedback.pli, "nack pli"),
        (feedback.fir, "ccm fir"),
        (feedback.remb, "goog-remb"),
        (feedback.transport_cc, "transport-cc"),
    ] {
        if agreed {
            lines.push(format!("a=rtcp-fb:{number} {value}"));
        }
    }
    let parameters = own_parameters(&format.parameters);
    if !parameters.is_empty() {
        lines.push(format!("a=fmtp:{number} {parameters}"));
    }
    if let Some(rtx) = payload.rtx_payload_type {
        lines.push(format!("a=rtpmap:{rtx} rtx/{}", format.clock_rate));
        lines.push(format!("a=fmtp:{rtx} apt={number}"));
    }
    if let Some(Red { payload_type: red, blocks, .. }) = payload.red {
        let blocks = vec![number.to_string(); blocks.into()].join("/");
        lines.push(format!("a=rtpmap:{red} red/{}/{}", format.clock_rate, format.channels));
        lines.push(format!("a=fmtp:{red} {blocks}"));
    }
    lines
}

/// The lines of the sources that the relay sends: one MediaStream for all sections, by `a=msid` and, for older clients,
/// by source (RFC 8830, RFC 5576).
pub(super) fn source_lines(stream: &StreamName, kind: Kind, ssrc: u32, rtx_ssrc: Option<u32>) -> Vec<String> {
    let mut lines: Vec<String> = rtx_ssrc.iter().map(|rtx| format!("a=ssrc-group:FID {ssrc} {rtx}")).collect();
    for ssrc in [Some(ssrc), rtx_ssrc].into_iter().flatten() {
        lines.push(format!("a=ssrc:{ssrc} cname:{stream}"));
        lines.push(format!("a=ssrc:{ssrc} msid:{stream} {}", kind.as_str()));
    }
    lines
}

/// The lines of the relay's addresses.
pub(super) fn candidate_lines(candidates: &Candidates) -> Vec<String> {
    let lines = candidates.values().map(|value| format!("a=candidate:{value}"));
    lines.chain(["a=end-of-candidates".to_owned()]).collect()
}

/// The value of `a=rtpmap`; a single channel is not written (RFC 8866 6.6).
fn encoding(format: &Format) -> String {
    let Format { codec, clock_rate, channels, .. } = format;
    match channels {
        0 | 1 => format!("{}/{clock_rate}", codec.name()),
        _ => format!("{}/{clock_rate}/{channels}", codec.name()),
    }
}
