//! `sluice load` against a relay in another process: everybody joins, everything arrives, and nothing is left behind.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn sluice(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// A relay that ends with the test.
struct Relay {
    process: Child,
    http: String,
}

impl Relay {
    fn start(arguments: &[&str]) -> Self {
        let mut process = sluice(&["--http", "127.0.0.1:0", "--media", "127.0.0.1:0", "--log", "error"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary can be run");
        let stdout = BufReader::new(process.stdout.take().expect("it was piped"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let first = lines.next().expect("it says where it listens");
        let address = first.split(' ').find(|word| word.starts_with("127.0.0.1:"));
        let http = format!("http://{}", address.expect("it names its address"));
        Self { process, http }
    }

    fn load(&self, arguments: &[&str]) -> Output {
        let mut command = sluice(&["load", "--seconds", "1"]);
        let own = [
            ("--whip", format!("{}/whip/load", self.http)),
            ("--whep", format!("{}/whep/load", self.http)),
            ("--pid", self.process.id().to_string()),
        ];
        for (flag, value) in own.iter().filter(|(flag, _)| !arguments.contains(flag)) {
            command.args([flag, value.as_str()]);
        }
        command.args(arguments).output().expect("the binary can be run")
    }

    fn metric(&self, name: &str) -> f64 {
        let mut answer = ureq::get(format!("{}/metrics", self.http))
            .header("Authorization", "Bearer look")
            .call()
            .expect("the relay answers");
        let text = answer.body_mut().read_to_string().expect("metrics are text");
        let samples = text.lines().filter(|line| line.starts_with(name));
        samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the program writes UTF-8")
}

#[test]
fn viewers_of_two_streams_get_everything_and_every_session_is_ended() {
    let relay = Relay::start(&["--publish-token", "let-me", "--watch-token", "let-me", "--admin-token", "look"]);
    let output = relay.load(&["--viewers", "8", "--streams", "2", "--token", "let-me", "--json"]);
    let (said, errors) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success() && said.lines().count() == 1, "{said}{errors}");
    let report: Value = serde_json::from_str(&said).expect("it is JSON");
    let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("no {name} in {said}"));
    assert_eq!((number("joined"), number("lost"), number("damaged"), number("stray")), (8.0, 0.0, 0.0, 0.0), "{said}");
    assert!(number("published") >= 2.0 * 250.0, "{said}");
    assert_eq!(number("delivered"), 4.0 * number("published"), "{said}");
    let delay = report["delay_ms"].as_object().expect("the sample knows the delay");
    assert!(delay["count"].as_u64() >= Some(3 * 250) && delay["p50"].as_f64() < Some(500.0), "{said}");
    assert!(number("cpu_us_per_packet") >= 0.0 && number("memory_bytes_per_viewer") > 0.0, "{said}");
    assert_eq!(relay.metric("sluice_sessions{"), 0.0, "the sessions are gone when the load is");
}

#[cfg(target_os = "linux")]
#[test]
fn clients_are_steered_to_their_worker_wherever_they_arrived_first() {
    let relay = Relay::start(&["--workers", "4"]);
    let output = relay.load(&["--viewers", "36", "--streams", "6", "--json"]);
    let said = text(output.stdout);
    let report: Value = serde_json::from_str(&said).expect("it is JSON");
    let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("no {name} in {said}"));
    assert_eq!((number("joined"), number("lost"), number("damaged")), (36.0, 0.0, 0.0), "{said}");
    // All live on one worker, and three quarters arrive at others first. What is handed over is their handshakes and what
    // comes until the kernel is told: some 20 datagrams each, not the 1,000 that a publisher has sent by the end.
    let handed_over = relay.metric("sluice_handed_over_datagrams_total");
    assert!((1.0..1_500.0).contains(&handed_over), "{handed_over}");
}

#[test]
fn the_table_shows_what_the_json_does() {
    let relay = Relay::start(&[]);
    let output = relay.load(&["--viewers", "1", "--bitrate", "1000000", "--burst", "5"]);
    let said = text(output.stdout);
    for part in [
        "streams",
        "1 of 108 packets/s (1.00 Mbit/s) in bursts of 5",
        "joined       1 of 1",
        "relay CPU",
        "KiB per viewer",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn errors_say_what_to_do() {
    let relay = Relay::start(&["--publish-token", "let-me", "--admin-token", "look"]);
    for (arguments, part) in [
        (vec!["--viewers", "2"], "--token"),
        (vec!["--pid", "4294967295"], "--pid 4294967295"),
        (vec!["--whep", "http://127.0.0.1:1/whep/load"], "is it running there?"),
        (vec!["--whip", "nowhere"], "http://localhost:8080/whip/NAME"),
    ] {
        let output = relay.load(&arguments);
        let said = text(output.stderr);
        assert!(!output.status.success() && said.contains(part), "{arguments:?}: {said}");
    }
    assert_eq!(relay.metric("sluice_sessions{"), 0.0);
}
