//! Maps a publisher's payload types to the viewer's.

use super::config::NegotiatedFormat;
use crate::forward::codec::{Codec, Format};
use crate::forward::packet::Packet;
use crate::forward::source::Generation;
use crate::forward::splice::Labels;

/// Routes remembered: payload types of the publisher and of its successor. When full, the oldest is forgotten.
const ROUTES: usize = 16;

/// The viewer's formats, and the routes from publishers' payload types to them.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    formats: Vec<NegotiatedFormat>,
    routes: Vec<Route>,
    /// The generation that was routed last; stored because it is read for every packet batch.
    newest: Option<Generation>,
}

/// One publisher's payload type and the viewer's that it maps to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    generation: Generation,
    pub(crate) labels: Labels,
    codec: Codec,
    /// RTP clock in hertz.
    pub(crate) clock_rate: u32,
}

impl Routes {
    pub(crate) fn new(formats: Vec<NegotiatedFormat>) -> Self {
        Self { formats, routes: Vec::new(), newest: None }
    }

    /// Routes a publisher's payload type to the best matching format of the viewer, the first of several, and returns
    /// the viewer's payload type. A codec keeps the payload type that it had under the previous publisher even where
    /// the profile differs: some receivers (Firefox) show nothing after a change.
    pub(crate) fn select(&mut self, generation: Generation, format: &Format, source: u8) -> Option<u8> {
        self.routes.retain(|route| (route.generation, route.labels.source) != (generation, source));
        self.newest = self.newest_route();
        let used = self.routes.iter().rev().find(|route| route.codec == format.codec);
        let used = used.map(|route| route.labels.payload_type);
        let fits = self.formats.iter().filter_map(|own| Some((own.format.format_match(format)?, own)));
        let (_, best) = fits.min_by_key(|&(fit, own)| (used != Some(own.payload_type), fit))?;
        let labels =
            Labels { source, payload_type: best.payload_type, rtx_payload_type: best.rtx_payload_type, begun: 0 };
        if self.routes.len() == ROUTES {
            self.routes.remove(0);
        }
        self.routes.push(Route { generation, labels, codec: format.codec, clock_rate: format.clock_rate });
        self.newest = Some(generation);
        Some(best.payload_type)
    }

    /// Whether there is a route for a payload type of this publisher.
    pub(crate) fn has(&self, generation: Generation, source: u8) -> bool {
        self.routes.iter().any(|route| (route.generation, route.labels.source) == (generation, source))
    }

    /// The route of a packet.
    pub(crate) fn of(&self, packet: &Packet) -> Option<Route> {
        let same = |route: &&Route| {
            (route.generation, route.labels.source) == (packet.generation, packet.media_payload_type())
        };
        self.routes.iter().find(same).copied()
    }

    /// The viewer's payload type for redundant audio whose blocks have this payload type of the viewer. It never
    /// changes for an outbound track.
    pub(crate) fn redundant(&self, payload_type: u8) -> Option<u8> {
        self.formats.iter().find(|own| own.payload_type == payload_type)?.red_payload_type
    }

    /// The generation that was selected last of those of which the viewer can decode a format.
    pub(crate) fn newest(&self) -> Option<Generation> {
        self.newest
    }

    fn newest_route(&self) -> Option<Generation> {
        self.routes.iter().map(|route| route.generation).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::source::generation;

    fn h264(payload_type: u8, profile: &str) -> NegotiatedFormat {
        let parameters = format!("packetization-mode=1;profile-level-id={profile}");
        let format = Format { codec: Codec::H264, clock_rate: 90_000, channels: 0, parameters };
        NegotiatedFormat { payload_type, format, rtx_payload_type: None, red_payload_type: None }
    }

    fn vp8(payload_type: u8) -> NegotiatedFormat {
        let format = Format { codec: Codec::Vp8, clock_rate: 90_000, channels: 0, parameters: String::new() };
        NegotiatedFormat { payload_type, format, rtx_payload_type: None, red_payload_type: None }
    }

    #[test]
    fn the_first_publisher_gets_the_payload_type_that_fits_best() {
        let formats = vec![h264(102, "42001f"), vp8(96), h264(108, "42e01f")];
        let select = |format: &Format| Routes::new(formats.clone()).select(generation(1), format, 106);
        assert_eq!(select(&h264(0, "42c02a").format), Some(108));
        assert_eq!(select(&h264(0, "42000a").format), Some(102));
        assert_eq!(select(&vp8(0).format), Some(96));
        assert_eq!(Routes::new(vec![vp8(96)]).select(generation(1), &h264(0, "42c02a").format, 106), None);
    }

    #[test]
    fn a_codec_keeps_its_payload_type_from_publisher_to_publisher() {
        let mut routes = Routes::new(vec![h264(102, "42001f"), vp8(96), h264(108, "42e01f")]);
        assert_eq!(routes.select(generation(1), &h264(0, "42c02a").format, 106), Some(108));
        assert_eq!(routes.select(generation(2), &h264(0, "42000a").format, 102), Some(108), "although 102 fits better");
        assert_eq!(routes.select(generation(3), &vp8(0).format, 96), Some(96));
        assert_eq!(routes.select(generation(4), &h264(0, "42000a").format, 102), Some(108));
        assert_eq!(routes.select(generation(4), &h264(0, "42000a").format, 102), Some(108), "asked twice");
    }
}
