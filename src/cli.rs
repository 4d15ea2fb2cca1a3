//! The command line: subcommands, flags and their environment twins. `sluice` alone is `sluice serve`.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};

use crate::config::Given;
use crate::load;

/// Publish by WHIP, watch by WHEP.
#[derive(Parser)]
#[command(name = "sluice", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Given,
}

/// What sluice can do.
#[derive(Subcommand)]
pub enum Command {
    /// Starts the relay; the default
    Serve(Given),
    /// Prints the settings in force as a TOML file, and starts nothing; the exit code is 64 if they make no sense
    CheckConfig(Given),
    /// Publishes to a relay, joins viewers, and reports what arrived and what it cost
    Load(load::Config),
}

/// Why the program ends before it has begun.
#[derive(Debug)]
pub enum Exit {
    /// Help or version was asked for: this is it.
    Shown(String),
    /// The command line makes no sense: the sentence says what to do.
    Usage(String),
}

impl Cli {
    /// Reads a command line; the first of `arguments` is the program's name.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Exit> {
        let cli = Self::try_parse_from(arguments).map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Shown(error.render().to_string()),
            _ => Exit::Usage(sentence(&error)),
        })?;
        Ok(cli.command.unwrap_or(Command::Serve(cli.serve)))
    }
}

/// Clap explains itself over several lines; the first paragraph says it, and a tip may name what was meant.
fn sentence(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.trim_start_matches("error: ").split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.split_whitespace().collect();
    let said = words.join(" ");
    let meant = match (error.get(ContextKind::SuggestedArg), error.get(ContextKind::SuggestedSubcommand)) {
        (Some(ContextValue::String(flag)), _) => Some(flag),
        (_, Some(ContextValue::Strings(commands))) => commands.first(),
        _ => None,
    };
    match meant {
        Some(meant) => format!("{said}: did you mean {meant}? sluice --help lists what there is"),
        None => format!("{said}: sluice --help lists what there is"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, Exit> {
        Cli::read(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_program_alone_serves() {
        for line in ["sluice", "sluice serve"] {
            assert!(matches!(read(line), Ok(Command::Serve(_))), "{line}");
        }
        for line in ["sluice --http 127.0.0.1:9", "sluice serve --http 127.0.0.1:9"] {
            let Ok(Command::Serve(serve)) = read(line) else { panic!("{line}") };
            assert_eq!(serve.effective().unwrap().config().unwrap().http.listen.port(), 9);
        }
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let Ok(Command::Serve(serve)) = read("sluice --advertise 203.0.113.7,2001:db8::7 --public-watch") else {
            panic!("that is a command line")
        };
        let config = serve.effective().unwrap().config().unwrap();
        assert_eq!(config.worker.advertise.len(), 2);
        assert!(config.auth.public_watch);
    }

    #[test]
    fn load_has_its_own_flags() {
        let line = "sluice load --whip http://a/whip/x --whep http://a/whep/x --viewers 300 --seconds 5 --pid 7";
        let Ok(Command::Load(load)) = read(line) else { panic!("{line}") };
        assert_eq!((load.viewers, load.seconds, load.pid), (300, 5, Some(7)));
        assert_eq!((load.packets_per_second, load.burst, load.payload), (300, 10, 1160));
    }

    #[test]
    fn a_wrong_command_line_is_answered_in_one_sentence() {
        for (line, part) in [
            ("sluice --htpp 1.2.3.4:5", "'--htpp'"),
            ("sluice --htpp 1.2.3.4:5", "did you mean --http?"),
            ("sluice serv", "did you mean serve?"),
            ("sluice --http nowhere", "for example 0.0.0.0:8080"),
            ("sluice --workers 0", "--workers"),
            ("sluice fly", "'fly'"),
            ("sluice load", "--whep"),
        ] {
            let Err(Exit::Usage(sentence)) = read(line) else { panic!("{line}") };
            assert!(sentence.contains(part) && !sentence.contains('\n'), "{sentence}");
        }
        assert!(matches!(read("sluice --help"), Err(Exit::Shown(text)) if text.contains("--publish-token")));
        assert!(matches!(read("sluice --version"), Err(Exit::Shown(text)) if text.contains("0.1.0")));
    }
}
