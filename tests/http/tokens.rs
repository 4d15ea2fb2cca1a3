//! The token file: what each line of it allows, on which streams, and within which limits.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sluice::cli::{Cli, Command};

use crate::relay::{Relay, SDP, WHEP_OFFER, WHIP_OFFER};

/// A file of tokens that is removed when it is dropped.
struct TokenFile(PathBuf);

impl TokenFile {
    fn new(name: &str, lines: &[&str]) -> Self {
        let file = Self(std::env::temp_dir().join(format!("sluice-tokens-{name}-{}", std::process::id())));
        file.write(lines);
        file
    }

    fn write(&self, lines: &[&str]) {
        std::fs::write(&self.0, lines.join("\n")).unwrap();
    }

    fn relay(&self) -> Relay {
        Relay::with(|config| config.auth.token_file = Some(self.0.clone()))
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What `sluice token` prints: the token, and its line for the file.
fn issue(arguments: &str) -> (String, String) {
    let line = format!("sluice token {arguments}");
    let Ok(Command::Token(issue)) = Cli::read(line.split_whitespace().map(Into::into)) else { panic!("{line}") };
    let printed = issue.run().unwrap();
    let [_, token, "", _, line] = printed.lines().collect::<Vec<_>>()[..] else { panic!("{printed}") };
    (format!("Bearer {token}"), line.to_owned())
}

#[test]
fn a_token_of_the_file_allows_its_actions_on_its_streams_and_nothing_else() {
    let (encoder, first) = issue("--allow publish --stream cam-*,stage --name encoder");
    let (viewer, second) = issue("--allow watch --stream cam-1");
    let (operator, third) = issue("--allow admin");
    let file = TokenFile::new("scopes", &["# three tokens", &first, &second, "", &third]);
    let relay = file.relay();
    let post = |path: &str, token: &str| {
        let offer = if path.starts_with("/whip") { WHIP_OFFER } else { WHEP_OFFER };
        relay.request("POST", path, &[SDP, ("authorization", token)], offer)
    };
    for path in ["/whip/cam-1", "/whip/stage"] {
        assert_eq!(post(path, &encoder).status, 201, "{path}");
    }
    assert_eq!(post("/whep/cam-1", &viewer).status, 201);
    for (path, token) in [
        ("/whip/other", &encoder),
        ("/whip/stage-2", &encoder),
        ("/whep/cam-1", &encoder),
        ("/whep/cam-2", &viewer),
        ("/whip/cam-1", &viewer),
        ("/whip/cam-1", &operator),
    ] {
        post(path, token).problem(403);
    }
    post("/whip/cam-1", "Bearer guess").problem(401);
    relay.request("POST", "/whep/cam-1", &[SDP], WHEP_OFFER).problem(401);
    let list = |token: &str| relay.request("GET", "/api/sessions", &[("authorization", token)], "");
    assert_eq!(list(&operator).status, 200);
    list(&encoder).problem(403);
}

#[test]
fn a_token_has_as_many_viewers_as_it_allows_and_others_are_not_counted() {
    let (limited, first) = issue("--allow publish,watch --max-viewers 2");
    let (other, second) = issue("--allow watch");
    let file = TokenFile::new("viewers", &[&first, &second]);
    let relay = file.relay();
    let watch = |stream: &str, token: &str| {
        relay.request("POST", &format!("/whep/{stream}"), &[SDP, ("authorization", token)], WHEP_OFFER)
    };
    let viewer = watch("cam", &limited).header("location").to_owned();
    assert_eq!(watch("cam", &limited).status, 201);
    let refused = watch("cam", &limited);
    assert!(refused.problem(429).contains("with this token"));
    refused.header("retry-after");
    assert_eq!(watch("cam", &other).status, 201);
    assert_eq!(watch("stage", &limited).status, 201, "the limit is for each stream");
    assert_eq!(relay.request("DELETE", &viewer, &[("authorization", &limited)], "").status, 200);
    assert_eq!(watch("cam", &limited).status, 201, "a place is free again");
}

#[test]
fn a_publisher_learns_the_smaller_bitrate_limit_by_its_answer() {
    let (token, line) = issue("--allow publish --max-bitrate 1500000");
    let file = TokenFile::new("bitrate", &[&line]);
    let answer = |relay: &Relay| {
        relay.request("POST", "/whip/cam", &[SDP, ("authorization", &token)], WHIP_OFFER).body.replace("\r\n", "\n")
    };
    assert!(answer(&file.relay()).contains("\nb=TIAS:1500000\n"));
    let relay = Relay::with(|config| {
        config.auth.token_file = Some(file.0.clone());
        config.worker.max_publisher_bitrate = 900_000;
    });
    assert!(answer(&relay).contains("\nb=TIAS:900000\n"));
}

#[test]
fn a_changed_file_takes_effect_while_sessions_continue() {
    let ((old, first), (newer, second)) = (issue("--allow publish"), issue("--allow publish"));
    let file = TokenFile::new("change", &[&first]);
    let relay = file.relay();
    let (session, _) = relay.publish("cam", &[("authorization", &old)]);
    file.write(&[&second, "# one more line, so that the size differs"]);
    let publishes = |token: &str| relay.request("GET", "/whip/cam", &[("authorization", token)], "").status == 204;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !publishes(&newer) {
        assert!(Instant::now() < deadline, "the file is read again");
        std::thread::yield_now();
    }
    assert!(!publishes(&old));
    assert_eq!(relay.request("DELETE", &session, &[("authorization", &old)], "").status, 200, "it is still its own");
}
