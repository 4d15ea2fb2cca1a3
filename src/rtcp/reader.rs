//! How many datagrams a publisher reads.
//!
//! Some senders read their socket only when they write: FFmpeg reads one datagram for each frame of video or audio that
//! it sends. Further datagrams wait in its socket, and a NACK behind them arrives too late. The rule: each received
//! frame allows one more datagram, and up to two unused ones are kept, so that a request that does not closely follow
//! others is sent at once. A publisher that reads at once gets everything at once. Which kind a publisher is shows in
//! its answers: those of a publisher that reads when it writes arrive together with its next frame.

use std::time::{Duration, Instant};

/// Datagrams that may be sent without another frame. Further ones would wait in the publisher's socket, where no
/// request can be joined to them.
const MOST_CREDIT: i32 = 2;

/// How often a publisher that sends nothing may be sent a datagram.
const PATIENCE: Duration = Duration::from_millis(250);

/// With a shorter time between two frames, a report each second does not delay requests.
const CLOSE_FRAMES: Duration = Duration::from_millis(25);

/// How many more answers of the other kind than of the assumed kind change the assumption.
const CERTAIN: i8 = 4;

/// The assumption about how one publisher reads.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Datagrams that it may be sent now; if negative, those that it has yet to read.
    credit: i32,
    /// When it was last sent one.
    sent: Option<Instant>,
    /// When the newest frame began to arrive, and the smoothed time between two.
    frame: Option<Instant>,
    interval: Option<Duration>,
    /// An answer has arrived, and no frame since.
    answered: Option<Instant>,
    reads_at_once: bool,
    /// From 0, which confirms the assumed kind, to [`CERTAIN`], which changes it.
    doubt: i8,
}

impl Reader {
    /// A publisher about which nothing is known yet.
    pub(crate) fn new() -> Self {
        Self {
            credit: MOST_CREDIT,
            sent: None,
            frame: None,
            interval: None,
            answered: None,
            reads_at_once: false,
            doubt: 0,
        }
    }

    /// It numbers packets for transport-wide feedback, so it reads at once.
    pub(crate) fn on_transport_sequence(&mut self) {
        if self.frame.is_none() {
            self.reads_at_once = true;
        }
    }

    /// The first packet of a frame of any track arrived.
    pub(crate) fn on_frame(&mut self, received: Instant) {
        self.credit = (self.credit + 1).min(MOST_CREDIT);
        if let Some(before) = self.frame.replace(received) {
            let sample = received.saturating_duration_since(before);
            let interval = self.interval.unwrap_or(sample);
            self.interval = Some((interval * 7 + sample) / 8);
        }
        let (Some(answered), Some(interval)) = (self.answered.take(), self.interval) else { return };
        let with_frame = received.saturating_duration_since(answered) <= interval / 4;
        if with_frame == self.reads_at_once {
            self.doubt += 1;
        } else {
            self.doubt = (self.doubt - 1).max(0);
        }
        if self.doubt == CERTAIN {
            self.reads_at_once = !self.reads_at_once;
            self.doubt = 0;
        }
    }

    /// A requested packet arrived.
    pub(crate) fn on_answer(&mut self, received: Instant) {
        self.answered = Some(received);
    }

    /// A datagram is sent to it.
    pub(crate) fn on_sent(&mut self, now: Instant) {
        self.credit = (self.credit - 1).max(-MOST_CREDIT);
        self.sent = Some(now);
    }

    /// When it may be sent something that is due at `due`.
    pub(crate) fn ready(&self, due: Instant) -> Instant {
        self.after(due, 1)
    }

    /// The same for what can wait until there is room for requests too.
    pub(crate) fn ready_for_report(&self, due: Instant) -> Instant {
        self.after(due, MOST_CREDIT)
    }

    /// Whether frames are so rare that reports must be rare too.
    pub(crate) fn is_slow(&self) -> bool {
        !self.reads_at_once && self.interval.is_some_and(|interval| interval > CLOSE_FRAMES)
    }

    /// The average time between two frames.
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.interval
    }

    fn after(&self, due: Instant, credit: i32) -> Instant {
        match self.sent {
            Some(sent) if !self.reads_at_once && self.credit < credit => due.max(sent + PATIENCE),
            _ => due,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const FRAME: Duration = Duration::from_millis(33);

    /// Sends frames; each second one has an answer `before` it. Whether the publisher is thought to read at once then.
    fn answers(reader: &mut Reader, start: Instant, frames: u32, before: Duration) -> bool {
        for frame in 1..=frames {
            let now = start + FRAME * frame;
            if frame % 2 == 0 {
                reader.on_answer(now - before);
            }
            reader.on_frame(now);
        }
        reader.reads_at_once
    }

    #[test]
    fn each_frame_allows_a_datagram_and_two_are_kept() {
        let start = Instant::now();
        let mut reader = Reader::new();
        for _ in 0..2 {
            assert_eq!(reader.ready(start), start);
            reader.on_sent(start);
        }
        assert_eq!(reader.ready(start + MS), start + PATIENCE, "without a frame");
        reader.on_frame(start + FRAME);
        assert_eq!(reader.ready(start + FRAME), start + FRAME);
        assert_eq!(reader.ready_for_report(start + FRAME), start + PATIENCE);
        for frame in 2..9 {
            reader.on_frame(start + FRAME * frame);
        }
        assert_eq!((reader.credit, reader.is_slow()), (2, true));
    }

    #[test]
    fn datagrams_that_cannot_wait_are_counted_too() {
        let start = Instant::now();
        let mut reader = Reader::new();
        for _ in 0..9 {
            reader.on_sent(start);
        }
        reader.on_frame(start + FRAME);
        assert_eq!(reader.ready(start + FRAME), start + PATIENCE);
        reader.on_frame(start + FRAME * 2);
        reader.on_frame(start + FRAME * 3);
        assert_eq!(reader.ready(start + FRAME * 3), start + FRAME * 3);
    }

    #[test]
    fn answers_between_frames_show_a_publisher_that_reads_at_once_and_answers_with_frames_one_that_does_not() {
        let start = Instant::now();
        let mut reader = Reader::new();
        assert!(!answers(&mut reader, start, 100, MS));
        assert!(answers(&mut reader, start + FRAME * 100, 10, FRAME / 2));
        for _ in 0..9 {
            reader.on_sent(start);
        }
        assert_eq!(reader.ready(start + MS), start + MS);
        assert!(!answers(&mut reader, start + FRAME * 110, 10, MS));
        let mut reader = Reader::new();
        reader.on_transport_sequence();
        assert!(answers(&mut reader, start, 6, MS), "not yet");
        assert!(!answers(&mut reader, start + FRAME * 6, 4, MS));
    }
}
