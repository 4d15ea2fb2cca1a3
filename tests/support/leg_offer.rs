//! The offer of a relay that dials another one, written by hand, and what its answer holds.

use std::net::SocketAddr;

use sluice::name::Role;
use sluice::node::Dial;
use sluice::sdp::{Local, Offer};

/// An offer of audio in Opus, video in VP8 and data channels, in this direction and with this DTLS role.
pub(crate) fn offer(local: &Local, role: Role, setup: &str) -> String {
    let direction = if role == Role::Publisher { "recvonly" } else { "sendonly" };
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:sha-256 {}\r\na=setup:{setup}\r\n",
        local.credentials.ufrag, local.credentials.pwd, local.fingerprint
    );
    format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{transport}a=mid:0\r\na={direction}\r\na=rtcp-mux\r\n\
         a=rtpmap:111 opus/48000/2\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n{transport}a=mid:1\r\na={direction}\r\na=rtcp-mux\r\n\
         a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
         a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{transport}a=mid:2\r\na=sctp-port:5000\r\n"
    )
}

/// The session that begins with this answer.
pub(crate) fn dial(local: Local, role: Role, answer: &str, candidates: Vec<SocketAddr>) -> Dial {
    let read = Offer::parse(answer, role).expect("an answer is read as an offer");
    let negotiated = match role {
        Role::Publisher => read.answer_publisher(&local),
        Role::Viewer => read.answer_viewer(&local, &[]),
    };
    let negotiated = negotiated.expect("the answer is understood");
    let Local { credentials, stream, .. } = local;
    Dial {
        role,
        stream,
        local: credentials,
        negotiated,
        candidates,
        remote: "the other relay".to_owned(),
        is_carried: false,
    }
}
