//! Publishers and viewers that join and leave.

use std::time::Duration;

use super::*;
use crate::auth::Credential;
use crate::forward::codec::Codec;
use crate::stream::{Announced, COOL_DOWN, Entrance, Publication, SILENT, Takeover};

const A: WorkerId = WorkerId(0);
const B: WorkerId = WorkerId(1);

fn name() -> StreamName {
    "cam".parse().unwrap()
}

fn vp8() -> Vec<Format> {
    vec![Format { codec: Codec::Vp8, clock_rate: 90_000, channels: 0, parameters: String::new() }]
}

fn identity(host: u8) -> Identity {
    Identity { credential: Credential::ANONYMOUS, address: [10, 0, 0, host].into(), user_agent: None }
}

fn announced(host: u8, standby: bool) -> Announced {
    Announced {
        session: SessionId::random(),
        formats: vp8(),
        identity: identity(host),
        standby,
        is_leg: false,
        is_carried: false,
    }
}

/// A publisher that is connected and not silent.
fn publish(registry: &Registry, host: u8, now: Instant) -> (Publication, Takeover) {
    let (publication, entrance) = registry.announce(&name(), announced(host, false)).publish(A, now);
    let Entrance::Live(takeover) = entrance else { panic!("it did not come as a standby") };
    (publication, *takeover)
}

/// A standby beside a live publisher, not silent.
fn stand_by(registry: &Registry, host: u8, now: Instant) -> (Publication, Option<Live>) {
    let (publication, entrance) = registry.announce(&name(), announced(host, true)).publish(B, now);
    let Entrance::Standby { replaced } = entrance else { panic!("there is a live publisher") };
    (publication, replaced)
}

fn live_session(registry: &Registry) -> Option<SessionId> {
    registry.live(&name()).map(|live| live.session)
}

#[test]
fn a_viewer_is_subscribed_by_whoever_comes_second() {
    let registry = Registry::default();
    let (_early, publisher) = registry.watch(&name(), B);
    assert_eq!(publisher, None);
    let (publication, takeover) = publish(&registry, 1, Instant::now());
    assert_eq!(takeover.workers, [B], "the publisher finds the early viewer's worker");
    let (_second, publisher) = registry.watch(&name(), B);
    assert_eq!(publisher, None, "the worker is subscribed already");
    let (_late, publisher) = registry.watch(&name(), A);
    assert_eq!(publisher.map(|live| (live.worker, live.session)), Some((A, publication.session())));
}

#[test]
fn a_newer_publisher_replaces_the_old_one_whose_end_changes_nothing() {
    let registry = Registry::default();
    let now = Instant::now();
    let (old, _) = publish(&registry, 1, now);
    let first = registry.live(&name());
    let (new, takeover) = publish(&registry, 2, now);
    assert_eq!(takeover.replaced.map(|live| live.session), first.map(|live| live.session));
    assert_eq!((old.number(), new.number()), (Some(1), Some(2)));
    drop(old);
    assert_eq!(live_session(&registry), Some(new.session()));
    drop(new);
    assert_eq!(registry.len(), 0);
}

#[test]
fn the_last_viewer_of_a_worker_returns_the_publisher_to_notify() {
    let registry = Registry::default();
    let (_publication, _) = publish(&registry, 1, Instant::now());
    let (first, _) = registry.watch(&name(), B);
    let (second, _) = registry.watch(&name(), B);
    assert_eq!(first.leave(), Departure::OthersRemain);
    let Departure::LastOfWorker(Some(live)) = second.leave() else { panic!("the last one tells the publisher") };
    assert_eq!(live.worker, A);
}

#[test]
fn formats_are_known_from_the_announcement_on_and_nothing_is_left_behind() {
    let registry = Registry::default();
    let announcement = registry.announce(&name(), announced(1, false));
    assert_eq!(registry.formats(&name()), vp8());
    assert_eq!(registry.list()[0].publisher, None);
    drop(announcement);
    let (watch, _) = registry.watch(&name(), A);
    assert_eq!(registry.formats(&name()), []);
    drop(watch);
    assert_eq!(registry.len(), 0);
}

#[test]
fn two_encoders_with_one_key_do_not_evict_each_other_for_ever() {
    let (registry, start) = (Registry::default(), Instant::now());
    let check = |host, now| registry.check_publisher(&name(), &identity(host), false, now);
    let (_first, _) = publish(&registry, 1, start);
    assert_eq!(check(2, start), Ok(()), "the newest publisher has the stream");
    let (second, _) = publish(&registry, 2, start);
    let soon = start + SILENT / 2;
    second.beat(soon);
    assert!(check(1, soon).is_err_and(|refused| refused.retry_after == COOL_DOWN - SILENT / 2));
    assert_eq!((check(2, soon), check(3, soon)), (Ok(()), Ok(())));
    assert_eq!(check(1, soon + SILENT), Ok(()), "the second is silent");
    second.beat(start + COOL_DOWN);
    assert_eq!(check(1, start + COOL_DOWN), Ok(()));
    second.beat(soon);
    drop(second);
    assert_eq!(check(1, soon), Ok(()), "no publisher");
}

#[test]
fn a_client_that_was_silent_when_replaced_may_return_at_once() {
    let (registry, start) = (Registry::default(), Instant::now());
    let (_killed, _) = publish(&registry, 1, start);
    let later = start + 2 * Duration::from_secs(1);
    let (_again, _) = publish(&registry, 1, later);
    assert_eq!(registry.check_publisher(&name(), &identity(1), false, later), Ok(()));
}

#[test]
fn a_standby_takes_over_from_a_silent_publisher_which_becomes_the_standby() {
    let (registry, start) = (Registry::default(), Instant::now());
    let (first, _) = publish(&registry, 1, start);
    let (mut second, replaced) = stand_by(&registry, 2, start);
    assert_eq!((replaced, second.is_standby(), first.is_standby()), (None, true, false));
    let at = |ms| start + Duration::from_millis(ms);
    second.beat(at(999));
    assert!(second.take_over(SILENT, at(999)).is_none(), "the first may still be heard");
    let takeover = second.take_over(SILENT, at(1000)).unwrap();
    assert_eq!(takeover.stood_down.map(|live| live.worker), Some(A));
    assert_eq!((takeover.replaced, live_session(&registry)), (None, Some(second.session())));
    assert!(second.take_over(SILENT, at(9000)).is_none(), "it is live already");
    let mut first = first;
    first.stand_down();
    assert!(registry.check_publisher(&name(), &identity(1), false, at(1500)).is_err(), "it has lost its place");
    assert!(first.take_over(SILENT, at(3000)).is_none(), "both are silent");
    first.beat(at(3000));
    let takeover = first.take_over(SILENT, at(3000)).unwrap();
    assert_eq!((takeover.stood_down.map(|live| live.worker), first.number()), (Some(B), Some(3)));
}

#[test]
fn a_standby_replaces_a_publisher_that_left_and_one_without_a_live_publisher_is_live() {
    let (registry, start) = (Registry::default(), Instant::now());
    let (first, _) = publish(&registry, 1, start);
    let (mut second, _) = stand_by(&registry, 2, start);
    drop(first);
    assert_eq!((live_session(&registry), registry.formats(&name())), (None, vp8()));
    assert!(second.take_over(SILENT, start).is_some());
    drop(second);
    assert_eq!(registry.len(), 0);
    let (_alone, entrance) = registry.announce(&name(), announced(3, true)).publish(B, start);
    assert!(matches!(entrance, Entrance::Live(_)));
}

#[test]
fn a_live_standby_goes_back_to_its_place_when_another_publisher_comes() {
    let (registry, start) = (Registry::default(), Instant::now());
    let (first, _) = publish(&registry, 1, start);
    let (mut backup, _) = stand_by(&registry, 2, start);
    drop(first);
    backup.take_over(SILENT, start).unwrap();
    let (again, takeover) = publish(&registry, 1, start);
    assert_eq!((takeover.replaced, takeover.stood_down.map(|live| live.worker)), (None, Some(B)));
    backup.stand_down();
    let (_newer, replaced) = stand_by(&registry, 3, start);
    assert_eq!(replaced.map(|live| live.worker), Some(B), "one standby a stream");
    assert!(registry.check_publisher(&name(), &identity(2), true, start).is_err());
    drop(again);
    assert!(backup.take_over(SILENT, start).is_none(), "its place is another's");
}
