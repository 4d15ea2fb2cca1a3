//! Messages of other workers, of this one, and of the node's handle.

use std::time::Instant;

use super::state::Engine;
use crate::reason::DropReason;
use crate::worker::message::Message;

impl Engine {
    /// Takes one message from the inbox.
    pub(crate) fn handle_message(&mut self, message: Message, now: Instant) {
        match message {
            Message::Media(published) => {
                let late = self.feeds.on_media(&published);
                self.counters.drops(DropReason::Replaced, late);
            }
            Message::Subscribed(subscribed) => self.on_subscribed(*subscribed, now),
            Message::Clock { stream, publisher, kind, layer, clock } => {
                self.on_clock(&stream, publisher, (kind, layer), clock, now);
            }
            Message::Layer { stream, publisher, layer, state } => {
                self.on_layer(&stream, publisher, (layer, state), now)
            }
            Message::KeyframeResponsive { stream, publisher, kind, layer, keyframe_responsive } => {
                self.feeds.on_keyframe_response(&stream, publisher, (kind, layer), keyframe_responsive);
            }
            Message::DropCachedFrames { stream, publisher, layer } => {
                self.feeds.drop_cached_frames(&stream, publisher, layer, now);
            }
            Message::Channel { stream, publisher, channel } => {
                self.on_published_channel(&stream, publisher, channel, now)
            }
            Message::DataFromPublisher { stream, publisher, label, message } => {
                self.on_data_from_publisher(&stream, publisher, (&label, &message), now)
            }
            Message::DataFromViewer { stream, label, message } => {
                self.on_data_from_viewer(&stream, &label, &message, now)
            }
            Message::Unpublished { stream, publisher } => self.on_unpublished(&stream, publisher, now),
            Message::Lost { stream, publisher, lost } => self.on_lost(&stream, publisher, lost, now),
            Message::Subscribe { stream, worker } => {
                if let Some(key) = self.publisher_by_stream.get(&stream)
                    && let Some(publisher) = self.sessions.publisher_mut(*key)
                {
                    publisher.subscribe(worker, self.id, &mut self.mailbox);
                }
            }
            Message::Unsubscribe { stream, worker } => {
                if let Some(publisher) = self.publisher_of(&stream) {
                    publisher.unsubscribe(worker);
                }
            }
            Message::Demand { stream, layer } => self.on_demand(&stream, layer, now),
            Message::Datagram { path, mut datagram, received } => {
                self.handle_arrival(path, &mut datagram, received, now, true);
                self.steer(path, now);
            }
            Message::Connection(connection) => self.handed_over_paths.arrived.push(*connection),
            Message::Dial { session, socket } => {
                self.own_sockets.opened.extend(socket);
                self.adopt(*session, now);
            }
            Message::Restart { session, admission } => {
                if let Some(key) = self.sessions.key(&session) {
                    self.demux.restart(key, *admission);
                    self.take_demux_output(now);
                }
            }
            Message::Select { session } => {
                let attached = self.sessions.select(&session, &self.feeds, now);
                attached.into_iter().for_each(|(stream, attached)| self.on_attached(&stream, attached, now));
            }
            Message::StandDown { session } => self.on_stand_down(&session, now),
            Message::End { session, reason } => {
                if let Some(key) = self.sessions.key(&session) {
                    self.end(key, reason, now);
                }
            }
            Message::Hold { session, hold } => self.hold(session, &hold, now),
            Message::Stop => self.stop(now),
        }
    }
}
