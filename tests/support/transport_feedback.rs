//! Writes transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01) as a viewer would.

/// Microseconds of a reference time and of an arrival time.
const REFERENCE: i64 = 64_000;
const TICK: i64 = 250;

/// The RTCP packet that tells of consecutive numbers from `base` on: when each arrived on the receiver's clock (us), or
/// that it has not. Two arrivals are at most 8 s apart.
pub(crate) fn transport_feedback(base: u16, arrivals: &[Option<i64>]) -> Vec<u8> {
    let reference = arrivals.iter().flatten().next().map_or(0, |first| first.div_euclid(REFERENCE));
    let (mut symbols, mut deltas, mut before) = (Vec::new(), Vec::new(), reference * (REFERENCE / TICK));
    for arrival in arrivals {
        let Some(arrival) = arrival else {
            symbols.push(0);
            continue;
        };
        let ticks = (arrival + TICK / 2).div_euclid(TICK);
        let delta = ticks - before;
        before = ticks;
        if let Ok(small) = u8::try_from(delta) {
            symbols.push(1);
            deltas.push(small);
        } else {
            symbols.push(2u16);
            deltas.extend(i16::try_from(delta).expect("at most 8 s").to_be_bytes());
        }
    }
    let mut packet = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    packet.extend(base.to_be_bytes());
    packet.extend((arrivals.len() as u16).to_be_bytes());
    packet.extend(&(reference as u32).to_be_bytes()[1..]);
    packet.push(0);
    for seven in symbols.chunks(7) {
        let chunk = seven.iter().enumerate().fold(0xc000, |chunk, (place, symbol)| chunk | symbol << (12 - 2 * place));
        packet.extend(chunk.to_be_bytes());
    }
    packet.extend(deltas);
    packet.resize(packet.len().next_multiple_of(4), 0);
    let words = (packet.len() / 4 - 1) as u16;
    packet[2..4].copy_from_slice(&words.to_be_bytes());
    packet
}
