//! Feedback as receivers split, repeat and reorder it.

use super::*;
use crate::bwe::time::{MILLISECOND, SECOND};
use crate::bwe::transport_feedback::transport_feedback;

/// A path over which 40 packets were sent, one every 5 ms.
fn sent() -> Path {
    let mut path = Path::new(0);
    for packet in 0..40 {
        path.on_sent(1000, false, 0.0, packet * 5 * MILLISECOND);
    }
    path
}

/// When each of them arrived; every tenth is lost.
fn arrivals() -> Vec<Option<i64>> {
    (0..40).map(|packet| (packet % 10 != 9).then_some(7 * SECOND + packet * 5 * MILLISECOND)).collect()
}

fn tell(path: &mut Path, base: u16, arrivals: &[Option<i64>], now: i64) {
    let packet = transport_feedback(base, arrivals);
    path.on_feedback(&Feedback::parse(&packet).expect("it is well formed"), false, now);
}

/// The rate of arrivals, the number of packets that were reported, and how many of those were lost.
fn seen(path: &Path) -> (Bitrate, u32, u32) {
    let loss = path.arrivals().loss(40);
    (path.arrivals().received(4), loss.packets, (loss.share * f64::from(loss.packets)).round() as u32)
}

#[test]
fn feedback_that_is_split_or_repeated_says_the_same_as_one() {
    let (mut one, mut several) = (sent(), sent());
    tell(&mut one, 0, &arrivals(), SECOND);
    assert_eq!((seen(&one).1, seen(&one).2), (40, 4));
    for (from, to) in [(0, 13), (13, 14), (14, 31), (25, 40), (0, 40)] {
        tell(&mut several, from as u16, &arrivals()[from..to], SECOND + from as i64);
    }
    assert_eq!(seen(&several), seen(&one));
}

#[test]
fn a_packet_that_is_reported_late_takes_its_loss_back() {
    let mut path = sent();
    tell(&mut path, 0, &arrivals(), SECOND);
    tell(&mut path, 9, &[Some(7 * SECOND + 50 * MILLISECOND)], SECOND + MILLISECOND);
    assert_eq!((seen(&path).1, seen(&path).2), (40, 3));
}

#[test]
fn numbers_that_were_not_sent_are_ignored() {
    let mut path = sent();
    tell(&mut path, 40, &arrivals(), SECOND);
    assert_eq!(path.arrivals().loss(40).packets, 0);
    assert_eq!(path.heard(), Some(SECOND), "although the viewer has answered");
}
