//! Checks what threads share about streams under every interleaving.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Instant;

use loom::sync::{Condvar, Mutex};

use super::{Announced, Departure, Entrance, Identity, Publication, Registry, Takeover, WorkerId, inbox};
use crate::auth::Credential;
use crate::name::{SessionId, StreamName};
use crate::shared::model::explore;

const A: WorkerId = WorkerId(0);
const B: WorkerId = WorkerId(1);

/// Wakes a sleeper once, before or after it falls asleep, as a poll's waker does.
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn new() -> Arc<Self> {
        Arc::new(Self { rung: Mutex::new(false), changed: Condvar::new() })
    }

    fn sleep(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

#[test]
fn a_worker_never_sleeps_while_a_message_waits() {
    explore(|| {
        let bell = Bell::new();
        let (sender, mut inbox) = inbox(4, Waker::from(Arc::clone(&bell)));
        let senders: Vec<_> = (0..2)
            .map(|number| {
                let sender = sender.clone();
                loom::thread::spawn(move || sender.push(number).unwrap())
            })
            .collect();
        let mut received = Vec::new();
        // Sleeps as `EventLoop::sleep` does.
        while received.len() < 2 {
            received.extend(inbox.pop());
            if received.len() < 2 && inbox.prepare_to_sleep() {
                bell.sleep();
                inbox.woke();
            }
        }
        received.sort_unstable();
        assert_eq!(received, [0, 1]);
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

fn name() -> StreamName {
    "cam".parse().unwrap()
}

fn publish(registry: &Registry, session: SessionId, worker: WorkerId, now: Instant) -> (Publication, Takeover) {
    let identity = Identity { credential: Credential::ANONYMOUS, address: [10, 0, 0, 1].into(), user_agent: None };
    let announced =
        Announced { session, formats: Vec::new(), identity, standby: false, is_leg: false, is_carried: false };
    match registry.announce(&name(), announced).publish(worker, now) {
        (publication, Entrance::Live(takeover)) => (publication, *takeover),
        _ => panic!("neither a standby nor a leg"),
    }
}

#[test]
fn a_viewer_and_a_publisher_that_come_at_once_find_each_other() {
    explore(|| {
        let (registry, now) = (Registry::default(), Instant::now());
        let other = registry.clone();
        let viewer = loom::thread::spawn(move || other.watch(&name(), B));
        let (publication, takeover) = publish(&registry, SessionId::random(), A, now);
        let (watch, live) = viewer.join().unwrap();
        let asks = live.is_some_and(|live| live.session == publication.session());
        assert!(asks != takeover.workers.contains(&B), "one of the two subscribes");
        drop((publication, watch));
        assert_eq!(registry.len(), 0);
    });
}

#[test]
fn of_two_publishers_that_come_at_once_one_is_live_and_ends_the_other() {
    explore(|| {
        let (registry, now) = (Registry::default(), Instant::now());
        let sessions = [SessionId::random(), SessionId::random()];
        let other = registry.clone();
        let second = loom::thread::spawn(move || publish(&other, sessions[1], B, now));
        let both = [publish(&registry, sessions[0], A, now), second.join().unwrap()];
        let newest = usize::from(both[1].0.number() > both[0].0.number());
        let replaced = both.each_ref().map(|(_, takeover)| takeover.replaced.as_ref().map(|live| live.session));
        assert_eq!((replaced[newest], replaced[1 - newest]), (Some(sessions[1 - newest]), None));
        let [first, second] = both;
        let (newer, older) = if newest == 0 { (first, second) } else { (second, first) };
        drop(older);
        let live = registry.live(&name()).map(|live| live.session);
        assert_eq!(live, Some(sessions[newest]), "the end of the replaced publisher changes nothing");
        drop(newer);
        assert_eq!(registry.len(), 0);
    });
}

#[test]
fn the_last_viewers_of_two_workers_and_the_publisher_leave_nothing_when_they_go_at_once() {
    explore(|| {
        let (registry, now) = (Registry::default(), Instant::now());
        let (publication, _) = publish(&registry, SessionId::random(), A, now);
        let leavers = [A, B].map(|worker| {
            let (watch, live) = registry.watch(&name(), worker);
            assert!(live.is_some());
            loom::thread::spawn(move || watch.leave())
        });
        drop(publication);
        for leaver in leavers {
            assert!(matches!(leaver.join().unwrap(), Departure::LastOfWorker(_)));
        }
        assert_eq!(registry.len(), 0);
    });
}
