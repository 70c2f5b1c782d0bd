//! What cannot hold when the agent is for another kind of machine and runs under an emulator.
//!
//! `MOTE_RUNNER` names that emulator, qemu-user, and `MOTE_BIN` is then a script that starts the
//! agent with it. The system calls are the real ones. Memory is mostly the emulator's, and one
//! thread is; speed is not the agent's either. And the agent cannot execute itself again, as it
//! does to hide a key of its command line, because the kernel does not know its kind of program.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::{env, fs};

use crate::wait::lock;

/// Threads that qemu-user keeps beside those of the program.
pub(super) const EMULATORS_THREADS: u64 = 1;

/// Whether the agents that are started here run under an emulator.
pub fn is_emulated() -> bool {
    env::var_os("MOTE_RUNNER").is_some()
}

/// Whether `what` is to be left out because it cannot hold under an emulator. Says so, once in a
/// run of the test program, past the test runner's capture.
pub fn left_out(what: &'static str) -> bool {
    static SAID: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    if !is_emulated() {
        return false;
    }
    if lock(&SAID).insert(what) {
        // Whoever closed standard error does not want to know.
        writeln!(io::stderr(), "SKIPPED under emulation: {what}").ok();
    }
    true
}

/// Puts a key that is among these arguments into a file, and that file's path in its place.
pub(super) fn put_key_into_file(arguments: &mut [OsString], file: &Path) -> io::Result<()> {
    if let Some(at) = arguments.iter().position(|word| word == "--api-key")
        && let Some([flag, key]) = arguments.get_mut(at..at + 2)
    {
        fs::write(file, key.as_encoded_bytes())?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
        *flag = "--api-key-file".into();
        *key = file.into();
    }
    Ok(())
}

/// Whether this process is the emulator; helpers of a test, like a shell, are not emulated.
pub(super) fn is_emulator(pid: u32) -> bool {
    let Some(runner) = env::var_os("MOTE_RUNNER") else {
        return false;
    };
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    program.file_name() == Path::new(&runner).file_name()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_into_a_file_of_its_owner_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let mut arguments = ["--interval", "1s", "--api-key", "k-1"].map(OsString::from);
        put_key_into_file(&mut arguments, &file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "k-1");
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let wanted = ["--interval", "1s", "--api-key-file"].map(OsString::from);
        assert_eq!(arguments[..3], wanted);
        assert_eq!(arguments[3], file.as_os_str());
        let before = arguments.clone();
        put_key_into_file(&mut arguments, &file).unwrap();
        assert_eq!(arguments, before);
    }
}
