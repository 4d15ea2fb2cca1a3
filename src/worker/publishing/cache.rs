//! The frames since a publisher's last keyframe, which late viewers get at once: kept within their age, within the
//! memory that one video may take, which its simulcast encodings share, and within that of all publishers of the node.

use std::time::Instant;

use super::publisher::Publisher;
use crate::metrics::Metrics;
use crate::session::cache_budget::CacheBudget;
use crate::worker::mailbox::Mailbox;
use crate::worker::message::Message;

impl Publisher {
    /// Drops frames that are too old, and those that take memory that others need: of several encodings the best first,
    /// because the lowest passes every viewer's network.
    pub(crate) fn limit_cache(&mut self, budget: &CacheBudget, metrics: &Metrics, mailbox: &mut Mailbox, now: Instant) {
        for track in &mut self.tracks {
            track.history.expire(now);
        }
        let caches = self.caches();
        let mut kept = &caches[..];
        loop {
            let octets = kept.iter().map(|(_, octets, _)| octets).sum();
            let since = kept.iter().map(|(.., since)| *since).min().unwrap_or(now);
            let is_too_much = kept.len() > 1 && octets > self.limits.cache.octets;
            if !is_too_much {
                if !budget.report(self.publication.session(), octets, since) {
                    break;
                }
                metrics.fast_start_evictions.inc();
            }
            let Some(((place, ..), rest)) = kept.split_first() else { break };
            kept = rest;
            let track = &mut self.tracks[*place];
            track.history.give_up_cache(now);
            let layer = track.layer;
            self.send_to_subscribers(mailbox, |stream, publisher| Message::DropCachedFrames {
                stream,
                publisher,
                layer,
            });
        }
        metrics.fast_start_bytes.set(budget.total() as i64);
    }
}
