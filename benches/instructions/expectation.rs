//! What the counts are expected to be, and the table that is printed.

use std::collections::BTreeMap;
use std::fs;

/// One case.
pub(crate) struct Counted {
    pub(crate) name: &'static str,
    /// For one packet.
    pub(crate) instructions: f64,
    /// How far it may be off, as a share; either way, so that what got better is kept.
    pub(crate) tolerance: f64,
}

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.toml");
const BLESS: &str = "tests/instructions bless";
const HEAD: &str = "# Instructions for one packet, counted by callgrind on x86-64 with AVX2 and AES-NI.\n\
                    # Written by `tests/instructions bless`; say in the commit why it changed.\n\n";

/// Compares, or writes down what was counted.
#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
pub(crate) fn hold(counted: &[Counted], bless: bool) -> Result<(), String> {
    if bless {
        let lines = counted.iter().map(|case| format!("{} = {:.1}\n", case.name, case.instructions));
        let text = HEAD.to_owned() + &lines.collect::<String>();
        fs::write(FILE, text).map_err(|error| format!("cannot write {FILE}: {error}"))?;
    }
    let text = fs::read_to_string(FILE).map_err(|error| format!("cannot read {FILE} ({error}): run {BLESS}"))?;
    let expected: BTreeMap<String, f64> =
        toml::from_str(&text).map_err(|error| format!("cannot read {FILE} ({error}): run {BLESS}"))?;
    let mut off = Vec::new();
    println!("{:<22} {:>10} {:>10} {:>8}", "instructions a packet", "expected", "counted", "change");
    for case in counted {
        let Some(before) = expected.get(case.name).copied() else {
            println!("{:<22} {:>10} {:>10.1}", case.name, "-", case.instructions);
            off.push(case.name);
            continue;
        };
        let change = case.instructions / before - 1.0;
        let verdict = if change.abs() > case.tolerance { "  too far" } else { "" };
        println!("{:<22} {before:>10.1} {:>10.1} {:>+7.2}%{verdict}", case.name, case.instructions, change * 100.0);
        if change.abs() > case.tolerance {
            off.push(case.name);
        }
    }
    if off.is_empty() {
        return Ok(());
    }
    Err(format!("{} changed: if that is right, run `{BLESS}` and say in the commit why", off.join(", ")))
}
