//! One setting, as the command line declares it, and a value of it: the file, the environment and the README are derived
//! from that.

use clap::{Arg, ArgAction, Args as _, Command};

use super::Settings;

/// A flag with its variable and its key.
#[derive(Clone)]
pub(super) struct Setting(Arg);

/// Stands for a secret. A file that still has it is refused, so that nobody starts a relay with this for a token.
pub(super) const MASK: &str = "(secret)";

/// Where a value comes from; a later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    Default,
    /// The line, from 1.
    File(usize),
    Environment,
    Flag,
}

/// The values of one setting, in words; none if it is not set.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) words: Vec<String>,
    pub(super) origin: Origin,
}

/// Every setting, section by section.
pub(super) fn all() -> Vec<Setting> {
    Settings::augment_args(Command::new("settings")).get_arguments().cloned().map(Setting).collect()
}

/// Reads flags of settings, and nothing else: no environment, no help.
pub(super) fn parser() -> Command {
    Settings::augment_args(Command::new("settings").no_binary_name(true).disable_help_flag(true))
        .mut_args(|argument| argument.env(None::<&'static str>))
}

/// The variable of a flag that has its dashes.
pub fn variable(flag: &str) -> String {
    format!("SLUICE_{}", flag.trim_start_matches('-').to_uppercase().replace('-', "_"))
}

impl Setting {
    /// Its name among clap's arguments.
    pub(super) fn id(&self) -> &str {
        self.0.get_id().as_str()
    }

    /// The section of the file, which is the heading in the help.
    pub(super) fn section(&self) -> &str {
        self.0.get_help_heading().unwrap_or_default()
    }

    /// The key in its section: the flag's name, unless that is the section's. Then the argument has an id of its own,
    /// such as `http.listen`.
    pub(super) fn key(&self) -> String {
        self.id().rsplit('.').next().unwrap_or_default().replace('_', "-")
    }

    /// Section and key, for a person.
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.section(), self.key())
    }

    /// With its dashes.
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

    /// What it is for.
    pub(super) fn meaning(&self) -> String {
        self.0.get_help().map(ToString::to_string).unwrap_or_default()
    }

    /// Its default, in words; none if it is then not set.
    pub(super) fn default_words(&self) -> Vec<String> {
        self.0.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect()
    }

    /// Never shown.
    pub(super) fn is_secret(&self) -> bool {
        self.0.is_hide_env_values_set()
    }

    /// Several values, in an array.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.0.get_action(), ArgAction::Append)
    }
}
