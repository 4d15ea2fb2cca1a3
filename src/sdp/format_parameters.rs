//! Which format parameters of an offer an answer repeats.

/// The offer's parameters without those that describe what the offerer itself sends (`sprop-parameter-sets` and its
/// like, RFC 6184 8.1): in an answer they would describe what the relay sends.
pub(crate) fn own_parameters(parameters: &str) -> String {
    let own =
        |parameter: &&str| !parameter.trim_start().get(..6).is_some_and(|name| name.eq_ignore_ascii_case("sprop-"));
    if parameters.split(';').all(|parameter| own(&parameter)) {
        return parameters.to_owned();
    }
    parameters.split(';').filter(own).map(str::trim).collect::<Vec<_>>().join(";")
}
