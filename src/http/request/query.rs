//! Parameters in the query of a request.

/// The value of a parameter, as it is written; of several, that of the last.
pub(in crate::http) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let pairs = query.unwrap_or_default().split('&');
    pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_by_its_whole_name_and_the_last_one_counts() {
        assert_eq!(parameter(Some("a=1&scope=cluster"), "scope"), Some("cluster"));
        assert_eq!(parameter(Some("scope=node&scope="), "scope"), Some(""));
        for without in [None, Some(""), Some("scope"), Some("scopes=a&xscope=b")] {
            assert_eq!(parameter(without, "scope"), None, "{without:?}");
        }
    }
}
