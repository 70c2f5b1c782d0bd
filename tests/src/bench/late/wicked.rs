//! Plugins that do what no plugin should, all at once: they crash, hang, flood, lie, fork, leave
//! processes behind, ignore SIGTERM, end without a word.
//!
//! Each is a trigger in a shell. Those that fail are started again, later and later.

use std::io;

use crate::agent::{AgentBuilder, AgentUnderTest};

/// What they are called, and what they do.
const SCRIPTS: [(&str, &str); 10] = [
    ("crash", "kill -SEGV $$\n"),
    ("silent", "exit 0\n"),
    ("flood", "exec cat /dev/zero\n"),
    ("shout", "exec cat /dev/zero >&2\n"),
    ("deaf", "exec sleep 1000\n"),
    ("hang", "trap '' TERM\nwhile :; do sleep 1000; done\n"),
    (
        "lie",
        "read x\necho '{\"success\":true,\"data\":NaN}'\nexec sleep 1000\n",
    ),
    (
        "deep",
        "read x\nhead -c 60000 /dev/zero | tr '\\0' '['\necho\nexec sleep 1000\n",
    ),
    (
        "bomb",
        "i=0\nwhile [ $i -lt 300 ]; do sleep 1000 & i=$((i + 1)); done\nwait\n",
    ),
    (
        "leave",
        "setsid sh -c 'trap \"\" TERM HUP; sleep 1000' &\nexit 3\n",
    ),
];

/// Puts them into the agent's folder of plugins.
pub(super) fn put(builder: &AgentBuilder) -> io::Result<()> {
    for (id, script) in SCRIPTS {
        let manifest = format!(
            "plugin:\n  id: {id}\n  type: trigger\n  runtime:\n    entry_point: main.sh\n  \
             limits:\n    execution_time: 1s\n"
        );
        builder.plugin_file(id, "plugin.yaml", &manifest)?;
        builder.plugin_file(id, "main.sh", script)?;
    }
    Ok(())
}

/// How many of them the agent had to complain of, and how many there are.
pub(super) fn failed(agent: &AgentUnderTest) -> (usize, usize) {
    let log = agent.log();
    let has_failed = |id: &str| {
        let mut lines = log.iter();
        lines.any(|line| line.msg() == "Plugin failed" && line.str("plugin") == id)
    };
    let failed = SCRIPTS.iter().filter(|(id, _)| has_failed(id)).count();
    (failed, SCRIPTS.len())
}
