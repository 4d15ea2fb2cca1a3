use std::collections::BTreeSet;
use std::net::SocketAddr;

use clap::{Args as _, Command, FromArgMatches as _};
use proptest::prelude::*;

use super::*;

/// Settings from flags alone, because all tests share one environment.
fn given(flags: &[&str]) -> Given {
    let command = Given::augment_args(Command::new("sluice").no_binary_name(true));
    let matches = command.mut_args(|argument| argument.env(None::<&'static str>)).try_get_matches_from(flags);
    Given::from_arg_matches(&matches.unwrap()).unwrap()
}

/// Settings from a file with this text, and flags.
fn with_file(text: &str, flags: &[&str]) -> Result<Effective, ConfigError> {
    let path = std::env::temp_dir().join(format!("sluice-{}.toml", crate::name::SessionId::random()));
    std::fs::write(&path, text).unwrap();
    let effective = given(&[&["--config", path.to_str().unwrap()], flags].concat()).effective();
    std::fs::remove_file(&path).unwrap();
    effective
}

fn complaint(text: &str) -> (usize, String) {
    match with_file(text, &[]).map(|effective| effective.config()) {
        Err(ConfigError::Invalid { line, complaint, .. }) => (line, complaint),
        _ => panic!("{text:?} is accepted"),
    }
}

const FILE: &str = "
    [http]
    listen = '127.0.0.1:1'
    admin = '[::1]:3'
    allow-origin = ['https://a.example', 'https://b.example']
    rate-limit = 3
    [media]
    listen = '127.0.0.1:2'
    advertise = ['203.0.113.7']
    workers = 2
    [auth]
    publish-token = 'p'
    watch-token = 'w'
    admin-token = 'a'
    public-watch = false
    [log]
    filter = 'debug'
";

#[test]
fn the_file_has_a_section_for_each_module() {
    let config = with_file(FILE, &[]).unwrap().config().unwrap();
    assert_eq!(config.http.listen.port(), 1);
    assert_eq!(config.http.admin.map(|address| address.port()), Some(3));
    let listed = ["https://a.example", "https://b.example"].map(str::to_owned).to_vec();
    assert_eq!(config.http.origins, http::Origins::Listed(listed));
    assert_eq!(config.http.limit.map(|limit| limit.per_second.get()), Some(3));
    assert_eq!((config.worker.media.port(), config.worker.workers.get()), (2, 2));
    assert_eq!(config.worker.advertise, ["203.0.113.7".parse().unwrap()]);
    assert_eq!((config.auth.publish_token.as_deref(), config.auth.watch_token.as_deref()), (Some("p"), Some("w")));
    assert_eq!(config.auth.admin_token.as_deref(), Some("a"));
    assert!(!config.auth.public_watch);
    assert_eq!(config.log.to_string(), "debug");
}

#[test]
fn the_defaults_of_the_settings_are_those_of_the_modules() {
    let config = given(&[]).effective().unwrap().config().unwrap();
    assert_eq!(config.http, http::Config::default());
    assert_eq!(config.worker, worker::Config::default());
    assert_eq!(config.cluster, cluster::Config::default());
    assert_eq!(format!("{:?}", config.auth), format!("{:?}", auth::Config::default()));
    assert_eq!(config.log.to_string(), Config::default().log.to_string());
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let flags = ["--rate-limit", "0", "--allow-origin", "*"];
    let config = with_file(FILE, &flags).unwrap().config().unwrap();
    assert_eq!((config.http.limit, config.http.origins), (None, http::Origins::Any));
    assert_eq!(config.worker.workers.get(), 2);
    let config = with_file("[http]\nrate-limit = 5\n", &[]).unwrap().config().unwrap();
    assert_eq!(config.http.listen, SocketAddr::from(([0, 0, 0, 0], 8080)));
}

#[test]
fn pulls_and_pushes_are_tables_of_the_file_or_values_of_a_flag() {
    let text = "[[pull]]\nstream = 'a'\nurl = 'https://x.example/whep/a'\nmode = 'on-demand'\ntoken-env = 'T'\n\
        [[pull]]\nstream = 'b'\nurl = 'http://10.0.0.1/whep/b'\n[[push]]\nstream = 'c'\nurl = 'http://10.0.0.1/whip/c'\n";
    let effective = with_file(text, &[]).unwrap();
    let configured = effective.config().unwrap().legs.configured;
    let streams: Vec<String> = configured.iter().map(|leg| leg.stream.to_string()).collect();
    assert_eq!(streams, ["a", "b", "c"]);
    assert_eq!((configured[0].mode, configured[1].mode), (legs::Mode::OnDemand, legs::Mode::Always));
    let again = with_file(&effective.to_toml(), &[]).unwrap().config().unwrap().legs.configured;
    assert_eq!(again, configured, "what check-config prints is read");
    let flags = with_file(text, &["--pull", "d=http://10.0.0.1/whep/d mode=on-demand"]).unwrap().config().unwrap();
    assert_eq!(flags.legs.configured[0].stream.to_string(), "d");
    assert_eq!(flags.legs.configured.len(), 2, "flags replace the pulls of the file, and leave its pushes");
}

#[test]
fn an_error_in_the_file_is_one_sentence_with_its_line_and_without_secrets() {
    for (text, line, part) in [
        ("[http]\nhtpp = '127.0.0.1:1'\n", 2, "http.htpp is not a setting"),
        ("[http]\nlistn = '127.0.0.1:1'\n", 2, "did you mean http.listen?"),
        ("[http]\nadvertize = '127.0.0.1:1'\n", 2, "did you mean media.advertise?"),
        ("[http]\nadvertise = '127.0.0.1:1'\n", 2, "write it below [media]"),
        ("\n[htpp]\nlisten = '127.0.0.1:1'\n", 2, "did you mean [http]?"),
        ("htpp = '127.0.0.1:1'\n", 1, "did you mean http?"),
        ("http = '127.0.0.1:1'\n", 1, "write [http]"),
        ("publish-token = 'hunter2'\n", 1, "write it below [auth]"),
        ("zebra = 1\n", 1, "zebra is not a setting: sluice check-config prints all"),
        ("[http]\nlisten = 'nowhere'\n", 2, "for example 0.0.0.0:8080"),
        ("[http]\nallow-origin = ['example.org']\n", 2, "write it like https://example.org"),
        ("[http]\nallow-origin = []\n", 2, "is empty"),
        ("[http]\nrate-limit = [1, 2]\n", 2, "not an array"),
        ("[http]\n\n[http.listen]\nport = 1\n", 3, "key = value"),
        ("[http]\ntrusted-proxy = ['10.0.0.1/8']\n", 2, "10.0.0.0/8"),
        ("[http]\nice-server = ['stun.example']\n", 2, "stun:stun.example.org"),
        ("[auth]\npublic-watch = 'maybe'\n", 2, "write true or false"),
        ("[media]\nviewer-messages = 1\n", 2, "write true or false"),
        ("[auth]\npublish-token = 'hunter2\n", 2, "text in quotes"),
        ("[http]\nlisten = 127.0.0.1:8080\n", 2, "text in quotes"),
        ("{ \"http\": 1 }", 1, "write it as TOML"),
        ("[auth]\npublish-token = ['hunter2', 'hunter2']\n", 2, "not an array"),
        ("[auth]\npublish-token = '(secret)'\n", 2, "masked"),
        ("[media]\nworkers = 0\n", 2, "greater than zero"),
        ("[media]\nworkers = 'many'\n", 2, "write a whole number"),
        ("[media]\nadvertise = ['a example']\n", 2, "203.0.113.7"),
        ("[media]\nworkers = 1\nworkers = 2\n", 3, "duplicate key"),
        ("[[pull]]\nstream = 'cam'\n", 1, "needs stream"),
        ("[[pull]]\nstream = 'cam'\nurl = 'ftp://a'\n", 1, "write it like cam=https://"),
        ("[[pull]]\nstream = 'cam'\nurl = 'http://a/b'\ntoken = 'hunter2'\n", 1, "token-file=FILE"),
        ("[[push]]\nstream = 'cam'\nurl = 'http://a/b'\nmode = 'always'\n", 1, "cam=https://example.org/whip/cam"),
        ("[[push]]\nstream = 'cam'\nurl = 1\n", 1, "a text without spaces"),
        ("[[pull]]\nstream = 'a'\nurl = 'http://a/b'\n[legs]\npull = ['a=http://a/b']\n", 1, "the same setting"),
        ("[pull]\nstream = 'cam'\n", 1, "[legs]"),
    ] {
        let (at, error) = complaint(text);
        assert!(error.contains(part) && at == line, "{text:?}: line {at}: {error}");
        assert!(!error.contains('\n') && !error.contains("hunter2"), "{error}");
    }
    for (path, part) in [("/nowhere.toml", "does not exist"), ("/", "is a directory")] {
        let Err(error) = given(&["--config", path]).effective() else { panic!("{path} is read") };
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn inconsistent_settings_are_an_error_before_anything_starts() {
    for (flags, part) in [
        (vec!["--watch-token", "w"], "publish-token"),
        (vec!["--publish-token", ""], "publish-token is empty"),
        (vec!["--advertise", "0.0.0.0"], "--advertise"),
        (vec!["--advertise", "auto"], "--stun-server"),
        (vec!["--stun-server", "stun.example.org"], "auto"),
        (vec!["--log", "a=b=c=["], "log filter"),
        (vec!["--log", "verbose"], "error, warn, info, debug or trace"),
        (vec!["--admin", "127.0.0.1:8080", "--http", "127.0.0.1:8080"], "omit --admin"),
        (vec!["--ice-server", "turn:a.example"], "--turn-secret"),
        (vec!["--turn-secret", "s"], "--ice-server"),
        (vec!["--public-watch", "--publish-token", "p", "--watch-token", "w"], "remove one of the two"),
        (vec!["--allow-origin", "*,https://a.example"], "remove *"),
        (vec!["--allow-origin", "https://a.example,*"], "remove *"),
        (vec!["--domain", "a.example"], "--domain needs --state-dir"),
        (vec!["--domain", "a.example", "--tls-self-signed"], "--domain and --tls-self-signed are two certificates"),
        (vec!["--domain", "a.example", "--tls-cert", "c", "--tls-key", "k"], "--domain and --tls-cert are two"),
        (vec!["--tls-cert", "c", "--tls-key", "k", "--tls-self-signed"], "--tls-cert and --tls-self-signed are two"),
        (vec!["--acme-contact", "a@a.example"], "--acme-contact has no effect without --domain"),
        (vec!["--acme-ca", "ca.pem", "--tls-self-signed"], "--acme-ca has no effect without --domain"),
        (vec!["--acme-directory", "https://ca.example/"], "--acme-directory has no effect without --domain"),
        (vec!["--node-url", "https://node1.example"], "--node-url has no effect without --cluster"),
        (vec!["--cluster-credentials", "file"], "--cluster-credentials has no effect without --cluster"),
        (vec!["--public-url", "https://node1.example"], "--public-url has no effect without --cluster"),
        (vec!["--cluster-allow", "10.0.0.0/8"], "--cluster-allow has no effect without --cluster"),
        (
            vec!["--cluster", "nats://a", "--cluster-secret", "x", "--cluster-secret-file", "y"],
            "--cluster-secret and --cluster-secret-file are both set",
        ),
        (vec!["--cluster-ca", "file"], "--cluster-ca has no effect without --cluster"),
        (vec!["--public-port", "443"], "--public-port has no effect without HTTPS"),
        (vec!["--access-ca", "ca.pem", "--publish-token", "p"], "access-ca has no effect"),
        (vec!["--ice-tcp=false", "--media-on-http"], "so --media-on-http would have no effect"),
        (vec!["--ice-tcp=false", "--turn"], "so --turn would have no effect"),
        (vec!["--proxy-protocol"], "--trusted-proxy"),
        (vec!["--public-watch"], "--public-watch has no effect"),
        (vec!["--hsts", "86400"], "--hsts has no effect"),
        (vec!["--fast-start", "0", "--fast-start-size", "16"], "--fast-start-size"),
        (vec!["--fast-start", "20", "--fast-start-size", "0"], "--fast-start-size"),
        (vec!["--fast-start", "0", "--fast-start-total", "64"], "--fast-start-total would have no effect"),
        (vec!["--fast-start-size", "0", "--fast-start-total", "64"], "--fast-start-total would have no effect"),
    ] {
        let error = given(&flags).effective().unwrap().config().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn settings_that_only_look_contradictory_are_accepted() {
    for flags in [
        vec!["--fast-start", "0"],
        vec!["--fast-start-size", "0"],
        vec!["--fast-start", "0", "--fast-start-size", "0"],
        vec!["--fast-start", "5", "--fast-start-size", "1", "--fast-start-total", "1"],
        vec!["--public-watch=false", "--publish-token", "p", "--watch-token", "w"],
        vec!["--public-watch", "--publish-token", "p", "--admin-token", "a"],
        vec!["--public-watch", "--access-webhook", "https://id.example.org/"],
        vec!["--hsts", "86400", "--trusted-proxy", "127.0.0.1"],
        vec!["--allow-origin", "*"],
    ] {
        assert!(given(&flags).effective().unwrap().config().is_ok(), "{flags:?}");
    }
}

#[test]
fn a_relay_that_orders_its_certificate_listens_on_port_443_unless_an_address_is_set() {
    let domain = ["--domain", "A.example,b.example", "--state-dir", "/tmp"];
    let config = |more: &[&str]| given(&[&domain, more].concat()).effective().unwrap().config().unwrap();
    assert_eq!(config(&[]).http.listen.to_string(), "0.0.0.0:443");
    assert_eq!(config(&["--http", "[::]:8443"]).http.listen.to_string(), "[::]:8443");
    let mapped = config(&["--http", "0.0.0.0:8080"]).http;
    assert_eq!((mapped.listen.port(), mapped.tls.public_url().as_deref()), (8080, Some("https://a.example")));
    let other = config(&["--public-port", "8443"]).http.tls.public_url();
    assert_eq!(other.as_deref(), Some("https://a.example:8443"));
    let Some(http::CertificateSource::Acme(acme)) = config(&[]).http.tls.certificate else { panic!("no authority") };
    assert_eq!(acme.domains, ["a.example", "b.example"]);
    assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!(given(&[]).effective().unwrap().config().unwrap().http.listen.port(), 8080);
}

#[test]
fn settings_that_a_running_relay_applies_are_distinguished_from_those_that_need_a_restart() {
    let mut old = with_file(FILE, &[]).unwrap();
    let text = FILE.replace("'p'", "'q'").replace("'debug'", "'info'").replace("workers = 2", "workers = 3");
    let new = with_file(&text, &[]).unwrap();
    let changes: Vec<_> = old.changes(&new).into_iter().map(|it| (it.is_live(), it.path)).collect();
    let expected = [(false, "media.workers"), (true, "auth.publish-token"), (true, "log.filter")];
    assert_eq!(changes, expected.map(|(live, path)| (live, path.to_owned())));
    old.take_up(&new);
    let left: Vec<_> = old.changes(&new).into_iter().map(|it| it.path).collect();
    assert_eq!(left, ["media.workers"], "it is named until the relay is restarted");
    // A flag that overrides the file hides a change in the file.
    let flagged = |text: &str| with_file(text, &["--publish-token", "f"]).unwrap();
    assert!(flagged(FILE).changes(&flagged(&FILE.replace("'p'", "'q'"))).is_empty());
}

#[test]
fn the_settings_in_force_are_printed_as_a_file_with_their_origins() {
    let flags = ["--workers", "3", "--log", "info,sluice=debug"];
    let effective = with_file(FILE, &flags).unwrap();
    let text = effective.to_toml();
    for part in ["workers = 3 ", "# --workers", "# default", ".toml, line 3", "allow-origin = [\"https://a.example\", "]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("\"p\"") && text.contains("publish-token = \"(secret)\""), "{text}");

    // Except for secrets, reading the output gives the same settings.
    let (_, masked) = complaint(&text);
    assert!(masked.contains("masked"), "{masked}");
    let again = with_file(&text.replace("(secret)", "s"), &[]).unwrap();
    for ((setting, value), (_, other)) in effective.settings.iter().zip(&again.settings) {
        assert!(setting.is_secret() || value.words == other.words, "{}: {:?}", setting.path(), other.words);
    }

    let text = given(&[]).effective().unwrap().to_toml();
    assert!(text.contains("# publish-token =") && text.contains("# not set"), "{text}");
    assert!(text.contains("client-header = [\"x-forwarded-for\", \"forwarded\", \"x-real-ip\"]"), "{text}");
    assert!(with_file(&text, &[]).unwrap().config().is_ok());
}

#[test]
fn a_list_with_commas_is_the_array_of_its_values() {
    let read = |value: &str| with_file(&format!("[media]\nadvertise = {value}\n"), &[]).unwrap();
    let (one, several) = (read("'203.0.113.7,2001:db8::7'"), read("['203.0.113.7', '2001:db8::7']"));
    assert!(one.changes(&several).is_empty());
    assert!(one.to_toml().contains("advertise = [\"203.0.113.7\", \"2001:db8::7\"]"));
    assert_eq!(one.config().unwrap().worker.advertise.len(), 2);
}

#[test]
fn a_misspelt_variable_names_the_one_that_is_meant_and_is_an_error_if_that_is_a_secret() {
    let unknown = |names: &[&str]| unknown_variables(names.iter().map(|&name| name.to_owned()));
    assert!(unknown(&["PATH", "SLUICE_HTTP", "SLUICE_CONFIG", "SLUICE_PUBLISH_TOKEN"]).unwrap().is_empty());
    assert!(unknown(&["SLUICE_SERVICE_HOST", "SLUICE_PORT", "SLUICE_PORT_8080_TCP"]).unwrap().is_empty());
    assert_eq!(
        unknown(&["SLUICE_HTPP"]).unwrap(),
        ["the variable SLUICE_HTPP is not a setting: did you mean SLUICE_HTTP?"]
    );
    for secret in ["SLUICE_PUBLISH_TOKENS", "SLUICE_PUBLISH_TOKN", "SLUICE_MY_SECRET"] {
        assert!(matches!(unknown(&[secret]), Err(ConfigError::UnknownSecret(_))), "{secret}");
    }
}

/// The rules that the README states.
#[test]
fn flag_variable_and_key_of_a_setting_bear_one_name() {
    let settings = setting::all();
    for setting in &settings {
        let name = setting.flag().trim_start_matches('-').to_owned();
        assert_eq!(setting.variable(), variable(&setting.flag()));
        assert!(setting.key() == name || setting.section() == name, "{}", setting.path());
        assert!(!setting.meaning().is_empty() && !setting.meaning().contains('\n'), "{}", setting.path());
        // A switch has no secret value.
        let is_named_so = ["-token", "-secret"].iter().any(|part| setting.flag().ends_with(part));
        assert!(setting.is_secret() || !is_named_so || setting.shape() == "BOOL", "{} hides its value", setting.flag());
    }
    let mut seen = BTreeSet::new();
    assert!(settings.iter().all(|setting| seen.insert(setting.path())), "each key once");
    let sections: Vec<String> = settings.iter().map(|setting| setting.section().to_owned()).collect();
    let distinct: BTreeSet<&String> = sections.iter().collect();
    assert_eq!(sections.chunk_by(|a, b| a == b).count(), distinct.len(), "a section is in one piece: {sections:?}");
}

proptest! {
    /// Whatever the file contains, the result is settings or an error message.
    #[test]
    fn no_file_makes_it_panic(at in 0..FILE.len(), length in 0usize..40, inserted in "[-\\[\\]'\"{}=,.# \n0-9a-z*:/]{0,12}") {
        let end = (at + length).min(FILE.len());
        let text = format!("{}{inserted}{}", &FILE[..at], &FILE[end..]);
        let error = with_file(&text, &[]).and_then(|effective| effective.config());
        prop_assert!(error.is_ok() || !error.unwrap_err().to_string().contains('\n'));
    }
}
