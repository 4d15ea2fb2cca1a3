//! Pages: what they may load, and that nothing of a request gets into them.

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
fn all_that_a_page_loads_is_there() {
    let relay = Relay::start();
    let mut seen = Vec::new();
    let mut open: Vec<String> = PAGES.iter().map(|&path| path.to_owned()).collect();
    while let Some(path) = open.pop() {
        let reply = relay.get(&path);
        assert_eq!(reply.status, 200, "{path}");
        for name in reply.body.split("/assets/").skip(1) {
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
fn nothing_of_a_request_is_written_into_a_page() {
    let relay = Relay::start();
    assert_eq!(relay.get("/watch/one?x=%3Cscript%3E").body, relay.get("/watch/two").body);
    for path in ["/watch/%3Cscript%3E", "/publish/a%20b"] {
        let reply = relay.get(path);
        reply.problem(400);
        assert!(!reply.body.contains("<script>"));
    }
}
