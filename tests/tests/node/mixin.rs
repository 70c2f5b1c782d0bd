//! A real Prometheus scrapes the agent, and what node-mixin's rules, alerts and dashboards select is
//! there, but for what the README lists.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use mote_tests::wait::poll_until;
use serde_json::Value;

use super::LONG;
use super::programs::{Server, get, start};
use mote_tests::scraped::{agent, free_address};

const JOB: &str = r#"job="node""#;
const FILE_SYSTEM: &str = r#"fstype!="",mountpoint!="""#;
const DISK: &str =
    r#"device=~"(/dev/)?(mmcblk.p.+|nvme.+|rbd.+|sd.+|vd.+|xvd.+|dm-.+|md.+|dasd.+)""#;
const NOT_LOOPBACK: &str = r#"device!="lo""#;

/// What is selected, of whom: the mixin's own selectors with its defaults put in.
const SELECTED: [(&str, &str); 45] = [
    // Rules.
    ("node_cpu_seconds_total", r#"mode="idle""#),
    ("node_cpu_seconds_total", r#"mode=~"idle|iowait|steal""#),
    ("node_load1", ""),
    ("node_memory_MemAvailable_bytes", ""),
    ("node_memory_Buffers_bytes", ""),
    ("node_memory_Cached_bytes", ""),
    ("node_memory_MemFree_bytes", ""),
    ("node_memory_Slab_bytes", ""),
    ("node_memory_MemTotal_bytes", ""),
    ("node_vmstat_pgmajfault", ""),
    ("node_disk_io_time_seconds_total", DISK),
    ("node_disk_io_time_weighted_seconds_total", DISK),
    ("node_network_receive_bytes_total", NOT_LOOPBACK),
    ("node_network_transmit_bytes_total", NOT_LOOPBACK),
    ("node_network_receive_drop_total", NOT_LOOPBACK),
    ("node_network_transmit_drop_total", NOT_LOOPBACK),
    // Alerts.
    ("node_filesystem_avail_bytes", FILE_SYSTEM),
    ("node_filesystem_size_bytes", FILE_SYSTEM),
    ("node_filesystem_readonly", FILE_SYSTEM),
    ("node_filesystem_files_free", FILE_SYSTEM),
    ("node_filesystem_files", FILE_SYSTEM),
    ("node_network_receive_errs_total", ""),
    ("node_network_receive_packets_total", ""),
    ("node_network_transmit_errs_total", ""),
    ("node_network_transmit_packets_total", ""),
    ("node_nf_conntrack_entries", ""),
    ("node_nf_conntrack_entries_limit", ""),
    ("node_textfile_scrape_error", ""),
    ("node_timex_offset_seconds", ""),
    ("node_timex_sync_status", ""),
    ("node_timex_maxerror_seconds", ""),
    ("node_filefd_allocated", ""),
    ("node_filefd_maximum", ""),
    ("node_cpu_seconds_total", r#"mode!="idle""#),
    ("node_cpu_seconds_total", r#"mode!~"idle|iowait""#),
    // Dashboards.
    ("node_uname_info", r#"sysname!="Darwin""#),
    ("node_load5", ""),
    ("node_load15", ""),
    ("node_disk_read_bytes_total", DISK),
    ("node_disk_written_bytes_total", DISK),
    ("node_disk_io_now", ""),
    ("node_boot_time_seconds", ""),
    (
        "node_network_device_id",
        r#"device!~"(veth.+)|(docker[0-9]+)|(cbr[0-9]+)|lo""#,
    ),
    ("node_time_seconds", ""),
    ("node_os_info", ""),
];

/// What the mixin selects and mote does not have. The README says why.
const NOT_OFFERED: [(&str, &str); 7] = [
    ("node_md_disks_required", DISK),
    ("node_md_disks", r#"state="active""#),
    ("node_md_disks", r#"state="failed""#),
    ("node_bonding_slaves", ""),
    ("node_bonding_active", ""),
    ("node_systemd_unit_state", r#"state="failed""#),
    ("node_systemd_service_restart_total", ""),
];

#[test]
fn what_the_mixin_selects_is_there_but_for_what_the_readme_lists() {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mips-router");
    let tree = tree.canonicalize().unwrap();
    let builder = agent()
        .unwrap()
        .flag("proc", tree.join("proc"))
        .flag("sys", tree.join("sys"))
        .flag("rootfs", &tree);
    let (agent, address) = start(&builder);
    let prometheus = prometheus(agent.dir(), &format!("targets: ['{address}']"));
    poll_until("a scrape that Prometheus took", LONG, || {
        (count(&prometheus, r#"up{job="node"} == 1"#) == 1).then_some(())
    })
    .unwrap();
    for (name, matchers) in SELECTED {
        let found = count(&prometheus, &selector(name, matchers));
        assert!(found > 0, "{name}{{{matchers}}} selects nothing");
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    for (name, matchers) in NOT_OFFERED {
        let found = count(&prometheus, &selector(name, matchers));
        assert_eq!(found, 0, "{name} is there, and the README says it is not");
        assert!(
            readme.contains(&format!("`{name}`")),
            "{name} is not in the README"
        );
    }
}

fn selector(name: &str, matchers: &str) -> String {
    let comma = if matchers.is_empty() { "" } else { "," };
    format!("{name}{{{JOB}{comma}{matchers}}}")
}

/// Starts a Prometheus that keeps what it has in `folder`.
fn prometheus(folder: &Path, targets: &str) -> Server {
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n\
         - job_name: node\n  static_configs: [{{{targets}}}]\n"
    );
    let file = folder.join("prometheus.yml");
    fs::write(&file, config).unwrap();
    let address = free_address().unwrap();
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!(
        "--storage.tsdb.path={}",
        folder.join("tsdb").display()
    ));
    command.arg(format!("--web.listen-address={address}"));
    Server::start(command, address)
}

/// How many series an expression gives.
fn count(prometheus: &Server, expression: &str) -> usize {
    let mut path = String::from("/api/v1/query?query=");
    for byte in expression.bytes() {
        write!(path, "%{byte:02x}").unwrap();
    }
    // While it starts it says 503.
    let answer = poll_until("Prometheus to be ready", LONG, || {
        get(prometheus.address, "/-/ready").ok()?;
        get(prometheus.address, &path).ok()
    });
    let answer: Value = serde_json::from_str(&answer.unwrap()).unwrap();
    assert_eq!(answer["status"], "success", "{answer}");
    answer["data"]["result"].as_array().unwrap().len()
}
