//! Where a message ends on a TCP connection: STUN messages and ChannelData follow each other without a frame of their
//! own (RFC 8656 3.1, 12.5).

use crate::ice::stun;

/// The longest message in octets: as by UDP, no more than an Ethernet frame carries.
const LONGEST: usize = 1_500;

/// The octets before the data of ChannelData.
pub(super) const CHANNEL_HEADER: usize = 4;

/// The octets that show whether a connection begins with TURN.
const BEGINNING: usize = 8;

/// The octets are no TURN: neither a STUN message nor ChannelData, or a longer one than any client needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotTurn;

/// What octets begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole message.
    Whole {
        /// Octets of the message.
        length: usize,
        /// Octets up to the next message.
        padded: usize,
    },
    /// A part of a message, or nothing.
    Part,
}

/// Whether a connection begins with a STUN message, and so with TURN; `None` if too little has arrived.
pub(crate) fn begins_with_turn(octets: &[u8]) -> Option<bool> {
    let beginning = octets.first_chunk::<BEGINNING>()?;
    Some(beginning[0] < 4 && beginning[4..] == stun::MAGIC_COOKIE)
}

/// Finds the message that `octets` begin with.
///
/// # Errors
/// [`NotTurn`] as soon as type or length show it.
pub fn next(octets: &[u8]) -> Result<Next, NotTurn> {
    let [first, _, high, low, ..] = octets else { return Ok(Next::Part) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let (length, padded) = match first {
        0..=3 if length % 4 == 0 => (stun::HEADER + length, stun::HEADER + length),
        // By TCP, ChannelData is padded to a multiple of four octets.
        0x40..=0x4f => (CHANNEL_HEADER + length, CHANNEL_HEADER + length.next_multiple_of(4)),
        _ => return Err(NotTurn),
    };
    match padded {
        padded if padded > LONGEST => Err(NotTurn),
        padded if padded > octets.len() => Ok(Next::Part),
        padded => Ok(Next::Whole { length, padded }),
    }
}

/// Appends ChannelData, padded as by TCP.
pub(super) fn append_channel_data(channel: u16, datagram: &[u8], to: &mut impl Extend<u8>) {
    to.extend(channel.to_be_bytes());
    to.extend((datagram.len() as u16).to_be_bytes());
    to.extend(datagram.iter().copied());
    to.extend(std::iter::repeat_n(0, datagram.len().next_multiple_of(4) - datagram.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_data_is_padded_and_whole_only_with_its_padding() {
        let mut octets = Vec::new();
        append_channel_data(0x4001, b"abcde", &mut octets);
        assert_eq!(octets, b"\x40\x01\0\x05abcde\0\0\0");
        for end in 0..octets.len() {
            assert_eq!(next(&octets[..end]), Ok(Next::Part), "{end}");
        }
        assert_eq!(next(&octets), Ok(Next::Whole { length: 9, padded: 12 }));
    }

    #[test]
    fn a_stun_message_ends_where_its_length_says() {
        let mut octets = vec![0; 28];
        octets[3] = 8;
        assert_eq!(next(&octets[..27]), Ok(Next::Part));
        assert_eq!(next(&octets), Ok(Next::Whole { length: 28, padded: 28 }));
    }

    #[test]
    fn what_is_no_turn_or_too_long_is_refused_by_its_first_octets() {
        for octets in
            [&b"\0\x01\0\x03"[..], b"GET ", b"\x16\x03\x01\0", b"\x50\0\0\x04", b"\0\x01\x05\xcc", b"\x40\0\x05\xd9"]
        {
            assert_eq!(next(octets), Err(NotTurn), "{octets:?}");
        }
        assert_eq!(next(b"\0\x01\x05\xc8"), Ok(Next::Part), "1,500 octets");
    }

    #[test]
    fn turn_and_frames_of_ice_tcp_differ_in_their_first_eight_octets() {
        let message = b"\0\x03\0\x08\x21\x12\xa4\x42";
        assert_eq!(begins_with_turn(message), Some(true));
        assert_eq!(begins_with_turn(&message[..7]), None);
        assert_eq!(
            begins_with_turn(b"\0\x50\0\x01\0\x3c\x21\x12\xa4\x42"),
            Some(false),
            "a Binding request in a frame"
        );
    }
}
