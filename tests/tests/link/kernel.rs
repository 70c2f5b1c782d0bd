//! Kernels that hide, lie, are old, or give no time.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use mote_tests::agent::{Signal, left_out};
use mote_tests::hub::{Certificate, Misbehaviour};
use mote_tests::namespace::{self, Own};

use super::*;

/// All that the agent may ever hold in memory, kB. Half a megabyte of it is what it reads of a file
/// at most.
const RSS_KB: u64 = 3_000;

/// A hub that takes samples without figures, in the clear: nothing is in the way of the sample.
fn plain_hub() -> Hub {
    Hub::start(HubConfig {
        plain: true,
        absent_figures_allowed: true,
        ..HubConfig::default()
    })
    .unwrap()
}

/// Errors in the log, but for those that are said once at the start.
fn complaints_after(agent: &AgentUnderTest, from: usize) -> Vec<LogLine> {
    let mut lines = agent.log().split_off(from);
    lines.retain(|line| !matches!(line.level(), "info" | "debug"));
    // An hour of a busy machine is not what is looked at here.
    lines.retain(|line| !line.msg().starts_with("Samples missed"));
    lines
}

#[test]
fn k1_without_proc_or_with_half_of_it_what_is_known_is_sent_and_nothing_made_up() {
    let name =
        "kernel::k1_without_proc_or_with_half_of_it_what_is_known_is_sent_and_nothing_made_up";
    // The emulator itself does not start without /proc.
    if left_out("a device without /proc") || !namespace::enter(Own::MountsAndNetwork, name) {
        return;
    }
    for (mount, cpu, uptime) in [
        ("-t tmpfs none /proc", false, false),
        ("-t proc -o subset=pid proc /proc", false, false),
        ("-t proc -o hidepid=2 proc /proc", true, true),
    ] {
        let hub = plain_hub();
        let builder = hurried(&hub);
        // Somebody who is not root, so that hiding means something.
        let mote = builder.dir().join("mote");
        fs::copy(mote_binary().unwrap(), &mote).unwrap();
        for path in [builder.dir(), &mote] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let script = format!(
            "exec unshare --mount -- sh -c 'mount {mount}; exec setpriv --reuid 65534 \
             --regid 65534 --clear-groups {} run \"$@\"' sh \"$@\"",
            mote.display()
        );
        let start = builder.write_file("start", &script).unwrap();
        let builder = builder.binary("/bin/sh").command(start.to_str().unwrap());
        let agent = builder.start().unwrap();
        let samples = hub.wait_for(5, LONG).unwrap();
        let from = agent.log().len();
        let last = samples.last().unwrap();
        assert_eq!(
            last.number("cpu_percent").is_some(),
            cpu,
            "{mount}: {}",
            last.body
        );
        assert_eq!(
            last.number("uptime_s").is_some(),
            uptime,
            "{mount}: {}",
            last.body
        );
        // What is not known is not zero, and is not complained of at every sample.
        wait_for_later(&hub, newest(&hub) + 10);
        let complaints = complaints_after(&agent, from);
        assert!(complaints.is_empty(), "{mount}: {complaints:?}");
        assert_eq!(hub.violations(), Vec::<String>::new());
    }
}

/// A /proc whose files are all of one kind.
fn proc_of(folder: &Path, make: impl Fn(&Path)) {
    fs::create_dir_all(folder.join("net")).unwrap();
    for name in ["stat", "meminfo", "uptime", "loadavg", "net/dev"] {
        make(&folder.join(name));
    }
}

#[test]
fn k2_files_that_are_empty_garbage_huge_or_without_end_cost_their_figures_only() {
    type Make = fn(&Path);
    let kinds: [(&str, Make); 6] = [
        ("empty", |path| fs::write(path, "").unwrap()),
        ("garbage", |path| {
            fs::write(
                path,
                b"\xff\xfe cpu  -1 99999999999999999999999 \0\0 : : :\n",
            )
            .unwrap();
        }),
        ("huge", |path| {
            fs::write(path, "cpu  1 2 3 4 5 6 7 8 9 10\n".repeat(400_000)).unwrap();
        }),
        ("one long line", |path| {
            fs::write(path, "9".repeat(5_000_000)).unwrap();
        }),
        ("zeros without end", |path| {
            symlink("/dev/zero", path).unwrap();
        }),
        ("noise without end", |path| {
            symlink("/dev/urandom", path).unwrap();
        }),
    ];
    for (kind, make) in kinds {
        let hub = plain_hub();
        let builder = hurried(&hub);
        let folder = builder.dir().join("proc");
        proc_of(&folder, make);
        let mut agent = builder.flag("proc", &folder).start().unwrap();
        let samples = hub.wait_for(5, LONG).unwrap();
        let last = &samples.last().unwrap().body;
        for figure in ["memory_percent", "uptime_s"] {
            assert_eq!(last.get(figure), None, "{kind}: {last}");
        }
        if !left_out("what the agent holds in memory") {
            let memory = agent.memory().unwrap();
            assert!(memory.peak_rss_kb < RSS_KB, "{kind}: {memory:?}");
        }
        assert_eq!(hub.violations(), Vec::<String>::new(), "{kind}");
        assert_eq!(
            agent.stop(Signal::SIGTERM).unwrap().code(),
            Some(0),
            "{kind}"
        );
    }
}

#[test]
fn k3_a_kernel_of_2013_runs_the_heart_of_it() {
    if left_out("an old kernel's system calls") {
        return;
    }
    let hub = good_hub();
    let old_kernel = env!("CARGO_BIN_EXE_old-kernel");
    // The filter is there, or the rest proves nothing.
    let mut probe = Command::new(old_kernel);
    let probed = probe
        .args(["strace", "-e", "trace=statx", "stat", "/"])
        .output();
    let probed = probed.unwrap();
    let words = String::from_utf8_lossy(&probed.stderr);
    assert!(
        words.contains("ENOSYS") || !words.contains("= 0"),
        "{words}"
    );
    let builder = started_by(hurried(&hub), old_kernel);
    let mut agent = builder.start().unwrap();
    wait_for_each(&hub, 1..=5);
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    assert!(status.contains("Seccomp:\t2"), "{status}");
    // It re-executed itself to hide its key, took a name, shook hands; now an outage, a new
    // certificate, a reload, a status.
    hub.misbehave(Misbehaviour::RefuseConnections);
    agent.wait_for_log(is_failure, LONG).unwrap();
    hub.set_certificate(Certificate::WrongName).unwrap();
    hub.misbehave(Misbehaviour::Normal);
    let is_tls = |line: &LogLine| is_failure(line) && line.str("layer") == "tls";
    agent.wait_for_log(is_tls, LONG).unwrap();
    hub.set_certificate(Certificate::Good).unwrap();
    let before = newest(&hub);
    let after = wait_for_later(&hub, before);
    wait_for_each(&hub, 1..=after);
    agent.signal(Signal::SIGHUP).unwrap();
    wait_for_message(&agent, 0, "Configuration reloaded");
    agent.signal(Signal::SIGUSR1).unwrap();
    wait_for_message(&agent, 0, "Status");
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
    // The start counter was written: it went on from one.
    let again = builder.start().unwrap();
    hub.wait_until("the second start", LONG, |_, attempts| {
        attempts
            .iter()
            .any(|attempt| attempt.start_number() == Some(2))
    })
    .unwrap();
    drop(again);
}

#[test]
fn k6_a_starved_agent_skips_samples_counts_them_and_does_not_pile_them_up() {
    let name = "k6_a_starved_agent_skips_samples_counts_them_and_does_not_pile_them_up";
    let group = Path::new("/sys/fs/cgroup/cpu").join(format!("mote-k6-{}", std::process::id()));
    if left_out("what an agent does without time") || fs::create_dir(&group).is_err() {
        eprintln!("SKIPPED {name}: needs root and the cpu controller of cgroup v1");
        return;
    }
    let _group = Group(&group);
    // The least that there is, a millisecond a second; ten samples and their delivery take more.
    fs::write(group.join("cpu.cfs_period_us"), "1000000").unwrap();
    fs::write(group.join("cpu.cfs_quota_us"), "1000").unwrap();
    let hub = plain_hub();
    let mut agent = hurried(&hub).flag("interval", "100ms").start().unwrap();
    hub.wait_for(3, LONG).unwrap();
    fs::write(group.join("cgroup.procs"), agent.pid().to_string()).unwrap();
    agent.signal(Signal::SIGUSR1).unwrap();
    let missed = wait_for_message(
        &agent,
        0,
        "Samples missed, the device was too busy or asleep",
    );
    assert!(
        missed.field("missed").unwrap().as_u64() > Some(0),
        "{}",
        missed.text
    );
    assert_eq!(agent.threads().unwrap(), 1);
    // Free again, it goes on one by one.
    fs::write("/sys/fs/cgroup/cpu/cgroup.procs", agent.pid().to_string()).unwrap();
    let before = newest(&hub);
    wait_for_later(&hub, before + 5);
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
    assert_eq!(hub.violations(), Vec::<String>::new());
}

/// Goes with the test, once nobody is in it.
struct Group<'a>(&'a Path);

impl Drop for Group<'_> {
    fn drop(&mut self) {
        let in_it = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        for process in in_it.lines() {
            // One that has ended meanwhile is in no group.
            fs::write("/sys/fs/cgroup/cpu/cgroup.procs", process).ok();
        }
        fs::remove_dir(self.0).ok();
    }
}
