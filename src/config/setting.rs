//! One setting, as the command line declares it, and a value of it: the file, the environment and the README are
//! derived from that.

use clap::{Arg, ArgAction, Args as _, Command};

use super::Settings;

/// A flag with its variable and its key.
#[derive(Clone)]
pub(super) struct Setting(Arg);

/// Replaces a secret in output. A file that still contains it is refused, so that no relay starts with it as a token.
pub(super) const MASK: &str = "(secret)";

/// The origin of a value; a later one takes precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    Default,
    /// The line, from 1.
    File(usize),
    Environment,
    Flag,
}

/// The values of one setting as text; empty if it is not set.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) words: Vec<String>,
    pub(super) origin: Origin,
}

/// Every setting, section by section.
pub(super) fn all() -> Vec<Setting> {
    Settings::augment_args(Command::new("settings")).get_arguments().cloned().map(Setting).collect()
}

/// A parser for the flags of settings only, without environment and help.
pub(super) fn parser() -> Command {
    Settings::augment_args(Command::new("settings").no_binary_name(true).disable_help_flag(true))
        .mut_args(|argument| argument.env(None::<&'static str>))
}

/// The environment variable of a flag, which is given with its dashes.
pub(crate) fn variable(flag: &str) -> String {
    format!("SLUICE_{}", flag.trim_start_matches('-').to_uppercase().replace('-', "_"))
}

impl Setting {
    /// Its name among clap's arguments.
    pub(super) fn id(&self) -> &str {
        self.0.get_id().as_str()
    }

    /// Its section in the file, which is its heading in the help.
    pub(super) fn section(&self) -> &str {
        self.0.get_help_heading().unwrap_or_default()
    }

    /// Its key in the section: the flag's name, unless that is the section's own name. Then the argument has an
    /// explicit id, such as `http.listen`.
    pub(super) fn key(&self) -> String {
        self.id().rsplit('.').next().unwrap_or_default().replace('_', "-")
    }

    /// Section and key, joined by a dot.
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.section(), self.key())
    }

    /// The flag with its dashes.
    pub(super) fn flag(&self) -> String {
        format!("--{}", self.0.get_long().unwrap_or_default())
    }

    pub(super) fn variable(&self) -> &str {
        self.0.get_env().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// What its value looks like, such as `ADDR:PORT`.
    pub(super) fn shape(&self) -> &str {
        self.0.get_value_names().and_then(|names| names.first()).map_or("VALUE", |name| name.as_str())
    }

    /// Its help text.
    pub(super) fn meaning(&self) -> String {
        self.0.get_help().map(ToString::to_string).unwrap_or_default()
    }

    /// Its default as text; empty if it has none.
    pub(super) fn default_words(&self) -> Vec<String> {
        self.split(self.0.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()))
    }

    /// Several values in one text are separated by commas, as clap does with flags and variables.
    pub(super) fn split(&self, words: impl IntoIterator<Item = String>) -> Vec<String> {
        let Some(comma) = self.0.get_value_delimiter() else { return words.into_iter().collect() };
        words.into_iter().flat_map(|word| word.split(comma).map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// It is never shown.
    pub(super) fn is_secret(&self) -> bool {
        self.0.is_hide_env_values_set()
    }

    /// It takes several values, as an array in the file.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.0.get_action(), ArgAction::Append)
    }
}
