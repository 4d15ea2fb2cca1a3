//! A small WHIP and WHEP client (RFC 9725 4.2): posts an offer, finds the session, ends it.
//!
//! For `sluice load`, `sluice check-reachability` and legs. It blocks, within the time limits below; callers that need many
//! sessions at once use several threads. The rule: a token is sent to the host that it was given for, and not to another
//! host that a redirect names.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER};
use ureq::http::{Response, StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body};
use url::Url;

use crate::authority::authority_certificates;

const SDP: &str = "application/sdp";

/// Time limit of a whole request, from its connection to its answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Time limit of the request that ends a session, which its server ends by itself otherwise.
const ENDING: Duration = Duration::from_secs(3);

/// Maximum octets of an answer.
const ANSWER_LIMIT: u64 = 256 * 1024;

/// Redirects followed in a row.
const REDIRECTS: usize = 4;

/// Maximum length of a quoted error text.
const DETAIL_LIMIT: usize = 300;

/// The authorities of `--ca`, whose certificates a client trusts instead of the public ones.
#[derive(Clone, Debug)]
pub struct Authorities(Arc<Vec<Certificate<'static>>>);

impl Authorities {
    /// Reads the PEM file of `--ca`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the file.
    pub(crate) fn read(path: &str) -> Result<Self, String> {
        authority_certificates(Path::new(path)).map(|certificates| Self(Arc::new(certificates)))
    }
}

/// Reads the URL of an endpoint.
///
/// # Errors
/// A sentence that says how to write one.
pub(crate) fn endpoint(text: &str) -> Result<String, String> {
    match parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("write an http or https URL like http://localhost:8080/whip/NAME".to_owned()),
    }
}

/// Decides whether a client may connect to an address to which a URL has led.
pub(crate) type Admits = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    agent: Agent,
    authorization: Option<String>,
}

/// A session that the server created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its URL.
    pub location: String,
    /// The SDP answer.
    pub answer: String,
    /// Entity tag of its ICE session, with quotes, if the server sent one.
    pub etag: Option<String>,
    /// False when a redirect or the Location leads to another host, which does not get the token.
    shows_token: bool,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// A URL that this client cannot use.
    #[error("{0:?} is not an http or https URL: write it like http://localhost:8080/whip/NAME")]
    Url(String),
    /// No answer.
    #[error("cannot reach {url} ({cause}): is the relay running there?")]
    Unreachable {
        /// The URL of the request.
        url: String,
        /// The network error.
        cause: Box<ureq::Error>,
    },
    /// No answer in time.
    #[error("{url} did not answer in time ({cause}): check that the relay there is well, and the network between")]
    Late {
        /// The URL of the request.
        url: String,
        /// Which limit passed.
        cause: Box<ureq::Error>,
    },
    /// Its address may not be used.
    #[error(
        "{url} leads to an address of this machine, of its link or of its cloud, which is not used: if that is meant, list \
         its network in --leg-allow"
    )]
    NotAllowed {
        /// The URL of the request.
        url: String,
    },
    /// Its certificate is not trusted.
    #[error(
        "the certificate of {url} is not trusted ({cause}): use the name that it is for, and if a private authority \
         issued it, name that authority's root with --ca FILE"
    )]
    Untrusted {
        /// The URL of the request.
        url: String,
        /// What is wrong with it.
        cause: Box<ureq::Error>,
    },
    /// It speaks another protocol.
    #[error(
        "{url} does not answer as a server of this kind of URL ({cause}): check the port, and whether the relay serves \
         http or https there"
    )]
    NotHttp {
        /// The URL of the request.
        url: String,
        /// What is wrong with the answer.
        cause: Box<ureq::Error>,
    },
    /// The answer is larger than that of any relay.
    #[error(
        "{url} sent an answer of more than {} KiB: it is not a WHIP or WHEP endpoint of a relay, so check the URL",
        ANSWER_LIMIT / 1024
    )]
    TooLarge {
        /// The URL of the request.
        url: String,
    },
    /// The server refused the request.
    #[error("{url} answered {status}: {detail}")]
    Refused {
        /// The URL of the request.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The reason, in the server's words.
        detail: String,
        /// When to try again, if the server sent it.
        retry_after: Option<Duration>,
    },
    /// The answer lacks something that RFC 9725 4.2 requires.
    #[error("{url} answered without {missing}: it is not a WHIP or WHEP endpoint")]
    Incomplete {
        /// The URL of the request.
        url: String,
        /// What a 201 must have.
        missing: &'static str,
    },
}

impl HttpClient {
    /// A client that sends this bearer token, if any, and trusts these authorities, or the public ones.
    pub fn new(token: Option<&str>, authorities: Option<&Authorities>) -> Self {
        Self { agent: config(authorities).into(), authorization: authorization(token) }
    }

    /// The same, which connects only to addresses that are admitted, also after a redirect.
    pub(crate) fn reaching(token: Option<&str>, authorities: Option<&Authorities>, admits: Admits) -> Self {
        let resolver = Checked { admits, inner: DefaultResolver::default() };
        let agent = Agent::with_parts(config(authorities), DefaultConnector::default(), resolver);
        Self { agent, authorization: authorization(token) }
    }

    /// Posts an offer to an endpoint.
    ///
    /// # Errors
    /// [`HttpClientError`]; the server then has no session, unless its answer was lost.
    pub fn post(&self, endpoint: &str, offer: &str) -> Result<Created, HttpClientError> {
        let endpoint = parse(endpoint)?;
        let mut url = endpoint.clone();
        for _ in 0..REDIRECTS {
            let shows_token = url.origin() == endpoint.origin();
            let mut request = self.agent.post(url.as_str()).header(CONTENT_TYPE, SDP);
            if let Some(authorization) = self.authorization.as_ref().filter(|_| shows_token) {
                request = request.header(AUTHORIZATION, authorization);
            }
            let mut response = request.send(offer).map_err(|cause| no_answer(&url, cause))?;
            let location = header(&response, LOCATION.as_str()).and_then(|location| resolve(&url, location));
            match response.status() {
                StatusCode::CREATED => return created(&url, location, shows_token, &mut response),
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => match location {
                    Some(location) => url = location,
                    None => return Err(incomplete(&url, "a Location to go to")),
                },
                _ => return Err(refused(&url, &mut response)),
            }
        }
        Err(incomplete(&url, "an end to its redirects"))
    }

    /// Ends a session, within 3 s. A session that has already ended is not an error.
    ///
    /// # Errors
    /// [`HttpClientError`]; the session may continue.
    pub fn delete(&self, session: &Created) -> Result<(), HttpClientError> {
        let url = parse(&session.location)?;
        let mut request = self.agent.delete(url.as_str()).config().timeout_global(Some(ENDING)).build();
        if let Some(authorization) = self.authorization.as_ref().filter(|_| session.shows_token) {
            request = request.header(AUTHORIZATION, authorization);
        }
        let mut response = request.call().map_err(|cause| no_answer(&url, cause))?;
        let gone = [StatusCode::NOT_FOUND, StatusCode::GONE].contains(&response.status());
        if response.status().is_success() || gone { Ok(()) } else { Err(refused(&url, &mut response)) }
    }
}

fn config(authorities: Option<&Authorities>) -> ureq::config::Config {
    let roots = authorities.map_or(RootCerts::WebPki, |own| RootCerts::Specific(Arc::clone(&own.0)));
    Agent::config_builder()
        .timeout_global(Some(DEADLINE))
        .http_status_as_error(false)
        // Redirects are followed by this client itself: method, body and token have rules of their own.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn authorization(token: Option<&str>) -> Option<String> {
    token.map(|token| format!("Bearer {token}"))
}

/// Resolves names, and keeps the addresses that are admitted.
struct Checked {
    admits: Admits,
    inner: DefaultResolver,
}

impl std::fmt::Debug for Checked {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Checked").finish_non_exhaustive()
    }
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut admitted = self.inner.empty();
        for address in &self.inner.resolve(uri, config, timeout)? {
            if (self.admits)(address.ip()) {
                admitted.push(*address);
            }
        }
        match admitted.is_empty() {
            true => Err(ureq::Error::Io(io::Error::other(NotAdmitted))),
            false => Ok(admitted),
        }
    }
}

/// A name leads only to addresses that are not admitted.
#[derive(Debug, thiserror::Error)]
#[error("its addresses are not admitted")]
struct NotAdmitted;

fn created(
    url: &Url,
    location: Option<Url>,
    shows_token: bool,
    response: &mut Response<Body>,
) -> Result<Created, HttpClientError> {
    let location = location.ok_or_else(|| incomplete(url, "a Location of the session"))?;
    if !header(response, CONTENT_TYPE.as_str()).is_some_and(|value| value.starts_with(SDP)) {
        return Err(incomplete(url, "an answer of type application/sdp"));
    }
    let etag = header(response, ETAG.as_str()).map(str::to_owned);
    let answer = text(response).map_err(|cause| no_answer(url, cause))?;
    let shows_token = shows_token && location.origin() == url.origin();
    Ok(Created { location: location.to_string(), answer, etag, shows_token })
}

/// Why there is no usable answer.
fn no_answer(url: &Url, cause: ureq::Error) -> HttpClientError {
    if let ureq::Error::Io(error) = &cause
        && error.get_ref().is_some_and(|inner| inner.is::<NotAdmitted>())
    {
        return HttpClientError::NotAllowed { url: shown(url) };
    }
    let tls = match &cause {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        _ => None,
    };
    let is_untrusted = tls.map(|error| matches!(error, rustls::Error::InvalidCertificate(_)));
    let (url, boxed) = (shown(url), Box::new);
    match (is_untrusted, cause) {
        (Some(true), cause) => HttpClientError::Untrusted { url, cause: boxed(cause) },
        (Some(false), cause) => HttpClientError::NotHttp { url, cause: boxed(cause) },
        (None, ureq::Error::BodyExceedsLimit(_) | ureq::Error::LargeResponseHeader(..)) => {
            HttpClientError::TooLarge { url }
        }
        (None, cause @ ureq::Error::Timeout(_)) => HttpClientError::Late { url, cause: boxed(cause) },
        (None, cause @ (ureq::Error::Protocol(_) | ureq::Error::Http(_))) => {
            HttpClientError::NotHttp { url, cause: boxed(cause) }
        }
        (None, cause) => HttpClientError::Unreachable { url, cause: boxed(cause) },
    }
}

fn incomplete(url: &Url, missing: &'static str) -> HttpClientError {
    HttpClientError::Incomplete { url: shown(url), missing }
}

fn refused(url: &Url, response: &mut Response<Body>) -> HttpClientError {
    let retry_after = header(response, RETRY_AFTER.as_str()).and_then(|value| value.parse().ok());
    let text = text(response).unwrap_or_default();
    HttpClientError::Refused {
        url: shown(url),
        status: response.status().as_u16(),
        detail: detail(&text),
        retry_after: retry_after.map(Duration::from_secs),
    }
}

/// A URL as errors show it: without what may be a secret in it.
fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // Only URLs without a host refuse it, and these have none.
    let _ = (shown.set_password(None), shown.set_username(""));
    shown.to_string()
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn text(response: &mut Response<Body>) -> Result<String, ureq::Error> {
    response.body_mut().with_config().limit(ANSWER_LIMIT).read_to_string()
}

/// The detail of a problem+json (RFC 9457), else the first line; without control characters, for it is printed.
fn detail(text: &str) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let part = |name| problem.as_ref()?.get(name)?.as_str();
    let sentence = part("detail").or_else(|| part("title")).or_else(|| text.lines().next()).unwrap_or_default();
    let shown: String = sentence.chars().filter(|char| !char.is_control()).take(DETAIL_LIMIT).collect();
    if shown.is_empty() { "no reason given".to_owned() } else { shown }
}

fn parse(url: &str) -> Result<Url, HttpClientError> {
    let parsed = Url::parse(url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    parsed.ok_or_else(|| HttpClientError::Url(url.to_owned()))
}

/// Resolves a Location (RFC 3986 5.2) against the URL that sent it.
fn resolve(base: &Url, location: &str) -> Option<Url> {
    parse(base.join(location).ok()?.as_str()).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread::JoinHandle;

    use socket2::{Domain, Socket, Type};

    use super::*;

    /// An address that is bound while the socket exists and on which no server listens.
    pub(crate) fn closed_port(any: &str) -> (Socket, SocketAddr) {
        let any: SocketAddr = any.parse().unwrap();
        let socket = Socket::new(Domain::for_address(any), Type::STREAM, None).unwrap();
        socket.bind(&any.into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        (socket, address)
    }

    /// A server that answers one request after the other with these texts, and returns the requests.
    fn serve(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let answer = move |text: String| {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            while !is_whole(&request) {
                let count = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..count]);
            }
            stream.write_all(text.as_bytes()).unwrap();
            String::from_utf8(request).unwrap().to_ascii_lowercase()
        };
        (origin, std::thread::spawn(move || answers.into_iter().map(answer).collect()))
    }

    fn is_whole(request: &[u8]) -> bool {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        body.len() >= length.map_or(0, |length| length.parse().unwrap())
    }

    fn response(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
    }

    #[test]
    fn posts_an_offer_with_its_token_and_finds_the_session() {
        let headers = "content-type: application/sdp\r\nlocation: /session/7\r\netag: \"x\"\r\n";
        let (origin, requests) = serve(vec![response("201 Created", headers, "v=0\r\n")]);
        let created = HttpClient::new(Some("Secret"), None).post(&format!("{origin}/whip/cam"), "offer").unwrap();
        assert_eq!(created.location, format!("{origin}/session/7"));
        assert_eq!((created.answer.as_str(), created.etag.as_deref()), ("v=0\r\n", Some("\"x\"")));
        let request = &requests.join().unwrap()[0];
        for part in [
            "post /whip/cam ",
            "\r\nauthorization: bearer secret\r\n",
            "content-type: application/sdp",
            "\r\n\r\noffer",
        ] {
            assert!(request.contains(part), "{part}: {request}");
        }
    }

    #[test]
    fn follows_a_redirect_with_the_offer_and_without_the_token() {
        let headers = "content-type: application/sdp\r\nlocation: session/8\r\n";
        let (target, requests) = serve(vec![response("201 Created", headers, "v=0")]);
        let redirect = response("307 Temporary Redirect", &format!("location: {target}/whip/other\r\n"), "");
        let (origin, _) = serve(vec![redirect]);
        let created = HttpClient::new(Some("secret"), None).post(&format!("{origin}/whip/cam"), "offer").unwrap();
        assert_eq!(created.location, format!("{target}/whip/session/8"));
        let request = &requests.join().unwrap()[0];
        assert!(request.ends_with("offer") && !request.contains("secret"), "{request}");
    }

    #[test]
    fn an_address_that_is_not_admitted_is_not_connected_to_not_even_by_a_redirect() {
        let headers = "location: http://[::1]:1/session\r\n";
        let (origin, requests) = serve(vec![response("307 Temporary Redirect", headers, "")]);
        let client = |admits: fn(IpAddr) -> bool| HttpClient::reaching(None, None, Arc::new(admits));
        let error = client(|_| false).post(&format!("{origin}/whip/cam"), "").unwrap_err();
        assert!(matches!(error, HttpClientError::NotAllowed { .. }), "{error}");
        let error = client(|address| address.is_ipv4()).post(&format!("{origin}/whip/cam"), "").unwrap_err();
        let HttpClientError::NotAllowed { url } = error else { panic!("{error}") };
        assert!(url.starts_with("http://[::1]:1/"), "{url}");
        assert_eq!(requests.join().unwrap().len(), 1);
    }

    #[test]
    fn a_session_at_another_host_is_ended_without_the_token() {
        let (other, requests) = serve(vec![response("200 OK", "", "")]);
        let headers = format!("content-type: application/sdp\r\nlocation: {other}/session/8\r\n");
        let (origin, _) = serve(vec![response("201 Created", &headers, "v=0")]);
        let client = HttpClient::new(Some("secret"), None);
        client.delete(&client.post(&format!("{origin}/whip/cam"), "offer").unwrap()).unwrap();
        let request = &requests.join().unwrap()[0];
        assert!(request.starts_with("delete /session/8 ") && !request.contains("secret"), "{request}");
    }

    #[test]
    fn errors_show_no_secret_of_a_url() {
        let url = Url::parse("http://name:hunter2@example.org/whep/cam?key=hunter2#hunter2").unwrap();
        assert_eq!(shown(&url), "http://example.org/whep/cam");
    }

    #[test]
    fn a_refusal_has_a_reason_and_a_retry_after() {
        let problem = r#"{"title":"Too Many Requests","detail":"slow down"}"#;
        let (origin, _) = serve(vec![response("429 Too Many Requests", "retry-after: 3\r\n", problem)]);
        let error = HttpClient::new(None, None).post(&format!("{origin}/whip/cam"), "offer").unwrap_err();
        let HttpClientError::Refused { status, detail, retry_after, .. } = error else { panic!("{error}") };
        assert_eq!((status, detail.as_str(), retry_after), (429, "slow down", Some(Duration::from_secs(3))));
    }

    #[test]
    fn a_reason_cannot_command_the_terminal_that_shows_it() {
        assert_eq!(detail("no\u{1b}[31m\r entry\nmore"), "no[31m entry");
        assert_eq!(detail(r#"{"detail": "\u001b]0;title\u0007no"}"#), "]0;titleno");
        assert_eq!(detail("\u{1b}"), "no reason given");
    }

    #[test]
    fn a_session_that_has_ended_needs_no_second_end() {
        let (origin, requests) = serve(vec![response("404 Not Found", "", ""), response("500 Oh", "", "<html>\n")]);
        let client = HttpClient::new(None, None);
        let location = format!("{origin}/session/7");
        let session = Created { location, answer: String::new(), etag: None, shows_token: true };
        client.delete(&session).unwrap();
        let error = client.delete(&session).unwrap_err();
        assert!(error.to_string().ends_with("answered 500: <html>"), "{error}");
        assert!(requests.join().unwrap()[0].starts_with("delete /session/7 "));
    }

    #[test]
    fn a_url_that_is_not_an_endpoint_is_explained_in_a_sentence() {
        for url in ["whip/cam", "localhost:8080", "ftp://localhost/whip", ""] {
            assert!(matches!(HttpClient::new(None, None).post(url, ""), Err(HttpClientError::Url(_))), "{url}");
        }
        let (origin, _) = serve(vec![response("201 Created", "content-type: application/sdp\r\n", "v=0")]);
        let error = HttpClient::new(None, None).post(&origin, "offer").unwrap_err();
        assert!(matches!(error, HttpClientError::Incomplete { .. }), "{error}");
        let (_held, address) = closed_port("127.0.0.1:0");
        let error = HttpClient::new(None, None).post(&format!("http://{address}/whip/cam"), "").unwrap_err();
        assert!(error.to_string().contains("is the relay running"), "{error}");
    }

    #[test]
    fn an_answer_that_is_too_large_or_not_http_says_so_and_not_that_no_relay_runs_there() {
        let large = "a".repeat(ANSWER_LIMIT as usize + 1);
        let headers = "content-type: application/sdp\r\nlocation: /session/7\r\n";
        for (answer, part) in [
            (response("201 Created", headers, &large), "more than 256 KiB"),
            ("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(), "http or https"),
        ] {
            let (origin, _) = serve(vec![answer]);
            let error = HttpClient::new(None, None).post(&format!("{origin}/whip/cam"), "").unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("is the relay running"), "{error}");
        }
    }

    #[test]
    fn a_session_whose_server_hangs_is_given_up_soon() {
        let (_accepting, address) = listener();
        let location = format!("http://{address}/session/7");
        let session = Created { location, answer: String::new(), etag: None, shows_token: true };
        let began = std::time::Instant::now();
        let error = HttpClient::new(None, None).delete(&session).unwrap_err();
        assert!(matches!(error, HttpClientError::Late { .. }), "{error}");
        assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    }

    /// It accepts connections, in the kernel, and answers none.
    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn a_location_is_read_as_rfc_3986_says() {
        let base: Url = "https://relay.example:444/a/whip?x=1".parse().unwrap();
        for (location, expected) in [
            ("/session/1", "https://relay.example:444/session/1"),
            ("https://other.example/s", "https://other.example/s"),
            ("//other.example/s", "https://other.example/s"),
            ("session/1?y=2", "https://relay.example:444/a/session/1?y=2"),
            ("../session/1", "https://relay.example:444/session/1"),
            ("/white space", "https://relay.example:444/white%20space"),
        ] {
            assert_eq!(resolve(&base, location).unwrap().to_string(), expected);
        }
        assert_eq!(resolve(&base, "ftp://other.example/s"), None);
    }
}
