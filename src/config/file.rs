//! Reads the TOML file: sections with keys. An error names the line and what to do, and never contains a value that may
//! be a secret.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::nearest::nearest;
use super::setting::{self, MASK, Origin, Setting, Value, parser};
use super::tables;
use crate::setting::{in_plain_words, read_text};

/// A complaint, and the byte that it is about.
pub(super) type Wrong = (usize, String);

/// The values in a file, by the id of their setting.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Value>, ConfigError> {
    let text = read_text(path).map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
    values(&text).map_err(|(at, complaint)| ConfigError::Invalid {
        path: path.to_owned(),
        line: line_of(&text, at),
        complaint,
    })
}

fn values(text: &str) -> Result<BTreeMap<String, Value>, Wrong> {
    let document = DeTable::parse(text).map_err(|error| {
        // The message only: `Display` adds the line itself, which may contain a token.
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message().trim().replace('\n', ", ");
        (at, format!("{message}: write it as TOML, with text in quotes, such as listen = \"0.0.0.0:8080\""))
    })?;
    let known = setting::all();
    let mut values = BTreeMap::new();
    for (section, content) in document.get_ref() {
        let at = section.span().start;
        let section = section.get_ref().as_ref();
        if let Some(tables) = tables::of(section, content.get_ref()) {
            let setting =
                known.iter().find(|it| it.key() == section).ok_or_else(|| (at, no_key(&known, "", section)))?;
            let mut words = Vec::new();
            for table in tables {
                let at = table.span().start;
                let word = tables::word(section, table.get_ref()).map_err(|what| (at, what))?;
                // Without the value, which may contain a password.
                complaint(setting, std::slice::from_ref(&word))
                    .map_or(Ok(()), |why| Err((at, format!("[[{section}]]: {why}"))))?;
                words.push(word);
            }
            let origin = Origin::File(line_of(text, tables.first().map_or(at, |table| table.span().start)));
            take(&mut values, setting, Value { words, origin }).map_err(|what| (at, what))?;
            continue;
        }
        let Some(keys) = content.get_ref().as_table().filter(|_| is_section(&known, section)) else {
            return Err((at, no_section(&known, section, content.get_ref())));
        };
        for (key, value) in keys {
            let at = key.span().start;
            let key = key.get_ref().as_ref();
            let setting = known.iter().find(|it| it.section() == section && it.key() == key);
            let setting = setting.ok_or_else(|| (at, no_key(&known, section, key)))?;
            let words = words(value.get_ref()).map_err(|what| (at, format!("{} {what}", setting.path())))?;
            check(setting, &words).map_err(|what| (at, format!("{}: {what}", setting.path())))?;
            let origin = Origin::File(line_of(text, at));
            let value = Value { words: setting.split(words), origin };
            take(&mut values, setting, value).map_err(|what| (at, what))?;
        }
    }
    Ok(values)
}

/// Takes the value of a setting, unless it has one.
fn take(values: &mut BTreeMap<String, Value>, setting: &Setting, value: Value) -> Result<(), String> {
    match values.insert(setting.id().to_owned(), value) {
        None => Ok(()),
        Some(_) => {
            Err(format!("[[{}]] and {} are the same setting: write one of the two", setting.key(), setting.path()))
        }
    }
}

/// A value as its flag would take it; an array is several values.
fn words(value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
    match value {
        DeValue::Array(array) if array.is_empty() => Err("is empty: name at least one, or remove it"),
        DeValue::Array(array) => array
            .iter()
            .map(|value| word(value.get_ref()).ok_or("has an array that contains more than values"))
            .collect(),
        value => word(value).map(|word| vec![word]).ok_or("is not a section: write it as key = value"),
    }
}

fn word(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// Checks a value as its flag would.
fn check(setting: &Setting, words: &[String]) -> Result<(), String> {
    if setting.is_secret() && words.iter().any(|word| word == MASK) {
        return Err("this is a masked secret: write the secret here, or remove the line".to_owned());
    }
    let Some(why) = complaint(setting, words) else { return Ok(()) };
    Err(if setting.is_secret() { why } else { format!("{:?}: {why}", words.join(",")) })
}

/// What is wrong with a value, without showing it.
fn complaint(setting: &Setting, words: &[String]) -> Option<String> {
    let flags = words.iter().map(|word| format!("{}={word}", setting.flag()));
    let error = parser().try_get_matches_from(flags).err()?;
    Some(match error.source() {
        Some(source) => in_plain_words(&source.to_string()),
        None if words.len() > 1 => "write one value, not an array".to_owned(),
        None if setting.shape() == "BOOL" => "write true or false".to_owned(),
        None => format!("write {}", setting.shape()),
    })
}

fn is_section(known: &[Setting], name: &str) -> bool {
    known.iter().any(|setting| setting.section() == name)
}

fn no_section(known: &[Setting], name: &str, content: &DeValue<'_>) -> String {
    if is_section(known, name) {
        return format!("{name} is a section: write [{name}], and its settings below that");
    }
    if let Some(setting) = known.iter().find(|setting| setting.key() == name) {
        return format!("{name} belongs in a section: write it below [{}]", setting.section());
    }
    let sections = known.iter().map(Setting::section);
    let near = if content.is_table() {
        nearest(name, sections).map(|near| format!("did you mean [{near}]?"))
    } else {
        let near = nearest(name, known.iter().map(Setting::path).chain(sections.map(str::to_owned)));
        near.map(|near| format!("did you mean {near}?"))
    };
    format!("{name} is not a setting: {}", near.unwrap_or_else(|| "sluice check-config prints all settings".to_owned()))
}

fn no_key(known: &[Setting], section: &str, key: &str) -> String {
    if let Some(elsewhere) = known.iter().find(|setting| setting.key() == key) {
        return format!("{key} is not a setting of [{section}]: write it below [{}]", elsewhere.section());
    }
    let (own, others): (Vec<_>, Vec<_>) = known.iter().partition(|setting| setting.section() == section);
    let near = [own, others].into_iter().find_map(|settings| {
        let keys = settings.iter().map(|setting| (setting.key(), setting.path()));
        let found = nearest(key, keys.clone().map(|(key, _)| key))?;
        keys.into_iter().find_map(|(key, path)| (key == found).then_some(path))
    });
    let advice = near.map(|near| format!("did you mean {near}?"));
    format!(
        "{section}.{key} is not a setting: {}",
        advice.unwrap_or_else(|| "sluice check-config prints all settings".to_owned())
    )
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
