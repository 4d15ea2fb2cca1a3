//! What nodes ask of each other, by HTTP.
//!
//! A call carries a token that the secret of the cluster signs, for one node, one method and one path, for 30 s. It goes
//! to the URL that the node has in the directory, within the addresses that are allowed.

mod allowed;
mod client;
mod config;
mod node_tag;
mod stream_state;
mod ticket;
mod token;

use std::collections::HashMap;
use std::error::Error;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};

pub use allowed::Allowed;
pub(crate) use allowed::Entry as AllowedEntry;
pub use config::{CallsConfig, Secrets, SecretsError};
pub(crate) use node_tag::NodeTag;
pub(crate) use stream_state::StreamState;

use super::directory::Directory;
use super::evictions;
use super::node_id::NodeId;
use super::store::StoreError;
use crate::auth::{Action, PassedGrant, SharedSecrets};
use crate::name::StreamName;
use crate::stream::Identity;
use allowed::NotAllowed;
use client::{Client, client};
use token::Purpose;

/// The node that answers a call: what answers without it is not that node.
pub(crate) const NODE: HeaderName = HeaderName::from_static("sluice-node");

/// How long a node may take to begin its answer, connection included.
const DEADLINE: Duration = Duration::from_secs(3);

/// How long the rest of an answer may take.
const READING: Duration = Duration::from_secs(3);

/// The largest answer that is read, in octets.
const LARGEST: usize = 256 * 1024;

/// Calls other nodes, and checks the calls of others. In an `Arc`: all requests share it.
#[derive(Debug)]
pub(crate) struct Calls {
    own_tag: NodeTag,
    directory: Arc<Directory>,
    secrets: SharedSecrets,
    allowed: Arc<Allowed>,
    client: Client,
    /// The paths of streams that come from another node: its own path, which is that of its answer. Legs write, requests
    /// read.
    paths: RwLock<HashMap<StreamName, Vec<NodeId>>>,
}

/// What is sent to another node.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Below the URL of the node.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why a node did not answer a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The directory has no such node, or no URL of it.
    #[error("the directory has no URL of this node: set --node-url there")]
    Unknown,
    /// The URL of the node leads elsewhere.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// No connection, or a broken one.
    #[error("the node is not reachable: {0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("the node did not answer within {} s", .0.as_secs_f32())]
    TooSlow(Duration),
    /// Something else answers at the URL of the node, or it has another secret.
    #[error(
        "what answers at the URL of the node ({0}) is not that node, has another --cluster-secret, or has a clock that differs \
         by more than 30 s"
    )]
    Foreign(StatusCode),
    /// The node refused it.
    #[error("the node answered {0}")]
    Refused(StatusCode),
    /// Its answer cannot be read.
    #[error("the answer of the node cannot be read")]
    Unreadable,
}

impl Calls {
    /// Ready to call the nodes of a directory; `None` without a secret.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub(in crate::cluster) fn new(
        config: &CallsConfig,
        authority: Option<&Path>,
        directory: Arc<Directory>,
    ) -> Result<Option<Self>, SecretsError> {
        let Some(secrets) = config.secrets.read()? else { return Ok(None) };
        let allowed = Arc::new(config.allowed.clone());
        let client = client(Arc::clone(&allowed), authority)?;
        let own_tag = NodeTag::of(directory.node());
        Ok(Some(Self { own_tag, directory, secrets, allowed, client, paths: RwLock::default() }))
    }

    /// The name of this node.
    pub(crate) fn own(&self) -> &NodeId {
        self.directory.node()
    }

    /// The tag of this node in the ids of its sessions.
    pub(crate) fn own_tag(&self) -> NodeTag {
        self.own_tag
    }

    /// The other node with this tag, if it lives.
    pub(crate) fn node_with(&self, tag: NodeTag) -> Option<NodeId> {
        let nodes = self.directory.nodes().into_iter().map(|listed| listed.node);
        nodes.filter(|node| node != self.directory.node()).find(|node| NodeTag::of(node) == tag)
    }

    /// A token by which this node may send one request to another one, within 30 s. The path is the one below the URL of
    /// that node, without a query.
    pub(crate) fn bearer(&self, node: &NodeId, method: &Method, path: &str) -> String {
        let purpose = Purpose { audience: node, method, path };
        token::sign(&self.secrets, self.directory.node(), purpose, SystemTime::now())
    }

    /// The node that sends a request with this token; `None` if it is not valid for the request.
    pub(crate) fn verify(&self, token: &str, method: &Method, path: &str) -> Option<NodeId> {
        let purpose = Purpose { audience: self.directory.node(), method, path };
        token::verify(&self.secrets, token, purpose, SystemTime::now())
    }

    /// A ticket that passes a grant to another node, for 30 s, to do this to this stream there.
    pub(crate) fn ticket(&self, node: &NodeId, action: Action, stream: &StreamName, grant: PassedGrant) -> String {
        let purpose = ticket::Purpose { audience: node, action, stream };
        ticket::sign(&self.secrets, purpose, grant, SystemTime::now())
    }

    /// The grant of a ticket; `None` if the ticket is not valid, not for this node, or for something else.
    pub(crate) fn open_ticket(&self, ticket: &str, action: Action, stream: &StreamName) -> Option<PassedGrant> {
        let purpose = ticket::Purpose { audience: self.directory.node(), action, stream };
        ticket::verify(&self.secrets, ticket, purpose, SystemTime::now())
    }

    /// Notes in the directory that an encoder of this node was replaced by one of another node.
    ///
    /// # Errors
    /// [`StoreError`]; it may have been noted all the same.
    pub(super) async fn evict(&self, stream: &StreamName, encoder: &Identity) -> Result<(), StoreError> {
        let digest = self.secrets.digests(&evictions::text(encoder)).into_iter().next();
        self.directory.evict(stream, digest.unwrap_or_default()).await
    }

    /// How long an encoder is refused because it was replaced, at whichever node.
    pub(crate) fn evicted(&self, stream: &StreamName, encoder: &Identity) -> Option<Duration> {
        self.directory.evicted(stream, &self.secrets.digests(&evictions::text(encoder)))
    }

    /// Whether a token calls itself that of a node.
    pub(crate) fn is_of_node(token: &str) -> bool {
        token::is_one(token)
    }

    /// Notes the path of a stream that comes from another node: that of its answer, from the origin to that node. `None`
    /// when it comes from there no more.
    pub(crate) fn set_path(&self, stream: &StreamName, path: Option<Vec<NodeId>>) {
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        match path {
            Some(path) => drop(paths.insert(stream.clone(), path)),
            None => drop(paths.remove(stream)),
        }
    }

    /// The nodes from the origin of a stream to this one, if this one has it from itself or from others.
    pub(crate) fn path(&self, stream: &StreamName) -> Vec<NodeId> {
        let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        let mut path = paths.get(stream).cloned().unwrap_or_default();
        path.push(self.directory.node().clone());
        path
    }

    /// What another node says of a stream.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn stream(&self, node: &NodeId, stream: &StreamName) -> Result<StreamState, CallError> {
        let path = format!("/node/v1/streams/{stream}");
        let call = Call { method: Method::GET, path, headers: HeaderMap::new(), body: Bytes::new() };
        let answer = self.send(node, call).await?;
        if answer.status() != StatusCode::OK {
            return Err(CallError::Refused(answer.status()));
        }
        let body = read(answer.into_body()).await?;
        serde_json::from_slice(&body).map_err(|_| CallError::Unreadable)
    }

    /// The epoch of the claim of a stream, as it was read last; 0 without one.
    pub(crate) fn epoch(&self, stream: &StreamName) -> u64 {
        self.directory.lookup(stream).map_or(0, |claim| claim.epoch)
    }

    /// Whether media may go to an address that a node has named.
    pub(crate) fn admits_media(&self, address: IpAddr) -> bool {
        self.allowed.admits_media(address)
    }

    /// The part of a `Location` that is below the URL of a node.
    pub(crate) fn below(&self, node: &NodeId, location: &str) -> String {
        let url = self.directory.url_of(node).unwrap_or_default();
        let base = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or_default();
        location.strip_prefix(base).unwrap_or(location).to_owned()
    }

    /// Sends a call, and returns the beginning of its answer.
    ///
    /// # Errors
    /// [`CallError`], but for any status that the node itself answers.
    pub(crate) async fn send(&self, node: &NodeId, call: Call) -> Result<Response<Incoming>, CallError> {
        let request = self.request(node, call)?;
        let answered = tokio::time::timeout(DEADLINE, self.client.request(request)).await;
        let answer = answered.map_err(|_| CallError::TooSlow(DEADLINE))?;
        let answer = answer.map_err(|error| CallError::Unreachable(chain(&error)))?;
        let is_node = answer.headers().get(NODE).is_some_and(|value| value.as_bytes() == node.as_str().as_bytes());
        if is_node { Ok(answer) } else { Err(CallError::Foreign(answer.status())) }
    }

    fn request(&self, node: &NodeId, call: Call) -> Result<Request<Full<Bytes>>, CallError> {
        let url = self.directory.url_of(node).ok_or(CallError::Unknown)?;
        let uri: Uri = format!("{url}{}", call.path).parse().map_err(|_| CallError::Unknown)?;
        // A name is checked when it is resolved.
        let host = uri.host().unwrap_or_default();
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            self.allowed.choose(host, [address])?;
        }
        let path = call.path.split('?').next().unwrap_or_default();
        let bearer = format!("Bearer {}", self.bearer(node, &call.method, path));
        let mut bearer = HeaderValue::try_from(bearer).expect("a token is visible ASCII");
        bearer.set_sensitive(true);
        let mut request = Request::new(Full::new(call.body));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (call.method, uri, call.headers);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        Ok(request)
    }
}

/// Reads an answer as a whole.
///
/// # Errors
/// [`CallError`] if it breaks off, is too large, or takes too long.
pub(crate) async fn read(body: Incoming) -> Result<Bytes, CallError> {
    let read = tokio::time::timeout(READING, Limited::new(body, LARGEST).collect()).await;
    let read = read.map_err(|_| CallError::TooSlow(READING))?;
    read.map(http_body_util::Collected::to_bytes).map_err(|_| CallError::Unreadable)
}

/// An error with its causes, which alone say what is wrong.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::header::LOCATION;
    use axum::routing::get;

    use super::super::directory::{Identity, Timing};
    use super::super::store::{Entry, Memory, Store, Update};
    use super::*;

    const STATE: &str = r#"{"version":2,"path":["a","b"],"receiving":true,"more":1}"#;

    /// A node that may call these addresses, and knows the node `b` by this URL.
    fn calls(allowed: &str, url: &str) -> Calls {
        let own = Identity { node: "a".parse().unwrap(), incarnation: 1, url: None, public_url: None, region: None };
        let directory = Directory::new(own, Store::Memory(Memory::default()), Timing::default());
        let value = format!(r#"{{"v":1,"inc":1,"gen":1,"url":"{url}"}}"#);
        directory.apply(&Update { key: "n.b".to_owned(), entry: Entry { value: Some(value.into()), revision: 1 } });
        let allowed = allowed.split_whitespace().map(|entry| entry.parse::<AllowedEntry>().unwrap()).collect();
        let secrets = Secrets::Given(vec!["s".repeat(32)]);
        let config = CallsConfig { secrets, allowed, public_url: None };
        Calls::new(&config, None, Arc::new(directory)).unwrap().unwrap()
    }

    /// A server that answers as the node `name`, and redirects for the stream `elsewhere`.
    async fn serve(name: &'static str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let redirect = (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/node/v1/streams/cam")]);
        let routes = Router::new()
            .route("/node/v1/streams/cam", get(async move || ([(NODE, name)], STATE)))
            .route("/node/v1/streams/elsewhere", get(async move || redirect));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}")
    }

    async fn ask(calls: &Calls, stream: &str) -> Result<StreamState, CallError> {
        calls.stream(&"b".parse().unwrap(), &stream.parse().unwrap()).await
    }

    #[tokio::test]
    async fn a_node_says_what_it_has_of_a_stream_also_one_of_a_later_version() {
        let calls = calls("127.0.0.1", &serve("b").await);
        let state = ask(&calls, "cam").await.unwrap();
        assert_eq!((state.version, state.receiving, state.path.len()), (2, true, 2));
        let unknown = calls.stream(&"c".parse().unwrap(), &"cam".parse().unwrap()).await;
        assert!(matches!(unknown, Err(CallError::Unknown)), "{unknown:?}");
    }

    #[tokio::test]
    async fn what_is_not_that_node_is_not_believed_and_its_redirects_are_not_followed() {
        let other = calls("127.0.0.1", &serve("other").await);
        assert!(matches!(ask(&other, "cam").await, Err(CallError::Foreign(StatusCode::OK))));
        let redirects = calls("127.0.0.1", &serve("b").await);
        assert!(matches!(ask(&redirects, "elsewhere").await, Err(CallError::Foreign(StatusCode::TEMPORARY_REDIRECT))));
    }

    #[tokio::test]
    async fn an_address_that_is_not_allowed_is_not_called_whether_it_is_written_or_resolved() {
        let url = serve("b").await;
        for allowed in ["", "10.0.0.0/8"] {
            let error = ask(&calls(allowed, &url), "cam").await.unwrap_err();
            assert!(matches!(&error, CallError::NotAllowed(_)), "{error}");
            let error = ask(&calls(allowed, &url.replace("127.0.0.1", "[::ffff:127.0.0.1]")), "cam").await.unwrap_err();
            assert!(matches!(&error, CallError::NotAllowed(_)), "{error}");
            let error = ask(&calls(allowed, &url.replace("127.0.0.1", "localhost")), "cam").await.unwrap_err();
            assert!(error.to_string().contains("--cluster-allow"), "{error}");
        }
        let named = calls("localhost", &url.replace("127.0.0.1", "localhost"));
        assert!(ask(&named, "cam").await.is_err(), "a name alone allows no loopback address");
        let both = calls("127.0.0.0/8 ::1", &url.replace("127.0.0.1", "localhost"));
        assert!(ask(&both, "cam").await.is_ok());
    }

    #[test]
    fn a_path_ends_with_this_node_and_is_that_of_the_answer_before() {
        let (calls, cam) = (calls("", "http://b"), "cam".parse().unwrap());
        assert_eq!(calls.path(&cam), ["a".parse().unwrap()]);
        calls.set_path(&cam, Some(vec!["c".parse().unwrap(), "b".parse().unwrap()]));
        assert_eq!(calls.path(&cam).iter().map(NodeId::as_str).collect::<Vec<_>>(), ["c", "b", "a"]);
        calls.set_path(&cam, None);
        assert_eq!(calls.path(&cam).len(), 1);
        assert_eq!(calls.node_with(NodeTag::of(&"b".parse().unwrap())), Some("b".parse().unwrap()));
        assert_eq!(calls.node_with(calls.own_tag()), None);
    }
}
