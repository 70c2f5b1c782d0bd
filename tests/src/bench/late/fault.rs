//! The faults, and how each is set up around an agent.

use std::sync::OnceLock;

use super::crowd::Crowd;
use super::name_server::NameServer;
use super::{Failure, LONG, Skipped, wicked};
use crate::agent::{AgentBuilder, AgentUnderTest};
use crate::bench::black_hole::BlackHole;
use crate::bench::is_failure;
use crate::hub::{Hub, HubConfig, Misbehaviour, OrchestratorConfig};
use crate::wait::poll_until;

/// One way in which the world fails the agent.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) key: &'static str,
    cause: Cause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// None: everything works.
    Nothing,
    /// The hub, as named on its command line.
    Hub(&'static str),
    /// Nobody answers at the server's address, not even to refuse.
    BlackHole,
    /// No name server answers, from the start.
    SilentDns,
    /// The name server falls silent after the first deliveries, and what it said grows old.
    SilentDnsLater,
    /// The server is well, and the agent's own port is under attack.
    Crowd,
    /// Both servers are well, and the plugins are not.
    Plugins,
}

impl Cause {
    /// Whether a delivery that fails is none of its doing. There the agent has its usual deadlines: on
    /// a busy machine short ones would fail a delivery that is merely slow.
    fn spares_the_servers(self) -> bool {
        matches!(self, Self::Nothing | Self::Crowd | Self::Plugins)
    }
}

const fn fault(key: &'static str, cause: Cause) -> Fault {
    Fault { key, cause }
}

pub(super) const FAULTS: [Fault; 10] = [
    fault("none", Cause::Nothing),
    fault("silent", Cause::Hub("silent")),
    fault("silent_tls", Cause::Hub("silent-tls")),
    fault("slow_body", Cause::Hub("slow-body")),
    fault("reset_mid_body", Cause::Hub("reset-mid-body")),
    fault("black_hole", Cause::BlackHole),
    fault("silent_dns", Cause::SilentDns),
    fault("silent_dns_kept", Cause::SilentDnsLater),
    fault("crowd", Cause::Crowd),
    fault("plugins", Cause::Plugins),
];

/// A name that only our name server knows.
const HOST: &str = "hub.mote.test";
/// Scrapes that a crowd gets through at least; it asks for this many in a tenth of a second.
const ANSWERED: u64 = 100;
/// Deliveries before the name server falls silent.
const BEFORE_SILENCE: u64 = 3;

/// Everything that a fault needs, as long as it lasts.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) builder: AgentBuilder,
    cause: Cause,
    hub: Hub,
    names: Option<NameServer>,
    crowd: OnceLock<Crowd>,
    _black_hole: Option<BlackHole>,
}

impl Fault {
    /// Where its lateness is found.
    pub(super) fn figure(&self) -> String {
        format!("late_ms.{}", self.key)
    }

    /// Whether the agent has somebody to say goodbye to before it ends.
    pub(super) fn takes_leave(&self) -> bool {
        self.cause == Cause::Plugins
    }
}

impl Stage {
    /// Sets a fault up. `Skipped` if it cannot be made without more rights.
    pub(super) fn set(fault: &Fault) -> Result<Result<Self, Skipped>, Failure> {
        let cause = fault.cause;
        let misbehaviour = match cause {
            Cause::Hub(name) => Misbehaviour::parse(name)?,
            _ => Misbehaviour::Normal,
        };
        let hub = Hub::start(HubConfig {
            extra_names: vec![HOST.into()],
            misbehaviour,
            orchestrator: (cause == Cause::Plugins).then(OrchestratorConfig::default),
            ..HubConfig::default()
        })?;
        let mut builder = AgentBuilder::new()?
            .for_hub(&hub)
            .flag("interval", "100ms")
            .flag("retry-backoff", "100ms")
            .flag("retry-max", "500ms")
            .trace_reads_of("/proc/stat");
        if !cause.spares_the_servers() {
            builder = builder
                .flag("connect-timeout", "1500ms")
                .flag("timeout", "3s");
        }
        let (mut names, mut black_hole) = (None, None);
        match cause {
            Cause::Nothing | Cause::Hub(_) => {}
            Cause::Crowd => {
                builder = builder
                    .argument("--metrics-enabled")
                    .flag("metrics-port", "0");
            }
            Cause::Plugins => {
                builder = builder.for_orchestrator(&hub, "sensor");
                wicked::put(&builder)?;
            }
            Cause::BlackHole => {
                let hole = BlackHole::dig()?;
                builder = builder.flag("server-url", format!("https://{}", hole.address()));
                black_hole = Some(hole);
            }
            Cause::SilentDns | Cause::SilentDnsLater => {
                let server = match NameServer::start(HOST, hub.address().ip()) {
                    Ok(server) => server,
                    Err(why) => return Ok(Err(Skipped(why))),
                };
                if cause == Cause::SilentDns {
                    server.fall_silent();
                }
                let url = format!("https://{HOST}:{}", hub.address().port());
                builder = server.surround(builder.flag("server-url", url))?;
                names = Some(server);
            }
        }
        Ok(Ok(Self {
            builder,
            cause,
            hub,
            names,
            crowd: OnceLock::new(),
            _black_hole: black_hole,
        }))
    }

    /// Makes a fault happen that comes after the start.
    pub(super) fn begin(&self, agent: &AgentUnderTest) -> Result<(), Failure> {
        if let (Cause::SilentDnsLater, Some(names)) = (self.cause, &self.names) {
            let delivered = self.hub.wait_for(BEFORE_SILENCE, LONG);
            delivered.map_err(|words| format!("{words}; {:?}", agent.log().last()))?;
            names.fall_silent();
        }
        if self.cause == Cause::Crowd {
            let address = agent.listens_at("/metrics", LONG)?;
            self.crowd.get_or_init(|| Crowd::gather(address));
        }
        Ok(())
    }

    /// Gives a busy machine the time to make the fault happen. Whether it did is found at the end, by
    /// [`was_felt`](Self::was_felt).
    pub(super) fn wait_until_felt(&self, agent: &AgentUnderTest) {
        let felt = || self.was_felt(agent).ok();
        let _ = poll_until("the agent to meet the fault", LONG, felt);
    }

    /// Refuses a stage on which the fault did not happen.
    pub(super) fn was_felt(&self, agent: &AgentUnderTest) -> Result<(), Failure> {
        let log = agent.log();
        let failures: Vec<_> = log.iter().filter(|line| is_failure(line)).collect();
        let stats = self.hub.stats();
        let felt = match self.cause {
            Cause::Nothing => failures.is_empty() && stats.delivered > BEFORE_SILENCE,
            Cause::Hub(_) => !failures.is_empty() && stats.connections > 0,
            Cause::BlackHole => !failures.is_empty() && stats.connections == 0,
            Cause::SilentDns => !failures.is_empty() && self.unanswered() > 0,
            Cause::Plugins => {
                let (complaints, all) = wicked::failed(agent);
                failures.is_empty() && stats.delivered > 0 && complaints == all
            }
            Cause::Crowd => {
                let answered = self.crowd.get().map_or(0, Crowd::answered);
                failures.is_empty() && stats.delivered > 0 && answered > ANSWERED
            }
            Cause::SilentDnsLater => stats.delivered > BEFORE_SILENCE && self.unanswered() > 0,
        };
        if felt {
            return Ok(());
        }
        let (hub, unanswered) = (self.hub.summary(), self.unanswered());
        Err(format!(
            "the agent did not meet the fault: {} failures, the last {:?}, {unanswered} unanswered \
             look-ups, hub: {hub}",
            failures.len(),
            failures.last()
        )
        .into())
    }

    fn unanswered(&self) -> usize {
        self.names.as_ref().map_or(0, NameServer::unanswered)
    }
}
