//! The settings as text: those in force as a TOML file, and all of them as the table of the README.

use super::effective::Effective;
use super::setting::{self, MASK, Origin, Setting, Value};

impl Effective {
    /// All settings in force as a TOML file, with the origin of each. Settings without a value are comments, and
    /// secrets are masked.
    pub fn to_toml(&self) -> String {
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut section = "";
        for (setting, value) in &self.settings {
            if setting.section() != section {
                section = setting.section();
                lines.extend([(String::new(), String::new()), (format!("[{section}]"), String::new())]);
            }
            lines.push(match shown(setting, value) {
                Some(shown) => (format!("{} = {shown}", setting.key()), self.origin(setting, value)),
                None => (format!("# {} =", setting.key()), "not set".to_owned()),
            });
        }
        let lengths = lines.iter().map(|(line, _)| line.chars().count());
        let width = lengths.filter(|length| *length <= 60).max().unwrap_or_default();
        let head = "# The settings in force; flags win over the environment, the environment over the file.\n";
        lines.iter().fold(head.to_owned(), |text, (line, comment)| match comment.as_str() {
            "" => text + line + "\n",
            comment => text + &format!("{line:width$}  # {comment}\n"),
        })
    }

    fn origin(&self, setting: &Setting, value: &Value) -> String {
        match value.origin {
            Origin::Default => "default".to_owned(),
            Origin::File(line) => {
                let file = self.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
                format!("{}, line {line}", file.escape_debug())
            }
            Origin::Environment => setting.variable().to_owned(),
            Origin::Flag => setting.flag(),
        }
    }
}

/// A value in TOML, if it is set.
fn shown(setting: &Setting, value: &Value) -> Option<String> {
    let scalar = |word: &String| match word.parse::<i64>() {
        _ if setting.is_secret() => toml::Value::from(MASK).to_string(),
        Ok(number) if number.to_string() == *word => word.clone(),
        _ if ["true", "false"].contains(&word.as_str()) => word.clone(),
        _ => toml::Value::from(word.as_str()).to_string(),
    };
    let shown: Vec<String> = value.words.iter().map(scalar).collect();
    match shown.as_slice() {
        [] => None,
        _ if setting.is_list() => Some(format!("[{}]", shown.join(", "))),
        _ => shown.into_iter().next_back(),
    }
}

/// Every setting, for the README.
pub fn table() -> String {
    let mut text = "| flag | key in the file | meaning | default |\n| --- | --- | --- | --- |\n".to_owned();
    for setting in setting::all() {
        let default = match setting.default_words().join(",").as_str() {
            "" => "none".to_owned(),
            "false" => "no".to_owned(),
            default => format!("`{default}`"),
        };
        let (flag, shape, path) = (setting.flag(), setting.shape(), setting.path());
        let meaning = setting.meaning().replace('|', "\\|").replace('*', "\\*");
        let shape = if shape == "BOOL" { String::new() } else { format!(" {shape}") };
        text += &format!("| `{flag}{shape}` | `{path}` | {meaning} | {default} |\n");
    }
    text
}
