//! A server of the operator on this machine: it publishes keys or decides as a webhook, or behaves badly.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

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
}

impl Server {
    pub(crate) fn answering(answering: Answering) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { answering, asked: Vec::new(), open: 0, most_open: 0 }));
        let served = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&served);
                std::thread::spawn(move || serve(connection, &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/path?query=1", self.address)
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

fn serve(mut connection: TcpStream, state: &Mutex<State>) -> Option<()> {
    if matches!(state.lock().unwrap().answering, Answering::Down) {
        return None;
    }
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
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
    let head = |status: u16| format!("HTTP/1.1 {status} x\r\nconnection: close\r\n");
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
            connection.write_all((head(200) + "\r\n").as_bytes()).ok()?;
            loop {
                connection.write_all(&[b' '; 4096]).ok()?;
            }
        }
        Answering::Down => return None,
    };
    connection.write_all(text.as_bytes()).ok()
}
