//! Those that the agent talks with, and whose turn it is.

use std::rc::Rc;

use mote_core::delivery::{Next, Standing};
use mote_core::log_line::Value;
use mote_core::outbox::Cursor;

use super::{Name, seed};
use crate::clock;
use crate::config::Settings;
use crate::expiry::Certificate;
use crate::log;
use crate::service::lunasentri::MetricsServer;
use crate::service::orchestrator::{self, Duty, Orchestrator};
use crate::setup::Target;
use crate::status;
use crate::uplink::Uplink;
use crate::uplink::link::Link;

/// The metrics server and the way to it.
pub(super) struct Service {
    pub(super) server: MetricsServer,
    pub(super) uplink: Uplink,
    pub(super) host_and_port: String,
    pub(super) certificate: Certificate,
}

impl Service {
    pub(super) fn new(settings: &Settings, target: &Target, name: &Name, link: &Rc<Link>) -> Self {
        let (hostname, prefix) = (name.hostname.clone(), name.prefix.clone());
        Self {
            server: MetricsServer::new(settings, target, hostname, prefix, seed()),
            uplink: target.uplink(settings, link),
            host_and_port: target.host_and_port(),
            certificate: certificate(settings),
        }
    }

    /// Says when the certificate that is shown to the server is about to end.
    fn look_at_certificate(&mut self, link: &Link, now_ms: u64) {
        if let Some(words) = self.certificate.look(now_ms, clock::trusted_ms()) {
            log::warn("Metrics server", &[("warning", Value::Str(words))]);
        }
        link.reactor().board.certificate = self.certificate.expiry();
    }
}

/// The certificate that the metrics server is shown, if there is one.
pub(super) fn certificate(settings: &Settings) -> Certificate {
    let path = settings.tls_cert_file.clone();
    Certificate::new("the certificate tls.cert_file", path)
}

/// Those that the agent talks with, one at a time.
pub(super) struct Services {
    pub(super) metrics: Option<Service>,
    pub(super) orchestrator: Option<Orchestrator>,
    /// Events went before a fresh sample.
    pub(super) has_sample_waited: bool,
    /// A fresh sample went before a look for an instruction that was due.
    pub(super) has_poll_waited: bool,
}

/// What an attempt at a server gets that failed twice, while the other is well. Three seconds late is
/// what the other may become, with what is to be done in between.
const SHORT_PATIENCE_MS: u64 = 2_900;
/// Failures after which that is so.
const PATIENT_FAILURES: u32 = 2;

/// What to do next.
pub(super) enum Step {
    Call(Duty),
    Deliver(Cursor),
    Wait(u64),
}

impl Services {
    pub(super) fn metrics_server(&self) -> Option<&MetricsServer> {
        self.metrics.as_ref().map(|service| &service.server)
    }

    /// The most urgent thing that is due: results, events, heartbeat, the newest sample, the look
    /// for an instruction, one sample of the backlog. Of events one batch goes before a fresh sample, and
    /// of those one before a look: where sending takes long, there always is another.
    pub(super) fn next(&mut self, link: &Link) -> Step {
        let now_ms = clock::boot_ms();
        let idle = orchestrator::Next {
            duty: None,
            until_ms: u64::MAX,
        };
        let call = self.orchestrator.as_mut();
        let call = call.map_or(idle, |server| server.next(link, now_ms));
        if let Some(service) = &mut self.metrics {
            service.look_at_certificate(link, now_ms);
        }
        let Some(server) = self.metrics_server() else {
            // Samples are taken, and go nowhere.
            return call.duty.map_or(Step::Wait(call.until_ms), Step::Call);
        };
        let reactor = link.reactor();
        let outbox = &reactor.device.outbox;
        let next = server.next(outbox, now_ms);
        let fresh = match next {
            Next::Send(cursor) if server.is_fresh(outbox, cursor) => Some(cursor),
            _ => None,
        };
        let may_go = match call.duty {
            None => true,
            Some(Duty::Events) => self.has_sample_waited,
            Some(Duty::Poll) => !self.has_poll_waited,
            Some(_) => false,
        };
        let step = match (fresh.filter(|_| may_go), call.duty, next) {
            (Some(cursor), ..) | (None, None, Next::Send(cursor)) => Step::Deliver(cursor),
            (None, Some(duty), _) => Step::Call(duty),
            (None, None, Next::Wait { until_ms }) => {
                let until_ms = until_ms.min(server.look_again_ms(now_ms));
                Step::Wait(until_ms.min(call.until_ms))
            }
            (None, None, Next::Idle) => Step::Wait(call.until_ms),
        };
        match step {
            Step::Deliver(_) => {
                self.has_sample_waited = false;
                self.has_poll_waited |= call.duty == Some(Duty::Poll);
            }
            Step::Call(Duty::Events) => self.has_sample_waited = fresh.is_some(),
            Step::Call(Duty::Poll) => self.has_poll_waited = false,
            // What is more urgent changes nothing for those who wait.
            Step::Call(_) | Step::Wait(_) => {}
        }
        step
    }

    /// Delivers a sample.
    pub(super) fn deliver(&mut self, link: &Rc<Link>, cursor: Cursor) {
        let other = self.orchestrator.as_ref();
        let other_is_well = other.is_some_and(Orchestrator::is_well);
        let Some(Service { server, uplink, .. }) = &mut self.metrics else {
            return;
        };
        let mut most_ms = patience_ms(server.failures(), other_is_well);
        if let Some(other) = other.filter(|_| other_is_well) {
            // Even the first attempt at a server that fell silent leaves the next heartbeat in time.
            let heartbeat_in_ms = other.heartbeat_in_ms(clock::boot_ms());
            most_ms = most_ms.min(heartbeat_in_ms.saturating_add(SHORT_PATIENCE_MS));
        }
        uplink.be_patient_for(most_ms);
        if server.deliver(link, uplink, cursor) {
            status::tell(link, server);
        }
        link.reactor().device.give_back();
        self.listen_to_network(link);
    }

    /// Calls the orchestrator.
    pub(super) fn call(&mut self, link: &Link, duty: Duty) {
        let other_is_well = self.metrics_server().is_some_and(|server| {
            server.failures() == 0 && server.standing() == Standing::Delivering
        });
        if let Some(server) = &mut self.orchestrator {
            server.be_patient_for(patience_ms(server.failures(), other_is_well));
            server.run(link, duty);
        }
        self.listen_to_network(link);
    }

    fn listen_to_network(&self, link: &Link) {
        let server = self.metrics_server();
        let is_cut_off = server.is_some_and(MetricsServer::is_cut_off)
            || self
                .orchestrator
                .as_ref()
                .is_some_and(Orchestrator::is_cut_off);
        link.reactor().network.listen(is_cut_off);
    }

    pub(super) fn clock_was_set(&mut self) {
        if let Some(service) = &mut self.metrics {
            service.server.clock_was_set(clock::boot_ms());
        }
    }

    pub(super) fn network_is_back(&mut self) {
        let now_ms = clock::boot_ms();
        if let Some(service) = &mut self.metrics {
            service.server.look_again(now_ms);
        }
        if let Some(server) = &mut self.orchestrator {
            server.network_is_back(now_ms);
        }
    }

    pub(super) fn log_status(&self, msg: &str, link: &Link) {
        status::log(msg, link, self.metrics_server());
        if let Some(orchestrator) = &self.orchestrator {
            orchestrator.log_status();
        }
    }
}

/// A server that does not answer is not to make the agent late for one that does.
fn patience_ms(failures: u32, other_is_well: bool) -> u64 {
    if other_is_well && failures >= PATIENT_FAILURES {
        SHORT_PATIENCE_MS
    } else {
        u64::MAX
    }
}
