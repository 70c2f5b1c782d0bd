//! `mote plugin list` and `mote plugin test ID`: what is installed, and one plugin run by hand.
//!
//! A test runs the plugin as the agent would, with the same walls and limits, and prints the
//! exchange. A trigger is asked once. An action is carried out only if an input is given: nobody
//! wants a service restarted by a look at a plugin. Its work folder and log are apart from those of
//! an agent that runs at the same time, and are removed afterwards.

use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use mote_core::json;

use super::harvest::Harvest;
use super::hidden::Hidden;
use super::installed::folders;
use super::manifest::{Kind, Manifest};
use super::report::State;
use super::scope::Scope;
use super::standing::Standing;
use super::{Action, Active, Finished, MAX_PLUGINS, Plugins, Status, setup};
use crate::agent::{Exit, Refusal, print, seed, start_reactor};
use crate::clock;
use crate::config::value::write_duration;
use crate::config::{self, Settings, Sources, process_environment};
use crate::log;
use crate::look::bytes;
use crate::reactor::{Interest, Reactor, Wake};

/// How often what happened is printed.
const LOOK_MS: u64 = 50;
/// Room for what a plugin with all its time may take, and the ladder after it.
const MARGIN_MS: u64 = 15_000;

/// What is to be tested.
#[derive(Debug, Default)]
pub struct Trial {
    /// The plugin's folder or id.
    pub id: String,
    /// A JSON object that an action is given.
    pub input: Option<String>,
    /// The file to run of a plugin without a manifest.
    pub entrypoint: Option<String>,
}

/// Prints what is installed, and what is wrong with it.
pub fn list(sources: &Sources) -> Result<(), Refusal> {
    let settings = load(sources)?;
    let active = active(&settings)?;
    let dir = &active.scope.options.dir;
    let mut text = format!("plugins in {}\n", dir.display());
    let mut wrong = 0;
    let (folders, are_more) = folders(dir);
    for folder in folders {
        let name = name_of(&folder);
        let described = Manifest::load(&folder).and_then(|manifest| {
            let Some(manifest) = manifest else {
                active.scope.check_allowed(&[&name])?;
                return Ok("runs once: the instruction names the file".to_owned());
            };
            active.scope.check_allowed(&[&name, &manifest.id])?;
            let words = describe(&manifest);
            Standing::new(name.clone(), folder.clone(), manifest, &active.scope)?;
            Ok(words)
        });
        let words = described.unwrap_or_else(|error| {
            wrong += 1;
            format!("does not run: {error}")
        });
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name:<24} {}", plain(&words));
    }
    if are_more {
        let _ = writeln!(
            text,
            "there are more than {MAX_PLUGINS}: the others do not run"
        );
    }
    print(&text)?;
    match wrong {
        0 => Ok(()),
        _ => Err((Exit::Config, format!("{wrong} plugins do not run"))),
    }
}

fn describe(manifest: &Manifest) -> String {
    let kind = manifest.kind.as_str();
    let (name, version, entry) = (&manifest.name, &manifest.version, &manifest.entry_point);
    format!("{kind:<8} {entry}  {name} {version}")
}

/// Runs one plugin and prints the exchange.
pub fn test(sources: &Sources, trial: &Trial) -> Result<(), Refusal> {
    let settings = load(sources)?;
    if let Some(input) = &trial.input {
        json::read(input.as_bytes(), 64 * 1024)
            .map_err(|error| (Exit::Usage, format!("--input: {error}: give a JSON object")))?;
    }
    let mut active = active(&settings)?;
    // Others may write where it is: it is made new, under a name that they cannot guess, and for the
    // way to it to be opened.
    let work = std::env::temp_dir().join(format!("mote-plugin-test-{:x}", seed()));
    let made = DirBuilder::new().mode(0o700).create(&work);
    made.map_err(|error| (Exit::Failed, format!("{}: {error}", work.display())))?;
    active.scope.options.tmp_dir.clone_from(&work);
    active.scope.options.log_dir.clone_from(&work);
    active.scope.leftovers = super::work::Leftovers::new(work.clone(), seed());
    let done = begin(&mut active, trial).and_then(|()| {
        let mut reactor = start_reactor(&settings)?;
        super::reaper::adopt();
        active
            .scope
            .open_way()
            .map_err(|words| (Exit::Permission, words))?;
        watch(active, &mut reactor, trial)
    });
    // Nothing in it is needed any more; what cannot be removed is in a folder for such things.
    let _ = std::fs::remove_dir_all(work);
    done
}

fn load(sources: &Sources) -> Result<Settings, Refusal> {
    let loaded = config::load(sources, &process_environment)
        .map_err(|error| (Exit::Config, error.to_string()))?;
    log::set_level(mote_core::log_line::Level::Error);
    Ok(loaded.settings)
}

/// Without plugins so far, and able to run both kinds.
fn active(settings: &Settings) -> Result<Active, Refusal> {
    let walls = setup::walls(settings).map_err(|words| (Exit::Config, words))?;
    let mut options = setup::options(settings);
    (options.runs_triggers, options.runs_actions) = (true, true);
    options.watch = false;
    // Asked once.
    options.trigger_interval_ms = u64::MAX / 4;
    let harvest = Harvest::new(options.sender.clone(), 1, seed());
    let leftovers = super::work::Leftovers::new("/nonexistent".into(), 0);
    let scope = Scope {
        options,
        walls,
        leftovers,
    };
    Ok(Active::new(scope, harvest))
}

/// Finds the plugin and prints what it is.
fn begin(active: &mut Active, trial: &Trial) -> Result<(), Refusal> {
    let wrong = |error: super::PluginError| (Exit::Config, error.to_string());
    let dir = active.scope.options.dir.clone();
    let mut text = String::new();
    for folder in folders(&dir).0 {
        let name = name_of(&folder);
        let manifest = match Manifest::load(&folder) {
            Ok(manifest) => manifest,
            Err(error) if name == trial.id => return Err(wrong(error)),
            Err(_) => continue,
        };
        let id = manifest.as_ref().map(|manifest| manifest.id.as_str());
        if name != trial.id && id != Some(trial.id.as_str()) {
            continue;
        }
        let _ = writeln!(text, "folder         {}", folder.display());
        if let Some(manifest) = manifest {
            let _ = writeln!(text, "plugin         {}", plain(&describe(&manifest)));
            limits(&mut text, active, &manifest);
            active
                .scope
                .check_allowed(&[&name, &manifest.id])
                .map_err(wrong)?;
            let mut plugin = Standing::new(name, folder, manifest, &active.scope).map_err(wrong)?;
            plugin.transcript = Some(Vec::new());
            plugin.is_wanted = true;
            active.standing.push(plugin);
        }
        for (wall, words) in active.scope.walls.describe() {
            let _ = writeln!(text, "{wall:<14} {words}");
        }
        return print(&text);
    }
    let place = dir.display();
    let words = format!("no plugin {:?} in {place}: see mote plugin list", trial.id);
    Err((Exit::Config, words))
}

fn limits(text: &mut String, active: &Active, manifest: &Manifest) {
    let scope = &active.scope;
    let call_ms = scope.call_ms(manifest.execution_ms);
    let memory_bytes = scope.max_memory_bytes(manifest.memory_bytes);
    let cpu = match scope.max_cpu_ms(manifest.cpu_permille, call_ms) {
        0 => "any".to_owned(),
        ms => format!("{} a call", write_duration(ms)),
    };
    let memory = bytes(memory_bytes);
    let _ = writeln!(
        text,
        "memory         at most {memory}, looked at each second"
    );
    let _ = writeln!(text, "CPU            {cpu}, looked at each second");
    let _ = writeln!(text, "time           {} a call", write_duration(call_ms));
}

/// How far a test is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is asked for what it is there for.
    Work,
    /// It is asked how it is.
    Health,
    /// It is told to end.
    End,
}

/// Lets it run and prints what happens.
fn watch(active: Active, reactor: &mut Reactor, trial: &Trial) -> Result<(), Refusal> {
    let timeout_ms = active.scope.options.timeout_ms;
    let kind = active.standing.first().map(|plugin| plugin.manifest.kind);
    if kind.is_none() && trial.entrypoint.is_none() {
        let file = super::manifest::FILE;
        let words = format!("it has no {file}: name the file to run, with --entrypoint FILE");
        return Err((Exit::Usage, words));
    }
    reactor.plugins = Plugins(Some(Box::new(active)));
    let begun_ms = clock::boot_ms();
    if kind.is_none() || kind == Some(Kind::Action) && trial.input.is_some() {
        let action = Action {
            id: "by-hand",
            plugin_id: &trial.id,
            entrypoint: trial.entrypoint.as_deref(),
            timeout_ms,
            input_data: trial.input.as_deref(),
            ..Action::default()
        };
        let started = reactor.plugins.start_action(&action, begun_ms);
        started.map_err(|error| (Exit::Config, error.to_string()))?;
    }
    let limit_ms = timeout_ms.saturating_mul(4).saturating_add(MARGIN_MS);
    let until_ms = begun_ms.saturating_add(limit_ms);
    let mut stage = Stage::Work;
    let mut fault = None;
    let mut is_done = false;
    while stage != Stage::End || !reactor.plugins.is_stopped() {
        let now_ms = clock::boot_ms();
        let wake = reactor.wait(Interest::Sample, now_ms.saturating_add(LOOK_MS));
        let Some(active) = &mut reactor.plugins.0 else {
            break;
        };
        if wake == Wake::Stop {
            for live in active.lives_mut() {
                live.process.kill(now_ms);
            }
            return Err((Exit::Failed, "stopped by a signal".to_owned()));
        }
        let mut text = news(active, &mut fault, &mut is_done);
        let is_late = now_ms >= until_ms;
        let next = match active.standing.first_mut() {
            _ if is_late || fault.is_some() => Stage::End,
            // A process of its own is gone when it is done.
            None if is_done => Stage::End,
            Some(plugin) if stage == Stage::Work && plugin.state() == State::Running => {
                let is_asked = match plugin.manifest.kind {
                    Kind::Trigger => plugin.tally.runs > 0 && !plugin.is_detecting(),
                    Kind::Action => is_done || trial.input.is_none(),
                };
                if is_asked { Stage::Health } else { stage }
            }
            Some(plugin) if stage == Stage::Health && plugin.health.is_some() => Stage::End,
            _ => stage,
        };
        if next != stage {
            stage = next;
            match (stage, active.standing.first_mut()) {
                (Stage::Health, Some(plugin)) => plugin.ask_health_now(now_ms),
                (Stage::End, _) => {
                    usage(&mut text, active, now_ms);
                    reactor.plugins.begin_stop(now_ms);
                }
                _ => {}
            }
        }
        print(&text)?;
    }
    match fault {
        Some(words) => Err((Exit::Failed, words)),
        None => print("good\n"),
    }
}

fn usage(text: &mut String, active: &mut Active, now_ms: u64) {
    active.look(now_ms);
    if let Some(live) = active.lives().next() {
        let used = live.process.usage;
        let _ = writeln!(
            text,
            "uses {} of memory, {} ms of CPU so far",
            bytes(used.rss_bytes),
            used.cpu_ms
        );
    }
}

/// What happened since the last look.
fn news(active: &mut Active, fault: &mut Option<String>, is_done: &mut bool) -> String {
    let mut text = String::new();
    let plugin = active.standing.first();
    let hidden = plugin.map_or_else(Hidden::default, |plugin| plugin.hidden.clone());
    if let Some(plugin) = active.standing.first_mut() {
        for (mark, line) in plugin
            .transcript
            .iter_mut()
            .flat_map(|lines| lines.drain(..))
        {
            let line = shown(&hidden, &String::from_utf8_lossy(&line));
            let _ = writeln!(text, "{mark} {line}");
        }
        let live = plugin.live.as_mut();
        let words = live.map(|live| live.words.take_recent());
        for line in words.unwrap_or_default() {
            let _ = writeln!(text, "! {}", shown(&hidden, &line));
        }
        if let Some(words) = plugin.fault() {
            *fault = Some(words.to_owned());
        }
    }
    while let Some(event) = active.harvest.next_event() {
        let event = shown(&hidden, &String::from_utf8_lossy(&event));
        let _ = writeln!(text, "event {event}");
    }
    while let Some(finished) = active.harvest.finished.pop_front() {
        *is_done = true;
        let failed = describe_result(&mut text, &finished, &hidden);
        *fault = fault.take().or(failed);
    }
    text
}

fn describe_result(text: &mut String, finished: &Finished, hidden: &Hidden) -> Option<String> {
    for line in &finished.logs {
        let _ = writeln!(text, "! {}", shown(hidden, line));
    }
    let _ = writeln!(text, "output {}", shown(hidden, &finished.output));
    let _ = writeln!(text, "took {} ms", finished.duration_ms);
    let words = || hidden.mask(finished.error.as_deref().unwrap_or_default());
    (finished.status != Status::Completed).then(words)
}

fn name_of(folder: &Path) -> String {
    folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Without what is secret, and as [`plain`].
fn shown(hidden: &Hidden, text: &str) -> String {
    plain(&hidden.mask(text))
}

/// Without what could deceive whoever reads it on a terminal.
fn plain(text: &str) -> String {
    let mut escaped = Vec::new();
    super::quote::escape(&mut escaped, text);
    // The quotes of JSON are what one wants to read.
    String::from_utf8_lossy(&escaped)
        .replace("\\\"", "\"")
        .replace("\\\\", "\\")
}
