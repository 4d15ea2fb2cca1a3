//! Rejects pairs of settings where one would silently override the other: an operator that sets both expects both to
//! take effect.

use super::ConfigError;
use super::effective::Effective;
use super::setting::Origin;

/// Limits of the frames that are kept for viewers that join late; 0 in one of them keeps none.
const CACHE: [(&str, &str); 3] = [
    ("fast_start", "--fast-start"),
    ("fast_start_size", "--fast-start-size"),
    ("fast_start_total", "--fast-start-total"),
];

/// Sources of tokens. Without any, everyone may do everything.
const TOKENS: [&str; 7] =
    ["publish_token", "watch_token", "admin_token", "token_file", "jwt_key", "jwks_url", "access_webhook"];

/// Settings by which the relay serves HTTPS, or knows that a proxy does.
const HTTPS: [&str; 4] = ["tls_cert", "tls_self_signed", "domain", "trusted_proxy"];

/// Settings that need media by TCP.
const BY_TCP: [(&str, &str); 2] = [("media_on_http", "--media-on-http"), ("turn", "--turn")];

/// Settings of the authority that issues certificates for `--domain`.
const ACME: [(&str, &str); 3] =
    [("acme_directory", "--acme-directory"), ("acme_contact", "--acme-contact"), ("acme_ca", "--acme-ca")];

/// Settings of a node of a cluster.
const CLUSTER: [(&str, &str); 7] = [
    ("cluster_credentials", "--cluster-credentials"),
    ("cluster_ca", "--cluster-ca"),
    ("node_url", "--node-url"),
    ("public_url", "--public-url"),
    ("cluster_secret", "--cluster-secret"),
    ("cluster_secret_file", "--cluster-secret-file"),
    ("cluster_allow", "--cluster-allow"),
];

impl Effective {
    /// Refuses settings that contradict each other.
    pub(super) fn check_pairs(&self) -> Result<(), ConfigError> {
        let refuse = |sentence: &str| Err(ConfigError::Contradiction(sentence.to_owned()));
        if self.words("allow_origin").len() > 1 && self.words("allow_origin").iter().any(|origin| origin == "*") {
            return refuse(
                "--allow-origin has * besides other origins, which allows every page: remove * or the others",
            );
        }
        let is = |id: &str, word: &str| self.words(id) == [word];
        if is("public_watch", "true") && !self.words("watch_token").is_empty() {
            return refuse(
                "--public-watch lets everyone watch, so --watch-token would protect nothing: remove one of the two",
            );
        }
        if is("public_watch", "true") && !TOKENS.iter().any(|id| self.is_changed(id)) {
            return refuse(
                "--public-watch has no effect without a token, because everyone may do everything then: set --publish-token, \
                 or remove --public-watch",
            );
        }
        if self.is_changed("hsts") && !HTTPS.iter().any(|id| self.is_changed(id)) {
            return refuse(
                "--hsts has no effect without HTTPS: serve it with --tls-cert and --tls-key or with --domain, name the proxy \
                 that does with --trusted-proxy, or remove --hsts",
            );
        }
        if is("ice_tcp", "false")
            && let Some((_, flag)) = BY_TCP.into_iter().find(|(id, _)| is(id, "true") && self.is_written(id))
        {
            return refuse(&format!(
                "--ice-tcp=false accepts no media by TCP, so {flag} would have no effect: remove one of the two"
            ));
        }
        if is("proxy_protocol", "true") && self.words("trusted_proxy").is_empty() {
            return refuse(
                "--proxy-protocol serves trusted proxies only, and none is named: name the proxy's address with --trusted-proxy",
            );
        }
        if self.words("domain").is_empty()
            && let Some((_, flag)) = ACME.into_iter().find(|(id, _)| self.is_changed(id))
        {
            return refuse(&format!(
                "{flag} has no effect without --domain: set the DNS name of this machine there, or remove {flag}"
            ));
        }
        if self.words("cluster.servers").is_empty()
            && let Some((_, flag)) = CLUSTER.into_iter().find(|(id, _)| self.is_changed(id))
        {
            return refuse(&format!(
                "{flag} has no effect without --cluster: name the servers of the directory there, or remove {flag}"
            ));
        }
        if self.is_changed("cluster_secret") && self.is_changed("cluster_secret_file") {
            return refuse("--cluster-secret and --cluster-secret-file are both set: remove one of the two");
        }
        let written: Vec<_> = CACHE.into_iter().filter(|(id, _)| self.is_written(id)).collect();
        let keeps_nothing = written.iter().find(|(id, _)| is(id, "0"));
        let keeps_some = written.iter().find(|(id, _)| !is(id, "0"));
        if let (Some((_, nothing)), Some((_, some))) = (keeps_nothing, keeps_some) {
            return refuse(&format!(
                "{nothing} is 0, which keeps nothing, so {some} would have no effect: remove one of the two"
            ));
        }
        Ok(())
    }

    /// Whether its value differs from the default.
    fn is_changed(&self, id: &str) -> bool {
        self.settings.iter().any(|(setting, value)| setting.id() == id && value.words != setting.default_words())
    }

    /// Whether it was set by the operator.
    fn is_written(&self, id: &str) -> bool {
        self.settings.iter().any(|(setting, value)| setting.id() == id && value.origin != Origin::Default)
    }
}

#[cfg(test)]
mod tests {
    use super::super::setting;
    use super::{ACME, BY_TCP, CACHE, CLUSTER, HTTPS, TOKENS};

    #[test]
    fn the_settings_that_are_looked_at_exist() {
        for id in [
            "allow_origin",
            "public_watch",
            "watch_token",
            "ice_tcp",
            "proxy_protocol",
            "trusted_proxy",
            "domain",
            "cluster.servers",
            "hsts",
        ]
        .into_iter()
        .chain(TOKENS)
        .chain(HTTPS)
        .chain(CACHE.map(|(id, _)| id))
        .chain(ACME.map(|(id, _)| id))
        .chain(BY_TCP.map(|(id, _)| id))
        .chain(CLUSTER.map(|(id, _)| id))
        {
            assert!(setting::all().iter().any(|setting| setting.id() == id), "{id}");
        }
    }
}
