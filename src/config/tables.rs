//! Arrays of tables in the file: each `[[pull]]` or `[[push]]` is one value of its setting, as the flag takes it.

use toml::Spanned;
use toml::de::DeValue;

/// The settings whose values are also written as tables, and the keys that those need.
const SETTINGS: [&str; 2] = ["pull", "push"];

/// The keys that each table needs.
const NEEDED: [&str; 2] = ["stream", "url"];

/// The tables, if a section is an array of them.
pub(super) fn of<'a, 'b>(section: &str, content: &'a DeValue<'b>) -> Option<&'a [Spanned<DeValue<'b>>]> {
    match content {
        DeValue::Array(tables) if SETTINGS.contains(&section) => Some(tables),
        _ => None,
    }
}

/// A table as its flag takes it: `stream=url` and the other keys behind it.
///
/// # Errors
/// A sentence that says what is wrong with the table.
pub(super) fn word(section: &str, table: &DeValue<'_>) -> Result<String, String> {
    let Some(table) = table.as_table() else {
        return Err(format!("write [[{section}]], and its keys below that"));
    };
    let mut needed = [None; NEEDED.len()];
    let mut others = String::new();
    for (key, value) in table {
        let key = key.get_ref().as_ref();
        let Some(text) = value.get_ref().as_str().filter(|text| !text.contains(char::is_whitespace)) else {
            return Err(format!("{key} of [[{section}]] is a text without spaces: write {key} = \"...\""));
        };
        match NEEDED.iter().position(|needed| *needed == key) {
            Some(place) => needed[place] = Some(text),
            None => others += &format!(" {key}={text}"),
        }
    }
    match needed {
        [Some(stream), Some(url)] => Ok(format!("{stream}={url}{others}")),
        _ => Err(format!("[[{section}]] needs stream, the name of the stream here, and url")),
    }
}
