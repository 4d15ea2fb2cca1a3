//! Data channels across a stream: what the publisher opens and says reaches every viewer that has a data channel
//! section; what viewers say reaches the publisher if the node allows it.

use super::state::Engine;
use crate::demux::Key;
use crate::metrics::{Direction, DropReason};
use crate::name::StreamName;
use crate::peer::{Channel, ChannelMessage};
use crate::sctp::MAX_CHANNELS;
use crate::worker::message::Message;
use crate::worker::session::State;
use std::time::Instant;

impl Engine {
    /// A peer has opened a channel.
    pub(crate) fn on_channel(&mut self, key: Key, channel: Channel, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        match (&mut session.state, &mut session.peer) {
            (State::Publishing(publisher), _) => {
                let known = publisher.channels.iter().any(|known| known.label == channel.label);
                if known || publisher.channels.len() >= MAX_CHANNELS {
                    return;
                }
                publisher.channels.push(channel.clone());
                self.tell_subscribers(key, 0, |stream, epoch| {
                    let channel = channel.clone();
                    Message::Channel { stream, epoch, channel }
                });
            }
            (State::Watching(viewer), Some(peer)) => viewer.channels.send_early(peer, now),
            _ => {}
        }
    }

    /// A peer has sent a message.
    pub(crate) fn on_channel_message(&mut self, key: Key, label: String, message: ChannelMessage) {
        self.counters.channel_messages(Direction::In, 1);
        let Some(session) = self.sessions.get_mut(key) else { return };
        match &session.state {
            State::Connecting(_) => {}
            State::Publishing(_) => self.tell_subscribers(key, 1, |stream, epoch| {
                let (label, message) = (label.clone(), message.clone());
                Message::DataFromPublisher { stream, epoch, label, message }
            }),
            State::Watching(_) => {
                let stream = session.stream.clone();
                let source = self.feeds.get(&stream).and_then(|feed| feed.source);
                let Some(source) = source.filter(|_| self.shared.config.viewer_messages) else {
                    return self.counters.drop(DropReason::ViewerMessage);
                };
                self.push(source.worker, Message::DataFromViewer { stream, label, message }, 1);
            }
        }
    }

    /// The publisher of a stream that is watched here has opened a channel.
    pub(crate) fn on_published_channel(&mut self, stream: &StreamName, epoch: u32, channel: Channel, now: Instant) {
        let Some(feed) = self.feeds.get_mut(stream) else { return };
        if feed.source.is_none_or(|source| source.epoch != epoch) || feed.channels.contains(&channel) {
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
        epoch: u32,
        label: &str,
        message: &ChannelMessage,
        now: Instant,
    ) {
        let Some(feed) = self.feeds.get(stream) else { return };
        if feed.source.is_none_or(|source| source.epoch != epoch) {
            return;
        }
        for key in feed.viewers.clone() {
            self.guard(key, now, |engine| engine.tell_viewer(key, label, message, now));
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
        let Some(key) = self.publisher_by_stream.get(stream).copied() else { return };
        self.guard(key, now, |engine| {
            let Some(peer) = engine.sessions.get_mut(key).and_then(|session| session.peer.as_mut()) else { return };
            match peer.send_message(label, message, now) {
                Ok(()) => engine.counters.channel_messages(Direction::Out, 1),
                Err(_) => engine.counters.drop(DropReason::ChannelFull),
            }
            engine.drive(key, now);
        });
    }

    /// Opens towards a viewer what its publisher has and it has not opened itself, once its time for that is over.
    pub(crate) fn open_channels(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (State::Watching(viewer), Some(peer)) = (&mut session.state, &mut session.peer) else { return };
        if session.negotiated.application.is_none() || viewer.channels.open_at.is_some_and(|due| due > now) {
            return;
        }
        viewer.channels.open_at = None;
        let Some(feed) = self.feeds.get(&session.stream) else { return };
        for channel in &feed.channels {
            peer.open_channel(channel, now);
        }
        self.drive(key, now);
    }

    fn tell_viewer(&mut self, key: Key, label: &str, message: &ChannelMessage, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (State::Watching(viewer), Some(peer)) = (&mut session.state, &mut session.peer) else { return };
        if session.negotiated.application.is_none() {
            return;
        }
        if viewer.channels.send(label, message, peer, now) {
            self.counters.channel_messages(Direction::Out, 1);
        } else {
            self.counters.drop(DropReason::ChannelFull);
        }
        self.drive(key, now);
    }
}
