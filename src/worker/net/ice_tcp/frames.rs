//! Frames on a TCP connection: a length of two octets, then the datagram (RFC 4571 2).

/// Octets of the length.
pub(super) const LENGTH: usize = 2;

/// The longest datagram in octets: as by UDP, no more than an Ethernet frame carries.
pub(super) const LONGEST: usize = 1_500;

/// A frame is longer than [`LONGEST`]: this is no media connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameTooLong;

/// What received octets begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A whole frame, whose datagram has this length.
    Whole(usize),
    /// A part of a frame, or nothing.
    Part,
}

/// Finds the frame that `octets` begin with.
///
/// # Errors
/// [`FrameTooLong`] as soon as the length shows it.
pub(super) fn next(octets: &[u8]) -> Result<Next, FrameTooLong> {
    let [high, low, rest @ ..] = octets else { return Ok(Next::Part) };
    match usize::from(u16::from_be_bytes([*high, *low])) {
        length if length > LONGEST => Err(FrameTooLong),
        length if length > rest.len() => Ok(Next::Part),
        length => Ok(Next::Whole(length)),
    }
}

/// Appends a datagram as a frame. It is at most [`u16::MAX`] octets long.
pub(super) fn append(datagram: &[u8], frames: &mut impl Extend<u8>) {
    frames.extend((datagram.len() as u16).to_be_bytes());
    frames.extend(datagram.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_once_all_of_it_is_there() {
        let mut frames = Vec::new();
        append(b"abc", &mut frames);
        assert_eq!(frames, b"\0\x03abc");
        for end in 0..frames.len() {
            assert_eq!(next(&frames[..end]), Ok(Next::Part), "{end}");
        }
        append(b"", &mut frames);
        assert_eq!(next(&frames), Ok(Next::Whole(3)));
        assert_eq!(next(&frames[5..]), Ok(Next::Whole(0)));
    }

    #[test]
    fn a_length_that_no_datagram_has_is_refused_by_its_two_octets() {
        assert_eq!(next(&1_500_u16.to_be_bytes()), Ok(Next::Part));
        assert_eq!(next(&1_501_u16.to_be_bytes()), Err(FrameTooLong));
        assert_eq!(next(b"GET / HTTP/1.1\r\n"), Err(FrameTooLong));
        assert_eq!(next(b"\x16\x03\x01"), Err(FrameTooLong), "a TLS record");
    }
}
