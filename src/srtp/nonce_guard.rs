//! Checks in builds with debug assertions that no (SSRC, index) is sealed over two contents, which would repeat a
//! nonce.
//!
//! It keeps the hashes of the latest packets in a table of fixed size, which is allocated once.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Power of two; the oldest packet in a slot is forgotten.
const SLOTS: u64 = 4096;

#[derive(Clone, Copy, Default)]
struct Sealed {
    ssrc: u32,
    /// The index plus one, so that an empty slot matches nothing.
    index: u64,
    content: u64,
}

pub(crate) struct NonceGuard {
    slots: Box<[Sealed]>,
}

impl Default for NonceGuard {
    fn default() -> Self {
        Self { slots: vec![Sealed::default(); SLOTS as usize].into_boxed_slice() }
    }
}

impl NonceGuard {
    /// # Panics
    ///
    /// If this index of this SSRC was sealed over other bytes.
    pub(crate) fn check(&mut self, ssrc: u32, index: u64, packet: &[u8]) {
        let mut hasher = DefaultHasher::new();
        packet.hash(&mut hasher);
        let sealed = Sealed { ssrc, index: index + 1, content: hasher.finish() };
        // Successive packets of one SSRC have successive slots; SSRCs begin at different slots.
        let slot = &mut self.slots[(index.wrapping_add(u64::from(ssrc).wrapping_mul(509)) % SLOTS) as usize];
        let again = slot.ssrc == ssrc && slot.index == sealed.index;
        assert!(
            !again || slot.content == sealed.content,
            "index {index} of SSRC {ssrc:#010x} is sealed twice over different bytes"
        );
        *slot = sealed;
    }
}
