//! Pages: what they may load, and that no text of a request is written into them.

use sluice::http::Origins;

use crate::relay::Relay;

const PAGES: [&str; 3] = ["/", "/publish/cam", "/watch/cam"];

#[test]
fn pages_are_strict_about_what_they_load() {
    let relay = Relay::start();
    for path in PAGES {
        let reply = relay.get(path);
        assert_eq!((reply.status, reply.header("content-type")), (200, "text/html; charset=utf-8"));
        let policy = reply.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
    }
    assert!(relay.get("/publish/cam").header("content-security-policy").contains("frame-ancestors 'none'"));
}

#[test]
fn every_file_that_a_page_loads_exists() {
    let relay = Relay::start();
    let mut seen = Vec::new();
    let mut open: Vec<String> = PAGES.iter().map(|&path| path.to_owned()).collect();
    while let Some(path) = open.pop() {
        let reply = relay.get(&path);
        assert_eq!(reply.status, 200, "{path}");
        // Pages name them by their path, scripts from their own address.
        for name in reply.body.split("/assets/").skip(1).chain(reply.body.split("'./").skip(1)) {
            let end = name.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)).unwrap_or(name.len());
            let asset = format!("/assets/{}", &name[..end]);
            if !seen.contains(&asset) {
                seen.push(asset.clone());
                open.push(asset);
            }
        }
    }
    assert!(seen.len() >= 9, "{seen:?}");
    let kind = |path: &str| relay.get(path).header("content-type").to_owned();
    assert_eq!(kind("/assets/watch.js"), "text/javascript; charset=utf-8");
    assert_eq!(kind("/assets/style.css"), "text/css; charset=utf-8");
    relay.get("/assets/nothing.js").problem(404);
    relay.get("/assets/..%2Fmod.rs").problem(404);
}

#[test]
fn assets_may_be_read_from_any_origin_even_when_cached() {
    let relay = Relay::with(|config| config.http.origins = Origins::Listed(vec!["https://a.example".to_owned()]));
    for path in ["/assets/watch.js", "/assets/player.css", "/assets/icon.svg"] {
        let first = relay.request("GET", path, &[("origin", "null")], "");
        assert_eq!((first.status, first.header("access-control-allow-origin")), (200, "*"), "{path}");
        let known = [("origin", "null"), ("if-none-match", first.header("etag"))];
        let again = relay.request("GET", path, &known, "");
        assert_eq!((again.status, again.header("access-control-allow-origin")), (304, "*"), "{path}");
    }
}

#[test]
fn no_text_of_a_request_is_written_into_a_page() {
    let relay = Relay::start();
    assert_eq!(relay.get("/watch/one?x=%3Cscript%3E").body, relay.get("/watch/two").body);
    for path in ["/watch/%3Cscript%3E", "/publish/a%20b"] {
        let reply = relay.get(path);
        reply.problem(400);
        assert!(!reply.body.contains("<script>"));
    }
}

#[test]
fn a_browser_gets_a_problem_as_a_page_and_a_program_as_a_document() {
    let relay = Relay::start();
    let person = [("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")];
    for (path, status, part) in [
        ("/watch/a%20b", 400, "A-Z a-z 0-9"),
        ("/watch/%3Cscript%3E", 400, "A-Z a-z 0-9"),
        ("/watch/%ff", 400, "`stream`"),
        ("/nothing", 404, "see / for what is"),
        ("/session/AAAAAAAAAAAAAAAAAAAAAA", 404, "it has ended or never existed"),
    ] {
        let shown = relay.request("GET", path, &person, "");
        assert_eq!((shown.status, shown.header("content-type")), (status, "text/html; charset=utf-8"), "{path}");
        assert!(shown.header("content-security-policy").starts_with("default-src 'none'"));
        assert!(
            shown.body.contains(part) && shown.body.contains(".</p>") && !shown.body.contains("<script>"),
            "{}",
            shown.body
        );
        assert!(!shown.body.contains("TITLE") && !shown.body.contains("DETAIL"), "{}", shown.body);
        for accept in ["*/*", "application/json"] {
            assert!(relay.request("GET", path, &[("accept", accept)], "").problem(status).contains(part));
        }
    }
    // Only a GET that accepts HTML gets a page; the headers for programs remain.
    relay.request("POST", "/whip/a%20b", &person, "").problem(400);
    let wrong = relay.request("GET", "/session/AAAAAAAAAAAAAAAAAAAAAA", &person, "");
    assert_eq!(wrong.header("access-control-allow-origin"), "*");
    assert_eq!(relay.request("GET", "/watch/cam", &person, "").status, 200);
}

#[test]
fn the_watch_page_knows_whether_the_relay_forwards_messages_of_viewers() {
    for (hears, attribute) in [(false, "data-replies=\"no\""), (true, "data-replies=\"yes\"")] {
        let relay = Relay::with(|config| config.worker.viewer_messages = hears);
        assert!(relay.get("/watch/cam").body.contains(attribute));
        assert!(!relay.get("/publish/cam").body.contains("data-replies"), "a publisher always writes");
    }
}

#[test]
fn a_browser_loads_an_asset_again_only_after_it_changed() {
    let relay = Relay::start();
    let tags: Vec<String> =
        ["watch.js", "style.css"].map(|name| relay.get(&format!("/assets/{name}")).header("etag").to_owned()).into();
    assert_ne!(tags[0], tags[1], "the tag is of the text, not of the version");
    let known = relay.request("GET", "/assets/watch.js", &[("if-none-match", &tags[0])], "");
    assert_eq!((known.status, known.body.as_str(), known.header("etag")), (304, "", tags[0].as_str()));
    let older = relay.request("GET", "/assets/watch.js", &[("if-none-match", "\"0.1.0\"")], "");
    assert!(older.status == 200 && !older.body.is_empty());
}
