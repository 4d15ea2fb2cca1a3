//! The binary itself: what it says, when it listens, how it ends.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::binary::{OFFER, Running, agent, relay, sluice};

fn run(arguments: &[&str]) -> Output {
    sluice(arguments).output().unwrap()
}

/// One line on stderr, and exit code 64.
fn refusal(command: &mut Command) -> String {
    refusal_with(64, command)
}

fn refusal_with(code: i32, command: &mut Command) -> String {
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{printed}");
    assert_eq!(printed.lines().count(), 1, "one sentence: {printed}");
    assert!(output.stdout.is_empty());
    printed
}

#[test]
fn a_wrong_setting_is_refused_in_one_sentence_with_exit_code_64() {
    for (arguments, part) in [
        (vec!["--htpp", "127.0.0.1:0"], "--htpp"),
        (vec!["serve", "--http", "nowhere"], "0.0.0.0:8080"),
        (vec!["--config", "/nowhere/sluice.toml"], "/nowhere/sluice.toml"),
        (vec!["--config", "/"], "name the file in it"),
        (vec!["--config", "/dev/zero"], "larger than 1 MiB"),
        (vec!["--watch-token", "w"], "publish-token"),
        (vec!["--admin-token", "a"], "publish-token"),
        (vec!["--publish-token", ""], "publish-token"),
        (vec!["--public-watch", "--watch-token", "w", "--publish-token", "p"], "remove one of the two"),
        (vec!["--public-watch"], "set --publish-token, or remove --public-watch"),
        (vec!["--hsts", "86400"], "--hsts has no effect without HTTPS"),
        (vec!["--allow-origin", "*,https://example.org"], "remove *"),
        (vec!["--fast-start", "0", "--fast-start-size", "8"], "--fast-start-size"),
        (vec!["--log", "a=b=c=["], "log filter"),
        (vec!["--allow-origin", "example.org"], "https://example.org"),
        (vec!["--advertise", "relay..example", "--http", "127.0.0.1:0", "--media", "127.0.0.1:0"], "203.0.113.7"),
        (vec!["--advertise", "auto"], "--stun-server"),
        (vec!["--advertise", "0.0.0.0", "--http", "127.0.0.1:0", "--media", "127.0.0.1:0"], "--advertise"),
    ] {
        let printed = refusal(&mut sluice(&arguments));
        assert!(printed.contains(part), "{arguments:?}: {printed}");
    }
    for value in ["nowhere", ""] {
        let printed = refusal(sluice(&[]).env("SLUICE_HTTP", value));
        assert!(printed.contains("SLUICE_HTTP") && printed.contains("0.0.0.0:8080"), "{printed}");
    }
    let printed = refusal(sluice(&[]).env("SLUICE_PUBLISH_TOKENS", "hunter2"));
    assert!(printed.contains("SLUICE_PUBLISH_TOKENS") && !printed.contains("hunter2"), "{printed}");
}

/// systemd does not start the relay again after code 64 (deploy/sluice.service).
#[test]
fn an_address_that_may_become_usable_later_is_exit_code_1_so_that_systemd_tries_again() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (arguments, part) in [
        (["--http", &taken, "--media", "127.0.0.1:0"], "--http"),
        (["--http", "127.0.0.1:0", "--media", "192.0.2.1:0"], "--media"),
        (["--http", "192.0.2.1:0", "--media", "127.0.0.1:0"], "--http"),
    ] {
        let printed = refusal_with(1, &mut sluice(&arguments));
        assert!(printed.contains(part), "{arguments:?}: {printed}");
    }
}

#[test]
fn a_name_that_cannot_be_resolved_at_start_stops_no_relay_because_name_servers_may_be_down_at_boot() {
    for (value, offered) in [("relay.invalid", "127.0.0.1"), ("relay.invalid,203.0.113.7", "203.0.113.7")] {
        let mut relay = Running::start(&mut relay(&["--advertise", value]));
        let created = relay.post(None);
        assert_eq!(created.status(), 201);
        let answer = created.into_body().read_to_string().unwrap();
        let candidate = answer.lines().find(|line| line.starts_with("a=candidate:")).unwrap();
        assert!(candidate.contains(offered), "{candidate}");
        relay.signal("TERM");
        assert_eq!(relay.ended().code(), Some(0));
        let log = relay.log();
        for part in ["cannot advertise relay.invalid", "looked up again every 5 s", "write the IP address"] {
            assert!(log.contains(part), "{part}: {log}");
        }
        assert!(!log.contains("addresses have changed"), "{log}");
    }
}

#[test]
fn an_unknown_key_in_the_file_is_refused_with_its_line() {
    let path = std::env::temp_dir().join(format!("sluice-key-{}.toml", std::process::id()));
    std::fs::write(&path, "[auth]\npublish-token = 'hunter2'\n[http]\nlistn = '127.0.0.1:0'\n").unwrap();
    let printed = refusal(&mut sluice(&["--config", path.to_str().unwrap()]));
    std::fs::remove_file(&path).unwrap();
    assert!(
        printed.contains("line 4") && printed.contains("did you mean http.listen?") && !printed.contains("hunter2"),
        "{printed}"
    );
}

/// Ports below 1024 are this user's too where tests run as root, so the binary is started as somebody else there.
#[test]
fn a_refused_privileged_port_names_the_permission_that_it_needs() {
    let lowest = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if lowest.is_ok_and(|lowest| lowest.trim() == "0") {
        return;
    }
    for (http, media) in [("127.0.0.1:80", "127.0.0.1:0"), ("127.0.0.1:0", "127.0.0.1:80")] {
        let mut command = sluice(&["--http", http, "--media", media]);
        as_nobody(&mut command);
        let printed = refusal(&mut command);
        if command.get_program() != env!("CARGO_BIN_EXE_sluice") {
            std::fs::remove_file(command.get_program()).unwrap();
        }
        assert!(printed.contains("127.0.0.1:80") && printed.contains("CAP_NET_BIND_SERVICE"), "{printed}");
    }
}

/// The binary is copied to where everybody may run it.
fn as_nobody(command: &mut Command) {
    const NOBODY: u32 = 65534;
    if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        let copy = std::env::temp_dir().join(format!("sluice-nobody-{}", std::process::id()));
        // By another process: a file that this one writes may be open in a child of another thread when it is to be
        // run.
        assert!(Command::new("cp").arg(command.get_program()).arg(&copy).status().unwrap().success());
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        *command = Command::new(copy);
        command.args(arguments).env_clear().uid(NOBODY).gid(NOBODY);
    }
}

#[test]
fn the_health_check_asks_the_relay_where_its_settings_say() {
    let relay = Running::start(&mut relay(&[]));
    let address = relay.origin.trim_start_matches("http://").to_owned();
    assert_eq!(sluice(&["healthcheck"]).env("SLUICE_HTTP", &address).output().unwrap().status.code(), Some(0));
    let everywhere = address.replace("127.0.0.1", "0.0.0.0");
    assert_eq!(run(&["healthcheck", "--http", &everywhere]).status.code(), Some(0));
    assert_eq!(run(&["healthcheck", "--admin", &address]).status.code(), Some(0));
    drop(relay);
    let output = run(&["healthcheck", "--http", &address]);
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("does not answer") && printed.lines().count() == 1, "{printed}");
}

#[test]
fn the_health_of_a_relay_behind_a_proxy_that_sends_headers_is_known_on_its_machine() {
    for tls in [None, Some("--tls-self-signed")] {
        let mut flags = vec!["--proxy-protocol", "--trusted-proxy", "192.0.2.1"];
        flags.extend(tls);
        let relay = Running::start(&mut relay(&flags));
        let address = relay.origin.rsplit('/').next().unwrap();
        let asked = run(&[&["healthcheck", "--http", address], &flags[..]].concat());
        assert_eq!(asked.status.code(), Some(0), "{}", String::from_utf8_lossy(&asked.stderr));
    }
}

#[test]
fn a_relay_with_a_private_certificate_is_tried_with_its_authority_and_the_error_names_the_flag() {
    let directory = std::env::temp_dir().join(format!("sluice-ca-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.join(name).to_str().unwrap().to_owned());
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let relay = Running::start(&mut relay(&["--tls-cert", &cert, "--tls-key", &key]));
    let whep = format!("{}/whep/load", relay.origin);
    let whip = format!("{}/whip/load", relay.origin);
    let tries = ["check-reachability", &relay.origin];
    let loads = ["load", "--whip", &whip, "--whep", &whep, "--viewers", "1", "--seconds", "1"];
    for command in [&tries[..], &loads[..]] {
        let refused = run(command);
        let printed = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{printed}");
        assert!(printed.contains("not trusted") && printed.contains("--ca FILE"), "{printed}");
        assert!(!printed.contains("running there"), "{printed}");
        let trusted = run(&[command, &["--ca", &cert]].concat());
        // With 2, a busy machine has lost packets.
        let is_measured = matches!(trusted.status.code(), Some(0 | 2));
        assert!(is_measured, "{}", String::from_utf8_lossy(&trusted.stderr));
        let printed = refusal(&mut sluice(&[command, &["--ca", &key]].concat()));
        assert!(printed.contains("--ca") && printed.contains("it has no certificate"), "{printed}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_self_signed_certificate_is_made_once_and_served_again_after_a_restart() {
    let state = std::env::temp_dir().join(format!("sluice-state-{}", std::process::id()));
    let arguments = ["--tls-self-signed", "--state-dir", state.to_str().unwrap(), "--http-redirect", "127.0.0.1:0"];
    let fingerprints = [(); 2].map(|()| {
        let mut relay = Running::start(&mut relay(&arguments));
        let address = relay.origin.strip_prefix("https://").expect(&relay.welcome).to_owned();
        assert!(relay.welcome.contains(&format!("https://{address}/whip/")), "{}", relay.welcome);
        assert_eq!(run(&["healthcheck", "--tls-self-signed", "--http", &address]).status.code(), Some(0));
        relay.signal("TERM");
        assert_eq!(relay.ended().code(), Some(0));
        let log = relay.log();
        let line = log.lines().find(|line| line.contains("https with a certificate for")).expect(&log);
        line.split("sha256=").nth(1).unwrap().to_owned()
    });
    assert_eq!(fingerprints[0], fingerprints[1]);
    std::fs::remove_dir_all(&state).unwrap();
}

#[test]
fn settings_of_https_that_do_not_fit_are_refused() {
    for (flags, part) in [
        (["--tls-cert", "a.pem", "--hsts=0"], "belong together"),
        (["--tls-key", "a.pem", "--hsts=0"], "belong together"),
        (["--http-redirect", "127.0.0.1:0", "--hsts=0"], "no effect without HTTPS"),
        (["--tls-self-signed", "--hsts", "86400"], "remove --hsts"),
        (["--tls-cert=/no/cert.pem", "--tls-key=/no/key.pem", "--tls-self-signed"], "remove one of the two"),
        (
            ["--tls-cert=/no/cert.pem", "--tls-key=/no/key.pem", "--hsts=0"],
            "/no/cert.pem (--tls-cert): the file does not",
        ),
        (["--tls-self-signed", "--state-dir", "/proc/nowhere"], "(--state-dir)"),
    ] {
        let sentence = refusal(&mut relay(&flags));
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn help_and_version_exit_with_0() {
    for (argument, part) in [("--help", "--publish-token"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let output = run(&[argument]);
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stdout).unwrap().contains(part));
    }
}

/// SLUICE_BLESS=1 writes the table into the README instead.
#[test]
fn the_readme_has_the_table_of_settings() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- settings: written by SLUICE_BLESS=1 cargo test --test node readme -->\n", "<!-- end -->");
    let (before, rest) = readme.split_once(begin).unwrap();
    let (there, after) = rest.split_once(end).unwrap();
    let table = sluice::config::table();
    if std::env::var_os("SLUICE_BLESS").is_some() {
        std::fs::write(path, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(there, table, "SLUICE_BLESS=1 cargo test --test node readme");
    }
}

#[test]
fn check_config_prints_the_settings_in_force_or_says_what_is_wrong() {
    let path = std::env::temp_dir().join(format!("sluice-check-{}.toml", std::process::id()));
    std::fs::write(&path, "[http]\nlisten = '127.0.0.1:1'\nrate-limit = 5\n[media]\nworkers = 7\n").unwrap();
    let mut command = sluice(&["check-config", "--rate-limit", "9"]);
    command.env("SLUICE_CONFIG", &path).env("SLUICE_HTTP", "127.0.0.1:2").env("SLUICE_PUBLISH_TOKEN", "hunter2");
    let output = command.env("SLUICE_HTPP", "x").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let (printed, warned) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let line = |key: &str| printed.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    for (key, value, origin) in [
        ("listen", "\"127.0.0.1:2\"", "# SLUICE_HTTP"),
        ("rate-limit", "9", "# --rate-limit"),
        ("workers", "7", ".toml, line 5"),
        ("publish-token", "\"(secret)\"", "# SLUICE_PUBLISH_TOKEN"),
        ("fast-start ", "20", "# default"),
    ] {
        assert!(line(key).contains(value) && line(key).contains(origin), "{}", line(key));
    }
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(warned.contains("SLUICE_HTPP is not a setting: did you mean SLUICE_HTTP?"), "{warned}");

    std::fs::write(&path, "[http]\nlisten = 'nowhere'\n").unwrap();
    let printed = refusal(sluice(&["check-config"]).env("SLUICE_CONFIG", &path));
    assert!(printed.contains("line 2") && printed.contains("http.listen"), "{printed}");
    std::fs::remove_file(&path).unwrap();
    let state = std::env::temp_dir().join(format!("sluice-check-{}/state", std::process::id()));
    let checked = run(&["check-config", "--tls-self-signed", "--state-dir", state.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(!state.parent().unwrap().exists(), "a check makes no directory");
    for (flags, part) in [
        (["--tls-cert=/no/cert.pem", "--tls-key=/no/key.pem"], "/no/cert.pem (--tls-cert): the file does not"),
        (["--tls-self-signed", "--state-dir=/proc/nowhere"], "(--state-dir)"),
    ] {
        let printed = refusal(&mut sluice(&[&["check-config"], &flags[..]].concat()));
        assert!(printed.contains(part), "{printed}");
    }
    for flags in [
        ["check-config", "--log", "a=b=c=["],
        ["check-config", "--watch-token", "w"],
        ["check-config", "--allow-origin", "*,http://a"],
    ] {
        refusal(&mut sluice(&flags));
    }
}

#[test]
fn it_listens_at_once_prints_where_and_ends_when_asked() {
    let began = Instant::now();
    let mut command = sluice(&["--media", "127.0.0.1:0", "--publish-token", "hunter2"]);
    // A flag wins over the environment, the environment over the file.
    let path = std::env::temp_dir().join(format!("sluice-start-{}.toml", std::process::id()));
    let file = "[http]\nlisten = '192.0.2.1:1'\n[media]\nlisten = '192.0.2.1:1'\n[log]\nfilter = 'trace'\n";
    std::fs::write(&path, file).unwrap();
    command.env("SLUICE_HTTP", "127.0.0.1:0").env("SLUICE_MEDIA", "192.0.2.1:2").env("SLUICE_CONFIG", &path);
    let mut relay = Running::start(&mut command);
    let took = began.elapsed();
    let address = relay.origin.rsplit('/').next().unwrap();
    TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    // 50 ms is the goal on a quiet machine; tests share theirs with a compiler.
    assert!(took < Duration::from_millis(1000), "listening after {took:?}");
    assert!(relay.welcome.contains("/whip/"), "{}", relay.welcome);
    std::fs::remove_file(&path).unwrap();

    let asked = Instant::now();
    relay.signal("TERM");
    assert_eq!(relay.ended().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "a relay without sessions ends at once");
    let log = relay.log();
    assert!(log.contains("stopped") && !log.contains("hunter2"), "{log}");
}

#[test]
fn no_secret_is_logged_at_any_level() {
    let mut command = relay(&["--log", "trace"]);
    command.env("SLUICE_PUBLISH_TOKEN", "hunter2-publish").env("SLUICE_WATCH_TOKEN", "hunter2-watch");
    command.env("SLUICE_ICE_SERVER", "turn:a.example").env("SLUICE_TURN_SECRET", "hunter2-turn");
    command.env("SLUICE_ADMIN_TOKEN", "hunter2-admin");
    // Nothing listens there, which is logged.
    command.env("SLUICE_ACCESS_WEBHOOK", "http://127.0.0.1:1/").env("SLUICE_ACCESS_WEBHOOK_SECRET", "hunter2-hook");
    let mut relay = Running::start(&mut command);
    assert_eq!(relay.post(Some("hunter2-guess")).status(), 503);
    for (token, status) in [("hunter2-guess", 503), ("hunter2-publish", 204)] {
        let endpoint = format!("{}/whip/cam?token={token}", relay.origin);
        assert_eq!(agent().get(endpoint).call().unwrap().status(), status);
    }
    let mut created = relay.post(Some("hunter2-publish"));
    let session = relay.session(&created);
    let answer = created.body_mut().read_to_string().unwrap();
    let deleted = agent().delete(session).header("Authorization", "Bearer hunter2-publish").call().unwrap();
    assert_eq!(deleted.status(), 200);

    relay.signal("TERM");
    assert!(relay.ended().success());
    let log = relay.log();
    assert!(log.contains("/whip/cam") || log.contains("Whip"), "the request is logged: {log}");
    assert!(log.contains("ended before its first packet") && !log.contains("open for UDP"), "it was deleted: {log}");
    let passwords = OFFER.lines().chain(answer.lines()).filter_map(|line| line.strip_prefix("a=ice-pwd:"));
    for secret in passwords.chain(["hunter2"]) {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn no_secret_is_logged_where_requests_are_redirected_and_where_operators_ask() {
    // What it prints does not name this address, so it is one of loopback that nothing else takes.
    let [.., high, low] = std::process::id().to_be_bytes();
    let redirect = format!("127.99.{high}.{low}:18079");
    let ports = ["--admin", "127.0.0.1:0", "--http-redirect", &redirect, "--tls-self-signed", "--log", "trace"];
    let mut command = relay(&ports);
    command.env("SLUICE_PUBLISH_TOKEN", "hunter2-publish").env("SLUICE_ADMIN_TOKEN", "hunter2-admin");
    let mut relay = Running::start(&mut command);
    let metrics = relay.welcome.lines().find_map(|line| line.trim().strip_prefix("Metrics")).unwrap();
    let admin = metrics.trim().trim_end_matches("/metrics").to_owned();
    let ask = |url: String| agent().get(url).call().unwrap().status().as_u16();
    assert_eq!(ask(format!("{admin}/metrics?token=hunter2-admin")), 200);
    assert_eq!(ask(format!("{admin}/api/sessions?token=hunter2-guess")), 401);
    let unredirected =
        ureq::Agent::config_builder().max_redirects(0).max_redirects_will_error(false).build().new_agent();
    let to_https = unredirected.get(format!("http://{redirect}/whip/cam?token=hunter2-publish")).call().unwrap();
    assert_eq!(to_https.status(), 308);
    assert!(!to_https.headers()["location"].to_str().unwrap().contains("hunter2"));
    relay.signal("TERM");
    assert!(relay.ended().success());
    let log = relay.log();
    assert!(log.contains("route=api"), "requests are logged: {log}");
    assert!(!log.contains("hunter2"), "{log}");
}

/// Answers one Binding request with 203.0.113.9 (RFC 8489).
fn stun_server() -> (String, std::thread::JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let mut request = [0; 100];
        let (length, client) = socket.recv_from(&mut request).unwrap();
        assert_eq!((length, &request[..8]), (20, &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..]));
        let masked = [203 ^ 0x21, 0x12, 113 ^ 0xa4, 9 ^ 0x42];
        let head = [1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42];
        let answer = [&head[..], &request[8..20], &[0, 0x20, 0, 8, 0, 1, 0, 0], &masked].concat();
        socket.send_to(&answer, client).unwrap();
    });
    (address, thread)
}

#[test]
fn the_public_address_is_learned_from_a_stun_server() {
    let (server, thread) = stun_server();
    let mut relay = Running::start(&mut relay(&["--advertise", "auto:30081", "--stun-server", &server]));
    thread.join().unwrap();
    let answer = relay.post(None).body_mut().read_to_string().unwrap();
    let candidates: Vec<&str> = answer.lines().filter(|line| line.starts_with("a=candidate:")).collect();
    assert!(candidates[0].contains(" udp ") && candidates[0].contains(" 203.0.113.9 30081 "), "{candidates:?}");
    relay.signal("TERM");
    assert!(relay.ended().success());
}

#[test]
fn check_reachability_reports_for_each_address_whether_it_is_reachable() {
    let mut relay = Running::start(&mut relay(&["--advertise", "127.0.0.1:9"]));
    let output = run(&["check-reachability", &relay.origin]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let port = relay.welcome.split("/udp").next().unwrap().rsplit(':').next().unwrap();
    for protocol in ["UDP", "TCP"] {
        assert!(text.contains(&format!("127.0.0.1:{port} by {protocol}: reachable")), "{text}");
        assert!(text.contains(&format!("127.0.0.1:9 by {protocol}: not reachable")), "{text}");
    }
    assert!(text.lines().last().unwrap().contains("connect by UDP"), "{text}");
    let refused = run(&["check-reachability", "http://127.0.0.1:9/"]);
    assert_eq!(refused.status.code(), Some(1));
    let wrong = refusal(&mut sluice(&["check-reachability", "live.example.org"]));
    assert!(wrong.contains("write the relay's address like https://live.example.org/"), "{wrong}");
    relay.signal("TERM");
    assert!(relay.ended().success());
    assert!(!relay.log().contains("did not connect"), "the check is no failure of a viewer");
}

#[test]
fn clients_that_do_not_connect_cause_one_warning_that_says_what_to_check() {
    let mut command = relay(&["--advertise", "203.0.113.7"]);
    let mut relay = Running::start(&mut command);
    let post = || relay.session(&relay.post(None));
    let (sessions, quick) = ([post(), post()], post());
    assert_eq!(agent().delete(quick).call().unwrap().status(), 200);
    std::thread::sleep(Duration::from_secs(3));
    for session in sessions {
        assert_eq!(agent().delete(session).call().unwrap().status(), 200);
    }
    let (_, metrics) = relay.get("/metrics");
    for (reason, count) in [("never_connected", 2), ("abandoned", 1), ("deleted", 0)] {
        let line = format!("sluice_session_ends_total{{reason=\"{reason}\",role=\"publisher\"}} {count}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    relay.signal("TERM");
    assert_eq!(relay.ended().code(), Some(0));
    let log = relay.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("did not connect")).collect();
    let [warning] = warnings[..] else { panic!("one warning: {log}") };
    let port = relay.welcome.split("/udp").next().unwrap().rsplit(':').next().unwrap();
    for part in [
        "WARN",
        &format!("port {port} for UDP and TCP"),
        "--advertise",
        &format!("203.0.113.7:{port}"),
        "client=127.0.0.1",
    ] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
}

/// The line that deploy/README.md tells ban tools to look for.
#[test]
fn refused_clients_are_logged_for_ban_tools_and_counted_without_flooding_the_log() {
    let mut command = relay(&[]);
    command.env("SLUICE_PUBLISH_TOKEN", "good").env("SLUICE_ADMIN_TOKEN", "admin");
    let mut relay = Running::start(&mut command);
    let agent = agent();
    let ask = |path: &str, token: &str| {
        let request = agent.post(format!("{}{path}", relay.origin)).header("Content-Type", "application/sdp");
        request.header("Authorization", format!("Bearer {token}")).send("v=0").unwrap().status().as_u16()
    };
    assert_eq!((ask("/whip/cam", "guess"), ask("/whep/cam", "good")), (401, 403));
    for _ in 0..40 {
        assert_eq!(ask("/whip/cam", "guess"), 401);
    }
    let metrics = agent.get(format!("{}/metrics", relay.origin)).header("Authorization", "Bearer admin");
    let metrics = metrics.call().unwrap().body_mut().read_to_string().unwrap();
    for (route, status, count) in [("whip", 401, 41), ("whep", 403, 1), ("session", 401, 0)] {
        let line = format!("sluice_http_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    relay.signal("TERM");
    assert_eq!(relay.ended().code(), Some(0));
    let log = relay.log();
    let client = "access refused client=127.0.0.1";
    assert!(log.contains(&format!("{client} route=whip status=401 why=unknown_token stream=cam")), "{log}");
    assert!(log.contains(&format!("{client} route=whep status=403 why=other_token stream=cam")), "{log}");
    let lines = log.matches(client).count();
    assert!((5..25).contains(&lines), "{lines} lines: enough for a ban, and no more");
    assert!(!log.contains("guess"), "{log}");
}

/// What came to the socket of a service manager until now.
#[cfg(target_os = "linux")]
fn notification(socket: &std::os::unix::net::UnixDatagram) -> String {
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut datagram = [0; 4096];
    let length = loop {
        match socket.recv(&mut datagram) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            received => break received.unwrap(),
        }
    };
    String::from_utf8(datagram[..length].to_vec()).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn a_hang_up_reloads_tokens_and_log_names_what_needs_a_restart_and_ends_no_session() {
    let directory = std::env::temp_dir().join(format!("sluice-reload-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (file, socket) = (directory.join("sluice.toml"), directory.join("notify"));
    let write = |token: &str, filter: &str, workers: u8| {
        let text = format!(
            "[http]\nlisten = '127.0.0.1:0'\n[media]\nlisten = '127.0.0.1:0'\nworkers = {workers}\n\
             [auth]\npublish-token = '{token}'\n[log]\nfilter = '{filter}'\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    write("old", "info", 1);
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    let mut command = sluice(&["--config", file.to_str().unwrap()]);
    let mut relay = Running::start(command.env("NOTIFY_SOCKET", &socket));
    let ready = notification(&manager);
    assert!(ready.starts_with("READY=1\nSTATUS=serving on 127.0.0.1:"), "{ready}");
    let status = |token: &str| relay.post(Some(token)).status().as_u16();
    let reload = || {
        relay.signal("HUP");
        let (reloading, ready) = (notification(&manager), notification(&manager));
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        assert!(ready.starts_with("READY=1\n"), "{ready}");
    };
    let session = relay.session(&relay.post(Some("old")));
    assert_eq!(status("new"), 401);

    // 1. Taken up: the token and the log. Named: the workers.
    write("new", "debug", 2);
    reload();
    assert_eq!((status("old"), status("new")), (401, 201));
    // 2. The session that the old token made is still its maker's.
    let get = agent().get(&session).header("Authorization", "Bearer old").call().unwrap();
    assert_eq!(get.status(), 204);
    // 3. What makes no sense, cannot be read or would open the relay leaves everything as it was.
    for text in [Some("[auth]\npublish-token = ''\n"), Some("nonsense"), Some("[http]\n"), None] {
        match text {
            Some(text) => std::fs::write(&file, text).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        reload();
        assert_eq!((status("old"), status("new")), (401, 201));
    }
    // 4. Nothing has changed but what needs a restart.
    write("new", "debug", 2);
    reload();
    let deleted = agent().delete(&session).header("Authorization", "Bearer old").call().unwrap();
    assert_eq!(deleted.status(), 200);
    relay.signal("INT");
    let stopping = notification(&manager);
    assert!(stopping.starts_with("STOPPING=1\nSTATUS="), "{stopping}");
    assert_eq!(relay.ended().code(), Some(0));
    std::fs::remove_dir_all(&directory).unwrap();
    let log = relay.log();
    assert!(log.contains("settings reloaded: auth.publish-token, log.filter; sessions continue"), "{log}");
    assert_eq!(log.matches("need a restart: media.workers").count(), 2, "{log}");
    assert!(log.matches("settings not reloaded, nothing has changed").count() >= 3, "{log}");
    for part in ["publish-token is empty", "would open the relay", "the file does not exist"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(log.contains("DEBUG") && !log.contains("\"old\"") && !log.contains("\"new\""), "{log}");
}

#[test]
fn sighup_without_a_file_says_that_nothing_is_reloaded_and_ends_nothing() {
    let mut relay = Running::start(&mut relay(&[]));
    for _ in 0..3 {
        relay.signal("HUP");
    }
    assert_eq!(relay.get("/healthz").0, 200);
    relay.signal("HUP");
    relay.signal("TERM");
    assert_eq!(relay.ended().code(), Some(0));
    let log = relay.log();
    assert!(log.contains("nothing to reload: no configuration file is named (--config)"), "{log}");
}

/// As under `sluice 2>&1 | head`.
#[test]
fn a_relay_whose_log_is_no_longer_read_continues() {
    let mut command = relay(&["--log", "trace"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut relay = Running::start_logging(&mut command, writer);
    drop(command);
    drop(reader);
    for _ in 0..3 {
        assert_eq!(relay.post(None).status(), 201);
    }
    relay.signal("INT");
    assert_eq!(relay.ended().code(), Some(0));
}

#[test]
fn running_out_of_file_descriptors_is_logged_once_and_service_resumes() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 40; exec \"$0\" --http 127.0.0.1:0 --media 127.0.0.1:0 --workers 1"]);
    let mut relay = Running::start(command.arg(env!("CARGO_BIN_EXE_sluice")).env_clear());
    let address = relay.origin.trim_start_matches("http://").to_owned();
    let connections: Vec<_> = (0..60).map(|_| TcpStream::connect(&address).unwrap()).collect();
    // Long enough for several tries to accept the next one.
    std::thread::sleep(Duration::from_secs(1));
    drop(connections);
    assert_eq!(relay.get("/healthz").0, 200);
    relay.signal("TERM");
    assert_eq!(relay.ended().code(), Some(0));
    let log = relay.log();
    assert_eq!(log.matches("LimitNOFILE").count(), 1, "{log}");
}
