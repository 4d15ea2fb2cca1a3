//! What a session does with media, feedback and data messages, and at its deadlines: the step of its role, and the
//! facts that come of it.

use std::time::Instant;

use super::session::{Session, State};
use crate::five_tuple::FiveTuple;
use crate::metrics::Direction;
use crate::peer::{Channel, ChannelMessage};
use crate::reason::{DropReason, EndReason};
use crate::stream::WorkerId;
use crate::worker::mailbox::Mailbox;
use crate::worker::message::Message;
use crate::worker::net::batch::{Batch, Outbox};
use crate::worker::presence::Presence;
use crate::worker::stats::counters::Counters;
use crate::worker::stats::sent::NacksAnswered;
use crate::worker::viewing::stream_feed::StreamFeed;
use crate::worker::viewing::viewer::{FeedbackRequests, Serving};
use crate::worker::viewing::viewer_track::FollowUp;

impl Session {
    /// Opens a publisher's packet in place and keeps it for the next flush; true if it is authentic.
    pub(crate) fn on_rtp(
        &mut self,
        datagram: &mut [u8],
        received: Instant,
        counters: &mut Counters,
        now: Instant,
    ) -> bool {
        let State::Publishing(publisher) = &mut self.state else {
            counters.drop(DropReason::NoKeys);
            return false;
        };
        let opened = match publisher.opener.open_at(datagram, now) {
            Ok(opened) => opened,
            Err(reason) => {
                if reason == DropReason::TooManySsrcs {
                    publisher.warn_of_ssrcs(now);
                }
                counters.drop(reason);
                return false;
            }
        };
        self.facts.packets += 1;
        self.facts.bytes += datagram.len() as u64;
        match publisher.on_packet(datagram, &opened, received) {
            Ok(kind) => counters.received(kind, datagram.len()),
            Err(reason) => counters.drop(reason),
        }
        self.note_first_media(counters, now);
        true
    }

    /// Sends a viewer the packets that it does not have yet; `None` if it is not connected.
    pub(crate) fn serve(
        &mut self,
        feed: &StreamFeed,
        batch: &mut Batch,
        outbox: &mut impl Outbox,
        counters: &mut Counters,
        now: Instant,
    ) -> Option<Serving> {
        let (State::Watching(viewer), Some(path)) = (&mut self.state, self.path) else { return None };
        batch.begin(path);
        let serving = viewer.serve(feed, batch, outbox, now);
        let [audio, video] = serving.sent.volumes;
        self.facts.packets += audio.packets + video.packets;
        self.facts.bytes += audio.bytes + video.bytes;
        counters.served(&serving.sent, now);
        if let Some(tally) = viewer.take_tally() {
            counters.add_bandwidth(&tally);
            self.facts.note_bandwidth(&tally);
        }
        if self.facts.first_frame.is_none() && serving.sent.received.is_some() {
            self.note_sent(video.packets > 0, counters, now);
        }
        Some(serving)
    }

    /// Sends a viewer the packets that its NACKs name; returns what its tracks need then.
    pub(crate) fn answer_nacks(
        &mut self,
        feed: &StreamFeed,
        batch: &mut Batch,
        outbox: &mut impl Outbox,
        counters: &mut Counters,
        now: Instant,
    ) -> Option<FollowUp> {
        let (State::Watching(viewer), Some(path)) = (&mut self.state, self.path) else { return None };
        batch.begin(path);
        let answered = viewer.answer(feed, batch, outbox, now);
        counters.answered(answered);
        match answered {
            NacksAnswered { overrun: true, .. } => Some(viewer.skip(feed, now)),
            // The viewer requests a keyframe by itself too, but only seconds later.
            NacksAnswered { lost: true, .. } => Some(viewer.refresh(feed, now)),
            _ => None,
        }
    }

    /// Media goes this way from now on.
    pub(crate) fn on_moved(&mut self, path: FiveTuple, now: Instant) {
        self.path = Some(path);
        self.steered = None;
        if let Some(viewer) = self.state.viewer_mut() {
            viewer.on_path_change(now);
        }
    }

    /// Takes a viewer's feedback.
    pub(crate) fn on_viewer_feedback(
        &mut self,
        compound: &[u8],
        counters: &mut Counters,
        now: Instant,
    ) -> FeedbackRequests {
        let Some(viewer) = self.state.viewer_mut() else { return FeedbackRequests::default() };
        let requests = viewer.on_feedback(compound, now);
        self.facts.asked_again += requests.packets as u64;
        counters.viewer_requests(requests.packets as u64, requests.keyframe.into());
        requests
    }

    /// Does what is due for a publisher; true if packets are to be flushed.
    ///
    /// # Errors
    /// Why the session is to end.
    pub(crate) fn on_publisher_timeout(
        &mut self,
        mailbox: &mut Mailbox,
        counters: &mut Counters,
        now: Instant,
    ) -> Result<bool, EndReason> {
        let (State::Publishing(publisher), Some(peer)) = (&mut self.state, &mut self.peer) else { return Ok(false) };
        if let Some(limit) = &mut publisher.bitrate_limit
            && let Some(rate) = limit.measure(self.facts.bytes, now)
        {
            self.facts.failure = Some(limit.failure(rate));
            return Err(EndReason::BitrateExceeded);
        }
        let due = publisher.poll(now);
        counters.asked_of_publisher(due.packets_asked, due.keyframes_asked);
        self.facts.keyframes_asked += due.keyframes_asked;
        for packets in due.datagrams {
            peer.send_rtcp(packets, now);
        }
        self.send_keyframe_responses(mailbox, counters);
        if let Some(publisher) = self.state.publisher_mut() {
            publisher.send_clocks(mailbox);
            publisher.send_layers(mailbox);
        }
        Ok(due.releases)
    }

    /// Sends the sender reports that are due to a viewer; true if the relay is to open data channels now.
    pub(crate) fn on_viewer_timeout(&mut self, feed: Option<&StreamFeed>, now: Instant) -> bool {
        let (State::Watching(viewer), Some(peer)) = (&mut self.state, &mut self.peer) else { return false };
        let opens_channels = viewer.channels.open_at.is_some_and(|due| due <= now);
        for report in viewer.poll(feed, now) {
            peer.send_rtcp(report, now);
        }
        opens_channels
    }

    /// Sends to a publisher's subscribers whether it answers keyframe requests.
    pub(crate) fn send_keyframe_responses(&mut self, mailbox: &mut Mailbox, counters: &mut Counters) {
        let Some(publisher) = self.state.publisher_mut() else { return };
        for response in publisher.send_keyframe_responses(mailbox) {
            counters.keyframe_response(response.keyframe_responsive);
            self.facts.keyframes_answered += u64::from(response.keyframe_responsive);
        }
    }

    /// The client has opened a data channel.
    pub(crate) fn on_channel(&mut self, channel: Channel, mailbox: &mut Mailbox, now: Instant) {
        match (&mut self.state, &mut self.peer) {
            (State::Publishing(publisher), _) => publisher.open_channel(channel, mailbox),
            (State::Watching(viewer), Some(peer)) => viewer.channels.send_early(peer, now),
            _ => {}
        }
    }

    /// The client has sent a data message: a publisher's goes to its viewers, a viewer's to the worker of its
    /// publisher. False if there is none.
    pub(crate) fn on_data(
        &self,
        label: String,
        message: ChannelMessage,
        publisher: Option<WorkerId>,
        mailbox: &mut Mailbox,
    ) -> bool {
        match &self.state {
            State::Connecting(_) => {}
            State::Publishing(publisher) => publisher.send_data(&label, &message, mailbox),
            State::Watching(_) => {
                let Some(worker) = publisher else { return false };
                let stream = self.stream.clone();
                mailbox.send_media(worker, Message::DataFromViewer { stream, label, message }, 1);
            }
        }
        true
    }

    /// Resumes a paused viewer. Returns what its tracks need, and how many packets were not sent during the pause.
    pub(crate) fn resume(&mut self, feed: &StreamFeed, now: Instant) -> Option<(FollowUp, u64)> {
        let viewer = self.state.viewer_mut()?;
        let Presence::Away { since } = viewer.presence else { return None };
        let (follow_up, missed) = viewer.resume(feed, now);
        let paused_ms = now.saturating_duration_since(since).as_millis() as u64;
        tracing::debug!(session = %self.id, paused_ms, missed, "viewer resumed");
        Some((follow_up, missed))
    }

    /// Opens the publisher's data channels to a viewer that has not opened them itself, once its time for that is over;
    /// true if any may have been opened.
    pub(crate) fn open_channels(&mut self, feed: Option<&StreamFeed>, now: Instant) -> bool {
        let (State::Watching(viewer), Some(peer)) = (&mut self.state, &mut self.peer) else { return false };
        if self.negotiated.application.is_none() || viewer.channels.open_at.is_some_and(|due| due > now) {
            return false;
        }
        viewer.channels.open_at = None;
        for channel in feed.map_or(&[][..], |feed| &feed.channels) {
            peer.open_channel(channel, now);
        }
        feed.is_some()
    }

    /// Sends a data message to the client; false if it has no data channels.
    pub(crate) fn send_data(
        &mut self,
        label: &str,
        message: &ChannelMessage,
        counters: &mut Counters,
        now: Instant,
    ) -> bool {
        let Some(peer) = &mut self.peer else { return false };
        let is_sent = match &mut self.state {
            State::Connecting(_) => return false,
            State::Watching(_) if self.negotiated.application.is_none() => return false,
            State::Watching(viewer) => viewer.channels.send(label, message, peer, now),
            State::Publishing(_) => peer.send_message(label, message, now).is_ok(),
        };
        if is_sent {
            counters.channel_messages(Direction::Out, 1);
        } else {
            counters.drop(DropReason::ChannelFull);
        }
        true
    }
}
