//! The orchestrator's side of the hub: `{prefix}/agents/v1/{id}/…`, strict about every form, for any
//! number of agents.
//!
//! Instructions are handed out one at a time, oldest first: an agent gets the same one again until it
//! says that it takes it up or reports what became of it. Everything that came is kept. A result that
//! comes again must be the same bytes. Each route can misbehave by itself.

mod forms;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::mpsc::Sender;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Answer;
use super::http::Request;
use super::json;
use super::misbehave::Misbehaviour;
use super::shared::now_ms;

/// How the orchestrator's side is to be.
#[derive(Debug, Clone)]
pub struct OrchestratorConfig {
    /// What agents must show as `Bearer`; nothing is asked for if there is none.
    pub token: Option<String>,
    /// Whether there is a place to register at.
    pub registers: bool,
    /// Whether agents are registered already.
    pub is_registered: bool,
    /// What the answer to a poll says, in seconds.
    pub next_poll_s: f64,
    /// Hand out the next instruction with the answer to a result.
    pub chains: bool,
    /// Handed out from the start, in this order.
    pub instructions: Vec<Value>,
}

impl Default for OrchestratorConfig {
    fn default() -> Self {
        Self {
            token: Some("demo-token".into()),
            registers: true,
            is_registered: false,
            next_poll_s: 5.0,
            chains: true,
            instructions: Vec::new(),
        }
    }
}

/// The kinds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// Who the agent is.
    Register,
    /// That it lives.
    Heartbeat,
    /// What is there to do?
    Poll,
    /// An instruction is taken up.
    Executing,
    /// What became of it.
    Result,
    /// What happened.
    Events,
}

/// A message that passed the checks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// What it is.
    pub route: Route,
    /// Whose it is.
    pub agent: String,
    /// The instruction that it is about, if it is.
    pub instruction: Option<String>,
    /// The body; null for a poll.
    pub body: Value,
    /// The body as it came.
    #[serde(skip)]
    pub raw: Vec<u8>,
    /// Unix milliseconds.
    pub when_ms: u64,
    /// What a good orchestrator would have answered.
    pub status: u16,
    /// It was answered like that.
    pub answered: bool,
    /// How it introduced itself.
    pub user_agent: String,
}

/// Everything that is remembered of agents.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) config: OrchestratorConfig,
    pub(super) messages: Vec<Message>,
    queue: VecDeque<Value>,
    /// Instructions that were handed out, and whether they were taken up or reported.
    known: HashMap<String, bool>,
    results: HashMap<String, Vec<u8>>,
    registered: Vec<String>,
    /// Events of these ids are said to have failed, so many times.
    pub(super) failing: BTreeMap<String, u32>,
    pub(super) standing: HashMap<Route, Misbehaviour>,
    pub(super) scripts: HashMap<Route, VecDeque<Misbehaviour>>,
    pub(super) subscribers: Vec<Sender<Message>>,
}

/// What is said to a request, and in which way.
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) conduct: Misbehaviour,
    pub(super) violation: Option<String>,
}

impl Book {
    pub(super) fn new(config: OrchestratorConfig) -> Self {
        let mut book = Self {
            queue: VecDeque::new(),
            ..Self::default()
        };
        for instruction in &config.instructions {
            book.give(instruction.clone());
        }
        book.config = config;
        book
    }

    /// Puts an instruction at the end of the queue.
    pub(super) fn give(&mut self, instruction: Value) {
        self.queue.push_back(instruction);
    }

    /// How many wait or were not answered.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Forgets that agents ever registered.
    pub(super) fn forget_agents(&mut self) {
        self.registered.clear();
    }

    /// Answers a request below `agents/v1/`, whose path continues with `rest`.
    pub(super) fn reply(&mut self, request: &Request, rest: &str) -> Reply {
        let parts: Vec<&str> = rest.split('/').collect();
        let (route, agent, instruction) = match (request.method.as_str(), &parts[..]) {
            ("POST", [agent, "register"]) => (Route::Register, *agent, None),
            ("POST", [agent, "heartbeat"]) => (Route::Heartbeat, *agent, None),
            ("GET", [agent, "instructions"]) => (Route::Poll, *agent, None),
            ("PUT", [agent, "instructions", id]) => (Route::Executing, *agent, Some(*id)),
            ("POST", [agent, "instructions", id, "result"]) => (Route::Result, *agent, Some(*id)),
            ("POST", [agent, "events"]) => (Route::Events, *agent, None),
            (method, _) => {
                let words = format!("{method} {rest} is no call of an agent");
                return refusal(404, &words, true);
            }
        };
        let conduct = self.conduct(route);
        match self.take(request, route, agent, instruction) {
            Ok((answer, message)) => {
                let answered = matches!(conduct, Misbehaviour::Normal | Misbehaviour::Delay { .. });
                let message = Message {
                    status: answer.status,
                    answered,
                    ..message
                };
                self.subscribers
                    .retain(|to| to.send(message.clone()).is_ok());
                self.messages.push(message);
                if answered {
                    self.settle(route, instruction, answer.status);
                }
                Reply {
                    answer,
                    conduct,
                    violation: None,
                }
            }
            Err((status, words, is_violation)) => refusal(status, &words, is_violation),
        }
    }

    fn conduct(&mut self, route: Route) -> Misbehaviour {
        let next = self.scripts.get_mut(&route).and_then(VecDeque::pop_front);
        let standing = || self.standing.get(&route).cloned();
        next.or_else(standing).unwrap_or_default()
    }

    /// Checks the request and finds the answer of a good orchestrator.
    fn take(
        &mut self,
        request: &Request,
        route: Route,
        agent: &str,
        instruction: Option<&str>,
    ) -> Result<(Answer, Message), (u16, String, bool)> {
        let user_agent = self.check_headers(request)?;
        let bad = |words: String| (400, words, true);
        let body = if route == Route::Poll {
            if !request.body.is_empty() {
                return Err(bad("a GET with a body".into()));
            }
            Value::Null
        } else {
            json::parse(&request.body).map_err(|error| bad(format!("not clean JSON: {error}")))?
        };
        let id = instruction.unwrap_or_default();
        let answer = match route {
            Route::Register => {
                forms::registration(&body, agent).map_err(bad)?;
                self.register(agent)
            }
            Route::Heartbeat => {
                forms::heartbeat(&body).map_err(bad)?;
                Answer::new(204, "")
            }
            Route::Poll => self.hand_out(),
            Route::Executing => {
                forms::executing(&body).map_err(bad)?;
                if self.known.contains_key(id) {
                    Answer::json(
                        200,
                        &json!({"success": true, "instruction_id": id, "updated_fields": ["status"]}),
                    )
                } else {
                    Answer::json(404, &json!({"error": "no such instruction"}))
                }
            }
            Route::Result => {
                forms::result(&body, id).map_err(bad)?;
                if !self.known.contains_key(id) {
                    return Err((
                        404,
                        format!("a result of {id}, which was never given"),
                        true,
                    ));
                }
                let first = self.results.entry(id.to_owned());
                let first = first.or_insert_with(|| request.body.clone());
                if *first != request.body {
                    return Err((409, format!("another result of {id} than before"), true));
                }
                self.acknowledge(id)
            }
            Route::Events => {
                let ids = forms::events(&body, agent).map_err(bad)?;
                self.take_events(&ids)
            }
        };
        let message = Message {
            route,
            agent: agent.to_owned(),
            instruction: instruction.map(str::to_owned),
            body,
            raw: request.body.clone(),
            when_ms: now_ms(),
            status: 0,
            answered: false,
            user_agent,
        };
        Ok((answer, message))
    }

    fn check_headers(&self, request: &Request) -> Result<String, (u16, String, bool)> {
        let header = |name: &str| match request.header(name) {
            Ok(value) => Ok(value.unwrap_or_default().to_owned()),
            Err(words) => Err((400, words, true)),
        };
        if let Some(token) = &self.config.token {
            match header("authorization")?.strip_prefix("Bearer ") {
                Some(shown) if shown == token => {}
                Some(_) => return Err((401, "this token is not known here".into(), false)),
                None => return Err((401, "authorization is not `Bearer <token>`".into(), true)),
            }
        }
        for name in ["content-type", "accept"] {
            let value = header(name)?;
            if value != "application/json" {
                let words = format!("{name} is {value:?}, not application/json");
                return Err((400, words, true));
            }
        }
        let user_agent = header("user-agent")?;
        if user_agent.is_empty() {
            return Err((400, "user-agent is missing".into(), true));
        }
        Ok(user_agent)
    }

    fn register(&mut self, agent: &str) -> Answer {
        if !self.config.registers {
            return Answer::json(404, &json!({"error": "nobody registers here"}));
        }
        let is_known = self.registered.iter().any(|known| known == agent);
        if self.config.is_registered || is_known {
            return Answer::json(409, &json!({"error": "known already"}));
        }
        self.registered.push(agent.to_owned());
        Answer::json(201, &json!({"agent_id": agent}))
    }

    /// The oldest instruction that nobody took up yet.
    fn first(&mut self) -> Value {
        let first = self.queue.front().cloned().unwrap_or(Value::Null);
        if let Some(id) = first["id"].as_str() {
            self.known.entry(id.to_owned()).or_insert(false);
        }
        first
    }

    fn hand_out(&mut self) -> Answer {
        let instruction = self.first();
        let status = if instruction.is_null() {
            "no_instructions"
        } else {
            "instruction_delivered"
        };
        Answer::json(
            200,
            &json!({
                "instruction": instruction,
                "status": status,
                "next_poll_interval": self.config.next_poll_s,
            }),
        )
    }

    fn acknowledge(&mut self, id: &str) -> Answer {
        self.take_off(id);
        let next = if self.config.chains {
            self.first()
        } else {
            Value::Null
        };
        Answer::json(
            200,
            &json!({"acknowledged": true, "next_instruction": next}),
        )
    }

    /// What an answer that arrives changes.
    fn settle(&mut self, route: Route, instruction: Option<&str>, status: u16) {
        if let (Route::Executing, Some(id), 200) = (route, instruction, status) {
            self.take_off(id);
        }
    }

    /// Somebody has it: it is not handed out again.
    fn take_off(&mut self, id: &str) {
        self.known.insert(id.to_owned(), true);
        if self.queue.front().is_some_and(|first| first["id"] == id) {
            self.queue.pop_front();
        }
    }

    fn take_events(&mut self, ids: &[String]) -> Answer {
        let mut failed = Vec::new();
        for id in ids {
            if let Some(times) = self.failing.get_mut(id).filter(|times| **times > 0) {
                *times -= 1;
                failed.push(id.clone());
            }
        }
        let processed = ids.len() - failed.len();
        Answer::json(
            200,
            &json!({"processed_events": processed, "failed_events": failed}),
        )
    }
}

fn refusal(status: u16, words: &str, is_violation: bool) -> Reply {
    Reply {
        answer: Answer::json(status, &json!({ "error": words })),
        conduct: Misbehaviour::Normal,
        violation: is_violation.then(|| format!("{status}: {words}")),
    }
}
