//! The frames since a publisher's last keyframe, which late viewers get at once: kept within their age and within the
//! memory that all publishers of the node share.

use std::time::Instant;

use super::publisher::Publisher;
use crate::forward::codec::Kind;
use crate::metrics::Metrics;
use crate::session::cache_budget::CacheBudget;
use crate::worker::mailbox::Mailbox;
use crate::worker::message::Message;

impl Publisher {
    /// Drops frames that are too old, and all of them if other publishers need their memory.
    pub(crate) fn limit_cache(&mut self, budget: &CacheBudget, metrics: &Metrics, mailbox: &mut Mailbox, now: Instant) {
        let (mut octets, mut since) = (0, now);
        for track in &mut self.tracks {
            track.history.expire(now);
            let frames = track.history.cache_cost().filter(|_| track.kind == Kind::Video);
            if let Some((cost, received)) = frames {
                octets += cost;
                since = since.min(received);
            }
        }
        if budget.report(self.publication.session(), octets, since) {
            for track in self.tracks.iter_mut().filter(|track| track.kind == Kind::Video) {
                track.history.give_up_cache(now);
            }
            metrics.fast_start_evictions.inc();
            self.send_to_subscribers(mailbox, |stream, publisher| Message::DropCachedFrames { stream, publisher });
        }
        metrics.fast_start_bytes.set(budget.total() as i64);
    }
}
