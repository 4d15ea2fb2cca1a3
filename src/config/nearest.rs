//! Suggestions for misspelt names.

use super::ConfigError;
use super::setting;

/// The known name that differs least from `name`; `None` if all differ in more than a third of their letters.
pub(super) fn nearest<T: AsRef<str>>(name: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    let name = name.to_ascii_lowercase();
    let distances = known.into_iter().map(|known| {
        let other = known.as_ref().to_ascii_lowercase();
        (strsim::osa_distance(&name, &other), other.len().max(name.len()), known)
    });
    let near = distances.filter(|(distance, length, _)| distance * 3 <= *length);
    near.min_by_key(|(distance, ..)| *distance).map(|(_, _, known)| known)
}

/// Variables that other parts of sluice read.
const OTHERS: [&str; 2] = ["SLUICE_CONFIG", "SLUICE_LOAD_TOKEN"];

/// Warnings about variables that begin like sluice's but are unknown. Those that Kubernetes sets for a service called
/// sluice are left out.
///
/// # Errors
/// A misspelt secret is an error, because it would leave the relay open.
pub fn unknown_variables(names: impl Iterator<Item = String>) -> Result<Vec<String>, ConfigError> {
    let settings = setting::all();
    let known = || settings.iter().map(|setting| setting.variable()).chain(OTHERS);
    let kubernetes = |name: &str| name.contains("_SERVICE_") || name.ends_with("_PORT") || name.contains("_PORT_");
    let mut warnings = Vec::new();
    for name in names.filter(|name| name.starts_with("SLUICE_") && !kubernetes(name)) {
        if known().any(|known| known == name) {
            continue;
        }
        let near = nearest(&name, known());
        let advice = near.map(|near| format!("did you mean {near}?"));
        let advice = advice.unwrap_or_else(|| "sluice --help has all".to_owned());
        let sentence = format!("the variable {name} is not a setting: {advice}");
        let secret = settings.iter().any(|setting| setting.is_secret() && near == Some(setting.variable()));
        if secret || ["TOKEN", "SECRET"].iter().any(|part| name.contains(part)) {
            return Err(ConfigError::UnknownSecret(sentence));
        }
        warnings.push(sentence);
    }
    Ok(warnings)
}
