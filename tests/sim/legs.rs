//! Legs in virtual time: relays that dial each other, the path of media over them, and how each end notices that the
//! other has gone.

mod nodes;

use sluice::forward::codec::Kind;
use sluice::session::Stage;

use crate::broadcast::SECOND;
use nodes::Nodes;

#[test]
fn a_viewer_of_one_relay_gets_the_publisher_of_another_in_either_dtls_role() {
    for setup in ["actpass", "passive", "active"] {
        let mut nodes = Nodes::new(2);
        let mut broadcast = nodes.publish(0);
        let leg = nodes.pull(1, 0, setup);
        let viewer = nodes.nodes[1].watch("cam");
        nodes.run(&mut broadcast, SECOND * 2);
        let edge = &nodes.nodes[1];
        assert!(edge.clients[viewer].is_connected(), "{setup}");
        let report = edge.handle().record(&leg).unwrap().report();
        assert_eq!((report.stage, report.srtp_profile), (Stage::Live, Some("SRTP_AEAD_AES_128_GCM")), "{setup}");
        for kind in [Kind::Video, Kind::Audio] {
            let got = edge.packets(viewer, kind);
            assert!(got.len() > 40, "{setup}: {} packets of {kind:?}", got.len());
        }
    }
}
