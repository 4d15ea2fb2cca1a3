//! A viewer's own choice of layer (WHEP, layer selection).
//!
//! A selection is kept for as long as the session, whatever publishers come.

/// What a viewer has selected; the default leaves the choice to the relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The name of a simulcast encoding.
    pub(crate) rid: Option<Box<str>>,
    /// A place in the order of size, from 0 for the smallest. A name has priority.
    pub(crate) spatial: Option<u8>,
    /// The highest temporal id to be sent.
    pub(crate) temporal: Option<u8>,
    /// The last place in the order of size that the relay may choose.
    pub(crate) max_spatial: Option<u8>,
    /// The highest temporal id that the relay may choose.
    pub(crate) max_temporal: Option<u8>,
    /// The widest frames that the relay may choose, in pixels.
    pub(crate) max_width: Option<u32>,
    /// The highest frames that the relay may choose, in pixels.
    pub(crate) max_height: Option<u32>,
}
