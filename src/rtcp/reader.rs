//! How much a publisher takes of what it is told.
//!
//! Some senders look into their socket only when they write: FFmpeg reads one datagram for each frame of video or audio
//! that it sends. What it is told beyond that waits there, and a NACK behind it comes too late. The rule: each frame that
//! arrives allows one datagram more, and of those that were not needed two are kept, so a request that does not follow
//! closely on others leaves at once. Whoever reads at once is sent all at once. Which of the two a publisher is, its
//! answers tell: those of one that reads when it writes come together with its next frame.

use std::time::{Duration, Instant};

/// Datagrams that may be sent without another frame. More would wait there, where no request can be joined to them.
const MOST_CREDIT: i32 = 2;

/// A publisher that sends nothing may be told something this often.
const PATIENCE: Duration = Duration::from_millis(250);

/// With less between two frames, a report each second takes no room from requests.
const CLOSE_FRAMES: Duration = Duration::from_millis(25);

/// Answers of the other way, less those of this way, that change what is thought of a publisher.
const CERTAIN: i8 = 4;

/// What is thought of one publisher's reading.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Datagrams that it may be sent now; below 0 those that it has yet to read.
    credit: i32,
    /// When it was last sent one.
    sent: Option<Instant>,
    /// When the newest frame began to arrive, and the smoothed time between two.
    frame: Option<Instant>,
    interval: Option<Duration>,
    /// An answer has come, and no frame since.
    answered: Option<Instant>,
    reads_at_once: bool,
    /// From 0, what speaks for the way that is thought to be its own, to [`CERTAIN`], what speaks for the other.
    doubt: i8,
}

impl Reader {
    /// Nothing is known yet.
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

    /// It numbers its packets for the transport: who wants to know when each arrives reads at once.
    pub(crate) fn on_transport_sequence(&mut self) {
        if self.frame.is_none() {
            self.reads_at_once = true;
        }
    }

    /// The first packet of a frame arrived, of whatever track.
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

    /// A packet came that it was asked for.
    pub(crate) fn on_answer(&mut self, received: Instant) {
        self.answered = Some(received);
    }

    /// It is sent a datagram.
    pub(crate) fn on_sent(&mut self, now: Instant) {
        self.credit = (self.credit - 1).max(-MOST_CREDIT);
        self.sent = Some(now);
    }

    /// When it may be told something that is due at `due`.
    pub(crate) fn ready(&self, due: Instant) -> Instant {
        self.after(due, 1)
    }

    /// The same for what can wait until there is room for requests besides.
    pub(crate) fn ready_for_report(&self, due: Instant) -> Instant {
        self.after(due, MOST_CREDIT)
    }

    /// Whether each frame is so precious that reports come seldom.
    pub(crate) fn is_slow(&self) -> bool {
        !self.reads_at_once && self.interval.is_some_and(|interval| interval > CLOSE_FRAMES)
    }

    /// From one frame to the next, on average.
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
    fn what_cannot_be_held_back_is_counted_too() {
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
