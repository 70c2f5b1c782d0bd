//! Who has a port: looked up in `/proc` when it turns out to be taken.
//!
//! Kernel documentation: `Documentation/networking/proc_net_tcp.rst`. A listening socket is found
//! by its port, its inode then among the descriptors of the processes that we may look at. Where
//! that is nobody, nothing is said: this is a courtesy to whoever reads the log.

use std::fs;
use std::io::Read;
use std::path::Path;

/// Lines of sockets are about 150 bytes; this is enough for any device that mote is for.
const TABLE_BYTES: u64 = 1024 * 1024;
/// Processes that are looked at.
const PROCESSES: usize = 4096;

/// The name and number of a process that listens on `port`, as `name (123)`.
pub fn of_port(proc_root: &Path, port: u16) -> Option<String> {
    let table = |name: &str| {
        let mut text = String::new();
        let file = fs::File::open(proc_root.join("net").join(name)).ok()?;
        file.take(TABLE_BYTES).read_to_string(&mut text).ok()?;
        inode(&text, port).map(str::to_owned)
    };
    let link = format!("socket:[{}]", table("tcp").or_else(|| table("tcp6"))?);
    let processes = fs::read_dir(proc_root).ok()?;
    let mut processes = processes.flatten().take(PROCESSES).filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, entry.path()))
    });
    processes.find_map(|(pid, folder)| {
        let mut files = fs::read_dir(folder.join("fd")).ok()?.flatten();
        files.find(|file| {
            fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == link.as_str())
        })?;
        let name = fs::read_to_string(folder.join("comm")).ok()?;
        Some(format!("{} ({pid})", name.trim()))
    })
}

/// The inode of the socket that listens on `port`.
fn inode(table: &str, port: u16) -> Option<&str> {
    let port = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        (local.ends_with(&port) && state == "0A").then_some(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
   0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 111 1 0 20 4 30 10 -1\n\
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0\n\
   2: 00000000:0016 00000000:0000 0A 00000000";

    #[test]
    fn the_listening_socket_is_found_and_no_other() {
        assert_eq!(inode(TABLE, 8080), Some("222"));
        assert_eq!(inode(TABLE, 0xC350), None);
        assert_eq!(inode(TABLE, 22), None, "cut");
    }

    #[test]
    fn the_owner_of_a_port_is_this_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = of_port(Path::new("/proc"), port).unwrap();
        assert!(
            found.ends_with(&format!("({})", std::process::id())),
            "{found}"
        );
    }
}
