//! A viewer's own choice of layer (WHEP, layer selection), and which layer of a stream it means.
//!
//! A selection is kept for as long as the session, whatever publishers come. The rule: it never leaves a viewer without
//! video. A name that the publisher does not have counts as none, and where no layer is within the limits the smallest
//! one is chosen.

use crate::auth::Limits;
use crate::forward::LayerId;

/// What a viewer has selected; the default leaves the choice to the relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only audio is sent, whatever else is selected.
    pub audio_only: bool,
    /// The name of a simulcast encoding.
    pub rid: Option<Box<str>>,
    /// A place in the order of size, from 0 for the smallest. A name has priority.
    pub spatial: Option<u8>,
    /// The highest temporal id to be sent.
    pub temporal: Option<u8>,
    /// The last place in the order of size that the relay may choose.
    pub max_spatial: Option<u8>,
    /// The highest temporal id that the relay may choose.
    pub max_temporal: Option<u8>,
    /// The widest frames that the relay may choose, in pixels.
    pub max_width: Option<u32>,
    /// The highest frames that the relay may choose, in pixels.
    pub max_height: Option<u32>,
    /// What the viewer's grant allows, whatever it selects.
    pub granted: Limits,
}

/// A layer of a stream among which a selection chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choosable<'a> {
    /// Which one it is.
    pub(crate) layer: LayerId,
    /// The name of the encoding, if it has one.
    pub(crate) rid: Option<&'a str>,
    /// Columns and rows, once they are known.
    pub(crate) size: Option<(u16, u16)>,
    /// Bits a second.
    pub(crate) bits: u64,
    /// The publisher sends it.
    pub(crate) is_active: bool,
}

/// The order of size of a video's encodings: by pixels, 0 until columns and rows are known, then by rate in bits per
/// second.
pub(crate) fn size_order(size: Option<(u16, u16)>, bits: u64) -> (u32, u64) {
    (size.map_or(0, |(columns, rows)| u32::from(columns) * u32::from(rows)), bits)
}

impl Choosable<'_> {
    /// The order of size; of two of one size the first is the smaller.
    fn order(&self) -> ((u32, u64), LayerId) {
        (size_order(self.size, self.bits), self.layer)
    }
}

impl Selection {
    /// True if the viewer leaves the choice to the relay.
    pub(crate) fn is_automatic(&self) -> bool {
        *self == Self { granted: self.granted, ..Self::default() }
    }

    /// True if neither the viewer nor its grant restricts the choice.
    pub(crate) fn is_unrestricted(&self) -> bool {
        *self == Self::default()
    }

    /// The highest temporal id that the viewer is to be sent; `None` if it has selected none.
    pub(crate) fn highest_temporal(&self) -> Option<u8> {
        [self.temporal, self.max_temporal].into_iter().flatten().min()
    }

    /// The layer that the viewer is to be sent: the selected one, or the best that its limits allow. One that the
    /// publisher does not send at present is replaced by the next smaller one. `None` without layers.
    pub(crate) fn choose<'a, L>(&self, layers: L) -> Option<LayerId>
    where
        L: Iterator<Item = Choosable<'a>> + Clone,
    {
        let place = |one: &Choosable<'_>| layers.clone().filter(|other| other.order() < one.order()).count();
        // The smallest layer is granted to every viewer.
        let is_granted = |layer: &Choosable<'_>| match place(layer) {
            0 => true,
            place => {
                self.granted.max_layer.is_none_or(|max| place <= usize::from(max))
                    && self.granted.max_bitrate.is_none_or(|max| layer.bits <= max)
            }
        };
        let last = layers.clone().count().checked_sub(1)?;
        let by_name = self.rid.as_deref().and_then(|rid| layers.clone().find(|layer| layer.rid == Some(rid)));
        let by_place = |spatial: u8| layers.clone().find(|layer| place(layer) == usize::from(spatial).min(last));
        let selected = by_name.or_else(|| self.spatial.and_then(by_place));
        let fits = |layer: &Choosable<'_>| match selected {
            Some(selected) => layer.order() <= selected.order(),
            None => {
                let (columns, rows) = layer.size.unwrap_or_default();
                self.max_spatial.is_none_or(|max| place(layer) <= usize::from(max))
                    && self.max_width.is_none_or(|max| u32::from(columns) <= max)
                    && self.max_height.is_none_or(|max| u32::from(rows) <= max)
            }
        };
        let granted = layers.clone().filter(is_granted);
        let active = granted.clone().filter(|layer| layer.is_active);
        let largest = active.clone().filter(fits).max_by_key(Choosable::order);
        let smallest = || active.min_by_key(Choosable::order);
        // Without one that is sent, the viewer waits for the one that it would be sent.
        let waits = || granted.clone().filter(fits).max_by_key(Choosable::order).or(granted.clone().next());
        largest.or_else(smallest).or_else(waits).map(|layer| layer.layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three encodings of a browser, not in the order of their size.
    const LAYERS: [Choosable<'static>; 3] =
        [layer(0, "h", (320, 180)), layer(1, "f", (640, 360)), layer(2, "q", (160, 90))];

    const fn layer(number: u8, rid: &'static str, size: (u16, u16)) -> Choosable<'static> {
        let bits = size.0 as u64 * 1000;
        Choosable { layer: LayerId(number), rid: Some(rid), size: Some(size), bits, is_active: true }
    }

    fn chosen<'a>(selection: &Selection, layers: &[Choosable<'a>]) -> &'a str {
        let chosen = selection.choose(layers.iter().copied()).unwrap();
        layers.iter().find(|layer| layer.layer == chosen).unwrap().rid.unwrap()
    }

    /// The layers, without those that the publisher has paused.
    fn without(paused: &[&str]) -> Vec<Choosable<'static>> {
        let all = LAYERS.iter().map(|layer| Choosable { is_active: !paused.contains(&layer.rid.unwrap()), ..*layer });
        all.collect()
    }

    fn rid(name: &str) -> Selection {
        Selection { rid: Some(name.into()), ..Selection::default() }
    }

    #[test]
    fn without_a_selection_the_largest_layer_that_is_sent_is_chosen() {
        assert_eq!(chosen(&Selection::default(), &LAYERS), "f");
        assert_eq!(chosen(&Selection::default(), &without(&["f"])), "h");
        assert_eq!(Selection::default().choose([].into_iter()), None);
        assert!(Selection::default().is_automatic() && !rid("f").is_automatic());
    }

    #[test]
    fn a_selected_layer_is_chosen_whatever_the_limits_are() {
        for name in ["q", "h", "f"] {
            assert_eq!(chosen(&rid(name), &LAYERS), name);
            assert_eq!(chosen(&Selection { max_width: Some(1), ..rid(name) }, &LAYERS), name);
        }
        for (place, name) in [(0, "q"), (1, "h"), (2, "f"), (7, "f")] {
            assert_eq!(chosen(&Selection { spatial: Some(place), ..Selection::default() }, &LAYERS), name);
        }
        assert_eq!(chosen(&Selection { spatial: Some(0), ..rid("h") }, &LAYERS), "h", "a name has priority");
    }

    #[test]
    fn a_selected_layer_that_is_not_sent_is_replaced_by_the_next_smaller_one() {
        assert_eq!(chosen(&rid("f"), &without(&["f"])), "h");
        assert_eq!(chosen(&rid("h"), &without(&["h"])), "q");
        assert_eq!(chosen(&rid("q"), &without(&["q"])), "h", "there is no smaller one");
        assert_eq!(chosen(&rid("h"), &without(&["q", "h", "f"])), "h", "none is sent");
    }

    #[test]
    fn a_name_that_the_publisher_does_not_have_leaves_the_choice_to_the_relay() {
        assert_eq!(chosen(&rid("x"), &LAYERS), "f");
        assert_eq!(chosen(&Selection { max_height: Some(200), ..rid("x") }, &LAYERS), "h");
    }

    #[test]
    fn what_the_grant_does_not_allow_is_never_chosen_whatever_is_selected() {
        let granted = |max_layer, max_bitrate| Limits { max_layer, max_bitrate, max_viewers: None };
        let limited = |limits, selection| Selection { granted: limits, ..selection };
        for selection in [Selection::default(), rid("f"), Selection { spatial: Some(2), ..Selection::default() }] {
            assert_eq!(chosen(&limited(granted(Some(1), None), selection.clone()), &LAYERS), "h");
            assert_eq!(chosen(&limited(granted(None, Some(639_999)), selection.clone()), &LAYERS), "h");
            assert_eq!(chosen(&limited(granted(Some(9), Some(640_000)), selection.clone()), &LAYERS), "f");
            assert_eq!(chosen(&limited(granted(None, Some(1)), selection.clone()), &LAYERS), "q", "the smallest is");
            let waits = chosen(&limited(granted(Some(1), None), selection), &without(&["q", "h"]));
            assert_ne!(waits, "f", "a larger one is not sent although it is the only one");
        }
        assert_eq!(chosen(&limited(granted(Some(1), None), rid("q")), &LAYERS), "q");
        let only = limited(granted(Some(1), None), Selection::default());
        assert!(only.is_automatic() && !only.is_unrestricted());
    }

    #[test]
    fn limits_bound_what_the_relay_chooses_and_the_smallest_layer_is_always_allowed() {
        let limited = |change: fn(&mut Selection)| {
            let mut selection = Selection::default();
            change(&mut selection);
            chosen(&selection, &LAYERS)
        };
        assert_eq!(limited(|selection| selection.max_width = Some(640)), "f");
        assert_eq!(limited(|selection| selection.max_width = Some(639)), "h");
        assert_eq!(limited(|selection| selection.max_height = Some(90)), "q");
        assert_eq!(limited(|selection| selection.max_height = Some(1)), "q");
        assert_eq!(limited(|selection| selection.max_spatial = Some(1)), "h");
        assert_eq!(limited(|selection| selection.max_spatial = Some(0)), "q");
        assert_eq!(limited(|selection| selection.max_spatial = Some(9)), "f");
    }
}
