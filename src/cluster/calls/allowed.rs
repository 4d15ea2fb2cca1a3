//! Which addresses a node calls: the URL of a node comes from the directory, and whoever can write there must not make
//! nodes send requests to this machine itself, or to the server of its cloud that hands out credentials.

use std::net::IpAddr;
use std::str::FromStr;

use crate::setting::{Network, is_special};

/// The networks and names of nodes; empty for every address but those of this machine, of its link and of metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    networks: Vec<Network>,
    names: Vec<String>,
}

/// One entry of [`Allowed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Network(Network),
    /// In lower case; with a dot at its beginning it stands for all names below.
    Name(String),
}

/// An address that nodes are not called at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} is not an address of a node by the settings: list its network or name in --cluster-allow")]
pub(crate) struct NotAllowed {
    host: String,
}

impl Allowed {
    /// The addresses among these that may be called; `host` is what the URL names.
    ///
    /// # Errors
    /// [`NotAllowed`] if there is none.
    pub(super) fn choose(
        &self,
        host: &str,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<Vec<IpAddr>, NotAllowed> {
        let is_named = self.has_name(host);
        let chosen: Vec<IpAddr> = addresses.into_iter().filter(|address| self.admits(*address, is_named)).collect();
        if chosen.is_empty() { Err(NotAllowed { host: host.to_owned() }) } else { Ok(chosen) }
    }

    /// Whether media may go to an address that a node has named: the list need not have it unless it is a special one.
    pub(super) fn admits_media(&self, address: IpAddr) -> bool {
        Network::admit(&self.networks, address)
    }

    fn admits(&self, address: IpAddr, is_named: bool) -> bool {
        let is_restricted = !self.networks.is_empty() || !self.names.is_empty();
        Network::any_has(&self.networks, address) || ((is_named || !is_restricted) && !is_special(address))
    }

    fn has_name(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let fits = |name: &String| if name.starts_with('.') { host.ends_with(name.as_str()) } else { host == *name };
        self.names.iter().any(fits)
    }
}

impl FromIterator<Entry> for Allowed {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        entries.into_iter().fold(Self::default(), |mut allowed, entry| {
            match entry {
                Entry::Network(network) => allowed.networks.push(network),
                Entry::Name(name) => allowed.names.push(name),
            }
            allowed
        })
    }
}

impl FromStr for Entry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        let is_part = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let parts = name.strip_prefix('.').unwrap_or(&name);
        // The last part of a name is never a number: that would be an address.
        let is_number = parts.rsplit('.').next().is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        match parts.split('.').all(is_part) && !is_number {
            true => Ok(Self::Name(name)),
            false => {
                Err("write an address, a network such as 10.0.0.0/8, a name, or .example.org for all names below it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(entries: &str) -> Allowed {
        entries.split_whitespace().map(|entry| entry.parse::<Entry>().unwrap()).collect()
    }

    fn calls(entries: &str, host: &str, address: &str) -> bool {
        allowed(entries).choose(host, [address.parse().unwrap()]).is_ok()
    }

    #[test]
    fn without_a_list_every_address_is_called_that_is_no_machine_of_ours_or_of_its_cloud() {
        for address in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1"] {
            assert!(calls("", "node", address), "{address}");
        }
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "169.254.169.254",
            "fe80::1",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
        ] {
            assert!(!calls("", "node", address), "{address}");
        }
    }

    #[test]
    fn with_a_list_only_what_it_has_is_called_and_a_name_leads_to_no_special_address() {
        let list = "10.0.0.0/8 127.0.0.1 node.example.org .cluster.local";
        for (host, address) in [
            ("other", "10.1.2.3"),
            ("localhost", "127.0.0.1"),
            ("node.example.org", "192.0.2.1"),
            ("Node.Example.org.", "192.0.2.1"),
            ("a.b.cluster.local", "192.0.2.1"),
        ] {
            assert!(calls(list, host, address), "{host} {address}");
        }
        for (host, address) in [
            ("other", "192.0.2.1"),
            ("192.0.2.1", "192.0.2.1"),
            ("node.example.org", "169.254.169.254"),
            ("node.example.org", "127.0.0.2"),
            ("xcluster.local", "192.0.2.1"),
            ("node.example.org.evil.example", "192.0.2.1"),
        ] {
            assert!(!calls(list, host, address), "{host} {address}");
        }
    }

    #[test]
    fn an_entry_is_a_network_or_a_name() {
        for wrong in ["", ".", "a..b", "http://a", "a/8", "10.0.0.1/8", "a:80", "1.2.3", "*.example.org"] {
            assert!(wrong.parse::<Entry>().is_err(), "{wrong}");
        }
    }
}
