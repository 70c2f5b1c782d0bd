//! What is scraped where mote's page is held against `node_exporter`'s: both programs, with what
//! both have and nothing besides.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::TimedOut;
use crate::agent::{AgentBuilder, AgentUnderTest};

/// The collectors that mote offers, by `node_exporter`'s names.
pub const COLLECTORS: [&str; 18] = [
    "conntrack",
    "cpu",
    "diskstats",
    "filefd",
    "filesystem",
    "loadavg",
    "meminfo",
    "netclass",
    "netdev",
    "os",
    "pressure",
    "stat",
    "textfile",
    "thermal_zone",
    "time",
    "timex",
    "uname",
    "vmstat",
];

/// `node_exporter` at an address, with these collectors and without the metrics of its own process.
pub fn node_exporter(program: impl AsRef<OsStr>, address: SocketAddr) -> Command {
    let mut command = Command::new(program);
    command.args([
        &format!("--web.listen-address={address}"),
        "--web.disable-exporter-metrics",
        "--collector.disable-defaults",
    ]);
    command.args(COLLECTORS.map(|name| format!("--collector.{name}")));
    command
}

/// An agent that answers Prometheus at a port of its own and sends nothing.
///
/// # Errors
/// If its folder cannot be made.
pub fn agent() -> io::Result<AgentBuilder> {
    Ok(AgentBuilder::new()?
        .env("MOTE_HEALTH_ENABLED", "false")
        .env("MOTE_METRICS_ENABLED", "true")
        .flag("metrics-port", "0"))
}

/// Where such an agent answers, once it does.
///
/// # Errors
/// If it does not say so in time.
///
/// # Panics
/// If what it names is no address.
pub fn address_of(agent: &AgentUnderTest, timeout: Duration) -> Result<SocketAddr, TimedOut> {
    let line = agent.wait_for_log(|line| line.msg() == "Listening", timeout)?;
    let address = line.str("address");
    let parsed = address.parse();
    Ok(parsed.unwrap_or_else(|error| panic!("the agent listens at {address:?}: {error}")))
}

/// What `promtool check metrics` finds wrong, line by line. It dislikes capitals in the names that
/// `node_exporter` takes from the kernel's, and nobody asked for other names: that is left out.
///
/// # Errors
/// If there is no `promtool`, or what it says cannot be read.
pub fn promtool(metrics: &str) -> io::Result<Vec<String>> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(metrics.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let is_wrong = |line: &&str| !(line.starts_with("node_memory_") && line.contains("camelCase"));
    let said = String::from_utf8_lossy(&said);
    Ok(said.lines().filter(is_wrong).map(str::to_owned).collect())
}

/// An address on loopback at which nobody listens.
///
/// # Errors
/// If loopback has none left.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
