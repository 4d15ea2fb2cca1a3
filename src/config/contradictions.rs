//! Pairs of settings of which one would silently beat the other: they are refused, because whoever wrote both expects
//! both.

use super::ConfigError;
use super::given::{Effective, Origin};

impl Effective {
    /// Refuses settings that contradict each other.
    pub(super) fn check_pairs(&self) -> Result<(), ConfigError> {
        let refuse = |sentence: &str| Err(ConfigError::Contradiction(sentence.to_owned()));
        if self.words("allow_origin").len() > 1 && self.words("allow_origin").iter().any(|origin| origin == "*") {
            return refuse(
                "--allow-origin has * beside other origins, which allows every page: leave * out, or the others",
            );
        }
        let is = |id: &str, word: &str| self.words(id) == [word];
        if is("public_watch", "true") && !self.words("watch_token").is_empty() {
            return refuse(
                "--public-watch lets everybody watch, so --watch-token would protect nothing: leave one of the two out",
            );
        }
        let (age, size) = ("fast_start", "fast_start_size");
        if self.is_written(age) && self.is_written(size) && is(age, "0") != is(size, "0") {
            return refuse(
                "one of --fast-start and --fast-start-size is 0, which keeps nothing, and the other is not: leave one of \
                 the two out, or set both to 0",
            );
        }
        Ok(())
    }

    fn words(&self, id: &str) -> &[String] {
        let found = self.settings.iter().find(|(setting, _)| setting.id() == id);
        found.map(|(_, value)| value.words.as_slice()).unwrap_or_default()
    }

    /// Whether somebody has set it.
    fn is_written(&self, id: &str) -> bool {
        self.settings.iter().any(|(setting, value)| setting.id() == id && value.origin != Origin::Default)
    }
}

#[cfg(test)]
mod tests {
    use super::super::setting;

    #[test]
    fn the_settings_that_are_looked_at_exist() {
        for id in ["allow_origin", "public_watch", "watch_token", "fast_start", "fast_start_size"] {
            assert!(setting::all().iter().any(|setting| setting.id() == id), "{id}");
        }
    }
}
