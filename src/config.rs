//! Gathers each module's own configuration: defaults, then the TOML file, then the environment, then flags.
