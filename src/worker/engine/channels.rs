//! Data channels across a stream: what the publisher opens and sends reaches every viewer that has a data channel
//! section; what viewers send reaches the publisher if the node allows it.

use super::state::Engine;
use crate::demux::Key;
use crate::metrics::Direction;
use crate::name::StreamName;
use crate::peer::{Channel, ChannelMessage};
use crate::reason::DropReason;
use std::time::Instant;

impl Engine {
    /// A client has sent a data message.
    pub(crate) fn on_channel_message(&mut self, key: Key, label: String, message: ChannelMessage) {
        self.counters.channel_messages(Direction::In, 1);
        let Some(session) = self.sessions.session_mut(key) else { return };
        let source = self.feeds.get(&session.stream).and_then(|feed| feed.source);
        let publisher = source.filter(|_| self.shared.config.viewer_messages).map(|source| source.worker);
        if !session.on_data(label, message, publisher, &mut self.mailbox) {
            self.counters.drop(DropReason::ViewerMessage);
        }
    }

    /// The publisher of a stream that is watched here has opened a channel.
    pub(crate) fn on_published_channel(&mut self, stream: &StreamName, publisher: u64, channel: Channel, now: Instant) {
        let Some(feed) = self.feeds.of_publisher(stream, publisher) else { return };
        if feed.channels.contains(&channel) {
            return;
        }
        feed.channels.push(channel);
        for key in feed.viewers.clone() {
            self.guard(key, now, |engine| engine.open_channels(key, now));
        }
    }

    /// The publisher of a stream that is watched here has sent a message.
    pub(crate) fn on_data_from_publisher(
        &mut self,
        stream: &StreamName,
        publisher: u64,
        (label, message): (&str, &ChannelMessage),
        now: Instant,
    ) {
        let Some(feed) = self.feeds.of_publisher(stream, publisher) else { return };
        for key in feed.viewers.clone() {
            self.guard(key, now, |engine| engine.send_data(key, label, message, now));
        }
    }

    /// A viewer has sent a message to the publisher that lives here.
    pub(crate) fn on_data_from_viewer(
        &mut self,
        stream: &StreamName,
        label: &str,
        message: &ChannelMessage,
        now: Instant,
    ) {
        if let Some(key) = self.publisher_by_stream.get(stream).copied() {
            self.guard(key, now, |engine| engine.send_data(key, label, message, now));
        }
    }

    /// Opens the publisher's channels to a viewer, once its time to open them itself is over.
    pub(crate) fn open_channels(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.session_mut(key) else { return };
        if session.open_channels(self.feeds.get(&session.stream), now) {
            self.drive(key, now);
        }
    }

    fn send_data(&mut self, key: Key, label: &str, message: &ChannelMessage, now: Instant) {
        let Some(session) = self.sessions.session_mut(key) else { return };
        if session.send_data(label, message, &mut self.counters, now) {
            self.drive(key, now);
        }
    }
}
