//! A server that refuses a node, or that a node refuses.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use sluice::cluster::{Claimed, Nats, NatsConfig, Store, StoreError};
use sluice::metrics::DirectoryState;

use super::nats_server::NatsServer;
use super::node::{Node, publication};

/// A node may do this, and an administrator makes the bucket.
const PERMISSIONS: &str = "
    authorization { users: [
        { user: admin, password: admin }
        { user: node, password: right, permissions: {
            publish: [\"$KV.sluice.n.>\", \"$KV.sluice.s.allowed\", \"$JS.API.INFO\", \"$JS.API.STREAM.INFO.KV_sluice\",
                \"$JS.API.STREAM.MSG.GET.KV_sluice\", \"$JS.API.CONSUMER.CREATE.KV_sluice\",
                \"$JS.API.CONSUMER.CREATE.KV_sluice.>\", \"$JS.API.CONSUMER.DELETE.KV_sluice.>\", \"$JS.FC.>\"]
            subscribe: [\"_INBOX.>\"]
        } }
    ] }";

fn store(server: &NatsServer, change: impl FnOnce(&mut NatsConfig)) -> Store {
    let mut config = server.config();
    change(&mut config);
    Store::Nats(Nats::new(config, "node").unwrap())
}

fn write(server: &NatsServer, name: &str, text: &str) -> PathBuf {
    let path = server.files().join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_wrong_password_is_refused_and_the_right_one_is_taken_without_a_restart() {
    let server = NatsServer::start("authorization { user: node, password: right }");
    let file = write(&server, "credentials", "node:wrong\n");
    let node = Node::start("a", store(&server, |config| config.credentials = Some(file)));
    node.until_state(DirectoryState::Unreachable);
    assert_eq!(node.claim(&publication("cam", 1)), Err(StoreError::Unreachable));
    write(&server, "credentials", "node:right\n");
    node.until_state(DirectoryState::Connected);
    assert!(matches!(node.claim(&publication("cam", 1)), Ok(Claimed::Won { .. })));
}

#[test]
fn a_password_that_is_changed_while_nodes_run_is_taken_from_the_file() {
    let user = |password: &str| format!("authorization {{ user: node, password: {password} }}");
    let server = NatsServer::start(&user("first"));
    let file = write(&server, "credentials", "node:first\n");
    let node = Node::connected("a", store(&server, |config| config.credentials = Some(file)));
    assert!(matches!(node.claim(&publication("cam", 1)), Ok(Claimed::Won { .. })));
    write(&server, "more.conf", &user("second"));
    // It reads its configuration again, and ends connections that it does not accept any more.
    server.signal("HUP");
    node.until_state(DirectoryState::Unreachable);
    write(&server, "credentials", "node:second\n");
    node.until_state(DirectoryState::Connected);
    assert!(matches!(node.claim(&publication("other", 1)), Ok(Claimed::Won { .. })));
}

#[test]
fn an_nkey_is_taken_and_another_one_is_not() {
    let (own, other) = (KeyPair::new_user(), KeyPair::new_user());
    let server = NatsServer::start(&format!("authorization {{ users: [ {{ nkey: {} }} ] }}", own.public_key()));
    let with = |name: &str, key: &KeyPair| {
        let file = write(&server, name, &key.seed().unwrap());
        store(&server, |config| config.credentials = Some(file))
    };
    let node = Node::connected("a", with("own", &own));
    assert!(matches!(node.claim(&publication("cam", 1)), Ok(Claimed::Won { .. })));
    Node::start("b", with("other", &other)).until_state(DirectoryState::Unreachable);
}

/// A JSON Web Token as NATS signs them: `claims` are those of its kind.
fn signed(issuer: &KeyPair, subject: &KeyPair, kind: &str, claims: Value) -> String {
    let mut nats = json!({ "type": kind, "version": 2 });
    let of_kind = claims.as_object().unwrap().clone();
    nats.as_object_mut().unwrap().extend(of_kind);
    let (iss, sub) = (issuer.public_key(), subject.public_key());
    let claims = json!({ "jti": kind, "iat": 1_700_000_000, "iss": iss, "sub": sub, "name": kind, "nats": nats });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}

#[test]
fn the_credentials_of_a_signed_user_are_taken() {
    let (operator, account, user) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let system = KeyPair::new_account();
    let plain = json!({ "subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1, "payload": -1,
        "wildcards": true });
    let mut unlimited = plain.clone();
    for of_jetstream in ["mem_storage", "disk_storage", "streams", "consumer"] {
        unlimited[of_jetstream] = json!(-1);
    }
    let of_operator = signed(&operator, &operator, "operator", json!({}));
    let of_account = signed(&operator, &account, "account", json!({ "limits": unlimited }));
    // JetStream keeps nothing of its own there, and does not start without it.
    let of_system = signed(&operator, &system, "account", json!({ "limits": plain }));
    let of_user = signed(&account, &user, "user", json!({ "subs": -1, "data": -1, "payload": -1 }));
    let server = NatsServer::start(&format!(
        "operator: \"{of_operator}\"\nsystem_account: {1}\nresolver: MEMORY\n\
         resolver_preload: {{ {0}: \"{of_account}\", {1}: \"{of_system}\" }}",
        account.public_key(),
        system.public_key()
    ));
    let credentials = format!(
        "-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    let file = write(&server, "node.creds", &credentials);
    let node = Node::connected("a", store(&server, |config| config.credentials = Some(file)));
    assert!(matches!(node.claim(&publication("cam", 1)), Ok(Claimed::Won { .. })));
}

#[test]
fn a_server_without_jetstream_is_named_as_the_reason() {
    let server = NatsServer::start_without_jetstream();
    let node = Node::start("a", store(&server, |_| {}));
    node.until_state(DirectoryState::Unreachable);
    let Err(error) = node.claim(&publication("cam", 1)) else { panic!("nothing keeps a claim") };
    assert!(error.to_string().contains("--jetstream"), "{error}");
}

#[test]
fn a_token_is_taken() {
    let server = NatsServer::start("authorization { token: s3cret }");
    let file = write(&server, "credentials", "s3cret\n");
    Node::connected("a", store(&server, |config| config.credentials = Some(file)));
}

#[test]
fn a_subject_that_a_node_may_not_write_is_an_error_and_others_go_on() {
    let server = NatsServer::start(PERMISSIONS);
    let admin = write(&server, "admin", "admin:admin\n");
    // It makes the bucket.
    drop(Node::connected("admin", store(&server, |config| config.credentials = Some(admin))));
    let file = write(&server, "credentials", "node:right\n");
    let node = Node::connected("a", store(&server, |config| config.credentials = Some(file)));
    assert!(matches!(node.claim(&publication("allowed", 1)), Ok(Claimed::Won { .. })));
    let outcome = node.run(|it| async move {
        tokio::time::timeout(std::time::Duration::from_secs(10), it.claim(&publication("forbidden", 1))).await
    });
    assert!(!matches!(outcome, Ok(Ok(_))), "{outcome:?}");
    assert_eq!(node.directory.state(), DirectoryState::Connected);
}

#[test]
fn a_server_whose_certificate_no_trusted_authority_signed_is_refused() {
    let files = super::nats_server::files();
    fs::create_dir_all(&files).unwrap();
    let signed = || rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (own, other) = (signed(), signed());
    fs::write(files.join("cert.pem"), own.cert.pem()).unwrap();
    fs::write(files.join("key.pem"), own.signing_key.serialize_pem()).unwrap();
    fs::write(files.join("other.pem"), other.cert.pem()).unwrap();
    let file = |name: &str| files.join(name).display().to_string();
    let tls = format!("tls {{ cert_file: \"{}\", key_file: \"{}\" }}", file("cert.pem"), file("key.pem"));
    let server = NatsServer::start_with_tls(&files, &tls);
    let with = |authority: &str| store(&server, |config| config.authority = Some(files.join(authority)));
    Node::connected("a", with("cert.pem"));
    let node = Node::start("b", with("other.pem"));
    node.until_state(DirectoryState::Unreachable);
    assert_eq!(node.claim(&publication("cam", 1)), Err(StoreError::Unreachable));
}
