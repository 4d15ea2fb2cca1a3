//! Relays of a cluster as processes, which call each other: each serves the sessions of the others, and gives them streams.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

use crate::binary::{OFFER, PATIENCE, Running, sluice};
use crate::cluster::{Published, json, replaced_publishers, state, until};
use crate::nats_server::NatsServer;
use crate::node_token::{CLUSTER_SECRET, node_token};

const WATCH_OFFER: &str = include_str!("../golden/chromium-156-whep.offer.sdp");
const FRAGMENT: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");
const SDP: (&str, &str) = ("content-type", "application/sdp");
const ANY: (&str, &str) = ("if-match", "*");
const CREDENTIALS: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n";
const WATCH: (&str, &str) = ("authorization", "Bearer watch");

/// The port of all nodes: each has an address of its own.
const PORT: u16 = 4700;

static NODES: AtomicU8 = AtomicU8::new(1);

/// A loopback address that no other node and no other run of these tests has.
fn address() -> String {
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{high}.{low}.{}:{PORT}", NODES.fetch_add(1, Ordering::Relaxed))
}

/// Clients need these tokens.
const TOKENS: [&str; 6] = ["--publish-token", "publish", "--watch-token", "watch", "--admin-token", "look"];

/// A node that others call.
fn node(server: &NatsServer, arguments: &[&str]) -> Running {
    let (address, nats) = (address(), server.url());
    let url = format!("http://{address}");
    let own =
        ["--http", &address, "--media", "127.0.0.1:0", "--cluster", &nats, "--node-url", &url, "--public-url", &url];
    let shared = ["--cluster-secret", CLUSTER_SECRET, "--cluster-allow", "127.0.0.0/8"];
    let node = Running::start(&mut sluice(&[&own[..], &shared, arguments].concat()));
    until("it is connected", || state(&node) == "connected");
    node
}

/// Two nodes that know each other.
fn two_nodes(server: &NatsServer) -> (Running, Running) {
    let nodes = (node(server, &TOKENS), node(server, &TOKENS));
    until("both know two nodes", || names(&nodes.0).len() == 2 && names(&nodes.1).len() == 2);
    nodes
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

fn send(node: &Running, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut request = Request::builder().method(method).uri(format!("{}{path}", node.origin));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.to_owned()).unwrap();
    // Redirects are what tests look at.
    let agent = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).max_redirects(0);
    let agent = agent.max_redirects_will_error(false).build().new_agent();
    let mut response = agent.run(agent.configure_request(request).allow_non_standard_methods(true).build()).unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply { status, headers, body: response.body_mut().read_to_string().unwrap() }
}

/// The names of the nodes that a node knows, itself first.
fn names(node: &Running) -> Vec<String> {
    let reply = send(node, "GET", "/api/nodes", &[("authorization", "Bearer look")], "");
    let mut nodes: Vec<Value> = serde_json::from_str(&reply.body).unwrap();
    nodes.sort_by_key(|node| node["here"] == false);
    nodes.iter().map(|node| node["node"].as_str().unwrap().to_owned()).collect()
}

/// The path and the entity tag of a new viewer's session.
fn watch(node: &Running) -> (String, String) {
    let created = send(node, "POST", "/whep/cam", &[SDP, WATCH], WATCH_OFFER);
    assert_eq!(created.status, 201, "{}", created.body);
    (created.header("location").to_owned(), created.header("etag").to_owned())
}

/// Begins to read an event stream.
fn events(node: &Running, path: &str) -> TcpStream {
    let address = node.origin.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    stream
}

/// What comes until this text does.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let mut octets = [0; 2048];
        let count = stream.read(&mut octets).unwrap();
        assert!(count > 0, "{text}");
        text += std::str::from_utf8(&octets[..count]).unwrap();
    }
    text
}

#[test]
fn any_node_serves_the_url_of_a_session() {
    let server = NatsServer::start("");
    let (a, b) = two_nodes(&server);
    let (session, tag) = watch(&a);
    let found = send(&b, "GET", &session, &[WATCH], "");
    assert_eq!((found.status, found.header("etag")), (204, tag.as_str()));
    assert_eq!(send(&b, "HEAD", &session, &[WATCH], "").status, 204);
    assert_eq!(send(&b, "OPTIONS", &session, &[], "").status, 204);

    let restarted = send(&b, "PATCH", &session, &[WATCH, FRAGMENT, ANY], CREDENTIALS);
    assert_eq!(restarted.status, 200, "{}", restarted.body);
    assert!(restarted.body.contains("a=ice-ufrag:") && restarted.body.contains("127.0.0.1"), "{}", restarted.body);
    assert_ne!(restarted.header("etag"), tag);
    assert_eq!(send(&a, "GET", &session, &[WATCH], "").header("etag"), restarted.header("etag"));
    let stale = send(&b, "PATCH", &session, &[WATCH, FRAGMENT, ("if-match", &tag)], CREDENTIALS);
    assert_eq!((stale.status, stale.header("content-type")), (412, "application/problem+json"));

    let layer = format!("{session}/layer");
    let selected = send(&b, "POST", &layer, &[WATCH, ("content-type", "application/json")], r#"{"audioOnly":true}"#);
    assert_eq!(selected.status, 200, "{}", selected.body);
    assert!(send(&a, "GET", &layer, &[WATCH], "").body.contains("audioOnly"));

    let opened = send(&b, "POST", &format!("{session}/events"), &[WATCH], "");
    assert_eq!(opened.status, 201, "{}", opened.body);
    let events = opened.header("location").to_owned();
    assert!(events.starts_with(&format!("{session}/events/")), "{events}");
    let mut stream = self::events(&b, &events);
    let text = read_until(&mut stream, "event: ");
    assert!(text.contains("content-type: text/event-stream"), "{text}");

    assert_eq!(send(&b, "DELETE", &session, &[WATCH], "").status, 200);
    until("its event stream ends", || (&stream).read(&mut [0; 2048]).unwrap() == 0);
    for node in [&a, &b] {
        assert_eq!(send(node, "GET", &session, &[WATCH], "").status, 404);
    }
}

#[test]
fn at_another_node_a_client_may_do_what_it_may_do_at_the_node_of_the_session() {
    let server = NatsServer::start("");
    let (a, b) = two_nodes(&server);
    let (session, _) = watch(&a);
    let gone = session.replace(&session[session.len() - 22..], "AAAAAAAAAAAAAAAAAAAAAA");
    for token in [None, Some("Bearer publish"), Some("Bearer guess"), Some("Basic eDp5"), Some("Bearer look")] {
        let token: Vec<_> = token.iter().map(|token| ("authorization", *token)).collect();
        for (method, path) in [
            ("GET", session.clone()),
            ("PATCH", session.clone()),
            ("DELETE", session.clone()),
            ("GET", format!("{session}/layer")),
            ("POST", format!("{session}/events")),
            ("GET", gone.clone()),
        ] {
            let [owner, other] = [&a, &b].map(|node| send(node, method, &path, &token, ""));
            assert!([401, 403, 404].contains(&owner.status), "{method} {token:?}: {}", owner.body);
            assert_eq!((other.status, &other.body), (owner.status, &owner.body), "{method} {path} {token:?}");
        }
    }
    assert_eq!(send(&b, "GET", &session, &[WATCH], "").status, 204, "it has not ended");
}

#[test]
fn what_an_outsider_writes_into_headers_of_nodes_counts_for_nothing() {
    let server = NatsServer::start("");
    let (a, b) = two_nodes(&server);
    let (session, _) = watch(&a);
    let (name_a, name_b) = (names(&a)[0].clone(), names(&b)[0].clone());
    let anonymous = ("sluice-client", r#"{"holder":""}"#);
    let path = "sluice-path";
    for outsider in [
        vec![anonymous],
        vec![anonymous, (path, "x"), ("sluice-node", &name_b)],
        vec![("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")],
    ] {
        for node in [&a, &b] {
            assert_eq!(send(node, "DELETE", &session, &outsider, "").status, 401, "{outsider:?}");
        }
    }
    let forged = |issuer: &str, audience: &str, changes: Value| {
        ("authorization", node_token(issuer, audience, ("DELETE", &session), &changes))
    };
    for (name, value) in [
        forged(&name_b, &name_b, json!({})),
        forged(&name_b, &name_a, json!({"age": 40})),
        forged(&name_b, &name_a, json!({"path": "/session/other"})),
        forged(&name_b, &name_a, json!({"secret": "another secret with more than 32 characters"})),
    ] {
        assert_eq!(send(&a, "DELETE", &session, &[(name, &value), anonymous], "").status, 401);
    }
    // A node that is right in all this is another client.
    let (name, right) = forged(&name_b, &name_a, json!({}));
    assert_eq!(send(&a, "DELETE", &session, &[(name, &right)], "").status, 404);
    // What comes from a node is sent on to no third one.
    let (name, twice) = forged(&name_a, &name_b, json!({}));
    assert_eq!(send(&b, "DELETE", &session, &[(name, &twice)], "").status, 404);
    assert_eq!(send(&b, "GET", &session, &[WATCH], "").status, 204, "it has not ended");
}

#[test]
fn a_session_whose_node_is_gone_is_gone_and_one_whose_node_hangs_is_not() {
    let server = NatsServer::start("");
    let (mut a, b) = two_nodes(&server);
    let (session, _) = watch(&a);
    a.signal("STOP");
    let waits = send(&b, "GET", &session, &[WATCH], "");
    assert_eq!((waits.status, waits.header("retry-after")), (503, "2"));
    a.signal("CONT");
    assert_eq!(send(&b, "GET", &session, &[WATCH], "").status, 204);
    a.signal("KILL");
    a.ended();
    assert_eq!(send(&b, "GET", &session, &[WATCH], "").status, 404, "before its lease has expired");
}

/// What a node says of `cam` to the node `asker`.
fn cam_at(node: &Running, name: &str, asker: &str) -> Value {
    const PATH: &str = "/node/v1/streams/cam";
    let token = node_token(asker, name, ("GET", PATH), &json!({}));
    serde_json::from_str(&send(node, "GET", PATH, &[("authorization", &token)], "").body).unwrap()
}

/// An offer of the node `asker` for a stream.
fn leg(node: &Running, name: &str, asker: &str, stream: &str) -> Reply {
    let path = format!("/whep/{stream}");
    let token = node_token(asker, name, ("POST", &path), &json!({}));
    send(node, "POST", &path, &[SDP, ("authorization", &token)], WATCH_OFFER)
}

#[test]
fn a_node_gives_a_stream_to_32_other_nodes_and_not_to_one_from_which_it_has_it() {
    let server = NatsServer::start("");
    let a = node(&server, &["--publish-token", "publish", "--public-watch", "--admin-token", "look"]);
    let own = names(&a)[0].clone();
    let _published = Published::on(&a, "cam");
    until("its media arrives", || cam_at(&a, &own, "b")["receiving"] == true);
    let state = cam_at(&a, &own, "b");
    assert_eq!((&state["path"], &state["origin"], &state["legs"]), (&json!([own]), &json!(own), &json!(0)));
    assert!(!state["codecs"].as_array().unwrap().is_empty(), "{state}");

    let first = leg(&a, &own, "b", "cam");
    assert_eq!(
        (first.status, first.header("sluice-path"), first.header("sluice-node")),
        (201, own.as_str(), own.as_str())
    );
    assert_eq!(leg(&a, &own, &own, "cam").status, 409, "it is in its own path");
    let unknown = leg(&a, &own, "b", "other");
    assert_eq!((unknown.status, unknown.header("retry-after")), (503, "1"));
    for other in 1..32 {
        let reply = leg(&a, &own, &format!("n{other}"), "cam");
        assert_eq!(reply.status, 201, "{other}: {}", reply.body);
    }
    assert_eq!(cam_at(&a, &own, "b")["legs"], 32);
    let full = leg(&a, &own, "late", "cam");
    assert_eq!(full.status, 503, "{}", full.body);
    // The node that made a session ends it, and no other one.
    let session = first.header("location");
    let end = |asker: &str| {
        let token = node_token(asker, &own, ("DELETE", session), &json!({}));
        send(&a, "DELETE", session, &[("authorization", &token)], "").status
    };
    assert_eq!((end("n1"), end("b")), (404, 200));
    until("there is a place again", || leg(&a, &own, "late", "cam").status == 201);
}

/// The path and query of a redirect to `node`.
fn redirected(reply: &Reply, node: &Running) -> String {
    assert_eq!(reply.status, 307, "{}", reply.body);
    assert_eq!(reply.header("cache-control"), "no-store");
    reply.header("location").strip_prefix(&node.origin).unwrap().to_owned()
}

#[test]
fn a_full_node_sends_clients_to_another_one_with_a_ticket_in_the_place_of_their_token() {
    let server = NatsServer::start("");
    let (a, b) = (node(&server, &[&TOKENS[..], &["--max-sessions", "1"]].concat()), node(&server, &TOKENS));
    until("both know two nodes", || names(&a).len() == 2 && names(&b).len() == 2);
    let name_b = names(&b)[0].clone();
    assert_eq!(send(&a, "POST", "/whep/cam", &[SDP], WATCH_OFFER).status, 401);
    watch(&a);
    assert_eq!(send(&a, "POST", "/whep/cam", &[SDP], WATCH_OFFER).status, 401, "a client without a token goes nowhere");

    let path = redirected(&send(&a, "POST", "/whep/cam", &[SDP, WATCH], WATCH_OFFER), &b);
    // Browsers drop Authorization on the way, FFmpeg and GStreamer keep it.
    for kept in [&[SDP][..], &[SDP, WATCH], &[SDP, ("authorization", "Bearer other")]] {
        let created = send(&b, "POST", &path, kept, WATCH_OFFER);
        assert_eq!(created.status, 201, "{}", created.body);
        let session = created.header("location");
        assert!(!session.contains("ticket"), "{session}");
        assert_eq!(send(&b, "GET", session, &[WATCH], "").status, 204, "it belongs to the token's holder");
        assert_eq!(send(&b, "GET", session, &[], "").status, 401);
    }
    let publish = ("authorization", "Bearer publish");
    let to_publish = redirected(&send(&a, "POST", "/whip/new?standby=1", &[SDP, publish], OFFER), &b);
    assert!(to_publish.ends_with("&standby=1"), "{to_publish}");
    assert_eq!(send(&b, "POST", &to_publish, &[SDP], OFFER).status, 201);

    // It is for one thing: this action, this stream, this node, and it is no token.
    let ticket = path.split_once("ticket=").unwrap().1;
    for (node, endpoint, offer) in
        [(&b, "/whep/other", WATCH_OFFER), (&b, "/whip/cam", OFFER), (&a, "/whep/cam", WATCH_OFFER)]
    {
        let refused = send(node, "POST", &format!("{endpoint}?ticket={ticket}"), &[SDP], offer);
        assert_eq!(refused.status, 401, "{endpoint}: {}", refused.body);
    }
    let bearer = format!("Bearer {ticket}");
    assert_eq!(send(&b, "POST", "/whep/cam", &[SDP, ("authorization", &bearer)], WATCH_OFFER).status, 401);
    assert_eq!(send(&b, "GET", "/node/v1/streams/cam", &[("authorization", &bearer)], "").status, 401);
    let made = |audience: &str, changes: &Value| {
        let mut claims =
            json!({"typ": "sluice-ticket+jwt", "action": "watch", "stream": "cam", "grant": {"credential": ""}});
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        node_token("a", audience, ("POST", "/"), &claims).replace("Bearer ", "/whep/cam?ticket=")
    };
    assert_eq!(send(&b, "POST", &made(&name_b, &json!({})), &[SDP], WATCH_OFFER).status, 201);
    for wrong in [
        json!({"age": 31}),
        json!({"typ": "sluice-node+jwt"}),
        json!({"secret": "another secret with more than 32 characters"}),
        json!({"action": "admin"}),
        json!({"grant": {"credential": "x"}}),
        json!({"grant": {}}),
    ] {
        assert_eq!(send(&b, "POST", &made(&name_b, &wrong), &[SDP], WATCH_OFFER).status, 401, "{wrong}");
    }
    // A client that was sent here is not sent on, so no two full nodes send it back and forth.
    let sent_here = send(&a, "POST", &made(&names(&a)[0], &json!({})), &[SDP], WATCH_OFFER);
    assert_eq!(sent_here.status, 503, "{}", sent_here.body);
}

#[test]
fn an_encoder_that_another_nodes_encoder_replaced_is_refused_at_every_node_while_that_one_is_heard() {
    let server = NatsServer::start("");
    let (a, b) = (node(&server, &[]), node(&server, &[]));
    let (name_a, name_b) = (names(&a)[0].clone(), names(&b)[0].clone());
    let _first = Published::on(&a, "cam");
    until("its media arrives", || cam_at(&a, &name_a, "x")["receiving"] == true);
    until("it is claimed", || cam_at(&b, &name_b, "x")["origin"] == name_a.as_str());
    let second = Published::on(&b, "cam");
    until("the first one is replaced", || replaced_publishers(&a) == 1.0);
    let sessions = json(&b, "/api/sessions");
    let publisher = sessions.iter().find(|session| session["role"] == "publisher").unwrap();
    let own = publisher["user_agent"].as_str().unwrap();
    let publish = |node: &Running, agent: &str| send(node, "POST", "/whip/cam", &[SDP, ("user-agent", agent)], OFFER);
    until("the other node knows it", || publish(&b, own).status == 409);
    let refused = publish(&a, own);
    let (began, seconds) = (Instant::now(), refused.header("retry-after").parse().unwrap());
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!((1..=10).contains(&seconds), "{seconds}");
    assert_eq!(publish(&a, "another encoder").status, 201);
    second.hang();
    until("it may return", || publish(&a, own).status == 201);
    assert!(began.elapsed() < Duration::from_secs(seconds), "before its time is over");
}

#[test]
fn a_node_that_drains_tells_its_viewers_where_to_go() {
    let server = NatsServer::start("");
    let (a, b) = (node(&server, &["--drain", "4"]), node(&server, &[]));
    until("both know two nodes", || names(&a).len() == 2 && names(&b).len() == 2);
    let (session, _) = watch(&a);
    let wanted = [("content-type", "application/json")];
    let opened = send(&a, "POST", &format!("{session}/events"), &wanted, r#"["reconnect"]"#);
    let mut stream = events(&a, opened.header("location"));
    a.signal("TERM");
    let text = read_until(&mut stream, "\"}");
    let expected = format!("event: reconnect\ndata: {{\"url\":\"{}/whep/cam\"}}", b.origin);
    assert!(text.contains(&expected), "{text}");
}
