//! Every parser of foreign bytes, with whatever a fuzzer thinks of.
//!
//! One program for all targets; `MOTE_FUZZ_TARGET` names the one, and everything else is libFuzzer's
//! command line. `cargo xtask fuzz` builds and runs it. A target takes any bytes; it must not panic,
//! must not take long, and what it says must hold (what is written is read back, what is escaped is
//! one line, what is bounded is within its bounds).
//!
//! With `MOTE_FUZZ_PLANTED` set each target has a bug: it fails at an input that its seeds do not
//! have and that can only be found by getting through the parser. That is how a target is shown to
//! find anything at all.

#![no_main]

mod config;
mod face;
mod folder;
mod http;
mod lines;
mod names;
mod node;
mod node_page;
mod orchestrator;
mod plugins;
mod proc_files;
mod records;
mod state;
mod times;
mod tls;

use std::env;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// A parser, or some that read the same.
struct Target {
    name: &'static str,
    run: fn(&[u8]),
}

const TARGETS: &[Target] = &[
    Target {
        name: "stat",
        run: proc_files::stat,
    },
    Target {
        name: "meminfo",
        run: proc_files::meminfo,
    },
    Target {
        name: "net_dev",
        run: proc_files::net_dev,
    },
    Target {
        name: "loadavg",
        run: proc_files::loadavg,
    },
    Target {
        name: "uptime",
        run: proc_files::uptime,
    },
    Target {
        name: "config",
        run: config::file,
    },
    Target {
        name: "durations",
        run: config::durations,
    },
    Target {
        name: "pins",
        run: config::pins,
    },
    Target {
        name: "server_url",
        run: config::server_url,
    },
    Target {
        name: "hosts",
        run: names::hosts,
    },
    Target {
        name: "resolv_conf",
        run: names::resolv_conf,
    },
    Target {
        name: "dns",
        run: names::dns,
    },
    Target {
        name: "http",
        run: http::answer,
    },
    Target {
        name: "framing",
        run: http::framing,
    },
    Target {
        name: "acceptance",
        run: http::acceptance,
    },
    Target {
        name: "http_date",
        run: times::http_date,
    },
    Target {
        name: "retry_after",
        run: times::retry_after,
    },
    Target {
        name: "rfc3339",
        run: times::rfc3339,
    },
    Target {
        name: "log_line",
        run: lines::log_line,
    },
    Target {
        name: "pem",
        run: tls::pem,
    },
    Target {
        name: "records",
        run: records::file,
    },
    Target {
        name: "backlog",
        run: records::backlog,
    },
    Target {
        name: "diskstats",
        run: node::diskstats,
    },
    Target {
        name: "vmstat",
        run: node::vmstat,
    },
    Target {
        name: "pressure",
        run: node::pressure,
    },
    Target {
        name: "mounts",
        run: node::mounts,
    },
    Target {
        name: "sysctl",
        run: node::sysctl,
    },
    Target {
        name: "os_release",
        run: node::os_release,
    },
    Target {
        name: "glob",
        run: node::glob,
    },
    Target {
        name: "exposition",
        run: node::exposition,
    },
    Target {
        name: "node_page",
        run: node_page::page,
    },
    Target {
        name: "local_request",
        run: face::request,
    },
    Target {
        name: "local_host",
        run: face::host,
    },
    Target {
        name: "journal",
        run: state::journal,
    },
    Target {
        name: "ledger",
        run: state::ledger,
    },
    Target {
        name: "json",
        run: orchestrator::json,
    },
    Target {
        name: "answers",
        run: orchestrator::answers,
    },
    Target {
        name: "instruction",
        run: orchestrator::instruction,
    },
    Target {
        name: "manifest",
        run: plugins::manifest,
    },
    Target {
        name: "options",
        run: plugins::options,
    },
    Target {
        name: "plugin_answer",
        run: plugins::answer,
    },
];

fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = env::var("MOTE_FUZZ_TARGET").unwrap_or_default();
        TARGETS
            .iter()
            .find(|target| target.name == name)
            .unwrap_or_else(|| {
                let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
                eprintln!("MOTE_FUZZ_TARGET must be one of {}", names.join(" "));
                std::process::exit(64)
            })
    })
}

/// The bug of a target, if it is to have one: it fails once this is so.
fn planted_bug(is_reached: bool) {
    static IS_PLANTED: OnceLock<bool> = OnceLock::new();
    let is_planted = *IS_PLANTED.get_or_init(|| env::var_os("MOTE_FUZZ_PLANTED").is_some());
    assert!(!(is_planted && is_reached), "the planted bug");
}

fuzz_target!(|bytes: &[u8]| (chosen().run)(bytes));
