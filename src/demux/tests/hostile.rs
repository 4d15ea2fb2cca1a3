//! Property tests: no input and no order of events causes a panic, media is never sent to an address that has not
//! proven to receive, and never taken from one that sent no valid check.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// What happens at the demultiplexer; addresses are 1 to 4, and only 1 and 2 are the client's own.
#[derive(Clone, Debug)]
enum Step {
    Check { from: u8, use_candidate: bool },
    Answer { from: u8 },
    Hello { from: u8, number: u16 },
    Handshake { from: u8, message: u16 },
    Media { from: u8 },
    Send,
    Connected,
    Restart,
    Pass { millis: u64 },
    Bytes { from: u8, bytes: Vec<u8> },
}

fn step() -> impl Strategy<Value = Step> {
    let from = 1_u8..5;
    prop_oneof![
        4 => (from.clone(), any::<bool>()).prop_map(|(from, use_candidate)| Step::Check { from, use_candidate }),
        4 => from.clone().prop_map(|from| Step::Answer { from }),
        2 => (from.clone(), 0_u16..3).prop_map(|(from, number)| Step::Hello { from, number }),
        1 => (from.clone(), 0_u16..9).prop_map(|(from, message)| Step::Handshake { from, message }),
        1 => from.clone().prop_map(|from| Step::Media { from }),
        2 => Just(Step::Send),
        2 => Just(Step::Connected),
        1 => Just(Step::Restart),
        3 => (0_u64..3_000).prop_map(|millis| Step::Pass { millis }),
        1 => (from, hostile()).prop_map(|(from, bytes)| Step::Bytes { from, bytes }),
    ]
}

/// Bytes that begin like a known protocol.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..200);
    let real = prop_oneof![
        Just(Client::new("").check(true)),
        Just(hellos::hello(0)),
        Just([hellos::hello(0), hellos::flight(1), DATA.to_vec()].concat()),
        Just(RTP.to_vec()),
    ];
    let mutated = (real, any::<prop::sample::Index>(), any::<u8>(), 0_usize..300).prop_map(|(real, at, byte, end)| {
        let mut bytes = real;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(end);
        bytes
    });
    prop_oneof![
        body.clone(),
        body.prop_map(|mut body| {
            body.splice(0..0, [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            body
        }),
        mutated,
    ]
}

/// A demultiplexer, the client that may move between its own addresses, and what has been proven so far.
struct Model {
    bed: Bed,
    /// Our checks, by where they went.
    asked: HashMap<FiveTuple, Vec<Vec<u8>>>,
    /// Addresses that sent a valid check.
    checked: Vec<FiveTuple>,
    /// Addresses that all DTLS went over, or that answered a check.
    proven: Vec<FiveTuple>,
    /// Addresses that DTLS went over, in both directions.
    ways: Vec<FiveTuple>,
    connected: bool,
}

impl Model {
    fn new() -> Model {
        let (checked, proven, ways) = (vec![], vec![], vec![]);
        Model { bed: Bed::admitted(), asked: HashMap::new(), checked, proven, ways, connected: false }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Check { from, use_candidate } => {
                let arrival = self.bed.check(from, use_candidate);
                let is_valid = matches!(arrival, Demultiplexed::Opened(_) | Demultiplexed::Answered);
                self.checked.extend(is_valid.then(|| path(from)));
            }
            Step::Answer { from } => self.answer(from),
            Step::Hello { from, number } => self.dtls(from, &hellos::hello(number)),
            Step::Handshake { from, message } => self.dtls(from, &hellos::message(16, message, &[0; 30])),
            Step::Media { from } => {
                let arrival = self.bed.arrive(from, RTP);
                let may_pass = self.connected && self.checked.contains(&path(from));
                assert!(arrival != Demultiplexed::Rtp(own_key()) || may_pass);
            }
            Step::Send => {
                let to = self.bed.demux.send_dtls(own_key(), &hellos::flight(0), self.bed.now);
                self.ways.extend(to.filter(|_| !self.connected));
            }
            Step::Connected => {
                let is_first = !std::mem::replace(&mut self.connected, true);
                let way = self.ways.first().copied().filter(|way| self.ways.iter().all(|other| other == way));
                self.proven.extend(way.filter(|_| is_first));
                if is_first {
                    self.bed.demux.connected(own_key(), self.bed.now);
                }
            }
            Step::Restart => self.bed.demux.restart(own_key(), Client::new("next").admission()),
            Step::Pass { millis: count } => self.bed.pass(millis(count)),
            Step::Bytes { from, bytes } => self.dtls(from, &bytes),
        }
        for (to, datagram) in self.bed.our_checks() {
            self.asked.entry(to).or_default().push(datagram);
        }
    }

    fn dtls(&mut self, from: u8, datagram: &[u8]) {
        let arrival = self.bed.arrive(from, datagram);
        let is_taken =
            matches!(arrival, Demultiplexed::Dtls { .. } | Demultiplexed::ClientHello { .. } | Demultiplexed::Held);
        if is_taken && !self.connected {
            self.ways.push(path(from));
        }
    }

    /// The client answers the latest check that it can see: it receives only at its own addresses, but may forge any.
    fn answer(&mut self, from: u8) {
        let seen = self.asked.iter().filter(|(to, _)| **to == path(1) || **to == path(2));
        let Some(check) = seen.filter_map(|(_, checks)| checks.last()).next() else {
            return;
        };
        let mut request = Message::new();
        request.unmarshal_binary(check).unwrap();
        let answer = self.bed.client.answer_signed(&request.transaction_id, &self.bed.client.own.pwd);
        let is_there = self.asked.get(&path(from)).is_some_and(|checks| checks.contains(check));
        let arrival = self.bed.arrive(from, &answer);
        if arrival == Demultiplexed::Answered {
            assert!(is_there, "an answer from where we did not ask");
            self.proven.push(path(from));
        }
    }
}

proptest! {
    #[test]
    fn media_goes_only_to_addresses_that_are_proven_to_receive(steps in prop::collection::vec(step(), 1..80)) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
            let to = model.bed.demux.path(own_key());
            if model.connected {
                prop_assert!(to.is_none_or(|to| model.proven.contains(&to)), "{:?} of {:?}", to, model.proven);
            }
            for (to, checks) in &model.asked {
                let copies = checks.iter().filter(|check| **check == checks[checks.len() - 1]).count();
                prop_assert!(copies <= 3, "{} copies to {:?}", copies, to);
            }
        }
    }

    #[test]
    fn hostile_bytes_never_panic_nor_move_a_live_session(
        datagrams in prop::collection::vec((1_u8..4, hostile(), 0_u64..50), 1..60),
    ) {
        let mut bed = Bed::connected();
        bed.check(2, false);
        bed.sent();
        for (from, bytes, pause) in datagrams {
            // Our own real check is among the hostile ones; a replay may be answered, but does not move media.
            bed.arrive(from, &bytes);
            bed.pass(millis(pause));
            let to = bed.demux.path(own_key());
            prop_assert!(to == Some(path(1)) || bed.events().contains(&DemuxEvent::Over(own_key(), Over::Flooded)));
            if to.is_none() {
                break;
            }
        }
    }

    #[test]
    fn a_check_with_any_byte_changed_belongs_to_no_session(at in any::<prop::sample::Index>(), change in 1_u8..=255) {
        let mut bed = Bed::admitted();
        let mut check = bed.client.check(true);
        // The type of the last attribute, FINGERPRINT, is not covered, and a check is valid without one.
        let end = check.len();
        let at = Some(at.index(end)).filter(|at| !(end - 8..end - 6).contains(at)).unwrap_or(0);
        check[at] ^= change;
        let arrival = bed.arrive(1, &check);
        prop_assert!(!matches!(arrival, Demultiplexed::Opened(_) | Demultiplexed::Answered), "{:?} at {}", arrival, at);
        prop_assert_eq!(bed.sent(), vec![]);
    }
}
