//! What HTTP and workers share of sessions that wait, in every order in which they can meet.

use std::sync::Arc;
use std::time::Instant;

use super::pending_sessions::{CAPACITY, Found, PATIENCE, PendingSession, PendingSessions};
use super::quota::{Applicant, Slots};
use super::session_record::SessionRecord;
use crate::auth::Credential;
use crate::ice::Credentials;
use crate::name::{Role, SessionClass, SessionId, StreamName};
use crate::sdp::{Negotiated, Offered};
use crate::shared::model::explore;
use crate::stream::WorkerId;

const A: WorkerId = WorkerId(0);
const B: WorkerId = WorkerId(1);
const UFRAG: &str = "first";

fn credentials(ufrag: &str) -> Credentials {
    Credentials { ufrag: ufrag.to_owned(), pwd: "a-password-that-is-long".to_owned() }
}

/// A session that waits under this name.
fn waiting(ufrag: &str) -> PendingSession {
    let id = SessionId::random();
    let (role, stream): (Role, StreamName) = (Role::Viewer, "cam".parse().unwrap());
    let negotiated = Negotiated {
        answer: String::new(),
        remote: credentials("client"),
        remote_fingerprint: String::new(),
        dtls_client: false,
        application: None,
        sections: Vec::new(),
        offered: Offered::default(),
    };
    let role_and_stream = (role, "cam".parse().unwrap());
    let client = [10, 0, 0, 1].into();
    let record = Arc::new(SessionRecord::new(
        id,
        role_and_stream,
        (None, Offered::default()),
        (client, crate::sdp::Candidates::default()),
        Instant::now(),
    ));
    let local = credentials(ufrag);
    let credential = Credential::ANONYMOUS;
    let applicant = Applicant {
        class: SessionClass::Viewer,
        stream: stream.clone(),
        address: client,
        source: super::client::ClientSource::Direct,
        replaces: None,
        granted: None,
    };
    let slot = Slots::default().take(applicant, Instant::now()).unwrap();
    PendingSession { id, role, stream, local, negotiated, announcement: None, credential, record, slot, leg: None }
}

/// Pending sessions with one session that has waited for a moment.
fn pending_sessions() -> (Arc<PendingSessions>, SessionId, Instant) {
    let waiting = waiting(UFRAG);
    let (id, created) = (waiting.id, waiting.record.created);
    let pending_sessions = Arc::new(PendingSessions::default());
    assert!(pending_sessions.admit(waiting, "\"1\"".to_owned()).is_ok());
    (pending_sessions, id, created)
}

fn assert_empty(pending_sessions: &PendingSessions) {
    assert!(pending_sessions.counts().iter().all(|(_, count)| *count == 0), "{:?}", pending_sessions.counts());
}

fn is_session(found: &Found) -> bool {
    matches!(found, Found::Session(_))
}

#[test]
fn full_pending_sessions_refuse_more_until_one_leaves_and_keep_nothing_of_refused_ones() {
    let (pending_sessions, id, _) = pending_sessions();
    let admit = |ufrag: &str| pending_sessions.admit(waiting(ufrag), "\"1\"".to_owned());
    assert!((1..CAPACITY).all(|number| admit(&number.to_string()).is_ok()));
    let full = pending_sessions.counts();
    assert!(admit("refused").is_err() && admit("refused").is_err());
    assert_eq!(pending_sessions.counts(), full);
    // A session that is adopted or ended does not wait any more.
    assert!(is_session(&pending_sessions.take("1", A)) && is_session(&pending_sessions.remove(&id)));
    assert!(admit("first free").is_ok() && admit("second free").is_ok() && admit("refused").is_err());
    assert_eq!(pending_sessions.expire(Instant::now() + PATIENCE).len(), CAPACITY);
    assert!(admit("next").is_ok());
}

#[test]
fn of_two_workers_that_hear_a_session_at_once_one_gets_it_and_the_other_knows_whose_it_is() {
    explore(|| {
        let (pending_sessions, id, _) = pending_sessions();
        let other = Arc::clone(&pending_sessions);
        let at_b = loom::thread::spawn(move || other.take(UFRAG, B));
        let at_a = pending_sessions.take(UFRAG, A);
        let at_b = at_b.join().unwrap();
        match (&at_a, &at_b) {
            (Found::Session(_), Found::Owned(A)) | (Found::Owned(B), Found::Session(_)) => {}
            _ => panic!("both have it, or nobody"),
        }
        pending_sessions.remove(&id);
        assert_empty(&pending_sessions);
    });
}

#[test]
fn a_session_that_is_deleted_as_it_is_heard_first_is_ended_by_exactly_one() {
    explore(|| {
        let (pending_sessions, id, _) = pending_sessions();
        let other = Arc::clone(&pending_sessions);
        let taken = loom::thread::spawn(move || other.take(UFRAG, A));
        let removed = pending_sessions.remove(&id);
        let taken = taken.join().unwrap();
        // Otherwise the adopted session would never end.
        assert!(is_session(&removed) != (is_session(&taken) && matches!(removed, Found::Owned(A))));
        assert_empty(&pending_sessions);
    });
}

#[test]
fn a_session_whose_time_is_over_as_it_is_heard_first_is_either_given_up_or_adopted() {
    explore(|| {
        let (pending_sessions, id, created) = pending_sessions();
        let other = Arc::clone(&pending_sessions);
        let taken = loom::thread::spawn(move || other.take(UFRAG, A));
        let expired = pending_sessions.expire(created + PATIENCE);
        let taken = taken.join().unwrap();
        assert!(is_session(&taken) != (expired.len() == 1));
        assert_eq!(is_session(&taken), pending_sessions.listed(&id).is_some());
        assert_eq!(
            is_session(&taken),
            matches!(pending_sessions.take(UFRAG, B), Found::Owned(A)),
            "its owner is known"
        );
        pending_sessions.remove(&id);
        assert_empty(&pending_sessions);
    });
}

#[test]
fn a_restart_loses_no_session_that_is_heard_or_deleted_at_the_same_time() {
    explore(|| {
        let (pending_sessions, id, _) = pending_sessions();
        let [restarting, hearing] = [(); 2].map(|()| Arc::clone(&pending_sessions));
        let restart = loom::thread::spawn(move || {
            restarting.restart(&id, &credentials("second"), &credentials("client"), "\"2\"".to_owned())
        });
        let hear = loom::thread::spawn(move || [UFRAG, "second"].map(|ufrag| is_session(&hearing.take(ufrag, A))));
        let removed = is_session(&pending_sessions.remove(&id));
        let (_, heard) = (restart.join().unwrap(), hear.join().unwrap());
        assert_eq!(usize::from(removed) + heard.into_iter().filter(|heard| *heard).count(), 1, "one of them has it");
        assert_empty(&pending_sessions);
    });
}
