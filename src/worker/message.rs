//! What reaches a worker through its inbox: from other workers, and from the handle that HTTP holds.

use std::sync::Arc;
use std::time::Instant;

use super::held::WorkerHold;
use super::net::ice_tcp::connection::Connection;
use super::net::own_socket::OwnSocket;
use crate::five_tuple::FiveTuple;
use crate::forward::codec::{Format, Kind};
use crate::forward::{Epoch, LayerId, Packet};
use crate::ice::Admission;
use crate::name::{SessionId, StreamName};
use crate::peer::{Channel, ChannelMessage};
use crate::reason::EndReason;
use crate::rtcp::SenderClock;
use crate::session::pending_sessions::PendingSession;
use crate::session::size_order;
use crate::stream::WorkerId;

/// One message. Where it is about a publisher, `publisher` is the number of the publication
/// ([`Epoch::publisher`](crate::forward::Epoch)); a message of an earlier one than the viewers have now does nothing.
pub(crate) enum Message {
    /// Packets of one track, in order of arrival. One push serves every viewer of the stream on this worker.
    Media(Arc<Published>),
    /// The publisher that this worker's viewers of a stream now have, and what they may start from. Comes before
    /// its first [`Message::Media`].
    Subscribed(Box<Subscribed>),
    /// A publisher's latest sender report for one track.
    Clock { stream: StreamName, publisher: u64, kind: Kind, layer: LayerId, clock: SenderClock },
    /// A publisher has answered a keyframe request, or ignored it.
    KeyframeResponsive { stream: StreamName, publisher: u64, kind: Kind, layer: LayerId, keyframe_responsive: bool },
    /// What is known of one encoding of a publisher's video has changed.
    Layer { stream: StreamName, publisher: u64, layer: LayerId, state: LayerState },
    /// The frames since the last keyframe of one encoding of a publisher's video are dropped, to make room for others.
    DropCachedFrames { stream: StreamName, publisher: u64, layer: LayerId },
    /// A publisher has opened a data channel.
    Channel { stream: StreamName, publisher: u64, channel: Channel },
    /// A publisher has sent a message on a data channel.
    DataFromPublisher { stream: StreamName, publisher: u64, label: String, message: ChannelMessage },
    /// A viewer has sent a message to the publisher.
    DataFromViewer { stream: StreamName, label: String, message: ChannelMessage },
    /// The publisher is gone.
    Unpublished { stream: StreamName, publisher: u64 },
    /// The publisher is connected and is not heard, or is heard again.
    Lost { stream: StreamName, publisher: u64, lost: bool },
    /// Another worker has viewers of a stream that is published here.
    Subscribe { stream: StreamName, worker: WorkerId },
    /// Another worker has no viewers of the stream any more.
    Unsubscribe { stream: StreamName, worker: WorkerId },
    /// Viewers of another worker wait for a keyframe of one encoding of the video.
    Demand { stream: StreamName, layer: LayerId },
    /// Its standby has taken over from this publisher, or another publisher from this standby: it stands by now.
    StandDown { session: SessionId },
    /// A datagram that reached another worker's socket but belongs to a session of this one.
    Datagram { path: FiveTuple, datagram: Vec<u8>, received: Instant },
    /// A TCP connection that HTTP has accepted, or that another worker has accepted for a session of this one.
    Connection(Box<Connection>),
    /// A session that the relay dials lives on this worker, with the socket that it is dialled from; without one in
    /// virtual time.
    Dial { session: Box<PendingSession>, socket: Option<OwnSocket> },
    /// New ICE credentials for a session (ICE restart, RFC 9725 4.3.2).
    Restart { session: SessionId, admission: Box<Admission> },
    /// A viewer has selected what it is to be sent: its record says what.
    Select { session: SessionId },
    /// A session is to end.
    End { session: SessionId, reason: EndReason },
    /// For tests: block in the work for this session until released.
    Hold { session: Option<SessionId>, hold: Arc<WorkerHold> },
    /// End every session and stop.
    Stop,
}

/// A batch of packets of one track.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) stream: StreamName,
    pub(crate) publisher: u64,
    pub(crate) kind: Kind,
    pub(crate) layer: LayerId,
    pub(crate) packets: Vec<Arc<Packet>>,
}

/// The state of a stream at the moment of a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Subscribed {
    pub(crate) stream: StreamName,
    pub(crate) publisher: u64,
    /// Where the publisher lives: keyframe demand goes there.
    pub(crate) worker: WorkerId,
    pub(crate) tracks: Vec<SubscribedTrack>,
    /// The data channels that the publisher has opened.
    pub(crate) channels: Vec<Channel>,
    /// It has just taken over as a standby: its earlier packets are not live.
    pub(crate) was_standby: bool,
    /// It is lost.
    pub(crate) lost: bool,
}

/// One track of a subscription: its format, and the packets since its last keyframe with the recent history.
#[derive(Clone, Debug)]
pub(crate) struct SubscribedTrack {
    pub(crate) kind: Kind,
    /// Which encoding of the video it is; 0 where there is one.
    pub(crate) layer: LayerId,
    /// The name of the encoding, where there are several.
    pub(crate) rid: Option<Arc<str>>,
    pub(crate) state: LayerState,
    /// Of the packets that are live.
    pub(crate) epoch: Epoch,
    pub(crate) format: Format,
    /// The publisher's payload type for it.
    pub(crate) payload_type: u8,
    pub(crate) snapshot: Vec<Arc<Packet>>,
    pub(crate) clock: Option<SenderClock>,
    /// Whether the publisher answers keyframe requests, as far as it is known.
    pub(crate) keyframe_responsive: Option<bool>,
}

/// What is known of one encoding of a video.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LayerState {
    /// Columns and rows, once a keyframe or the offer has shown them.
    pub(crate) size: Option<(u16, u16)>,
    /// Bits a second, by the last second.
    pub(crate) bits: u64,
    /// Frames a second, by the last second.
    pub(crate) frames: f32,
    /// It is sent: it does not fall silent while others of its video are sent.
    pub(crate) is_active: bool,
}

impl LayerState {
    /// Pixels of a frame; 0 until they are known.
    pub(crate) fn pixels(&self) -> u32 {
        self.size_order().0
    }

    /// True if its frames are larger than the other's. If the size of neither is known, for example because frames are
    /// encrypted, it needs more than 1.5 times the bits: rates of equal encodings differ by less.
    pub(crate) fn is_larger_than(&self, other: &Self) -> bool {
        match (self.size, other.size) {
            (None, None) => self.bits > other.bits + other.bits / 2,
            _ => self.pixels() > other.pixels(),
        }
    }

    /// True if another encoding may be the largest since the state was `before`.
    pub(crate) fn reorders(&self, before: &Self) -> bool {
        let is_by_rate = self.size.is_none() && self.bits != before.bits;
        is_by_rate || (self.size, self.is_active) != (before.size, before.is_active)
    }

    /// The order of the encodings of a video by their size.
    pub(crate) fn size_order(&self) -> (u32, u64) {
        size_order(self.size, self.bits)
    }

    /// The order of the encodings of a video: of those that are sent the largest is the best.
    pub(crate) fn rank(&self) -> (bool, (u32, u64)) {
        (self.is_active, self.size_order())
    }
}
