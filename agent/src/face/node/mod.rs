//! The device under the names of Prometheus's `node_exporter`.
//!
//! Dashboards and alerts that were made for it work here: names, labels and values are the same,
//! to the last bit of a double. What each family means is the kernel's; its help texts are ours.
//!
//! A page is made in parts, one for each of its collectors and one about them all. A part reads
//! what it needs when its first line is asked for, into one buffer, and is written from there
//! however many pieces it takes. Nothing grows with the device, and nothing is done that may
//! block or wake a disk.

mod choice;
mod cpu;
mod disk;
mod filesystem;
mod kernel;
mod link_changes;
mod memory;
mod network;
mod page;
mod scratch;
mod sysfs;
mod textfile;
mod thermal;

use mote_core::Full;
use mote_core::wire::prometheus::{Lines, Number};

use self::choice::Choice;
use self::filesystem::Filesystems;
use self::network::Networks;
use self::page::{Family, Mark, PREFIX, Page};
use self::scratch::{SHORT_LINE_BYTES, Scratch, Source};
use self::textfile::Textfiles;
use self::thermal::Zones;
use crate::clock::Discipline;
use crate::config::Settings;

/// The collectors by their names, in the order of the page.
const COLLECTORS: [&str; 18] = [
    "conntrack",
    "cpu",
    // Of the reading for `cpu`, hence right behind it.
    "stat",
    "diskstats",
    "filefd",
    "filesystem",
    "loadavg",
    "meminfo",
    "netdev",
    // Of the interfaces that `netdev` found, hence right behind it.
    "netclass",
    "os",
    "pressure",
    "textfile",
    "thermal_zone",
    "time",
    "timex",
    "uname",
    "vmstat",
];
/// About the collectors.
const SCRAPE: &[Family] = &[
    Family::gauge(
        "scrape_collector_duration_seconds",
        "How long a collector took.",
    ),
    Family::gauge(
        "scrape_collector_success",
        "Whether a collector found all it looks for.",
    ),
];
/// Every family that is always called the same.
const TABLES: [&[Family]; 17] = [
    cpu::TIMES,
    cpu::FIGURES,
    disk::FAMILIES,
    filesystem::FAMILIES,
    network::COUNTERS,
    network::STATE,
    thermal::FAMILIES,
    textfile::FAMILIES,
    kernel::LOAD,
    kernel::FILES,
    kernel::CONNTRACK,
    kernel::PRESSURE,
    kernel::TIME,
    kernel::TIMEX,
    kernel::UNAME,
    kernel::OS,
    SCRAPE,
];
/// The agent's own names of its process, which a text file cannot have either.
const PROCESS: &str = "process_";

/// The device, ready to be written.
#[derive(Debug)]
pub struct Node {
    /// What the agent's own names begin with.
    namespace: String,
    scratch: Scratch,
    figures: kernel::Figures,
    /// What the last reading for `cpu` had for `stat`.
    stat_figures: Option<cpu::Figures>,
    /// Which part the buffer holds.
    held: Option<usize>,
    mark: Mark,
    is_successful: [bool; COLLECTORS.len()],
    took_us: [u64; COLLECTORS.len()],
    stat: Source,
    meminfo: Source,
    vmstat: Source,
    diskstats: Source,
    os: kernel::Os,
    /// What was found for the agent's own part of the page, for `timex`.
    discipline: Option<Discipline>,
    small: kernel::Sources,
    networks: Networks,
    filesystems: Filesystems,
    zones: Zones,
    textfiles: Textfiles,
}

impl Node {
    /// Parts of a page.
    pub const PARTS: usize = COLLECTORS.len() + 1;

    /// What `settings` point to. Nothing is read yet.
    pub fn new(settings: &Settings) -> Self {
        let (proc_root, sys_root) = (&settings.proc_root, &settings.sys_root);
        let interfaces = Choice::new(
            &settings.metrics_interfaces_include,
            &settings.metrics_interfaces_exclude,
        );
        let mounts = Choice::new(
            &settings.metrics_mounts_include,
            &settings.metrics_mounts_exclude,
        );
        Self {
            namespace: [&settings.metrics_namespace, "_"].concat(),
            scratch: Scratch::new(),
            figures: kernel::Figures::default(),
            stat_figures: None,
            held: None,
            mark: Mark::default(),
            is_successful: [false; COLLECTORS.len()],
            took_us: [0; COLLECTORS.len()],
            stat: Source::table(proc_root, "stat", SHORT_LINE_BYTES),
            meminfo: Source::table(proc_root, "meminfo", SHORT_LINE_BYTES),
            vmstat: Source::list(proc_root, "vmstat"),
            diskstats: Source::table(proc_root, "diskstats", SHORT_LINE_BYTES),
            os: kernel::Os::new(settings.etc_dir(), &settings.rootfs),
            discipline: None,
            small: kernel::Sources::new(proc_root),
            networks: Networks::new(proc_root, sys_root, interfaces),
            filesystems: Filesystems::new(proc_root, &settings.rootfs, mounts),
            zones: Zones::new(sys_root),
            textfiles: Textfiles::new(settings.metrics_textfile_dir.clone()),
        }
    }

    /// Takes what was found of the clock for the page that begins, so that it is not asked twice.
    pub fn know(&mut self, discipline: Option<Discipline>) {
        self.discipline = discipline;
    }

    /// Writes part `part` from its first line; `out` passes over what earlier pieces held.
    pub fn write(&mut self, part: usize, out: &mut Lines<'_>) -> Result<(), Full> {
        let Some(name) = COLLECTORS.get(part) else {
            return self.write_scrape(out);
        };
        if out.from_line() == 0 || self.held != Some(part) {
            self.scratch.clear();
            self.figures = kernel::Figures::default();
            self.mark = Mark::default();
            self.took_us[part] = 0;
            self.is_successful[part] = self.load(name) && !self.scratch.is_cut();
            self.held = Some(part);
        }
        let mut mark = self.mark;
        let mut page = Page {
            out,
            mark: &mut mark,
        };
        let written = self.write_part(name, &mut page);
        self.mark = mark;
        written
    }

    /// Notes that the last [`Node::write`], of part `part`, took so long.
    pub fn took(&mut self, part: usize, us: u64) {
        if let Some(took_us) = self.took_us.get_mut(part) {
            *took_us += us;
        }
    }

    fn load(&mut self, name: &str) -> bool {
        let (scratch, figures) = (&mut self.scratch, &mut self.figures);
        match name {
            "conntrack" => self.small.conntrack(figures),
            "cpu" => {
                let (is_whole, stat_figures) = cpu::load(scratch, &mut self.stat);
                self.stat_figures = Some(stat_figures);
                is_whole
            }
            "diskstats" => disk::load(scratch, &mut self.diskstats),
            "filefd" => self.small.files(figures),
            "filesystem" => self.filesystems.load(scratch),
            "loadavg" => self.small.load(figures),
            "meminfo" => memory::load(scratch, &mut self.meminfo),
            "netclass" => self.networks.load_state(scratch),
            "netdev" => self.networks.load(scratch),
            "os" => self.os.load(scratch),
            "pressure" => self.small.pressure(figures),
            "stat" => {
                let known = self.stat_figures.take();
                let stat = known.unwrap_or_else(|| cpu::load(scratch, &mut self.stat).1);
                figures[..stat.len()].copy_from_slice(&stat);
                stat.iter().all(Option::is_some)
            }
            "textfile" => {
                let namespace = &self.namespace;
                self.textfiles
                    .load(scratch, &|name| is_ours(name, namespace))
            }
            "thermal_zone" => self.zones.load(scratch),
            "time" => kernel::time(figures),
            "timex" => kernel::timex(figures, self.discipline.take()),
            "vmstat" => memory::load_vmstat(scratch, &mut self.vmstat),
            _ => true,
        }
    }

    fn write_part(&self, name: &str, page: &mut Page<'_, '_>) -> Result<(), Full> {
        let (scratch, figures) = (&self.scratch, &self.figures);
        match name {
            "conntrack" => page.figures(kernel::CONNTRACK, figures),
            "cpu" => cpu::write(page, scratch),
            "diskstats" => disk::write(page, scratch),
            "filefd" => page.figures(kernel::FILES, figures),
            "filesystem" => filesystem::write(page, scratch),
            "loadavg" => page.figures(kernel::LOAD, figures),
            "meminfo" => memory::write(page, scratch),
            "netclass" => network::write_state(page, scratch),
            "netdev" => network::write(page, scratch),
            "os" => self.os.write(page),
            "pressure" => page.figures(kernel::PRESSURE, figures),
            "stat" => page.figures(cpu::FIGURES, figures),
            "textfile" => self.textfiles.write(page, scratch),
            "thermal_zone" => thermal::write(page, scratch),
            "time" => page.figures(kernel::TIME, figures),
            "timex" => page.figures(kernel::TIMEX, figures),
            "uname" => kernel::write_uname(page),
            "vmstat" => memory::write_vmstat(page, scratch),
            _ => Ok(()),
        }
    }

    fn write_scrape(&self, out: &mut Lines<'_>) -> Result<(), Full> {
        for (at, family) in SCRAPE.iter().enumerate() {
            out.family([PREFIX, family.0], family.1, family.2)?;
            for (collector, name) in COLLECTORS.iter().enumerate() {
                let number = if at == 0 {
                    Number::Decimal(self.took_us[collector], 6)
                } else {
                    Number::from(self.is_successful[collector])
                };
                let labels = [("collector", name.as_bytes())];
                out.sample([PREFIX, family.0], &labels, number)?;
            }
        }
        Ok(())
    }
}

/// Whether a family of this name is or may be on the page anyway.
fn is_ours(name: &[u8], namespace: &str) -> bool {
    let starts = |prefix: &str| name.starts_with(prefix.as_bytes());
    let prefixes = [namespace, PROCESS, memory::MEMORY, memory::VMSTAT];
    if prefixes.into_iter().any(starts) {
        return true;
    }
    let Some(name) = name.strip_prefix(PREFIX.as_bytes()) else {
        return false;
    };
    TABLES
        .iter()
        .any(|table| table.iter().any(|family| family.0.as_bytes() == name))
}

#[cfg(test)]
mod tests;
