//! `old-kernel PROGRAM [ARGUMENT]...`: runs a program on a kernel that seems to be of 2013.
//!
//! System calls that Linux has got since 3.10 do not exist for it (ENOSYS), by a filter of
//! seccomp(2). The program's children inherit that. For tests on `x86_64` alone: the numbers are its
//! own.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::libc;

/// What came after 3.10: from 3.11 (`O_TMPFILE` has no number) to 6.x, in the order of numbers.
const NEWER: &[libc::c_long] = &[
    libc::SYS_sched_setattr,
    libc::SYS_sched_getattr,
    libc::SYS_renameat2,
    libc::SYS_seccomp,
    libc::SYS_getrandom,
    libc::SYS_memfd_create,
    libc::SYS_bpf,
    libc::SYS_execveat,
    libc::SYS_userfaultfd,
    libc::SYS_membarrier,
    libc::SYS_mlock2,
    libc::SYS_copy_file_range,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_pkey_mprotect,
    libc::SYS_statx,
    libc::SYS_rseq,
];

/// Numbers from here on are younger than 3.10 in any case: `pidfd_send_signal`, `io_uring`,
/// `clone3`, `close_range`, `openat2`, `pidfd_getfd`, `faccessat2`, `epoll_pwait2`, landlock.
const ALL_NEWER_FROM: u32 = 424;

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.is_empty() || !cfg!(target_arch = "x86_64") {
        eprintln!("usage, on x86_64: old-kernel PROGRAM [ARGUMENT]...");
        return ExitCode::from(64);
    }
    // Prepared before the filter is: it holds from then on for this program too.
    let mut command = Command::new(arguments.remove(0));
    command.args(arguments);
    if let Err(error) = take_away(&filter()) {
        eprintln!("old-kernel: seccomp: {error}");
        return ExitCode::FAILURE;
    }
    let error = command.exec();
    eprintln!("old-kernel: {}: {error}", command.get_program().display());
    ExitCode::FAILURE
}

/// A program for the kernel's old filter machine (seccomp(2), `struct sock_filter`).
fn filter() -> Vec<libc::sock_filter> {
    const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const IF_NOT_BELOW: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let line = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let absent = line(
        RETURN,
        libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned(),
        0,
        0,
    );
    // The number of the call is the first word of what is looked at.
    let mut lines = vec![line(LOAD_WORD, 0, 0, 0)];
    for number in NEWER {
        lines.extend([line(IF_EQUAL, number.cast_unsigned() as u32, 0, 1), absent]);
    }
    lines.extend([line(IF_NOT_BELOW, ALL_NEWER_FROM, 0, 1), absent]);
    lines.push(line(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
    lines
}

#[expect(unsafe_code, reason = "prctl(2) takes the filter by its address")]
fn take_away(filter: &[libc::sock_filter]) -> std::io::Result<()> {
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: both calls read their arguments and keep nothing; `program` and the lines that it
    // points to outlive them, and the kernel does not write to either.
    let failed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
                0,
                0,
            ) != 0
    };
    if failed {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}
