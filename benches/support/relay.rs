//! The real core with one publisher and many viewers, connected once in memory and in virtual time.

#[expect(dead_code, reason = "a bench needs less than the tests")]
#[path = "../../tests/sim/net/mod.rs"]
pub(crate) mod net;

use std::hint::black_box;
use std::time::Duration;

use net::{Net, vp8};
use sluice::five_tuple::FiveTuple;
use sluice::forward::codec::Codec;
use sluice::name::Role;
use sluice::sdp::Extension;
use sluice::srtp::SrtpProfile;
use sluice::worker::{Outbox, SendOutcome};

/// Bytes of payload, as in `sluice load`.
pub(crate) const PAYLOAD: usize = 1160;

/// What the kernel takes as one run.
const MAX_SEGMENTS: usize = 64;

/// A relay whose viewers all get media.
pub(crate) struct Relay {
    net: Net,
    publisher: usize,
    viewers: Vec<usize>,
    timestamp: u32,
    payload: Vec<u8>,
}

/// Takes everything at once, and counts it.
#[derive(Default)]
pub(crate) struct Nowhere {
    /// Packets taken.
    pub(crate) packets: usize,
}

impl Outbox for Nowhere {
    fn send(&mut self, path: &FiveTuple, contents: &[u8], segment: Option<usize>) -> SendOutcome {
        self.packets += segment.map_or(1, |segment| contents.len().div_ceil(segment));
        black_box((path, contents));
        SendOutcome::Done
    }

    fn max_segments(&self) -> usize {
        MAX_SEGMENTS
    }
}

impl Relay {
    /// A relay with one worker and `count` viewers of one stream, which take these header extensions.
    pub(crate) fn with_viewers(count: usize, extensions: &[Extension]) -> Self {
        let mut net = Net::new(1);
        net.extensions = extensions.to_vec();
        let join = |net: &mut Net, role| net.join(role, "bench", &[Codec::Vp8], &[SrtpProfile::Aes128Gcm]);
        let publisher = join(&mut net, Role::Publisher);
        net.connect();
        let viewers: Vec<usize> = (0..count).map(|_| join(&mut net, Role::Viewer)).collect();
        net.connect();
        net.send(publisher, 0, 0, true, &vp8(true, 0));
        net.run(Duration::from_millis(20));
        for viewer in &viewers {
            assert_eq!(net.clients[*viewer].received.len(), 1, "each viewer has the keyframe");
        }
        let mut payload = vp8(false, 1);
        payload.resize(PAYLOAD, 7);
        let mut relay = Self { net, publisher, viewers, timestamp: 0, payload };
        let (mut burst, mut nowhere) = (relay.burst(10), Nowhere::default());
        relay.forward(&mut burst, &mut nowhere);
        assert_eq!(nowhere.packets, 10 * count, "each viewer gets each packet");
        relay
    }

    /// The datagrams of the publisher's next frame. Each can be forwarded once.
    pub(crate) fn burst(&mut self, packets: usize) -> Vec<Vec<u8>> {
        self.timestamp = self.timestamp.wrapping_add(3000);
        let publisher = &mut self.net.clients[self.publisher];
        let seal = |number| publisher.seal(0, self.timestamp, number + 1 == packets, &self.payload);
        (0..packets).map(seal).collect()
    }

    /// The worker's work on datagrams of the publisher: everything from the demultiplexer to the outbox. Time stands
    /// still, so that nothing else is due.
    pub(crate) fn forward(&mut self, datagrams: &mut [Vec<u8>], outbox: &mut impl Outbox) {
        let address = self.net.clients[self.publisher].address;
        for datagram in datagrams {
            self.net.relay.receive(0, address, datagram, self.net.now);
        }
        self.net.relay.turn(outbox, self.net.now);
    }

    /// An RTP packet from a viewer, which may send none: it reaches its session and no further, so this measures
    /// finding the session.
    pub(crate) fn demux(&mut self, viewer: usize, datagram: &mut [u8]) {
        let address = self.net.clients[self.viewers[viewer % self.viewers.len()]].address;
        self.net.relay.receive(0, address, datagram, self.net.now);
    }
}
