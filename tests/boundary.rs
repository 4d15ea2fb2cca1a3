//! Holds the shape of the repository: what stands at its top, which modules there are, which module may use which, and
//! what the core may not touch. The reasons are in the module documentation of `src/lib.rs`.

#[path = "boundary/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module uses only modules of a lower row; modules of one row may use each other, but not in a circle.
const ROWS: [&[&str]; 19] = [
    &["main", "lib"],
    &["cli", "config", "reload", "server", "stop"],
    &["http"],
    &["cluster"],
    &["load"],
    &["node"],
    &["worker"],
    &["session"],
    &["demux"],
    &["peer"],
    &["sdp"],
    &["sctp"],
    &["ice"],
    &["dtls"],
    &["rtcp"],
    &["srtp"],
    &["stream"],
    &["forward"],
    &["auth", "metrics", "client", "five_tuple", "health", "log", "name", "reason", "setting", "shared", "systemd"],
];

/// Told the time and the bytes, answering with values.
const CORE: [&str; 10] = ["demux", "peer", "sdp", "sctp", "ice", "dtls", "rtcp", "srtp", "stream", "forward"];

/// What makes code depend on a clock, a runtime, a socket or another thread's pace.
const FORBIDDEN_IN_CORE: [&str; 18] = [
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

/// Exceptions to `FORBIDDEN_IN_CORE`: the file, the name, and why it does no harm there.
const EXCEPTIONS: [(&str, &str, &str); 3] = [
    ("peer/keys.rs", "Mutex", "crypto providers must be Sync; one thread uses it, once in a handshake"),
    ("peer/sctp_filter.rs", "Mutex", "crypto providers must be Sync; one thread uses it, for data channels only"),
    ("peer/rtcp_tap.rs", "Mutex", "interceptors must be Sync; one thread uses it, for RTCP only"),
];

const NAMING_RTC: [&str; 6] = ["demux", "peer", "sdp", "ice", "rtcp", "srtp"];

const TOP_DIRECTORIES: [&str; 4] = ["src", "tests", "benches", "deploy"];
const TOP_FILES: [&str; 12] = [
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
const TOP_FILES_OF_TOOLS: [&str; 1] = ["clippy.toml"];

const VAGUE_NAMES: [&str; 7] = ["util", "utils", "helpers", "common", "manager", "handler", "internal"];

struct File {
    /// Relative to `src/`, e.g. `ice/stun.rs`.
    name: String,
    /// Its module path, e.g. `["ice", "stun"]`.
    module: Vec<String>,
    text: String,
    /// What it says outside tests.
    tokens: Vec<String>,
}

impl File {
    fn top(&self) -> &str {
        &self.module[0]
    }
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
    found.sort();
    found
}

/// All files of `src/` that are not compiled for tests alone.
fn sources() -> Vec<File> {
    let src = root().join("src");
    let mut test_modules = BTreeSet::new();
    let mut files = Vec::new();
    for path in rust_files_under(&src) {
        let name = path.strip_prefix(&src).expect("it was found there").to_string_lossy().replace('\\', "/");
        let module: Vec<String> =
            name.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").map(str::to_string).collect();
        let text = fs::read_to_string(&path).expect("source is UTF-8");
        let (tokens, test_files) = source::without_tests(&source::tokens(&text));
        test_modules.extend(test_files.into_iter().map(|test| [module.clone(), vec![test]].concat()));
        files.push(File { name, module, text, tokens });
    }
    files.retain(|file| !test_modules.iter().any(|test| file.module.starts_with(test)));
    files
}

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

#[track_caller]
fn assert_none(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn the_top_level_holds_only_what_the_design_names() {
    let entries = fs::read_dir(root()).expect("the repository can be listed");
    let unknown = entries.map(|entry| entry.expect("it was listed")).filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = match entry.path().is_dir() {
            true => TOP_DIRECTORIES.contains(&name.as_str()) || name == "target",
            false => TOP_FILES.iter().chain(&TOP_FILES_OF_TOOLS).any(|file| *file == name),
        };
        (!known && !name.starts_with('.')).then(|| format!("{name} has no place at the top level"))
    });
    assert_none(unknown.collect());
}

#[test]
fn the_source_tree_has_only_the_modules_of_the_design() {
    let unknown = sources().into_iter().filter(|file| row_of(file.top()).is_none());
    assert_none(unknown.map(|file| format!("src/{} belongs to no module of the design", file.name)).collect());
}

#[test]
fn a_module_uses_only_modules_below_it() {
    let mut broken = Vec::new();
    let mut within_a_row: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources() {
        let Some(own_row) = row_of(file.top()) else { continue };
        for used in source::used_modules(&file.tokens, &file.module) {
            let Some(row) = row_of(&used) else { continue };
            if row < own_row {
                broken.push(format!("src/{} uses crate::{used}, which stands above {}", file.name, file.top()));
            } else if row == own_row && used != file.top() {
                within_a_row.entry(file.top().to_string()).or_default().insert(used);
            }
        }
    }
    for start in within_a_row.keys() {
        let mut reached = BTreeSet::new();
        let mut ahead = vec![start];
        while let Some(module) = ahead.pop() {
            ahead.extend(within_a_row.get(module).into_iter().flatten().filter(|next| reached.insert(*next)));
        }
        if reached.contains(start) {
            broken.push(format!("{start} uses itself in a circle through modules of its row"));
        }
    }
    assert_none(broken);
}

#[test]
fn http_reaches_media_only_through_a_worker_handle() {
    let mut broken = Vec::new();
    for file in sources().iter().filter(|file| ["http", "cluster"].contains(&file.top())) {
        for used in source::used_modules(&file.tokens, &file.module) {
            if ["demux", "dtls", "sctp", "srtp", "forward"].contains(&used.as_str()) {
                broken.push(format!("src/{} uses crate::{used}: ask the worker handle", file.name));
            }
        }
    }
    assert_none(broken);
}

#[test]
fn the_core_has_no_clock_no_runtime_no_socket_and_no_lock() {
    let mut broken = Vec::new();
    let mut needed = BTreeSet::new();
    for file in sources().iter().filter(|file| CORE.contains(&file.top())) {
        for name in FORBIDDEN_IN_CORE {
            if !source::names(&file.tokens, &source::tokens(name)) {
                continue;
            }
            match EXCEPTIONS.iter().position(|(at, what, _)| *at == file.name && *what == name) {
                Some(exception) => _ = needed.insert(exception),
                None => broken.push(format!("src/{} names {name}", file.name)),
            }
        }
    }
    for (index, (at, what, _)) in EXCEPTIONS.iter().enumerate() {
        if !needed.contains(&index) {
            broken.push(format!("src/{at} no longer names {what}: take the exception away"));
        }
    }
    assert_none(broken);
}

#[test]
fn only_the_modules_of_protocols_name_the_rtc_crate() {
    let rtc = source::tokens("rtc::");
    let broken = sources().into_iter().filter(|file| !NAMING_RTC.contains(&file.top()));
    let broken = broken.filter(|file| source::names(&file.tokens, &rtc));
    assert_none(broken.map(|file| format!("src/{} names rtc::", file.name)).collect());
}

#[test]
fn files_bear_the_name_of_a_concept() {
    let mut broken = Vec::new();
    for file in sources() {
        if let Some(vague) = file.module.iter().find(|part| VAGUE_NAMES.contains(&part.as_str())) {
            broken.push(format!("src/{}: {vague} names no concept", file.name));
        }
    }
    assert_none(broken);
}

#[test]
fn each_module_says_what_it_is() {
    let silent = sources().into_iter().filter(|file| !file.text.starts_with("//!"));
    assert_none(silent.map(|file| format!("src/{} does not start with its documentation", file.name)).collect());
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
