//! An offer of the relay's own as SDP (RFC 8866, RFC 9429 5.2).

use super::Local;
use super::own_section::{OwnContent, OwnMedia, OwnSection};
use super::payload::Payload;
use super::text::{candidate_lines, payload_lines, source_lines};
use crate::name::Role;
use crate::sctp::MAX_MESSAGE_SIZE;

/// Writes an offer with these sections, each line ended by CR LF. The session of this relay has the role.
pub(super) fn write(role: Role, local: &Local, sections: &[OwnSection], origin: u64) -> String {
    let mids: Vec<&str> = sections.iter().map(|section| section.mid.as_str()).collect();
    let mut lines = vec![
        "v=0".to_owned(),
        format!("o=- {origin} 1 IN IP4 0.0.0.0"),
        "s=-".to_owned(),
        "t=0 0".to_owned(),
        format!("a=group:BUNDLE {}", mids.join(" ")),
        "a=extmap-allow-mixed".to_owned(),
        "a=ice-options:trickle".to_owned(),
    ];
    for (place, section) in sections.iter().enumerate() {
        lines.push(first_line(section));
        lines.push("c=IN IP4 0.0.0.0".to_owned());
        lines.extend(transport(local, &section.mid));
        match &section.content {
            OwnContent::Media(media) => lines.extend(media_lines(role, local, media)),
            OwnContent::Application => {
                lines.push("a=sctp-port:5000".to_owned());
                lines.push(format!("a=max-message-size:{MAX_MESSAGE_SIZE}"));
            }
        }
        // RFC 9143 7.2: the first bundled section has the candidates for all.
        if place == 0 {
            lines.extend(candidate_lines(&local.candidates));
        }
    }
    lines.join("\r\n") + "\r\n"
}

fn first_line(section: &OwnSection) -> String {
    match &section.content {
        OwnContent::Media(media) => {
            let numbers: Vec<String> =
                media.payloads.iter().flat_map(Payload::numbers).map(|number| number.to_string()).collect();
            format!("m={} 9 UDP/TLS/RTP/SAVPF {}", section.media(), numbers.join(" "))
        }
        OwnContent::Application => "m=application 9 UDP/DTLS/SCTP webrtc-datachannel".to_owned(),
    }
}

fn transport(local: &Local, mid: &str) -> [String; 5] {
    [
        format!("a=ice-ufrag:{}", local.credentials.ufrag),
        format!("a=ice-pwd:{}", local.credentials.pwd),
        format!("a=fingerprint:sha-256 {}", local.fingerprint),
        // RFC 8842 5.2: the other side chooses.
        "a=setup:actpass".to_owned(),
        format!("a=mid:{mid}"),
    ]
}

fn media_lines(role: Role, local: &Local, media: &OwnMedia) -> Vec<String> {
    let (stream, track) = (&local.stream, media.kind.as_str());
    let mut lines = match role {
        Role::Publisher => vec!["a=recvonly".to_owned()],
        Role::Viewer => vec!["a=sendonly".to_owned(), format!("a=msid:{stream} {track}")],
    };
    lines.extend(["a=rtcp-mux", "a=rtcp-mux-only", "a=rtcp-rsize"].map(str::to_owned));
    lines.extend(media.extensions.iter().map(|(id, extension)| format!("a=extmap:{id} {}", extension.uri())));
    lines.extend(media.payloads.iter().flat_map(payload_lines));
    if !media.rids.is_empty() {
        lines.extend(media.rids.iter().map(|rid| format!("a=rid:{rid} recv")));
        lines.push(format!("a=simulcast:recv {}", media.rids.join(";")));
    }
    if role == Role::Viewer {
        lines.extend(source_lines(stream, media.kind, media.ssrc, media.has_rtx().then_some(media.rtx_ssrc)));
    }
    lines
}
