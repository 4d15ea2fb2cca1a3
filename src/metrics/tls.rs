//! Instruments of HTTPS, which a relay without it does not have.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{IntCounter, IntGauge};

use super::Metrics;
use super::label::{Family, Handshake, Ordered};
use super::register::{counters, gauge};

/// Instruments of HTTPS.
#[derive(Clone, Debug)]
pub(crate) struct TlsMetrics {
    /// When the certificate expires, in seconds since 1970.
    expiry: IntGauge,
    /// How long it is valid in all, in seconds.
    lifetime: IntGauge,
    /// TLS handshakes, by their outcome.
    pub(crate) handshakes: Family<Handshake, IntCounter>,
}

/// Instruments of the orders for certificates (ACME).
#[derive(Clone, Debug)]
pub(crate) struct AcmeMetrics {
    /// Orders, by their outcome.
    pub(crate) orders: Family<Ordered, IntCounter>,
    /// Failed orders since the last one that gave a certificate.
    failures: IntGauge,
}

impl AcmeMetrics {
    /// Sets how many orders have failed since the last one that gave a certificate.
    pub(crate) fn set_failures(&self, count: u32) {
        self.failures.set(count.into());
    }
}

impl TlsMetrics {
    /// Sets when the served certificate expires, and how long it is valid in all.
    pub(crate) fn set_certificate(&self, expires: SystemTime, lifetime: Duration) {
        let since_1970 = expires.duration_since(UNIX_EPOCH).unwrap_or_default();
        for (gauge, time) in [(&self.expiry, since_1970), (&self.lifetime, lifetime)] {
            gauge.set(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
        }
    }
}

impl Metrics {
    /// Registers the instruments of HTTPS; called once, by a relay that serves it.
    pub(crate) fn tls(&self) -> TlsMetrics {
        let into = &self.registry;
        TlsMetrics {
            expiry: gauge(
                into,
                "sluice_tls_certificate_expiry_seconds",
                "Unix time at which the certificate of HTTPS expires; 0 before the first one is issued.",
            ),
            lifetime: gauge(
                into,
                "sluice_tls_certificate_lifetime_seconds",
                "Time from the start of the validity of the certificate of HTTPS to its expiry; 0 before the first one is issued.",
            ),
            handshakes: counters(into, "sluice_tls_handshakes_total", "TLS handshakes."),
        }
    }

    /// Registers the instruments of orders for certificates; called once, by a relay that orders them.
    pub(crate) fn acme(&self) -> AcmeMetrics {
        let into = &self.registry;
        AcmeMetrics {
            orders: counters(into, "sluice_acme_orders_total", "Orders for a certificate."),
            failures: gauge(
                into,
                "sluice_acme_failed_orders",
                "Failed orders for a certificate since the last one that gave a certificate.",
            ),
        }
    }
}
