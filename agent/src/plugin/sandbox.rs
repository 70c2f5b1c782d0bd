//! The walls around a plugin's process: what it loses between fork and exec.
//!
//! Always: a session and a process group of its own, so that it can be killed whole; only the
//! descriptors 0 to 2; no core dump; SIGKILL when the agent dies (`PR_SET_PDEATHSIG`, prctl(2)).
//! With the sandbox enabled also: `no_new_privs`, no capabilities, files no larger than
//! [`Walls::max_file_bytes`], and another user where the agent is root and one is named. A limit on
//! processes comes with that user only: the kernel counts them by user, and does not count root's.
//!
//! On the processor they come after the agent ([`step_back`], [`hold_back`]): a plugin that forks
//! without end takes no sample's time.
//!
//! What the kernel does not give here is named by [`Walls::describe`], never assumed. Memory, CPU
//! and time are watched from outside, in `tree.rs`: `RLIMIT_AS` would starve an interpreter long
//! before it uses the memory that it maps.
//!
//! This is one of the few places with `unsafe`: the closure that runs in the child, and five
//! system calls that have no safe wrapper.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Pid, Uid, User, getppid, setgroups, setresgid, setresuid, setsid};

/// Processes and threads that a sandbox user may have, all its plugins together.
const PROCESSES: u64 = 256;
/// Capabilities that the kernel may know one day; it has 41 now (capabilities(7)).
const CAPABILITIES: libc::c_ulong = 64;
/// Descriptors that are looked at one by one where `close_range(2)` is missing.
const DESCRIPTORS: i32 = 4096;
/// Of plugins, where the agent has the usual 0 (sched(7)): about a tenth of its share of a processor
/// that both want, all of one that the agent leaves.
const NICENESS: libc::c_int = 10;
/// `_LINUX_CAPABILITY_VERSION_3` of capset(2).
const CAPSET_VERSION: u32 = 0x2008_0522;

/// Who a plugin runs as, if not as the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    name: String,
    uid: Uid,
    gid: Gid,
}

impl Account {
    /// The user of that name, for an agent that may become somebody else.
    pub fn named(name: &str) -> Result<Self, String> {
        if !Uid::effective().is_root() {
            return Err(format!(
                "security.sandbox.user {name}: only root can run plugins as another user: leave \
                 the key out, or run the agent as root"
            ));
        }
        match User::from_name(name) {
            Ok(Some(user)) if user.uid.is_root() => Err(format!(
                "security.sandbox.user {name}: that is root: name a user that may do nothing else"
            )),
            Ok(Some(user)) => Ok(Self {
                name: user.name,
                uid: user.uid,
                gid: user.gid,
            }),
            Ok(None) => Err(format!(
                "security.sandbox.user {name}: no such user: make it, or name another"
            )),
            Err(errno) => Err(format!("security.sandbox.user {name}: {}", errno.desc())),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives a file or folder to the user.
    pub fn own(&self, path: &Path) -> io::Result<()> {
        lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
    }

    /// Lets the user pass a folder: by its group, if it may be changed.
    pub fn let_pass(&self, folder: &Path, may_change: bool) -> io::Result<()> {
        let found = match fs::symlink_metadata(folder) {
            // It will be made, or missed by who needs it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        let passes_as_group = found.gid() == self.gid.as_raw() && found.mode() & 0o010 != 0;
        if !found.is_dir() || found.mode() & 0o001 != 0 || passes_as_group {
            return Ok(());
        }
        if !may_change {
            return Err(io::Error::other("it is closed to others: chmod o+x it"));
        }
        lchown(folder, None, Some(self.gid.as_raw()))?;
        let mode = found.mode() & 0o700 | 0o010;
        fs::set_permissions(folder, Permissions::from_mode(mode))
    }
}

/// What a plugin's process is to lose.
#[derive(Debug, Clone, Default)]
pub struct Walls {
    /// `security.sandbox.enabled`.
    pub enabled: bool,
    /// `security.sandbox.user`.
    pub account: Option<Account>,
    /// Largest file that it may write; 0 is any.
    pub max_file_bytes: u64,
    /// What the configuration asks for and is not there: for people.
    pub missing: Vec<&'static str>,
}

impl Walls {
    /// Makes `command` raise these walls in the child.
    #[expect(
        unsafe_code,
        reason = "std has no safe way to run code between fork and exec"
    )]
    pub fn surround(&self, command: &mut Command) {
        let walls = self.clone();
        let agent = Pid::this();
        // SAFETY: the agent has one thread, so nobody can hold a lock that the child would wait
        // for; what runs makes system calls and neither allocates nor panics.
        unsafe {
            command.pre_exec(move || walls.raise(agent).map_err(io::Error::from));
        }
    }

    /// Runs in the child.
    fn raise(&self, agent: Pid) -> Result<(), Errno> {
        // First of all: until exec it holds whatever the agent held, the lock of its folder too.
        die_with(agent)?;
        setsid()?;
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        if self.enabled {
            if self.max_file_bytes > 0 {
                let bytes = self.max_file_bytes;
                setrlimit(
                    Resource::RLIMIT_FSIZE,
                    bytes as libc::rlim_t,
                    bytes as libc::rlim_t,
                )?;
            }
            drop_bounding_set();
            if let Some(account) = &self.account {
                setrlimit(
                    Resource::RLIMIT_NPROC,
                    PROCESSES as libc::rlim_t,
                    PROCESSES as libc::rlim_t,
                )?;
                setgroups(&[account.gid])?;
                setresgid(account.gid, account.gid, account.gid)?;
                setresuid(account.uid, account.uid, account.uid)?;
            }
            drop_capabilities()?;
            prctl::set_no_new_privs()?;
        }
        // The change of user cleared it.
        die_with(agent)?;
        close_descriptors();
        Ok(())
    }

    /// Each wall, and what stands of it: for people.
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        let off = || "none: security.sandbox.enabled is false".to_owned();
        let when_enabled = |words: &str| {
            if self.enabled {
                words.to_owned()
            } else {
                off()
            }
        };
        let is_root = Uid::effective().is_root();
        let user = match &self.account {
            Some(account) if self.enabled => format!("{} (uid {})", account.name, account.uid),
            _ if is_root => "root, as the agent: name one in security.sandbox.user".to_owned(),
            _ => format!("the agent's own (uid {})", Uid::effective()),
        };
        let files = match self.max_file_bytes {
            0 => "any size".to_owned(),
            bytes => when_enabled(&format!("at most {bytes} bytes each")),
        };
        let processes = if self.enabled && self.account.is_some() {
            format!("at most {PROCESSES} of that user")
        } else {
            "counted each second, without a limit in the kernel".to_owned()
        };
        let mut walls = vec![
            ("session", "its own, killed whole".to_owned()),
            ("descriptors", "0, 1 and 2".to_owned()),
            ("core dumps", "none".to_owned()),
            ("processor", format!("after the agent: nice {NICENESS}")),
            ("user", user),
            ("capabilities", when_enabled("none")),
            ("new privileges", when_enabled("none (no_new_privs)")),
            ("files", files),
            ("processes", processes),
            ("network", "open".to_owned()),
            ("other files", "as that user may".to_owned()),
        ];
        let missing = self.missing.iter();
        walls.extend(missing.map(|words| ("missing", (*words).to_owned())));
        walls
    }
}

/// Whether no memory can be written and then run, as the unit's `MemoryDenyWriteExecute=` has it for
/// the agent and all that it starts: who compiles while it runs dies of that. Asked of the kernel,
/// since it may be done by a filter or by prctl(2), and a drop-in can take it away.
#[expect(unsafe_code, reason = "mmap(2) has no safe wrapper")]
pub(super) fn forbids_compiling() -> bool {
    const BYTES: usize = 1;
    // SAFETY: a page of its own that nobody else knows of, and that goes at once.
    unsafe {
        let page = libc::mmap(
            ptr::null_mut(),
            BYTES,
            libc::PROT_WRITE | libc::PROT_EXEC,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        page == libc::MAP_FAILED || libc::munmap(page, BYTES) != 0
    }
}

/// Makes the process group of a plugin that was just started, and whoever it forks, yield to the
/// agent. Not in the child before exec, for which the agent waits.
#[expect(unsafe_code, reason = "nix has no wrapper for setpriority(2)")]
pub(super) fn step_back(group: i32) {
    let Ok(group) = libc::id_t::try_from(group) else {
        return;
    };
    // SAFETY: the call takes numbers only, and changes no memory. A group that is gone already has
    // nothing to yield.
    unsafe {
        libc::setpriority(libc::PRIO_PGRP as _, group, NICENESS);
    }
}

/// Makes the whole session of a process yield to the agent's, where the kernel deals out the
/// processor to sessions first (the autogroups of sched(7), on most distributions): there the
/// niceness of a process counts in its own session alone.
///
/// To be asked again: the kernel takes one such change in 100 ms from who may not administer the
/// system, and a plugin's process can make another session.
pub(super) fn hold_back(pid: i32) {
    let path = format!("/proc/{pid}/autogroup");
    let mut buffer = [0; 64];
    let read = File::open(&path).and_then(|mut file| file.read(&mut buffer));
    let text = buffer.get(..read.unwrap_or(0)).unwrap_or_default();
    let niceness = NICENESS.to_string();
    // "/autogroup-7 nice 0", or nothing for who is in none.
    let last = text.trim_ascii_end().rsplit(|byte| *byte == b' ').next();
    if !text.is_empty() && last != Some(niceness.as_bytes()) {
        // What is refused now is tried at the next look.
        let _ = fs::write(&path, niceness);
    }
}

/// Whoever lost the agent just before would not hear of it any more, and so looks.
fn die_with(agent: Pid) -> Result<(), Errno> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() == agent {
        Ok(())
    } else {
        Err(Errno::ESRCH)
    }
}

/// So that not even a program that root executes gets one back. It takes `CAP_SETPCAP`; where that
/// is missing, `no_new_privs` does the same.
#[expect(unsafe_code, reason = "nix has no wrapper for PR_CAPBSET_DROP")]
fn drop_bounding_set() {
    for capability in 0..CAPABILITIES {
        // SAFETY: the call takes numbers only, and changes this process alone.
        unsafe {
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
    }
}

#[expect(unsafe_code, reason = "nix has no wrapper for capset(2)")]
fn drop_capabilities() -> Result<(), Errno> {
    let header: [u32; 2] = [CAPSET_VERSION, 0];
    let none: [u32; 6] = [0; 6];
    // SAFETY: version 3 reads a header of two and a set of six 32-bit words, which both arrays
    // are, and writes at most the header's version, which it does not where it knows this one.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    Errno::result(result).map(drop)
}

/// Marks all but 0 to 2 to be closed by exec: the pipe among them by which std hears of a failed
/// exec has to live until then.
#[expect(unsafe_code, reason = "nix has no wrapper for close_range(2)")]
fn close_descriptors() {
    // SAFETY: the flag closes nothing in this process; it takes effect at exec.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3 as libc::c_uint,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if result == 0 {
        return;
    }
    // Before Linux 5.11.
    for descriptor in 3..DESCRIPTORS {
        // SAFETY: sets a flag of a descriptor, if there is such a one; it stays open until exec.
        unsafe {
            libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}
