//! How many sessions the relay takes: in all, as viewers of one stream, and from one client address.
//!
//! A session holds a slot from its POST, before its offer is read, to its end: dropping [`Slot`] gives it back. So
//! sessions that wait for their first packet count, and no burst of POSTs gets past a limit.
//!
//! A leg counts among the sessions of the relay, and neither as a viewer nor for the address of the other relay.
//!
//! One exception: a publisher that replaces another is admitted to a full relay, because the other's session will end.
//! It is lent a slot until it is connected, one for each stream at a time.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::client::{ClientGroup, ClientSource};
use crate::auth::{Credential, Limits};
use crate::log::OnceAMinute;
use crate::metrics::Refusal;
use crate::name::{Role, SessionClass, StreamName};

/// How many sessions may live at once; 0 for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// All of the relay: publishers, viewers and legs, connected or not yet.
    pub sessions: usize,
    /// Viewers of one stream.
    pub viewers: usize,
    /// Sessions of one client address; an IPv6 client is its /64, and those that a trusted proxy does not name readably
    /// are one. This machine itself is exempt, a proxy here is not.
    pub sessions_per_address: usize,
}

/// The session that a slot is asked for.
#[derive(Debug)]
pub(crate) struct Applicant {
    pub(crate) class: SessionClass,
    pub(crate) stream: StreamName,
    /// Where the POST came from.
    pub(crate) address: IpAddr,
    pub(crate) source: ClientSource,
    /// Where the publisher came from that ends when this one is connected.
    pub(crate) replaces: Option<IpAddr>,
    /// What its token allows.
    pub(crate) granted: Option<GrantedViewers>,
}

/// How many viewers of a stream one token allows at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GrantedViewers {
    credential: Credential,
    limit: usize,
}

impl GrantedViewers {
    /// `None` for a session that no token limits.
    pub(crate) fn of(role: Role, credential: Credential, limits: Limits) -> Option<Self> {
        let limit = limits.max_viewers.filter(|_| role == Role::Viewer)?;
        Some(Self { credential, limit })
    }
}

/// Which limit refuses a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverQuota {
    pub(crate) reason: Refusal,
    /// Whether to log the limit now.
    pub(crate) warns: bool,
}

/// The slots of all sessions. Written when a session comes, is connected and ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots {
    quota: Quota,
    taken: Arc<Mutex<Taken>>,
}

/// One session's slot. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    class: SessionClass,
    stream: StreamName,
    /// `None` for this machine itself and for legs.
    client: Option<ClientGroup>,
    /// Whose limited number of viewers it counts among.
    holder: Option<Credential>,
    lent: bool,
}

#[derive(Debug, Default)]
struct Taken {
    sessions: usize,
    viewers: HashMap<StreamName, usize>,
    clients: HashMap<ClientGroup, usize>,
    /// Viewers of each stream with a token that limits them.
    granted: HashMap<(Credential, StreamName), usize>,
    /// Streams whose next publisher has a slot that was lent to it.
    lent: HashSet<StreamName>,
    warnings: HashMap<Refusal, OnceAMinute>,
}

impl Slots {
    pub(crate) fn new(quota: Quota) -> Self {
        Self { quota, taken: Arc::default() }
    }

    /// Takes a slot, if there is one.
    pub(crate) fn take(&self, applicant: Applicant, now: Instant) -> Result<Slot, OverQuota> {
        let Applicant { class, stream, address, source, replaces, granted } = applicant;
        let is_counted = class != SessionClass::Leg && !source.is_this_machine(address);
        let client = is_counted.then(|| source.client(address));
        let quota = self.quota;
        let replaces_own = replaces.is_some_and(|replaced| ClientGroup::of(replaced) == ClientGroup::of(address));
        let mut taken = self.lock();
        let is_full = |limit: usize, count: usize| limit > 0 && count >= limit;
        let crowded = client.is_some_and(|client| is_full(quota.sessions_per_address, count(&taken.clients, &client)));
        let full = is_full(quota.sessions, taken.sessions);
        let may_borrow = replaces.is_some() && !taken.lent.contains(&stream);
        let watched = class == SessionClass::Viewer && is_full(quota.viewers, count(&taken.viewers, &stream));
        let holder = granted.map(|granted| (granted.credential, stream.clone()));
        let granted_limit = granted.map_or(0, |granted| granted.limit);
        let used_up = holder.as_ref().is_some_and(|holder| is_full(granted_limit, count(&taken.granted, holder)));
        let refused = if watched {
            Some(Refusal::MaxViewers)
        } else if used_up {
            Some(Refusal::MaxViewersOfToken)
        } else if crowded && !(may_borrow && replaces_own) {
            Some(Refusal::MaxSessionsPerAddress)
        } else if full && !may_borrow {
            Some(Refusal::MaxSessions)
        } else {
            None
        };
        if let Some(reason) = refused {
            // A token that is used up is no fault of the relay.
            let warns =
                reason != Refusal::MaxViewersOfToken && taken.warnings.entry(reason).or_default().due(now).is_some();
            return Err(OverQuota { reason, warns });
        }
        let lent = full || crowded;
        if lent {
            taken.lent.insert(stream.clone());
        }
        taken.sessions += 1;
        if let Some(client) = client {
            *taken.clients.entry(client).or_default() += 1;
        }
        if class == SessionClass::Viewer {
            *taken.viewers.entry(stream.clone()).or_default() += 1;
        }
        let holder = holder.map(|holder| {
            let credential = holder.0;
            *taken.granted.entry(holder).or_default() += 1;
            credential
        });
        Ok(Slot { slots: self.clone(), class, stream, client, holder, lent })
    }

    /// The slots that are taken, by name: all are 0 once every session has ended.
    pub(crate) fn counts(&self) -> [(&'static str, usize); 5] {
        let taken = self.lock();
        [
            ("slots: sessions", taken.sessions),
            ("slots: viewers", taken.viewers.len()),
            ("slots: clients", taken.clients.len()),
            ("slots: granted", taken.granted.len()),
            ("slots: lent", taken.lent.len()),
        ]
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// The session is connected: if its slot was lent, it has that of the publisher that it replaces now.
    pub(crate) fn settle(&mut self) {
        if std::mem::take(&mut self.lent) {
            self.slots.lock().lent.remove(&self.stream);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.settle();
        let mut taken = self.slots.lock();
        taken.sessions -= 1;
        if let Some(client) = self.client {
            give_back(&mut taken.clients, &client);
        }
        if let Some(holder) = self.holder {
            give_back(&mut taken.granted, &(holder, self.stream.clone()));
        }
        if self.class == SessionClass::Viewer {
            give_back(&mut taken.viewers, &self.stream);
        }
    }
}

fn count<K: std::hash::Hash + Eq>(counts: &HashMap<K, usize>, key: &K) -> usize {
    counts.get(key).copied().unwrap_or_default()
}

fn give_back<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    let Some(count) = counts.get_mut(key) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn applicant(role: Role, stream: &str, address: &str) -> Applicant {
        let class = SessionClass::of(role, false);
        let (stream, address) = (stream.parse().unwrap(), address.parse().unwrap());
        Applicant { class, stream, address, source: ClientSource::Direct, replaces: None, granted: None }
    }

    fn take(slots: &Slots, role: Role, stream: &str, address: &str) -> Result<Slot, Refusal> {
        slots.take(applicant(role, stream, address), Instant::now()).map_err(|refused| refused.reason)
    }

    fn replace(slots: &Slots, stream: &str, (address, replaces): (&str, &str)) -> Result<Slot, Refusal> {
        let replaces = Some(replaces.parse().unwrap());
        let applicant = Applicant { replaces, ..applicant(Role::Publisher, stream, address) };
        slots.take(applicant, Instant::now()).map_err(|refused| refused.reason)
    }

    #[test]
    fn a_full_relay_refuses_both_roles_until_a_session_ends() {
        let slots = Slots::new(Quota { sessions: 2, ..Quota::default() });
        let first = take(&slots, Role::Viewer, "a", "10.0.0.1").unwrap();
        let _second = take(&slots, Role::Publisher, "b", "10.0.0.2").unwrap();
        for role in [Role::Viewer, Role::Publisher] {
            assert_eq!(take(&slots, role, "c", "10.0.0.3").unwrap_err(), Refusal::MaxSessions);
        }
        drop(first);
        assert!(take(&slots, Role::Viewer, "c", "10.0.0.3").is_ok());
    }

    #[test]
    fn viewers_are_counted_for_each_stream_and_publishers_are_none() {
        let slots = Slots::new(Quota { viewers: 1, ..Quota::default() });
        let _one = take(&slots, Role::Viewer, "a", "10.0.0.1").unwrap();
        assert_eq!(take(&slots, Role::Viewer, "a", "10.0.0.2").unwrap_err(), Refusal::MaxViewers);
        assert!(take(&slots, Role::Viewer, "b", "10.0.0.2").is_ok());
        assert!(take(&slots, Role::Publisher, "a", "10.0.0.2").is_ok());
    }

    #[test]
    fn a_leg_counts_among_all_sessions_and_neither_as_a_viewer_nor_for_an_address() {
        let quota = Quota { sessions: 3, viewers: 1, sessions_per_address: 1 };
        let slots = Slots::new(quota);
        let leg = || {
            let applicant = Applicant { class: SessionClass::Leg, ..applicant(Role::Viewer, "a", "10.0.0.1") };
            slots.take(applicant, Instant::now()).map_err(|refused| refused.reason)
        };
        let _legs = [leg().unwrap(), leg().unwrap()];
        let viewer = take(&slots, Role::Viewer, "a", "10.0.0.1").unwrap();
        assert_eq!(leg().unwrap_err(), Refusal::MaxSessions);
        drop(viewer);
        let leg = leg().unwrap();
        assert_eq!(slots.counts()[1..3], [("slots: viewers", 0), ("slots: clients", 0)]);
        drop(leg);
    }

    #[test]
    fn one_client_is_an_address_or_a_slash_64_and_this_machine_is_exempt() {
        let slots = Slots::new(Quota { sessions_per_address: 1, ..Quota::default() });
        let _v4 = take(&slots, Role::Viewer, "a", "10.0.0.1").unwrap();
        let _v6 = take(&slots, Role::Viewer, "a", "2001:db8::1").unwrap();
        for neighbour in ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::2"] {
            let refused = take(&slots, Role::Publisher, "b", neighbour).unwrap_err();
            assert_eq!(refused, Refusal::MaxSessionsPerAddress, "{neighbour}");
        }
        assert!(take(&slots, Role::Viewer, "a", "2001:db8:0:1::1").is_ok());
        let _home: Vec<Slot> = (0..9).map(|_| take(&slots, Role::Viewer, "a", "127.0.0.1").unwrap()).collect();
    }

    #[test]
    fn a_client_behind_a_proxy_on_this_machine_is_not_this_machine() {
        let slots = Slots::new(Quota { sessions_per_address: 1, ..Quota::default() });
        let ask = |source, address| {
            let applicant = Applicant { source, ..applicant(Role::Viewer, "a", address) };
            slots.take(applicant, Instant::now()).map_err(|refused| refused.reason)
        };
        let _itself: Vec<Slot> = (0..9).map(|_| ask(ClientSource::Direct, "127.0.0.1").unwrap()).collect();
        for (source, other) in [(ClientSource::Proxied, "127.0.0.1"), (ClientSource::Unreadable, "127.0.0.2")] {
            let _first = ask(source, "127.0.0.1").unwrap();
            assert_eq!(ask(source, other).unwrap_err(), Refusal::MaxSessionsPerAddress, "{source:?}");
            assert!(ask(ClientSource::Direct, "127.0.0.1").is_ok());
            assert!(ask(ClientSource::Proxied, "192.0.2.1").is_ok(), "a client that is named has a limit of its own");
        }
    }

    #[test]
    fn a_publisher_that_replaces_another_is_lent_one_slot_at_a_time() {
        let slots = Slots::new(Quota { sessions: 1, ..Quota::default() });
        let old = take(&slots, Role::Publisher, "a", "10.0.0.1").unwrap();
        let mut new = replace(&slots, "a", ("10.0.0.2", "10.0.0.1")).unwrap();
        assert_eq!(replace(&slots, "a", ("10.0.0.3", "10.0.0.1")).unwrap_err(), Refusal::MaxSessions);
        new.settle();
        drop(old);
        assert_eq!(take(&slots, Role::Viewer, "b", "10.0.0.4").unwrap_err(), Refusal::MaxSessions);
        let unconnected = replace(&slots, "a", ("10.0.0.1", "10.0.0.2")).unwrap();
        drop(unconnected);
        assert!(replace(&slots, "a", ("10.0.0.1", "10.0.0.2")).is_ok(), "what never connects gives it back");
    }

    #[test]
    fn a_client_at_its_own_limit_may_replace_its_own_publisher_and_no_other() {
        let slots = Slots::new(Quota { sessions_per_address: 1, ..Quota::default() });
        let _own = take(&slots, Role::Publisher, "a", "10.0.0.1").unwrap();
        let _other = take(&slots, Role::Publisher, "b", "10.0.0.2").unwrap();
        let refused = replace(&slots, "b", ("10.0.0.1", "10.0.0.2")).unwrap_err();
        assert_eq!(refused, Refusal::MaxSessionsPerAddress);
        assert!(replace(&slots, "a", ("10.0.0.1", "10.0.0.1")).is_ok());
    }

    #[test]
    fn a_limit_that_holds_is_logged_once_a_minute() {
        let slots = Slots::new(Quota { sessions: 1, ..Quota::default() });
        let start = Instant::now();
        let _only = take(&slots, Role::Viewer, "a", "10.0.0.1").unwrap();
        let warns = |after: u64| {
            let now = start + Duration::from_secs(after);
            slots.take(applicant(Role::Viewer, "a", "10.0.0.1"), now).unwrap_err().warns
        };
        assert_eq!([0, 1, 59, 60, 61].map(warns), [true, false, false, true, false]);
    }

    proptest! {
        #[test]
        fn counts_stay_within_the_limits_and_return_to_zero(
            steps in prop::collection::vec((0..4u8, 0..3u8, 0..4u8), 1..200),
        ) {
            let quota = Quota { sessions: 6, viewers: 3, sessions_per_address: 4 };
            let slots = Slots::new(quota);
            let mut held: Vec<Slot> = Vec::new();
            for (action, stream, host) in steps {
                let (stream, address) = (format!("s{stream}"), format!("10.0.0.{host}"));
                let slot = match action {
                    0 => take(&slots, Role::Viewer, &stream, &address),
                    1 => take(&slots, Role::Publisher, &stream, &address),
                    2 => replace(&slots, &stream, (&address, &address)),
                    _ => {
                        if !held.is_empty() {
                            held.swap_remove(usize::from(host) % held.len());
                        }
                        continue;
                    }
                };
                held.extend(slot);
                let lent = held.iter().filter(|slot| slot.lent).count();
                prop_assert!(held.len() <= quota.sessions + lent, "{} with {lent} lent", held.len());
                let taken = slots.lock();
                prop_assert_eq!(taken.sessions, held.len());
                prop_assert!(taken.viewers.values().all(|count| *count <= quota.viewers));
            }
            drop(held);
            prop_assert!(slots.counts().iter().all(|(_, count)| *count == 0));
        }
    }
}
