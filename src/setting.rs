//! How values are written that settings of several modules have in common. A module's `Settings` struct declares its
//! flags, their environment variables and its section of the TOML file; `config` gathers them.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Maximum octets of a file that a setting names.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Parses an address with its port, or says how to write one.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        Ok(port) => format!("write an IP address before the port, for example 0.0.0.0:{port} or [::]:{port}"),
        Err(_) => "write an IP address and a port, for example 0.0.0.0:8080 or [::]:8080".to_owned(),
    })
}

/// Parses an address without a port, or says how to write one.
pub(crate) fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.bytes().all(is_word) && text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
            // Names are not resolved: an address that changes later would be wrong without notice.
            return "names are not looked up: write the IP address that it stands for, for example 203.0.113.7"
                .to_owned();
        }
        "write an IP address without a port, for example 203.0.113.7".to_owned()
    })
}

/// Reads a file that a setting names, at most [`LARGEST_FILE`] octets of it: the operator may have named another file, such
/// as a recording.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let mut octets = Vec::new();
    if File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut octets)? as u64 > LARGEST_FILE {
        return Err(ErrorKind::FileTooLarge.into());
    }
    String::from_utf8(octets).map_err(|_| ErrorKind::InvalidData.into())
}

/// Says why a file that a setting names was not read, and what to do.
pub(crate) fn file_advice(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "the file does not exist: correct its name".to_owned(),
        ErrorKind::PermissionDenied => "permission denied: let the user of sluice read the file".to_owned(),
        ErrorKind::IsADirectory => "it is a directory: name the file in it".to_owned(),
        ErrorKind::FileTooLarge => "it is larger than 1 MiB: name the file with the settings".to_owned(),
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
        for text in ["203.0.113.7:80", "[2001:db8::7]", "203.0.113", "relay.example.org:8081"] {
            assert!(ip(text).unwrap_err().contains("without a port"), "{text}");
        }
        for name in ["relay.example.org", "localhost", "my-relay"] {
            let advice = ip(name).unwrap_err();
            assert!(
                advice.contains("names are not looked up") && advice.contains("for example 203.0.113.7"),
                "{advice}"
            );
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
}
