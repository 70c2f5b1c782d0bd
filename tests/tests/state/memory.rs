//! No more memory: the kernel gives the agent none, or takes its life for it.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::*;

/// Processes that share so much memory. Goes with the test, once nobody is in it.
struct MemoryGroup {
    folder: PathBuf,
    events: &'static str,
}

impl MemoryGroup {
    /// `None` where none can be made.
    fn of(bytes: u64) -> Option<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let is_first = root.join("memory/cgroup.procs").exists();
        let (root, limit, events) = if is_first {
            (
                root.join("memory"),
                "memory.limit_in_bytes",
                "memory.oom_control",
            )
        } else {
            // Where it is given on already, or may not be, the next step tells.
            fs::write(root.join("cgroup.subtree_control"), "+memory").ok();
            (root.to_owned(), "memory.max", "memory.events")
        };
        let folder = root.join(format!("mote-p2-{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let group = Self { folder, events };
        // Nothing is to be put aside on a disk instead.
        for swap in ["memory.swappiness", "memory.swap.max"].map(|name| group.folder.join(name)) {
            if swap.exists() {
                fs::write(swap, "0").ok()?;
            }
        }
        fs::write(group.folder.join(limit), bytes.to_string()).ok()?;
        Some(group)
    }

    /// The file that takes a process in.
    fn members(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// How often the kernel ended a process of it for its memory.
    fn kills(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join(self.events)).unwrap();
        let kills = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        kills.unwrap().parse().unwrap()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        fs::remove_dir(&self.folder).ok();
    }
}

/// Ten samples saved, then an agent that has all that it will ever get.
fn starved() -> (Hub, AgentBuilder, AgentUnderTest) {
    let hub = hub_away();
    let builder = hurried(&hub);
    let mut agent = builder.start().unwrap();
    wait_for_held(&agent, 10);
    stop(&mut agent);
    let agent = builder.start().unwrap();
    wait_for_held(&agent, 12);
    // Less than it has already, so every wish for more is refused from here on.
    let pid = agent.pid().to_string();
    let prlimit = Command::new("prlimit")
        .args(["--as=4096", "--pid", &pid])
        .status();
    assert!(prlimit.unwrap().success());
    (hub, builder, agent)
}

#[test]
fn p2_without_more_memory_it_goes_on_or_ends_at_once_and_starts_again_with_what_was_saved() {
    if left_out("what the agent holds in memory") {
        return;
    }
    let (hub, builder, mut agent) = starved();
    hub.misbehave(Misbehaviour::Normal);
    // A connection takes memory: it is made of what there is, or it is the end.
    let end = poll_until("a delivery or the end", LONG, || {
        if hub.stats().delivered > 20 {
            return Some("it delivers");
        }
        (!agent.is_running()).then_some("it ended")
    });
    if end.unwrap() == "it ended" {
        // And until its last words were read.
        agent.wait_exit(LONG).unwrap();
        let words = agent.stderr().join("\n") + &agent.log().last().unwrap().text;
        assert!(words.contains("memory"), "{words}");
    }
    agent.signal(Signal::SIGKILL).ok();
    agent.wait_exit(LONG).unwrap();
    forget_pace(&builder);
    let mut agent = builder.start().unwrap();
    wait_for_all(&hub, &names(1, 1..=10));
    stop(&mut agent);
}

#[test]
fn p2_killed_for_its_memory_it_starts_again_with_what_was_saved() {
    let name = "p2_killed_for_its_memory_it_starts_again_with_what_was_saved";
    if left_out("what the agent holds in memory") {
        return;
    }
    let Some(group) = MemoryGroup::of(20 << 20) else {
        eprintln!("SKIPPED {name}: needs root and the memory controller of cgroups");
        return;
    };
    let hub = hub_away();
    let builder = hurried(&hub);
    let mut agent = builder.start().unwrap();
    wait_for_held(&agent, 10);
    let saved = wait_for_save(&builder, 0);
    wait_for_save(&builder, saved);
    // Of those who share what there is, the agent is the one that the kernel will end first.
    fs::write(format!("/proc/{}/oom_score_adj", agent.pid()), "1000").unwrap();
    fs::write(group.members(), agent.pid().to_string()).unwrap();
    // What another takes is a file in memory: that counts for all, and makes him no larger himself.
    let file = tempfile::tempfile_in("/dev/shm").unwrap();
    let members = group.members().display().to_string();
    let script = format!("echo $$ >{members} && exec head -c 67108864 /dev/zero");
    let mut hog = Command::new("sh")
        .args(["-c", &script])
        .stdout(file)
        .spawn()
        .unwrap();
    let status = agent.wait_exit(LONG).unwrap();
    assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{status}");
    hog.kill().ok();
    hog.wait().unwrap();
    assert!(group.kills() > 0, "somebody else killed it");
    hub.misbehave(Misbehaviour::Normal);
    let mut agent = builder.start().unwrap();
    wait_for_all(&hub, &names(1, 1..=10));
    stop(&mut agent);
}
