//! Holds the shape of the repository: what stands at its top, which modules there are, which module may use which, that
//! no files use each other in a circle, and what the core may not touch. The reasons are in the documentation of
//! `src/lib.rs`.

#[path = "boundary/circles.rs"]
mod circles;
#[path = "boundary/dependencies.rs"]
mod dependencies;
#[path = "boundary/names.rs"]
mod names;
#[path = "boundary/source.rs"]
mod source;
#[path = "boundary/tests.rs"]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::circles::{Graph, circles};
use crate::source::{Tree, Use};

/// A module uses only modules of a lower row; modules of one row may use each other, but not in a circle. The module
/// list in `src/lib.rs` has the same order.
const ROWS: &[&[&str]] = &[
    &["main", "lib"],
    &["cli", "config", "reload", "server", "stop"],
    &["http"],
    &["load"],
    &["reachability"],
    &["legs"],
    &["cluster"],
    &["node"],
    &["worker"],
    &["session"],
    &["advertise"],
    &["demux"],
    &["peer"],
    &["sdp"],
    &["sctp"],
    &["turn"],
    &["ice"],
    &["dtls"],
    &["rtcp"],
    &["bwe"],
    &["srtp"],
    &["stream"],
    &["forward"],
    &[
        "auth",
        "authority",
        "metrics",
        "client",
        "five_tuple",
        "health",
        "label",
        "log",
        "name",
        "reason",
        "setting",
        "shared",
        "state_dir",
        "systemd",
    ],
];

/// Get the time and the octets, and return values.
const CORE: &[&str] = &["demux", "peer", "sdp", "sctp", "ice", "dtls", "rtcp", "bwe", "srtp", "stream", "forward"];

/// The modules that may name a crate.
const NAMING: &[(&str, Rule, &[&str])] =
    &[("rtc", Rule::Rtc, &["peer", "sctp", "srtp", "sdp"]), ("interceptor", Rule::Interceptor, &["peer"])];

/// Reaches media only through the handle of the node.
const ABOVE_THE_HANDLE: &[&str] = &["http", "cluster"];
const BELOW_THE_HANDLE: &[&str] = &["worker", "demux", "peer", "dtls", "rtcp", "sctp", "srtp", "forward"];

/// Where a rule does not hold yet. An entry that is no longer needed fails its test. For a circle, one file of it is
/// enough; where a circle falls into several, each needs an entry.
const NOT_YET: &[(Rule, &str)] = &[];

/// A rule that may have entries in `NOT_YET`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// No files use each other in a circle.
    FileCircle,
    /// No rooms of a folder use each other in a circle.
    RoomCircle,
    /// A `mod.rs` holds documentation, `mod` and re-exports.
    ModRs,
    Rtc,
    Interceptor,
}

/// What makes code depend on a clock, a runtime, a socket or another thread's pace.
const FORBIDDEN_IN_CORE: &[&str] = &[
    "tokio::",
    "async",
    "await",
    "Instant::now",
    "SystemTime::now",
    "std::fs",
    "std::thread",
    "std::env",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "socket2::",
    "mio::",
    "quinn_udp::",
    "Mutex",
    "RwLock",
    "Condvar",
    "axum::",
];

/// The engine of a worker sequences the steps of the other rooms and does nothing else.
const MAX_ENGINE_LINES: usize = 1_000;

/// Exceptions to `FORBIDDEN_IN_CORE`: the file, the name, and why it does no harm there.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("peer/keys.rs", "Mutex", "crypto providers must be Sync; one thread uses it, once in a handshake"),
    ("peer/sctp_filter.rs", "Mutex", "crypto providers must be Sync; one thread uses it, for data channels only"),
    ("peer/rtcp_tap.rs", "Mutex", "interceptors must be Sync; one thread uses it, for RTCP only"),
];

const TOP_DIRECTORIES: &[&str] = &["src", "tests", "benches", "deploy"];
const TOP_FILES: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "deny.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
];
const TOP_FILES_OF_TOOLS: &[&str] = &["clippy.toml"];

const VAGUE_NAMES: &[&str] = &["util", "utils", "helpers", "common", "manager", "handler", "internal"];

struct Violation {
    /// What an entry of `NOT_YET` may name.
    places: BTreeSet<String>,
    text: String,
}

impl Violation {
    fn of_file(file: &str, text: String) -> Self {
        Self { places: BTreeSet::from([file.to_string()]), text: format!("src/{file} {text}") }
    }
}

/// Fails for what `NOT_YET` does not excuse, and for an excuse that is not needed.
#[track_caller]
fn hold(rule: Rule, violations: Vec<Violation>) {
    let excused = |place: &str| NOT_YET.contains(&(rule, place));
    let broken = violations.iter().filter(|violation| !violation.places.iter().any(|place| excused(place)));
    let mut broken: Vec<String> = broken.map(|violation| violation.text.clone()).collect();
    for (_, place) in NOT_YET.iter().filter(|(of, _)| *of == rule) {
        if !violations.iter().any(|violation| violation.places.contains(*place)) {
            broken.push(format!("{place} keeps {rule:?}: take it out of NOT_YET"));
        }
    }
    assert_none(broken);
}

#[track_caller]
fn assert_none(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files_under(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("the directory is part of the repository") {
        let path = entry.expect("a directory can be listed").path();
        if path.is_dir() {
            found.extend(rust_files_under(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The text of all files of `src/`, by name.
fn texts() -> BTreeMap<String, String> {
    let src = root().join("src");
    let named = rust_files_under(&src).into_iter().map(|path| {
        let name = path.strip_prefix(&src).expect("it was found there").to_string_lossy().replace('\\', "/");
        (name, fs::read_to_string(&path).expect("source is UTF-8"))
    });
    named.collect()
}

/// Read once for all tests.
fn tree() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(|| Tree::read(&texts()))
}

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// The top-level module of a use; `lib` for the root itself.
fn top(used: &Use) -> &str {
    used.module.first().map_or("lib", String::as_str)
}

fn file_of<'a>(tree: &'a Tree, used: &Use) -> &'a str {
    &tree.modules[&used.module].file
}

#[test]
fn the_top_level_holds_only_what_the_design_names() {
    let entries = fs::read_dir(root()).expect("the repository can be listed");
    let unknown = entries.map(|entry| entry.expect("it was listed")).filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = match entry.path().is_dir() {
            true => TOP_DIRECTORIES.contains(&name.as_str()) || name == "target",
            false => TOP_FILES.iter().chain(TOP_FILES_OF_TOOLS).any(|file| *file == name),
        };
        (!known && !name.starts_with('.')).then(|| format!("{name} has no place at the top level"))
    });
    assert_none(unknown.collect());
}

#[test]
fn the_source_tree_has_exactly_the_modules_of_the_rows() {
    let tree = tree();
    let mut broken = Vec::new();
    for (file, module) in &tree.files {
        let top = module.first().map_or("lib", String::as_str);
        if row_of(top).is_none() {
            broken.push(format!("src/{file}: {top} stands in no row"));
        }
    }
    for module in ROWS.iter().copied().flatten().filter(|module| !["main", "lib"].contains(module)) {
        if !tree.modules.contains_key(&vec![module.to_string()]) {
            broken.push(format!("{module} stands in a row and has no file"));
        }
    }
    for file in texts().keys().filter(|file| !tree.files.contains_key(*file)) {
        let module: source::Path =
            file.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").map(str::to_string).collect();
        if !tree.tests.iter().any(|test| module.starts_with(test)) {
            broken.push(format!("src/{file} belongs to no module"));
        }
    }
    assert_none(broken);
}

#[test]
fn the_module_list_of_the_library_page_has_the_order_of_the_rows() {
    let page = fs::read_to_string(root().join("src/lib.rs")).expect("the library has a page");
    let in_rows: Vec<&str> = ROWS[1..].iter().copied().flatten().copied().collect();
    assert_eq!(listed_modules(&page), in_rows, "the table below `# Modules` in src/lib.rs");
}

/// The first cells of the table below the heading `# Modules`, e.g. of ``//! | `demux` | what it is |``.
fn listed_modules(page: &str) -> Vec<&str> {
    let lines = page.lines().skip_while(|line| *line != "//! # Modules").skip(1);
    let section = lines.take_while(|line| line.starts_with("//!") && !line.starts_with("//! # "));
    section.filter_map(|line| line.strip_prefix("//! | `")?.split_once('`').map(|(name, _)| name)).collect()
}

#[test]
fn a_module_uses_only_modules_below_it() {
    let tree = tree();
    let mut broken = BTreeSet::new();
    let mut within_a_row = Graph::new();
    for used in &tree.uses {
        let Some(own_row) = row_of(top(used)) else { continue };
        let written = used.written.path.join("::");
        for other in dependencies::top_level_modules(tree, used) {
            let Some(row) = row_of(&other) else { continue };
            if row < own_row {
                broken.insert(format!(
                    "src/{} uses {written}: {other} stands above {}",
                    file_of(tree, used),
                    top(used)
                ));
            } else if row == own_row && other != top(used) {
                within_a_row.entry(top(used).to_string()).or_default().insert(other);
            }
        }
        if dependencies::uses_the_root(tree, used) && own_row > 0 {
            broken.insert(format!("src/{} uses {written}, which is in lib.rs", file_of(tree, used)));
        }
    }
    broken.extend(circles(&within_a_row).iter().map(|circle| circle.shortest.join(" uses ")));
    assert_none(broken.into_iter().collect());
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let violations = circles(&dependencies::between_files(tree())).into_iter().map(|circle| {
        let members: Vec<&str> = circle.members.iter().map(String::as_str).collect();
        let text = format!("a circle: {} (of {})", circle.shortest.join(" uses "), members.join(", "));
        Violation { places: circle.members, text }
    });
    hold(Rule::FileCircle, violations.collect());
}

#[test]
fn no_rooms_of_a_folder_use_each_other_in_a_circle() {
    let tree = tree();
    let mut violations = Vec::new();
    for (folder, graph) in dependencies::between_rooms(tree) {
        let path: source::Path = folder.split('/').map(str::to_string).collect();
        let is_room =
            |name: &String| dependencies::is_folder(tree, &[path.as_slice(), std::slice::from_ref(name)].concat());
        // Among files alone it is a circle of files, which has its own test.
        for circle in circles(&graph).into_iter().filter(|circle| circle.members.iter().any(is_room)) {
            violations.push(Violation {
                places: circle.members.iter().map(|member| format!("{folder}/{member}")).collect(),
                text: format!("rooms of {folder} in a circle: {}", circle.shortest.join(" uses ")),
            });
        }
    }
    hold(Rule::RoomCircle, violations);
}

/// The compiler of one platform does not see what another one lacks; `tests/targets` asks theirs, and takes minutes.
#[test]
fn a_module_of_one_platform_is_used_under_the_condition_that_it_has() {
    let texts = texts();
    let conditional = texts.iter().flat_map(|(file, text)| {
        let pairs = text.lines().zip(text.lines().skip(1));
        pairs.filter_map(move |(condition, line)| {
            let name = line.trim().strip_suffix(';')?.rsplit_once("mod ")?.1;
            let is_platform = condition.starts_with("#[cfg(") && !condition.contains("test");
            is_platform.then_some((file.rsplit_once('/').map_or("", |(folder, _)| folder), name, condition))
        })
    });
    let (mut found, mut broken) = (0, Vec::new());
    for (folder, name, condition) in conditional {
        found += 1;
        for (file, text) in texts.iter().filter(|(file, _)| file.starts_with(folder)) {
            let mut before = "";
            for line in text.lines() {
                let path = line.strip_prefix("use ").filter(|path| path.contains(&format!("::{name}")));
                if path.is_some() && before != condition {
                    broken.push(format!("src/{file} has {line:?} without {condition}"));
                }
                before = line;
            }
        }
    }
    assert!(found > 0, "a module of Linux is found");
    assert_none(broken);
}

#[test]
fn a_mod_rs_holds_documentation_modules_and_reexports_only() {
    let violations = tree().crowded.iter().map(|(file, item)| Violation::of_file(file, format!("has {item}")));
    hold(Rule::ModRs, violations.collect());
}

#[test]
fn http_reaches_media_only_through_the_handle_of_the_node() {
    let tree = tree();
    let mut broken = BTreeSet::new();
    for used in tree.uses.iter().filter(|used| ABOVE_THE_HANDLE.contains(&top(used))) {
        let first = tree.follow_use(used).into_iter().filter_map(|followed| followed.named_first(&used.module));
        for other in first.filter(|other| BELOW_THE_HANDLE.contains(&other.as_str())) {
            broken.insert(format!("src/{} uses {other}: ask the handle of the node", file_of(tree, used)));
        }
    }
    assert_none(broken.into_iter().collect());
}

#[test]
fn the_core_has_no_clock_no_runtime_no_socket_and_no_lock() {
    let tree = tree();
    let mut broken = BTreeSet::new();
    let mut needed = BTreeSet::new();
    for used in tree.uses.iter().filter(|used| CORE.contains(&top(used))) {
        let mut paths = dependencies::named_outside(tree, used);
        paths.push(used.written.path.clone());
        let file = file_of(tree, used);
        for name in FORBIDDEN_IN_CORE.iter().filter(|name| paths.iter().any(|path| contains(path, name))) {
            match EXCEPTIONS.iter().position(|(at, what, _)| *at == file && what == name) {
                Some(exception) => _ = needed.insert(exception),
                None => _ = broken.insert(format!("src/{file} names {name}")),
            }
        }
    }
    for (index, (at, what, _)) in EXCEPTIONS.iter().enumerate() {
        if !needed.contains(&index) {
            broken.insert(format!("src/{at} no longer names {what}: take the exception away"));
        }
    }
    assert_none(broken.into_iter().collect());
}

/// Whether a path starts with a crate (`tokio::`) or holds the words of `name` one after the other (`Instant::now`).
fn contains(path: &[String], name: &str) -> bool {
    match name.strip_suffix("::") {
        Some(name) => path.first().is_some_and(|first| first == name) && path.len() > 1,
        None => {
            let words: Vec<&str> = name.split("::").collect();
            path.windows(words.len()).any(|window| window == words)
        }
    }
}

#[test]
fn only_the_modules_that_hide_webrtc_rs_name_its_crates() {
    let tree = tree();
    for (name, rule, modules) in NAMING {
        let of_others = tree.uses.iter().filter(|used| !modules.contains(&top(used)));
        let naming = of_others.filter(|used| {
            let paths = dependencies::named_outside(tree, used);
            paths.iter().any(|path| contains(path, &format!("{name}::")))
        });
        let files: BTreeSet<&str> = naming.map(|used| file_of(tree, used)).collect();
        hold(*rule, files.into_iter().map(|file| Violation::of_file(file, format!("names {name}::"))).collect());
    }
}

#[test]
fn the_engine_sequences_in_less_than_a_thousand_lines() {
    let lines = lines_of_impl(texts().values(), "Engine");
    assert!(lines > 0, "the engine has another name");
    assert!(lines < MAX_ENGINE_LINES, "{lines} lines of `impl Engine`: make a step a method of its room's type");
}

/// Lines of all inherent `impl` blocks of a type. rustfmt, which the lint step runs, puts the first and the last line
/// of a block at the left margin and nothing else of it.
fn lines_of_impl<'a>(texts: impl Iterator<Item = &'a String>, name: &str) -> usize {
    let (start, mut count) = (format!("impl {name} {{"), 0);
    for text in texts {
        let mut is_inside = false;
        for line in text.lines() {
            is_inside |= line == start;
            count += usize::from(is_inside);
            is_inside &= line != "}";
        }
    }
    count
}

#[test]
fn the_lines_of_all_blocks_of_a_type_are_counted_and_of_no_other() {
    let texts =
        ["impl A {\n    fn a() {\n    }\n}\nimpl B {\n}\n", "impl A {\n}\nimpl T for A {\n}\n"].map(str::to_owned);
    assert_eq!(lines_of_impl(texts.iter(), "A"), 6);
}

#[test]
fn files_bear_the_name_of_a_concept() {
    let tree = tree();
    let vague = tree.files.iter().filter_map(|(file, module)| {
        let part = module.iter().find(|part| VAGUE_NAMES.contains(&part.as_str()))?;
        Some(format!("src/{file}: {part} names no concept"))
    });
    assert_none(vague.collect());
}

#[test]
fn each_module_says_what_it_is() {
    let (tree, texts) = (tree(), texts());
    let silent = tree.files.keys().filter(|file| !texts[*file].starts_with("//!"));
    assert_none(silent.map(|file| format!("src/{file} does not start with its documentation")).collect());
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let page = fs::read_to_string(root().join("SECURITY.md")).expect("the page is there");
    let mut files = rust_files_under(&root().join("src"));
    files.extend(rust_files_under(&root().join("tests")));
    let code: String = files.iter().map(|file| fs::read_to_string(file).expect("source is UTF-8")).collect();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| **"));
    let cells = rows.skip(2).filter_map(|row| Some((row, row.trim_end_matches(" |").rsplit_once(" | ")?.1)));
    let missing = cells.flat_map(|(row, cell)| {
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        let unknown = names.iter().filter(|name| {
            let is_command = root().join(name).is_file();
            !is_command && !code.contains(&format!("fn {name}("))
        });
        let mut broken: Vec<String> =
            unknown.map(|name| format!("SECURITY.md names {name}, which is no test")).collect();
        broken.extend(names.is_empty().then(|| format!("no test: {row}")));
        broken
    });
    assert_none(missing.collect());
}
