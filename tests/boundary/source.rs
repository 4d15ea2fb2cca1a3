//! Reads Rust source well enough to say which modules and names it uses: comments, literals and test-only items are
//! taken out, what is left is a list of words and signs. A lexer rather than a search, so that neither a doc comment
//! nor a string is taken for a use, and no spelling of a path (nested group, `super::super::`) hides one.

use std::collections::BTreeSet;

/// The words and signs of a source text without comments and without the contents of literals.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            i = end_of_line(&chars, i);
        } else if c == '/' && at(i + 1) == '*' {
            i = end_of_block_comment(&chars, i);
        } else if let Some(end) = end_of_string(&chars, i) {
            tokens.push("\"\"".into());
            i = end;
        } else if c == '\'' {
            // A lifetime is a quote and a word that no quote follows; all else is a character literal.
            let is_lifetime = (at(i + 1).is_alphabetic() || at(i + 1) == '_') && at(i + 2) != '\'';
            if is_lifetime {
                i = end_of_word(&chars, i + 1);
            } else {
                i += if at(i + 1) == '\\' { 3 } else { 2 };
                while i < chars.len() && chars[i] != '\'' {
                    i += 1;
                }
                i += 1;
            }
        } else if c.is_alphanumeric() || c == '_' {
            let end = end_of_word(&chars, i);
            tokens.push(chars[i..end].iter().collect());
            i = end;
        } else if c == ':' && at(i + 1) == ':' {
            tokens.push("::".into());
            i += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            i += 1;
        }
    }
    tokens
}

fn end_of_line(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() && chars[i] != '\n' {
        i += 1;
    }
    i
}

fn end_of_word(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() && (chars[i].is_alphanumeric() || chars[i] == '_') {
        i += 1;
    }
    i
}

fn end_of_block_comment(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 1),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 1),
            _ => {}
        }
        i += 1;
        if depth == 0 {
            break;
        }
    }
    i
}

/// The end of the string literal that starts at `start`, with its prefix and its number signs; None if none starts there.
fn end_of_string(chars: &[char], start: usize) -> Option<usize> {
    let mut i = start;
    while i < start + 2 && matches!(chars.get(i), Some('b' | 'c' | 'r')) {
        i += 1;
    }
    let raw = i > start && chars[i - 1] == 'r';
    let mut signs = 0;
    while raw && chars.get(i) == Some(&'#') {
        (signs, i) = (signs + 1, i + 1);
    }
    if chars.get(i) != Some(&'"') {
        return None;
    }
    i += 1;
    while i < chars.len() {
        if chars[i] == '\\' && !raw {
            i += 1;
        } else if chars[i] == '"' && chars[i + 1..].iter().take(signs).filter(|&&c| c == '#').count() == signs {
            return Some(i + 1 + signs);
        }
        i += 1;
    }
    Some(i)
}

/// Takes out what `#[cfg(test)]` stands before. Also answers with the names of the test-only modules that have a file
/// of their own (`#[cfg(test)] mod tests;`).
pub(crate) fn without_tests(tokens: &[String]) -> (Vec<String>, Vec<String>) {
    let marker: Vec<&str> = vec!["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut test_files = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        if !tokens[i..].iter().map(String::as_str).take(marker.len()).eq(marker.iter().copied()) {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        i += marker.len();
        let start = i;
        i = end_of_item(tokens, start);
        if let [.., module, name, end] = &tokens[start..i]
            && module == "mod"
            && end == ";"
        {
            test_files.push(name.clone());
        }
    }
    (kept, test_files)
}

/// An item ends with its block or its semicolon, a field or an expression with its comma.
fn end_of_item(tokens: &[String], start: usize) -> usize {
    const ITEMS: [&str; 11] =
        ["fn", "impl", "mod", "use", "struct", "enum", "const", "static", "trait", "type", "macro_rules"];
    let mut is_item = false;
    let mut depth = 0;
    let mut i = start;
    while i < tokens.len() {
        let word = tokens[i].as_str();
        i += 1;
        match word {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => is_item |= depth == 0 && ITEMS.contains(&word),
        }
        if depth == 0 && (matches!(word, "}" | ";") || (word == "," && !is_item)) {
            break;
        }
    }
    i
}

/// The top-level modules of the crate that code in `module` (its path, e.g. `["door", "stun"]`) names through
/// `crate::`, `sluice::` or `super::`.
pub(crate) fn used_modules(tokens: &[String], module: &[String]) -> BTreeSet<String> {
    let word = |i: usize| tokens.get(i).map_or("", String::as_str);
    let mut used = BTreeSet::new();
    for i in 0..tokens.len() {
        let mut behind = i + 2;
        let from_root = match word(i) {
            "crate" | "sluice" => word(i + 1) == "::" && (i == 0 || word(i - 1) != "::"),
            "super" if i == 0 || word(i - 1) != "::" => {
                let mut ups = 1;
                while word(behind) == "super" {
                    (ups, behind) = (ups + 1, behind + 2);
                }
                word(i + 1) == "::" && ups >= module.len() && !module.is_empty()
            }
            _ => false,
        };
        if from_root {
            used.extend(first_segments(tokens, behind));
        }
    }
    used
}

/// The word at `i`, or the first word of each path of the group that opens there.
fn first_segments(tokens: &[String], mut i: usize) -> Vec<String> {
    if tokens.get(i).map(String::as_str) != Some("{") {
        return tokens.get(i).cloned().into_iter().collect();
    }
    let mut segments = Vec::new();
    let mut depth = 0;
    while i < tokens.len() {
        match tokens[i].as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            word if depth == 1 && matches!(tokens[i - 1].as_str(), "{" | ",") => segments.push(word.to_string()),
            _ => {}
        }
        i += 1;
        if depth == 0 {
            break;
        }
    }
    segments
}

/// Whether the words and signs of `path` (e.g. `Instant::now`) stand in a row, and not as the tail of a longer path
/// when it is one word followed by `::` (so that `webrtc::rtc::` is not `rtc::`).
pub(crate) fn names(tokens: &[String], path: &[String]) -> bool {
    let root = path.len() == 2 && path[1] == "::";
    tokens
        .windows(path.len())
        .enumerate()
        .any(|(i, window)| window == path && !(root && i > 0 && tokens[i - 1] == "::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(text: &str, module: &[&str]) -> Vec<String> {
        let module: Vec<String> = module.iter().map(|part| part.to_string()).collect();
        used_modules(&without_tests(&tokens(text)).0, &module).into_iter().collect()
    }

    #[test]
    fn finds_modules_in_plain_nested_and_inline_paths() {
        let text = "use crate::{name::{StreamName, Role}, forward::{codec::Format, Packet}, srtp};\n\
                    pub use crate::auth;\nfn f() -> crate::stream::Inbox { super::super::worker::x() }";
        assert_eq!(used(text, &["door", "stun"]), ["auth", "forward", "name", "srtp", "stream", "worker"]);
    }

    #[test]
    fn a_super_that_stays_inside_the_module_is_not_a_use_of_another() {
        assert!(used("use super::path::Path;", &["door", "stun"]).is_empty());
        assert_eq!(used("use super::path::Path;", &["door"]), ["path"]);
    }

    #[test]
    fn comments_literals_and_tests_are_not_uses() {
        let text = r##"//! crate::a
            /* crate::b /* nested */ crate::c */ const S: &str = "crate::d \" crate::e"; const R: &str = r#"crate::f "#;
            const Q: char = '"'; fn lifetime<'a>(x: &'a str) {} /// crate::g
            #[cfg(test)] mod tests { use crate::h; fn nested() { } }
            #[cfg(test)] use crate::i;
            #[cfg(test)] impl<A, B> T for crate::j { fn k() -> crate::k {} }
            struct Fields { #[cfg(test)] one: crate::l, two: u8 }
            use crate::real;"##;
        assert_eq!(used(text, &["x"]), ["real"]);
    }

    #[test]
    fn test_only_files_are_told_apart() {
        assert_eq!(without_tests(&tokens("mod a; #[cfg(test)] mod tests; mod b;")).1, ["tests"]);
    }

    #[test]
    fn a_crate_is_named_only_at_the_start_of_a_path() {
        let rtc = tokens("rtc::");
        assert!(names(&tokens("use rtc::peer;"), &rtc));
        assert!(names(&tokens("fn f(x: ::rtc::X)"), &tokens("::rtc")));
        assert!(!names(&tokens("use webrtc::rtc::peer; use webrtc::x;"), &rtc));
        assert!(names(&tokens("let t = std::time::Instant::now();"), &tokens("Instant::now")));
    }
}
