//! The `sluice` binary: parse, log, run a subcommand, say how it went in the exit code.

fn main() {}
