//! The binary itself as a process of the test.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ureq::http::Response;
use ureq::{Agent, Body};

/// How long something may take that takes a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An offer to publish, of FFmpeg.
pub(crate) const OFFER: &str = include_str!("../golden/ffmpeg-9.0.2-av.offer.sdp");

/// An HTTP client for which no status is an error, and which gives up.
pub(crate) fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().new_agent()
}

/// The status and the text that a URL answers.
pub(crate) fn get(url: &str) -> (u16, String) {
    let mut answer = agent().get(url).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

/// Sends a signal, such as `TERM`.
pub(crate) fn signal(process: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &process.id().to_string()]).status();
    assert!(sent.unwrap().success());
    while name == "STOP" && !is_stopped(process.id()) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether all threads of a process stand still: until they do, a busy machine lets some go on for a moment.
fn is_stopped(process: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return true };
    threads.flatten().all(|thread| {
        // The state follows the name, which is in brackets.
        let state = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        state.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}

/// The binary with free ports of loopback, these arguments and no environment.
pub(crate) fn relay(arguments: &[&str]) -> Command {
    sluice(&[&["--http", "127.0.0.1:0", "--media", "127.0.0.1:0"], arguments].concat())
}

/// With these arguments and no environment.
pub(crate) fn sluice(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// A relay that listens, and is killed when a test fails.
pub(crate) struct Running {
    child: Child,
    /// Where its pages are, such as `http://127.0.0.1:4711`.
    pub(crate) origin: String,
    /// All it printed at its start.
    pub(crate) welcome: String,
    log: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts it and waits until it says where it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_logging(command, Stdio::piped())
    }

    /// The same, with its log elsewhere.
    pub(crate) fn start_logging(command: &mut Command, log: impl Into<Stdio>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let (stdout, log) = (child.stdout.take().unwrap(), child.stderr.take().map(reader));
        let mut running = Self { child, origin: String::new(), welcome: String::new(), log };
        for line in BufReader::new(stdout).lines().map(Result::unwrap) {
            if let Some(open) = line.trim_start().strip_prefix("Open ") {
                running.origin = open.trim().trim_end_matches('/').to_owned();
            }
            running.welcome += &(line + "\n");
            if running.welcome.contains("Metrics ") {
                return running;
            }
        }
        panic!("it ends: {}", running.log())
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The status and the text that a path answers.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        get(&format!("{}{path}", self.origin))
    }

    /// The sum of all samples of a metric whose text begins like this, of a relay that has no admin token or `look`.
    pub(crate) fn metric(&self, beginning: &str) -> f64 {
        let request = agent().get(format!("{}/metrics", self.origin)).header("Authorization", "Bearer look");
        let text = request.call().unwrap().body_mut().read_to_string().unwrap();
        let samples = text.lines().filter(|line| line.starts_with(beginning));
        samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Posts [`OFFER`] to publish `cam`, with a token or without one.
    pub(crate) fn post(&self, token: Option<&str>) -> Response<Body> {
        let mut request = agent().post(format!("{}/whip/cam", self.origin)).header("Content-Type", "application/sdp");
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        request.send(OFFER).unwrap()
    }

    /// The URL of the session that was created.
    pub(crate) fn session(&self, created: &Response<Body>) -> String {
        assert_eq!(created.status(), 201);
        format!("{}{}", self.origin, created.headers()["location"].to_str().unwrap())
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let began = Instant::now();
        while !self.has_ended() {
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.wait().unwrap()
    }

    /// What it logged until its end.
    pub(crate) fn log(&mut self) -> String {
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads beside the test, so that a full pipe does not stop the relay.
fn reader(mut stderr: ChildStderr) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).unwrap();
        log
    })
}
