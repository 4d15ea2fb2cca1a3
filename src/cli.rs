//! The command line: subcommands, flags and their environment twins. `sluice` alone is `sluice serve`.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::{Given, variable};
use crate::setting::in_plain_words;
use crate::{auth, load, reachability};

/// Receive streams by WHIP, send them to viewers by WHEP
#[derive(Parser)]
#[command(name = "sluice", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Given,
}

/// The subcommands.
#[derive(Subcommand)]
pub enum Command {
    /// Start the relay (default)
    Serve(Given),
    /// Print the settings in force as a TOML file without starting; exits with 64 if they are invalid
    CheckConfig(Given),
    /// Check the health of the relay that runs on this machine with these settings; exits with 1 if it is unhealthy
    Healthcheck(Given),
    /// Make a token for the file that --token-file names, and print it with the line for that file
    Token(auth::Issue),
    /// Test from this machine whether viewers can reach a relay's media addresses; exits with 1 if none answers by UDP
    CheckReachability(reachability::Config),
    /// Publish to a relay, join viewers, and report packet delivery and cost
    Load(load::Config),
}

/// Why the program exits before it starts.
#[derive(Debug)]
pub enum Exit {
    /// Help or version was requested: its text.
    Shown(String),
    /// The command line is invalid: a sentence that says what to do.
    Usage(String),
}

impl Cli {
    /// Reads a command line; the first of `arguments` is the program's name.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Exit> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let matches = taking_negatives(Self::command()).try_get_matches_from(&arguments);
        let cli = matches.and_then(|matches| Self::from_arg_matches(&matches)).map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Shown(error.render().to_string()),
            _ => Exit::Usage(sentence(&error, &arguments)),
        })?;
        Ok(cli.command.unwrap_or(Command::Serve(cli.serve)))
    }
}

/// A negative number is an invalid value, not the unknown flag `-1`.
fn taking_negatives(command: clap::Command) -> clap::Command {
    let has_value = |argument: &clap::Arg| argument.get_action().takes_values() && !argument.is_positional();
    let command = command.mut_args(|it| if has_value(&it) { it.allow_negative_numbers(true) } else { it });
    command.mut_subcommands(taking_negatives)
}

/// Clap's errors have several lines; this makes one, with what to do.
fn sentence(error: &clap::Error, arguments: &[OsString]) -> String {
    let text = error.render().to_string();
    let first = text.trim_start_matches("error: ").split("\n\n").next().unwrap_or_default();
    let message = first.split_whitespace().collect::<Vec<_>>().join(" ");
    let known = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let argument = known(ContextKind::InvalidArg);
    match (error.kind(), argument) {
        (ErrorKind::ValueValidation | ErrorKind::InvalidValue, Some(argument)) => {
            let flag = argument.split(' ').next().unwrap_or_default();
            let value = known(ContextKind::InvalidValue).unwrap_or_default();
            let why = match (error.source(), error.get(ContextKind::ValidValue)) {
                (Some(source), _) => in_plain_words(&source.to_string()),
                (None, Some(ContextValue::Strings(valid))) if !valid.is_empty() => {
                    format!("write {}", valid.join(" or "))
                }
                (None, _) => format!("write {argument}"),
            };
            let value = if value.is_empty() { value } else { format!(" {:?}", without_password(&value)) };
            format!("{}{value}: {why}", source_of(flag, arguments))
        }
        (ErrorKind::ArgumentConflict, Some(argument)) if known(ContextKind::PriorArg) == Some(argument.clone()) => {
            format!(
                "{argument} is given more than once: give it once, with commas between several values if it takes them"
            )
        }
        (ErrorKind::ArgumentConflict, None) => {
            format!("{message}: write the subcommand first and its flags after it")
        }
        _ => {
            let help = help_for(arguments);
            match known(ContextKind::SuggestedArg).or_else(|| known(ContextKind::SuggestedSubcommand)) {
                Some(meant) => format!("{message}: did you mean {meant}? {help}"),
                None => format!("{message}: {help}"),
            }
        }
    }
}

/// A URL without its user name and password; any other value as it is.
fn without_password(value: &str) -> String {
    match value.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (_, host))) => format!("{scheme}://...@{host}"),
        None => value.to_owned(),
    }
}

/// Names the help that lists what may stand on this command line: a subcommand has its own flags.
fn help_for(arguments: &[OsString]) -> String {
    let command = Cli::command();
    let subcommand = arguments.get(1).and_then(|word| command.find_subcommand(word));
    match subcommand.map(clap::Command::get_name) {
        Some(name) => format!("sluice {name} --help lists its flags"),
        None => "sluice --help lists subcommands and flags".to_owned(),
    }
}

/// The flag, or its variable when the flag is not on the command line.
fn source_of(flag: &str, arguments: &[OsString]) -> String {
    if flag.starts_with('<') {
        // A value without a flag.
        return flag.to_owned();
    }
    let is_flag = |argument: &OsString| {
        argument
            .to_str()
            .and_then(|text| text.strip_prefix(flag))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    if arguments.iter().any(is_flag) { flag.to_owned() } else { variable(flag) }
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
        let Ok(Command::Serve(serve)) =
            read("sluice --advertise 203.0.113.7,2001:db8::7 --publish-token p --public-watch")
        else {
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
    fn a_token_needs_an_action() {
        let line = "sluice token --allow publish,watch --stream cam-*,stage --name alice --max-viewers 3";
        assert!(matches!(read(line), Ok(Command::Token(_))), "{line}");
        for (line, part) in [
            ("sluice token", "--allow"),
            ("sluice token --allow fly", "publish, watch or admin"),
            ("sluice token --allow watch --stream a/b", "stream pattern"),
            ("sluice token --allow watch --name a:b", "64 characters"),
            ("sluice token --allow watch --max-viewers 0", "--max-viewers \"0\": write a number from 1"),
        ] {
            let Err(Exit::Usage(sentence)) = read(line) else { panic!("{line}") };
            assert!(sentence.contains(part) && !sentence.contains('\n'), "{sentence}");
        }
    }

    #[test]
    fn an_error_about_a_url_does_not_show_its_password() {
        let line = "sluice --cluster nats://node:s3cret@nats.example.org:x".split(' ');
        let Err(Exit::Usage(text)) = Cli::read(line.map(OsString::from)) else { panic!("the port is no number") };
        assert!(text.contains("nats://...@nats.example.org:x") && !text.contains("s3cret"), "{text}");
    }

    #[test]
    fn a_wrong_command_line_is_answered_in_one_sentence() {
        for (line, part) in [
            ("sluice --htpp 1.2.3.4:5", "'--htpp'"),
            ("sluice --htpp 1.2.3.4:5", "did you mean --http?"),
            ("sluice serv", "did you mean serve?"),
            ("sluice --http nowhere", "for example 0.0.0.0:8080"),
            ("sluice --workers 0", "--workers"),
            ("sluice --workers many", "--workers \"many\": write a whole number"),
            ("sluice --public-watch=yes", "--public-watch \"yes\": write true or false"),
            ("sluice --drain 99999999999", "write a number from 0 to 4294967295"),
            ("sluice --drain -1", "--drain \"-1\": write a number from 0 to 4294967295"),
            ("sluice --workers -1", "--workers \"-1\": write a whole number, not negative"),
            ("sluice load --whep http://a/whep/x --viewers -1", "--viewers \"-1\": write a"),
            ("sluice load --whep http://a/whep/x --bitrate 0", "--bitrate \"0\": write a number from 1000 to"),
            ("sluice -1", "'-1'"),
            ("sluice --http 8080", "0.0.0.0:8080"),
            ("sluice --http=", "--http: write an IP address and a port"),
            ("sluice --http 127.0.0.1:1 --http 127.0.0.1:2", "more than once: give it once"),
            ("sluice --log debug check-config", "write the subcommand first"),
            ("sluice --advertise 203.0.113", "for example 203.0.113.7"),
            ("sluice --config", "--config: write --config <FILE>"),
            ("sluice fly", "'fly'"),
            ("sluice load", "--whep"),
            (
                "sluice load --whep localhost:8080/whep/x",
                "--whep \"localhost:8080/whep/x\": write an http or https URL",
            ),
            ("sluice check-reachability ftp://a/", "<URL> \"ftp://a/\": write the relay's address like https://"),
            ("sluice load", "sluice load --help lists"),
            ("sluice check-config --nonsense", "sluice check-config --help lists"),
            ("sluice --nonsense", "sluice --help lists"),
        ] {
            let Err(Exit::Usage(sentence)) = read(line) else { panic!("{line}") };
            assert!(sentence.contains(part) && !sentence.contains('\n'), "{sentence}");
        }
        assert!(matches!(read("sluice --help"), Err(Exit::Shown(text)) if text.contains("--publish-token")));
        assert!(matches!(read("sluice --version"), Err(Exit::Shown(text)) if text.contains("0.1.0")));
    }
}
