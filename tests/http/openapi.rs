//! The OpenAPI document says what the relay does: every path, method and status of it is driven against the real
//! handlers, and what comes back is held to its schemas; and every route of the router is in it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use serde_json::Value;
use sluice::cli::{Cli, Command};
use sluice::http::{Limit, Origins};
use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use crate::node_token::node_token;
use crate::nodes;
use crate::relay::{FRAGMENT, Relay, Reply, SDP, WHEP_OFFER, WHIP_OFFER};
use crate::schema::{resolved, violations};

const PUBLISHER: (&str, &str) = ("authorization", "Bearer p");
const ADMIN: (&str, &str) = ("authorization", "Bearer a");
const ANY: (&str, &str) = ("if-match", "*");
const NOBODY: &str = "/session/AAAAAAAAAAAAAAAAAAAAAA";
const CREDENTIALS: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n";

/// What HTTP alone cannot cause: two encoders that take a stream over from each other, a worker that is thousands of
/// messages behind, tens of thousands of event streams, 10,000 revocations, and a second node of a cluster. Their
/// documents are made by the same function as all others.
const OUT_OF_REACH: [(&str, &str, u16); 9] = [
    ("post", "/whip/{stream}", 307),
    ("post", "/whep/{stream}", 307),
    ("post", "/api/revocations", 409),
    ("post", "/whip/{stream}", 409),
    ("patch", "/session/{id}", 503),
    ("post", "/session/{id}/layer", 503),
    ("delete", "/session/{id}/layer", 503),
    ("post", "/session/{id}/events", 503),
    ("get", "/session/{id}/events/{events}", 503),
];

/// Pages are for people.
const PAGES: [&str; 4] = ["/", "/publish/{stream}", "/watch/{stream}", "/assets/{name}"];

/// The document and what of it has been driven.
struct Drive {
    document: Value,
    driven: BTreeSet<(String, String, u16)>,
}

impl Drive {
    fn new(relay: &Relay) -> Self {
        let document = serde_json::from_str(&relay.get("/api/openapi.json").body).unwrap();
        Self { document, driven: BTreeSet::new() }
    }

    /// Sends a request and holds the answer to the document.
    fn send(
        &mut self,
        relay: &Relay,
        status: u16,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let reply = relay.request(&method.to_uppercase(), path, headers, body);
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        self.hold(method, path, &reply);
        reply
    }

    fn hold(&mut self, method: &str, path: &str, reply: &Reply) {
        let template = self.template(path);
        let place = format!("{method} {template} {}", reply.status);
        let response = &self.document["paths"][&template][method]["responses"][reply.status.to_string()];
        assert!(response.is_object(), "{place} is not in the document: {reply:?}");
        let response = resolved(&self.document, response);
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let Some(text) = reply.optional(&name.to_ascii_lowercase()) else {
                assert_eq!(header["required"], false, "{place} lacks {name}");
                continue;
            };
            let value = text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from);
            let broken = violations(&self.document, &header["schema"], &value, name);
            assert!(broken.is_empty(), "{place}: {broken:?}");
        }
        match response["content"].as_object() {
            None => assert_eq!(reply.body, "", "{place} has no body"),
            Some(content) => {
                let given = reply.header("content-type").split(';').next().unwrap();
                let schema = &content.get(given).unwrap_or_else(|| panic!("{place} is {given}"))["schema"];
                let value = match given {
                    json if json.ends_with("json") => serde_json::from_str(&reply.body).unwrap(),
                    _ => Value::from(reply.body.as_str()),
                };
                let broken = violations(&self.document, schema, &value, "body");
                assert!(broken.is_empty(), "{place}: {broken:?} in {value}");
            }
        }
        self.driven.insert((method.to_owned(), template, reply.status));
    }

    /// Reads an event stream until it is closed, which it is while it is read.
    fn read_to_its_end(&mut self, relay: &Relay, place: &str) {
        let mut stream = TcpStream::connect(relay.addresses.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(format!("GET {place} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = vec![0; 2048];
        let begun = stream.read(&mut answer).unwrap();
        answer.truncate(begun);
        self.send(relay, 200, "delete", place, &[], "");
        stream.read_to_end(&mut answer).unwrap();
        self.hold("get", place, &parsed(answer));
    }

    /// The path of the document that a path of a request is.
    fn template(&self, path: &str) -> String {
        let path = path.split('?').next().unwrap();
        let is_like = |template: &str| {
            let (own, other) = (template.split('/'), path.split('/'));
            own.clone().count() == other.clone().count()
                && own.zip(other).all(|(own, other)| own.starts_with('{') || own == other)
        };
        let paths = self.document["paths"].as_object().unwrap();
        let exact = paths.keys().find(|template| *template == path);
        let found = exact.or_else(|| paths.keys().find(|template| is_like(template)));
        found.unwrap_or_else(|| panic!("{path} is not in the document")).clone()
    }
}

/// Every (method, path, status) of the document.
fn promised(document: &Value) -> BTreeSet<(String, String, u16)> {
    let mut all = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters") {
            let statuses = operation["responses"].as_object().unwrap().keys();
            all.extend(statuses.map(|status| (method.clone(), path.clone(), status.parse().unwrap())));
        }
    }
    all
}

#[test]
fn everything_that_the_document_promises_happens_as_it_says() {
    let open = Relay::start();
    let mut drive = Drive::new(&open);
    assert_eq!(drive.document["info"]["version"], env!("CARGO_PKG_VERSION"));
    open_relay(&mut drive, &open);
    event_streams(&mut drive, &open);
    layers(&mut drive, &open);
    closed_relay(&mut drive);
    impatient_relay(&mut drive);
    early_viewer(&mut drive);
    strict_relay(&mut drive);
    draining_relay(&mut drive);
    stuck_relay(&mut drive);
    node_of_a_cluster(&mut drive);
    foreign_page(&mut drive);
    let out_of_reach = OUT_OF_REACH.map(|(method, path, status)| (method.to_owned(), path.to_owned(), status));
    let promised = promised(&drive.document);
    assert!(out_of_reach.iter().all(|one| promised.contains(one)), "the exceptions are promised at all");
    let expected: BTreeSet<_> = promised.into_iter().filter(|one| !out_of_reach.contains(one)).collect();
    assert_eq!(drive.driven, expected);
}

/// What a node answers another one.
fn node_of_a_cluster(drive: &mut Drive) {
    let relay = nodes::node();
    let name = nodes::name(&relay);
    for (path, status) in [("/node/v1/streams/cam", 200), ("/node/v1/streams/a%20b", 400)] {
        let token = node_token("b", &name, ("GET", path), &Value::Null);
        drive.send(&relay, status, "get", path, &[("authorization", &token)], "");
    }
    drive.send(&relay, 401, "get", "/node/v1/streams/cam", &[], "");
}

/// The answers of a relay without tokens.
fn open_relay(drive: &mut Drive, relay: &Relay) {
    for path in [
        "/api/openapi.json",
        "/api/node",
        "/api/nodes",
        "/api/legs",
        "/api/streams",
        "/api/sessions",
        "/metrics",
        "/healthz",
        "/readyz",
    ] {
        drive.send(relay, 200, "get", path, &[], "");
    }
    for (endpoint, offer, found) in [("/whip/cam", WHIP_OFFER, 204), ("/whep/cam", WHEP_OFFER, 200)] {
        let wrong = endpoint.replace("cam", "a%20b");
        drive.send(relay, found, "get", endpoint, &[], "");
        drive.send(relay, 400, "get", &wrong, &[], "");
        drive.send(relay, 204, "options", endpoint, &[], "");
        drive.send(relay, 400, "post", endpoint, &[SDP], "x");
        drive.send(relay, 406, "post", endpoint, &[SDP, ("accept", "text/html")], offer);
        drive.send(relay, 413, "post", endpoint, &[SDP], &format!("{offer}{}", "a=x\r\n".repeat(14_000)));
        drive.send(relay, 415, "post", endpoint, &[FRAGMENT], offer);
        drive.send(relay, 422, "post", endpoint, &[SDP], &offer.replace("a=group:BUNDLE", "a=group:LS"));

        let created = drive.send(relay, 201, "post", endpoint, &[SDP, ("user-agent", "test/1")], offer);
        let session = created.header("location").to_owned();
        let tag = ("if-match", created.header("etag"));
        drive.send(relay, 204, "get", &session, &[], "");
        drive.send(relay, 204, "options", &session, &[], "");
        drive.send(relay, 204, "patch", &session, &[FRAGMENT, tag], CREDENTIALS);
        drive.send(relay, 200, "patch", &session, &[FRAGMENT, ANY], CREDENTIALS);
        drive.send(relay, 412, "patch", &session, &[FRAGMENT, tag], CREDENTIALS);
        drive.send(relay, 428, "patch", &session, &[FRAGMENT], CREDENTIALS);
        drive.send(relay, 415, "patch", &session, &[SDP, ANY], CREDENTIALS);
        drive.send(relay, 400, "patch", &session, &[FRAGMENT, ANY], "x");
        drive.send(relay, 413, "patch", &session, &[FRAGMENT, ANY], &CREDENTIALS.repeat(200));

        let record = session.replace("/session/", "/api/sessions/");
        drive.send(relay, 200, "get", "/api/streams/cam", &[], "");
        drive.send(relay, 200, "get", &record, &[], "");
        drive.send(relay, 200, "delete", &session, &[], "");
        drive.send(relay, 200, "get", &record, &[], "");
        drive.send(relay, 404, "delete", &record, &[], "");
        let again = drive.send(relay, 201, "post", endpoint, &[SDP], offer);
        let record = again.header("location").replace("/session/", "/api/sessions/");
        drive.send(relay, 204, "delete", &record, &[], "");
    }
    drive.send(relay, 200, "get", "/api/sessions", &[], "");
    let json = ("content-type", "application/json");
    for (status, headers, body) in [
        (200, [json], "{\"subject\": \"alice\"}"),
        (400, [json], "{}"),
        (413, [json], &"x".repeat(5000)),
        (415, [SDP], "{\"subject\": \"alice\"}"),
    ] {
        drive.send(relay, status, "post", "/api/revocations", &headers, body);
    }
    drive.send(relay, 200, "get", "/api/revocations", &[], "");
    for method in ["get", "patch", "delete"] {
        drive.send(relay, 404, method, NOBODY, &[FRAGMENT, ANY], "");
    }
    drive.send(relay, 404, "get", &NOBODY.replace("/session/", "/api/sessions/"), &[], "");
    drive.send(relay, 404, "get", "/api/streams/nobody", &[], "");
    drive.send(relay, 400, "get", "/api/streams/a%20b", &[], "");
    drive.send(relay, 200, "get", "/api/streams?scope=cluster", &[], "");
    drive.send(relay, 400, "get", "/api/streams?scope=all", &[], "");
}

/// The answers about the event streams of a viewer, and about the stream of a publisher.
fn event_streams(drive: &mut Drive, relay: &Relay) {
    let json = ("content-type", "application/json");
    let session = drive.send(relay, 201, "post", "/whep/cam", &[SDP], WHEP_OFFER).header("location").to_owned();
    let events = format!("{session}/events");
    let list = "[\"active\"]";
    drive.send(relay, 204, "options", &events, &[], "");
    drive.send(relay, 400, "post", &events, &[json], "[\"x\"]");
    drive.send(relay, 413, "post", &events, &[json], &" ".repeat(5000));
    drive.send(relay, 415, "post", &events, &[SDP], list);
    let made = (0..4).map(|_| drive.send(relay, 201, "post", &events, &[json], list).header("location").to_owned());
    let place = made.last().unwrap();
    drive.send(relay, 409, "post", &events, &[json], list);
    drive.send(relay, 204, "options", &place, &[], "");
    drive.send(relay, 406, "get", &place, &[("accept", "application/json")], "");
    drive.read_to_its_end(relay, &place);
    for method in ["get", "delete"] {
        drive.send(relay, 404, method, &place, &[], "");
    }
    drive.send(relay, 404, "post", &format!("{NOBODY}/events"), &[json], list);
    let own = format!("{}/stream", relay.publish("own", &[]).0);
    drive.send(relay, 200, "get", &own, &[], "");
    drive.send(relay, 204, "options", &own, &[], "");
    drive.send(relay, 404, "get", &format!("{session}/stream"), &[], "");
}

/// The answers about the layer that a viewer selects.
fn layers(drive: &mut Drive, relay: &Relay) {
    let json = ("content-type", "application/json");
    let session = drive.send(relay, 201, "post", "/whep/cam", &[SDP], WHEP_OFFER).header("location").to_owned();
    let layer = format!("{session}/layer");
    drive.send(relay, 204, "options", &layer, &[], "");
    drive.send(relay, 200, "post", &layer, &[json], "{\"mediaId\":\"1\",\"maxWidth\":640,\"temporalLayerId\":1}");
    drive.send(relay, 200, "get", &layer, &[], "");
    drive.send(relay, 400, "post", &layer, &[json], "{\"rid\":1}");
    drive.send(relay, 413, "post", &layer, &[json], &" ".repeat(5000));
    drive.send(relay, 415, "post", &layer, &[SDP], "{}");
    drive.send(relay, 422, "post", &layer, &[json], "{\"rid\":\"h\"}");
    drive.send(relay, 200, "delete", &layer, &[], "");
    let nobody = format!("{NOBODY}/layer");
    for method in ["get", "post", "delete"] {
        drive.send(relay, 404, method, &nobody, &[json], "");
    }
}

/// The answers of a relay with tokens.
fn closed_relay(drive: &mut Drive) {
    let relay = Relay::with(|config| {
        config.auth.publish_token = Some("p".to_owned());
        config.auth.watch_token = Some("w".to_owned());
        config.auth.admin_token = Some("a".to_owned());
    });
    let session = relay.publish("cam", &[PUBLISHER]).0;
    let record = session.replace("/session/", "/api/sessions/");
    let of_admin = [
        "/api/openapi.json",
        "/api/node",
        "/api/nodes",
        "/api/legs",
        "/api/streams",
        "/api/streams/cam",
        "/api/sessions",
        "/metrics",
        &record,
    ];
    let changes = [("delete", record.as_str()), ("get", "/api/revocations"), ("post", "/api/revocations")];
    for (method, path) in of_admin.map(|path| ("get", path)).into_iter().chain(changes) {
        drive.send(&relay, 401, method, path, &[], "");
        drive.send(&relay, 403, method, path, &[PUBLISHER], "");
    }
    for endpoint in ["/whip/cam", "/whep/cam"] {
        for method in ["get", "post"] {
            drive.send(&relay, 401, method, endpoint, &[SDP], "");
            drive.send(&relay, 403, method, endpoint, &[SDP, ADMIN], "");
        }
    }
    for method in ["get", "patch", "delete"] {
        drive.send(&relay, 401, method, &session, &[FRAGMENT, ANY], "");
    }
    drive.send(&relay, 401, "get", &format!("{session}/stream"), &[], "");
    let viewer = ("authorization", "Bearer w");
    let watched = drive.send(&relay, 201, "post", "/whep/cam", &[SDP, viewer], WHEP_OFFER);
    let events = format!("{}/events", watched.header("location"));
    drive.send(&relay, 401, "post", &events, &[], "");
    for method in ["get", "post", "delete"] {
        drive.send(&relay, 401, method, &events.replace("/events", "/layer"), &[], "");
    }
    let place = drive.send(&relay, 201, "post", &events, &[viewer], "").header("location").to_owned();
    drive.send(&relay, 401, "get", &place, &[("authorization", "Bearer x")], "");
    drive.send(&relay, 401, "delete", &place, &[], "");
}

/// The answers to a body that does not arrive.
fn impatient_relay(drive: &mut Drive) {
    let relay = Relay::with(|config| config.http.body_deadline = Duration::from_millis(200));
    let session = relay.publish("cam", &[]).0;
    let watched = relay.request("POST", "/whep/cam", &[SDP], WHEP_OFFER);
    let events = format!("{}/events", watched.header("location"));
    let fragment = "application/trickle-ice-sdpfrag\r\nIf-Match: *";
    for (method, path, kind) in [
        ("post", "/whip/cam", "application/sdp"),
        ("post", "/whep/cam", "application/sdp"),
        ("patch", session.as_str(), fragment),
        ("post", events.as_str(), "application/json"),
        ("post", &events.replace("/events", "/layer"), "application/json"),
        ("post", "/api/revocations", "application/json"),
    ] {
        let reply = half_a_request(&relay, method, path, kind);
        assert_eq!(reply.status, 408, "{reply:?}");
        drive.hold(method, path, &reply);
    }
}

/// The answer to a viewer before its publisher, with `--refuse-early-viewers`.
fn early_viewer(drive: &mut Drive) {
    let relay = Relay::with(|config| config.worker.refuse_early_viewers = true);
    drive.send(&relay, 409, "post", "/whep/cam", &[SDP], WHEP_OFFER);
}

/// The answers to an address beyond its request rate.
fn strict_relay(drive: &mut Drive) {
    let one = NonZeroU32::MIN;
    let relay = Relay::with(|config| {
        config.http.limit = Some(Limit { per_second: one, burst: one, loopback: true });
    });
    let record = NOBODY.replace("/session/", "/api/sessions/");
    let (events, place) = (format!("{NOBODY}/events"), format!("{NOBODY}/events/AAAAAAAAAAAAAAAAAAAAAA"));
    let layer = format!("{NOBODY}/layer");
    for (method, path) in [
        ("post", "/whip/cam"),
        ("post", "/whep/cam"),
        ("patch", NOBODY),
        ("delete", NOBODY),
        ("delete", &record),
        ("post", "/api/revocations"),
        ("post", &events),
        ("delete", &place),
        ("post", &layer),
        ("delete", &layer),
    ] {
        // On a slow machine a second may pass between two requests; never between all of them.
        let asked = (0..100).map(|_| relay.request(&method.to_uppercase(), path, &[SDP], ""));
        let refused = asked.into_iter().find(|reply| reply.status == 429).expect("100 requests are too many");
        drive.hold(method, path, &refused);
    }
}

/// The answers while the relay drains.
fn draining_relay(drive: &mut Drive) {
    let mut relay = Relay::with(|config| config.worker.drain = Duration::from_secs(60));
    relay.publish("cam", &[]);
    relay.drain();
    let began = Instant::now();
    while relay.get("/readyz").status != 503 {
        assert!(began.elapsed() < Duration::from_secs(5), "it drains at once");
    }
    drive.send(&relay, 503, "get", "/readyz", &[], "");
    drive.send(&relay, 503, "post", "/whip/cam", &[SDP], WHIP_OFFER);
    drive.send(&relay, 503, "post", "/whep/cam", &[SDP], WHEP_OFFER);
}

/// The answers while a media thread is stuck.
fn stuck_relay(drive: &mut Drive) {
    let relay = Relay::start();
    let held = relay.media.hold_worker(0, None);
    let began = Instant::now();
    while relay.get("/healthz").status != 503 {
        assert!(began.elapsed() < Duration::from_secs(20), "it takes 5 s");
    }
    drive.send(&relay, 503, "get", "/healthz", &[], "");
    drop(held);
}

/// The answers to pages whose origin is not listed, without tokens.
fn foreign_page(drive: &mut Drive) {
    let relay = Relay::with(|config| config.http.origins = Origins::Listed(vec!["https://a.example".to_owned()]));
    let foreign = ("origin", "https://b.example");
    let (events, place) = (format!("{NOBODY}/events"), format!("{NOBODY}/events/AAAAAAAAAAAAAAAAAAAAAA"));
    let layer = format!("{NOBODY}/layer");
    let stream = format!("{NOBODY}/stream");
    for (path, methods) in [
        ("/whip/cam", &["get", "post", "options"][..]),
        ("/whep/cam", &["get", "post", "options"]),
        (NOBODY, &["get", "patch", "delete", "options"]),
        (&stream, &["get", "options"]),
        (&events, &["post", "options"]),
        (&layer, &["get", "post", "delete", "options"]),
        (&place, &["get", "delete", "options"]),
        ("/api/streams", &["get"]),
    ] {
        for method in methods {
            drive.send(&relay, 403, method, path, &[foreign], "");
        }
    }
}

/// Sends the beginning of a body and reads the answer.
fn half_a_request(relay: &Relay, method: &str, path: &str, kind: &str) -> Reply {
    let mut stream = TcpStream::connect(relay.addresses.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!("{} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n", method.to_uppercase());
    stream.write_all(format!("{head}Content-Length: 500\r\n\r\nv=0").as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as a close.
    let _ = stream.read_to_end(&mut answer);
    parsed(answer)
}

/// A response as it came.
fn parsed(answer: Vec<u8>) -> Reply {
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value.trim()).ok()?))
    };
    Reply { status, headers: HeaderMap::from_iter(lines.filter_map(header)), body: body.to_owned() }
}

#[test]
fn live_streams_and_sessions_are_as_the_document_says() {
    let relay = Relay::start();
    let mut drive = Drive::new(&relay);
    let (whip, whep) = (relay.url("/whip/cam"), relay.url("/whep/cam"));
    let line = ["sluice", "load", "--whip", &whip, "--whep", &whep, "--viewers", "1", "--seconds", "4"];
    let Ok(Command::Load(load)) = Cli::read(line.map(OsString::from)) else { panic!("{line:?}") };
    let load = std::thread::spawn(move || sluice::load::run(&load));
    let began = Instant::now();
    let everything = |stream: &Value| {
        let has = |track: &Value| ["bits_per_second", "packets_per_second"].iter().all(|rate| track[rate] != 0.0);
        let tracks = stream["tracks"].as_array().unwrap();
        let sessions = stream["sessions"].as_array().unwrap();
        let gets = |session: &Value| session["tracks"].as_array().is_some_and(|tracks| !tracks.is_empty());
        !tracks.is_empty() && tracks.iter().any(has) && sessions.len() == 2 && sessions.iter().all(gets)
    };
    loop {
        assert!(began.elapsed() < Duration::from_secs(20), "media passes within seconds");
        if relay.get("/api/streams/cam").status == 200 {
            let reply = drive.send(&relay, 200, "get", "/api/streams/cam", &[], "");
            let stream: Value = serde_json::from_str(&reply.body).unwrap();
            if everything(&stream) {
                assert_eq!((&stream["live"], &stream["viewers"]), (&true.into(), &1.into()));
                assert_eq!(stream["sessions"][0]["srtp_profile"], "SRTP_AEAD_AES_128_GCM");
                assert!(stream["sessions"][1]["path"]["remote"].as_str().unwrap().starts_with("127.0.0.1:"));
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    drive.send(&relay, 200, "get", "/api/streams", &[], "");
    assert!(load.join().unwrap().is_ok());
}

#[test]
fn every_path_of_the_document_has_the_methods_that_it_answers() {
    let relay = Relay::start();
    let document = Drive::new(&relay).document;
    for (path, item) in document["paths"].as_object().unwrap() {
        let place = path.replace("{stream}", "cam").replace("{id}", &NOBODY[9..]).replace("{events}", &NOBODY[9..]);
        let allow = relay.request("OPTIONS", &place, &[], "").header("allow").to_ascii_lowercase();
        let answered: BTreeSet<&str> = allow.split(',').filter(|method| *method != "head").collect();
        let mut promised: BTreeSet<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
        // Every path answers OPTIONS; the document has it where the answer says more than that.
        promised.insert("options");
        assert_eq!(answered, promised, "{path}");
    }
}

#[test]
fn the_route_table_names_the_paths_of_the_document_and_the_pages_and_no_other() {
    let relay = Relay::start();
    let document = Drive::new(&relay).document;
    let table = include_str!("../../src/http/routes.rs");
    let beside: BTreeSet<&str> =
        table.lines().filter_map(|line| line.split_once(")) // ")).map(|(_, path)| path).collect();
    let described: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(beside, described);
    let plain: Vec<&str> = table.split(".route(\"").skip(1).map(|call| call.split('"').next().unwrap()).collect();
    assert_eq!(plain, PAGES);
}
