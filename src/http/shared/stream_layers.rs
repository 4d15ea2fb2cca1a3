//! The layers of a stream's video as viewers get them (WHEP, `layers` event and layer selection), from the record of
//! its publisher, which its worker updates about once a second.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::name::StreamName;
use crate::node::Handle;
use crate::session::{TrackReport, size_order};

/// The layers of a stream's video, the largest first. Empty without a publisher.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::http) struct StreamLayers(Vec<StreamLayer>);

#[derive(Clone, Debug, PartialEq)]
struct StreamLayer {
    /// The name of the encoding; `None` where there is one.
    rid: Option<Arc<str>>,
    /// Columns and rows.
    size: Option<(u16, u16)>,
    bits: u64,
    /// Bits per second of the frames up to each temporal id; empty with one temporal layer.
    temporal_bits: Vec<u64>,
    is_active: bool,
}

impl StreamLayers {
    /// The layers that the publisher of a stream has now.
    pub(in crate::http) fn of(media: &Handle, stream: &StreamName) -> Self {
        let publisher = media.stream(stream).and_then(|info| info.publisher);
        let record = publisher.and_then(|session| media.record(&session));
        Self::from_reports(&record.map(|record| record.report().tracks).unwrap_or_default())
    }

    fn from_reports(tracks: &[TrackReport]) -> Self {
        let videos = tracks.iter().filter(|track| track.kind == "video");
        let mut layers: Vec<_> = videos
            .map(|track| StreamLayer {
                rid: track.rid.clone(),
                size: track.size,
                bits: track.rates.bits as u64,
                temporal_bits: track.temporal_bits.clone(),
                is_active: track.is_active,
            })
            .collect();
        layers.sort_by_key(|layer| std::cmp::Reverse(size_order(layer.size, layer.bits)));
        Self(layers)
    }

    /// True without a layer.
    pub(in crate::http) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of its encodings, the largest first; none if the video has one.
    pub(in crate::http) fn rids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|layer| layer.rid.as_deref())
    }

    /// True if the other has the same layers, with the same rates known.
    pub(in crate::http) fn is_alike(&self, other: &Self) -> bool {
        let facts = |layer: &StreamLayer| {
            (layer.rid.clone(), layer.size, layer.is_active, layer.bits > 0, layer.temporal_bits.len())
        };
        self.0.iter().map(facts).eq(other.0.iter().map(facts))
    }

    /// The value of one media section in a `layers` event. Spatial ids and `simulcastIdx` count from the smallest
    /// encoding. An encoding with temporal layers has an entry for each, the largest first, with the rate of the frames
    /// up to that one.
    pub(in crate::http) fn to_json(&self) -> Value {
        let (mut active, mut inactive, mut choices) = (Vec::new(), Vec::new(), Vec::new());
        for (place, layer) in (0..self.0.len()).rev().zip(&self.0) {
            let mut facts = Map::new();
            facts.insert("simulcastIdx".to_owned(), place.into());
            if let Some((width, height)) = layer.size {
                facts.extend([("width".to_owned(), width.into()), ("height".to_owned(), height.into())]);
            }
            let with = |name: &str, facts: &Map<String, Value>| {
                let mut facts = facts.clone();
                if let Some(rid) = &layer.rid {
                    facts.insert(name.to_owned(), (**rid).into());
                }
                facts
            };
            if !layer.is_active {
                inactive.push(with("id", &facts));
                continue;
            }
            facts.insert("bitrate".to_owned(), layer.bits.into());
            let mut whole = with("id", &facts);
            let steps: Vec<_> = layer.steps(place).collect();
            whole.insert("layers".to_owned(), steps.iter().cloned().map(Value::Object).collect());
            active.push(whole);
            let choice = with("encodingId", &with("rid", &facts));
            choices.extend(steps.into_iter().map(|step| choice.clone().into_iter().chain(step).collect::<Value>()));
        }
        json!({ "active": active, "inactive": inactive, "layers": choices })
    }
}

impl StreamLayer {
    /// Its layers that can be selected, the largest first; `place` is its position in the order of size.
    fn steps(&self, place: usize) -> impl Iterator<Item = Map<String, Value>> {
        let step = move |temporal: Option<usize>, bits: u64| {
            let ids = [("spatialLayerId", Some(place)), ("temporalLayerId", temporal)];
            let ids = ids.into_iter().filter_map(|(name, id)| Some((name.to_owned(), id?.into())));
            ids.chain([("bitrate".to_owned(), bits.into())]).collect()
        };
        let only = self.temporal_bits.is_empty().then(|| step(None, self.bits));
        only.into_iter().chain(self.temporal_bits.iter().enumerate().rev().map(move |(id, bits)| step(Some(id), *bits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(rid: Option<&str>, size: Option<(u16, u16)>, bits: u64) -> StreamLayer {
        StreamLayer { rid: rid.map(Arc::from), size, bits, temporal_bits: Vec::new(), is_active: bits > 0 }
    }

    #[test]
    fn the_event_lists_active_and_inactive_encodings_and_what_can_be_selected() {
        let layers = StreamLayers(vec![
            layer(Some("f"), Some((640, 360)), 0),
            layer(Some("h"), Some((320, 180)), 400_000),
            layer(Some("q"), Some((160, 90)), 100_000),
        ]);
        let json = layers.to_json();
        assert_eq!(
            json["active"][0],
            json!({
                "id": "h", "simulcastIdx": 1, "bitrate": 400_000, "width": 320, "height": 180,
                "layers": [{ "spatialLayerId": 1, "bitrate": 400_000 }],
            })
        );
        assert_eq!(json["inactive"], json!([{ "id": "f", "simulcastIdx": 2, "width": 640, "height": 360 }]));
        assert_eq!(
            json["layers"][1],
            json!({
                "rid": "q", "encodingId": "q", "simulcastIdx": 0, "spatialLayerId": 0, "bitrate": 100_000,
                "width": 160, "height": 90,
            })
        );
        assert_eq!(layers.rids().collect::<Vec<_>>(), ["f", "h", "q"]);
    }

    #[test]
    fn each_temporal_layer_can_be_selected() {
        let two = StreamLayer { temporal_bits: vec![600, 1000], ..layer(Some("h"), None, 1000) };
        let json = StreamLayers(vec![two]).to_json();
        let step = |id: u8, bits: u64| json!({ "spatialLayerId": 0, "temporalLayerId": id, "bitrate": bits });
        assert_eq!(json["active"][0]["layers"], json!([step(1, 1000), step(0, 600)]));
        assert_eq!(json["active"][0]["bitrate"], 1000);
        assert_eq!(
            json["layers"][1],
            json!({
                "rid": "h", "encodingId": "h", "simulcastIdx": 0, "spatialLayerId": 0, "temporalLayerId": 0,
                "bitrate": 600,
            })
        );
    }

    #[test]
    fn a_rate_that_becomes_known_is_a_change_and_one_that_varies_is_none() {
        let layers = |bits: u64| StreamLayers(vec![StreamLayer { is_active: true, ..layer(Some("h"), None, bits) }]);
        assert!(!layers(0).is_alike(&layers(1)) && layers(1).is_alike(&layers(2)));
    }

    #[test]
    fn a_video_of_one_encoding_has_a_layer_without_a_name() {
        let json = StreamLayers(vec![layer(None, None, 1)]).to_json();
        assert_eq!(json["layers"], json!([{ "simulcastIdx": 0, "spatialLayerId": 0, "bitrate": 1 }]));
        let nothing = json!({ "active": [], "inactive": [], "layers": [] });
        assert_eq!(StreamLayers::default().to_json(), nothing, "without a publisher");
    }

    #[test]
    fn another_rate_makes_no_other_layers() {
        let layers = |bits| StreamLayers(vec![layer(Some("f"), None, bits)]);
        assert!(layers(1).is_alike(&layers(2)) && !layers(1).is_alike(&layers(0)));
        assert_ne!(layers(1), layers(2));
    }
}
