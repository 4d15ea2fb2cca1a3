//! A client's SRTCP, opened beside the peer connection, which sees none of it: how much of it is read.

use std::time::{Duration, Instant};

use crate::reason::DropReason;
use crate::srtp::{MasterKey, RtcpOpener};

/// Authentic datagrams that are read from one client within [`WINDOW`]: several times what a browser with much loss
/// sends. Further ones are dropped and counted.
const MAX_DATAGRAMS: u32 = 256;
const WINDOW: Duration = Duration::from_secs(1);

/// What opens one client's RTCP, and the budget of its datagrams.
pub(super) struct RtcpIntake {
    opener: RtcpOpener,
    /// When the window began, and the datagrams in it.
    window: Option<(Instant, u32)>,
}

impl RtcpIntake {
    /// For a client whose RTCP is sealed with `remote`.
    pub(super) fn new(remote: &MasterKey) -> Self {
        Self { opener: RtcpOpener::new(remote), window: None }
    }

    /// Opens a datagram in place; returns its compound (RFC 3550 6.1).
    pub(super) fn open<'a>(&mut self, datagram: &'a mut [u8], now: Instant) -> Result<&'a [u8], DropReason> {
        let compound = self.opener.open(datagram)?;
        // Only authentic datagrams count, or an attacker could use up the budget of the client.
        if self.may_read(now) { Ok(compound) } else { Err(DropReason::RtcpFlood) }
    }

    fn may_read(&mut self, now: Instant) -> bool {
        let (began, datagrams) = self.window.get_or_insert((now, 0));
        if now.saturating_duration_since(*began) >= WINDOW {
            (*began, *datagrams) = (now, 0);
        }
        *datagrams += 1;
        *datagrams <= MAX_DATAGRAMS
    }
}
