//! Reads the layers of frames packet by packet: from the dependency descriptor where a packet has one, else from the
//! payload.

use super::dependency_structure::DependencyStructure;
use super::frame_layer::FrameLayer;
use super::kind::Codec;

/// Reads the layers of frames of one publisher's RTP stream, in the order of arrival.
#[derive(Clone, Debug)]
pub struct FrameLayers {
    codec: Codec,
    /// The structure that the newest descriptor with one described.
    structure: Option<Box<DependencyStructure>>,
    /// The newest frame whose layer is known: its RTP timestamp and layer.
    newest: (u32, FrameLayer),
}

impl FrameLayers {
    /// For an RTP stream of this codec.
    pub fn new(codec: Codec) -> Self {
        Self { codec, structure: None, newest: (0, FrameLayer::default()) }
    }

    /// The layer of the frame that a packet belongs to. `dependencies` is the value of its dependency descriptor, empty
    /// without one. The lowest layer where the packet tells none.
    #[inline]
    pub fn read(&mut self, timestamp: u32, payload: &[u8], dependencies: &[u8]) -> FrameLayer {
        let described = if dependencies.is_empty() { None } else { self.describe(dependencies) };
        match described.or_else(|| FrameLayer::of(self.codec, payload)) {
            Some(layer) => {
                self.newest = (timestamp, layer);
                layer
            }
            // A fragment without a header of its own.
            None if self.newest.0 == timestamp => self.newest.1,
            None => FrameLayer::default(),
        }
    }

    #[cold]
    fn describe(&mut self, dependencies: &[u8]) -> Option<FrameLayer> {
        if let Some(structure) = DependencyStructure::read(dependencies) {
            self.structure = Some(Box::new(structure));
        }
        self.structure.as_ref()?.layer_of(dependencies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_without_a_header_has_the_layer_of_its_frame() {
        let mut layers = FrameLayers::new(Codec::Av1);
        let (begins, goes_on): (&[u8], &[u8]) = (&[0x10, 0x34, 0x20, 0x30], &[0x90, 0x34, 0x60]);
        assert_eq!(layers.read(7, begins, &[]).temporal(), 1);
        assert_eq!(layers.read(7, goes_on, &[]).temporal(), 1);
        assert_eq!(layers.read(8, goes_on, &[]), FrameLayer::default(), "its beginning is lost");
    }

    #[test]
    fn a_descriptor_goes_before_the_payload_and_the_payload_counts_where_its_template_is_unknown() {
        let mut layers = FrameLayers::new(Codec::Vp8);
        let upper = [0x90, 0x20, 0x40, 0x11];
        assert_eq!(layers.read(7, &upper, &[0xc1, 0, 1]).temporal(), 1);
    }
}
