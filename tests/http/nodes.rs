//! What a node answers other nodes: only requests with a token for it, its method and its path.

use serde_json::{Value, json};
use sluice::cluster::Secrets;

use crate::node_token::{CLUSTER_SECRET, node_token};
use crate::relay::{Relay, Reply};

const CAM: &str = "/node/v1/streams/cam";

/// A node of a cluster whose directory is away.
pub(crate) fn node() -> Relay {
    Relay::with(|config| {
        config.auth.publish_token = Some("p".to_owned());
        config.auth.admin_token = Some("a".to_owned());
        config.cluster.nats.servers = vec!["nats://127.0.0.1:9".parse().unwrap()];
        config.cluster.calls.secrets = Secrets::Given(vec![CLUSTER_SECRET.to_owned()]);
    })
}

/// The name of a node.
pub(crate) fn name(relay: &Relay) -> String {
    let reply = relay.request("GET", "/api/nodes", &[("authorization", "Bearer a")], "");
    let nodes: Value = serde_json::from_str(&reply.body).unwrap();
    nodes[0]["node"].as_str().unwrap().to_owned()
}

fn get(relay: &Relay, path: &str, token: &str) -> Reply {
    relay.request("GET", path, &[("authorization", token)], "")
}

#[test]
fn a_request_of_a_node_needs_a_token_for_this_node_method_and_path() {
    let relay = node();
    let own = name(&relay);
    let token = |changes: Value| node_token("b", &own, ("GET", CAM), &changes);
    let right = token(json!({}));
    let reply = get(&relay, CAM, &right);
    assert_eq!((reply.status, reply.header("sluice-node")), (200, own.as_str()));
    let state: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!((&state["version"], &state["receiving"], &state["path"]), (&json!(1), &json!(false), &json!([])));
    assert_eq!(get(&relay, CAM, &token(json!({"age": 29}))).status, 200);
    for wrong in [
        json!({"age": 32}),
        json!({"exp": 99_999_999_999_u64}),
        json!({"exp": "soon"}),
        json!({"aud": "other"}),
        json!({"method": "POST"}),
        json!({"path": "/node/v1/streams/other"}),
        json!({"iss": "a/b"}),
        json!({"secret": "another secret with more than 32 characters"}),
        json!({"typ": "JWT"}),
        json!({"typ": "sluice-ticket+jwt"}),
    ] {
        let reply = get(&relay, CAM, &token(wrong.clone()));
        assert!(reply.problem(401).contains("--cluster-secret"), "{wrong}");
        assert_eq!(reply.optional("sluice-node"), None);
    }
    for wrong in [format!("{right}x"), right.replace('.', ".."), "Bearer p".to_owned(), "Bearer a".to_owned()] {
        assert_eq!(get(&relay, CAM, &wrong).status, 401, "{wrong}");
    }
    assert_eq!(relay.get(CAM).status, 401);
    assert_eq!(
        get(&relay, "/node/v1/streams/a%20b", &node_token("b", &own, ("GET", "/node/v1/streams/a%20b"), &json!({})))
            .status,
        400
    );
    assert_eq!(get(&relay, &format!("{CAM}?token=p"), &right).status, 200);
}

#[test]
fn a_token_of_a_node_is_no_clients_token() {
    let relay = node();
    let own = name(&relay);
    for (method, path) in [("GET", "/whip/cam"), ("GET", "/api/streams"), ("GET", "/api/sessions"), ("GET", "/metrics")]
    {
        let token = node_token("b", &own, (method, path), &json!({}));
        assert_eq!(relay.request(method, path, &[("authorization", &token)], "").status, 401, "{path}");
    }
}

#[test]
fn a_relay_without_a_secret_answers_no_node() {
    let relay = Relay::start();
    let name = name(&relay);
    assert_eq!(get(&relay, CAM, &node_token("b", &name, ("GET", CAM), &json!({}))).status, 401);
}
