//! Metrics, health, start and stop.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use sluice::config::Config;
use sluice::http::{AcmeConfig, CertificateSource};
use sluice::metrics::{Medium, Metrics};
use sluice::server::{Server, StartError};

use crate::relay::{Relay, SDP, WHEP_OFFER, request};

#[test]
fn metrics_follow_sessions_and_requests() {
    let relay = Relay::start();
    let value = |name: &str| {
        let text = relay.get("/metrics").body;
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(value("sluice_streams "), 0.0);
    let (session, _) = relay.publish("cam", &[]);
    assert_eq!(relay.request("POST", "/whep/other", &[SDP], WHEP_OFFER).status, 201);
    assert_eq!(value("sluice_sessions{role=\"publisher\",state=\"waiting\"}"), 1.0);
    assert_eq!(value("sluice_sessions{role=\"viewer\",state=\"waiting\"}"), 1.0);
    assert_eq!(value("sluice_streams "), 1.0, "a stream that has only a waiting viewer does not count");
    assert_eq!(value("sluice_session_setup_seconds_count{phase=\"answer\"}"), 2.0);
    assert_eq!(value("sluice_http_requests_total{route=\"whip\",status=\"2xx\"}"), 1.0);
    assert_eq!(relay.request("DELETE", &session, &[], "").status, 200);
    assert_eq!(value("sluice_sessions{role=\"publisher\",state=\"waiting\"}"), 0.0);
    assert_eq!(value("sluice_session_ends_total{reason=\"abandoned\",role=\"publisher\"}"), 1.0);
    assert_eq!(value("sluice_streams "), 0.0);
    assert!(value("process_resident_memory_bytes ") > 0.0);
    assert_eq!(relay.get("/metrics").header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
}

#[test]
fn workers_report_how_busy_they_are() {
    let relay = Relay::with(|config| config.worker.workers = 2.try_into().unwrap());
    for worker in [0, 1] {
        let text = relay.get("/metrics").body;
        let name = format!("sluice_worker_busy_seconds_total{{worker=\"{worker}\"}} ");
        let seconds: f64 = text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap();
        assert!((0.0..5.0).contains(&seconds), "it has nothing to do: {seconds}");
    }
}

/// All metrics of the relay itself, as they are served.
fn metrics_shown() -> String {
    // What is measured of a stream's publisher is shown while there is one.
    let metrics = Metrics::new();
    let stream = metrics.stream(&"cam".parse().unwrap());
    stream.set_jitter(Medium::Video, Duration::ZERO);
    stream.set_keyframe_interval(Duration::ZERO);
    stream.set_layers(1);
    stream.set_paused_layers(0);
    // HTTPS has metrics of its own, and so have orders for its certificate and clusters; nothing answers this authority's,
    // and the cluster's directory is away.
    let state =
        std::env::temp_dir().join(format!("sluice-metrics-{}-{:?}", std::process::id(), thread::current().id()));
    let relay = Relay::with(|config| {
        config.cluster.nats.servers = vec!["nats://127.0.0.1:1".parse().unwrap()];
        config.http.tls.state_dir = Some(state.clone());
        config.http.tls.certificate = Some(CertificateSource::Acme(AcmeConfig {
            domains: vec!["live.example.org".to_owned()],
            directory: "https://127.0.0.1:1/directory".to_owned(),
            contact: Vec::new(),
            ca: None,
        }));
    });
    let shown = relay.get("/metrics").body + &metrics.render();
    drop(relay);
    std::fs::remove_dir_all(&state).unwrap();
    shown
}

#[test]
fn the_readme_has_every_metric_and_no_other() {
    let shown = metrics_shown();
    let registered: BTreeSet<&str> =
        shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let ours: BTreeSet<&str> = registered.into_iter().filter(|name| name.starts_with("sluice_")).collect();
    let readme = include_str!("../../README.md").split('`');
    let documented: BTreeSet<&str> = readme.filter(|word| word.starts_with("sluice_")).collect();
    assert_eq!(ours, documented);
}

#[test]
fn the_readme_names_the_labels_of_each_metric() {
    let shown = metrics_shown();
    let labels = |metric: &str| -> BTreeSet<String> {
        let parts = ["", "_bucket", "_sum", "_count"];
        let samples = shown.lines().filter_map(|line| line.rsplit_once(' ')?.0.strip_prefix(metric));
        let of_metric = samples.filter(|rest| parts.contains(&rest.split('{').next().unwrap()));
        let names = of_metric.flat_map(|rest| rest.split('"').step_by(2)).filter_map(|text| text.strip_suffix('='));
        names.map(|name| name.rsplit(['{', ',']).next().unwrap().to_owned()).filter(|name| name != "le").collect()
    };
    let (mut compared, mut wrong) = (0, Vec::new());
    for row in include_str!("../../README.md").lines().filter(|line| line.starts_with("| `sluice_")) {
        let [_, metrics, documented, _] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let documented = documented.split(':').next().unwrap().split(',').map(|label| label.trim().to_owned());
        let documented: BTreeSet<String> = documented.filter(|label| !label.is_empty()).collect();
        for metric in metrics.split('`').filter(|word| word.starts_with("sluice_")) {
            let labels = labels(metric);
            if labels != documented {
                wrong.push(format!("{metric} has {labels:?}, not {documented:?}"));
            }
            compared += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(compared > 30, "{compared} metrics were found");
}

#[test]
fn a_running_relay_is_healthy_and_ready() {
    let relay = Relay::start();
    assert_eq!(relay.get("/healthz").status, 200);
    assert_eq!(relay.get("/readyz").status, 200);
}

#[test]
fn an_admin_address_moves_api_metrics_and_health_off_the_public_one() {
    let relay = Relay::with(|config| config.http.admin = Some("127.0.0.1:0".parse().unwrap()));
    let admin = relay.addresses.admin.unwrap();
    for path in ["/metrics", "/healthz", "/readyz", "/api/streams"] {
        relay.get(path).problem(404);
        assert_eq!(request(&format!("http://{admin}{path}"), "GET", &[], "").status, 200);
    }
    for path in ["/", "/whip/cam", "/watch/cam"] {
        assert!(request(&format!("http://{admin}{path}"), "GET", &[], "").problem(404).contains("admin address"));
    }
    assert_eq!(relay.get("/").status, 200);
    let (session, _) = relay.publish("cam", &[]);
    let url = format!("http://{admin}{}", session.replace("/session/", "/api/sessions/"));
    assert_eq!(request(&url, "DELETE", &[], "").status, 204);
    relay.get(&session).problem(404);
}

#[test]
fn a_relay_that_is_asked_to_stop_stops_and_frees_its_addresses() {
    let relay = Relay::start();
    let addresses = relay.addresses;
    relay.publish("cam", &[]);
    // A client that keeps its connection open must not keep the relay alive.
    let idle = TcpStream::connect(addresses.http).unwrap();
    relay.stop();
    drop(idle);
    assert!(TcpStream::connect(addresses.http).is_err());
    let mut again = Config::default();
    (again.http.listen, again.worker.media) = (addresses.http, addresses.media);
    assert!(Server::load(&again).is_ok(), "a restart finds its ports free");
}

#[test]
fn an_address_in_use_is_reported_with_its_flag_and_nothing_stays_bound() {
    let relay = Relay::start();
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let refused = |http: SocketAddr, media: SocketAddr, admin: Option<SocketAddr>| -> StartError {
        let mut config = Config::default();
        (config.http.listen, config.worker.media, config.http.admin) = (http, media, admin);
        Server::load(&config).unwrap_err()
    };
    let taken = relay.addresses;
    for (error, flag) in [
        (refused(taken.http, free, None), "--http"),
        (refused(free, taken.media, None), "--media"),
        (refused(free, free, Some(taken.http)), "--admin"),
        (refused("192.0.2.1:0".parse().unwrap(), free, None), "--http"),
        (refused(free, "192.0.2.1:0".parse().unwrap(), None), "--media"),
    ] {
        let sentence = error.to_string();
        assert!(sentence.contains(flag) && sentence.contains("choose") && !sentence.contains('\n'), "{sentence}");
    }
}
