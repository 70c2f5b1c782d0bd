//! A folder of plugins and the loop around them. Waits for what happens, never for a time.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mote::clock;
use mote::plugin::sandbox::Walls;
use mote::plugin::{Finished, PluginOptions, PluginReport, Plugins, Sender};
use nix::poll::{PollFd, PollTimeout, poll};

/// No plugin of these tests takes that long on the slowest machine.
const PATIENCE_MS: u64 = 60_000;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static COUNT: AtomicU64 = AtomicU64::new(0);

pub(crate) struct Bench {
    pub(crate) folder: PathBuf,
    pub(crate) options: PluginOptions,
    pub(crate) walls: Walls,
    pub(crate) plugins: Plugins,
    /// Added to the clock, so that deadlines come without a wait.
    ahead_ms: u64,
    _guard: MutexGuard<'static, ()>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mote-plugins-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        let options = PluginOptions {
            base_dir: folder.clone(),
            dir: folder.join("plugins"),
            config_dir: folder.join("config"),
            log_dir: folder.join("logs"),
            tmp_dir: folder.join("tmp"),
            timeout_ms: 30_000,
            max_concurrent: 8,
            trigger_interval_ms: 100,
            max_triggers: 5,
            trigger_timeout_ms: 20_000,
            runs_triggers: true,
            runs_actions: true,
            sender: Sender {
                agent_id: "edge-1".into(),
                tenant_id: None,
            },
            ..PluginOptions::default()
        };
        std::fs::create_dir_all(&options.dir).unwrap();
        std::fs::create_dir_all(&options.config_dir).unwrap();
        Self {
            folder,
            options,
            walls: Walls {
                enabled: true,
                ..Walls::default()
            },
            plugins: Plugins::default(),
            ahead_ms: 0,
            _guard: guard,
        }
    }

    /// Puts a plugin there: its manifest, if it has one, and its file.
    pub(crate) fn put(&self, id: &str, kind: Option<&str>, file: &str, text: &str) {
        let folder = self.options.dir.join(id);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(file);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        if let Some(kind) = kind {
            let manifest = format!(
                "plugin:\n  id: {id}\n  type: {kind}\n  runtime:\n    entry_point: {file}\n"
            );
            std::fs::write(folder.join("plugin.yaml"), manifest).unwrap();
        }
    }

    /// Adds lines to the manifest of a plugin.
    pub(crate) fn declare(&self, id: &str, lines: &str) {
        let path = self.options.dir.join(id).join("plugin.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text + lines).unwrap();
    }

    pub(crate) fn begin(&mut self) {
        self.plugins = Plugins::new(self.options.clone(), self.walls.clone(), 42);
    }

    pub(crate) fn now_ms(&self) -> u64 {
        clock::boot_ms() + self.ahead_ms
    }

    /// Lets deadlines come earlier.
    pub(crate) fn skip_ms(&mut self, ms: u64) {
        self.ahead_ms += ms;
    }

    /// One turn of the loop.
    pub(crate) fn turn(&mut self) {
        self.plugins.child_ended();
        let now_ms = self.now_ms();
        let due_ms = self.plugins.turn(now_ms);
        let mut watched = Vec::new();
        self.plugins
            .watch(&mut |fd, events| watched.push(PollFd::new(fd, events)));
        // Nobody tells this loop of an ended child.
        let for_ms = due_ms.saturating_sub(now_ms).min(10);
        poll(&mut watched, PollTimeout::try_from(for_ms).unwrap()).unwrap();
    }

    /// Turns until `found` finds something.
    #[track_caller]
    pub(crate) fn until<T>(&mut self, mut found: impl FnMut(&mut Plugins) -> Option<T>) -> T {
        let until_ms = clock::boot_ms() + PATIENCE_MS;
        loop {
            if let Some(found) = found(&mut self.plugins) {
                return found;
            }
            assert!(
                clock::boot_ms() < until_ms,
                "it never came: {}",
                self.state()
            );
            self.turn();
        }
    }

    fn state(&self) -> String {
        let mut text: String = format!("{:?}", self.plugins.report().collect::<Vec<_>>());
        text.truncate(2_000);
        format!("{text} {:?}", children())
    }

    #[track_caller]
    pub(crate) fn finished(&mut self) -> Finished {
        self.until(Plugins::take_finished)
    }

    #[track_caller]
    pub(crate) fn event(&mut self) -> String {
        let event = self.until(Plugins::take_event);
        String::from_utf8(event).unwrap()
    }

    /// Turns until the report of the only plugin is as `wanted`.
    #[track_caller]
    pub(crate) fn reported(&mut self, wanted: impl Fn(&PluginReport<'_>) -> bool) {
        self.until(|plugins| {
            let report = plugins.report().next().unwrap();
            wanted(&report).then_some(())
        });
    }

    /// The last failure of the only plugin.
    pub(crate) fn error(&self) -> String {
        let report = self.plugins.report().next().unwrap();
        report.error.unwrap_or_default().to_owned()
    }

    pub(crate) fn log(&self, id: &str) -> String {
        let path = self.options.log_dir.join(format!("{id}.log"));
        std::fs::read_to_string(path).unwrap_or_default()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Stops all; nothing may be left.
    #[track_caller]
    pub(crate) fn end(mut self) {
        let now_ms = self.now_ms();
        self.plugins.begin_stop(now_ms);
        self.until(|plugins| plugins.is_stopped().then_some(()));
        // What was handed over just now is killed, and reaped a turn later.
        self.until(|_| children().is_empty().then_some(()));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Children of this process, zombies among them.
pub(crate) fn children() -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let parent = format!("PPid:\t{}\n", std::process::id());
        if status.contains(&parent) {
            found.push(pid);
        }
    }
    found
}

/// Whether a process of that number lives.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// The number in a file, once it is there.
pub(crate) fn number_in(path: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(path).ok()?;
    text.ends_with('\n').then(|| text.trim().parse().unwrap())
}

/// A standing plugin in Python; `detect` is what it runs when asked, `data` what it answers.
pub(crate) fn python(before: &str, detect: &str) -> String {
    format!(
        r#"
import json, os, signal, subprocess, sys, time
{before}
def answer(data=None, success=True):
    print(json.dumps({{"success": success, "data": data}}), flush=True)
for line in sys.stdin:
    if not line.strip():
        break
    request = json.loads(line)
    action = request["action"]
    if action == "detect_triggers":
        data = None
{detect}
        answer(data)
    elif action == "get_health":
        answer({{"status": "healthy", "message": "fine"}})
    else:
        answer({{"action": action}})
"#
    )
}
