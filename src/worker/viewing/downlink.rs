//! Whether what a viewer is sent arrives. A network may carry what a viewer sends and nothing to it, for seconds: the
//! viewer goes on to report, but its reports do not follow what it was sent.
//!
//! It is sent audio alone then, so that its video has no hole when the network is back, and a probe every 200 ms,
//! because a viewer that gets nothing would never report anything else. The rule: only a viewer whose reports have
//! followed before is dark, and only if packets are missing that were sent before its last report but one. A still
//! screen has none.

use std::time::{Duration, Instant};

/// As few packets may be lost by chance, at the end of what was sent.
const MANY: u16 = 8;

/// The shortest time between two reports that are compared: packets need time to arrive.
const APART: Duration = Duration::from_millis(400);

/// From one probe to the next.
const PROBE_INTERVAL: Duration = Duration::from_millis(200);

/// After this long video is sent once more: some clients report no probe.
const LONGEST: Duration = Duration::from_secs(5);

/// What a receiver report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reported {
    /// The video; the number of its next packet.
    Video {
        next: u16,
    },
    /// Retransmissions of the video.
    Resends,
    Audio,
}

/// Whether what one viewer is sent arrives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Downlink {
    /// The last report about the video that is compared with the next one.
    before: Option<VideoReport>,
    /// The highest sequence numbers that it has reported of retransmissions and of audio.
    others: [Option<u32>; 2],
    /// Reports about the video have followed what was sent.
    follows: bool,
    dark: Option<Dark>,
    /// It has become dark since [`Self::take_begin`] was called.
    has_begun: bool,
    /// It has come back since [`Self::take_return`] was called.
    is_back: bool,
    /// The transport-wide number of the next probe.
    number: u16,
}

#[derive(Clone, Copy, Debug)]
struct VideoReport {
    at: Instant,
    /// The highest sequence number that had arrived.
    highest: u32,
    /// The number of the next packet then.
    next: u16,
}

/// Nothing arrives.
#[derive(Clone, Copy, Debug)]
struct Dark {
    since: Instant,
    next_probe: Instant,
}

impl Downlink {
    /// True while nothing arrives.
    #[inline]
    pub(crate) fn is_dark(&self) -> bool {
        self.dark.is_some()
    }

    /// A report block came, with the extended highest sequence number received (RFC 3550 6.4.1).
    pub(crate) fn on_report(&mut self, of: Reported, highest: u32, now: Instant) {
        let Reported::Video { next } = of else {
            let other = &mut self.others[usize::from(of == Reported::Audio)];
            if other.replace(highest) != Some(highest) {
                self.on_arrival();
            }
            return;
        };
        let report = VideoReport { at: now, highest, next };
        let Some(before) = self.before.replace(report) else { return };
        if before.highest != highest {
            self.follows = true;
            self.on_arrival();
        } else if now < before.at + APART {
            self.before = Some(before);
        } else if self.follows && !self.is_dark() && before.missing() >= MANY {
            self.dark = Some(Dark { since: now, next_probe: now });
            self.has_begun = true;
        }
    }

    /// Something has arrived: transport-wide feedback or a NACK came, or a report has followed. A request for a keyframe
    /// says nothing: browsers send one when they have seen no frame for some time.
    pub(crate) fn on_arrival(&mut self) {
        self.is_back |= self.dark.take().is_some();
    }

    /// True once after nothing has arrived any more.
    pub(crate) fn take_begin(&mut self) -> bool {
        std::mem::take(&mut self.has_begun)
    }

    /// True once after something has arrived again.
    pub(crate) fn take_return(&mut self) -> bool {
        std::mem::take(&mut self.is_back)
    }

    /// Ends the darkness that has lasted for too long, to see what arrives.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.dark.is_some_and(|dark| now >= dark.since + LONGEST) {
            self.on_arrival();
        }
    }

    /// True if a probe is to be sent now.
    pub(crate) fn take_probe(&mut self, now: Instant) -> bool {
        let Some(dark) = self.dark.as_mut().filter(|dark| now >= dark.next_probe) else { return false };
        dark.next_probe = now + PROBE_INTERVAL;
        true
    }

    /// The transport-wide number of the next probe, where the viewer's other packets have none.
    pub(crate) fn next_number(&mut self) -> u16 {
        self.number = self.number.wrapping_add(1);
        self.number
    }

    /// When [`Self::handle_timeout`] and [`Self::take_probe`] have something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.dark.map(|dark| dark.next_probe.min(dark.since + LONGEST))
    }
}

impl VideoReport {
    /// Packets that had been sent and had not arrived.
    fn missing(&self) -> u16 {
        let missing = self.next.wrapping_sub(1).wrapping_sub(self.highest as u16);
        // A number that was never sent.
        if missing < 1 << 15 { missing } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Reports each second of video that is sent at 100 packets a second from 65,400 on: those in `dark` seconds after
    /// the first do not arrive. Returns in which seconds it was dark.
    fn dark(seconds: u32, is_dark: impl Fn(u32) -> bool) -> Vec<u32> {
        let (began, mut downlink) = (Instant::now(), Downlink::default());
        let (mut highest, mut seen) = (65_400u32, Vec::new());
        for second in 1..=seconds {
            let sent = 65_400 + second * 100;
            if !is_dark(second) {
                highest = sent;
            }
            let of = Reported::Video { next: sent as u16 + 1 };
            downlink.on_report(of, highest, began + second * SECOND);
            if downlink.is_dark() {
                seen.push(second);
            }
        }
        seen
    }

    #[test]
    fn a_viewer_is_dark_when_two_reports_in_a_row_do_not_follow_what_was_sent() {
        const NEVER: [u32; 0] = [];
        assert_eq!(dark(10, |_| false), NEVER);
        assert_eq!(dark(10, |second| second >= 4), [5, 6, 7, 8, 9, 10]);
        assert_eq!(dark(10, |second| (4..8).contains(&second)), [5, 6, 7], "a report that follows ends it");
        assert_eq!(dark(10, |second| second == 4), NEVER, "one report may have been written before");
        assert_eq!(dark(10, |second| second > 1), NEVER, "it has never been shown that its reports follow");
    }

    /// Dark since now.
    fn dark_since(now: Instant) -> Downlink {
        let mut downlink = Downlink::default();
        for (ago, next, highest) in [(3, 100, 99), (2, 200, 199), (1, 300, 199)] {
            downlink.on_report(Reported::Video { next }, highest, now - ago * SECOND);
        }
        downlink.on_report(Reported::Resends, 7, now - SECOND);
        downlink.on_report(Reported::Audio, 7, now - SECOND);
        downlink.on_report(Reported::Video { next: 400 }, 199, now);
        assert!(downlink.is_dark() && !downlink.take_return());
        downlink
    }

    #[test]
    fn a_still_screen_and_reports_that_come_close_together_are_not_dark() {
        let (now, mut downlink) = (Instant::now(), Downlink::default());
        downlink.on_report(Reported::Video { next: 100 }, 99, now);
        downlink.on_report(Reported::Video { next: 200 }, 199, now + SECOND);
        for second in 2..10 {
            downlink.on_report(Reported::Video { next: 200 }, 199, now + second * SECOND);
        }
        // A keyframe that is on its way.
        downlink.on_report(Reported::Video { next: 260 }, 199, now + 10 * SECOND);
        downlink.on_report(Reported::Video { next: 260 }, 199, now + 10 * SECOND + APART / 2);
        assert!(!downlink.is_dark());
        downlink.on_report(Reported::Video { next: 260 }, 199, now + 10 * SECOND + APART);
        assert!(downlink.is_dark());
        // The last of what was sent is lost, and nothing follows.
        let mut downlink = Downlink { dark: None, ..downlink };
        for (second, next, highest) in [(11, 300, 299), (12, 307, 299), (13, 307, 299), (14, 307, 299)] {
            downlink.on_report(Reported::Video { next }, highest, now + second * SECOND);
        }
        assert!(!downlink.is_dark());
    }

    #[test]
    fn anything_that_arrives_ends_it_and_a_repeated_report_does_not() {
        let now = Instant::now();
        for of in [Reported::Resends, Reported::Audio] {
            let mut downlink = dark_since(now);
            downlink.on_report(of, 7, now + SECOND);
            assert!(downlink.is_dark());
            downlink.on_report(of, 8, now + SECOND);
            assert!(!downlink.is_dark() && downlink.take_return() && !downlink.take_return());
        }
        let mut downlink = dark_since(now);
        downlink.on_report(Reported::Video { next: 400 }, 199, now + SECOND);
        assert!(downlink.is_dark());
        downlink.on_report(Reported::Video { next: 400 }, 200, now + SECOND);
        assert!(downlink.take_return());
    }

    #[test]
    fn it_is_probed_five_times_a_second_and_ends_after_five_seconds() {
        let now = Instant::now();
        let mut downlink = dark_since(now);
        let mut probes = 0;
        while let Some(due) = downlink.poll_timeout() {
            downlink.handle_timeout(due);
            probes += u32::from(downlink.take_probe(due));
            assert!(due <= now + LONGEST);
        }
        assert_eq!(probes, 25);
        assert!(downlink.take_return());
    }
}
