//! What there is to choose from: the layers of a stream's video with their measured rates, and the highest that the
//! viewer may have.

use super::bitrate::Bitrate;

/// Layers of a stream: browsers send up to 3, OBS up to 4.
pub const MAX_LAYERS: usize = 4;

/// Temporal ids that are distinguished.
pub const MAX_TEMPORAL: usize = 4;

/// Room for the variation of a layer's rate: a layer is begun with it, and kept without.
const ROOM: f64 = 1.08;

/// One layer of a stream's video.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Layer {
    /// Rate of the frames up to and with each temporal id in the last second, without keyframes.
    pub rates: [Bitrate; MAX_TEMPORAL],
    /// Its highest temporal id; 0 if there is one only.
    pub highest_temporal: u8,
    /// Width of its frames; 0 if unknown.
    pub width: u16,
    /// Height of its frames; 0 if unknown.
    pub height: u16,
    /// Its publisher sends it.
    pub is_active: bool,
}

/// The layers of a stream's video, the cheapest first, and its audio.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Layers {
    audio: Bitrate,
    layers: [Layer; MAX_LAYERS],
    len: usize,
}

/// Frames of one layer up to a temporal id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Place of the layer in [`Layers`].
    pub layer: u8,
    /// The highest temporal id that is sent.
    pub temporal: u8,
}

/// The most that a viewer may have, by its own selection or its token; `None` does not limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cap {
    /// The highest layer, by its place in [`Layers`].
    pub layer: Option<u8>,
    /// The highest temporal id.
    pub temporal: Option<u8>,
    /// The largest width of frames. Where all layers are larger, the smallest is sent.
    pub width: Option<u16>,
    /// The largest height.
    pub height: Option<u16>,
}

impl Layers {
    /// Layers in the order of their measured rates, the cheapest first; those after [`MAX_LAYERS`] are left out.
    pub fn new(audio: Bitrate, layers: &[Layer]) -> Self {
        let mut all = Self { audio, layers: [Layer::default(); MAX_LAYERS], len: layers.len().min(MAX_LAYERS) };
        all.layers[..all.len].copy_from_slice(&layers[..all.len]);
        all
    }

    pub(crate) fn get(&self, layer: u8) -> Option<&Layer> {
        self.layers[..self.len].get(usize::from(layer))
    }

    pub(crate) fn is_single(&self) -> bool {
        self.len == 1
    }

    pub(crate) fn audio(&self) -> Bitrate {
        self.audio
    }

    /// Below this rate the step is left: its own and the audio.
    pub(crate) fn floor(&self, step: Step) -> Bitrate {
        let rate =
            |layer: &Layer| layer.rates[usize::from(step.temporal.min(layer.highest_temporal)).min(MAX_TEMPORAL - 1)];
        self.audio + self.get(step.layer).map_or(Bitrate::ZERO, rate)
    }

    /// From this rate on the step is begun.
    pub(crate) fn need(&self, step: Step) -> Bitrate {
        self.floor(step) * ROOM
    }

    /// The layers that the viewer may have now, the highest first.
    pub(crate) fn allowed(&self, cap: Cap) -> impl Iterator<Item = u8> + '_ {
        let active = move |layer: u8| self.get(layer).is_some_and(|layer| layer.is_active);
        let fits = move |layer: &Layer| {
            cap.width.is_none_or(|most| layer.width <= most) && cap.height.is_none_or(|most| layer.height <= most)
        };
        let lowest = (0..self.len as u8).find(|layer| active(*layer));
        let highest = (0..self.len as u8).rev().find(|layer| {
            active(*layer) && cap.layer.is_none_or(|most| *layer <= most) && self.get(*layer).is_some_and(fits)
        });
        let highest = highest.or(lowest).map_or(0, |highest| highest + 1);
        (0..highest).rev().filter(move |layer| active(*layer))
    }

    /// The highest temporal id of a layer that the viewer may have.
    pub(crate) fn highest_temporal(&self, layer: u8, cap: Cap) -> u8 {
        let highest = self.get(layer).map_or(0, |layer| layer.highest_temporal).min(MAX_TEMPORAL as u8 - 1);
        cap.temporal.map_or(highest, |most| most.min(highest))
    }

    /// What the viewer may have, the best first. A layer with less than half of its frames is worse than the layer
    /// below it; only the lowest is thinned further.
    pub(crate) fn steps(&self, cap: Cap) -> impl Iterator<Item = Step> + '_ {
        let lowest = self.allowed(cap).last();
        self.allowed(cap).flat_map(move |layer| {
            let highest = self.highest_temporal(layer, cap);
            let least = if Some(layer) == lowest { 0 } else { highest.saturating_sub(1) };
            (least..=highest).rev().map(move |temporal| Step { layer, temporal })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(count: usize) -> Layers {
        let layer = |index: usize| Layer {
            rates: [1.0, 2.0, 4.0, 4.0].map(|share| Bitrate::from_bits(share * 50e3 * (index + 1) as f64)),
            highest_temporal: 2,
            width: 320 << index,
            height: 180 << index,
            is_active: true,
        };
        Layers::new(Bitrate::from_bits(40e3), &(0..count).map(layer).collect::<Vec<_>>())
    }

    fn steps(layers: &Layers, cap: Cap) -> Vec<(u8, u8)> {
        layers.steps(cap).map(|step| (step.layer, step.temporal)).collect()
    }

    #[test]
    fn a_layer_with_half_of_its_frames_is_better_than_the_one_below() {
        assert_eq!(steps(&layers(2), Cap::default()), [(1, 2), (1, 1), (0, 2), (0, 1), (0, 0)]);
        assert_eq!(steps(&layers(1), Cap::default()), [(0, 2), (0, 1), (0, 0)]);
        assert_eq!(steps(&layers(0), Cap::default()), []);
        assert_eq!(steps(&layers(9), Cap::default()).len(), 9, "four layers");
    }

    #[test]
    fn a_cap_limits_layer_temporal_id_and_size() {
        let all = layers(3);
        let first = |cap| steps(&all, cap)[0];
        assert_eq!(first(Cap { layer: Some(1), ..Cap::default() }), (1, 2));
        assert_eq!(first(Cap { temporal: Some(0), ..Cap::default() }), (2, 0));
        assert_eq!(first(Cap { width: Some(640), ..Cap::default() }), (1, 2));
        assert_eq!(first(Cap { height: Some(359), ..Cap::default() }), (0, 2));
        assert_eq!(first(Cap { height: Some(9), ..Cap::default() }), (0, 2), "the smallest where all are larger");
    }

    #[test]
    fn a_layer_that_is_not_sent_is_no_choice() {
        let mut all = layers(3);
        all.layers[2].is_active = false;
        assert_eq!(steps(&all, Cap::default())[0], (1, 2));
        all.layers[0].is_active = false;
        assert_eq!(steps(&all, Cap { layer: Some(0), ..Cap::default() }), [(1, 2), (1, 1), (1, 0)]);
    }

    #[test]
    fn a_step_needs_its_rate_the_audio_and_room() {
        let (all, step) = (layers(2), Step { layer: 1, temporal: 1 });
        assert_eq!(all.floor(step), Bitrate::from_bits(240e3));
        assert!((all.need(step).bits() - 259.2e3).abs() < 1e-6);
    }
}
