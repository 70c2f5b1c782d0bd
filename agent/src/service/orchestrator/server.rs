//! One call to the orchestrator, and where it stands after it.
//!
//! Backoff, the rate limit and the refusal of a key belong to the server and hold for all calls
//! (`server/aftermath.rs`); what an answer means for a message is the caller's. The answer's body is
//! kept until the next call.

mod aftermath;

use std::rc::Rc;

use http::Uri;
use mote_core::backoff::Backoff;
use mote_core::delivery::keep_ms;
use mote_core::log_line::Value;
use mote_core::outage::{Layer, Outages};
use mote_core::rate_limit::RateLimit;
use mote_core::rng::Rng;
use mote_core::wire::orchestrator::{ANSWER_BYTES, AnswerError};

use super::credential::Credential;
use super::plan::{Plan, in_orchestrators_words};
use crate::clock;
use crate::config::settings::{OrchestratorSettings, RetryBackoff};
use crate::expiry::Expiry;
use crate::log;
use crate::uplink::link::Link;
use crate::uplink::{DeliveryError, Headers, Method, Request, Uplink, UplinkSettings};

/// How requests introduce themselves if nobody says.
const USER_AGENT_USUAL: &str = concat!("Stavily-Agent/", env!("CARGO_PKG_VERSION"));
/// For connecting, TLS included.
const CONNECT_TIMEOUT_MS: u64 = 5_000;
/// How far a delay is spread either way.
const JITTER_PERMILLE: u16 = 200;

/// Where the orchestrator stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// Not called yet.
    #[default]
    Unknown,
    /// It answers.
    Answering,
    /// It does not, or not usefully.
    Away,
    /// It refuses the key.
    KeyRefused,
}

impl Standing {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "not asked yet",
            Self::Answering => "answering",
            Self::Away => "away",
            Self::KeyRefused => "refusing the key",
        }
    }
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// A 2xx, whose body is [`Server::answer`].
    Good,
    /// This status: this message is not taken as it is.
    Refused(u16),
    /// The key is refused.
    KeyRefused,
    /// Nothing that counts as an answer.
    Nothing,
    /// The agent stops.
    Stopped,
}

/// The orchestrator.
#[derive(Debug)]
pub(super) struct Server {
    base: String,
    headers: Headers,
    user_agent: String,
    uplink: Uplink,
    credential: Credential,
    limit: RateLimit,
    backoff: Backoff,
    rng: Rng,
    max_attempts: u32,
    not_before_ms: u64,
    standing: Standing,
    last_answer_ms: Option<u64>,
    outages: Outages,
    answer: Vec<u8>,
    /// Of the last answer this is the beginning only: it was too large.
    is_cut: bool,
    /// Answers with a 2xx so far.
    good_answers: u64,
    trouble: String,
    /// What is refused, so that it is said once.
    refused: Vec<(Box<str>, u16)>,
}

impl Server {
    /// Prepares calls as `settings` and `plan` say.
    pub(super) fn new(
        settings: &OrchestratorSettings,
        plan: &Plan,
        link: &Rc<Link>,
        seed: u64,
    ) -> Self {
        let credential = Credential::new(
            plan.credential.clone(),
            settings.credential_origin.clone(),
            settings.refresh_threshold_ms,
        );
        let given = settings.user_agent.as_deref();
        let user_agent = given.unwrap_or(USER_AGENT_USUAL).to_owned();
        let longest_ms = settings
            .heartbeat_interval_ms
            .max(settings.poll_interval_ms);
        let times = UplinkSettings {
            connect_timeout_ms: CONNECT_TIMEOUT_MS.min(settings.timeout_ms),
            timeout_ms: settings.timeout_ms,
            keep_ms: keep_ms(longest_ms),
            body_bytes: ANSWER_BYTES,
        };
        let (first_ms, most_ms) = delays_ms(settings);
        Self {
            base: format!("{}/agents/v1/{}", plan.base.url, plan.agent_id),
            headers: headers(&credential, &user_agent),
            user_agent,
            uplink: Uplink::new(
                Rc::clone(link),
                plan.tls.clone(),
                Rc::clone(&plan.proxies),
                times,
            ),
            credential,
            limit: RateLimit::new(
                settings.requests_per_second,
                settings.burst,
                clock::boot_ms(),
            ),
            backoff: Backoff::new(first_ms, most_ms, JITTER_PERMILLE),
            rng: Rng::new(seed),
            max_attempts: u32::try_from(settings.retry_max_attempts).unwrap_or(u32::MAX),
            not_before_ms: 0,
            standing: Standing::Unknown,
            last_answer_ms: None,
            outages: Outages::new(),
            answer: Vec::new(),
            is_cut: false,
            good_answers: 0,
            trouble: String::new(),
            refused: Vec::new(),
        }
    }

    /// Goes on where `old` stood, which called the same orchestrator. What that asked for, it asked for
    /// before the reload too; unless it was another key.
    pub(super) fn go_on_from(&mut self, old: Self, settings: &OrchestratorSettings) {
        let key = |server: &Self| {
            server
                .credential
                .secret()
                .map(|key| key.expose().to_owned())
        };
        let is_same_key = key(self) == key(&old);
        let (first_ms, most_ms) = delays_ms(settings);
        self.backoff = old.backoff.with(first_ms, most_ms, JITTER_PERMILLE);
        if is_same_key {
            (self.standing, self.not_before_ms) = (old.standing, old.not_before_ms);
            self.trouble = old.trouble;
        }
        self.last_answer_ms = old.last_answer_ms;
        self.outages = old.outages;
        self.good_answers = old.good_answers;
        self.refused = old.refused;
    }

    /// When the next call may be made.
    pub(super) fn ready_ms(&self, now_ms: u64) -> u64 {
        self.limit.ready_ms(now_ms).max(self.not_before_ms)
    }

    /// Where it stands.
    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// Failures since it last answered.
    pub(super) fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// Whether the last call did not even reach it.
    pub(super) fn is_cut_off(&self) -> bool {
        self.outages.is_unanswered()
    }

    /// Calls again within `within_ms` rather than after the whole delay.
    pub(super) fn retry_within(&mut self, now_ms: u64, within_ms: u64) {
        let at_ms = now_ms + self.rng.below(within_ms + 1);
        self.not_before_ms = self.not_before_ms.min(at_ms);
    }

    /// What its outages were like, this one and the last.
    pub(super) fn outages(&self) -> &Outages {
        &self.outages
    }

    /// Why the last call that failed did.
    pub(super) fn trouble(&self) -> &str {
        &self.trouble
    }

    /// The body of the last good answer, or the beginning of one that was too large.
    pub(super) fn answer(&self) -> &[u8] {
        &self.answer
    }

    /// Why the last good answer means nothing: what its reader says, or that it was too large.
    pub(super) fn why_unread(&self, error: AnswerError) -> String {
        if self.is_cut {
            DeliveryError::BodyTooLarge(200, ANSWER_BYTES).to_string()
        } else {
            error.to_string()
        }
    }

    /// Answers with a 2xx so far: whether there were any since some moment.
    pub(super) fn good_answers(&self) -> u64 {
        self.good_answers
    }

    /// How long calls may take from now on, at most.
    pub(super) fn be_patient_for(&mut self, patience_ms: u64) {
        self.uplink.be_patient_for(patience_ms);
    }

    /// When the token ends, if there is one that says so.
    pub(super) fn expiry(&self) -> Option<Expiry> {
        self.credential.expiry()
    }

    /// When it answered last.
    pub(super) fn last_answer_ms(&self) -> Option<u64> {
        self.last_answer_ms
    }

    /// When the next call may be made, while a failure is waited out.
    pub(super) fn retry_at_ms(&self) -> Option<u64> {
        (self.standing != Standing::Answering && self.not_before_ms > 0)
            .then_some(self.not_before_ms)
    }

    /// Calls `path` below the agent's own; an empty `body` with GET.
    pub(super) fn call(&mut self, method: Method, path: &str, body: &[u8]) -> Said {
        let now_ms = clock::boot_ms();
        if self.credential.look(now_ms, clock::trusted_ms()) {
            self.renew_headers();
        }
        let Ok(uri) = format!("{}{path}", self.base).parse::<Uri>() else {
            // A plan's URL and an id are made of characters that a URL takes.
            return Said::Nothing;
        };
        // The next call waits until there is a token; this one was due.
        let _ = self.limit.take(now_ms);
        let request = Request {
            method,
            uri: &uri,
            headers: &self.headers,
            key: None,
            body,
        };
        let sent = self.uplink.send(&request);
        let sent = sent.map(|answer| (answer.status, answer.retry_after_ms));
        self.is_cut = matches!(sent, Err(DeliveryError::BodyTooLarge(..)));
        if sent.is_ok() || self.is_cut {
            self.uplink.swap_body(&mut self.answer);
        }
        let (status, retry_after_ms) = match sent {
            Ok(answered) => answered,
            // It did answer, and its beginning may name what it is about.
            Err(DeliveryError::BodyTooLarge(status, _)) => (status, None),
            Err(DeliveryError::Stopped) => return Said::Stopped,
            Err(error) => {
                let words = in_orchestrators_words(&error.to_string());
                self.note_failure(error.layer(), error.code());
                self.failed(None, error.layer_name(), &words);
                return Said::Nothing;
            }
        };
        log::debug(
            "Orchestrator called",
            &[
                ("path", Value::Str(path)),
                ("status_code", Value::Uint(status.into())),
            ],
        );
        match status {
            200..=299 => {
                self.answered();
                self.good_answers += 1;
                self.refused.retain(|(refused, _)| **refused != *path);
                Said::Good
            }
            401 | 403 => {
                self.key_refused(status);
                Said::KeyRefused
            }
            400..=499 if !matches!(status, 408 | 429) => {
                self.answered();
                self.say_refused(path, status);
                Said::Refused(status)
            }
            _ => {
                let words = format!("it answered {status} {}", self.words());
                self.note_failure(Some(Layer::Http), status);
                self.failed(retry_after_ms, "http", &words);
                Said::Nothing
            }
        }
    }

    fn renew_headers(&mut self) {
        self.headers = headers(&self.credential, &self.user_agent);
    }
}

/// The first delay after a failure, and the longest.
fn delays_ms(settings: &OrchestratorSettings) -> (u64, u64) {
    let most_ms = match settings.retry_backoff {
        RetryBackoff::Exponential => settings.retry_max_ms,
        RetryBackoff::Constant => settings.retry_first_ms,
    };
    (settings.retry_first_ms, most_ms)
}

fn headers(credential: &Credential, user_agent: &str) -> Headers {
    let mut headers = Headers::default();
    if let Some(secret) = credential.secret() {
        // A plan holds no key that a header cannot carry, and none is read that could not.
        headers.add("Authorization", &format!("Bearer {}", secret.expose()));
    }
    headers.add("Content-Type", "application/json");
    headers.add("Accept", "application/json");
    if !headers.add("User-Agent", user_agent) {
        headers.add("User-Agent", USER_AGENT_USUAL);
    }
    headers
}
