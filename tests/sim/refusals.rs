//! Each datagram that a session's peer refuses counts as what it is.

use std::time::Duration;

use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use sluice::label::Label as _;
use sluice::name::Role;
use sluice::reason::DropReason;

use crate::broadcast::{BOTH, GCM};
use crate::net::Net;

/// A relay with one connected viewer.
struct Stage {
    net: Net,
    viewer: usize,
}

impl Stage {
    fn new() -> Self {
        let mut net = Net::new(1);
        let viewer = net.join(Role::Viewer, "cam", BOTH, GCM);
        net.connect();
        // A client repeats its last flight until it knows that it is done.
        net.run(Duration::from_secs(5));
        Self { net, viewer }
    }

    /// RTCP of the viewer, sealed and not sent.
    fn rtcp(&mut self, sender_ssrc: u32) -> Vec<u8> {
        let now = self.net.now;
        let client = &mut self.net.clients[self.viewer].peer;
        client.send_rtcp(vec![Box::new(PictureLossIndication { sender_ssrc, media_ssrc: 1 })], now);
        client.poll_transmit().expect("it is sealed").1.to_vec()
    }

    /// Delivers these datagrams and tells for which reasons the relay has dropped some of them.
    fn reasons(&mut self, datagrams: &[Vec<u8>]) -> Vec<(DropReason, u64)> {
        let counts = |stage: &mut Self| -> Vec<u64> {
            // Counts are added up once a turn.
            stage.net.run(Duration::from_millis(2));
            DropReason::ALL.iter().map(|reason| stage.net.drops(reason.as_str())).collect()
        };
        let before = counts(self);
        for datagram in datagrams {
            self.net.deliver(self.viewer, datagram.clone());
        }
        let after = counts(self);
        let drops = DropReason::ALL
            .iter()
            .zip(after.iter().zip(before))
            .map(|(reason, (after, before))| (*reason, after - before));
        drops.filter(|(_, count)| *count > 0).collect()
    }
}

#[test]
fn rtcp_that_is_taken_is_no_drop_and_the_same_again_is_a_replay() {
    let mut stage = Stage::new();
    let genuine = stage.rtcp(1);
    assert_eq!(stage.reasons(std::slice::from_ref(&genuine)), []);
    assert_eq!(stage.reasons(&[genuine]), [(DropReason::Replayed, 1)]);
}

#[test]
fn changed_rtcp_is_unauthentic_and_a_piece_of_it_is_too_short() {
    let mut stage = Stage::new();
    let mut changed = stage.rtcp(1);
    changed[9] ^= 1;
    let piece = changed[..20].to_vec();
    assert_eq!(stage.reasons(&[changed]), [(DropReason::Unauthentic, 1)]);
    assert_eq!(stage.reasons(&[piece]), [(DropReason::TooShort, 1)]);
}

#[test]
fn rtcp_of_a_seventeenth_ssrc_is_of_too_many() {
    let mut stage = Stage::new();
    let reports: Vec<_> = (1..=17).map(|ssrc| stage.rtcp(ssrc)).collect();
    assert_eq!(stage.reasons(&reports), [(DropReason::TooManySsrcs, 1)]);
}

#[test]
fn rtcp_beyond_256_datagrams_a_second_is_a_flood() {
    let mut stage = Stage::new();
    let reports: Vec<_> = (0..300).map(|_| stage.rtcp(1)).collect();
    assert_eq!(stage.reasons(&reports), [(DropReason::RtcpFlood, 300 - 256)]);
}

#[test]
fn forged_dtls_data_is_unauthentic_dtls_and_an_alert_in_clear_is_clear_dtls() {
    let mut stage = Stage::new();
    // DTLS 1.2: content type, version, epoch, sequence number, length (RFC 6347 4.1).
    let record = |content_type: u8, epoch: u8, body: &[u8]| {
        [&[content_type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0x10, 0, 0, body.len() as u8][..], body].concat()
    };
    assert_eq!(stage.reasons(&[record(23, 1, &[7; 40])]), [(DropReason::UnauthenticDtls, 1)]);
    assert_eq!(stage.reasons(&[record(21, 0, &[2, 40])]), [(DropReason::ClearDtls, 1)]);
}
