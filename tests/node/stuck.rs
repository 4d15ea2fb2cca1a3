//! A worker in an endless loop, with real threads and sockets: the log names it, `/healthz` fails, and the process
//! still ends when it is asked to. The relay runs in a process of its own, which is this test program again: the binary
//! has no way to make a worker stuck.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use sluice::config::Config;
use sluice::server::Server;
use sluice::{log, stop};

use crate::binary::{self, OFFER, sluice};

/// The variable that tells the relay how long to drain, in seconds.
const DRAIN: &str = "SLUICE_TEST_DRAIN";

/// How long something may take that takes some seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// In a process of its own it is the relay of all these tests.
#[test]
fn a_relay_without_a_stuck_worker_ends_on_sigterm() {
    if let Ok(seconds) = std::env::var(DRAIN) {
        relay_process(seconds.parse().unwrap());
    }
    let mut relay = Relay::start(0);
    relay.signal("TERM");
    let (code, log, _) = relay.ended();
    assert_eq!(code, Some(0), "{log}");
}

fn relay_process(seconds: u64) -> ! {
    let mut config = Config::default();
    let anywhere = "127.0.0.1:0".parse().unwrap();
    (config.http.listen, config.worker.media) = (anywhere, anywhere);
    (config.worker.drain, config.worker.workers) = (Duration::from_secs(seconds), 2.try_into().unwrap());
    log::start(log::filter(log::DEFAULT).unwrap());
    let server = Server::load(&config).unwrap();
    let (address, media) = (server.addresses().http, server.media());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (drain, at_once) = stop::signals(server.drain()).unwrap();
    let http = runtime.handle().clone();
    std::thread::spawn(move || {
        let mut held = None;
        for line in std::io::stdin().lines().map_while(Result::ok) {
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("hold", "") => held = Some(vec![media.hold_worker(0, None)]),
                // Whichever worker has the session.
                ("hold", session) => {
                    held = Some([0, 1].map(|worker| media.hold_worker(worker, Some(session.parse().unwrap()))).into());
                }
                ("release", _) => held = None,
                ("block", _) => (0..2).for_each(|_| drop(http.spawn(async { std::thread::sleep(PATIENCE * 2) }))),
                other => panic!("{other:?}"),
            }
        }
        drop(held);
    });
    say(&format!("listening on {address}"));
    let outcome = runtime.block_on(server.run_and_drain(drain, at_once));
    std::process::exit(stop::exit_code(&outcome).into());
}

fn say(line: &str) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).unwrap();
}

/// [`relay_process`], killed when a test fails.
struct Relay {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    origin: String,
}

impl Relay {
    fn start(drain: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let relay = "stuck::a_relay_without_a_stuck_worker_ends_on_sigterm";
        command.args(["--exact", relay, "--nocapture"]).env(DRAIN, drain.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(stdout.read_line(&mut line).unwrap() > 0, "it ends at once");
            if let Some((_, address)) = line.trim().split_once("listening on ") {
                break address.to_owned();
            }
        };
        Self { child, _stdout: stdout, origin: format!("http://{address}") }
    }

    fn tell(&mut self, what: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{what}").unwrap();
    }

    fn signal(&self, name: &str) {
        binary::signal(&self.child, name);
    }

    /// The status of a path, and what it says.
    fn get(&self, path: &str) -> (u16, String) {
        binary::get(&format!("{}{path}", self.origin))
    }

    /// Waits until `/healthz` has this status; what it says then, and how long it took.
    fn healthy(&self, status: u16) -> (String, Duration) {
        let began = Instant::now();
        loop {
            let (is, body) = self.get("/healthz");
            if is == status {
                return (body, began.elapsed());
            }
            assert!(began.elapsed() < PATIENCE, "still {is}: {body}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn metric(&self, name: &str) -> String {
        let (_, text) = self.get("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
    }

    /// Waits for its end: the exit code, the log, and how long it took.
    fn ended(&mut self) -> (Option<i32>, String, Duration) {
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log, began.elapsed())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const STUCK: Option<i32> = Some(stop::STUCK as i32);

#[test]
fn a_stuck_worker_is_logged_with_its_session_and_the_relay_is_unhealthy_until_it_continues() {
    let mut relay = Relay::start(1);
    let (whip, whep) = (format!("{}/whip/cam", relay.origin), format!("{}/whep/cam", relay.origin));
    let arguments = ["load", "--whip", &whip, "--whep", &whep, "--viewers", "1", "--seconds", "20"];
    let load = sluice(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _ended_with_the_test = Killed(load);
    let began = Instant::now();
    let session = loop {
        let sessions: serde_json::Value = serde_json::from_str(&relay.get("/api/sessions").1).unwrap();
        let mut connected = sessions.as_array().unwrap().iter().filter(|session| session["state"] == "live");
        if let Some(session) = connected.find(|session| session["role"] == "viewer") {
            break session["id"].as_str().unwrap().to_owned();
        }
        assert!(began.elapsed() < PATIENCE, "nobody connects: {sessions}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(relay.metric("sluice_worker_stalls_total"), "0", "a relay that works has no stalls");
    relay.tell(&format!("hold {session}"));
    let (body, took) = relay.healthy(503);
    assert!(body.contains("restart"), "{body}");
    assert!(took >= Duration::from_millis(4_900), "after {took:?}");
    let address = relay.origin.trim_start_matches("http://").to_owned();
    let asked = sluice(&["healthcheck", "--http", &address]).output().unwrap();
    let answer = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(!asked.status.success() && answer.contains("is not well: a media thread is stuck"), "{answer}");
    let stalled: u32 = relay.metric("sluice_workers_stalled").parse().unwrap();
    assert!(stalled >= 1);
    relay.tell("release");
    relay.healthy(200);
    assert_eq!(relay.metric("sluice_workers_stalled"), "0");
    assert_ne!(relay.metric("sluice_worker_stalls_total"), "0");
    relay.signal("TERM");
    let (code, log, _) = relay.ended();
    assert_eq!(code, Some(0), "{log}");
    let line = log.lines().find(|line| line.contains("worker stalled") && line.contains(&session));
    assert!(line.is_some_and(|line| line.contains("WARN") && line.contains("cam") && line.contains("viewer")), "{log}");
    assert!(log.contains("worker runs again"), "{log}");
}

#[test]
fn a_process_with_a_stuck_worker_ends_some_seconds_after_sigterm() {
    let mut relay = Relay::start(1);
    relay.tell("hold");
    relay.healthy(503);
    relay.signal("TERM");
    let (code, log, took) = relay.ended();
    assert_eq!(code, STUCK, "{log}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(log.contains("a media thread did not stop within 5 s"), "{log}");
}

#[test]
fn a_second_sigterm_and_ctrl_c_end_the_drain_of_a_stuck_relay() {
    for second in ["TERM", "INT"] {
        let mut relay = Relay::start(3_600);
        let url = format!("{}/whip/cam", relay.origin);
        let post = || ureq::post(&url).header("content-type", "application/sdp").send(OFFER).map(|it| it.status());
        assert_eq!(post().unwrap(), 201);
        relay.tell("hold");
        relay.signal("TERM");
        let began = Instant::now();
        while relay.get("/readyz").0 != 503 {
            assert!(began.elapsed() < PATIENCE, "it does not drain");
        }
        relay.signal(second);
        let (code, log, took) = relay.ended();
        assert_eq!(code, STUCK, "{log}");
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}

#[test]
fn a_process_whose_http_runtime_is_stuck_too_still_ends() {
    let mut relay = Relay::start(1);
    relay.tell("hold");
    relay.tell("block");
    std::thread::sleep(Duration::from_millis(200));
    relay.signal("TERM");
    let (code, log, took) = relay.ended();
    assert_eq!(code, STUCK, "{log}");
    assert!(took < Duration::from_secs(16), "{took:?}");
    assert!(log.contains("did not stop in time"), "{log}");
}

/// A process that is not to outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
