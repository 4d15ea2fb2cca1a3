//! A server of the operator on this machine: it publishes keys or decides as a webhook, or behaves badly.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use rustls::crypto::ring::default_provider;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How it answers.
#[derive(Clone, Debug)]
pub(crate) enum Answering {
    /// With this status and body.
    With(u16, String),
    /// With a redirect to this address.
    Elsewhere(String),
    /// It closes the connection at once.
    Down,
    /// It reads the request and never answers.
    Never,
    /// With a body that never ends.
    Endless,
}

/// Serves until the process ends.
#[derive(Clone)]
pub(crate) struct Server {
    scheme: &'static str,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    answering: Answering,
    /// What was asked: the request line, headers and body of each request.
    asked: Vec<String>,
    /// Requests that have no answer yet, and the most of them at a time.
    open: usize,
    most_open: usize,
    connections: usize,
}

impl Server {
    pub(crate) fn answering(answering: Answering) -> Self {
        Self::start(answering, None)
    }

    /// One that serves HTTPS, and the root certificate of the authority that has signed for it, in PEM.
    pub(crate) fn by_https(answering: Answering) -> (Self, String) {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let config =
            ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key.into()).unwrap();
        (Self::start(answering, Some(Arc::new(config))), authority.pem())
    }

    fn start(answering: Answering, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { answering, asked: Vec::new(), open: 0, most_open: 0, connections: 0 };
        let state = Arc::new(Mutex::new(state));
        let served = Arc::clone(&state);
        let scheme = if tls.is_some() { "https" } else { "http" };
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (state, tls) = (Arc::clone(&served), tls.clone());
                state.lock().unwrap().connections += 1;
                std::thread::spawn(move || match tls {
                    Some(tls) => {
                        serve_all(StreamOwned::new(ServerConnection::new(tls).unwrap(), connection), &state);
                    }
                    None => serve_all(connection, &state),
                });
            }
        });
        Self { scheme, address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}/path?query=1", self.scheme, self.address)
    }

    /// How many connections it has accepted.
    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    pub(crate) fn change(&self, answering: Answering) {
        self.state.lock().unwrap().answering = answering;
    }

    /// The most requests that had no answer at one time.
    pub(crate) fn most_open(&self) -> usize {
        self.state.lock().unwrap().most_open
    }

    /// What was asked until now.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }
}

/// Serves one request after the other.
fn serve_all(connection: impl Read + Write, state: &Mutex<State>) {
    let mut reader = BufReader::new(connection);
    while serve(&mut reader, state).is_some() {}
}

/// Serves one request; `None` if the connection is to be closed.
fn serve(reader: &mut BufReader<impl Read + Write>, state: &Mutex<State>) -> Option<()> {
    if matches!(state.lock().unwrap().answering, Answering::Down) {
        return None;
    }
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
        request += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request += &String::from_utf8_lossy(&body);
    let answering = {
        let mut state = state.lock().unwrap();
        state.asked.push(request);
        if matches!(state.answering, Answering::Never) {
            state.open += 1;
            state.most_open = state.most_open.max(state.open);
        }
        state.answering.clone()
    };
    let head = |status: u16| format!("HTTP/1.1 {status} x\r\n");
    let text = match answering {
        Answering::With(status, body) => format!("{}content-length: {}\r\n\r\n{body}", head(status), body.len()),
        Answering::Elsewhere(url) => format!("{}location: {url}\r\ncontent-length: 0\r\n\r\n", head(302)),
        Answering::Never => {
            // The client closes the connection when it has waited long enough.
            let _ = reader.read(&mut [0]);
            state.lock().unwrap().open -= 1;
            return None;
        }
        Answering::Endless => {
            reader.get_mut().write_all((head(200) + "connection: close\r\n\r\n").as_bytes()).ok()?;
            loop {
                reader.get_mut().write_all(&[b' '; 4096]).ok()?;
            }
        }
        Answering::Down => return None,
    };
    reader.get_mut().write_all(text.as_bytes()).ok()?;
    reader.get_mut().flush().ok()
}
