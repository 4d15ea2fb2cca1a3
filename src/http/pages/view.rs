//! The three pages: streams, publish and watch.

use axum::extract::State;
use axum::response::Response;

use super::html::{ALL_STREAMS, CLOSED, FRAMED, Page, preload, script, style};
use crate::http::base_path::BasePath;
use crate::http::request::path::StreamPath;
use crate::http::shared::node::Shared;

/// All modules of the player, so that the browser loads them at once and not one after the other.
const PLAYER_MODULES: [&str; 16] = [
    "api.js",
    "chat.js",
    "events.js",
    "facts.js",
    "ice.js",
    "lost.js",
    "meter.js",
    "page.js",
    "player.js",
    "problems.js",
    "quality.js",
    "received.js",
    "retry.js",
    "wake.js",
    "whip.js",
    "words.js",
];

/// `/`: what this is, which streams are live, how to publish one.
pub(in crate::http) async fn index(base_path: BasePath) -> Response {
    index_page().response(&base_path)
}

/// `/publish/{stream}`: camera or test video to WHIP.
pub(in crate::http) async fn publish(State(shared): State<Shared>, base_path: BasePath, _: StreamPath) -> Response {
    publish_page().response_with(&base_path, &shared.directory.public_origins())
}

/// `/watch/{stream}`: a WHEP player. It learns whether the relay forwards messages of viewers.
pub(in crate::http) async fn watch(State(shared): State<Shared>, base_path: BasePath, _: StreamPath) -> Response {
    const NO_REPLIES: &str = "data-replies=\"no\"";
    let text = include_str!("watch.html");
    let text = match shared.media.hears_viewers() {
        true => &text.replace(NO_REPLIES, "data-replies=\"yes\""),
        false => text,
    };
    watch_page(text).response_with(&base_path, &shared.directory.public_origins())
}

fn index_page() -> Page<'static> {
    Page {
        title: "sluice",
        viewport: "",
        head: script("index.js"),
        attributes: "",
        bar: "<a class=\"quiet\" id=\"metrics\" href=\"/metrics\" hidden>Metrics</a>",
        main: include_str!("index.html"),
        policy: CLOSED,
    }
}

fn publish_page() -> Page<'static> {
    Page {
        title: "Publish - sluice",
        viewport: "",
        head: script("publish.js"),
        attributes: " data-state=\"idle\"",
        bar: "<a class=\"button small\" id=\"watch\" target=\"_blank\" rel=\"noopener\">Open the watch page</a>",
        main: include_str!("publish.html"),
        policy: CLOSED,
    }
}

fn watch_page(main: &str) -> Page<'_> {
    Page {
        title: "Watch - sluice",
        viewport: ", viewport-fit=cover",
        head: style("player.css") + &PLAYER_MODULES.map(preload).concat() + &script("watch.js"),
        attributes: " class=\"watching\" data-state=\"connecting\"",
        bar: ALL_STREAMS,
        main,
        policy: FRAMED,
    }
}

#[cfg(test)]
mod tests {
    use super::super::asset::ALL;
    use super::*;

    fn pages() -> [String; 3] {
        [index_page().text(), publish_page().text(), watch_page(include_str!("watch.html")).text()]
    }

    #[test]
    fn a_page_may_connect_to_the_nodes_to_which_its_client_may_be_sent() {
        let policy = |nodes: &[String]| {
            let response = watch_page("").response_with(&BasePath::default(), nodes);
            response.headers()["content-security-policy"].to_str().unwrap().to_owned()
        };
        assert!(policy(&[]).contains(" connect-src 'self';"));
        let two = ["https://b.example.org", "https://c.example.org:8443"].map(str::to_owned);
        assert!(policy(&two).contains(" connect-src 'self' https://b.example.org https://c.example.org:8443;"));
    }

    #[test]
    fn pages_load_only_what_is_compiled_in() {
        for text in pages() {
            for path in text.split("\"/assets/").skip(1) {
                let name = path.split('"').next().unwrap();
                assert!(ALL.iter().any(|asset| asset.name == name), "{name} is not compiled in");
            }
        }
    }

    #[test]
    fn the_player_loads_all_its_modules_at_once() {
        let page = watch_page("").text();
        let mut needed = vec!["watch.js"];
        for place in 0.. {
            let Some(name) = needed.get(place) else { break };
            let text = ALL.iter().find(|asset| asset.name == *name).unwrap().text;
            for import in text.split("from './").skip(1) {
                let module = import.split('\'').next().unwrap();
                assert!(page.contains(&preload(module)), "{module}");
                if !needed.contains(&module) {
                    needed.push(module);
                }
            }
        }
        assert_eq!(page.matches("modulepreload").count(), needed.len() - 1, "and no other");
    }

    #[test]
    fn pages_have_nothing_that_their_policy_forbids() {
        for page in pages() {
            for forbidden in [" style=", "<style", " onclick=", " onload=", "<script>", "javascript:", "src=\"http"] {
                assert!(!page.contains(forbidden), "{forbidden}");
            }
        }
    }

    #[test]
    fn nothing_of_the_frame_is_left_unfilled() {
        for page in pages() {
            for place in ["VIEWPORT", "TITLE", "HEAD", "ATTRIBUTES", "BAR", "MAIN"] {
                assert!(!page.contains(place), "{place}");
            }
        }
    }
}
