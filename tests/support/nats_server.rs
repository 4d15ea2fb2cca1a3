//! A NATS server as a process of the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use sluice::cluster::NatsConfig;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a directory and ports of its own. Dropping it kills it and removes its files.
pub(crate) struct NatsServer {
    files: PathBuf,
    process: Child,
    scheme: &'static str,
    port: u16,
    monitor: u16,
}

impl NatsServer {
    /// A server with further lines of its configuration file. It keeps its values in files, and writes each before it
    /// answers.
    pub(crate) fn start(configuration: &str) -> Self {
        let mut server = Self::begin(&files(), configuration, "nats");
        server.wait();
        server
    }

    /// A server without JetStream.
    pub(crate) fn start_without_jetstream() -> Self {
        let mut server = Self::begin(&files(), "jetstream: disabled", "nats");
        server.wait_for("/healthz");
        server
    }

    /// The same as [`Self::start`] in this directory, which may hold further files, with TLS.
    pub(crate) fn start_with_tls(files: &Path, configuration: &str) -> Self {
        let mut server = Self::begin(files, configuration, "tls");
        server.wait();
        server
    }

    /// Three servers that make up a cluster.
    pub(crate) fn start_three() -> Vec<Self> {
        let routes = [free_port(), free_port(), free_port()];
        let urls = routes.map(|port| format!("\"nats://127.0.0.1:{port}\"")).join(", ");
        let begin = |port: u16| {
            let listen = format!("listen: \"127.0.0.1:{port}\"");
            let cluster = format!("server_name: s{port}\ncluster {{ name: test, {listen}, routes: [{urls}] }}\n");
            Self::begin(&files(), &cluster, "nats")
        };
        let mut servers: Vec<_> = routes.into_iter().map(begin).collect();
        servers.iter_mut().for_each(Self::wait);
        servers
    }

    fn begin(files: &Path, configuration: &str, scheme: &'static str) -> Self {
        fs::create_dir_all(files).unwrap();
        fs::write(files.join("more.conf"), configuration).unwrap();
        let (port, monitor) = (free_port(), free_port());
        Self { process: spawn(files, port, monitor), files: files.to_owned(), scheme, port, monitor }
    }

    /// Waits until it is ready.
    fn wait(&mut self) {
        self.wait_for("/healthz?js-enabled-only=true");
    }

    fn wait_for(&mut self, path: &str) {
        let (began, url) = (Instant::now(), format!("http://127.0.0.1:{}{path}", self.monitor));
        while !ureq::get(&url).call().is_ok_and(|answer| answer.status() == 200) {
            assert!(self.process.try_wait().unwrap().is_none(), "the server ends: see {}", self.files.display());
            assert!(began.elapsed() < PATIENCE, "the server is not ready");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// Its name, if it is one of a cluster.
    pub(crate) fn name(&self) -> Option<String> {
        let configuration = fs::read_to_string(self.files.join("more.conf")).ok()?;
        Some(configuration.lines().next()?.strip_prefix("server_name: ")?.to_owned())
    }

    pub(crate) fn files(&self) -> &Path {
        &self.files
    }

    /// How a node is told to use it.
    pub(crate) fn config(&self) -> NatsConfig {
        NatsConfig { servers: vec![self.url().parse().unwrap()], ..NatsConfig::default() }
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, on the same ports and with the same files.
    pub(crate) fn start_again(&mut self) {
        self.process = spawn(&self.files, self.port, self.monitor);
        self.wait();
    }

    /// Sends a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.files);
    }
}

/// A directory that does not exist yet.
pub(crate) fn files() -> PathBuf {
    std::env::temp_dir().join(format!("sluice-nats-{:016x}", rand::random::<u64>()))
}

/// A port that the kernel gives to nobody else, also while the server that has it is away: it is below those that are
/// given out by number 0.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + rand::random_range(0..8_000);
    let _ = NEXT.compare_exchange(0, first, Ordering::Relaxed, Ordering::Relaxed);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn spawn(files: &Path, port: u16, monitor: u16) -> Child {
    let store = files.join("store");
    let configuration = format!(
        "listen: \"127.0.0.1:{port}\"\nhttp: \"127.0.0.1:{monitor}\"\n\
         jetstream {{ store_dir: \"{}\", sync_interval: always }}\ninclude more.conf\n",
        store.display()
    );
    fs::write(files.join("server.conf"), configuration).unwrap();
    let log = fs::File::options().create(true).append(true).open(files.join("log")).unwrap();
    let mut command = Command::new(binary());
    command.arg("-c").arg(files.join("server.conf")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().expect("the server is not here: `tests/run` installs it, or set NATS_SERVER")
}

fn binary() -> PathBuf {
    let installed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools/nats-server");
    std::env::var_os("NATS_SERVER").map_or_else(installed, PathBuf::from)
}
