//! How often a tick asks the heap for something.
//!
//! Only a build that counts can tell: the agent's test `no_alloc`, which says its count in a line.

use std::env;
use std::process::{Command, Stdio};

use super::figure::count;
use super::{Failure, Figure, Findings, Plan};
use crate::project_root;

const TEST: [&str; 5] = ["test", "--package", "mote", "--test", "no_alloc"];
const LINE: &str = "tick_allocs: ";

pub(super) fn measure(_: &Plan) -> Result<Findings, Failure> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // `cargo run` describes this package to us. Build scripts watch such variables, and would run
    // again each time that they change.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    let output = cargo
        .args(TEST)
        .args(["--", "--nocapture"])
        .current_dir(project_root())
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let Some(allocs) = counted(&said) else {
        let errors = String::from_utf8_lossy(&output.stderr);
        let test = TEST.join(" ");
        return Err(format!("`cargo {test}` told no count:\n{errors}").into());
    };
    Ok(vec![Figure::new("tick_allocs", count(allocs), "", 0).within(0.0)].into())
}

/// The number in what the test said. Its line may begin with words of the test runner.
fn counted(said: &str) -> Option<u64> {
    let mut lines = said.lines().filter_map(|line| line.split_once(LINE));
    lines.next()?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_among_what_the_runner_says() {
        let said = "running 2 tests\ntest a ... ok\ntest b ... tick_allocs: 12\nok\n";
        assert_eq!(counted(said), Some(12));
        assert_eq!(counted("tick_allocs: 0\n"), Some(0));
        assert_eq!(counted("running 0 tests\n"), None);
    }
}
