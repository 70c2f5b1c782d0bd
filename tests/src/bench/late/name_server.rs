//! A name server that the agent, and nobody else, has in its `resolv.conf`.
//!
//! It listens on port 53 of a loopback address of its own. The agent is started in a mount
//! namespace of its own, in which another file lies over `/etc/resolv.conf`. Both take root.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use crate::agent::{AgentBuilder, mote_binary};
use crate::bench::Failure;
use crate::fake_dns::{DnsManner, FakeDns};

/// The last bytes of loopback addresses, so that name servers do not meet.
static NEXT: AtomicU8 = AtomicU8::new(53);

/// As short as a name may live, so that it grows old at once.
const TTL_S: u32 = 1;

/// The shell that lays the file and becomes the agent, under the same process number.
const SCRIPT: &str = "exec unshare -m sh -c \
    'mount --bind \"$RESOLV_CONF\" /etc/resolv.conf && exec \"$AGENT\" run \"$@\"' sh \"$@\"\n";

/// A running name server.
#[derive(Debug)]
pub(super) struct NameServer {
    dns: FakeDns,
    /// Questions that came before it fell silent.
    answered: AtomicUsize,
}

impl NameServer {
    /// Knows `host` at `address`. The error says which right is missing.
    pub(super) fn start(host: &str, address: IpAddr) -> Result<Self, String> {
        let namespace = Command::new("unshare")
            .args(["-m", "true"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !namespace.is_ok_and(|status| status.success()) {
            return Err("a mount namespace takes root: run it as root".into());
        }
        let at = Ipv4Addr::new(127, 0, 53, NEXT.fetch_add(1, Ordering::Relaxed));
        let dns = FakeDns::start_at(SocketAddr::from((at, 53)))
            .map_err(|error| format!("port 53 of {at}: {error}; run it as root"))?;
        dns.set(host, &[address], TTL_S);
        Ok(Self {
            dns,
            answered: AtomicUsize::new(0),
        })
    }

    /// Starts the agent with this name server in its `resolv.conf`.
    pub(super) fn surround(&self, agent: AgentBuilder) -> Result<AgentBuilder, Failure> {
        let resolv_conf = format!("nameserver {}\n", self.dns.address().ip());
        let resolv_conf = agent.write_file("resolv.conf", &resolv_conf)?;
        let script = agent.write_file("start", SCRIPT)?;
        let script = script
            .to_str()
            .ok_or("the folder for temporary files is not UTF-8")?;
        Ok(agent
            .binary("/bin/sh")
            .command(script)
            .env("RESOLV_CONF", resolv_conf)
            .env("AGENT", mote_binary()?))
    }

    /// Says nothing any more.
    pub(super) fn fall_silent(&self) {
        self.dns.set_manner(DnsManner::Silent);
        self.answered
            .store(self.dns.queries().len(), Ordering::Relaxed);
    }

    /// Questions since it fell silent.
    pub(super) fn unanswered(&self) -> usize {
        let answered = self.answered.load(Ordering::Relaxed);
        self.dns.queries().len().saturating_sub(answered)
    }
}
