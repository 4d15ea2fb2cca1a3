//! The record of a session that is read outside its worker: its identity, its state and why it ended.
//!
//! Its worker writes the report about once a second and at each change of state, never for a packet; HTTP reads it
//! without the worker noticing. Each record has a lock of its own, so that only one session's worker and a reader of
//! that same session ever meet there. The last [`ENDED`] sessions keep theirs.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::selection::Selection;
use crate::auth::Limits;
use crate::five_tuple::{FiveTuple, Protocol};
use crate::forward::SetsSource;
use crate::forward::codec::Kind;
use crate::label::Label;
use crate::metrics::LayerPlace;
use crate::name::{Role, SessionClass, SessionId, StreamName};
use crate::reason::{EndReason, SwitchReason};
use crate::sdp::{Candidates, Offered, Section};
use crate::srtp::SrtpProfile;

/// Records of ended sessions that are kept; when full the oldest makes room.
const ENDED: usize = 100;

/// One session, for the API.
#[derive(Debug)]
pub struct SessionRecord {
    /// Its name.
    pub id: SessionId,
    /// Publisher or viewer.
    pub role: Role,
    /// Its stream.
    pub stream: StreamName,
    /// When its offer came.
    pub created: Instant,
    /// The client's User-Agent.
    pub user_agent: Option<String>,
    /// What it offered.
    pub offered: Offered,
    /// Where its offer came from.
    pub client: IpAddr,
    /// The video section that was agreed.
    pub(crate) video: Option<VideoSection>,
    /// The relay's addresses in the newest answer to it, best first.
    candidates: Mutex<Candidates>,
    /// What a viewer has selected: HTTP writes it, its worker reads it.
    selection: Mutex<Selection>,
    /// What the grant of its client allows.
    pub(crate) granted: Limits,
    /// Which end of a leg it is, if it is one.
    pub(crate) leg: Option<LegEnd>,
    report: Mutex<Report>,
}

/// Which end of a leg a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LegEnd {
    /// Another relay dialled this one.
    Answering,
    /// This relay dialled another one.
    Dialling {
        /// The other relay, as logs show it.
        remote: String,
        /// Its addresses that are dialled.
        addresses: Vec<SocketAddr>,
    },
}

/// A video section, as the client may name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VideoSection {
    /// Its place among the `m=` lines, from 0.
    pub(crate) place: usize,
    /// Its `a=mid`.
    pub(crate) mid: String,
}

/// The state of a session, for the API.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How far it has come.
    pub stage: Stage,
    /// Where its packets go.
    pub path: Option<FiveTuple>,
    /// The SRTP protection profile by its registered name.
    pub srtp_profile: Option<&'static str>,
    /// The round-trip time.
    pub round_trip: Option<Duration>,
    /// The bitrate that a viewer's network carries, measured or by the viewer's own estimate (REMB), in bits per
    /// second.
    pub estimate: Option<f32>,
    /// What a viewer's network made the relay do; `None` while nothing depends on the network.
    pub network: Option<Network>,
    /// When the first valid STUN check came.
    pub opened: Option<Instant>,
    /// When DTLS had completed.
    pub connected: Option<Instant>,
    /// When the first media packet came or left.
    pub first_media: Option<Instant>,
    /// When the first video packet was sent to a viewer.
    pub first_frame: Option<Instant>,
    /// Its tracks.
    pub tracks: Vec<TrackReport>,
    /// Whether a publisher answers keyframe requests, once that is known.
    pub keyframe_responsive: Option<bool>,
    /// What arrived by STUN and what was refused.
    pub checks: Checks,
    /// What went wrong: the DTLS alert, for example.
    pub failure: Option<String>,
    /// Why it ended, and when.
    pub ended: Option<(EndReason, Instant)>,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It waits: a new session for its first packet, a connected viewer for a publisher, a standby to take over.
    #[default]
    Waiting,
    /// STUN was seen, DTLS has not completed.
    Connecting,
    /// Media passes.
    Live,
    /// Nothing is sent to it until it is heard again.
    Paused,
    /// It has ended.
    Ended,
}

/// What a viewer's network made the relay do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// No video is sent: the network carries no encoding of it, nothing arrives, or audio alone is selected.
    pub is_video_paused: bool,
    /// How often the estimate was lowered.
    pub lowered: u64,
    /// Probes that showed that the network carries more.
    pub probes_passed: u64,
    /// Probes that did not show it.
    pub probes_failed: u64,
    /// Octets of padding that were sent for probes.
    pub padding: u64,
}

/// What the demultiplexer saw of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Authentic STUN checks.
    pub authentic: u64,
    /// Where the first one came from.
    pub first: Option<SocketAddr>,
    /// How it came.
    pub first_by: Option<Protocol>,
    /// Addresses that sent valid checks.
    pub addresses: u32,
    /// Times that media moved to another address.
    pub moves: u32,
    /// Datagrams that were refused.
    pub refused: u64,
}

/// One track of a session.
#[derive(Clone, Debug)]
pub struct TrackReport {
    /// `audio` or `video`.
    pub kind: &'static str,
    /// The codec's name in SDP.
    pub codec: &'static str,
    /// The codec's profile, where the offer names one.
    pub profile: Option<String>,
    /// The name of the simulcast encoding, where the video has several: a publisher's, or the one that a viewer is
    /// sent.
    pub rid: Option<Arc<str>>,
    /// The name of the encoding that a viewer is to be sent.
    pub target: Option<Arc<str>>,
    /// Which encodings a viewer was sent, where the video has several.
    pub layers: Option<Box<LayersSent>>,
    /// False for an encoding that a publisher does not send at present.
    pub is_active: bool,
    /// Columns and rows of a publisher's frames, once a keyframe has shown them.
    pub size: Option<(u16, u16)>,
    /// The publisher's source, once it is known, or the relay's to the viewer.
    pub ssrc: Option<u32>,
    /// RTP packets since the track began, resends included.
    pub packets: u64,
    /// Their bytes, RTP header to SRTP tag.
    pub bytes: u64,
    /// In the last second.
    pub rates: Rates,
    /// Bits per second of a publisher's frames up to each temporal id, starting with 0; empty with one temporal layer.
    pub temporal_bits: Vec<u64>,
    /// How long a publisher's packets wait for those that were lost before them.
    pub hold: Duration,
    /// Of video from a publisher: from one keyframe to the next.
    pub keyframe_interval: Option<Duration>,
    /// Where the parameter sets of the publisher's keyframes come from, for codecs that have them, once one has
    /// arrived.
    pub sets: Option<&'static str>,
    /// The problems of a publisher's track, as sentences.
    pub lint: Vec<&'static str>,
    /// Packets that did not arrive: from a publisher here, or at a viewer as its reports say.
    pub lost_packets: u64,
    /// Packets that a resend, or a copy in a later one, brought here, or that were sent again to a viewer.
    pub repaired_packets: u64,
    /// How unevenly packets arrive (RFC 3550 6.4.1).
    pub jitter: Option<Duration>,
}

/// Which encodings a viewer was sent of videos that have several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LayersSent {
    /// How often it was sent another encoding of the same publisher's video, by the place of the reason in
    /// [`Label::ALL`].
    pub(crate) switches: Switches,
    /// For how many seconds it was sent each, by the place in [`Label::ALL`] of their place in the order of size.
    pub(crate) seconds: LayerSeconds,
}

/// Counts by [`SwitchReason`].
pub(crate) type Switches = [u64; SwitchReason::ALL.len()];

/// Seconds by [`LayerPlace`].
pub(crate) type LayerSeconds = [f64; LayerPlace::ALL.len()];

impl LayersSent {
    /// How often it was sent another encoding for this reason.
    pub fn switches(&self, reason: SwitchReason) -> u64 {
        self.switches[reason.position()]
    }

    /// For how many seconds it was sent the encoding at this place in the order of size.
    pub fn seconds(&self, place: LayerPlace) -> f64 {
        self.seconds[place.position()]
    }
}

/// Rates per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Bits, RTP header to SRTP tag.
    pub bits: f64,
    /// RTP packets.
    pub packets: f64,
    /// Frames of a publisher's video; 0 for all else.
    pub frames: f64,
}

impl Report {
    /// The values of [`Report::srtp_profile`].
    pub(crate) fn srtp_profiles() -> [&'static str; 2] {
        SrtpProfile::ALL.map(SrtpProfile::name)
    }
}

impl TrackReport {
    /// The values of [`TrackReport::sets`].
    pub(crate) fn sets_sources() -> [&'static str; 3] {
        SetsSource::ALL.map(SetsSource::as_str)
    }
}

impl Stage {
    /// Every stage.
    pub(crate) const ALL: [Self; 5] = [Self::Waiting, Self::Connecting, Self::Live, Self::Paused, Self::Ended];

    /// Its name in the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }
}

impl SessionRecord {
    pub(crate) fn new(
        id: SessionId,
        (role, stream): (Role, StreamName),
        (user_agent, offered): (Option<String>, Offered),
        (client, candidates): (IpAddr, Candidates),
        created: Instant,
    ) -> Self {
        Self {
            id,
            role,
            stream,
            created,
            user_agent,
            offered,
            client,
            video: None,
            candidates: Mutex::new(candidates),
            selection: Mutex::default(),
            granted: Limits::default(),
            leg: None,
            report: Mutex::default(),
        }
    }

    /// With the sections that were agreed.
    pub(crate) fn with_sections(mut self, sections: &[Section]) -> Self {
        let video = sections.iter().find(|section| section.kind == Kind::Video);
        self.video = video.map(|section| VideoSection { place: section.place, mid: section.mid.clone() });
        self
    }

    /// Within the limits of its client's grant.
    pub(crate) fn granted(mut self, granted: Limits) -> Self {
        self.granted = granted;
        self.select(Selection::default());
        self
    }

    /// As an end of a leg.
    pub(crate) fn with_leg(mut self, leg: Option<LegEnd>) -> Self {
        self.leg = leg;
        self
    }

    /// What it counts as.
    pub(crate) fn class(&self) -> SessionClass {
        SessionClass::of(self.role, self.leg.is_some())
    }

    /// What a viewer has selected.
    pub(crate) fn selection(&self) -> Selection {
        self.selection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets what a viewer has selected; returns what it had selected before.
    pub(crate) fn select(&self, selection: Selection) -> Selection {
        let selection = Selection { granted: self.granted, ..selection };
        std::mem::replace(&mut self.selection.lock().unwrap_or_else(PoisonError::into_inner), selection)
    }

    /// The relay's addresses in the newest answer to the client (offer or ICE restart), best first.
    pub(crate) fn candidates(&self) -> Candidates {
        self.candidates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the relay's addresses in the newest answer to the client.
    pub(crate) fn set_candidates(&self, candidates: Candidates) {
        *self.candidates.lock().unwrap_or_else(PoisonError::into_inner) = candidates;
    }

    /// The newest report, about a second old at most.
    pub fn report(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the report.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The sessions that ended last. Workers and HTTP write, once a session; HTTP reads.
#[derive(Debug, Default)]
pub(crate) struct EndedSessions(Mutex<VecDeque<Arc<SessionRecord>>>);

impl EndedSessions {
    /// Keeps the record of a session that ends now, for this reason.
    pub(crate) fn keep(&self, record: &Arc<SessionRecord>, reason: EndReason, now: Instant) {
        record.update(|report| {
            report.stage = Stage::Ended;
            report.ended = Some((reason, now));
            for track in &mut report.tracks {
                track.rates = Rates::default();
            }
        });
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= ENDED {
            records.pop_front();
        }
        records.push_back(Arc::clone(record));
    }

    /// All that are kept.
    pub(crate) fn all(&self) -> Vec<Arc<SessionRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The record of a session that ended lately.
    pub(crate) fn find(&self, session: &SessionId) -> Option<Arc<SessionRecord>> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().find(|record| record.id == *session).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hundred_ended_sessions_are_kept_with_their_reason() {
        let (ended, now) = (EndedSessions::default(), Instant::now());
        let offered = Offered { codecs: Vec::new(), candidates: 0 };
        let record = |_| {
            let role_and_stream = (Role::Viewer, "cam".parse().unwrap());
            Arc::new(SessionRecord::new(
                SessionId::random(),
                role_and_stream,
                (None, offered.clone()),
                ([127, 0, 0, 1].into(), Candidates::default()),
                now,
            ))
        };
        assert_eq!(ENDED, 100, "README and OpenAPI document say so");
        let records: Vec<_> = (0..=ENDED).map(record).collect();
        for record in &records {
            ended.keep(record, EndReason::Deleted, now);
        }
        assert!(ended.find(&records[0].id).is_none(), "the oldest made room");
        let kept = ended.find(&records[1].id).unwrap().report();
        assert_eq!((kept.stage, kept.ended), (Stage::Ended, Some((EndReason::Deleted, now))));
        assert!(ended.find(&records[ENDED].id).is_some());
        assert_eq!(ended.all().len(), ENDED);
    }
}
