//! What a viewer costs whose network is measured: it reports arrivals by transport-wide feedback, and the relay chooses
//! among three encodings for it. Compared with a viewer of one encoding, for the same packets in the same runs.
//!
//! A viewer's cost is what it adds: the same events are counted with many viewers and with one, and what is counted
//! twice (the publisher's intake, of three encodings or of one) drops out.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sluice::five_tuple::FiveTuple;
use sluice::forward::codec::Codec;
use sluice::name::Role;
use sluice::peer::client::Track;
use sluice::rtcp::Compound;
use sluice::sdp::Extension;
use sluice::srtp::SrtpProfile;
use sluice::worker::{Outbox, SendOutcome};

use crate::callgrind::Costs;
use crate::expectation::Counted;
use crate::relay::net::{Net, vp8};
use crate::relay::{Nowhere, PAYLOAD};
use crate::transport_feedback::transport_feedback;

const VIEWERS: usize = 8;
const FRAMES: u32 = 50;
const PROFILES: &[SrtpProfile] = &[SrtpProfile::Aes128Gcm];
const FRAME: Duration = Duration::from_millis(40);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Packets of a frame of each encoding: 1.4, 0.5 and 0.2 Mbit/s. All viewers are sent the first.
const PACKETS: [usize; 3] = [6, 2, 1];
const RIDS: [&str; 3] = ["f", "h", "q"];
const SIZES: [(u16, u16); 3] = [(640, 360), (320, 180), (160, 90)];

/// How much more a viewer of three encodings may cost than one of one encoding that reports as often: numbers, arrivals
/// and the choice take 1,050 instructions a packet beside 4,980. A viewer that reports nothing takes 4,450; the rest is
/// what it takes to receive and open a report for every seven packets.
const MOST: f64 = 1.22;

/// What arrives at the relay at one time.
struct Event {
    at: Instant,
    /// The client, and its datagram.
    datagrams: Vec<(usize, Vec<u8>)>,
}

/// A publisher and its viewers.
struct Scene {
    net: Net,
    /// When the clock of arrivals began.
    began: Instant,
    publisher: usize,
    viewers: Vec<Viewer>,
    encodings: usize,
    frames: u32,
    payload: Vec<u8>,
}

struct Viewer {
    client: usize,
    /// The transport-wide number that it has not reported yet.
    next: u16,
}

/// Counts packets and runs.
#[derive(Default)]
struct Runs {
    nowhere: Nowhere,
    runs: usize,
}

impl Outbox for Runs {
    fn send(&mut self, path: &FiveTuple, contents: &[u8], segment: Option<usize>) -> SendOutcome {
        // Reports leave alone.
        self.runs += usize::from(segment.is_some());
        self.nowhere.send(path, contents, segment)
    }

    fn max_segments(&self) -> usize {
        self.nowhere.max_segments()
    }
}

/// The cases: viewers of one encoding that report nothing, the same with feedback, and viewers of three encodings. A
/// function that is called once and counted by its name.
macro_rules! cases {
    ($($case:ident)*) => {
        $(
            #[inline(never)]
            fn $case(scene: &mut Scene, events: &mut [Event]) -> Runs {
                let runs = scene.play(events);
                // Cases of one body would be folded into one.
                std::hint::black_box(stringify!($case));
                runs
            }
        )*
    };
}

cases! { case_silent_many case_silent_few case_reporting_many case_reporting_few case_chosen_many case_chosen_few }

/// Instructions for a packet to a viewer of each kind.
///
/// # Errors
/// A case does not appear in what was counted, or choosing costs too much.
#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
pub(crate) fn counted(costs: &Costs) -> Result<Vec<Counted>, String> {
    let added = |case: &str| {
        let cost = |count: &str| costs.of(&format!("instructions::measured::case_{case}_{count}"));
        let packets = FRAMES as usize * PACKETS[0] * (VIEWERS - 1);
        Ok::<_, String>((cost("many")? - cost("few")?) / packets as f64)
    };
    let (silent, reporting, chosen) = (added("silent")?, added("reporting")?, added("chosen")?);
    println!("{:<22} {:>10.3} times viewer-that-reports, at most {MOST}", "viewer-of-three", chosen / reporting);
    println!("{:<22} {:>10.3} times viewer-of-one", "viewer-of-three", chosen / silent);
    if chosen > reporting * MOST {
        return Err("a viewer of three encodings takes too many instructions".to_owned());
    }
    Ok(vec![
        Counted { name: "viewer-of-one", instructions: silent, tolerance: 0.05 },
        Counted { name: "viewer-that-reports", instructions: reporting, tolerance: 0.05 },
        Counted { name: "viewer-of-three", instructions: chosen, tolerance: 0.05 },
    ])
}

/// Runs all cases.
pub(crate) fn run_cases() {
    let mut scene = Scene::new(1);
    play(&mut scene, false, case_silent_many);
    play(&mut scene, true, case_reporting_many);
    scene.keep_one_viewer();
    play(&mut scene, false, case_silent_few);
    play(&mut scene, true, case_reporting_few);
    let mut scene = Scene::new(3);
    play(&mut scene, true, case_chosen_many);
    scene.keep_one_viewer();
    play(&mut scene, true, case_chosen_few);
}

fn play(scene: &mut Scene, reports: bool, case: fn(&mut Scene, &mut [Event]) -> Runs) {
    let mut events = scene.events(reports);
    let runs = case(scene, &mut events);
    let frames = FRAMES as usize * scene.viewers.len();
    let reports = runs.nowhere.packets - frames * PACKETS[0];
    assert_eq!(runs.runs, frames, "each frame is one run for each viewer");
    assert!(reports <= 4 * scene.viewers.len(), "nothing but the frames and a few reports leaves: {reports}");
}

impl Scene {
    /// Viewers that have been sent the largest encoding for some time.
    fn new(encodings: usize) -> Self {
        let mut net = Net::new(1);
        net.extensions = vec![Extension::Mid, Extension::RtpStreamId, Extension::TransportWideCc];
        let codecs = &[Codec::Vp8];
        let publisher = net.try_join(Role::Publisher, "bench", codecs, PROFILES, |request| {
            if encodings > 1 {
                request.offer = simulcast(&request.offer);
            }
        });
        let publisher = publisher.expect("the offer is answered");
        net.connect();
        let mut payload = vp8(false, 1);
        payload.resize(PAYLOAD, 7);
        let began = net.now;
        let mut scene = Self { net, began, publisher, viewers: Vec::new(), encodings, frames: 0, payload };
        scene.run(1000);
        for _ in 0..VIEWERS {
            let client = scene.net.join(Role::Viewer, "bench", codecs, PROFILES);
            scene.viewers.push(Viewer { client, next: 0 });
        }
        scene.run(8000);
        scene
    }

    /// For this number of milliseconds the publisher sends, and viewers of several encodings report what arrives.
    fn run(&mut self, milliseconds: u32) {
        for millisecond in 0..milliseconds {
            if millisecond % 40 == 0 {
                for datagram in self.frame() {
                    self.net.deliver(self.publisher, datagram);
                }
            }
            if self.encodings > 1 && millisecond % 50 == 0 {
                (0..self.viewers.len()).for_each(|place| self.report(place));
            }
            self.net.run(MILLISECOND);
        }
    }

    /// A viewer reports what it has received since its last report.
    fn report(&mut self, place: usize) {
        let Viewer { client, next } = &mut self.viewers[place];
        let client = &mut self.net.clients[*client];
        let Some(Track { extensions, .. }) = client.tracks.first() else { return };
        let (id, _) = extensions.iter().find(|(_, other)| *other == Extension::TransportWideCc).expect("it is agreed");
        let mut numbers = Vec::new();
        for packet in client.received.drain(..) {
            if let Some((_, value)) = packet.elements.iter().find(|(other, _)| other == id) {
                *next = u16::from_be_bytes(value.as_slice().try_into().expect("two octets")).wrapping_add(1);
                numbers.push(packet.at.saturating_duration_since(self.began));
            }
        }
        if !numbers.is_empty() {
            let first = next.wrapping_sub(numbers.len() as u16);
            client.peer.send_rtcp(feedback(first, &numbers), self.net.now);
        }
    }

    /// The datagrams of the publisher's next frame, of all encodings.
    fn frame(&mut self) -> Vec<Vec<u8>> {
        let client = &mut self.net.clients[self.publisher];
        let own = client.tracks[0].clone();
        let id = |extension| own.extensions.iter().find(|(_, other)| *other == extension).map(|(id, _)| *id);
        let mut datagrams = Vec::new();
        for (place, (width, height)) in SIZES.into_iter().enumerate().take(self.encodings) {
            if self.encodings > 1 {
                client.tracks[0].ssrc = Some(0x1000 + place as u32);
                let id = id(Extension::RtpStreamId).expect("it is agreed");
                client.says = vec![0xbe, 0xde, 0, 1, id << 4, RIDS[place].as_bytes()[0], 0, 0];
            }
            let mut keyframe = vp8(true, 0);
            keyframe[7..9].copy_from_slice(&width.to_le_bytes());
            keyframe[9..11].copy_from_slice(&height.to_le_bytes());
            for number in 0..PACKETS[place] {
                let payload = if self.frames == 0 && number == 0 { &keyframe } else { &self.payload };
                datagrams.push(client.seal(0, self.frames * 3600, number + 1 == PACKETS[place], payload));
            }
        }
        client.tracks[0] = own;
        client.says.clear();
        self.frames += 1;
        datagrams
    }

    /// What will arrive at the relay: frames, and feedback of each viewer at a time of its own.
    fn events(&mut self, reports: bool) -> Vec<Event> {
        let began = self.net.now;
        let mut events = Vec::new();
        for frame in 0..FRAMES {
            let datagrams = self.frame().into_iter().map(|datagram| (self.publisher, datagram)).collect();
            events.push(Event { at: began + FRAME * frame, datagrams });
        }
        for (place, viewer) in self.viewers.iter_mut().enumerate().filter(|_| reports) {
            let client = &mut self.net.clients[viewer.client];
            let mut reported = 0;
            for at in (0..=FRAMES * 40 / 50).map(|report| report * 50 + 4 + 6 * place as u32) {
                let arrived = (at / 40 + 1).min(FRAMES);
                let arrival = |frame: u32| (began + FRAME * frame).saturating_duration_since(self.began);
                let arrivals: Vec<_> = (reported..arrived).flat_map(|frame| [arrival(frame); PACKETS[0]]).collect();
                reported = arrived;
                if arrivals.is_empty() {
                    continue;
                }
                client.peer.send_rtcp(feedback(viewer.next, &arrivals), began);
                viewer.next = viewer.next.wrapping_add(arrivals.len() as u16);
                let datagrams = std::iter::from_fn(|| client.peer.poll_transmit());
                let datagrams = datagrams.map(|(_, datagram)| (viewer.client, datagram.to_vec())).collect();
                events.push(Event { at: began + MILLISECOND * at, datagrams });
            }
        }
        events.sort_by_key(|event| event.at);
        events
    }

    /// The relay's work on these events.
    fn play(&mut self, events: &mut [Event]) -> Runs {
        let mut runs = Runs::default();
        for Event { at, datagrams } in events {
            self.net.now = *at;
            for (client, datagram) in datagrams {
                let address = self.net.clients[*client].address;
                self.net.relay.receive(0, address, datagram, *at);
            }
            self.net.relay.turn(&mut runs, *at);
        }
        runs
    }

    /// All viewers but one leave.
    fn keep_one_viewer(&mut self) {
        for viewer in self.viewers.split_off(1) {
            self.net.delete(viewer.client);
        }
        self.net.run(MILLISECOND);
    }
}

/// An offer of one encoding with [`RIDS`] in its place.
fn simulcast(offer: &str) -> String {
    let rids: String = RIDS.iter().map(|rid| format!("a=rid:{rid} send\r\n")).collect();
    let lines = offer.lines().filter(|line| !line.starts_with("a=ssrc")).map(|line| format!("{line}\r\n"));
    format!("{}{rids}a=simulcast:send {}\r\n", lines.collect::<String>(), RIDS.join(";"))
}

/// A report of packets from this number on, which arrived at these times.
fn feedback(first: u16, arrivals: &[Duration]) -> Compound {
    let arrivals: Vec<_> = arrivals.iter().map(|arrival| Some(arrival.as_micros() as i64)).collect();
    let mut octets = Bytes::from(transport_feedback(first, &arrivals));
    rtcp::packet::unmarshal(&mut octets).expect("it is well formed")
}
