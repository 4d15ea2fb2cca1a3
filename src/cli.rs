//! The command line: subcommands, flags and their environment twins.
