//! The tag of a node in the ids of its sessions, by which other nodes find it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use crate::cluster::node_id::NodeId;

/// 48 bits of a digest of the node's name, written as 8 base64url characters: of 1,000 nodes, two have the same one with
/// a probability below 1 in 500,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeTag([u8; 6]);

impl NodeTag {
    /// Characters of its text.
    pub(crate) const LENGTH: usize = 8;

    /// That of a node.
    pub(crate) fn of(node: &NodeId) -> Self {
        let digest = digest(&SHA256, node.as_str().as_bytes());
        let mut octets = [0; 6];
        octets.copy_from_slice(&digest.as_ref()[..6]);
        Self(octets)
    }

    /// Reads a tag; `None` if the text is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for NodeTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_survives_its_text_and_belongs_to_one_node() {
        let tag = |name: &str| NodeTag::of(&name.parse().unwrap());
        let text = tag("a").to_string();
        assert_eq!(text.len(), NodeTag::LENGTH);
        assert_eq!(NodeTag::read(&text), Some(tag("a")));
        assert_ne!(tag("a"), tag("b"));
        for wrong in ["", "short", "too-long-for-it", "ä", "????????"] {
            assert_eq!(NodeTag::read(wrong), None, "{wrong}");
        }
    }
}
