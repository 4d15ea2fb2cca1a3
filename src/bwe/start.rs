//! With which layer a new viewer begins.

use super::bitrate::Bitrate;

/// How long the replay of cached frames may take.
const LONGEST_REPLAY: f64 = 500_000.0;

/// The largest layer whose cached octets, since its last keyframe, pass within 0.5 s at the rate `start`. `None`: no
/// layer's do, so that waiting for a keyframe is quicker.
///
/// `cached` has the octets of each layer, the cheapest layer first; `None` for a layer that is not sent or has no
/// cached keyframe.
pub fn first_layer(cached: &[Option<usize>], start: Bitrate) -> Option<u8> {
    let passes = |octets: Option<usize>| octets.is_some_and(|octets| start.time_for(octets as f64) <= LONGEST_REPLAY);
    cached.iter().rposition(|octets| passes(*octets)).and_then(|layer| u8::try_from(layer).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_layer_that_passes_within_half_a_second_is_first() {
        let start = Bitrate::from_bits(1e6);
        assert_eq!(first_layer(&[Some(10_000), Some(62_500), Some(200_000)], start), Some(1));
        assert_eq!(first_layer(&[Some(10_000), Some(62_501), Some(200_000)], start), Some(0));
        assert_eq!(first_layer(&[Some(90_000), None, Some(20_000)], start), Some(2), "a keyframe has just come");
        assert_eq!(first_layer(&[Some(90_000), None], start), None);
        assert_eq!(first_layer(&[], start), None);
    }
}
