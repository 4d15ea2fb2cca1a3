//! Which of the viewer's payload types carries what a publisher sends.

use super::Negotiated;
use crate::forward::codec::Format;
use crate::forward::{Labels, Packet};

/// Routes remembered: payload types of the publisher and of its successor. When full the oldest is forgotten.
const ROUTES: usize = 16;

/// The viewer's formats and the routes of the publishers' payload types to them.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    formats: Vec<Negotiated>,
    routes: Vec<Route>,
}

/// One publisher's payload type on its way to the viewer's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    epoch: u32,
    pub(super) labels: Labels,
    /// RTP clock in hertz.
    pub(super) clock_rate: u32,
}

impl Routes {
    pub(super) fn new(formats: Vec<Negotiated>) -> Self {
        Self { formats, routes: Vec::new() }
    }

    /// Routes a publisher's payload type to the viewer's format that fits best, the first of several; returns the
    /// viewer's payload type.
    pub(super) fn select(&mut self, epoch: u32, format: &Format, source: u8) -> Option<u8> {
        self.routes.retain(|route| (route.epoch, route.labels.source) != (epoch, source));
        let fits = self.formats.iter().filter_map(|own| Some((own.format.fit(format)?, own)));
        let (_, best) = fits.min_by_key(|&(fit, _)| fit)?;
        let labels = Labels { source, payload_type: best.payload_type, rtx_payload_type: best.rtx_payload_type };
        if self.routes.len() == ROUTES {
            self.routes.remove(0);
        }
        self.routes.push(Route { epoch, labels, clock_rate: format.clock_rate });
        Some(best.payload_type)
    }

    /// The route of a packet.
    pub(super) fn of(&self, packet: &Packet) -> Option<Route> {
        let same = |route: &&Route| (route.epoch, route.labels.source) == (packet.epoch, packet.payload_type);
        self.routes.iter().find(same).copied()
    }

    /// The newest epoch of which the viewer can decode something.
    pub(super) fn newest(&self) -> Option<u32> {
        self.routes.iter().map(|route| route.epoch).max()
    }
}
