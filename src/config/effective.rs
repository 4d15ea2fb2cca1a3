//! The effective settings: those of the command line, the environment and the file, each with its origin.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::setting::{self, Origin, Setting, Value, parser};
use super::{Config, ConfigError, Settings, file};

/// The flag that names the file.
const FILE: &str = "config";
/// The setting with the names for which a certificate is ordered.
const DOMAIN: &str = "domain";
/// The setting of the public address.
const LISTEN: &str = "http.listen";
/// The port of HTTPS, on every address.
const HTTPS: &str = "0.0.0.0:443";

/// The settings of the command line and the environment. Not `Debug`: it holds secrets.
pub struct Given {
    file: Option<PathBuf>,
    values: BTreeMap<String, Value>,
}

/// All settings in force. Not `Debug`: it holds secrets.
pub struct Effective {
    pub(crate) file: Option<PathBuf>,
    pub(super) settings: Vec<(Setting, Value)>,
}

impl Given {
    /// Reads the file, if one is named; command line and environment take precedence over it.
    ///
    /// # Errors
    /// [`ConfigError`] about the file.
    pub fn effective(&self) -> Result<Effective, ConfigError> {
        let mut in_file = self.file.as_deref().map_or(Ok(BTreeMap::new()), file::read)?;
        let settings = setting::all().into_iter().map(|setting| {
            let values = [self.values.get(setting.id()).cloned(), in_file.remove(setting.id())];
            let default = Value { words: setting.default_words(), origin: Origin::Default };
            let value = values.into_iter().flatten().fold(default, |a, b| if b.origin > a.origin { b } else { a });
            (setting, value)
        });
        let mut effective = Effective { settings: settings.collect(), file: self.file.clone() };
        effective.listen_where_authorities_ask();
        Ok(effective)
    }

    /// Whether a file is named.
    pub(crate) fn has_file(&self) -> bool {
        self.file.is_some()
    }
}

impl Effective {
    /// The value of a setting; empty if it is not set.
    pub(super) fn words(&self, id: &str) -> &[String] {
        let found = self.settings.iter().find(|(setting, _)| setting.id() == id);
        found.map(|(_, value)| value.words.as_slice()).unwrap_or_default()
    }

    /// With `--domain`, the default of `--http` is the port at which authorities validate names (RFC 8737 3).
    fn listen_where_authorities_ask(&mut self) {
        let has_domain = !self.words(DOMAIN).is_empty();
        let listen = self.settings.iter_mut().find(|(setting, _)| setting.id() == LISTEN);
        if let Some((_, value)) = listen.filter(|(_, value)| has_domain && value.origin == Origin::Default) {
            value.words = vec![HTTPS.to_owned()];
        }
    }

    /// The configuration of each module.
    ///
    /// # Errors
    /// [`ConfigError`] for settings that are inconsistent.
    pub fn config(&self) -> Result<Config, ConfigError> {
        self.check_pairs()?;
        let flags = self
            .settings
            .iter()
            .flat_map(|(setting, value)| value.words.iter().map(|word| format!("{}={word}", setting.flag())));
        let matches = parser().try_get_matches_from(flags).and_then(|matches| Settings::from_arg_matches(&matches));
        matches.expect("each value was read before, by itself").try_into()
    }
}

/// A setting whose value differs from the one in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its section of the file.
    pub(crate) section: String,
    /// Its section and key, joined by a dot.
    pub(crate) path: String,
}

impl Changed {
    /// Whether a running relay applies the change.
    pub(crate) fn is_live(&self) -> bool {
        is_live(&self.section)
    }
}

fn is_live(section: &str) -> bool {
    ["auth", "legs", "log"].contains(&section)
}

impl Effective {
    /// The settings that have another value in `newer`.
    pub fn changes(&self, newer: &Self) -> Vec<Changed> {
        let pairs = self.settings.iter().zip(&newer.settings);
        let changed = pairs.filter(|((_, old), (_, new))| old.words != new.words);
        changed.map(|((it, _), _)| Changed { section: it.section().to_owned(), path: it.path() }).collect()
    }

    /// Takes the values of `newer` that a running relay applies.
    pub(crate) fn take_up(&mut self, newer: &Self) {
        for ((setting, old), (_, new)) in self.settings.iter_mut().zip(&newer.settings) {
            if is_live(setting.section()) {
                *old = new.clone();
            }
        }
    }
}

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(FILE).long(FILE).env("SLUICE_CONFIG").value_name("FILE");
        let file = file.value_parser(clap::value_parser!(PathBuf)).help(
            "A TOML file with the settings below, in a section for each heading; the environment and flags win over it",
        );
        Settings::augment_args(command.arg(file))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let values = setting::all().into_iter().filter_map(|setting| {
            let origin = match matches.value_source(setting.id())? {
                ValueSource::CommandLine => Origin::Flag,
                ValueSource::EnvVariable => Origin::Environment,
                _ => return None,
            };
            let words = matches.get_raw(setting.id())?.map(|word| word.to_string_lossy().into_owned()).collect();
            Some((setting.id().to_owned(), Value { words, origin }))
        });
        Ok(Self { file: matches.get_one(FILE).cloned(), values: values.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
