//! What a client is made with.

use std::net::SocketAddr;

use crate::forward::codec::Codec;
use crate::name::Role;
use crate::peer::certificate::Certificate;
use crate::sdp::Extension;
use crate::srtp::SrtpProfile;

/// What a client is made with.
pub struct Config<'a> {
    /// A publisher offers to send, a viewer to receive.
    pub role: Role,
    /// The codecs to offer, with one media section for each kind. A publisher sends the first codec of each kind.
    pub codecs: &'a [Codec],
    /// Header extensions that each media section offers.
    pub extensions: &'a [Extension],
    /// True to offer a data channel section too.
    pub application: bool,
    /// SRTP profiles in order of preference.
    pub profiles: &'a [SrtpProfile],
    /// The address that its datagrams are sent from: its only candidate.
    pub local: SocketAddr,
    /// The certificate; may be shared by all clients of a process.
    pub certificate: &'a Certificate,
}
