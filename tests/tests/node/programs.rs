//! The programs that the page is held against, and the agent that makes it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mote_tests::agent::{AgentBuilder, AgentUnderTest};
use mote_tests::scraped::{self, address_of, free_address};
use mote_tests::wait::poll_until;

use super::LONG;
use super::page::Page;

/// What mote leaves out of its own accord, as the flags that make `node_exporter` do so.
const LEFT_OUT: [&str; 3] = [
    r"--collector.diskstats.device-exclude=^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
    "--collector.filesystem.mount-points-exclude=\
     ^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)\
     |^/srv/nas",
    "--collector.filesystem.fs-types-exclude=\
     ^(autofs|nfs4?|cifs|9p|virtiofs|fuse.*|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|\
     devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|\
     securityfs|selinuxfs|squashfs|sysfs|tracefs)$",
];

const TEXT_FILES: &str = "--collector.textfile.directory=";

/// A program that is killed when dropped, with the address that it listens at.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(mut command: Command, address: SocketAddr) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{program} is needed here: {error}"));
        let server = Self { child, address };
        poll_until(&format!("{program} to listen"), LONG, || {
            TcpStream::connect(address).ok()
        })
        .unwrap();
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// `node_exporter` with the collectors that are offered, and more arguments.
pub(crate) fn node_exporter(arguments: &[String]) -> Server {
    let address = free_address().unwrap();
    let mut command = scraped::node_exporter("prometheus-node-exporter", address);
    // Netlink would answer for this machine, whatever tree is looked at.
    command.arg("--no-collector.netdev.netlink");
    command.args(LEFT_OUT).args(arguments);
    if !arguments.iter().any(|it| it.starts_with(TEXT_FILES)) {
        command.arg(TEXT_FILES);
    }
    Server::start(command, address)
}

/// The same, looking at a tree.
pub(crate) fn node_exporter_at(tree: &Path) -> Server {
    let tree = tree.display();
    node_exporter(&[
        format!("--path.procfs={tree}/proc"),
        format!("--path.sysfs={tree}/sys"),
        format!("--path.rootfs={tree}"),
        format!("--path.udev.data={tree}/no-udev"),
        // All interfaces, as the agent is told to show them.
        "--collector.netdev.device-exclude=".to_owned(),
    ])
}

/// Starts an agent; gives the address of its metrics.
pub(crate) fn start(builder: &AgentBuilder) -> (AgentUnderTest, SocketAddr) {
    let agent = builder.start().unwrap();
    let address = address_of(&agent, LONG).unwrap();
    (agent, address)
}

/// One page, as HTTP/1.0 gives it: to the connection's end. The error is the head of another
/// answer than 200.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    if head.contains(" 200 ") {
        Ok(body.to_owned())
    } else {
        Err(head.to_owned())
    }
}

/// The metrics as text; a while later if they were asked for more often than the agent admits.
pub(crate) fn metrics(address: SocketAddr) -> String {
    poll_until("a page", LONG, || get(address, "/metrics").ok()).unwrap()
}

/// The metrics.
pub(crate) fn scrape(address: SocketAddr) -> Page {
    Page::read(&metrics(address))
}
