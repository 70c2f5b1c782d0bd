//! A real nginx with TLS in front of a plain hub, as people have one.
//!
//! It listens on a free port of 127.0.0.1 and passes everything on. What it saw of each request's
//! TLS is in its access log. Where nginx is not installed the tests that want it are skipped, and
//! say so on standard error, past the test runner's capture; with `CI=true` that is a failure.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, io};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::wait::poll_until;

/// How long it may take to listen.
const START_WITHIN: Duration = Duration::from_secs(10);

/// The port is chosen before nginx opens it, and another program may be faster.
const TRIES: usize = 5;

/// How nginx is to be.
#[derive(Debug, Clone)]
pub struct Front {
    /// The plain hub behind it.
    upstream: SocketAddr,
    /// PEM: its certificate, then those between.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
    /// As in `ssl_protocols`.
    pub protocols: &'static str,
    /// PEM: who signs the certificates that clients must have; with none they need not.
    pub client_ca: Option<PathBuf>,
}

impl Front {
    /// Any client, TLS 1.2 and 1.3.
    pub fn new(upstream: SocketAddr, certificate: &Path, key: &Path) -> Self {
        Self {
            upstream,
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            protocols: "TLSv1.2 TLSv1.3",
            client_ca: None,
        }
    }

    fn configuration(&self, address: SocketAddr) -> String {
        let Self {
            upstream,
            certificate,
            key,
            protocols,
            ..
        } = self;
        let (certificate, key) = (certificate.display(), key.display());
        let clients = match &self.client_ca {
            Some(path) => format!(
                "ssl_verify_client on; ssl_client_certificate {};",
                path.display()
            ),
            None => String::new(),
        };
        // Its workers would be of a user that cannot look into our folder. At the lowest level of
        // security OpenSSL still speaks the versions that nobody should.
        format!(
            "user root;
worker_processes 1;
pid nginx.pid;
error_log stderr notice;
events {{ worker_connections 64; }}
http {{
    log_format tls '$ssl_protocol $ssl_client_verify $ssl_session_reused $status $connection';
    access_log access.log tls;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen {address} ssl;
        ssl_protocols {protocols};
        ssl_ciphers DEFAULT:@SECLEVEL=0;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        {clients}
        location / {{ proxy_pass http://{upstream}; }}
    }}
}}
"
        )
    }
}

/// One request, as nginx saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Like `TLSv1.3`.
    pub protocol: String,
    /// `SUCCESS`, `NONE`, or `FAILED:` and why.
    pub client: String,
    /// A session was resumed.
    pub is_resumed: bool,
    pub status: u16,
    /// Numbered in the order in which they came.
    pub connection: u64,
}

/// A running nginx. It ends when this is dropped.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
}

impl Nginx {
    /// Starts one; none if nginx is not installed, which is said in the name of `test`.
    ///
    /// # Panics
    /// If nginx is not installed where `CI=true` says that it must be.
    pub fn start(test: &str, front: &Front) -> io::Result<Option<Self>> {
        let Some(program) = program() else {
            assert!(
                env::var_os("CI").is_none_or(|ci| ci != "true"),
                "nginx is not installed: apt-get install nginx-light"
            );
            // Whoever closed standard error does not want to know.
            writeln!(io::stderr(), "SKIPPED {test}: nginx is not installed").ok();
            return Ok(None);
        };
        let mut last = io::Error::other("never tried");
        for _ in 0..TRIES {
            match Self::try_start(&program, front) {
                Ok(nginx) => return Ok(Some(nginx)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn try_start(program: &Path, front: &Front) -> io::Result<Self> {
        let dir = TempDir::with_prefix("mote-nginx-")?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let errors = fs::File::create(dir.path().join("error.log"))?;
        let file = dir.path().join("nginx.conf");
        fs::write(&file, front.configuration(address))?;
        let child = Command::new(program)
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(&file)
            .args(["-g", "daemon off;"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()?;
        // From here on a failure drops, and so ends, the child.
        let mut nginx = Self {
            child,
            address,
            dir,
        };
        let ready = poll_until("nginx to listen", START_WITHIN, || {
            let ended = nginx.child.try_wait().is_ok_and(|status| status.is_some());
            (ended || TcpStream::connect(address).is_ok()).then_some(ended)
        });
        match ready {
            Ok(false) => Ok(nginx),
            _ => Err(io::Error::other(format!(
                "nginx did not start: {}",
                nginx.errors()
            ))),
        }
    }

    /// What the agent's `server_url` should be.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Reads certificates and keys again, as after a renewal. Connections that are open end when
    /// they are idle.
    pub fn reload(&self) -> io::Result<()> {
        Ok(kill(self.pid(), Signal::SIGHUP)?)
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Access> {
        let log = fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        log.lines().filter_map(parse_access).collect()
    }

    /// What it complained of.
    fn errors(&self) -> String {
        fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default()
    }

    fn pid(&self) -> Pid {
        // The kernel's process numbers end far below 2^31.
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master takes its worker along. Each may fail only because it has ended already.
        kill(self.pid(), Signal::SIGTERM).ok();
        self.child.wait().ok();
    }
}

/// Where nginx is; its folder is not in every user's `PATH`.
fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .map(|folder| folder.join("nginx"))
        .find(|program| program.is_file())
}

/// A line of the access log; a dot stands for "resumed no session". Client verdicts have blanks.
fn parse_access(line: &str) -> Option<Access> {
    let (protocol, rest) = line.split_once(' ')?;
    let mut words = rest.rsplitn(4, ' ');
    let connection = words.next()?.parse().ok()?;
    let status = words.next()?.parse().ok()?;
    let is_resumed = words.next()? == "r";
    Some(Access {
        protocol: protocol.to_owned(),
        client: words.next()?.to_owned(),
        is_resumed,
        status,
        connection,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_access_log_is_understood() {
        let line = "TLSv1.3 FAILED:unable to verify the first certificate . 400 7";
        let access = Access {
            protocol: "TLSv1.3".into(),
            client: "FAILED:unable to verify the first certificate".into(),
            is_resumed: false,
            status: 400,
            connection: 7,
        };
        assert_eq!(parse_access(line), Some(access));
        assert!(parse_access("TLSv1.2 SUCCESS r 202 8").unwrap().is_resumed);
        assert_eq!(parse_access("TLSv1.2 SUCCESS r 202"), None);
    }

    #[test]
    fn a_configuration_that_is_wrong_is_told() {
        let absent = Path::new("/no/such.pem");
        let front = Front::new(SocketAddr::from(([127, 0, 0, 1], 9)), absent, absent);
        if program().is_some() {
            let words = Nginx::start("-", &front).unwrap_err().to_string();
            assert!(words.contains("/no/such.pem"), "{words}");
        }
    }
}
