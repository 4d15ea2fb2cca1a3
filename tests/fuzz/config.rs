//! Configuration files: accepted as a whole, or refused in one sentence with a line of the file and without its
//! secrets.

use std::path::PathBuf;

use clap::{Args as _, Command, FromArgMatches as _};
use proptest::prelude::*;
use sluice::config::{ConfigError, Effective, Given};

use crate::cases;
use crate::change::changed_lines;

const SECRET: &str = "hunter2hunter2";

const FILE: &str = "[http]\nlisten = '127.0.0.1:1'\nadmin = '[::1]:3'\nallow-origin = ['https://a.example', 'https://b.example']\n\
    rate-limit = 3\n[media]\nlisten = '127.0.0.1:2'\nadvertise = ['203.0.113.7']\nworkers = 2\n[auth]\n\
    publish-token = 'hunter2hunter2'\nadmin-token = 'hunter2hunter2a'\npublic-watch = false\n[log]\nfilter = 'debug'\n";

const STRANGE: [&str; 10] = [
    "rate-limit = -1",
    "rate-limit = 1e999",
    "workers = [[1]]",
    "listen = 1979-05-27T07:32:00Z",
    "publish-token = ['hunter2hunter2', 'hunter2hunter2']",
    "publish-token = 'hunter2hunter2",
    "hunter2hunter2 = 1",
    "[auth.deeper]",
    "[[media]]",
    "filter = 'no=such=filter'",
];

/// A file that is gone when the test is.
struct Written(PathBuf);

impl Drop for Written {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}

fn load(text: &str) -> Result<Effective, ConfigError> {
    let name = format!("sluice-fuzz-{}-{:?}.toml", std::process::id(), std::thread::current().id());
    let written = Written(std::env::temp_dir().join(name));
    std::fs::write(&written.0, text).expect("the temporary directory can be written");
    // Without the environment, which all tests share.
    let command = Given::augment_args(Command::new("sluice").no_binary_name(true));
    let command = command.mut_args(|argument| argument.env(None::<&'static str>));
    let matches =
        command.try_get_matches_from([PathBuf::from("--config"), written.0.clone()]).expect("a file may be named");
    Given::from_arg_matches(&matches).expect("they are our own flags").effective()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_file_is_accepted_or_refused_in_one_sentence(
        text in changed_lines(
            vec![FILE.to_owned()],
            FILE.lines().chain(STRANGE).map(str::to_owned).collect(),
        ),
    ) {
        let error = match load(&text) {
            Ok(effective) => {
                let again = load(&text).expect("it was accepted before");
                prop_assert!(effective.changes(&again).is_empty(), "the same file, other settings");
                match effective.config() {
                    Ok(_) => return Ok(()),
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        if let ConfigError::Invalid { line, .. } = &error {
            prop_assert!((1..=text.lines().count().max(1)).contains(line), "line {}", line);
        }
        let sentence = error.to_string();
        prop_assert!(!sentence.contains('\n') && sentence.len() < 1024, "{:?}", sentence);
        let is_key = text.contains("hunter2hunter2 =");
        prop_assert!(is_key || !sentence.contains(SECRET), "{}", sentence);
    }
}

#[test]
fn the_file_is_accepted_as_it_is() {
    load(FILE).expect("it is valid").config().expect("it makes sense");
}
