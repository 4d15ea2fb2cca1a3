//! Runs this program under callgrind and reads what its functions took.

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};

/// Instructions by function, all that it called included.
pub(crate) struct Costs {
    by_function: HashMap<String, u64>,
}

/// Runs this program with an argument.
pub(crate) fn run(argument: &str) -> Result<Costs, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let output = program.with_extension("callgrind");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", output.display()))
        .arg(&program)
        .arg(argument)
        .stdin(Stdio::null())
        .status()
        .map_err(|error| {
            format!("cannot run valgrind ({error}): install it, for example by apt-get install valgrind")
        })?;
    if !status.success() {
        return Err(format!("valgrind ended with {status}"));
    }
    let profile = fs::read_to_string(&output).map_err(|error| format!("cannot read {}: {error}", output.display()))?;
    Ok(Costs::read(&profile))
}

impl Costs {
    /// What a function took; its name without generic arguments and hash.
    pub(crate) fn of(&self, function: &str) -> Result<f64, String> {
        let is_it =
            |name: &str| name.strip_prefix(function).is_some_and(|rest| rest.is_empty() || rest.starts_with("::h"));
        let found: u64 = self.by_function.iter().filter(|(name, _)| is_it(name)).map(|(_, cost)| cost).sum();
        if found == 0 { Err(format!("{function} does not appear in what valgrind counted")) } else { Ok(found as f64) }
    }

    /// The callgrind profile format: below `fn=`, each line is a position and a cost, its own or, below `calls=`, that
    /// of a call with everything it called.
    fn read(profile: &str) -> Self {
        let mut by_function: HashMap<String, u64> = HashMap::new();
        let mut current = None;
        for line in profile.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                current = Some(by_function.entry(name.to_owned()).or_default());
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok());
                if let (Some(total), Some(cost)) = (&mut current, cost) {
                    **total += cost;
                }
            } else if line.is_empty() {
                current = None;
            }
        }
        Self { by_function }
    }
}
