//! The layer that a viewer selects (WHEP, layer selection).

use serde_json::{Value, json};

use crate::relay::{Relay, Reply, SDP, WHEP_OFFER};

const JSON: (&str, &str) = ("content-type", "application/json");

/// The path where a new viewer selects its layer.
fn watch(relay: &Relay, headers: &[(&str, &str)]) -> String {
    let reply = relay.request("POST", "/whep/cam", &[&[SDP], headers].concat(), WHEP_OFFER);
    let mut links = reply.headers.get_all("link").iter().map(|link| link.to_str().unwrap());
    let link = links.rfind(|link| link.ends_with("; rel=\"urn:ietf:params:whep:ext:core:layer\"")).unwrap();
    let path = link.trim_start_matches('<').split_once('>').unwrap().0;
    assert_eq!(path, format!("{}/layer", reply.header("location")));
    path.to_owned()
}

fn select(relay: &Relay, path: &str, selection: &Value) -> Reply {
    relay.request("POST", path, &[JSON], &selection.to_string())
}

fn selected(relay: &Relay, path: &str) -> Value {
    let reply = relay.get(path);
    assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"));
    serde_json::from_str::<Value>(&reply.body).unwrap()["selection"].take()
}

#[test]
fn a_selection_is_kept_until_another_or_none_is_made() {
    let relay = Relay::start();
    let layer = watch(&relay, &[]);
    let automatic = json!({ "mediaId": "1" });
    assert_eq!(selected(&relay, &layer), automatic, "the offer has audio first");
    let limits = json!({
        "mediaId": "1", "audioOnly": true, "spatialLayerId": 0, "temporalLayerId": 1, "maxSpatialLayerId": 2,
        "maxTemporalLayerId": 3, "maxWidth": 640, "maxHeight": 360,
    });
    let reply = select(&relay, &layer, &limits);
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    assert_eq!(selected(&relay, &layer), limits);
    for nothing in [&automatic, &json!({})] {
        assert_eq!(select(&relay, &layer, &json!({ "maxWidth": 1 })).status, 200);
        assert_ne!(selected(&relay, &layer), automatic);
        assert_eq!(select(&relay, &layer, nothing).status, 200);
        assert_eq!(selected(&relay, &layer), automatic);
    }
    select(&relay, &layer, &json!({ "maxHeight": 1 }));
    let record = relay.get(&layer.replace("/session/", "/api/sessions/").replace("/layer", ""));
    let record: Value = serde_json::from_str(&record.body).unwrap();
    assert_eq!(record["selection"], json!({ "mediaId": "1", "maxHeight": 1 }), "operators see it");
    assert_eq!(relay.request("DELETE", &layer, &[], "").status, 200);
    assert_eq!(selected(&relay, &layer), automatic);
    // What players repeat of the `layers` event besides has no effect.
    assert_eq!(select(&relay, &layer, &json!({ "simulcastIdx": 2, "bitrate": 1, "width": 320 })).status, 200);
    assert_eq!(relay.request("HEAD", &layer, &[], "").status, 200);
}

#[test]
fn a_selection_that_means_nothing_is_refused_with_what_there_is() {
    let relay = Relay::start();
    let layer = watch(&relay, &[]);
    let refused = |selection: Value| select(&relay, &layer, &selection).problem(422);
    assert!(refused(json!({ "rid": "h" })).contains("the stream has no video now"));
    assert!(refused(json!({ "encodingId": "x".repeat(2000) })).len() < 200);
    for other in ["0", "2", "01", "", "audio"] {
        assert!(refused(json!({ "mediaId": other })).contains("send \"1\""), "{other}");
    }
    let audio = WHEP_OFFER.split("m=video").next().unwrap().replace("BUNDLE 0 1", "BUNDLE 0");
    let reply = relay.request("POST", "/whep/cam", &[SDP], &audio);
    assert_eq!(reply.status, 201);
    let detail = select(&relay, &format!("{}/layer", reply.header("location")), &json!({})).problem(422);
    assert!(detail.contains("no video"), "{detail}");
}

#[test]
fn a_body_that_is_no_selection_is_refused() {
    let relay = Relay::start();
    let layer = watch(&relay, &[]);
    for body in ["x", "[1]", "{\"temporalLayerId\":\"1\"}", "{\"maxWidth\":-1}"] {
        let detail = relay.request("POST", &layer, &[JSON], body).problem(400);
        assert!(detail.contains("send a JSON object"), "{detail}");
    }
    relay.request("POST", &layer, &[JSON], "").problem(400);
    relay.request("POST", &layer, &[JSON], &" ".repeat(5000)).problem(413);
    let wrong = relay.request("POST", &layer, &[SDP], "{}");
    wrong.problem(415);
    assert_eq!(wrong.header("accept"), "application/json");
    relay.request("PUT", &layer, &[JSON], "{}").problem(405);
}

#[test]
fn only_the_viewer_selects_its_layer() {
    let relay = Relay::with(|config| {
        config.auth.publish_token = Some("p".to_owned());
        config.auth.watch_token = Some("w".to_owned());
    });
    let [own, other, unknown] = ["Bearer w", "Bearer p", "Bearer x"].map(|token| ("authorization", token));
    let layer = watch(&relay, &[own]);
    for method in ["GET", "POST", "DELETE"] {
        let request = |headers: &[(&str, &str)]| relay.request(method, &layer, &[&[JSON], headers].concat(), "{}");
        request(&[]).problem(401);
        request(&[unknown]).problem(401);
        request(&[other]).problem(404);
        assert_eq!(request(&[own]).status, 200);
        let published = format!("{}/layer", relay.publish("own", &[other]).0);
        relay.request(method, &published, &[JSON, other], "{}").problem(404);
    }
}

#[test]
fn pages_of_other_origins_may_select_layers_and_options_says_how() {
    let relay = Relay::start();
    let layer = watch(&relay, &[]);
    let origin = ("origin", "https://player.example");
    for reply in [
        relay.request("POST", &layer, &[origin, JSON], "{}"),
        relay.request("OPTIONS", &layer, &[origin, ("access-control-request-method", "POST")], ""),
    ] {
        assert_eq!(reply.header("access-control-allow-origin"), "*");
    }
    let options = relay.request("OPTIONS", &layer, &[], "");
    let headers = (options.header("allow"), options.header("accept-post"));
    assert_eq!(headers, ("GET,HEAD,POST,DELETE,OPTIONS", "application/json"));
}
