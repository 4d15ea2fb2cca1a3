//! What viewers were sent and what they were not, as plain numbers: the viewers' code fills them in, the counters add
//! them.

use std::time::Instant;

use crate::reason::SwitchReason;

/// Packets and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// The packets of one serving of one viewer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Served {
    /// By kind.
    pub(crate) volumes: [Volume; 2],
    pub(crate) oversized: u64,
    pub(crate) too_old: u64,
    pub(crate) codec: u64,
    pub(crate) skipped: u64,
    /// Why it is sent another encoding of the video, if it is.
    pub(crate) switched: Option<SwitchReason>,
    /// Nothing that it is sent arrives any more.
    pub(crate) is_dark: bool,
    /// When the newest live packet had been received: of audio or video, the earlier.
    pub(crate) received: Option<Instant>,
}

/// What became of the packets that a viewer's NACKs name.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NacksAnswered {
    pub(crate) rtx: u64,
    pub(crate) in_band: u64,
    pub(crate) refused: u64,
    pub(crate) missing: u64,
    /// A video packet that the viewer lacks cannot be sent any more.
    pub(crate) lost: bool,
    /// The viewer lacks more video packets than the budget for repairs allows.
    pub(crate) overrun: bool,
}
