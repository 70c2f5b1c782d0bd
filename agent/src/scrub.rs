//! Takes secrets out of the command line and the environment of this process.
//!
//! Whoever may look at `/proc/PID/cmdline` or `environ` would read them there for as long as the
//! process lives, and neither can be taken back from inside. So the program executes itself once
//! more, same process, with both cleaned, and hands the secrets over through a pipe. Every command
//! does that that reads a configuration: `status --watch` may live as long as the agent.
//!
//! Where /proc is not there the program cannot find itself; it then goes on as it is and says so.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use signal_hook::consts::SIGPIPE;
use signal_hook::flag;

use crate::config::keys::{KEYS, Key};
use crate::config::{Given, Origin, Sources, near, process_environment, variables};

/// Names the pipe's descriptor to the program that comes after.
pub const VARIABLE: &str = "MOTE_HANDED_FD";
/// A pipe takes this much without a reader (pipe(7)).
const PIPE_BYTES: usize = 64 * 1024;

/// Takes the secrets that the program before this one handed over. Executes the program again if one
/// can be seen; comes back only if that cannot be done.
pub fn hide_secrets(sources: &mut Sources) {
    take_handed(sources);
    let mut flags = sources.line.flags.iter();
    let seen_in_line = flags.any(|(key, text)| is_secret(key, text));
    let seen = |key: &Key| {
        let mut values = variables(key).into_iter().filter_map(std::env::var_os);
        values.any(|value| is_secret(key, &value.to_string_lossy()))
    };
    if !seen_in_line && !KEYS.iter().any(seen) {
        return;
    }
    let error = execute_again(sources).unwrap_or_else(|error| error);
    // std gives SIGPIPE its default back before it executes, and then leaves it so: the first guest
    // or plugin that hangs up would end the agent.
    let _ = flag::register(SIGPIPE, Arc::default());
    sources.handed_warnings.push(format!(
        "the key can be seen in /proc by other users of this device ({error}): put it into the \
         file and give no flag or variable"
    ));
}

/// Whether nobody is to see it: of a proxy, only its password.
fn is_secret(key: &Key, text: &str) -> bool {
    key.secret && !text.is_empty() && (key.path != "proxy" || text.contains('@'))
}

/// Comes back with the reason only if the program could not be executed.
fn execute_again(sources: &Sources) -> io::Result<io::Error> {
    let mut program = std::env::current_exe()?;
    if !program.exists() {
        // It was removed or replaced. Only then: the process would be called `exe`.
        program = "/proc/self/exe".into();
    }
    let (read, write) = nix::unistd::pipe()?;
    let message = pack(sources).map_err(io::Error::other)?;
    if message.len() > PIPE_BYTES {
        return Err(io::Error::other("it is too long"));
    }
    File::from(write).write_all(&message)?;
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(without_secrets(arguments));
    for name in KEYS.iter().filter(|key| key.secret).flat_map(variables) {
        command.env_remove(name);
    }
    // The descriptor stays open across exec: pipe(2) without O_CLOEXEC.
    command.env(VARIABLE, read.as_raw_fd().to_string());
    Ok(command.exec())
}

/// The arguments but for the flags that carry secrets.
fn without_secrets(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut skip_value = false;
    for argument in arguments {
        if std::mem::take(&mut skip_value) {
            continue;
        }
        match secret_flag(&argument) {
            Some(true) => {}
            Some(false) => skip_value = true,
            None => kept.push(argument),
        }
    }
    kept
}

/// Whether `argument` is a flag that carries a secret, and if so, whether its value is in it.
fn secret_flag(argument: &OsStr) -> Option<bool> {
    let text = argument.to_string_lossy();
    let flag = text.strip_prefix("--")?;
    let (name, has_value) = match flag.split_once('=') {
        Some((name, _)) => (name, true),
        None => (flag, false),
    };
    KEYS.iter()
        .any(|key| key.secret && key.flag == name && !name.is_empty())
        .then_some(has_value)
}

/// The secrets that count, and what is to be said about them: fields that end with NUL. No file is
/// opened for it: what comes through a pipe can be read once, and the next program does.
fn pack(sources: &Sources) -> Result<Vec<u8>, String> {
    let mut message = Vec::new();
    let mut add = |fields: [&str; 3]| {
        for field in fields {
            message.extend_from_slice(field.as_bytes());
            message.push(0);
        }
    };
    let mut warnings = Vec::new();
    for key in KEYS.iter().filter(|key| key.secret) {
        if let Some(given) = near(&sources.line, key, &process_environment, &mut warnings)? {
            let variable = match &given.origin {
                Origin::Environment(name) => name,
                _ => "",
            };
            add([key.path, variable, &given.text]);
        }
    }
    // They are about variables that the next program will not see.
    for warning in &warnings {
        add(["", "", &warning.words]);
    }
    Ok(message)
}

/// Takes what the program before this one handed over.
fn take_handed(sources: &mut Sources) {
    let Some(number) = process_environment(VARIABLE).and_then(|text| text.into_string().ok())
    else {
        return;
    };
    let Ok(descriptor) = number.parse::<i32>() else {
        return;
    };
    let mut message = Vec::new();
    let path = PathBuf::from(format!("/proc/self/fd/{descriptor}"));
    let is_pipe = std::fs::metadata(&path)
        .is_ok_and(|found| std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type()));
    if descriptor <= 2 || !is_pipe {
        return;
    }
    let read =
        File::open(path).and_then(|pipe| pipe.take(PIPE_BYTES as u64).read_to_end(&mut message));
    let _ = nix::unistd::close(descriptor);
    if read.is_ok() {
        unpack(&message, sources);
    }
}

fn unpack(message: &[u8], sources: &mut Sources) {
    let fields: Vec<&[u8]> = message.split(|byte| *byte == 0).collect();
    for triple in fields.chunks_exact(3) {
        let [path, variable, text] = [triple[0], triple[1], triple[2]].map(String::from_utf8_lossy);
        match KEYS.iter().find(|key: &&Key| key.path == path) {
            Some(key) => sources.handed.push(Given {
                key,
                text: text.into_owned(),
                origin: match &*variable {
                    "" => Origin::Flag(key.flag),
                    name => Origin::Environment(name.to_owned()),
                },
            }),
            None => sources.handed_warnings.push(text.into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn flags_with_secrets_are_left_out_with_their_values() {
        let arguments = [
            "run",
            "--api-key",
            "s3cret",
            "--interval=1s",
            "--api-key=x",
            "--disk",
            "/",
        ];
        let kept = without_secrets(arguments.iter().map(OsString::from));
        assert_eq!(kept, ["run", "--interval=1s", "--disk", "/"]);
    }

    #[test]
    fn what_is_handed_over_arrives() {
        let mut sources = Sources::default();
        sources
            .line
            .flags
            .push((keys::find("api_key").unwrap(), "s3cret\nwith a line".into()));
        let message = pack(&sources).unwrap();
        let mut next = Sources::default();
        unpack(&message, &mut next);
        assert_eq!(next.handed.len(), 1);
        assert_eq!(next.handed[0].text, "s3cret\nwith a line");
        assert_eq!(next.handed[0].origin.to_string(), "--api-key");
        unpack(b"api_key\0cut", &mut next);
        assert_eq!(next.handed.len(), 1, "half a message gives nothing");
    }
}
