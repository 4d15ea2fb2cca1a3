//! Event streams of viewers (WHEP core extensions, server-sent events), and what a publisher may read about its stream.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::relay::{Relay, Reply, SDP, WHEP_OFFER};

const JSON: (&str, &str) = ("content-type", "application/json");
const STREAM: (&str, &str) = ("accept", "text/event-stream");
const PATIENCE: Duration = Duration::from_secs(20);

/// The path where a new viewer's event streams are made.
fn watch(relay: &Relay, headers: &[(&str, &str)]) -> String {
    let reply = relay.request("POST", "/whep/cam", &[&[SDP], headers].concat(), WHEP_OFFER);
    let mut links = reply.headers.get_all("link").iter().map(|link| link.to_str().unwrap());
    let link = links.rfind(|link| link.contains("rel=\"urn:ietf:params:whep:ext:core:server-sent-events\""));
    let (path, parameters) = link.unwrap().trim_start_matches('<').split_once('>').unwrap();
    assert!(parameters.ends_with("; events=\"active,inactive,layers,viewercount,reconnect\""), "{parameters}");
    assert_eq!(path, format!("{}/events", reply.header("location")));
    path.to_owned()
}

fn open(relay: &Relay, events: &str) -> Reply {
    relay.request("POST", events, &[JSON], "[\"active\",\"inactive\"]")
}

fn metric(relay: &Relay, name: &str) -> String {
    let text = relay.get("/metrics").body;
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
}

/// A client that reads an event stream.
struct Reader(TcpStream, String);

impl Reader {
    fn new(relay: &Relay, path: &str) -> Self {
        let mut stream = TcpStream::connect(relay.addresses.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = Self(stream, String::new());
        reader.until("\r\n\r\n");
        reader
    }

    /// Reads on to this text; what it has read and was not given out yet.
    fn until(&mut self, text: &str) -> String {
        let mut buffer = [0; 1024];
        while !self.1.contains(text) {
            let read = self.0.read(&mut buffer).unwrap();
            assert!(read > 0, "the stream ends: {}", self.1);
            self.1 += std::str::from_utf8(&buffer[..read]).unwrap();
        }
        let rest = self.1.split_off(self.1.find(text).unwrap() + text.len());
        std::mem::replace(&mut self.1, rest)
    }

    /// Reads to the end of the response.
    fn end(mut self) -> String {
        self.until("0\r\n\r\n")
    }
}

/// A process that publishes until it is killed.
fn publisher(relay: &Relay) -> Child {
    publisher_of(relay, 1)
}

/// The same with this number of encodings.
fn publisher_of(relay: &Relay, layers: u8) -> Child {
    let (whip, whep, layers) = (relay.url("/whip/cam"), relay.url("/whep/cam"), layers.to_string());
    let arguments =
        ["load", "--whip", &whip, "--whep", &whep, "--viewers", "1", "--seconds", "600", "--layers", &layers];
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Waits until the stream has a publisher, and returns its session.
fn publishing(relay: &Relay) -> String {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "a publisher connects");
        let reply = relay.get("/api/streams/cam");
        if reply.status == 200 {
            let stream: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
            let mut sessions = stream["sessions"].as_array().unwrap().iter();
            let publisher = sessions.rfind(|session| session["role"] == "publisher");
            if let (Some(session), true) = (publisher, stream["live"] == true) {
                return session["id"].as_str().unwrap().to_owned();
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_event_stream_is_created_read_and_closed() {
    let relay = Relay::start();
    let events = watch(&relay, &[]);
    let created = open(&relay, &events);
    assert_eq!((created.status, created.body.as_str()), (201, ""));
    let location = created.header("location");
    let key = location.strip_prefix(&format!("{events}/")).unwrap();
    assert!(key.len() >= 22, "it cannot be guessed: {key}");

    let head = relay.request("HEAD", location, &[STREAM], "");
    let mut reader = Reader::new(&relay, location);
    for (name, value) in
        [("content-type", "text/event-stream"), ("cache-control", "no-cache"), ("x-accel-buffering", "no")]
    {
        assert_eq!(head.header(name), value);
    }
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(metric(&relay, "sluice_event_streams"), "1");

    assert_eq!(relay.request("DELETE", location, &[], "").status, 200);
    assert_eq!(
        reader.until("0\r\n\r\n"),
        "0\r\n\r\n",
        "no initial event, because the stream has no publisher; then the end"
    );
    relay.request("DELETE", location, &[], "").problem(404);
    relay.request("GET", location, &[STREAM], "").problem(404);
    assert_eq!(metric(&relay, "sluice_event_streams"), "0");
    assert_eq!(relay.get(events.strip_suffix("/events").unwrap()).status, 204, "the session goes on");
}

#[test]
fn a_list_of_events_is_known_names_in_json_or_nothing_at_all() {
    let relay = Relay::start();
    let events = watch(&relay, &[]);
    let detail = relay.request("POST", &events, &[JSON], "[\"active\",\"layer\"]").problem(400);
    assert!(detail.contains("\"layer\"") && detail.contains("active, inactive, layers"), "{detail}");
    for body in ["{", "[]", "{\"active\":true}", "[\"active\",]", "\"active\"", "[1]"] {
        let detail = relay.request("POST", &events, &[JSON], body).problem(400);
        assert!(detail.contains("JSON array"), "{detail}");
    }
    let wrong = relay.request("POST", &events, &[SDP], "[\"active\"]");
    wrong.problem(415);
    assert_eq!(wrong.header("accept"), "application/json");
    relay.request("POST", &events, &[JSON], &" ".repeat(5000)).problem(413);
    for (headers, body) in [(&[][..], ""), (&[("content-type", "application/json; charset=utf-8")], "[\"inactive\"]")] {
        assert_eq!(relay.request("POST", &events, headers, body).status, 201);
    }
}

#[test]
fn a_session_has_a_bounded_number_of_event_streams_and_closing_one_frees_its_place() {
    let relay = Relay::start();
    let events = watch(&relay, &[]);
    let opened: Vec<Reply> = (0..4).map(|_| open(&relay, &events)).collect();
    assert!(opened.iter().all(|reply| reply.status == 201));
    assert!(open(&relay, &events).problem(409).contains("4 event streams"));
    assert_eq!(open(&relay, &watch(&relay, &[])).status, 201, "another session has its own");
    assert_eq!(relay.request("DELETE", opened[2].header("location"), &[], "").status, 200);
    assert_eq!(open(&relay, &events).status, 201);
}

#[test]
fn an_event_stream_ends_with_its_session_and_has_one_reader() {
    let relay = Relay::start();
    let events = watch(&relay, &[]);
    let created = open(&relay, &events);
    let location = created.header("location");
    let first = Reader::new(&relay, location);
    let second = Reader::new(&relay, location);
    first.end();
    assert_eq!(relay.request("DELETE", events.strip_suffix("/events").unwrap(), &[], "").status, 200);
    second.end();
    for (method, path) in [("GET", location), ("DELETE", location), ("POST", &events)] {
        relay.request(method, path, &[STREAM, JSON], "").problem(404);
    }
    let began = Instant::now();
    while metric(&relay, "sluice_event_streams") != "0" {
        assert!(began.elapsed() < PATIENCE, "nothing of it remains");
    }
}

#[test]
fn the_relay_stops_at_once_while_an_event_stream_is_read() {
    let relay = Relay::start();
    let events = watch(&relay, &[]);
    let reader = Reader::new(&relay, open(&relay, &events).header("location"));
    let began = Instant::now();
    relay.stop();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    reader.end();
}

#[test]
fn only_the_viewer_opens_and_closes_its_event_streams() {
    let relay = Relay::with(|config| {
        config.auth.publish_token = Some("p".to_owned());
        config.auth.watch_token = Some("w".to_owned());
    });
    let [own, other, unknown] = ["Bearer w", "Bearer p", "Bearer x"].map(|token| ("authorization", token));
    let events = watch(&relay, &[own]);
    let post = |headers: &[(&str, &str)]| relay.request("POST", &events, headers, "");
    post(&[]).problem(401);
    post(&[unknown]).problem(401);
    post(&[other]).problem(404);
    let created = post(&[own]);
    let location = created.header("location");
    for method in ["GET", "DELETE"] {
        relay.request(method, location, &[unknown, STREAM], "").problem(401);
        relay.request(method, location, &[other, STREAM], "").problem(404);
    }
    relay.request("DELETE", location, &[], "").problem(401);
    // `EventSource` cannot send a header; the path itself is secret.
    assert_eq!(relay.request("HEAD", location, &[STREAM], "").status, 200);
    relay.request("GET", &format!("{events}/AAAAAAAAAAAAAAAAAAAAAA"), &[STREAM], "").problem(404);
    relay.request("GET", location, &[("accept", "application/json")], "").problem(406);
    assert_eq!(relay.request("DELETE", location, &[own], "").status, 200);
}

#[test]
fn pages_of_other_origins_may_use_event_streams_and_options_says_how() {
    let relay = Relay::start();
    let events = watch(&relay, &[]);
    let origin = ("origin", "https://player.example");
    let created = relay.request("POST", &events, &[origin], "");
    let location = created.header("location");
    for reply in [
        relay.request("HEAD", location, &[origin, STREAM], ""),
        relay.request("OPTIONS", &events, &[origin, ("access-control-request-method", "POST")], ""),
        relay.request("OPTIONS", location, &[origin, ("access-control-request-method", "DELETE")], ""),
        created.clone(),
    ] {
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        let exposed = reply.header("access-control-expose-headers");
        assert!(exposed.contains("Location") && exposed.contains("Link"), "{exposed}");
    }
    let options = relay.request("OPTIONS", &events, &[], "");
    assert_eq!((options.header("allow"), options.header("accept-post")), ("POST,OPTIONS", "application/json"));
    assert_eq!(relay.request("OPTIONS", location, &[], "").header("allow"), "GET,HEAD,DELETE,OPTIONS");
    relay.request("PUT", location, &[], "").problem(405);
}

#[test]
fn a_viewer_learns_within_seconds_that_its_publisher_is_lost() {
    let relay = Relay::start();
    let mut child = publisher(&relay);
    publishing(&relay);
    let mut reader = Reader::new(&relay, open(&relay, &watch(&relay, &[])).header("location"));
    assert!(reader.until("\n\n").contains("event: active\ndata: {}\n\n"));
    let killed = Instant::now();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(reader.until("\n\n").contains("event: inactive\ndata: {\"reason\":\"lost\"}\n\n"));
    let took = killed.elapsed();
    assert!(took > Duration::from_secs(3) && took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn viewers_learn_the_layers_of_the_video_and_how_many_they_are() {
    let relay = Relay::start();
    let mut child = publisher(&relay);
    publishing(&relay);
    let events = watch(&relay, &[]);
    let wanted = "[\"layers\",\"viewercount\",\"reconnect\"]";
    let mut reader = Reader::new(&relay, relay.request("POST", &events, &[JSON], wanted).header("location"));
    let (mut bits, mut viewers) = (0, 0);
    while bits == 0 || viewers == 0 {
        let event = reader.until("\n\n");
        let (name, data) = event.rsplit_once("event: ").unwrap().1.trim_end().split_once("\ndata: ").unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        match name {
            "viewercount" => viewers = data["viewercount"].as_u64().unwrap(),
            // The offer of this viewer has audio first.
            "layers" => bits = data["1"]["layers"][0]["bitrate"].as_u64().unwrap_or_default(),
            _ => panic!("{event}"),
        }
    }
    assert_eq!(viewers, 1, "the publisher's own viewer; this one never connects");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_comment_shows_that_an_event_stream_without_events_is_in_use() {
    let default = sluice::config::Config::default().http.event_keep_alive;
    assert_eq!(default, Duration::from_secs(15));
    let relay = Relay::with(|config| config.http.event_keep_alive = Duration::from_millis(50));
    let events = watch(&relay, &[]);
    let mut reader = Reader::new(&relay, open(&relay, &events).header("location"));
    for _ in 0..3 {
        let read = reader.until("\n\n");
        assert!(!read.contains("event:") && read.contains(":\n\n"), "{read:?}");
    }
}

#[test]
fn a_viewer_learns_that_the_encoding_that_it_has_selected_is_not_sent_any_more() {
    let relay = Relay::start();
    let events = watch(&relay, &[]);
    let location = relay.request("POST", &events, &[JSON], "[\"layers\"]").header("location").to_owned();
    let mut reader = Reader::new(&relay, &location);
    let mut rids = || -> Vec<String> {
        let event = reader.until("\n\n");
        let (_, data) = event.rsplit_once("data: ").unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let layers = data["1"]["layers"].as_array().unwrap();
        layers.iter().filter_map(|layer| Some(layer["rid"].as_str()?.to_owned())).collect()
    };
    let mut first = publisher_of(&relay, 3);
    let mut sent = rids();
    while sent.len() < 3 {
        sent = rids();
    }
    let selected = serde_json::json!({ "rid": sent[0] }).to_string();
    let layer = events.replace("/events", "/layer");
    assert_eq!(relay.request("POST", &layer, &[JSON], &selected).status, 200);
    let unknown = relay.request("POST", &layer, &[JSON], "{\"rid\":\"x\"}").problem(422);
    assert!(unknown.contains("no encoding has the rid \"x\": there are \""), "{unknown}");
    assert!(sent.iter().all(|rid| unknown.contains(&format!("{rid:?}"))), "{unknown}");
    let mut second = publisher(&relay);
    while !rids().is_empty() {}
    for child in [&mut first, &mut second] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn viewers_learn_that_their_publisher_is_active_and_that_it_has_ended() {
    const ACTIVE: &str = "event: active\ndata: {}\n\n";
    const ENDED: &str = "event: inactive\ndata: {\"reason\":\"ended\"}\n\n";
    let relay = Relay::start();
    let early = watch(&relay, &[]);
    let mut early = Reader::new(&relay, open(&relay, &early).header("location"));
    let mut child = publisher(&relay);
    assert!(early.until("\n\n").contains(ACTIVE), "no initial event, because the stream had no publisher");
    let events = watch(&relay, &[]);
    let all = open(&relay, &events).header("location").to_owned();
    let ends = relay.request("POST", &events, &[JSON], "[\"inactive\"]").header("location").to_owned();
    let mut reader = Reader::new(&relay, &all);
    assert!(reader.until("\n\n").contains(ACTIVE), "a later viewer is sent the current state");

    let publisher = publishing(&relay);
    let gone = Instant::now();
    assert_eq!(relay.request("DELETE", &format!("/session/{publisher}"), &[], "").status, 200);
    assert!(reader.until("\n\n").contains(ENDED) && early.until("\n\n").contains(ENDED));
    assert!(gone.elapsed() < Duration::from_secs(1), "{:?}", gone.elapsed());
    child.kill().unwrap();
    child.wait().unwrap();

    // A first reader gets the events that waited, and only those requested; a further reader gets the last event again,
    // because it may have been lost.
    for _ in 0..2 {
        let read = Reader::new(&relay, &ends).until("\n\n");
        assert!(read.contains(ENDED) && !read.contains("active\ndata: {}"), "{read}");
    }
    assert_eq!(metric(&relay, "sluice_events_total{event=\"inactive\"}"), "4");
    // The session had a publisher, so its event stream says at once why there is none; that of a new session says
    // nothing.
    assert!(Reader::new(&relay, open(&relay, &events).header("location")).until("\n\n").contains(ENDED));
    let location = open(&relay, &watch(&relay, &[])).header("location").to_owned();
    let reader = Reader::new(&relay, &location);
    assert_eq!(relay.request("DELETE", &location, &[], "").status, 200);
    assert!(!reader.end().contains("event:"));
}

#[test]
fn a_publisher_may_read_the_number_of_viewers_of_its_own_stream_and_nothing_else() {
    let relay = Relay::with(|config| {
        config.auth.publish_token = Some("p".to_owned());
        config.auth.watch_token = Some("w".to_owned());
        config.auth.admin_token = Some("a".to_owned());
    });
    let [publisher, viewer] = ["Bearer p", "Bearer w"].map(|token| ("authorization", token));
    let own = format!("{}/stream", relay.publish("cam", &[publisher]).0);
    let reply = relay.request("GET", &own, &[publisher], "");
    let document: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!((reply.status, document), (200, serde_json::json!({"name": "cam", "live": false, "viewers": 0})));
    relay.request("GET", &own, &[], "").problem(401);
    relay.request("GET", &own, &[viewer], "").problem(404);
    let watched = watch(&relay, &[viewer]).replace("/events", "/stream");
    relay.request("GET", &watched, &[viewer], "").problem(404);
    relay.request("GET", "/api/streams/cam", &[publisher], "").problem(403);
}
