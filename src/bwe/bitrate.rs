//! Bits per second.

use std::ops::{Add, Mul, Sub};

use super::time::SECOND;

/// What one bit per second is: a packet is not worth a division.
const OCTETS_IN_A_MICROSECOND: f64 = 1.0 / (8 * SECOND) as f64;

/// Bits per second, never negative and never infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Bitrate(f64);

impl Bitrate {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);

    /// A rate of `bits` per second; 0 where that is negative or no number.
    pub const fn from_bits(bits: f64) -> Self {
        // The largest rate that a REMB can write is 2^81.
        Self(if bits.is_finite() { bits.max(0.0) } else { 0.0 })
    }

    /// The rate of `octets` in `time` microseconds; 0 in no time.
    pub(crate) fn of(octets: f64, time: i64) -> Self {
        Self::from_bits(if time > 0 { octets * 8.0 * SECOND as f64 / time as f64 } else { 0.0 })
    }

    /// Bits per second.
    pub const fn bits(self) -> f64 {
        self.0
    }

    /// Octets that pass in `time` microseconds.
    pub(crate) fn octets_in(self, time: i64) -> f64 {
        self.0 * time as f64 * OCTETS_IN_A_MICROSECOND
    }

    /// Microseconds that `octets` take.
    pub(crate) fn time_for(self, octets: f64) -> f64 {
        octets * (8 * SECOND) as f64 / self.0.max(1.0)
    }

    /// The larger rate.
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// The smaller rate.
    #[must_use]
    pub const fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

impl Add for Bitrate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::from_bits(self.0 + other.0)
    }
}

impl Sub for Bitrate {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self::from_bits(self.0 - other.0)
    }
}

impl Mul<f64> for Bitrate {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self::from_bits(self.0 * factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_finite_number_and_not_negative() {
        for bits in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Bitrate::from_bits(bits), Bitrate::ZERO, "{bits}");
        }
        let (low, high) = (Bitrate::from_bits(1e3), Bitrate::from_bits(3e3));
        assert_eq!((low - high, high - low), (Bitrate::ZERO, Bitrate::from_bits(2e3)));
        assert_eq!(Bitrate::of(1000.0, 0), Bitrate::ZERO);
    }

    #[test]
    fn octets_and_time_are_inverse() {
        let rate = Bitrate::from_bits(1e6);
        assert_eq!(rate.octets_in(SECOND), 125_000.0);
        assert_eq!(rate.time_for(125_000.0), SECOND as f64);
        assert_eq!(Bitrate::of(125_000.0, SECOND), rate);
    }
}
