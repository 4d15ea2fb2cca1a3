//! Messages of other workers, of this one, and of the node's handle.

use std::time::Instant;

use super::state::Engine;
use crate::forward::codec::Kind;
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
            Message::Clock { stream, publisher, kind, clock } => self.on_clock(&stream, publisher, kind, clock, now),
            Message::KeyframeResponsive { stream, publisher, kind, keyframe_responsive } => {
                if let Some(track) = self.feeds.track_of_publisher(&stream, publisher, kind) {
                    track.keyframe_responsive = Some(keyframe_responsive);
                }
            }
            Message::DropCachedFrames { stream, publisher } => {
                if let Some(track) = self.feeds.track_of_publisher(&stream, publisher, Kind::Video) {
                    track.history.give_up_cache(now);
                }
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
            Message::Demand { stream } => self.on_demand(&stream, now),
            Message::Datagram { path, mut datagram, received } => {
                self.handle_arrival(path, &mut datagram, received, now, true);
                self.steer(path, now);
            }
            Message::Restart { session, admission } => {
                if let Some(key) = self.sessions.key(&session) {
                    self.demux.restart(key, *admission);
                    self.take_demux_output(now);
                }
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
