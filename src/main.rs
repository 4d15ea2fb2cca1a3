//! The `sluice` binary: parses the command line, starts logging, runs a subcommand, and sets the exit code.

use std::io::Write as _;
use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use sluice::cli::{Cli, Command, Exit};
use sluice::config::{Config, ConfigError, Effective, Given, unknown_variables};
use sluice::health::{self, Protocol};
use sluice::reload::{HangUps, Reload};
use sluice::server::{Addresses, Server};
use sluice::{load, log, reachability, stop, systemd};
use tracing::{error, warn};

/// Returns freed memory to the system, so that the memory of a flood of sessions is not kept: see Cargo.toml.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The command line or the configuration is wrong (EX_USAGE of sysexits.h).
const USAGE: u8 = 64;

/// `sluice load` has measured, and viewers did not join, did not stay, or lost packets.
const INCOMPLETE: u8 = 2;

/// The log filter of `sluice load`.
const LOAD_LOG: &str = "error,sluice=warn,sluice::load=info";

fn main() -> ExitCode {
    let command = match Cli::read(std::env::args_os()) {
        Ok(command) => command,
        Err(Exit::Shown(text)) => {
            say(&text);
            return ExitCode::SUCCESS;
        }
        Err(Exit::Usage(sentence)) => return usage(&sentence),
    };
    let code = match command {
        Command::Serve(given) => run(given),
        Command::CheckConfig(given) => check(given),
        Command::Healthcheck(given) => ask_health(given),
        Command::Token(issue) => match issue.run() {
            Ok(text) => {
                say(&text);
                ExitCode::SUCCESS
            }
            Err(error) => return usage(&error.to_string()),
        },
        Command::CheckReachability(relay) => try_addresses(&relay),
        Command::Load(load) => measure(&load),
    };
    log::flush();
    code
}

fn run(given: Given) -> ExitCode {
    let (warnings, effective, config) = match configuration(&given) {
        Ok(configuration) => configuration,
        Err(error) => return usage(&error.to_string()),
    };
    let log = log::start(config.log.clone());
    for warning in warnings {
        warn!("{warning}");
    }
    let server = match Server::load(&config) {
        Ok(server) => server,
        Err(error) if error.is_mistake() => return usage(&error.to_string()),
        Err(error) => return failed(&error.to_string()),
    };
    let reload = Reload::new(given, effective, server.node(), log);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("http").enable_all().build();
    let outcome = runtime
        .context("cannot start the threads for HTTP (limits of threads and open files: ulimit -a)")
        .and_then(|runtime| {
            let outcome = runtime.block_on(serve_until_asked(server, reload));
            // Tasks that have not ended by now are not waited for.
            runtime.shutdown_background();
            outcome
        });
    ExitCode::from(stop::exit_code(&outcome))
}

fn check(given: Given) -> ExitCode {
    match configuration(&given) {
        Ok((warnings, effective, config)) => {
            if let Err(error) = Server::check(&config) {
                return usage(&error.to_string());
            }
            for warning in warnings {
                let _ = writeln!(std::io::stderr(), "sluice: {warning}");
            }
            say(&effective.to_toml());
            ExitCode::SUCCESS
        }
        Err(error) => usage(&error.to_string()),
    }
}

fn ask_health(given: Given) -> ExitCode {
    let config = match configuration(&given) {
        Ok((_, _, config)) => config,
        Err(error) => return usage(&error.to_string()),
    };
    let (address, protocol) = match config.http.admin {
        Some(admin) => (admin, Protocol::HTTP),
        None => {
            let (is_https, is_proxied) = (config.http.tls.certificate.is_some(), config.http.proxy_protocol);
            (config.http.listen, Protocol { is_https, is_proxied })
        }
    };
    match health::check(address, protocol) {
        Ok(()) => ExitCode::SUCCESS,
        Err(unhealthy) => failed(&unhealthy.to_string()),
    }
}

/// Warnings about the settings, the settings, and the configuration that they make.
fn configuration(given: &Given) -> Result<(Vec<String>, Effective, Config), ConfigError> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let warnings = unknown_variables(names)?;
    let effective = given.effective()?;
    let config = effective.config()?;
    Ok((warnings, effective, config))
}

fn measure(config: &load::Config) -> ExitCode {
    match log::filter(LOAD_LOG) {
        Ok(filter) => drop(log::start(filter)),
        Err(error) => return usage(&error.to_string()),
    }
    match load::run(config) {
        Ok(report) => {
            say(&if config.json { report.to_json() + "\n" } else { report.to_string() });
            if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) }
        }
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn try_addresses(relay: &reachability::Config) -> ExitCode {
    match reachability::run(relay) {
        Ok(report) => {
            say(&report.to_string());
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => failed(&error.to_string()),
    }
}

async fn serve_until_asked(server: Server, mut reload: Reload) -> anyhow::Result<()> {
    // A client may ask the relay to stop as soon as it announces its addresses, so signals are handled first.
    let (drain, at_once) = stop::signals(server.drain()).context("cannot wait for signals")?;
    let mut hang_ups = HangUps::listen().context("cannot wait for signals")?;
    let Addresses { http, .. } = server.addresses();
    let media = media(server.addresses());
    let status = format!("serving on {http} and, for media, on {media}");
    say(&welcome(server.addresses(), server.public_url()));
    systemd::ready(&status);
    let drain = async {
        drain.await;
        systemd::stopping("draining: no new session is taken");
    };
    let at_once = async {
        at_once.await;
        systemd::stopping("stopping");
    };
    let reloads = tokio::spawn(async move {
        loop {
            hang_ups.next().await;
            systemd::reloading();
            // A file that does not answer, such as one on a lost network drive, holds up nothing else.
            tokio::task::block_in_place(|| reload.run());
            systemd::ready(&status);
        }
    });
    let outcome = server.run_and_drain(drain, at_once).await;
    reloads.abort();
    outcome
}

/// The media port with its protocols, as they are opened in a firewall.
fn media(Addresses { media, has_ice_tcp, .. }: Addresses) -> String {
    if has_ice_tcp { format!("{media}/udp and {}/tcp", media.port()) } else { format!("{media}/udp") }
}

/// What to open and where to publish; localhost first, because browsers allow cameras in secure contexts only.
fn welcome(addresses: Addresses, public: Option<&str>) -> String {
    let Addresses { http, is_https, admin, .. } = addresses;
    let media = media(addresses);
    let scheme = if is_https { "https" } else { "http" };
    let everywhere = http.ip().is_unspecified();
    let host = if everywhere { "localhost".to_owned() } else { bracketed(http.ip()) };
    let port = http.port();
    let mut text = format!("sluice {} is listening on {http} and, for media, on {media}\n", env!("CARGO_PKG_VERSION"));
    let own = format!("{scheme}://{host}:{port}");
    let base = public.unwrap_or(&own);
    text += &format!("\n  Open               {base}/\n");
    // A certificate for a name is for no address.
    for address in if everywhere && public.is_none() { other_addresses(http.is_ipv6()) } else { Vec::new() } {
        let remark = if is_https { "" } else { "  (watch; a camera needs localhost or https)" };
        text += &format!("                     {scheme}://{}:{port}/{remark}\n", bracketed(address));
    }
    text += &format!("  Publish by WHIP    {base}/whip/NAME\n");
    text += &format!("  Watch by WHEP      {base}/whep/NAME\n");
    let metrics = match admin {
        Some(admin) if admin.ip().is_unspecified() => format!("http://localhost:{}", admin.port()),
        Some(admin) => format!("http://{admin}"),
        None => base.to_owned(),
    };
    text += &format!("  Metrics            {metrics}/metrics\n\n");
    text
}

/// Up to three addresses of this machine that others may reach, IPv4 first.
fn other_addresses(with_ipv6: bool) -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<IpAddr> =
        interfaces.iter().filter(|it| !it.is_loopback() && !it.is_link_local()).map(|it| it.ip()).collect();
    addresses.retain(|address| address.is_ipv4() || with_ipv6);
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.truncate(3);
    addresses
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

fn usage(sentence: &str) -> ExitCode {
    // Warnings about the settings come before it.
    log::flush();
    // Where stderr is closed, the exit code is all that remains.
    let _ = writeln!(std::io::stderr(), "sluice: {sentence}");
    ExitCode::from(USAGE)
}

fn failed(sentence: &str) -> ExitCode {
    log::flush();
    let _ = writeln!(std::io::stderr(), "sluice: {sentence}");
    ExitCode::FAILURE
}

fn say(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
