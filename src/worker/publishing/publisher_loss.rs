//! Publishers that fall silent without a word: a crash, a dead network, a laptop that sleeps.
//!
//! The session of such a publisher lives for 30 s more, because it may come back under the same keys. Its viewers are told
//! sooner: a publisher of which nothing has been heard for [`LOST`], neither media nor RTCP nor STUN, is lost until it is
//! heard again. A publisher that sends no media and is heard is not lost: a screen may stand still. The rule: while no
//! publisher is heard, viewers are sent nothing that was sent before.

use std::time::Duration;

/// A publisher is lost that has not been heard for this long. Browsers send a check each 2.5 s and a report each second,
/// other clients media all the time.
pub(crate) const LOST: Duration = Duration::from_secs(4);
