//! The simulcast encodings of a publisher's video: which of them a packet belongs to, and what viewers' workers get to
//! know of them.
//!
//! Each encoding is a track of its own. A packet belongs to the one that has its SSRC; the first packets of an SSRC
//! name the encoding by their rid (RFC 8852), or the offer has declared the SSRC. A sender stops writing the rid as
//! soon as a report names the SSRC, so none does before the SSRC has its track. The rule: a packet of an SSRC that
//! nothing names is dropped, because a guess would put two encodings into one track.

use std::time::Instant;

use super::header_extensions::Named;
use super::publisher::Publisher;
use super::simulcast::Simulcast;
use super::track::Track;
use crate::forward::codec::Kind;
use crate::reason::DropReason;
use crate::srtp::Opened;
use crate::worker::mailbox::Mailbox;
use crate::worker::message::Message;

impl Publisher {
    /// The track of a packet of a publisher with several encodings of its video; `None` for a packet without media,
    /// such as a probe of the network.
    ///
    /// # Errors
    /// Why the packet goes no further.
    pub(crate) fn place_among_layers(
        &mut self,
        datagram: &[u8],
        opened: &Opened,
        received: Instant,
    ) -> Result<Option<usize>, DropReason> {
        let payload = &datagram[opened.payload.clone()];
        let Opened { ssrc, payload_type, .. } = *opened;
        let layers = || self.tracks.iter().filter(|track| track.simulcast.is_some());
        let is_rtx = layers().any(|track| track.is_settled && track.rtx_payload_type == Some(payload_type));
        if !is_rtx && !layers().any(|track| track.choice_of(payload_type).is_some()) {
            return self.place_of_other(payload, opened, received).map(Some);
        }
        let place = self.place_of_known(ssrc, is_rtx).or_else(|| {
            let named = self.extension_ids.named(datagram, opened);
            self.place_of_new(ssrc, is_rtx, named)
        });
        let Some(place) = place.filter(|_| ssrc != 0) else {
            let is_probe = ssrc == 0 || payload.is_empty();
            return if is_probe { Ok(None) } else { Err(DropReason::UnknownLayer) };
        };
        if !self.tracks[place].has_now(payload_type) {
            self.adopt_format(place, payload, opened, received)?;
        }
        Ok(Some(place))
    }

    /// The encoding whose packets have had this SSRC, now or lately.
    fn place_of_known(&self, ssrc: u32, is_rtx: bool) -> Option<usize> {
        let layer = |is_it: &dyn Fn(&Track) -> bool| {
            self.tracks.iter().position(|track| track.simulcast.is_some() && is_it(track))
        };
        layer(&|track| (if is_rtx { track.rtx_ssrc } else { track.ssrc }) == Some(ssrc))
            .or_else(|| layer(&|track| track.sources.has_retired(ssrc)))
    }

    /// The encoding that a packet of another SSRC belongs to: by what it names, else by what the offer declares.
    #[cold]
    fn place_of_new(&self, ssrc: u32, is_rtx: bool, named: Named<'_>) -> Option<usize> {
        let layer = |is_it: &dyn Fn(&Track, &Simulcast) -> bool| {
            self.tracks.iter().position(|track| track.simulcast.as_ref().is_some_and(|own| is_it(track, own)))
        };
        let rid = if is_rtx { named.repaired.or(named.rid) } else { named.rid };
        layer(&|_, own| own.is_named_by(rid)).or_else(|| {
            if !is_rtx {
                return layer(&|_, own| own.declared().0 == Some(ssrc));
            }
            // The encoding whose packets have the SSRC that is declared beside this one.
            let layers = self.tracks.iter().filter_map(|track| track.simulcast.as_ref());
            let (media, _) = layers.map(|own| own.declared()).find(|(_, rtx)| *rtx == Some(ssrc))?;
            layer(&|track, own| track.ssrc.or(own.declared().0) == media)
        })
    }

    /// Compares the encodings, if it is time.
    pub(crate) fn compare_layers(&mut self, now: Instant) {
        let Some(reports) = self.looks.as_mut().and_then(|looks| looks.take_due(now)) else { return };
        let has_sent = |track: &&Track| track.simulcast.as_ref().is_some_and(|own| own.has_sent(&track.meter));
        let senders = self.tracks.iter().filter(has_sent).count();
        for track in &mut self.tracks {
            let Some(own) = &mut track.simulcast else { continue };
            let others_sent = senders > usize::from(own.has_sent(&track.meter));
            if own.compare(&track.meter, others_sent, reports, now) {
                track.gate.withdraw();
            }
        }
    }

    /// Tells the workers with viewers what has changed of the encodings.
    pub(crate) fn send_layers(&mut self, mailbox: &mut Mailbox) {
        if self.looks.is_none() {
            return;
        }
        let news = |track: &mut Track| {
            let size = track.size();
            Some((track.layer, track.simulcast.as_mut()?.take_news(size)?))
        };
        for (layer, state) in self.tracks.iter_mut().filter_map(news).collect::<Vec<_>>() {
            self.send_to_subscribers(mailbox, |stream, publisher| Message::Layer { stream, publisher, layer, state });
        }
    }

    /// The video tracks whose frames since the last keyframe are kept, in the order in which they make room for others:
    /// the best encoding first. With what each takes, and when its keyframe came.
    pub(super) fn caches(&self) -> Vec<(usize, usize, Instant)> {
        let videos = self.tracks.iter().enumerate().filter(|(_, track)| track.kind == Kind::Video);
        let mut caches: Vec<_> = videos
            .filter_map(|(place, track)| {
                let (octets, since) = track.history.cache_cost()?;
                Some((place, octets, since))
            })
            .collect();
        let rank = |place: usize| self.tracks[place].simulcast.as_ref().map(|own| own.state.rank());
        caches.sort_by_key(|(place, octets, _)| std::cmp::Reverse((rank(*place), *octets)));
        caches
    }
}
