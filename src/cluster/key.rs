//! The keys of the directory: `n.` before a node's name, `s.` before a stream's. `c.` before a node's name has the streams
//! that the node pulls; further parts of a long list have `.1`, `.2` and so on behind it.
//!
//! A NATS subject is split at dots and has no `~`, so each octet of a name that is not `A-Z a-z 0-9 _ -` is written as `=`
//! and two hexadecimal digits.

use super::node_id::NodeId;
use crate::name::StreamName;

/// What a value is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A node.
    Node(NodeId),
    /// The claim of a stream.
    Stream(StreamName),
    /// A part of the list of streams that a node pulls.
    Carries(NodeId, u16),
}

impl Key {
    /// The key as the store has it.
    pub(crate) fn encode(&self) -> String {
        match self {
            Self::Node(node) => escape("n.", node.as_str()),
            Self::Stream(stream) => escape("s.", stream.as_str()),
            Self::Carries(node, 0) => escape("c.", node.as_str()),
            Self::Carries(node, part) => escape("c.", node.as_str()) + &format!(".{part}"),
        }
    }

    /// Reads a key; `None` if it is none that [`Self::encode`] writes, such as those of later versions.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once('.')?;
        let (name, part) = name.split_once('.').unwrap_or((name, "0"));
        let name = unescape(name)?;
        let key = match kind {
            "n" => Self::Node(name.parse().ok()?),
            "s" => Self::Stream(name.parse().ok()?),
            "c" => Self::Carries(name.parse().ok()?, part.parse().ok()?),
            _ => return None,
        };
        (key.encode() == text).then_some(key)
    }
}

fn escape(prefix: &str, name: &str) -> String {
    name.bytes().fold(prefix.to_owned(), |text, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => text + &char::from(byte).to_string(),
        byte => text + &format!("={byte:02X}"),
    })
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        name.push(char::from(u8::from_str_radix(part.get(..2)?, 16).ok()?));
        name += part.get(2..)?;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dots_and_tildes_are_escaped() {
        let key = |name: &str| Key::Stream(name.parse().unwrap()).encode();
        assert_eq!(key("cam-1_B"), "s.cam-1_B");
        assert_eq!(key("a..b~"), "s.a=2E=2Eb=7E");
        assert_eq!(Key::Node("edge.1".parse().unwrap()).encode(), "n.edge=2E1");
        assert_eq!(Key::Carries("edge.1".parse().unwrap(), 0).encode(), "c.edge=2E1");
        assert_eq!(Key::Carries("edge.1".parse().unwrap(), 12).encode(), "c.edge=2E1.12");
    }

    #[test]
    fn what_this_version_does_not_write_is_no_key() {
        for text in [
            "",
            "s",
            "s.",
            "x.cam",
            "s.a.b",
            "s.a=2",
            "s.a=",
            "s.a=2e",
            "s.=61",
            "s.=2F",
            "s.a=zz",
            "s.a=+1",
            "s.ä",
            "n.a.1",
            "c.a.0",
            "c.a.01",
            "c.a.",
            "c.a.1.2",
            "c.a.65536",
            "c.a.-1",
        ] {
            assert_eq!(Key::decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_name_survives_its_key(name in "[A-Za-z0-9_.~-]{1,64}") {
            prop_assume!(name != "." && name != "..");
            let key = Key::Stream(name.parse().unwrap());
            let text = key.encode();
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=".contains(&byte);
            prop_assert!(text["s.".len()..].bytes().all(is_plain));
            prop_assert_eq!(Key::decode(&text), Some(key));
        }

        #[test]
        fn every_part_of_a_list_survives_its_key(name in "[A-Za-z0-9_.~-]{1,64}", part: u16) {
            prop_assume!(name != "." && name != "..");
            let key = Key::Carries(name.parse().unwrap(), part);
            prop_assert_eq!(Key::decode(&key.encode()), Some(key));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = Key::decode(&text);
        }
    }
}
