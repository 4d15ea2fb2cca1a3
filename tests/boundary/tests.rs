//! Small crates as text, which show that each rule sees what it should and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::circles::{Graph, circles};
use crate::dependencies::{between_files, between_rooms, named_outside, top_level_modules};
use crate::source::Tree;
use crate::{contains, listed_modules};

/// A crate of these files; its `lib.rs` declares each top-level module.
fn tree(files: &[(&str, &str)]) -> Tree {
    let mut texts: BTreeMap<String, String> =
        files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    let tops: BTreeSet<&str> =
        files.iter().map(|(name, _)| name.split(['/', '.']).next().expect("each name has a start")).collect();
    let declared = tops.into_iter().filter(|top| *top != "main").map(|top| format!("mod {top};")).collect();
    texts.insert("lib.rs".into(), declared);
    Tree::read(&texts)
}

/// The files that `file` uses.
fn used_files(files: &[(&str, &str)], file: &str) -> Vec<String> {
    between_files(&tree(files)).remove(file).unwrap_or_default().into_iter().collect()
}

/// The other top-level modules that the text names as module `own`, beside modules `a` to `c` that define `X`.
fn used_by(own: &str) -> Vec<String> {
    let x = "pub struct X; pub fn f() {}";
    let tree = tree(&[("own/mod.rs", "mod file;"), ("own/file.rs", own), ("a.rs", x), ("b.rs", x), ("c.rs", x)]);
    let of_own = tree.uses.iter().filter(|used| used.module.starts_with(&["own".into(), "file".into()]));
    let modules: BTreeSet<String> = of_own.flat_map(|used| top_level_modules(&tree, used)).collect();
    modules.into_iter().filter(|module| module != "own").collect()
}

#[test]
fn a_use_is_seen_however_its_path_is_written() {
    assert_eq!(used_by("use crate::a::X;"), ["a"]);
    assert_eq!(used_by("use crate::{a::X, b::{self, X as Y}, c::*};"), ["a", "b", "c"]);
    assert_eq!(used_by("use super::super::a::X; mod inner { use super::super::super::b::X; }"), ["a", "b"]);
    assert_eq!(used_by("use sluice::a; fn f() { use crate::c::X; }"), ["a", "c"]);
    assert_eq!(used_by("pub(crate) use crate::a::X;"), ["a"]);
}

#[test]
fn paths_in_expressions_types_patterns_and_bounds_are_uses() {
    assert_eq!(used_by("fn g() { crate::a::f(); let b = Vec::<crate::b::X>::new(); }"), ["a", "b"]);
    assert_eq!(used_by("struct S(crate::a::X); impl crate::b::X for S {}"), ["a", "b"]);
    assert_eq!(used_by("fn g<T: crate::a::X>(t: <T as crate::b::X>::Y) where T: crate::c::X {}"), ["a", "b", "c"]);
    assert_eq!(used_by("fn g(x: u8) { match x { crate::a::X => {}, _ => crate::b::X.c() } }"), ["a", "b"]);
}

#[test]
fn a_module_that_is_imported_first_is_followed_where_it_is_used() {
    let files = [("a/mod.rs", "mod one; pub use one::X;"), ("a/one.rs", "pub struct X;"), ("b.rs", "")];
    let with = |text| used_files(&[files[0], files[1], ("b.rs", text)], "b.rs");
    assert_eq!(with("use crate::a; fn f(x: a::X) {}"), ["a/one.rs"]);
    assert_eq!(with("use crate::a as other; fn f() { other::X::new() }"), ["a/one.rs"]);
    assert!(with("use crate::a;").is_empty(), "a mod.rs defines nothing");
}

#[test]
fn what_macros_and_attributes_are_given_is_read() {
    assert_eq!(used_by("fn g() { assert_eq!(crate::a::f(), vec![crate::b::f()]); }"), ["a", "b"]);
    assert_eq!(used_by("macro_rules! m { () => { $crate::a::f(); use crate::{b::X, c}; } }"), ["a", "b", "c"]);
    assert_eq!(used_by("#[serde(with = \"crate::a::f\")] #[derive(crate::b::X)] struct S;"), ["a", "b"]);
}

#[test]
fn comments_literals_and_tests_are_not_uses() {
    let text = r##"//! crate::a
        /* crate::a */ const S: &str = "crate::a \" crate::b"; const R: &str = r#"crate::c "#;
        #[doc = "crate::a"]
        #[expect(dead_code, reason = "of crate::a")]
        fn lifetime<'a>(x: &'a str) { println!("crate::a"); }
        #[cfg(test)] mod tests { use crate::b; fn nested() {} }
        #[cfg(all(test, unix))] use crate::a::X;
        #[cfg(test)] impl T for crate::a::X { fn k() -> crate::b::X {} }
        struct Fields { #[cfg(test)] one: crate::a::X, two: u8 }
        impl S { #[cfg(test)] fn f() { crate::a::f() } }
        fn g() { #[cfg(test)] let x = crate::a::f(); match 1 { #[cfg(test)] _ => crate::b::f(), _ => {} } }"##;
    assert!(used_by(text).is_empty());
    assert_eq!(used_by("#[cfg(any(test, unix))] use crate::a::X; #[cfg(not(test))] use crate::b::X;"), ["a", "b"]);
}

#[test]
fn files_of_tests_belong_to_the_tests() {
    let files = [("a/mod.rs", "#[cfg(test)] mod tests; mod one;"), ("a/one.rs", ""), ("a/tests/mod.rs", "mod two;")];
    let tree = tree(&files);
    assert_eq!(tree.tests, BTreeSet::from([vec!["a".to_string(), "tests".to_string()]]));
    assert!(!tree.files.contains_key("a/tests/mod.rs"));
}

#[test]
fn a_name_is_followed_through_reexports_and_globs_to_its_file() {
    let x = ("a/deep/x.rs", "pub struct X;");
    let files = |outer, inner, user| {
        [("a/mod.rs", outer), ("a/deep/mod.rs", inner), x, ("b.rs", "pub use crate::a::*;"), ("c.rs", user)]
    };
    let named = files("mod deep; pub use deep::Y as Z;", "mod x; pub use self::x::X as Y;", "use crate::b::Z;");
    assert_eq!(used_files(&named, "c.rs"), ["a/deep/x.rs"]);
    let globs = files("mod deep; pub use deep::*;", "mod x; pub use x::*;", "fn f(x: crate::b::X) {}");
    assert_eq!(used_files(&globs, "c.rs"), ["a/deep/x.rs"]);
    let all = files("mod deep; pub use deep::X;", "mod x; pub use x::X;", "use crate::a::*;");
    assert_eq!(used_files(&all, "c.rs"), ["a/deep/x.rs"], "a glob uses all that it can");
}

#[test]
fn imports_that_lead_to_each_other_come_to_an_end() {
    let files = [("a.rs", "pub use crate::b::*; use a;"), ("b.rs", "pub use crate::a::*; pub use crate::a::Q;")];
    assert!(circles(&between_files(&tree(&files))).is_empty());
}

#[test]
fn a_circle_through_a_reexport_is_found() {
    let files = [
        ("a/mod.rs", "mod one; mod two; pub use one::One; pub use two::Two;"),
        ("a/one.rs", "use super::Two; pub struct One(Two);"),
        ("a/two.rs", "pub struct Two; fn f() -> Vec<crate::a::One> {}"),
    ];
    let found = circles(&between_files(&tree(&files)));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].shortest, ["a/one.rs", "a/two.rs", "a/one.rs"]);
    let broken_up = [files[0], files[1], ("a/two.rs", "pub struct Two;")];
    assert!(circles(&between_files(&tree(&broken_up))).is_empty());
}

#[test]
fn a_parent_with_code_and_its_child_are_a_circle_like_others() {
    let files = [("a.rs", "mod child; use child::C; pub struct A(C);"), ("a/child.rs", "pub struct C; use super::A;")];
    assert_eq!(circles(&between_files(&tree(&files)))[0].members.len(), 2);
    let reexport = [("a.rs", "mod child; pub use child::C; pub struct A;"), ("a/child.rs", "use super::A;")];
    assert!(circles(&between_files(&tree(&reexport))).is_empty());
}

#[test]
fn rooms_use_each_other_though_no_two_files_do() {
    let files = [
        ("a/mod.rs", "mod left; mod right;"),
        ("a/left/mod.rs", "mod one; mod two; pub use one::One;"),
        ("a/left/one.rs", "pub struct One; use crate::a::right::Three;"),
        ("a/left/two.rs", "pub struct Two;"),
        ("a/right/mod.rs", "mod three; mod four; pub use three::Three;"),
        ("a/right/three.rs", "pub struct Three;"),
        ("a/right/four.rs", "use super::super::left::One;"),
    ];
    let tree = tree(&files);
    assert!(circles(&between_files(&tree)).is_empty());
    assert_eq!(circles(&between_rooms(&tree)["a"])[0].shortest, ["left", "right", "left"]);
}

#[test]
fn names_outside_are_known_by_their_full_path() {
    let outside = |text: &str, name: &str| {
        let tree = tree(&[("a.rs", text), ("b.rs", "pub use rtc::peer::Peer;")]);
        let mut of_a = tree.uses.iter().filter(|used| used.module == ["a"]);
        of_a.any(|used| named_outside(&tree, used).iter().any(|path| contains(path, name)))
    };
    assert!(outside("use rtc::peer;", "rtc::"));
    assert!(outside("use rtc as other; fn f(x: other::Y) {}", "rtc::"));
    assert!(outside("fn f(x: ::rtc::X) {}", "rtc::"));
    assert!(!outside("use webrtc::rtc::peer; fn f() { let rtc = 1; g(rtc) }", "rtc::"));
    assert!(!outside("use crate::b::Peer; fn f(x: Peer) {}", "rtc::"), "b names it");
    assert!(outside("use std::time::Instant as I; fn f() { I::now() }", "Instant::now"));
    assert!(outside("use std::{fs, sync};", "std::fs"));
    assert!(outside("async fn f() {}", "async") && outside("fn f() { g!(x.await) }", "await"));
    assert!(outside("fn f() { let g = async || {}; }", "async") && !outside("fn f(a: Asynchronous) {}", "async"));
}

#[test]
fn what_a_macro_makes_is_in_the_file_of_its_module() {
    let files = [("a.rs", "macro_rules! make { () => {} } make!(Made);"), ("b.rs", "use crate::a::Made;")];
    assert_eq!(used_files(&files, "b.rs"), ["a.rs"]);
}

#[test]
fn the_binary_sees_the_library_by_its_name() {
    let files = [("main.rs", "use sluice::a::X; fn f() { crate::g() } fn g() {}"), ("a.rs", "pub struct X;")];
    assert_eq!(used_files(&files, "main.rs"), ["a.rs"]);
}

#[test]
fn code_in_a_mod_rs_is_reported() {
    let crowded = |text: &str| tree(&[("a/mod.rs", text), ("a/b.rs", "pub struct X;")]).crowded.into_values().next();
    let fine =
        "//! Docs.\n mod b; pub use b::X; pub(crate) use b::X as Y; #[cfg(test)] use b::Z; #[cfg(test)] fn f() {}";
    assert_eq!(crowded(fine), None);
    assert_eq!(crowded("mod b; use b::X;").as_deref(), Some("a private import"));
    assert_eq!(crowded("mod b; pub struct S;").as_deref(), Some("a type"));
    assert_eq!(crowded("mod b; mod c { }").as_deref(), Some("a module with a body"));
}

#[test]
fn circles_of_one_graph_are_reported_separately() {
    let graph = [("a", "bc"), ("b", "a"), ("c", "d"), ("d", "e"), ("e", "c"), ("f", "fa")];
    let graph: Graph = graph.map(|(from, to)| (from.to_string(), to.chars().map(String::from).collect())).into();
    let found = circles(&graph);
    let members: Vec<String> = found.iter().map(|circle| circle.members.iter().cloned().collect()).collect();
    assert_eq!(members, ["ab", "cde"]);
    assert_eq!(found[1].shortest, ["c", "d", "e", "c"]);
}

#[test]
fn the_module_list_is_read_from_its_table_alone() {
    let page = "//! | `no` | x |\n//! # Modules\n//!\n//! | module | is |\n//! | --- | --- |\n//! | `a` | of `b` |\n//! | `c` | x |\n//! # Next\n//! | `no` | x |\n";
    assert_eq!(listed_modules(page), ["a", "c"]);
}
