//! A server of the operator that decides about tokens which the relay does not know itself.
//!
//! The rule: it fails closed. A server that is down, slow, or answers anything but what is asked for, lets nobody in. At
//! most [`CALLS`] questions are open at a time, and the same question is not asked again for some seconds.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tracing::warn;

use super::credential::Credential;
use super::denied::Denied;
use super::fetch::{Fetched, Fetcher, Request};
use super::holder::{Allowed, Holder, Source};
use super::jwt::ClaimedLimits;
use super::pattern::StreamPattern;
use super::scope::{Action, Scope};
use super::secret::Secret;
use crate::log::OnceAMinute;
use crate::name::StreamName;

/// Questions at a time; further ones wait, within [`DEADLINE`].
const CALLS: usize = 32;

/// How long an answer may take, waiting included.
const DEADLINE: Duration = Duration::from_secs(2);

/// With less time left than this a question is not asked any more.
const LEAST: Duration = Duration::from_millis(100);

/// The largest answer, in octets.
const LARGEST: u64 = 16 * 1024;

/// How long a token that was allowed is not asked about again.
const ALLOWED: Duration = Duration::from_secs(10);

/// How long a token that was refused is not asked about again.
const REFUSED: Duration = Duration::from_secs(5);

/// How long before the end that an answer names the server is asked again, and the shortest time between two questions
/// about one running session.
const MARGIN: Duration = Duration::from_secs(5);

/// Answers that are kept; when full all of them are forgotten.
const CAPACITY: usize = 10_000;

/// The longest name that an answer may give a holder, in bytes: it is logged and shown by the API.
const MAX_SUBJECT: usize = 256;

/// The server, and what it has answered lately.
#[derive(Debug)]
pub(super) struct Webhook {
    url: String,
    secret: Option<Secret>,
    /// How long after an answer it is asked again about a running session.
    again: Duration,
    calls: Arc<Semaphore>,
    answers: Mutex<HashMap<Key, (Decision, Instant)>>,
    warning: Mutex<OnceAMinute>,
}

/// What is asked. Not `Debug`: it holds a token.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) token: &'a str,
    pub(super) action: Action,
    /// `None` for administration.
    pub(super) stream: Option<&'a StreamName>,
    pub(super) client: IpAddr,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key(Credential, Action, Option<StreamName>);

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed(Box<Holder>),
    Refused,
}

/// The text of a question.
#[derive(Serialize)]
struct Asked<'a> {
    token: &'a str,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    client: IpAddr,
}

/// The text of an answer. Other members are ignored, and so is all else if it is not allowed.
#[derive(Deserialize)]
struct Answer {
    allow: bool,
    subject: Option<String>,
    expires_in: Option<NonZeroU32>,
    #[serde(flatten)]
    limits: ClaimedLimits,
}

/// What came of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was answered a moment ago.
    Known(Decision),
    /// It is answered now.
    Asked(Decision),
    /// The server gave no usable answer.
    Failed,
}

impl Webhook {
    pub(super) fn new(url: String, secret: Option<String>, again: Duration) -> Self {
        let calls = Arc::new(Semaphore::new(CALLS));
        let secret = secret.map(Secret::new);
        Self { url, secret, again, calls, answers: Mutex::default(), warning: Mutex::default() }
    }

    /// How long to wait after a question about a running session that the server did not answer.
    pub(super) fn retry_after(&self) -> Duration {
        self.again.min(MARGIN)
    }

    /// Whether it asks this server with this secret.
    pub(super) fn is(&self, url: &str, secret: Option<&str>) -> bool {
        self.url == url && self.secret.as_ref().map(Secret::as_str) == secret
    }

    /// Asks the server, or finds what it has answered to the same question, but no permission that is as old as
    /// `answered`.
    pub(super) async fn decide(&self, fetcher: &Fetcher, question: Question<'_>, answered: Option<Instant>) -> Outcome {
        let key = Key(Credential::of_token(question.token), question.action, question.stream.cloned());
        let known = || self.known(&key, Instant::now()).filter(|decision| !decision.is_as_old_as(answered));
        if let Some(known) = known() {
            return Outcome::Known(known);
        }
        let began = Instant::now();
        let permit = tokio::time::timeout(DEADLINE - LEAST, Arc::clone(&self.calls).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            self.warn(&format!("{CALLS} questions are open already"));
            return Outcome::Failed;
        };
        // While this one waited, the answer may have come to another request with the same token.
        if let Some(known) = known() {
            return Outcome::Known(known);
        }
        let asked = Asked {
            token: question.token,
            action: question.action.as_str(),
            stream: question.stream.map(StreamName::as_str),
            client: question.client,
        };
        let body = serde_json::to_vec(&asked).expect("texts and an address are JSON");
        let request = Request::post(&self.url, body, self.secret.as_ref().map(Secret::as_str));
        let left = DEADLINE.saturating_sub(began.elapsed()).max(LEAST);
        let answered = fetcher.fetch(request.holding(permit), LARGEST, left).await;
        let decision =
            answered.map_err(|error| error.to_string()).and_then(|answer| read(&answer, question, self.again));
        match decision {
            Ok(decision) => {
                self.keep(key, decision.clone(), Instant::now());
                Outcome::Asked(decision)
            }
            Err(reason) => {
                self.warn(&reason);
                Outcome::Failed
            }
        }
    }

    fn known(&self, key: &Key, now: Instant) -> Option<Decision> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (decision, until) = answers.get(key)?;
        (now < *until).then(|| decision.clone())
    }

    fn keep(&self, key: Key, decision: Decision, now: Instant) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= CAPACITY {
            answers.retain(|_, (_, until)| now < *until);
        }
        if answers.len() >= CAPACITY {
            answers.clear();
        }
        let time = match &decision {
            Decision::Refused => REFUSED,
            Decision::Allowed(holder) => holder
                .expires
                .map_or(ALLOWED, |expires| ALLOWED.min(expires.duration_since(SystemTime::now()).unwrap_or_default())),
        };
        answers.insert(key, (decision, now + time));
    }

    fn warn(&self, reason: &str) {
        let mut warning = self.warning.lock().unwrap_or_else(PoisonError::into_inner);
        if warning.due(Instant::now()).is_some() {
            warn!(url = self.url, "the webhook decides nothing, so clients are refused: {reason}");
        }
    }
}

/// Reads an answer; the question is asked again after `again`, or before the end that the answer names. The error is a
/// sentence.
fn read(answer: &Fetched, question: Question<'_>, again: Duration) -> Result<Decision, String> {
    match answer.status {
        200 => {}
        401 | 403 | 404 => return Ok(Decision::Refused),
        status => return Err(format!("the server answered {status}")),
    }
    let answer: Answer = serde_json::from_slice(&answer.body).map_err(|_| {
        "the answer is not a JSON object with \"allow\": true or false, and limits and expires_in above 0".to_owned()
    })?;
    if !answer.allow {
        return Ok(Decision::Refused);
    }
    if answer.subject.as_ref().is_some_and(|subject| !(1..=MAX_SUBJECT).contains(&subject.len())) {
        return Err(format!("the \"subject\" of the answer must have 1 to {MAX_SUBJECT} bytes"));
    }
    // It has decided about this stream alone.
    let streams = question.stream.map(StreamPattern::of_one).into_iter().collect();
    let scope = Scope { actions: vec![question.action], streams, limits: answer.limits.into() };
    let credential = match &answer.subject {
        Some(subject) => Credential::of_holder(question.token, &["webhook", subject, &scope.to_string()]),
        None => Credential::of_token(question.token),
    };
    let lasts = answer.expires_in.map(|seconds| Duration::from_secs(seconds.get().into()));
    let ask_after = lasts.map_or(again, |lasts| lasts.saturating_sub(MARGIN).clamp(again.min(MARGIN), again));
    let answered = Instant::now();
    let allowed = Allowed {
        token: Secret::new(question.token),
        action: question.action,
        stream: question.stream.cloned(),
        client: question.client,
        answered,
        ask_again: answered + ask_after,
    };
    let expires = lasts.map(|lasts| SystemTime::now() + lasts);
    let holder = Holder::of_static(credential, vec![scope], answer.subject.map(Into::into));
    Ok(Decision::Allowed(Box::new(Holder { source: Source::Webhook(Arc::new(allowed)), expires, ..holder })))
}

impl Decision {
    /// Whether it is a permission that was given at this time or before.
    fn is_as_old_as(&self, answered: Option<Instant>) -> bool {
        let (Self::Allowed(holder), Some(answered)) = (self, answered) else { return false };
        matches!(&holder.source, Source::Webhook(allowed) if allowed.answered <= answered)
    }

    /// The holder, if the token is allowed what was asked.
    pub(super) fn into_holder(self) -> Result<Holder, Denied> {
        match self {
            Self::Allowed(holder) => Ok(*holder),
            Self::Refused => Err(Denied::Refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(status: u16, body: &str) -> Result<Decision, String> {
        let stream = "cam".parse().unwrap();
        let client = [192, 0, 2, 1].into();
        let question = Question { token: "t", action: Action::Watch, stream: Some(&stream), client };
        read(&Fetched { status, body: body.as_bytes().to_vec() }, question, Duration::from_secs(60))
    }

    #[test]
    fn only_a_clear_answer_decides() {
        let Ok(Decision::Allowed(holder)) = decision(200, r#"{"allow": true, "max_viewers": 2, "more": []}"#) else {
            panic!("that is an answer")
        };
        assert_eq!(holder.scopes[0].limits.max_viewers, Some(2));
        assert!(holder.scope(Action::Watch, &"cam".parse().unwrap()).is_some());
        assert!(holder.scope(Action::Watch, &"cam2".parse().unwrap()).is_none(), "another stream was not asked for");
        assert!(holder.scope(Action::Publish, &"cam".parse().unwrap()).is_none());
        for (status, body) in [(200, r#"{"allow": false, "max_viewers": 2}"#), (401, ""), (403, "<html>"), (404, "")] {
            assert_eq!(decision(status, body), Ok(Decision::Refused), "{status} {body}");
        }
        for (status, body) in [
            (200, ""),
            (200, "true"),
            (200, "{}"),
            (200, r#"{"allow": "true"}"#),
            (200, r#"{"allow": 1}"#),
            (200, r#"{"allow": true, "max_viewers": 0}"#),
            (200, r#"{"allow": true, "max_layer": -1}"#),
            (200, r#"{"allow": true, "expires_in": 0}"#),
            (200, r#"{"allow": true, "subject": ""}"#),
            (200, r#"{"allow": true} {"allow": false}"#),
            (201, r#"{"allow": true}"#),
            (302, ""),
            (500, r#"{"allow": true}"#),
        ] {
            assert!(decision(status, body).is_err(), "{status} {body}");
        }
    }

    #[test]
    fn a_running_session_is_asked_about_once_a_minute_or_before_its_permission_ends() {
        for (expires_in, seconds) in [(None, 60), (Some(3600), 60), (Some(64), 59), (Some(20), 15), (Some(1), 5)] {
            let body = serde_json::json!({"allow": true, "expires_in": expires_in}).to_string();
            let Ok(Decision::Allowed(holder)) = decision(200, &body) else { panic!("{body} is an answer") };
            let Source::Webhook(allowed) = &holder.source else { panic!("{holder:?} is of a webhook") };
            assert_eq!(allowed.ask_again - allowed.answered, Duration::from_secs(seconds), "{body}");
        }
    }

    #[test]
    fn answers_are_kept_for_a_short_time_and_in_bounded_number() {
        let webhook = Webhook::new("https://id.example.org/".to_owned(), None, Duration::from_secs(60));
        let key = |number: usize| Key(Credential::of_token(&number.to_string()), Action::Watch, None);
        let (refused, start) = (Decision::Refused, Instant::now());
        let allowed = Decision::Allowed(Box::new(Holder::of_static(Credential::of_token("t"), vec![], None)));
        webhook.keep(key(0), refused.clone(), start);
        webhook.keep(key(1), allowed, start);
        for (seconds, known) in [(4, [true, true]), (6, [false, true]), (11, [false, false])] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!([key(0), key(1)].map(|key| webhook.known(&key, now).is_some()), known, "after {seconds} s");
        }
        for number in 0..3 * CAPACITY {
            webhook.keep(key(number), refused.clone(), start);
        }
        assert!(webhook.answers.lock().unwrap().len() <= CAPACITY);
    }
}
