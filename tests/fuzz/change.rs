//! Changes to valid inputs.

use proptest::prelude::*;
use proptest::sample::Index;

/// Values at which lengths, counts and signs turn over.
const EDGES: [u8; 9] = [0, 1, 2, 0x0f, 0x10, 0x7f, 0x80, 0xfe, 0xff];

#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    /// Two octets at an even place, as lengths are.
    Half(Index, u16),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// What stands at the first place is repeated at the second.
    Repeat(Index, usize, Index),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let octet = prop_oneof![prop::sample::select(&EDGES[..]), any::<u8>()];
    let half = prop_oneof![0u16..40, any::<u16>(), Just(u16::MAX)];
    prop_oneof![
        4 => (any::<Index>(), octet).prop_map(|(at, octet)| Change::Set(at, octet)),
        4 => (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        2 => (any::<Index>(), half).prop_map(|(at, half)| Change::Half(at, half)),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, octets)| Change::Insert(at, octets)),
        1 => (any::<Index>(), 1usize..9).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (any::<Index>(), 1usize..33, any::<Index>()).prop_map(|(from, count, to)| Change::Repeat(from, count, to)),
        1 => any::<Index>().prop_map(Change::Cut),
    ]
}

fn apply(octets: &mut Vec<u8>, change: &Change) {
    let place = |at: &Index| at.index(octets.len() + 1);
    match change {
        Change::Set(at, octet) if !octets.is_empty() => {
            let at = at.index(octets.len());
            octets[at] = *octet;
        }
        Change::Flip(at, bit) if !octets.is_empty() => {
            let at = at.index(octets.len());
            octets[at] ^= 1 << bit;
        }
        Change::Half(at, half) if octets.len() >= 2 => {
            let at = at.index(octets.len() / 2) * 2;
            octets[at..at + 2].copy_from_slice(&half.to_be_bytes());
        }
        Change::Set(..) | Change::Flip(..) | Change::Half(..) => {}
        Change::Insert(at, more) => {
            let at = place(at);
            octets.splice(at..at, more.iter().copied());
        }
        Change::Remove(at, count) => {
            let at = place(at);
            let end = (at + count).min(octets.len());
            octets.drain(at..end);
        }
        Change::Repeat(from, count, to) => {
            let (from, to) = (place(from), place(to));
            let copy = octets[from..(from + count).min(octets.len())].to_vec();
            octets.splice(to..to, copy);
        }
        Change::Cut(at) => {
            let at = place(at);
            octets.truncate(at);
        }
    }
}

/// One of the inputs with up to five changes; often with none, so that valid input is tested as well.
pub(crate) fn changed(inputs: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec(change(), 0..6);
    (prop::sample::select(inputs), changes).prop_map(|(mut octets, changes)| {
        for change in &changes {
            apply(&mut octets, change);
        }
        octets
    })
}

/// One of the texts with lines that are removed, repeated, moved, changed, or taken from `lines`.
pub(crate) fn changed_lines(texts: Vec<String>, lines: Vec<String>) -> impl Strategy<Value = String> {
    let edit = (0u8..5, any::<Index>(), any::<Index>(), prop::sample::select(lines), change());
    let edits = prop::collection::vec(edit, 0..6);
    (prop::sample::select(texts), edits).prop_map(|(text, edits)| {
        let mut all: Vec<String> = text.lines().map(str::to_owned).collect();
        for (kind, at, other, line, change) in edits {
            let (place, other) = (at.index(all.len() + 1), other.index(all.len() + 1));
            match kind {
                0 => all.insert(place, line),
                1 if place < all.len() => _ = all.remove(place),
                2 if other < all.len() => {
                    let copy = all[other].clone();
                    all.insert(place, copy);
                }
                3 if place < all.len() && other < all.len() => all.swap(place, other),
                4 if place < all.len() => {
                    let mut octets = std::mem::take(&mut all[place]).into_bytes();
                    apply(&mut octets, &change);
                    all[place] = String::from_utf8_lossy(&octets).into_owned();
                }
                _ => {}
            }
        }
        all.join("\r\n") + "\r\n"
    })
}
