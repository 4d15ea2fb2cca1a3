//! How values are written that settings of several modules have in common. A module's `Settings` struct declares its
//! flags, their environment variables and its section of the TOML file; `config` gathers them.

mod network;
mod special;

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::net::SocketAddr;
use std::path::Path;

pub(crate) use network::Network;
pub(crate) use special::is_special;

/// Maximum octets of a file that a setting names.
const LARGEST_FILE: u64 = 1024 * 1024;

/// No publisher sends less. A smaller number was probably meant in kbit/s.
const LEAST_BITRATE: u64 = 10_000;

/// More than a publisher can send, and exact as a floating-point number.
const MOST_BITS: f64 = 1e12;

/// Parses an address with its port, or says how to write one.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        Ok(port) => format!("write an IP address before the port, for example 0.0.0.0:{port} or [::]:{port}"),
        Err(_) => "write an IP address and a port, for example 0.0.0.0:8080 or [::]:8080".to_owned(),
    })
}

/// Reads bits per second, with k or M behind for thousands and millions of them.
pub(crate) fn bitrate(text: &str) -> Result<u64, String> {
    let wrong = || "write a bitrate like 2500k or 8M (bits per second), or 0 for no limit".to_owned();
    let (number, unit) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1000),
        None => text.strip_suffix('M').map_or((text, 1), |number| (number, 1_000_000_u32)),
    };
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value: f64 = number.parse().ok().filter(|_| is_plain).ok_or_else(wrong)?;
    let bits = (value * f64::from(unit)).round();
    if bits > MOST_BITS {
        return Err(wrong());
    }
    let bits = bits as u64;
    if (1..LEAST_BITRATE).contains(&bits) {
        return Err(format!("{bits} bits per second carry no media: for thousands of them write {bits}k"));
    }
    Ok(bits)
}

/// Reads a file that a setting names, at most [`LARGEST_FILE`] octets of it: the operator may have named another file, such
/// as a recording.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    if File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut octets)? as u64 > LARGEST_FILE {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(octets)
}

/// Reads a text file that a setting names, as [`read_file`] does.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read_file(path)?).map_err(|_| ErrorKind::InvalidData.into())
}

/// Says why a file that a setting names was not read, and what to do.
pub(crate) fn file_advice(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "the file does not exist: correct its name".to_owned(),
        ErrorKind::PermissionDenied => {
            "permission denied: let the user of sluice read the file, and search its directories".to_owned()
        }
        ErrorKind::IsADirectory => "it is a directory: name the file in it".to_owned(),
        ErrorKind::FileTooLarge => "it is larger than 1 MiB: check that it is the right file".to_owned(),
        ErrorKind::InvalidData => "it is not text: write it in UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

/// Rewords the standard library's error about a number for operators.
pub(crate) fn in_plain_words(complaint: &str) -> String {
    match complaint {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "write a whole number, not negative".to_owned()
        }
        "number would be zero for non-zero type" => "write a number greater than zero".to_owned(),
        "number too large to fit in target type" => "that is too much".to_owned(),
        other => match other.split_once(" is not in ").and_then(|(_, range)| range.split_once("..=")) {
            Some((least, most)) => format!("write a number from {least} to {most}"),
            None => other.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_lacks_something_is_completed_in_the_advice() {
        assert_eq!(address("[::1]:80").unwrap().port(), 80);
        for (text, advice) in [
            ("9000", "0.0.0.0:9000"),
            (":9000", "[::]:9000"),
            ("localhost:9000", "an IP address and a port"),
            ("127.0.0.1:99999", "an IP address and a port"),
            ("", "an IP address and a port"),
        ] {
            assert!(address(text).unwrap_err().contains(advice), "{text}");
        }
    }

    #[test]
    fn the_words_of_the_standard_library_are_known() {
        let complaints = [
            "x".parse::<u32>().unwrap_err().to_string(),
            "".parse::<u32>().unwrap_err().to_string(),
            "0".parse::<std::num::NonZeroU32>().unwrap_err().to_string(),
            "99999999999".parse::<u32>().unwrap_err().to_string(),
        ];
        assert!(complaints.iter().all(|complaint| in_plain_words(complaint) != *complaint), "{complaints:?}");
        assert_eq!(in_plain_words("0 is not in 1..=65535"), "write a number from 1 to 65535");
    }

    #[test]
    fn a_bitrate_has_its_unit_or_is_bits_per_second() {
        for (text, bits) in
            [("0", 0), ("2500k", 2_500_000), ("2500K", 2_500_000), ("1.5M", 1_500_000), ("64000", 64_000)]
        {
            assert_eq!(bitrate(text), Ok(bits), "{text}");
        }
        for wrong in [
            "",
            "k",
            "-1",
            "8 M",
            "8Mbit",
            "1e9",
            "inf",
            ".",
            "1.2.3M",
            "2500",
            "99999999999999999999",
            "9999999999999999M",
        ] {
            assert!(bitrate(wrong).is_err(), "{wrong}");
        }
        assert!(bitrate("2500").unwrap_err().contains("2500k"), "kilobits are meant");
    }
}
