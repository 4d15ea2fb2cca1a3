//! Why a session did not connect or carries no media, in a sentence for the operator, and for the client that
//! shows it to its user.

use std::net::SocketAddr;
use std::time::Instant;

use super::session_record::{LegEnd, Report, SessionRecord};
use super::unreached::SETTLED;
use crate::five_tuple::listed;
use crate::name::Role;

impl SessionRecord {
    /// Why the session carries no media; `None` if media has passed, or if the session is too young to tell.
    pub(crate) fn explanation(&self, report: &Report, now: Instant) -> Option<String> {
        let until = report.ended.map_or(now, |(_, moment)| moment);
        if until.saturating_duration_since(self.created) < SETTLED || report.first_media.is_some() {
            return None;
        }
        if let (Some(LegEnd::Dialling { remote, addresses }), None) = (&self.leg, report.connected) {
            return Some(self.not_reached(remote, addresses, report));
        }
        Some(match (report.connected, report.checks.authentic) {
            (Some(_), _) => self.no_media(),
            (None, 0) => self.no_check(report),
            (None, _) => self.no_handshake(report),
        })
    }

    /// Why a leg that this relay dials is not connected.
    fn not_reached(&self, remote: &str, addresses: &[SocketAddr], report: &Report) -> String {
        let Some(first) = report.checks.first.filter(|_| report.opened.is_some()) else {
            return format!(
                "no address of {remote} answered a check by UDP: {} were tried; open these ports for UDP there, and set \
                 --advertise there if this relay cannot reach these addresses",
                listed(addresses)
            );
        };
        let failure = report.failure.as_deref().unwrap_or("no message of its handshake arrived");
        format!("{remote} answered from {first}, but DTLS did not complete: {failure}")
    }

    fn no_check(&self, report: &Report) -> String {
        let (client, given) = (self.client, self.candidates());
        let (either, both, given) = match &given.tcp[..] {
            [] => ("UDP", "UDP", format!("{} by UDP", listed(&given.udp))),
            tcp => ("UDP or TCP", "UDP and TCP", format!("{} by UDP, and {} by TCP", listed(&given.udp), listed(tcp))),
        };
        let refused = match report.checks.refused {
            0 => String::new(),
            refused => {
                let refused = counted(refused, "datagram was", "datagrams were");
                format!(" ({refused} refused: not signed with its password)")
            }
        };
        format!(
            "no valid check of the client arrived by {either}{refused}: it posted its offer from {client} and was given {given}; \
             open these ports for {both}, and set --advertise if the client cannot reach these addresses"
        )
    }

    fn no_handshake(&self, report: &Report) -> String {
        let (checks, addresses) = (report.checks.authentic, report.checks.addresses);
        let from = report.checks.first.map_or_else(|| self.client.to_string(), |first| first.to_string());
        let by = report.checks.first_by.map_or_else(String::new, |by| format!(" by {}", by.as_str().to_uppercase()));
        let tried = format!(
            "{} arrived from {}, the first from {from}{by}",
            counted(checks, "check", "checks"),
            counted(addresses.into(), "address", "addresses")
        );
        match &report.failure {
            Some(failure) => format!("{tried}, but DTLS did not complete: {failure}"),
            None => format!(
                "{tried}, but DTLS did not complete, as if the relay's packets did not reach the client: let its \
                 answers pass in firewalls"
            ),
        }
    }

    fn no_media(&self) -> String {
        match self.role {
            Role::Publisher if self.leg.is_some() => {
                "it is connected, but no media packet arrived: the other relay has no publisher of the stream, or none that \
                 sends media"
                    .to_owned()
            }
            Role::Publisher => "it is connected, but no media packet arrived: the encoder sends nothing, or only on \
                                tracks that were not agreed"
                .to_owned(),
            Role::Viewer => "it is connected, but nothing was sent to it: its stream has no publisher, or none that \
                             sends media"
                .to_owned(),
        }
    }
}

/// A number with its noun.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::five_tuple::Protocol;
    use crate::name::SessionId;
    use crate::reason::EndReason;
    use crate::sdp::{Candidates, Offered};

    fn record(role: Role, created: Instant) -> SessionRecord {
        let offered = Offered { codecs: Vec::new(), candidates: 0 };
        let addresses = vec!["203.0.113.7:8081".parse().unwrap(), "[2001:db8::7]:8081".parse().unwrap()];
        let tcp = vec!["203.0.113.7:8081".parse().unwrap(), "203.0.113.7:443".parse().unwrap()];
        let client = ("198.51.100.9".parse().unwrap(), Candidates { udp: addresses, tcp });
        SessionRecord::new(SessionId::random(), (role, "cam".parse().unwrap()), (None, offered), client, created)
    }

    fn explained(role: Role, change: impl FnOnce(&mut Report, Instant)) -> Option<String> {
        let created = Instant::now();
        let record = record(role, created);
        let mut report = Report::default();
        change(&mut report, created);
        record.explanation(&report, created + SETTLED)
    }

    #[test]
    fn without_a_check_it_says_which_addresses_the_client_was_given_and_where_it_posted_from() {
        let sentence = explained(Role::Viewer, |_, _| {}).unwrap();
        for part in [
            "no valid check of the client arrived by UDP or TCP",
            "198.51.100.9",
            "203.0.113.7:8081, [2001:db8::7]:8081 by UDP, and 203.0.113.7:8081, 203.0.113.7:443 by TCP",
            "--advertise",
        ] {
            assert!(sentence.contains(part), "{sentence}");
        }
        let forged = explained(Role::Viewer, |report, _| report.checks.refused = 3).unwrap();
        assert!(forged.contains("3 datagrams were refused"), "{forged}");
    }

    #[test]
    fn without_a_handshake_it_says_what_arrived_and_which_alert_came() {
        let checked = |report: &mut Report| {
            report.checks.authentic = 5;
            report.checks.addresses = 2;
            report.checks.first = Some("198.51.100.9:5000".parse().unwrap());
            report.checks.first_by = Some(Protocol::Tcp);
        };
        let silent = explained(Role::Viewer, |report, _| checked(report)).unwrap();
        assert!(
            silent.contains("5 checks arrived from 2 addresses, the first from 198.51.100.9:5000 by TCP"),
            "{silent}"
        );
        assert!(silent.contains("did not reach the client"), "{silent}");
        let one =
            explained(Role::Viewer, |report, _| (report.checks.authentic, report.checks.addresses) = (1, 1)).unwrap();
        assert!(one.starts_with("1 check arrived from 1 address, the first"), "{one}");
        let alert = explained(Role::Viewer, |report, _| {
            checked(report);
            report.failure = Some("DTLS alert: handshake_failure".to_owned());
        });
        assert!(alert.unwrap().ends_with("DTLS did not complete: DTLS alert: handshake_failure"));
    }

    #[test]
    fn a_connected_session_without_media_is_explained_by_its_role() {
        let connected = |role| explained(role, |report, created| report.connected = Some(created)).unwrap();
        assert!(connected(Role::Publisher).contains("the encoder sends nothing"));
        assert!(connected(Role::Viewer).contains("no publisher"));
    }

    #[test]
    fn a_leg_that_is_dialled_is_explained_by_the_addresses_of_the_other_relay() {
        let created = Instant::now();
        let addresses = vec!["203.0.113.9:8081".parse().unwrap()];
        let leg = LegEnd::Dialling { remote: "relay.example.org".to_owned(), addresses };
        let record = record(Role::Publisher, created).with_leg(Some(leg));
        let mut report = Report::default();
        let mut explained = |change: fn(&mut Report, Instant)| {
            change(&mut report, created);
            record.explanation(&report, created + SETTLED).unwrap()
        };
        let silent = explained(|_, _| {});
        assert!(silent.contains("no address of relay.example.org answered") && silent.contains("203.0.113.9:8081"));
        let opened = explained(|report, created| {
            (report.opened, report.checks.first) = (Some(created), Some("203.0.113.9:8081".parse().unwrap()));
        });
        assert!(opened.contains("answered from 203.0.113.9:8081, but DTLS did not complete"), "{opened}");
        let connected = explained(|report, created| report.connected = Some(created));
        assert!(connected.contains("the other relay has no publisher"), "{connected}");
    }

    #[test]
    fn a_session_with_media_a_young_one_and_one_that_left_at_once_have_no_explanation() {
        assert_eq!(explained(Role::Viewer, |report, created| report.first_media = Some(created)), None);
        let created = Instant::now();
        assert_eq!(record(Role::Viewer, created).explanation(&Report::default(), created), None);
        assert_eq!(
            explained(Role::Viewer, |report, created| report.ended = Some((EndReason::Abandoned, created))),
            None
        );
    }
}
