//! The structure of frames that a dependency descriptor describes (AV1 RTP specification, appendix A): templates, to
//! which the descriptors of the frames refer by number.
//!
//! A descriptor with a structure comes with each keyframe, so a structure holds until the next one. Any bytes are
//! accepted: a structure that is cut describes nothing, and neither does a descriptor whose template is unknown.

use super::bits::Bits;
use super::frame_layer::FrameLayer;

/// Octets of the fields that each descriptor has: start and end of the frame, template, frame number.
const MANDATORY: usize = 3;

/// Templates at most: their ids have six bits.
const MAX_TEMPLATES: usize = 64;

/// Indications of what a frame is to a decode target: 0 for a frame that does not belong to it.
const DISCARDABLE: u8 = 1;
const SWITCH: u8 = 2;

/// The templates of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DependencyStructure {
    /// The id of the first template; ids count modulo 64.
    first_template: u8,
    decode_targets: u32,
    /// The decode target with all layers.
    whole: u32,
    templates: Vec<FrameLayer>,
}

/// The flags at the beginning of the extended fields.
struct Extended<'a> {
    has_structure: bool,
    has_active_targets: bool,
    has_indications: bool,
    /// What follows the flags.
    rest: Bits<'a>,
}

impl<'a> Extended<'a> {
    /// `None` for a descriptor of mandatory fields only.
    fn read(descriptor: &'a [u8]) -> Option<Self> {
        let mut bits = Bits::new(descriptor.get(MANDATORY..)?);
        let [has_structure, has_active_targets, has_indications] = [bits.flag()?, bits.flag()?, bits.flag()?];
        // Custom differences of frame numbers, custom chains.
        bits.skip(2)?;
        Some(Self { has_structure, has_active_targets, has_indications, rest: bits })
    }
}

impl DependencyStructure {
    /// The structure in a descriptor, if it has one.
    pub(super) fn read(descriptor: &[u8]) -> Option<Self> {
        let mut bits = Extended::read(descriptor).filter(|extended| extended.has_structure)?.rest;
        let first_template = bits.number(6)? as u8;
        let decode_targets = bits.number(5)? + 1;
        let ids = template_ids(&mut bits)?;
        let mut indications = Vec::with_capacity(ids.len());
        for _ in &ids {
            indications.push(Indications::read(&mut bits, decode_targets)?);
        }
        // The layers of a decode target are the highest of the frames that belong to it.
        let layers_of = |target: u32| {
            let own = ids.iter().zip(&indications).filter(|(_, indications)| indications.of(target) != 0);
            own.fold((0, 0), |(spatial, temporal), (ids, _)| (ids.spatial().max(spatial), ids.temporal().max(temporal)))
        };
        let whole = (0..decode_targets).rev().max_by_key(|&target| layers_of(target))?;
        let templates = ids.iter().zip(&indications).map(|(ids, indications)| indications.describe(*ids, whole));
        Some(Self { first_template, decode_targets, whole, templates: templates.collect() })
    }

    /// The layer of the frame with this descriptor; `None` where its template is not in this structure.
    pub(super) fn layer_of(&self, descriptor: &[u8]) -> Option<FrameLayer> {
        let template = descriptor.first()?.wrapping_sub(self.first_template) & 0x3f;
        let layer = *self.templates.get(usize::from(template))?;
        match Extended::read(descriptor) {
            Some(extended) if extended.has_indications && !extended.has_structure => self.custom(layer, extended),
            _ => Some(layer),
        }
    }

    /// The layer of a frame with indications of its own.
    fn custom(&self, layer: FrameLayer, extended: Extended<'_>) -> Option<FrameLayer> {
        let mut bits = extended.rest;
        if extended.has_active_targets {
            bits.skip(self.decode_targets)?;
        }
        let indications = Indications::read(&mut bits, self.decode_targets)?;
        Some(indications.describe(FrameLayer::new(layer.temporal(), layer.spatial()), self.whole))
    }
}

/// The layers of the templates, in their order: each differs from the one before by one layer.
fn template_ids(bits: &mut Bits<'_>) -> Option<Vec<FrameLayer>> {
    let (mut ids, mut temporal, mut spatial) = (Vec::new(), 0u8, 0u8);
    while ids.len() < MAX_TEMPLATES {
        ids.push(FrameLayer::new(temporal, spatial));
        match bits.number(2)? {
            0 => {}
            1 => temporal += 1,
            2 => (temporal, spatial) = (0, spatial + 1),
            _ => return Some(ids),
        }
    }
    None
}

/// What a frame is to each decode target: two bits for each of 32 at most.
#[derive(Clone, Copy)]
struct Indications {
    bits: u64,
    targets: u32,
}

impl Indications {
    fn read(bits: &mut Bits<'_>, targets: u32) -> Option<Self> {
        let read = |all: u64, _| Some(all << 2 | u64::from(bits.number(2)?));
        Some(Self { bits: (0..targets).try_fold(0, read)?, targets })
    }

    fn of(self, target: u32) -> u8 {
        (self.bits >> (2 * (self.targets - 1 - target)) & 0x03) as u8
    }

    fn describe(self, ids: FrameLayer, whole: u32) -> FrameLayer {
        let is_discardable = (0..self.targets).all(|target| self.of(target) <= DISCARDABLE);
        ids.discardable(is_discardable).opens(self.of(whole) == SWITCH)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes numbers bit by bit.
    #[derive(Default)]
    struct Writer(Vec<bool>);

    impl Writer {
        fn put(&mut self, value: u32, count: u32) -> &mut Self {
            self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
            self
        }

        fn octets(&self) -> Vec<u8> {
            let octet =
                |bits: &[bool]| bits.iter().enumerate().fold(0, |octet, (at, &bit)| octet | u8::from(bit) << (7 - at));
            self.0.chunks(8).map(octet).collect()
        }
    }

    /// The structure that Chromium sends for L1T3: templates of T0 (key and delta), T1, T2, T2, for three decode
    /// targets. The first template has this id.
    fn three_temporal_layers(first: u32) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.put(0b11, 2).put(first, 6).put(1, 16).put(0b10000, 5).put(first, 6).put(2, 5);
        for next in [0, 1, 1, 0, 3] {
            writer.put(next, 2);
        }
        for indications in ["SSS", "SSS", "-DS", "--D", "--D"] {
            for indication in indications.chars() {
                writer.put("-DSR".find(indication).unwrap() as u32, 2);
            }
        }
        writer.octets()
    }

    #[test]
    fn templates_tell_layers_and_where_higher_ones_open() {
        let structure = DependencyStructure::read(&three_temporal_layers(62)).unwrap();
        let layer = |template: u8| structure.layer_of(&[template, 0, 1]);
        let temporal = [62, 63, 0, 1, 2].map(|template| layer(template).unwrap().temporal());
        assert_eq!(temporal, [0, 0, 1, 2, 2], "ids count modulo 64");
        let [base, middle, top] = [63, 0, 1].map(|template| layer(template).unwrap());
        assert_eq!([base, middle, top].map(FrameLayer::is_opening), [true, true, false]);
        assert_eq!([base, middle, top].map(FrameLayer::is_discardable), [false, false, true]);
        assert_eq!((layer(3), layer(61)), (None, None), "unknown templates");
        assert_eq!(structure.layer_of(&[]), None);
        assert!(
            DependencyStructure::read(&[0xc1, 0, 1]).is_none() && DependencyStructure::read(&[0xc1, 0, 1, 0]).is_none()
        );
    }

    #[test]
    fn indications_of_a_frame_replace_those_of_its_template() {
        let structure = DependencyStructure::read(&three_temporal_layers(0)).unwrap();
        let custom = |indications: u32, active: bool| {
            let mut writer = Writer::default();
            writer.put(0b11, 2).put(1, 6).put(9, 16).put(if active { 0b01100 } else { 0b00100 }, 5);
            if active {
                writer.put(0b111, 3);
            }
            structure.layer_of(&writer.put(indications, 6).octets()).unwrap()
        };
        assert!(custom(0b01_01_01, false).is_discardable() && !custom(0b01_01_01, false).is_opening());
        assert!(custom(0b11_11_10, true).is_opening() && !custom(0b11_11_11, true).is_opening());
    }

    #[test]
    fn a_structure_of_two_spatial_layers_opens_where_the_whole_does() {
        let mut writer = Writer::default();
        writer.put(0b11, 2).put(0, 6).put(1, 16).put(0b10000, 5).put(0, 6).put(1, 5);
        writer.put(2, 2).put(3, 2);
        writer.put(0b10_11, 4).put(0b00_10, 4);
        let structure = DependencyStructure::read(&writer.octets()).unwrap();
        let layers = [0, 1].map(|template| structure.layer_of(&[template, 0, 1]).unwrap());
        assert_eq!(layers.map(FrameLayer::spatial), [0, 1]);
        assert_eq!(layers.map(FrameLayer::is_opening), [false, true]);
    }

    #[test]
    fn a_cut_structure_describes_nothing() {
        let whole = three_temporal_layers(0);
        let needed = (0..whole.len()).find(|&len| DependencyStructure::read(&whole[..len]).is_some());
        assert_eq!(needed, None);
        assert!(DependencyStructure::read(&whole).is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            described in prop::collection::vec(any::<u8>(), 0..64),
            descriptor in prop::collection::vec(any::<u8>(), 0..16),
        ) {
            if let Some(structure) = DependencyStructure::read(&described) {
                let _ = (structure.layer_of(&descriptor), structure.layer_of(&described));
            }
        }
    }
}
