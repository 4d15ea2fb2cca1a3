//! The fixed-point times of RTCP: NTP timestamps and parts of them (RFC 3550 4).

use std::time::Duration;

/// A duration in 1/2^32 s.
pub(crate) fn fixed_point(duration: Duration) -> u64 {
    (duration.as_secs() << 32) + (u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000
}

/// The middle 32 bits of an NTP timestamp: units of 1/65536 s (RFC 3550 4).
pub(crate) const fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// A duration in units of 1/65536 s, the form of DLSR.
pub(crate) fn compact(duration: Duration) -> u32 {
    u32::try_from((duration.as_micros() << 16) / 1_000_000).unwrap_or(u32::MAX)
}
