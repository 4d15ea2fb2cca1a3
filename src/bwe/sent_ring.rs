//! The packets that were sent with a transport-wide sequence number, until feedback about them is due.

/// Packets remembered: 4 s at 2 Mbit/s, 0.8 s at 10 Mbit/s. Feedback comes within 250 ms and a round-trip time.
const SIZE: usize = 1024;

/// One packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    /// When it was sent: the lower bits of microseconds.
    sent: u32,
    octets: u16,
    number: u16,
    /// How long it had to queue for what was sent before it, in 100 us.
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
        Self { packets: [free; SIZE], next: 0 }
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
            // Saturates at 6.5 s.
            expected: (expected / 100.0) as u16,
            state: State::OnItsWay,
        };
        *self.slot(self.next) = packet;
        self.next = self.next.wrapping_add(1);
    }

    /// `None` if the number was never sent, is forgotten, or if earlier feedback reported the same.
    pub(crate) fn tell(&mut self, number: u16, has_arrived: bool, now: i64) -> Option<News> {
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
                let expected = i64::from(packet.expected) * 100;
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
    fn the_time_of_sending_survives_the_wrap_of_its_bits() {
        let mut ring = SentRing::new();
        let sent = (3 << 32) - 5;
        ring.push(1200, 500.0, sent);
        assert_eq!(ring.tell(0, true, sent + 100), arrived(sent, false));
    }
}
