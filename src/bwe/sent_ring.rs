//! The packets that were sent with a transport-wide sequence number, until feedback about them is due.

/// Packets remembered: 4 s at 2 Mbit/s, 0.8 s at 10 Mbit/s. Feedback comes within 250 ms and a round-trip time.
const SIZE: usize = 1024;

/// Microseconds of the unit in which expected queueing is kept.
const UNIT: i64 = 100;

/// One packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    /// When it was sent: the lower bits of microseconds.
    sent: u32,
    octets: u16,
    number: u16,
    /// How long it had to queue for what was sent before it, in [`UNIT`] and on top of what [`SentRing::shorter`] was.
    expected: u16,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// No packet was sent with this slot's number.
    Free,
    OnItsWay,
    Missing,
    Arrived,
}

/// The last packets by their number.
#[derive(Debug)]
pub(crate) struct SentRing {
    packets: [Packet; SIZE],
    next: u16,
    /// By how much the queue has turned out to be shorter than expected so far, in [`UNIT`]; it wraps around.
    shorter: u16,
}

/// What feedback newly says about a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum News {
    /// It arrived; `was_missing` when earlier feedback reported it as lost.
    Arrived {
        sent: i64,
        octets: u16,
        expected: i64,
        was_missing: bool,
    },
    Missing,
}

impl SentRing {
    pub(crate) fn new() -> Self {
        let free = Packet { sent: 0, octets: 0, number: 0, expected: 0, state: State::Free };
        Self { packets: [free; SIZE], next: 0, shorter: 0 }
    }

    /// The number of the packet that is sent next.
    pub(crate) fn next(&self) -> u16 {
        self.next
    }

    /// Remembers the packet with the number [`Self::next`]; `expected` microseconds of queueing are its own sender's.
    pub(crate) fn push(&mut self, octets: u16, expected: f64, now: i64) {
        let packet = Packet {
            sent: now as u32,
            octets,
            number: self.next,
            expected: ((expected / UNIT as f64) as u16).wrapping_add(self.shorter),
            state: State::OnItsWay,
        };
        *self.slot(self.next) = packet;
        self.next = self.next.wrapping_add(1);
    }

    /// The packets sent so far queue for less time than expected, by `by` (us).
    pub(crate) fn shorten(&mut self, by: i64) {
        self.shorter = self.shorter.wrapping_add((by / UNIT) as u16);
    }

    /// `None` if the number was never sent, is forgotten, or if earlier feedback reported the same.
    pub(crate) fn tell(&mut self, number: u16, has_arrived: bool, now: i64) -> Option<News> {
        let shorter = self.shorter;
        let packet = self.slot(number);
        if packet.number != number {
            return None;
        }
        match packet.state {
            State::OnItsWay if !has_arrived => {
                packet.state = State::Missing;
                Some(News::Missing)
            }
            State::OnItsWay | State::Missing if has_arrived => {
                let was_missing = packet.state == State::Missing;
                packet.state = State::Arrived;
                let age = i64::from((now as u32).wrapping_sub(packet.sent));
                // The 16 bits wrap around, so the difference is a signed one; below 0 the queue was empty.
                let expected = i64::from(packet.expected.wrapping_sub(shorter) as i16).max(0) * UNIT;
                Some(News::Arrived { sent: now - age, octets: packet.octets, expected, was_missing })
            }
            _ => None,
        }
    }

    /// Whether feedback has reported the packet.
    pub(crate) fn is_reported(&self, number: u16) -> bool {
        let packet = &self.packets[usize::from(number) % SIZE];
        packet.number == number && matches!(packet.state, State::Missing | State::Arrived)
    }

    fn slot(&mut self, number: u16) -> &mut Packet {
        &mut self.packets[usize::from(number) % SIZE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn arrived(sent: i64, was_missing: bool) -> Option<News> {
        Some(News::Arrived { sent, octets: 1200, expected: 500, was_missing })
    }

    #[test]
    fn numbers_that_were_never_sent_are_ignored() {
        let mut ring = SentRing::new();
        for number in [0, 1, 1023, 1024, 65_535] {
            assert_eq!((ring.tell(number, true, 9), ring.tell(number, false, 9)), (None, None), "{number}");
        }
    }

    #[test]
    fn numbers_older_than_the_ring_are_ignored() {
        let mut ring = SentRing::new();
        for _ in 0..=1024 {
            ring.push(1200, 500.0, 7);
        }
        assert_eq!(ring.tell(0, true, 9), None);
        assert_eq!(ring.tell(1, true, 9), arrived(7, false));
        assert_eq!(ring.tell(1024, true, 9), arrived(7, false));
        assert_eq!(ring.tell(1025, true, 9), None, "not sent yet");
    }

    #[test]
    fn a_number_counts_once_and_a_late_arrival_takes_the_loss_back() {
        let mut ring = SentRing::new();
        ring.push(1200, 500.0, 7);
        assert!(!ring.is_reported(0));
        assert_eq!(ring.tell(0, false, 9), Some(News::Missing));
        assert_eq!(ring.tell(0, false, 9), None);
        assert_eq!(ring.tell(0, true, 9), arrived(7, true));
        assert_eq!((ring.tell(0, true, 9), ring.tell(0, false, 9)), (None, None));
        assert!(ring.is_reported(0));
    }

    #[test]
    fn packets_on_their_way_queue_as_much_less_as_those_before_them() {
        let mut ring = SentRing::new();
        let expected = |news| match news {
            Some(News::Arrived { expected, .. }) => expected,
            _ => panic!("{news:?}"),
        };
        for round in 0..200 {
            let first = ring.next();
            ring.push(1200, 90_000.0, round);
            ring.shorten(60_000);
            ring.push(1200, 30_000.0, round);
            assert_eq!(expected(ring.tell(first, true, round)), 30_000);
            assert_eq!(expected(ring.tell(first + 1, true, round)), 30_000, "it was sent afterwards");
            ring.push(1200, 30_000.0, round);
            ring.shorten(60_000);
            assert_eq!(expected(ring.tell(first + 2, true, round)), 0);
        }
    }

    #[test]
    fn the_time_of_sending_survives_the_wrap_of_its_bits() {
        let mut ring = SentRing::new();
        let sent = (3 << 32) - 5;
        ring.push(1200, 500.0, sent);
        assert_eq!(ring.tell(0, true, sent + 100), arrived(sent, false));
    }
}
