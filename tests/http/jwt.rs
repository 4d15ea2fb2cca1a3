//! JSON Web Tokens: which are taken, and every way to forge one.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice::cli::{Cli, Command};
use sluice::config::Config;

use crate::forge::{
    EC_PRIVATE, EC_PUBLIC, ED_PRIVATE, ED_PUBLIC, RSA_PRIVATE, RSA_PUBLIC, SECRET, base64url, claims, der, hmac_of,
    right, seconds, signed, token,
};
use crate::operator::{Answering, Server};
use crate::relay::{FRAGMENT, Relay, Reply, SDP, WHEP_OFFER, WHIP_OFFER};

/// Files that are removed when they are dropped.
struct Files(Vec<PathBuf>);

impl Files {
    fn new(name: &str, texts: &[&str]) -> Self {
        let write = |(number, text): (usize, &&str)| {
            let path = std::env::temp_dir().join(format!("sluice-jwt-{name}-{number}-{}", std::process::id()));
            std::fs::write(&path, text).unwrap();
            path
        };
        Self(texts.iter().enumerate().map(write).collect())
    }

    fn relay(&self, change: impl FnOnce(&mut Config)) -> Relay {
        Relay::with(|config| {
            config.auth.jwt_keys.clone_from(&self.0);
            change(config);
        })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn publish(relay: &Relay, stream: &str, token: &str) -> Reply {
    relay.request("POST", &format!("/whip/{stream}"), &[SDP, ("authorization", token)], WHIP_OFFER)
}

/// The status of a GET on the endpoint, which needs the same grant and leaves no session.
fn status(relay: &Relay, token: &str) -> u16 {
    relay.request("GET", "/whip/cam-1", &[("authorization", token)], "").status
}

#[test]
fn a_token_of_each_algorithm_allows_its_actions_on_its_streams() {
    let all = format!("{RSA_PUBLIC}{EC_PUBLIC}{ED_PUBLIC}");
    let files = Files::new("all", &[&all, SECRET]);
    let relay = files.relay(|_| {});
    for algorithm in ["HS256", "RS256", "ES256", "EdDSA"] {
        let token = right(algorithm, &claims(&json!({})));
        let session = publish(&relay, "cam-1", &token);
        assert_eq!(session.status, 201, "{algorithm}");
        let headers = [SDP, ("authorization", token.as_str())];
        assert_eq!(relay.request("POST", "/whep/cam-1", &headers, WHEP_OFFER).status, 201);
        assert_eq!(relay.request("DELETE", session.header("location"), &headers[1..], "").status, 200);
        publish(&relay, "other", &token).problem(403);
        publish(&relay, "cam", &token).problem(403);
        relay.request("GET", "/api/sessions", &headers[1..], "").problem(403);
    }
    let watcher = right("ES256", &claims(&json!({"actions": "watch", "streams": "cam-1"})));
    publish(&relay, "cam-1", &watcher).problem(403);
    let operator = right("EdDSA", &json!({"exp": seconds(60), "actions": ["admin"]}));
    assert_eq!(relay.request("GET", "/api/sessions", &[("authorization", &operator)], "").status, 200);
    publish(&relay, "cam-1", &operator).problem(403);
}

#[test]
fn a_token_that_sluice_made_is_taken_with_its_limits() {
    for (private, public) in
        [(SECRET, SECRET), (RSA_PRIVATE, RSA_PUBLIC), (EC_PRIVATE, EC_PUBLIC), (ED_PRIVATE, ED_PUBLIC)]
    {
        let (files, private) = (Files::new("made", &[public]), Files::new("private", &[private]));
        let relay = files.relay(|config| {
            config.auth.jwt_issuer = Some("studio".to_owned());
            config.auth.jwt_audience = Some("relay".to_owned());
        });
        let line = "sluice token --allow watch --stream cam --max-viewers 1 --issuer studio --audience relay --jwt-key";
        let key = [private.0[0].as_os_str().to_owned()];
        let line = line.split_whitespace().map(Into::into).chain(key);
        let Ok(Command::Token(issue)) = Cli::read(line) else { panic!("that is a command line") };
        let token = format!("Bearer {}", issue.run().unwrap().trim());
        let watch = || relay.request("POST", "/whep/cam", &[SDP, ("authorization", &token)], WHEP_OFFER);
        assert_eq!(watch().status, 201);
        watch().problem(429);
    }
}

#[test]
fn a_forged_token_is_never_taken() {
    let files = Files::new("forged", &[RSA_PUBLIC, EC_PUBLIC, ED_PUBLIC, SECRET]);
    let relay = files.relay(|_| {});
    let claims = claims(&json!({}));
    let header = |algorithm: &str| json!({"alg": algorithm, "typ": "JWT"});
    let mut forged = Vec::new();
    // 1. No signature, under every spelling of the algorithm.
    for none in ["none", "None", "NONE", "nOnE", ""] {
        forged.push(token(&header(none), &claims, |_| Vec::new()));
        forged.push(token(&header(none), &claims, |message| signed("HS256", message)));
    }
    // 2. A public key as the secret of an HMAC, in each form that a server may keep it in.
    for public in [RSA_PUBLIC, EC_PUBLIC, ED_PUBLIC] {
        for secret in [public.as_bytes().to_vec(), public.trim().as_bytes().to_vec(), der(public)] {
            forged.push(token(&header("HS256"), &claims, |message| hmac_of(&secret, message)));
        }
    }
    for secret in ["", "secret", "\0"] {
        forged.push(token(&header("HS256"), &claims, |message| hmac_of(secret.as_bytes(), message)));
    }
    // 3. A signature of one algorithm under the name of another, and algorithms that are not taken.
    for (named, real) in
        [("RS256", "HS256"), ("ES256", "EdDSA"), ("HS384", "HS256"), ("PS256", "RS256"), ("RS512", "RS256")]
    {
        forged.push(token(&header(named), &claims, |message| signed(real, message)));
    }
    // 4. Signatures of nothing: ECDSA with zeros, empty ones, and one of other claims.
    for algorithm in ["HS256", "RS256", "ES256", "EdDSA"] {
        for empty in [vec![], vec![0; 32], vec![0; 64], vec![0; 256]] {
            forged.push(token(&header(algorithm), &claims, |_| empty));
        }
        forged.push(token(&header(algorithm), &claims, |_| signed(algorithm, b"e30.e30")));
    }
    // 5. Forms that are no token.
    let good = right("HS256", &claims);
    for change in
        [format!("{good}."), format!("{good}.e30"), good.replace('.', ""), format!("{good}="), "Bearer ..".to_owned()]
    {
        forged.push(change);
    }
    for token in &forged {
        assert_eq!(status(&relay, token), 401, "{token}");
    }
    assert_eq!(status(&relay, &good), 204);
}

#[test]
fn a_token_chooses_no_key_but_one_that_the_operator_named() {
    let files = Files::new("chosen", &[SECRET]);
    let evil = Server::answering(Answering::With(200, jwks("evil", "EdDSA")));
    let relay = files.relay(|_| {});
    let long = "a".repeat(5_000);
    let ids = [
        "../../../../dev/null",
        "/dev/null",
        "/proc/sys/kernel/random/boot_id",
        "file:///etc/passwd",
        "' OR 1=1 --",
        "\0",
        &long,
    ];
    for id in ids {
        for secret in ["", "\n", "0"] {
            let header = json!({"alg": "HS256", "kid": id});
            let forged = token(&header, &claims(&json!({})), |message| hmac_of(secret.as_bytes(), message));
            assert_eq!(status(&relay, &forged), 401, "{id}");
        }
    }
    let key: Value = serde_json::from_str(&jwks("evil", "EdDSA")).unwrap();
    for header in [
        json!({"alg": "EdDSA", "jwk": key["keys"][0]}),
        json!({"alg": "EdDSA", "jku": evil.url(), "kid": "evil"}),
        json!({"alg": "EdDSA", "x5u": evil.url()}),
        json!({"alg": "EdDSA", "kid": evil.url()}),
    ] {
        let forged = token(&header, &claims(&json!({})), |message| signed("EdDSA", message));
        assert_eq!(status(&relay, &forged), 401, "{header}");
    }
    assert!(evil.asked().is_empty(), "no URL of a token is asked");
    // A header that must be understood, and is not.
    let header = json!({"alg": "HS256", "crit": ["exp2"], "exp2": 1});
    assert_eq!(status(&relay, &token(&header, &claims(&json!({})), |message| signed("HS256", message))), 401);
}

#[test]
fn claims_of_the_wrong_type_time_issuer_or_audience_are_refused() {
    let files = Files::new("claims", &[SECRET]);
    let relay = files.relay(|config| {
        config.auth.jwt_issuer = Some("studio".to_owned());
        config.auth.jwt_audience = Some("relay".to_owned());
    });
    let good = json!({"iss": "studio", "aud": ["other", "relay"]});
    let with = |changes: Value| {
        let mut claims = claims(&good);
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        status(&relay, &right("HS256", &claims))
    };
    for taken in
        [json!({}), json!({"aud": "relay"}), json!({"nbf": seconds(-5)}), json!({"exp": seconds(60) as f64 + 0.5})]
    {
        assert_eq!(with(taken.clone()), 204, "{taken}");
    }
    for refused in [
        json!({"exp": seconds(-40)}),
        json!({"exp": seconds(3600).to_string()}),
        json!({"exp": null}),
        json!({"exp": true}),
        json!({"exp": -1}),
        json!({"exp": [seconds(3600)]}),
        json!({"exp": 0}),
        json!({"nbf": seconds(40)}),
        json!({"nbf": seconds(-5).to_string()}),
        json!({"iss": "other"}),
        json!({"iss": null}),
        json!({"iss": 1}),
        json!({"aud": "other"}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"actions": []}),
        json!({"actions": "everything"}),
        json!({"actions": ["publish", "fly"]}),
        json!({"actions": null}),
        json!({"streams": []}),
        json!({"streams": null}),
        json!({"streams": "cam/1"}),
        json!({"streams": [1]}),
        json!({"streams": vec!["cam-*"; 1].into_iter().chain((0..200).map(|_| "a")).enumerate()
            .map(|(number, name)| format!("{name}{number}")).collect::<Vec<_>>()}),
        json!({"max_bitrate": 0}),
        json!({"max_viewers": "2"}),
        json!({"max_layer": 256}),
        json!({"sub": 1}),
    ] {
        assert_eq!(with(refused.clone()), 401, "{refused}");
    }
    let mut without = claims(&good);
    without.as_object_mut().unwrap().remove("exp");
    assert_eq!(status(&relay, &right("HS256", &without)), 401, "a token must end");
    // Members twice: what one parser reads first and another last.
    let text = claims(&good).to_string().replacen('{', "{\"exp\": 99999999999,", 1);
    let message = format!("{}.{}", base64url(r#"{"alg":"HS256"}"#), base64url(text));
    let twice = format!("Bearer {message}.{}", base64url(signed("HS256", message.as_bytes())));
    assert_eq!(status(&relay, &twice), 401);
}

#[test]
fn an_audience_that_nobody_expects_is_refused() {
    let files = Files::new("audience", &[SECRET]);
    let relay = files.relay(|_| {});
    assert_eq!(status(&relay, &right("HS256", &claims(&json!({"iss": "anybody"})))), 204);
    assert_eq!(status(&relay, &right("HS256", &claims(&json!({"aud": "another service"})))), 401);
}

#[test]
fn a_session_stays_its_clients_when_its_token_has_expired() {
    let files = Files::new("expired", &[SECRET]);
    let relay = files.relay(|_| {});
    // The leeway for clocks is 30 s.
    let token = right("HS256", &claims(&json!({"exp": seconds(-27)})));
    let (session, _) = relay.publish("cam-1", &[("authorization", &token)]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while status(&relay, &token) != 401 {
        assert!(Instant::now() < deadline, "it expires");
        std::thread::yield_now();
    }
    assert!(publish(&relay, "cam-1", &token).problem(401).contains("expired"));
    let headers = [FRAGMENT, ("if-match", "*"), ("authorization", token.as_str())];
    let restart = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n";
    assert_eq!(relay.request("PATCH", &session, &headers, restart).status, 200);
    assert_eq!(relay.request("DELETE", &session, &headers[2..], "").status, 200);
}

#[test]
fn a_renewed_token_with_the_same_subject_and_scope_counts_as_the_same() {
    let files = Files::new("renewed", &[SECRET]);
    let relay = files.relay(|_| {});
    let of = |changes: Value| right("HS256", &claims(&changes));
    let (session, _) = relay.publish("cam-1", &[("authorization", &of(json!({})))]);
    let get = |token: &str| relay.request("GET", &session, &[("authorization", token)], "").status;
    assert_eq!(get(&of(json!({"exp": seconds(7200), "jti": "2"}))), 204);
    assert_eq!(get(&of(json!({"actions": ["watch", "publish"]}))), 204, "the order does not matter");
    for foreign in [
        json!({"sub": "bob"}),
        json!({"sub": null}),
        json!({"iss": "https://other.example"}),
        json!({"streams": ["*"]}),
        json!({"actions": ["publish"]}),
        json!({"max_viewers": 3}),
    ] {
        assert_eq!(get(&of(foreign.clone())), 404, "{foreign}");
    }
    assert_eq!(get(&of(json!({"exp": seconds(-60)}))), 401, "a renewed token must count");
    let by = |issuer: &str| of(json!({"iss": issuer}));
    let (session, _) = relay.publish("cam-2", &[("authorization", &by("a"))]);
    let get = |token: &str| relay.request("GET", &session, &[("authorization", token)], "").status;
    assert_eq!((get(&of(json!({"iss": "a", "jti": "3"}))), get(&by("b")), get(&of(json!({})))), (204, 404, 404));
}

/// What a server publishes: the public key of an algorithm, under this id.
fn jwks(id: &str, algorithm: &str) -> String {
    let octets = |pem: &str, count: usize| {
        let der = der(pem);
        der[der.len() - count..].to_vec()
    };
    let key = match algorithm {
        "ES256" => {
            let point = octets(EC_PUBLIC, 64);
            json!({"kty": "EC", "crv": "P-256", "x": base64url(&point[..32]), "y": base64url(&point[32..])})
        }
        "EdDSA" => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(octets(ED_PUBLIC, 32))}),
        "HS256" => json!({"kty": "oct", "k": base64url(SECRET)}),
        other => panic!("no key for {other}"),
    };
    let mut key = key;
    key["kid"] = id.into();
    let strange = json!({"kty": "new", "kid": id});
    json!({"keys": [strange, key]}).to_string()
}

fn by_key(id: &str, algorithm: &str) -> String {
    token(&json!({"alg": algorithm, "kid": id}), &claims(&json!({})), |message| signed(algorithm, message))
}

#[test]
fn a_key_that_a_server_publishes_is_found_and_an_unknown_one_asks_the_server_once_in_30_seconds() {
    let server = Server::answering(Answering::With(200, jwks("one", "ES256")));
    let relay = Relay::with(|config| config.auth.jwks_url = Some(server.url()));
    assert_eq!(status(&relay, &by_key("one", "ES256")), 204, "also right after the start");
    assert_eq!(status(&relay, &by_key("one", "EdDSA")), 401, "an id is bound to an algorithm");
    for number in 0..50 {
        assert_eq!(status(&relay, &by_key(&format!("unknown-{number}"), "EdDSA")), 401);
    }
    assert_eq!(server.asked().len(), 1, "fifty unknown keys within 30 s ask for nothing");
    assert_eq!(status(&relay, &by_key("one", "ES256")), 204);
    server.change(Answering::Down);
    assert_eq!(status(&relay, &by_key("one", "ES256")), 204, "the last keys count while the server is down");
}

#[test]
fn keys_that_a_server_publishes_by_https_count_if_the_named_authority_has_signed_for_it() {
    let (server, authority) = Server::by_https(Answering::With(200, jwks("one", "ES256")));
    let files = Files::new("authority", &[&authority]);
    for ca in [Some(files.0[0].clone()), None] {
        let relay = Relay::with(|config| {
            config.auth.jwks_url = Some(server.url());
            config.auth.access_ca.clone_from(&ca);
        });
        assert_eq!(status(&relay, &by_key("one", "ES256")) == 204, ca.is_some());
    }
}

#[test]
fn a_secret_that_a_server_publishes_is_not_used() {
    let server = Server::answering(Answering::With(200, jwks("public", "HS256")));
    let relay = Relay::with(|config| config.auth.jwks_url = Some(server.url()));
    assert_eq!(status(&relay, &by_key("public", "HS256")), 503, "the server has published no key that counts");
}

#[test]
fn a_server_of_keys_that_was_never_reached_leaves_tokens_undecided_and_holds_up_nobody_else() {
    let right_one = Server::answering(Answering::With(200, jwks("one", "ES256")));
    let deep = "[".repeat(100_000);
    for answering in [
        Answering::Down,
        Answering::Never,
        Answering::Endless,
        Answering::Elsewhere(right_one.url()),
        Answering::With(500, jwks("one", "ES256")),
        Answering::With(200, String::new()),
        Answering::With(200, deep),
        Answering::With(200, "{\"keys\": []}".to_owned()),
    ] {
        let server = Server::answering(answering.clone());
        let relay = Relay::with(|config| {
            config.auth.jwks_url = Some(server.url());
            config.auth.publish_token = Some("static".to_owned());
        });
        let began = Instant::now();
        assert_eq!(status(&relay, "Bearer static"), 204, "another token needs no server");
        assert!(began.elapsed() < Duration::from_secs(4), "{answering:?}");
        // More often than an address may guess: a token that nobody can judge is no guess.
        for _ in 0..30 {
            let refused = relay.request("GET", "/whip/cam-1", &[("authorization", &by_key("one", "ES256"))], "");
            assert_eq!(refused.status, 503, "{answering:?}");
            assert_eq!(refused.header("retry-after"), "5");
        }
        assert!(began.elapsed() < Duration::from_secs(15), "{answering:?}: {:?}", began.elapsed());
        assert_eq!(status(&relay, "Bearer unknown"), 401, "a text that no key can sign");
        assert!(server.most_open() <= 1, "keys are fetched once at a time");
    }
    assert!(right_one.asked().is_empty(), "redirects are not followed");
}
