//! Takes secrets out of the command line and the environment of this process.
//!
//! Whoever may look at `/proc/PID/cmdline` or `environ` would read them there for as long as the
//! process lives, and neither can be taken back from inside. So the program executes itself once
//! more, same process, with both cleaned, and hands the secrets over through a pipe.
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
use crate::config::{Given, Origin, Sources, load, process_environment, variables};

/// Names the pipe's descriptor to the program that comes after.
const VARIABLE: &str = "MOTE_HANDED_FD";
/// A pipe takes this much without a reader (pipe(7)).
const PIPE_BYTES: usize = 64 * 1024;

/// Executes the program again if a secret can be seen; comes back only if that cannot be done.
///
/// Call it with the secrets that were handed over already in `sources`: then there is nothing to
/// do.
pub fn hide_secrets(sources: &mut Sources) {
    let seen_in_line = sources.line.flags.iter().any(|(key, _)| key.secret);
    let secrets = KEYS.iter().filter(|key| key.secret);
    let mut names = secrets
        .flat_map(variables)
        .filter(|name| std::env::var_os(name).is_some());
    if !seen_in_line && names.next().is_none() {
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

/// Comes back with the reason only if the program could not be executed.
fn execute_again(sources: &Sources) -> io::Result<io::Error> {
    let program = std::env::current_exe()?;
    let (read, write) = nix::unistd::pipe()?;
    let message = pack(sources);
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

/// The secrets that count, and what is to be said about them: fields that end with NUL.
fn pack(sources: &Sources) -> Vec<u8> {
    let mut message = Vec::new();
    let mut add = |fields: [&str; 3]| {
        for field in fields {
            message.extend_from_slice(field.as_bytes());
            message.push(0);
        }
    };
    // A configuration that is wrong is wrong in the next program too, and said there.
    let Ok(loaded) = load(sources, &process_environment) else {
        for (key, text) in sources.line.flags.iter().filter(|(key, _)| key.secret) {
            add([key.path, &Origin::Flag(key.flag).to_string(), text]);
        }
        return message;
    };
    for given in loaded.given.iter().filter(|given| given.key.secret) {
        if !matches!(given.origin, Origin::File(..)) {
            add([given.key.path, &given.origin.to_string(), &given.text]);
        }
    }
    for warning in loaded
        .warnings
        .iter()
        .filter(|warning| mentions_secret(&warning.words))
    {
        add(["", "", &warning.words]);
    }
    message
}

/// Whether a warning is about a variable that the next program will not see.
fn mentions_secret(words: &str) -> bool {
    let mut names = KEYS.iter().filter(|key| key.secret).flat_map(variables);
    names.any(|name| words.contains(&format!("{name} in the environment")))
}

/// Takes what the program before this one handed over.
pub fn take_handed(sources: &mut Sources) {
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
        let [path, origin, text] = [triple[0], triple[1], triple[2]].map(String::from_utf8_lossy);
        match KEYS.iter().find(|key: &&Key| key.path == path) {
            Some(key) => sources.handed.push(Given {
                key,
                text: text.into_owned(),
                origin: Origin::Handed(origin.into_owned()),
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
        let message = pack(&sources);
        let mut next = Sources::default();
        unpack(&message, &mut next);
        assert_eq!(next.handed.len(), 1);
        assert_eq!(next.handed[0].text, "s3cret\nwith a line");
        assert_eq!(next.handed[0].origin.to_string(), "--api-key");
        unpack(b"api_key\0cut", &mut next);
        assert_eq!(next.handed.len(), 1, "half a message gives nothing");
    }
}
