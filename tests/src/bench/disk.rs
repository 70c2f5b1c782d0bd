//! The longest that the agent waits for the disk.
//!
//! strace times every call that waits until something is on the disk, and every rename, from the
//! agent's start to its end when told to. The agent's folder is among the project's builds, which
//! are on a real disk where `/tmp` may be none. A bad card can take a second, and there is nothing
//! to be done about it in one thread, so this has no budget.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Failure, Figure, Findings, LONG, Plan};
use crate::agent::{AgentBuilder, Signal, mote_binary};
use crate::hub::{Hub, HubConfig};
use crate::target_folder;
use crate::wait::poll_until;

const STARTS: usize = 5;

/// With -D the shell becomes the agent, and strace its grandchild. A question mark is before the
/// calls that not every machine has.
const SCRIPT: &str = "exec strace -D -f --seccomp-bpf -q -T -s 0 -o \"$TRACE\" \
    -e trace=fsync,fdatasync,?rename,?renameat,renameat2 \"$AGENT\" run \"$@\"\n";

pub(super) fn measure(_: &Plan) -> Result<Findings, Failure> {
    let hub = Hub::start(HubConfig::default())?;
    let folder = target_folder();
    fs::create_dir_all(&folder)?;
    let base = TempDir::with_prefix_in("mote-disk-", folder)?;
    let mut worst_ms = 0.0_f64;
    for _ in 0..STARTS {
        worst_ms = worst_ms.max(one_life(&hub, base.path())?);
    }
    Ok(vec![Figure::new("disk_stall_ms_max", worst_ms, "ms", 1)].into())
}

/// Starts an agent, and stops it after its first delivery. The longest wait, in milliseconds.
fn one_life(hub: &Hub, base: &Path) -> Result<f64, Failure> {
    let builder = AgentBuilder::new()?.for_hub(hub).flag("base-dir", base);
    let script = builder.write_file("start", SCRIPT)?;
    let script = script
        .to_str()
        .ok_or("the folder for temporary files is not UTF-8")?;
    let trace = builder.dir().join("trace");
    let delivered = hub.stats().delivered;
    let mut agent = builder
        .binary("/bin/sh")
        .command(script)
        .env("TRACE", &trace)
        .env("AGENT", mote_binary()?)
        .start()?;
    hub.wait_for(delivered + 1, LONG)?;
    agent.signal(Signal::SIGTERM)?;
    let status = agent.wait_exit(LONG)?;
    if !status.success() {
        return Err(format!("told to stop, the agent ended with {status}").into());
    }
    // strace ends after the agent, and tells of its end last.
    let trace = poll_until("the end of the trace", LONG, || {
        let trace = fs::read_to_string(&trace).ok()?;
        trace.contains("+++ exited").then_some(trace)
    })?;
    let waits_ms = waits_ms(&trace);
    waits_ms
        .into_iter()
        .reduce(f64::max)
        .ok_or_else(|| "strace saw the agent write nothing to the disk".into())
}

/// How long each call took, from lines like `77 fsync(5) = 0 <0.001203>`.
fn waits_ms(trace: &str) -> Vec<f64> {
    let seconds = |line: &str| {
        let (_, time) = line.strip_suffix('>')?.rsplit_once('<')?;
        time.parse::<f64>().ok()
    };
    let calls = trace.lines().filter_map(seconds);
    calls.map(|seconds| seconds * 1000.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_its_time() {
        let trace = "\
77    fsync(5)                          = 0 <0.001500>
77    rename(\"\"..., \"\"...)          = 0 <0.000250>
77    fsync(6)                          = -1 EIO (Input/output error) <0.250000>
77    --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=1, si_uid=0} ---
77    +++ exited with 0 +++
";
        assert_eq!(waits_ms(trace), [1.5, 0.25, 250.0]);
    }
}
