//! The one constant candidate pair that a peer connection has selected.
//!
//! The relay does ICE itself (`ice`), and the peer connection never learns an address. But webrtc-rs begins DTLS only
//! after it has selected a pair. So three messages that are never sent on a network are exchanged with it, from an
//! address of a documentation network, and everything later is passed to it as from that address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rtc::crypto::RTCCrypto;
use rtc::ice::attributes::control::AttrControlling;
use rtc::ice::attributes::priority::PriorityAttr;
use rtc::ice::attributes::use_candidate::UseCandidateAttr;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate, RTCIceCandidateInit};
use rtc::shared::error::Error;
use rtc::shared::{TransportContext, TransportProtocol};
use rtc::stun::attributes::ATTR_USERNAME;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter, TransactionId};
use rtc::stun::textattrs::TextAttribute;

use crate::ice::Credentials;

/// The constant addresses of the peer connection and of the other side (RFC 5737 3).
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 9);
const REMOTE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// The constant pair as the transport of received datagrams.
pub(super) const TRANSPORT: TransportContext =
    TransportContext { local_addr: LOCAL, peer_addr: REMOTE, transport_protocol: TransportProtocol::UDP, ecn: None };

/// The one local candidate.
pub(super) fn local_candidate() -> Result<RTCIceCandidateInit, Error> {
    host_candidate(LOCAL)
}

/// A host candidate (RFC 8445 5.1.1.1) for a local address.
pub(super) fn host_candidate(address: SocketAddr) -> Result<RTCIceCandidateInit, Error> {
    let base_config = CandidateConfig {
        network: "udp".to_owned(),
        address: address.ip().to_string(),
        port: address.port(),
        component: 1,
        ..Default::default()
    };
    let candidate = CandidateHostConfig { base_config, ..Default::default() }.new_candidate_host()?;
    RTCIceCandidate::from(&candidate).to_json()
}

/// A Binding request of the other side that nominates the pair (RFC 8445 7.1).
pub(super) fn nominating_request(
    local: &Credentials,
    remote: &Credentials,
    crypto: &dyn RTCCrypto,
) -> Result<Vec<u8>, Error> {
    build(&[
        Box::new(BINDING_REQUEST),
        Box::new(TransactionId::new()),
        Box::new(TextAttribute::new(ATTR_USERNAME, format!("{}:{}", local.ufrag, remote.ufrag))),
        Box::new(UseCandidateAttr),
        Box::new(AttrControlling(0)),
        Box::new(PriorityAttr(1)),
        Box::new(MessageIntegrity::new_short_term_integrity_with_provider(local.pwd.clone(), crypto)),
    ])
}

/// The other side's answer to the peer connection's own check, `check`.
pub(super) fn success_answer(check: &[u8], remote: &Credentials, crypto: &dyn RTCCrypto) -> Result<Vec<u8>, Error> {
    let mut request = Message { raw: check.to_vec(), ..Message::default() };
    request.decode()?;
    build(&[
        Box::new(BINDING_SUCCESS),
        Box::new(request.transaction_id),
        Box::new(MessageIntegrity::new_short_term_integrity_with_provider(remote.pwd.clone(), crypto)),
    ])
}

fn build(setters: &[Box<dyn Setter + '_>]) -> Result<Vec<u8>, Error> {
    let mut message = Message::new();
    message.build(setters)?;
    Ok(message.raw)
}
