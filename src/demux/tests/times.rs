//! A session has 10 s to connect and ends after 30 s of silence; its timers fire for nothing else.

use super::*;

#[test]
fn a_session_that_does_not_complete_dtls_in_10_seconds_is_over() {
    let mut bed = Bed::opened();
    bed.pass(millis(9_999));
    assert_eq!(bed.events(), []);
    bed.check(1, true);
    bed.pass(millis(1));
    assert_eq!(bed.events(), [DemuxEvent::Over(own_key(), Over::NeverConnected)]);
    assert_eq!(bed.check(1, true), Demultiplexed::Dropped(DropReason::UnknownPath));
    assert_eq!(bed.arrive(1, &hellos::hello(0)), Demultiplexed::Dropped(DropReason::UnknownPath));
    assert_eq!((bed.demux.path(own_key()), bed.demux.poll_timeout()), (None, None));
}

#[test]
fn thirty_seconds_without_checks_or_media_end_a_session() {
    let mut bed = Bed::connected();
    bed.pass(millis(29_000));
    bed.check(1, false);
    bed.pass(millis(29_000));
    bed.demux.authenticated(own_key(), path(1), bed.now);
    bed.pass(millis(29_999));
    // Datagrams that prove nothing do not renew consent.
    bed.arrive(1, RTP);
    bed.arrive(1, DATA);
    bed.arrive(1, &bed.client.check_signed(true, "forged"));
    assert_eq!(bed.events(), []);
    bed.pass(millis(1));
    assert_eq!(bed.events(), [DemuxEvent::Over(own_key(), Over::Silent)]);
}

#[test]
fn a_live_session_has_at_most_one_timeout_per_consent_period() {
    let mut bed = Bed::connected();
    bed.demux.authenticated(own_key(), path(1), bed.now);
    let mut wakes = 0;
    let end = bed.now + millis(300_000);
    while bed.now < end {
        if bed.demux.poll_timeout().is_some_and(|due| due <= bed.now) {
            bed.demux.handle_timeout(bed.now);
            wakes += 1;
        }
        bed.demux.authenticated(own_key(), path(1), bed.now);
        bed.now += millis(20);
    }
    assert!(wakes <= 13, "{wakes} wakes in 300 s");
    assert_eq!(bed.events(), []);
}
