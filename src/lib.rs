//! Sluice: a headless SFU media relay. One publisher sends a stream by WHIP (RFC 9725), any number of viewers watch it
//! by WHEP (draft-ietf-wish-whep).
//!
//! # Words
//!
//! The words of RFC 3550, 8445, 8825 and 9725 and of webrtc-stats are used as they are. These are the relay's own:
//!
//! | word | meaning |
//! | --- | --- |
//! | Stream | a named broadcast: at most one live publisher and one standby, any number of viewers |
//! | Publisher, Viewer | the two roles of a session |
//! | Session | the HTTP resource of one publisher or viewer (the `Location` of the 201) |
//! | Peer | one webrtc-rs peer connection and what the relay keeps beside it |
//! | Track | one published RTP stream: audio, video, or one simulcast encoding of a video |
//! | Layer | one of the encodings between which the relay switches a viewer's video: simulcast, or temporal within one |
//! | Path | the five-tuple on which a session's datagrams go |
//! | Outbound track | what one viewer is sent of one track: an RTP stream of the relay's own |
//! | Splice | where an outbound track goes on from other packets, with numbers that show no seam |
//! | Publication, Epoch | the time in which one publisher is the live one of its stream; the part of it in which a track keeps its SSRC and codec |
//! | Feed | what one worker has of a stream that it has viewers of: the tracks with their histories, and which viewer is served next |
//! | Cached frames, Replay | the frames since the newest keyframe; sending them to a viewer faster than real time, until it is live |
//! | Repair delay, playout delay | how long a publisher's packets wait here for lost ones; how long a viewer is asked to wait before it plays |
//! | Worker, Turn | one thread, one UDP socket, the peers that live on it; one pass of its event loop |
//! | Assignment, Steering | which worker a session lives on; the list by which the kernel delivers a client's datagrams to that worker |
//! | Node | one sluice process |
//! | Leg | a session between two servers of which one is the client: it pulls a stream from the other, or pushes one to it |
//!
//! # One picture
//!
//! ```text
//!  publisher                                                                    viewers
//!      | UDP      worker A (thread, socket)           worker B (thread, socket)    ^ UDP
//!      v                                                                           |
//!  1 receive a batch (recvmmsg, GRO)                  8 send runs (GSO), one per viewer and burst
//!      v                                                                           ^
//!  2 demux: whose datagram is it (RFC 7983)           7 seal (AES-GCM) in the send arena
//!      |  STUN --> ice    DTLS, RTCP --> peer                                      ^
//!      v  RTP                                         6 outbound tracks, viewer by viewer
//!  3 open in place (SRTP), index and replay checked                                ^
//!      v                                              5 history of each track on this worker
//!  4 packet: parsed once, one push per track and worker with viewers ----> inbox of B +
//! ```
//!
//! # The way of a packet
//!
//! 1. [`worker::event_loop`] receives a batch from the socket in [`worker::net`] and hands each datagram to
//!    [`worker::engine`], which decides the order of all that follows and calls the session's methods in
//!    [`worker::sessions`]. The worker also calls all later steps: no other module calls the next one.
//! 2. [`demux`] says which session the datagram belongs to and what it is. STUN is answered by [`ice`], DTLS is checked
//!    by [`dtls`] before the session's [`peer`] gets it. RTP from an address that sent no valid check is dropped;
//!    that of another worker's session is handed over.
//! 3. [`srtp`] opens RTP in place with the keys of the publisher's peer.
//! 4. [`worker::publishing`] finds the track of the packet (each simulcast encoding is a track of its own here) and
//!    parses it once into a [`forward::Packet`]: header extensions, codec, keyframe. It reports the packet to [`rtcp`],
//!    which requests missing ones. While packets are being lost, each packet waits for the repair delay, so that
//!    resends arrive in their places. Then parameter sets that a keyframe lacks are added (H.264, H.265), and the
//!    packet is kept in the track's history and pushed once to each worker that has viewers of the stream: one message
//!    for each track.
//! 5. The viewers' worker adds the packets to its own [`forward::History`] of the track, one for each simulcast
//!    encoding, and marks the stream as ready.
//! 6. [`worker::viewing`] serves one viewer after the other, in bounded time: each [`forward::OutboundTrack`] draws
//!    from the history what its viewer lacks and writes header and payload into the send arena.
//! 7. [`srtp`] seals the packet where it was written.
//! 8. [`worker::net`] sends the viewer's packets as GSO runs.
//!
//! # The way of an offer
//!
//! 1. [`http`] checks host, origin, client limits and token ([`auth`]), reads the body, and calls [`node`].
//! 2. [`node`] asks [`stream`] whether a publisher may publish now, takes a slot of the quota in [`session`], and
//!    parses the offer.
//! 3. [`sdp`] narrows the offer to what will be used and writes the answer, with new ICE credentials. A publisher is
//!    announced to [`stream`].
//! 4. [`session`] keeps the session among the pending ones, with a record that the API reads. HTTP answers 201 with
//!    `Location`.
//! 5. The first STUN check for its user name fragment reaches a worker: [`worker::engine`] takes the session out of the
//!    pending ones (or hands the datagram to the worker that the stream is assigned to), and [`ice`] answers if the
//!    check's MESSAGE-INTEGRITY is valid.
//! 6. [`worker::sessions`] opens a webrtc-rs peer connection ([`peer`]), which completes DTLS. Where the client is the
//!    DTLS client, its ClientHello decides the SRTP profile.
//! 7. Connected, a publisher becomes the live one of its stream in [`stream`], or the standby of that one. A viewer
//!    joins the stream on its worker, which subscribes to the publisher's worker for its first viewer.
//! 8. DELETE, DTLS close, silence, drain or kick: [`worker::engine`] has one way out for a session that a worker has
//!    taken; one that is still pending is taken out of [`session`] and ends in `worker/sessions/ended.rs`. Both leave a
//!    record and a log line.
//!
//! # Where is ...
//!
//! | question | answer |
//! | --- | --- |
//! | a publisher's lost packet requested again | `rtcp/missing.rs` decides which, `rtcp/reader.rs` how soon; `rtcp/reception.rs` writes the NACK when `worker/publishing/publisher.rs` (`poll`) asks for it, on the session's timer in `worker/sessions/media.rs` |
//! | a viewer's lost packet sent again | [`forward::OutboundTrack`] (`outbound_track/repair.rs`), called for the viewer's NACKs by [`worker::viewing`] |
//! | another relay dialled | `node/dial.rs` begins the session with its answer, `ice/dialling.rs` checks its addresses, `worker/net/own_sockets.rs` has the socket that they are dialled from |
//! | a client whose address changes | `demux/demultiplexer.rs` gives its checks to `ice/agent.rs`, which proves the new path and selects it; `worker/engine/datagrams.rs` (`DemuxEvent::Moved`) then moves the session's media there, and [`bwe`] halves the estimate of a viewer that has one; checks that reach another worker are handed over by `worker/engine/other_workers.rs` |
//! | a silent viewer | `worker/engine/silence.rs` pauses and resumes it |
//! | a keyframe requested | `forward/keyframes/gate.rs`: at most one request a second for each track |
//! | a publisher replaced by another | [`stream`] decides, `worker/engine/standby.rs` carries it out, [`forward::OutboundTrack`] splices |
//! | a simulcast encoding | [`sdp`] (`simulcast.rs`) accepts it, `worker/publishing/layers.rs` finds its packets, `worker/viewing/viewer_track/layer.rs` chooses the one that a viewer is sent |
//! | what a viewer's network carries | [`bwe`] estimates it, `worker/viewing/bandwidth.rs` chooses the layer by it, `worker/viewing/downlink.rs` notices that nothing arrives |
//! | a codec added | [`forward::codec`] (`codec/mod.rs`) lists every file to change, also in other modules |
//! | a session of another node of the cluster | `http/nodes/forward.rs` sends requests for it to that node, by `cluster/calls.rs`; `http/guard/from_node.rs` checks them there |
//! | a full or draining node | `http/nodes/redirect.rs` sends new clients to another one, `http/nodes/farewell.rs` tells viewers to go |
//! | a limit, a setting, an error text | the module that it is about; [`config`] gathers the settings, `http::error` the statuses |
//!
//! # Modules
//!
//! A module uses only modules below it in this list; those that start and stop a relay (`cli` to `stop`) and the last
//! ones (what all others need) may use each other, but never in a circle. `tests/boundary.rs` holds the rule, the order
//! of this list, and that no files use each other in a circle.
//!
//! | module | what it is |
//! | --- | --- |
//! | `cli` | the command line: subcommands, flags and their environment variables |
//! | `config` | gathers the settings of each module: defaults, file, environment, flags |
//! | `reload` | applies a changed log filter, tokens and certificate files while the relay runs |
//! | `server` | binds all addresses, starts all parts, and stops them: sessions drain and end, then HTTP |
//! | `stop` | how a relay is asked to stop, and the deadline by which the process ends |
//! | `http` | WHIP, WHEP, session resources, API, pages and metrics over HTTP |
//! | `load` | synthetic publishers and viewers and their report (`sluice load`) |
//! | `reachability` | tries a relay's addresses from another machine (`sluice check-reachability`) |
//! | `legs` | pulls of streams from other servers, pushes to them |
//! | `cluster` | which node has which stream: the directory that the nodes of a cluster share |
//! | `node` | what HTTP talks to: sessions begin, restart and end by its handle |
//! | `worker` | the media threads: one thread, one UDP socket and its peers each |
//! | `session` | what HTTP and workers share: pending sessions, records, quotas, assignment to workers |
//! | `advertise` | the public addresses of the media port: written, looked up by name, learned from STUN servers |
//! | `demux` | which session a datagram belongs to, and which part of it (RFC 7983) |
//! | `peer` | one webrtc-rs peer connection: handshake, keys, RTCP, data channels; the client half of it for tests and `sluice load` |
//! | `sdp` | reads offers and trickle fragments, decides what is agreed, writes answers |
//! | `sctp` | the filter for decrypted SCTP before webrtc-rs, and the messages of data channels |
//! | `turn` | a TURN server on TCP connections, which relays to this relay alone |
//! | `ice` | the agent of a session: its paths, their checks, consent and restarts; the STUN codec; credentials |
//! | `dtls` | DTLS records, ClientHello, alerts, the budget of a handshake and the repetition of flights |
//! | `rtcp` | to publishers: reports, NACK, transport-cc, keyframe requests; to viewers: sender reports; from both: the parser |
//! | `bwe` | what each viewer's path carries: estimate, probes, choice of layers, pacing |
//! | `srtp` | opens the packets of publishers, seals those of viewers |
//! | `stream` | the registry of streams, publications, and inboxes between workers |
//! | `forward` | packets, codecs, histories and the outbound tracks of viewers |
//! | `auth` | tokens, and what each allows: to publish, to watch, to administer |
//! | `authority` | the root certificates of a private authority |
//! | `metrics` | the instruments of `/metrics` |
//! | `client` | a small WHIP and WHEP client |
//! | `five_tuple` | the addresses between which datagrams go |
//! | `health` | asks a relay whether it is healthy (`sluice healthcheck`) |
//! | `label` | enums whose values have a text, such as the labels of metrics |
//! | `log` | what is logged, and how often |
//! | `name` | names of streams and sessions |
//! | `reason` | why packets are dropped, why sessions end and why viewers are sent another layer |
//! | `setting` | how values of settings are written |
//! | `shared` | the types of state that several threads write; unit tests explore them with loom |
//! | `state_dir` | the directory in which the relay keeps what must outlive it |
//! | `systemd` | tells the service manager the state of the relay |

/// Test support is written for integration tests and used by unit tests too.
#[cfg(test)]
extern crate self as sluice;

pub mod cli;
pub mod config;
pub mod reload;
pub mod server;
pub mod stop;

pub mod http;
pub mod load;
pub mod reachability;

pub mod legs;

pub mod cluster;
pub mod node;
pub mod session;
pub mod worker;

pub mod advertise;
pub mod bwe;
mod demux;
pub mod dtls;
pub mod forward;
pub mod ice;
pub mod peer;
pub mod rtcp;
pub mod sctp;
pub mod sdp;
pub mod srtp;
pub mod stream;
pub mod turn;

pub mod auth;
mod authority;
pub mod client;
pub mod five_tuple;
pub mod health;
pub mod label;
pub mod log;
pub mod metrics;
pub mod name;
pub mod reason;
mod setting;
mod shared;
mod state_dir;
pub mod systemd;
