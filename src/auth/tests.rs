use futures_util::FutureExt as _;

use super::*;

fn access(publish: Option<&str>, watch: Option<&str>, public_watch: bool) -> Access {
    let token = |token: Option<&str>| token.map(str::to_owned);
    let config = Config { publish_token: token(publish), watch_token: token(watch), public_watch, ..Config::default() };
    Access::new(&config, Arc::default()).unwrap()
}

/// What is decided without asking another server is decided at once.
fn now<T>(decided: impl Future<Output = T>) -> T {
    decided.now_or_never().unwrap()
}

fn asking(token: Option<&str>) -> Asking<'_> {
    Asking { token, address: [192, 0, 2, 1].into() }
}

fn outcome(access: &Access, token: Option<&str>, action: Action) -> Result<(), Denied> {
    now(access.grant(asking(token), action, &"cam".parse().unwrap())).map(drop)
}

#[test]
fn everything_is_open_while_nothing_is_configured() {
    let access = access(None, None, false);
    assert!(access.is_open());
    assert!(now(access.administer(asking(None))).is_ok());
    for action in [Action::Publish, Action::Watch] {
        assert_eq!(outcome(&access, None, action), Ok(()));
        assert_eq!(outcome(&access, Some("anything"), action), Ok(()));
    }
}

#[test]
fn each_token_allows_its_own_action_and_no_other() {
    let access = access(Some("p"), Some("w"), false);
    assert_eq!(outcome(&access, Some("p"), Action::Publish), Ok(()));
    assert_eq!(outcome(&access, Some("w"), Action::Watch), Ok(()));
    assert_eq!(outcome(&access, Some("w"), Action::Publish), Err(Denied::NotAllowed));
    assert_eq!(outcome(&access, Some("p"), Action::Watch), Err(Denied::NotAllowed));
    assert_eq!(outcome(&access, Some("x"), Action::Watch), Err(Denied::UnknownToken));
    assert_eq!(outcome(&access, None, Action::Publish), Err(Denied::NoToken));
}

#[test]
fn a_publish_token_alone_closes_watching() {
    let access = access(Some("p"), None, false);
    assert_eq!(outcome(&access, None, Action::Watch), Err(Denied::NoToken));
    assert_eq!(outcome(&access, Some("p"), Action::Watch), Err(Denied::NotAllowed));
    assert!(!access.lets_watch());
}

#[test]
fn public_watching_is_an_explicit_grant_and_opens_nothing_else() {
    let access = access(Some("p"), None, true);
    assert_eq!(outcome(&access, None, Action::Watch), Ok(()));
    assert_eq!(outcome(&access, Some("p"), Action::Watch), Ok(()));
    assert_eq!(outcome(&access, Some("x"), Action::Watch), Err(Denied::UnknownToken));
    assert_eq!(outcome(&access, None, Action::Publish), Err(Denied::NoToken));
}

#[test]
fn one_token_may_serve_both_actions() {
    let access = access(Some("t"), Some("t"), false);
    assert_eq!(outcome(&access, Some("t"), Action::Publish), Ok(()));
    assert_eq!(outcome(&access, Some("t"), Action::Watch), Ok(()));
}

#[test]
fn administration_needs_its_own_token_as_soon_as_there_is_any() {
    let config = |admin: Option<&str>| Config {
        publish_token: Some("p".to_owned()),
        admin_token: admin.map(str::to_owned),
        public_watch: true,
        ..Config::default()
    };
    let access = Access::new(&config(Some("a")), Arc::default()).unwrap();
    let outcome = |token: Option<&str>| now(access.administer(asking(token))).map(drop);
    assert_eq!(outcome(Some("a")), Ok(()));
    assert_eq!(outcome(Some("p")), Err(Denied::NotAllowed));
    assert_eq!(outcome(Some("x")), Err(Denied::UnknownToken));
    assert_eq!(outcome(None), Err(Denied::NoToken), "public watching opens no more than that");
    assert_eq!(self::outcome(&access, Some("a"), Action::Publish), Err(Denied::NotAllowed));

    let access = Access::new(&config(None), Arc::default()).unwrap();
    for token in [None, Some("p"), Some("x")] {
        assert_eq!(now(access.administer(asking(token))).map(drop), Err(Denied::NoAdmin));
    }
    assert!(!access.lets_administer());
}

#[test]
fn a_configuration_that_protects_or_grants_nothing_is_refused() {
    let new = |publish: Option<&str>, watch: Option<&str>| {
        let token = |token: Option<&str>| token.map(str::to_owned);
        let config = Config { publish_token: token(publish), watch_token: token(watch), ..Config::default() };
        check(&config)
    };
    assert_eq!(new(Some(""), None), Err(ConfigError::EmptyToken("publish-token")));
    assert_eq!(new(Some("p"), Some("")), Err(ConfigError::EmptyToken("watch-token")));
    assert_eq!(new(Some("a b"), None), Err(ConfigError::UnsendableToken("publish-token")));
    assert_eq!(new(None, Some("w")), Err(ConfigError::NobodyPublishes("watch-token")));
    let admin = |token: &str| {
        let config = Config { admin_token: Some(token.to_owned()), ..Config::default() };
        check(&config)
    };
    assert_eq!(admin("a"), Err(ConfigError::NobodyPublishes("admin-token")));
    assert_eq!(admin(""), Err(ConfigError::EmptyToken("admin-token")));
}

#[test]
fn credentials_compare_by_token_and_never_show_it() {
    assert_eq!(Credential::of_token("a"), Credential::of_token("a"));
    assert_ne!(Credential::of_token("a"), Credential::of_token("b"));
    assert_ne!(Credential::of_token(""), Credential::ANONYMOUS);
    let secret = || Some("hunter2".to_owned());
    let config = Config { publish_token: secret(), admin_token: secret(), ..Config::default() };
    let shown = format!("{config:?} {:?} {:?}", Credential::of_token("hunter2"), Access::new(&config, Arc::default()));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn credentials_are_replaced_while_requests_come_and_never_by_none() {
    let config = |publish: Option<&str>| Config { publish_token: publish.map(str::to_owned), ..Config::default() };
    let access = Access::new(&config(Some("old")), Arc::default()).unwrap();
    access.replace(&config(Some("new"))).unwrap();
    assert_eq!(outcome(&access, Some("old"), Action::Publish), Err(Denied::UnknownToken));
    assert_eq!(outcome(&access, Some("new"), Action::Publish), Ok(()));
    assert_eq!(access.replace(&config(None)), Err(ReplaceError::WouldOpen));
    assert_eq!(access.replace(&config(Some(""))), Err(ReplaceError::Config(ConfigError::EmptyToken("publish-token"))));
    assert_eq!(outcome(&access, Some("new"), Action::Publish), Ok(()), "nothing has changed");

    let open = Access::new(&config(None), Arc::default()).unwrap();
    open.replace(&config(None)).unwrap();
    open.replace(&config(Some("t"))).unwrap();
    assert_eq!(outcome(&open, None, Action::Publish), Err(Denied::NoToken), "an open relay may be closed");
}

#[test]
fn a_watch_token_beside_public_watching_is_refused() {
    let token = |text: &str| Some(text.to_owned());
    let config = Config { publish_token: token("p"), watch_token: token("w"), public_watch: true, ..Config::default() };
    assert_eq!(check(&config), Err(ConfigError::PublicWatchToken));
}
