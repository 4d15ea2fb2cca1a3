//! The command: its flags, its requests, and the sentences of its report.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::thread;

use clap::Args;
use url::Url;

use super::answer::Answer;
use super::attempt::{self, OWN_UFRAG, Outcome};
use crate::advertise::exchange::is_timeout;
use crate::client::{Authorities, HttpClient, HttpClientError};
use crate::five_tuple::{Protocol, is_private};

/// Which relay to try, and how.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// The relay's address.
    #[arg(value_name = "URL", help = "The relay's address, such as https://live.example.org/", value_parser = base)]
    pub url: Url,

    /// Bearer token that may watch the stream
    #[arg(long, env = "SLUICE_REACHABILITY_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// PEM file with the root certificates that the relay's certificate is checked by, instead of the public ones
    #[arg(long, env = "SLUICE_REACHABILITY_CA", value_name = "FILE", value_parser = Authorities::read)]
    pub ca: Option<Authorities>,

    /// Name of the stream to ask for; it needs no publisher, unless the relay refuses early viewers
    #[arg(long, value_name = "NAME", default_value = "reachability-check")]
    pub stream: String,
}

/// Why nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum ReachabilityError {
    /// The relay gave no session.
    #[error(transparent)]
    Http(#[from] HttpClientError),
    /// The answer has no credentials or no candidates.
    #[error("{0} answered without ICE candidates: it is not a WHEP endpoint of a relay")]
    NoCandidates(String),
}

/// The result for each candidate, best first.
#[derive(Debug)]
pub struct Reachability(Vec<(Protocol, SocketAddr, Outcome)>);

/// Reads the base URL of a relay.
fn base(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    url.ok_or_else(|| "write the relay's address like https://live.example.org/".to_owned())
}

/// Asks the relay for a session and checks each candidate of its answer. This blocks, for some seconds at most.
///
/// # Errors
/// [`ReachabilityError`] when there is nothing to try.
pub fn run(config: &Config) -> Result<Reachability, ReachabilityError> {
    let mut endpoint = config.url.clone();
    if let Ok(mut segments) = endpoint.path_segments_mut() {
        segments.pop_if_empty().extend(["whep", config.stream.as_str()]);
    }
    let http = HttpClient::new(config.token.as_deref(), config.ca.as_ref());
    let session = http.post(endpoint.as_str(), &offer())?;
    let answer = Answer::parse(&session.answer).filter(|answer| !answer.candidates.is_empty());
    let outcomes = answer.map(|answer| {
        thread::scope(|scope| {
            let answer = &answer;
            let spawn = |&it| (it, scope.spawn(move || attempt::check(answer, it)));
            let tried: Vec<_> = answer.candidates.iter().map(spawn).collect();
            let outcome = |thread: thread::ScopedJoinHandle<'_, Outcome>| {
                thread.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()))
            };
            tried.into_iter().map(|((protocol, to), thread)| (protocol, to, outcome(thread))).collect()
        })
    });
    // The relay ends it by itself if this fails.
    let _ = http.delete(&session);
    outcomes.map(Reachability).ok_or_else(|| ReachabilityError::NoCandidates(endpoint.to_string()))
}

impl Reachability {
    /// Whether a viewer on this machine connects by UDP.
    pub fn is_good(&self) -> bool {
        self.is_reachable_by(Protocol::Udp)
    }

    fn is_reachable_by(&self, wanted: Protocol) -> bool {
        self.0.iter().any(|(protocol, _, outcome)| *protocol == wanted && outcome.is_ok())
    }
}

/// A sentence for each candidate, and a conclusion.
impl fmt::Display for Reachability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (protocol, address, outcome) in &self.0 {
            let name = name(*protocol);
            match outcome {
                Ok(took) => writeln!(formatter, "{address} by {name}: reachable, {} ms", took.as_millis())?,
                Err(error) => {
                    let what = if is_timeout(error) { "no answer".to_owned() } else { error.to_string() };
                    writeln!(
                        formatter,
                        "{address} by {name}: not reachable ({what}); {}",
                        advice(*protocol, *address)
                    )?;
                }
            }
        }
        let sentence = match (self.is_reachable_by(Protocol::Udp), self.is_reachable_by(Protocol::Tcp)) {
            (true, _) => "viewers on this machine connect by UDP",
            (false, true) => {
                "viewers on this machine connect by TCP only, which is worse where packets are lost: open the port for \
                 UDP"
            }
            (false, false) => {
                "viewers on this machine cannot connect: open the media port for UDP and TCP, and set --advertise to \
                 an address that they can reach"
            }
        };
        writeln!(formatter, "{sentence}")
    }
}

/// What to do about an address that is not reachable.
fn advice(protocol: Protocol, address: SocketAddr) -> String {
    if is_private(address.ip()) {
        return "it is a private address, which only machines in its own network can reach: for others, set --advertise"
            .to_owned();
    }
    let (name, port) = (name(protocol), address.port());
    format!(
        "open {name} port {port} in the firewalls of the relay's machine and of its provider, forward it to the relay \
         through any NAT, and check that {} is the relay's address",
        address.ip()
    )
}

fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "UDP",
        Protocol::Tcp | Protocol::Turn => "TCP",
    }
}

/// A viewer's offer like that of a browser, with one codec of each kind. The fingerprint is of no certificate, because
/// the check ends before DTLS begins.
fn offer() -> String {
    let fingerprint = vec!["00"; 32].join(":");
    let section = |mid: u8, media: &str, codec: &str| {
        format!(
            "m={media}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=recvonly\r\na=rtcp-mux\r\na={codec}\r\n\
             a=ice-ufrag:{OWN_UFRAG}\r\na=ice-pwd:ReachabilityOfARelayFromHere\r\na=setup:actpass\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\n"
        )
    };
    format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n{}{}",
        section(0, "audio 9 UDP/TLS/RTP/SAVPF 111", "rtpmap:111 opus/48000/2"),
        section(1, "video 9 UDP/TLS/RTP/SAVPF 96", "rtpmap:96 VP8/90000"),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::name::Role;
    use crate::sdp::Offer;

    fn report(outcomes: [(Protocol, &str, Outcome); 2]) -> Reachability {
        Reachability(outcomes.map(|(protocol, address, outcome)| (protocol, address.parse().unwrap(), outcome)).into())
    }

    fn timeout() -> Outcome {
        Err(ErrorKind::TimedOut.into())
    }

    #[test]
    fn each_candidate_has_a_sentence_that_says_what_to_open() {
        let report = report([
            (Protocol::Udp, "203.0.113.7:8081", timeout()),
            (Protocol::Tcp, "203.0.113.7:8081", Ok(Duration::from_millis(23))),
        ]);
        let text = report.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("no answer") && lines[0].contains("open UDP port 8081"), "{text}");
        assert_eq!(lines[1], "203.0.113.7:8081 by TCP: reachable, 23 ms");
        assert!(lines[2].contains("by TCP only") && !report.is_good(), "{text}");
    }

    #[test]
    fn a_private_address_is_named_as_such_and_one_that_is_reachable_is_enough() {
        let report = report([
            (Protocol::Udp, "203.0.113.7:8081", Ok(Duration::ZERO)),
            (Protocol::Udp, "10.0.0.5:8081", timeout()),
        ]);
        assert!(
            report.to_string().contains("10.0.0.5:8081 by UDP: not reachable (no answer); it is a private address")
        );
        assert!(report.is_good());
    }

    #[test]
    fn the_offer_is_one_that_a_relay_answers() {
        Offer::parse(&offer(), Role::Viewer).unwrap();
    }
}
