//! What a publisher sends to its subscribers, the workers with viewers of its stream: batches of packets, and commands.

use super::publisher::{KeyframeResponsive, Publisher};
use crate::name::StreamName;
use crate::peer::{Channel, ChannelMessage};
use crate::sctp::MAX_CHANNELS;
use crate::stream::WorkerId;
use crate::worker::mailbox::Mailbox;
use crate::worker::message::{Message, Subscribed};

impl Publisher {
    /// Sends a command to each worker with viewers, with the stream's name and the number of this publication.
    pub(crate) fn send_to_subscribers(&self, mailbox: &mut Mailbox, command: impl Fn(StreamName, u64) -> Message) {
        // A standby has no subscribers.
        let Some(number) = self.publication.number() else { return };
        for worker in &self.subscribers {
            mailbox.send_command(*worker, command(self.stream.clone(), number));
        }
    }

    /// Sends the state of the stream to each worker with viewers.
    pub(crate) fn send_subscribed(&self, mailbox: &mut Mailbox, subscribed: &Subscribed) {
        self.send_to_subscribers(mailbox, |_, _| Message::Subscribed(Box::new(subscribed.clone())));
    }

    /// Adds a worker that has its first viewer, and sends it the state of the stream.
    pub(crate) fn subscribe(&mut self, subscriber: WorkerId, own: WorkerId, mailbox: &mut Mailbox) {
        if !self.subscribers.contains(&subscriber) {
            self.subscribers.push(subscriber);
        }
        if let Some(snapshot) = self.snapshot(own) {
            mailbox.send_command(subscriber, Message::Subscribed(Box::new(snapshot)));
        }
    }

    /// Removes a worker that has no viewers any more. Without the last one no keyframe is asked for any more.
    pub(crate) fn unsubscribe(&mut self, subscriber: WorkerId) {
        self.subscribers.retain(|worker| *worker != subscriber);
        if self.subscribers.is_empty() {
            self.tracks.iter_mut().for_each(|track| track.gate.withdraw());
        }
    }

    /// Sends what has arrived since the last call: new sources first, then their packets.
    pub(crate) fn flush(&mut self, own: WorkerId, mailbox: &mut Mailbox) {
        if let Some(subscribed) = self.take_announcement(own) {
            self.send_subscribed(mailbox, &subscribed);
        }
        self.send_layers(mailbox);
        self.send_pending(mailbox);
    }

    /// Sends the packets that have arrived since the last call, once to each worker with viewers.
    pub(crate) fn send_pending(&mut self, mailbox: &mut Mailbox) {
        for published in self.take_pending() {
            for worker in &self.subscribers {
                mailbox.send_media(*worker, Message::Media(published.clone()), published.packets.len() as u64);
            }
        }
    }

    /// Sends to each worker with viewers which tracks have answered or ignored a keyframe request; returns the same.
    pub(crate) fn send_keyframe_responses(&mut self, mailbox: &mut Mailbox) -> Vec<KeyframeResponsive> {
        let responses = self.take_keyframe_responses();
        for KeyframeResponsive { kind, layer, keyframe_responsive } in responses.iter().copied() {
            self.send_to_subscribers(mailbox, |stream, publisher| Message::KeyframeResponsive {
                stream,
                publisher,
                kind,
                layer,
                keyframe_responsive,
            });
        }
        responses
    }

    /// Sends the publisher's newest sender reports to each worker with viewers.
    pub(crate) fn send_clocks(&mut self, mailbox: &mut Mailbox) {
        for (kind, layer, clock) in self.take_clocks() {
            self.send_to_subscribers(mailbox, |stream, publisher| Message::Clock {
                stream,
                publisher,
                kind,
                layer,
                clock,
            });
        }
    }

    /// Adds a data channel that the publisher has opened, and sends it to each worker with viewers.
    pub(crate) fn open_channel(&mut self, channel: Channel, mailbox: &mut Mailbox) {
        let is_known = self.channels.iter().any(|known| known.label == channel.label);
        if is_known || self.channels.len() >= MAX_CHANNELS {
            return;
        }
        self.send_to_subscribers(mailbox, |stream, publisher| Message::Channel {
            stream,
            publisher,
            channel: channel.clone(),
        });
        self.channels.push(channel);
    }

    /// Sends a data message of the publisher to each worker with viewers.
    pub(crate) fn send_data(&self, label: &str, message: &ChannelMessage, mailbox: &mut Mailbox) {
        let Some(publisher) = self.publication.number() else { return };
        for worker in &self.subscribers {
            let (label, message) = (label.to_owned(), message.clone());
            let data = Message::DataFromPublisher { stream: self.stream.clone(), publisher, label, message };
            mailbox.send_media(*worker, data, 1);
        }
    }
}
