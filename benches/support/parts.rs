//! The structures of the packet path, each alone with what it needs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sluice::five_tuple::{FiveTuple, Protocol};
use sluice::forward::codec::{Codec, Format, Kind, Part};
use sluice::forward::{
    CacheLimits, Epoch, ExtensionIds, FirstNumbers, Generation, History, HistoryLimits, LayerId, NegotiatedFormat,
    OutboundTrack, OutboundTrackConfig, Packet, Written,
};
use sluice::srtp::{MasterKey, Opener, Sealer, SrtpProfile};
use sluice::worker::{Batch, Outbox};

pub(crate) const HEADER_LEN: usize = 12;
pub(crate) const PAYLOAD: usize = 1160;
/// A sealed packet.
pub(crate) const SEALED: usize = HEADER_LEN + PAYLOAD + 16;

const PAYLOAD_TYPE: u8 = 96;
const GENERATION: Generation = Epoch::of(1).generation();

/// When such a history is full, it drops one packet for each new one.
const LIMITS: HistoryLimits = HistoryLimits { packets: 2048, age: Duration::from_secs(1), cache: CacheLimits::NONE };

/// A publisher's end and the relay's end of one SRTP stream.
pub(crate) struct Srtp {
    sealer: Sealer,
    opener: Opener,
    index: u64,
    datagram: Vec<u8>,
}

impl Srtp {
    pub(crate) fn new() -> Self {
        let key = MasterKey { profile: SrtpProfile::Aes128Gcm, key: [1; 16], salt: [2; 14] };
        let mut datagram = vec![7; SEALED];
        datagram[..HEADER_LEN].copy_from_slice(&[0x80, PAYLOAD_TYPE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        Self { sealer: Sealer::new(&key), opener: Opener::new(&key), index: 1000, datagram }
    }

    /// Seals the next packet where it lies.
    pub(crate) fn seal(&mut self) -> &[u8] {
        self.index += 1;
        self.datagram[2..4].copy_from_slice(&(self.index as u16).to_be_bytes());
        let sealed = self.sealer.seal(&mut self.datagram, HEADER_LEN, HEADER_LEN + PAYLOAD, self.index);
        sealed.expect("it is a packet with room for the tag");
        &self.datagram
    }

    /// Opens a packet that [`Self::seal`] made; each can be opened once.
    pub(crate) fn open(&mut self, datagram: &mut [u8]) {
        let opened = self.opener.open(datagram).expect("the packet is authentic");
        std::hint::black_box(opened);
    }
}

/// A history and an outbound track that reads it.
pub(crate) struct Forward {
    history: History,
    outbound_track: OutboundTrack,
    index: u64,
    payload: Bytes,
    received: Instant,
    buffer: Vec<u8>,
}

impl Forward {
    /// A full history, whose newest packets the outbound track has sent.
    pub(crate) fn new() -> Self {
        let format = Format { codec: Codec::Vp8, clock_rate: 90_000, channels: 0, parameters: String::new() };
        let negotiated = NegotiatedFormat {
            payload_type: 100,
            format: format.clone(),
            rtx_payload_type: Some(101),
            red_payload_type: None,
        };
        let mut outbound_track = OutboundTrack::new(OutboundTrackConfig {
            kind: Kind::Video,
            ssrc: 1,
            rtx_ssrc: Some(2),
            extensions: ExtensionIds::default(),
            formats: vec![negotiated],
            max_size: 1456,
            first: FirstNumbers { index: 7, rtx_index: 7, timestamp: 7 },
        });
        outbound_track.select(GENERATION, &format, PAYLOAD_TYPE);
        let mut forward = Self {
            history: History::new(LIMITS),
            outbound_track,
            index: 0,
            payload: Bytes::from(vec![7; PAYLOAD]),
            received: Instant::now(),
            buffer: vec![0; SEALED],
        };
        for _ in 0..LIMITS.packets {
            let packet = forward.packet();
            forward.push(packet);
        }
        while forward.pull().is_some() {}
        forward
    }

    /// The publisher's next packet.
    pub(crate) fn packet(&mut self) -> Arc<Packet> {
        self.index += 1;
        Arc::new(Packet {
            received: self.received,
            generation: GENERATION,
            layer: LayerId::default(),
            index: self.index,
            timestamp: (self.index / 10 * 3000) as u32,
            marker: self.index.is_multiple_of(10),
            payload_type: PAYLOAD_TYPE,
            descriptor: Default::default(),
            frame: Default::default(),
            extensions: Default::default(),
            part: Part::default(),
            keyframe: self.index == 1,
            leads: 0,
            payload: self.payload.clone(),
            redundancy: None,
        })
    }

    pub(crate) fn push(&mut self, packet: Arc<Packet>) {
        std::hint::black_box(self.history.push(packet));
    }

    /// Writes the next packet for the viewer: splice, header and copy.
    pub(crate) fn pull(&mut self) -> Option<Written> {
        self.outbound_track.pull(&self.history, &mut self.buffer)
    }
}

/// Commits a run of packets of one viewer, and sends it.
pub(crate) fn commit_run(batch: &mut Batch, packets: usize, outbox: &mut impl Outbox, now: Instant) {
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    batch.begin(FiveTuple { protocol: Protocol::Udp, local: address, remote: address });
    for _ in 0..packets {
        std::hint::black_box(batch.room());
        batch.commit(SEALED, outbox, now);
    }
    batch.flush(outbox, now);
}
