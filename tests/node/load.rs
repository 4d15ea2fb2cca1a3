//! `sluice load` against a relay in another process: everybody joins, everything arrives, and nothing is left behind.

use std::process::Output;

use serde_json::Value;

use crate::binary::{Running, relay, sluice};

/// A relay that logs errors only.
fn start(arguments: &[&str]) -> Running {
    Running::start(&mut relay(&[&["--log", "error"], arguments].concat()))
}

/// What `sluice load` finds of a relay.
fn load(relay: &Running, arguments: &[&str]) -> Output {
    let mut command = sluice(&["load", "--seconds", "1"]);
    let own = [
        ("--whip", format!("{}/whip/load", relay.origin)),
        ("--whep", format!("{}/whep/load", relay.origin)),
        ("--pid", relay.id().to_string()),
    ];
    for (flag, value) in own.iter().filter(|(flag, _)| !arguments.contains(flag)) {
        command.args([flag, value.as_str()]);
    }
    command.args(arguments).output().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the program writes UTF-8")
}

#[test]
fn viewers_of_two_streams_get_everything_and_every_session_is_ended() {
    let relay = start(&["--publish-token", "let-me", "--watch-token", "let-me", "--admin-token", "look"]);
    let output = load(&relay, &["--viewers", "8", "--streams", "2", "--token", "let-me", "--json"]);
    let (printed, errors) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success() && printed.lines().count() == 1, "{printed}{errors}");
    let report: Value = serde_json::from_str(&printed).expect("it is JSON");
    let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("no {name} in {printed}"));
    assert_eq!(
        (number("joined"), number("lost"), number("damaged"), number("stray")),
        (8.0, 0.0, 0.0, 0.0),
        "{printed}"
    );
    assert!(number("published") >= 2.0 * 250.0, "{printed}");
    assert_eq!(number("delivered"), 4.0 * number("published"), "{printed}");
    let delay = report["delay_ms"].as_object().expect("the sample knows the delay");
    assert!(delay["count"].as_u64() >= Some(3 * 250) && delay["p50"].as_f64() < Some(500.0), "{printed}");
    assert!(number("cpu_us_per_packet") >= 0.0 && number("memory_bytes_per_viewer") > 0.0, "{printed}");
    assert_eq!(relay.metric("sluice_sessions{"), 0.0, "the sessions are gone when the load is: {errors}");
}

#[test]
fn a_relay_on_all_addresses_carries_media_by_ipv6_and_by_ipv4() {
    let everywhere = ["--log", "error", "--http", "[::]:0", "--media", "[::]:0"];
    let relay = Running::start(&mut sluice(&everywhere));
    let port = relay.origin.rsplit_once(':').unwrap().1;
    for host in ["[::1]", "127.0.0.1"] {
        let [whip, whep] = ["whip", "whep"].map(|endpoint| format!("http://{host}:{port}/{endpoint}/cam"));
        // The clients of `load` have sockets of one family: that of their HTTP connection.
        let output = load(&relay, &["--whip", &whip, "--whep", &whep, "--viewers", "2", "--json"]);
        let (printed, errors) = (text(output.stdout), text(output.stderr));
        let report: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{host}: {printed}{errors}"));
        let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("no {name} in {printed}"));
        assert_eq!((number("joined"), number("lost"), number("damaged")), (2.0, 0.0, 0.0), "{host}: {printed}");
        assert!(number("delivered") > 0.0, "{host}: {printed}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn clients_are_steered_to_their_worker_wherever_they_arrived_first() {
    let relay = start(&["--workers", "4"]);
    let output = load(&relay, &["--viewers", "36", "--streams", "6", "--json"]);
    let printed = text(output.stdout);
    let report: Value = serde_json::from_str(&printed).expect("it is JSON");
    let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("no {name} in {printed}"));
    assert_eq!((number("joined"), number("lost"), number("damaged")), (36.0, 0.0, 0.0), "{printed}");
    // All live on one worker, and three quarters arrive at others first. What is handed over is their handshakes and
    // what comes until the kernel has the list of clients: some 20 datagrams each, not the 1,000 that a publisher has
    // sent by the end.
    let handed_over = relay.metric("sluice_handed_over_datagrams_total");
    assert!((1.0..1_500.0).contains(&handed_over), "{handed_over}");
}

#[test]
fn the_table_shows_what_the_json_does() {
    let relay = start(&[]);
    let output = load(&relay, &["--viewers", "1", "--bitrate", "1000000", "--burst", "5"]);
    let printed = text(output.stdout);
    for part in [
        "streams",
        "1 of 108 packets/s (1.00 Mbit/s) in bursts of 5",
        "joined       1 of 1",
        "relay CPU",
        "KiB per viewer",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
}

#[test]
fn a_viewer_whose_link_carries_less_gets_a_smaller_layer() {
    let relay = start(&[]);
    let links = ["--viewers", "2", "--layers", "2", "--capacity", "8M,1M"];
    let output = load(&relay, &[links.as_slice(), &["--json"]].concat());
    let printed = text(output.stdout);
    let report: Value = serde_json::from_str(&printed).expect("it is JSON");
    let at = |place: usize| &report["capacities"][place];
    assert_eq!((&report["joined"], &report["damaged"]), (&Value::from(2), &Value::from(0)), "{printed}");
    assert_eq!(at(0)["bits_per_second"], 8_000_000, "{printed}");
    assert_eq!(at(0)["on_layer"], serde_json::json!([0, 1]), "{printed}");
    assert_eq!(at(1)["on_layer"], serde_json::json!([1, 0]), "{printed}");
    assert!(at(1)["longest_gap_ms"].as_f64() > Some(0.0), "{printed}");
    let seconds = report["seconds"].as_f64().unwrap();
    assert!(seconds < 2.9, "the time in which the last packets arrive does not count: {seconds}");
}

#[test]
fn errors_say_what_to_do() {
    let relay = start(&["--publish-token", "let-me", "--admin-token", "look"]);
    for (arguments, code, part) in [
        (vec!["--viewers", "2"], 1, "--token"),
        (vec!["--pid", "4294967295"], 1, "--pid 4294967295"),
        (vec!["--whep", "http://127.0.0.1:1/whep/load"], 1, "is it running there?"),
        (vec!["--whip", "nowhere"], 64, "http://localhost:8080/whip/NAME"),
        (vec!["--whep", "ftp://127.0.0.1/whep/load"], 64, "http://localhost:8080/whip/NAME"),
        (vec!["--ca", "/no/root.pem"], 64, "the file does not exist"),
    ] {
        let output = load(&relay, &arguments);
        let printed = text(output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {printed}");
        assert!(printed.contains(part), "{arguments:?}: {printed}");
    }
    assert_eq!(relay.metric("sluice_sessions{"), 0.0);
}
