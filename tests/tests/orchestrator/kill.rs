//! SIGKILL at random moments while instructions are carried out (P1, X4): no attempt runs twice, each
//! instruction gets a final result that is acknowledged, and whatever comes again is the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use mote_core::rng::Rng;
use mote_tests::agent::Signal;
use mote_tests::hub::{Message, OrchestratorConfig, Route};
use serde_json::{Value, json};

use crate::{LONG, builder, end, forget_pace, hub_with, orchestrator};

const KILLS: u64 = 200;
/// So many of the last are given once more at the end.
const ASKED_AGAIN: u64 = 20;
/// For all that is to come after the last kill.
const PATIENCE: Duration = Duration::from_mins(2);
/// The longest that an agent lives here; an instruction takes a tenth of it.
const LIFE_MS: u64 = 400;

/// Notes its instruction as it begins and as it ends.
const RUN: &str = r#"#!/bin/sh
echo "$1" >> "$(dirname "$0")/../../../begun"
echo '{}'
"#;

fn id(number: u64) -> String {
    format!("i-{number}")
}

fn instruction(number: u64) -> Value {
    let id = id(number);
    json!({
        "id": id, "agent_id": "agent-1", "plugin_id": "once",
        "plugin_configuration": {"entrypoint": "run.sh", "arguments": [id]},
        "timeout_seconds": 20, "max_retries": 2,
    })
}

/// What the hub heard.
#[derive(Default)]
struct Books {
    taken_up: BTreeSet<String>,
    /// The first result of each, and how many were acknowledged.
    results: BTreeMap<String, (Message, u32)>,
    repeats: u32,
}

impl Books {
    /// Reads on until they are as wanted.
    fn read(&mut self, heard: &Receiver<Message>, ready: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !ready(self) {
            let left = until.saturating_duration_since(Instant::now());
            let message = heard.recv_timeout(left).unwrap();
            let Some(id) = message.instruction.clone() else {
                continue;
            };
            match message.route {
                Route::Executing => drop(self.taken_up.insert(id)),
                Route::Result => self.take_result(id, message),
                _ => {}
            }
        }
    }

    fn take_result(&mut self, id: String, message: Message) {
        let acknowledged = u32::from(message.answered);
        if let Some((first, count)) = self.results.get_mut(&id) {
            assert!(first.raw == message.raw, "{id} was reported in other bytes");
            *count += acknowledged;
            self.repeats += 1;
        } else {
            let status = message.body["status"].as_str().unwrap();
            assert!(
                ["completed", "failed", "timeout"].contains(&status),
                "{id}: {status}"
            );
            self.results.insert(id, (message, acknowledged));
        }
    }

    fn acknowledged(&self, id: &str) -> u32 {
        self.results.get(id).map_or(0, |(_, count)| *count)
    }

    /// Of which the first result says this.
    fn those(&self, name: &str, words: &str) -> BTreeSet<&str> {
        let say = |(_, (first, _)): &(&String, &(Message, u32))| first.body[name] == words;
        let those = self.results.iter().filter(say);
        those.map(|(id, _)| id.as_str()).collect()
    }
}

#[test]
fn p1_x4_no_kill_makes_an_attempt_run_twice_or_a_result_go_missing() {
    let seed = std::env::var("SEED").map_or(20_251_123, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut rng = Rng::new(seed);
    let hub = hub_with(OrchestratorConfig {
        chains: true,
        ..orchestrator()
    });
    let heard = hub.subscribe_to_messages();
    let builder = builder(&hub, "action").env("MOTE_AGENT_MAX_CONCURRENT_TASKS", "3");
    builder.plugin_file("once", "run.sh", RUN).unwrap();
    let mut given = 0_u64;
    for _ in 0..KILLS {
        // There is always something to do.
        while hub.instructions_waiting() < 4 {
            hub.give(instruction(given));
            given += 1;
        }
        let mut agent = builder.start().unwrap();
        let life = Duration::from_millis(rng.below(LIFE_MS));
        // It ends sooner only if the agent does, which it must not.
        let ended = agent.wait_exit(life);
        assert!(ended.is_err(), "the agent ended by itself: {ended:?}");
        agent.signal(Signal::SIGKILL).unwrap();
        agent.wait_exit(LONG).unwrap();
        forget_pace(&builder);
    }
    let agent = builder.start().unwrap();
    let mut books = Books::default();
    books.read(&heard, |books| {
        (0..given).all(|number| books.acknowledged(&id(number)) > 0)
    });
    for taken_up in &books.taken_up {
        assert!(
            books.acknowledged(taken_up) > 0,
            "{taken_up} was never reported"
        );
    }
    // Asked again, it says the same again.
    let again: Vec<(String, u32)> = (given - ASKED_AGAIN..given)
        .map(|number| (id(number), books.acknowledged(&id(number))))
        .collect();
    for number in given - ASKED_AGAIN..given {
        hub.give(instruction(number));
    }
    books.read(&heard, |books| {
        assert_eq!(hub.violations(), Vec::<String>::new());
        again
            .iter()
            .all(|(id, before)| books.acknowledged(id) > *before)
    });
    // Another result than before is a violation, too.
    end(&hub, agent);

    let begun = std::fs::read_to_string(builder.base_dir().join("begun")).unwrap_or_default();
    let mut runs: BTreeMap<&str, u32> = BTreeMap::new();
    for id in begun.lines() {
        *runs.entry(id).or_default() += 1;
    }
    let twice: Vec<_> = runs.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "ran more than once: {twice:?}");
    for id in books.those("status", "completed") {
        assert!(runs.contains_key(id), "{id} never ran");
    }
    // Had the kills cut nothing off, this would show nothing.
    let interrupted = books.those("error_message", "interrupted: may or may not have run");
    assert!(!interrupted.is_empty(), "no kill interrupted anything");
    // Those that were asked for again; and at a kill one result at a time is on its way.
    let repeats = ASKED_AGAIN..=ASKED_AGAIN + KILLS;
    assert!(
        repeats.contains(&books.repeats.into()),
        "{} repeats",
        books.repeats
    );
    println!(
        "{given} instructions, {} ran, {} interrupted, {} results came again",
        runs.len(),
        interrupted.len(),
        books.repeats
    );
}
