//! The end of sessions with their tokens: by time, by the token file, and by revocation.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::forge::{SECRET, claims, right, seconds};
use crate::relay::{Relay, SDP, WHEP_OFFER};

const ADMIN: (&str, &str) = ("authorization", "Bearer admin");

/// A file that is removed when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sluice-leases-{name}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn relay(key: &Scratch, end_with_token: bool) -> Relay {
    Relay::with(|config| {
        config.auth.jwt_keys = vec![key.0.clone()];
        config.auth.admin_token = Some("admin".to_owned());
        config.auth.end_with_token = end_with_token;
    })
}

fn watch(relay: &Relay, token: &str) -> String {
    let reply = relay.request("POST", "/whep/cam-1", &[SDP, ("authorization", token)], WHEP_OFFER);
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.header("location").to_owned()
}

/// Why a session has ended; `None` while it lives.
fn ended(relay: &Relay, session: &str) -> Option<String> {
    let record = relay.request("GET", &session.replace("/session/", "/api/sessions/"), &[ADMIN], "").body;
    let record: Value = serde_json::from_str(&record).unwrap();
    record["ended"]["reason"].as_str().map(str::to_owned)
}

fn wait_for_the_end(relay: &Relay, session: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(reason) = ended(relay, session) {
            return reason;
        }
        assert!(Instant::now() < deadline, "it ends");
        std::thread::yield_now();
    }
}

#[test]
fn sessions_end_when_their_token_expires_if_that_is_configured() {
    let key = Scratch::new("time", SECRET);
    let (ending, lasting) = (relay(&key, true), relay(&key, false));
    // The leeway for clocks is 30 s.
    let of = |ahead: i64| right("HS256", &claims(&json!({"exp": seconds(ahead)})));
    let (old, renewed) = (of(-26), of(600));
    let kept = watch(&ending, &old);
    assert_eq!(ending.request("GET", &kept, &[("authorization", &renewed)], "").status, 204);
    let lost = watch(&ending, &old);
    let other = watch(&lasting, &old);
    assert!(["token_expired", "never_connected"].contains(&wait_for_the_end(&ending, &lost).as_str()));
    assert_eq!(ended(&ending, &kept), None, "its client has shown a renewed token");
    assert_eq!(ended(&lasting, &other), None);
    ending.request("GET", &lost, &[("authorization", &renewed)], "").problem(404);
}

#[test]
fn a_revoked_token_ends_its_sessions_and_starts_no_other() {
    let key = Scratch::new("revoked", SECRET);
    let relay = relay(&key, false);
    let of = |changes: Value| right("HS256", &claims(&changes));
    let alice = of(json!({"iat": seconds(-5)}));
    let bob = of(json!({"sub": "bob", "jti": "7"}));
    let (hers, his) = (watch(&relay, &alice), watch(&relay, &bob));
    let revoke = |headers: &[(&str, &str)], body: Value| {
        let headers = [&[("content-type", "application/json")], headers].concat();
        relay.request("POST", "/api/revocations", &headers, &body.to_string())
    };
    revoke(&[("authorization", &alice)], json!({"subject": "bob"})).problem(403);
    revoke(&[], json!({"subject": "bob"})).problem(401);
    assert_eq!(revoke(&[ADMIN], json!({"subject": "alice"})).body, r#"{"ended_sessions":1,"kept":false}"#);
    assert_eq!(ended(&relay, &hers).as_deref(), Some("token_revoked"));
    let get = |token: &str| relay.request("GET", "/whep/cam-1", &[("authorization", token)], "");
    assert!(get(&alice).problem(401).contains("revoked"));
    get(&of(json!({}))).problem(401);
    assert_eq!(get(&of(json!({"iat": seconds(60)}))).status, 200, "one that is made later counts");
    assert_eq!(ended(&relay, &his), None);
    assert_eq!(revoke(&[ADMIN], json!({"token_id": "7"})).body, r#"{"ended_sessions":1,"kept":false}"#);
    get(&bob).problem(401);
    assert_eq!(get(&of(json!({"sub": "bob", "jti": "8"}))).status, 200);
    let list = relay.request("GET", "/api/revocations", &[ADMIN], "").body;
    assert!(list.contains(r#""subject":"alice""#) && list.contains(r#""token_id":"7""#), "{list}");
}

#[test]
fn a_revocation_survives_a_restart_of_the_relay_if_it_has_a_state_directory() {
    let key = Scratch::new("kept", SECRET);
    let state = std::env::temp_dir().join(format!("sluice-leases-state-{}", std::process::id()));
    let token = right("HS256", &claims(&json!({"jti": "7"})));
    for (is_first, with_state, status) in [(true, true, 401), (false, true, 401), (false, false, 200)] {
        let relay = Relay::with(|config| {
            config.auth.jwt_keys = vec![key.0.clone()];
            config.auth.admin_token = Some("admin".to_owned());
            config.http.tls.state_dir = with_state.then(|| state.clone());
        });
        if is_first {
            let headers = [("content-type", "application/json"), ADMIN];
            let revoked = relay.request("POST", "/api/revocations", &headers, r#"{"token_id": "7"}"#);
            assert_eq!(revoked.body, r#"{"ended_sessions":0,"kept":true}"#);
        }
        let asked = relay.request("GET", "/whep/cam-1", &[("authorization", &token)], "");
        assert_eq!(asked.status, status, "first {is_first}, state {with_state}");
    }
    std::fs::remove_dir_all(state).unwrap();
}

#[test]
fn a_removed_token_ends_its_sessions_if_that_is_configured() {
    let digest = |token: &str| {
        let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
        digest.as_ref().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
    };
    let line = |token: &str| format!("{token} {} publish,watch\n", digest(token));
    let file = Scratch::new("file", &(line("first") + &line("second")));
    let relay = Relay::with(|config| {
        config.auth.token_file = Some(file.0.clone());
        config.auth.admin_token = Some("admin".to_owned());
        config.auth.end_with_token = true;
    });
    let (first, second) = (watch(&relay, "Bearer first"), watch(&relay, "Bearer second"));
    std::fs::write(&file.0, line("second")).unwrap();
    assert!(["token_expired", "never_connected"].contains(&wait_for_the_end(&relay, &first).as_str()));
    assert_eq!(ended(&relay, &second), None);
}
