//! An instruction, checked before anything is done with it.

use core::fmt;

use super::is_id;
use crate::json::{Array, Number, Object, Str, Value};

/// However long an instruction wants to run.
const TIMEOUT_LEAST_MS: u64 = 1_000;
const TIMEOUT_MOST_MS: u64 = 86_400_000;
/// More retries than this are as many.
const RETRIES_MOST: u64 = 10;
/// Longest entry point.
pub const ENTRY_POINT_BYTES: usize = 255;
const ARGUMENTS_MOST: usize = 128;
const VARIABLES_MOST: usize = 64;
/// Longest correlation id or traceparent that is passed on.
const CORRELATION_BYTES: usize = 128;

/// What an instruction asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionKind {
    /// Run a plugin.
    Execute,
    /// Install a plugin.
    Install,
    /// Install a newer one in its place.
    Update,
}

/// Whom an instruction must be for, if it says.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// Id of this agent.
    pub agent_id: &'a str,
    /// Whose it is.
    pub organization_id: Option<&'a str>,
}

/// An instruction. Members that are absent or `null` are none; what it does not know it ignores.
#[derive(Debug, Clone, Copy)]
pub struct Instruction<'a> {
    /// Its id, see [`is_id`].
    pub id: &'a str,
    /// The plugin that it is about, see [`is_id`].
    pub plugin_id: &'a str,
    /// What it asks for.
    pub kind: InstructionKind,
    /// A file in the plugin's folder, by a relative path that does not leave it, at most
    /// [`ENTRY_POINT_BYTES`] long.
    pub entry_point: Option<Str<'a>>,
    /// Strings.
    pub arguments: Option<Array<'a>>,
    /// Names that change nothing of what a program loads, with their values, which are strings.
    pub environment: Option<Object<'a>>,
    /// Passed on whole.
    pub input_data: Option<Object<'a>>,
    /// Passed on whole.
    pub context: Option<Object<'a>>,
    /// Passed on whole.
    pub variables: Option<Object<'a>>,
    /// How long it may take, from 1 s to a day.
    pub timeout_ms: Option<u64>,
    /// How often to try again what failed in passing, at most 10.
    pub max_retries: u32,
    /// What it wants to be known by in logs.
    pub correlation_id: Option<&'a str>,
    /// The trace it belongs to (W3C Trace Context).
    pub traceparent: Option<&'a str>,
    /// Where a plugin comes from.
    pub source: Source<'a>,
}

/// Where a plugin is installed from, as the instruction says it; nothing of it is checked but that
/// it is text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Source<'a> {
    /// `plugin_url`, or the older `repository_url`.
    pub url: Option<Str<'a>>,
    /// `plugin_version`, or `branch`.
    pub version: Option<Str<'a>>,
    /// `tag`.
    pub tag: Option<Str<'a>>,
    /// `commit_hash`.
    pub commit_hash: Option<Str<'a>>,
    /// `sub_directory`.
    pub sub_directory: Option<Str<'a>>,
}

/// An instruction that is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused<'a> {
    /// Its id, if it has one by which it can be reported.
    pub id: Option<&'a str>,
    /// Why.
    pub reason: Reason<'a>,
}

/// Why an instruction is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason<'a> {
    /// This member must be an id and is not, or is not there.
    BadId(&'static str),
    /// This member names somebody else.
    NotOurs(&'static str),
    /// This member is not what it should be.
    Wrong(&'static str, &'static str),
    /// There is no such type of instruction.
    UnknownType,
    /// This variable may not be set from outside.
    Variable(&'a str),
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadId(name) => write!(
                f,
                "{name} must be 1 to 64 letters, digits, dots, dashes and underscores"
            ),
            Self::NotOurs(name) => write!(f, "{name} is not this agent's"),
            Self::Wrong(name, wanted) => write!(f, "{name} must be {wanted}"),
            Self::UnknownType => {
                f.write_str("instruction_type must be execute, plugin_install or plugin_update")
            }
            Self::Variable(name) => {
                write!(f, "environment: {name:?} may not be set by an instruction")
            }
        }
    }
}

impl<'a> Instruction<'a> {
    /// Checks an instruction that is to be for `recipient`.
    pub fn read(object: Object<'a>, recipient: Recipient<'_>) -> Result<Self, Refused<'a>> {
        let id = plain_id(object, "id").ok_or(Refused {
            id: None,
            reason: Reason::BadId("id"),
        })?;
        let refused = |reason| Refused {
            id: Some(id),
            reason,
        };
        check_recipient(object, recipient).map_err(refused)?;
        Self::read_body(id, object).map_err(refused)
    }

    fn read_body(id: &'a str, object: Object<'a>) -> Result<Self, Reason<'a>> {
        let configuration = member_object(object, "plugin_configuration")?;
        let part = |name| configuration.and_then(|configuration| configuration.present(name));
        let text = |name| part(name).and_then(Value::as_str);
        let source = Source {
            url: text("plugin_url").or(text("repository_url")),
            version: text("plugin_version").or(text("branch")),
            tag: text("tag"),
            commit_hash: text("commit_hash"),
            sub_directory: text("sub_directory"),
        };
        let timeout_ms = match timeout_ms(object.present("timeout_seconds"))? {
            None => timeout_ms(part("timeout_seconds"))?,
            known => known,
        };
        Ok(Self {
            id,
            plugin_id: plain_id(object, "plugin_id").ok_or(Reason::BadId("plugin_id"))?,
            kind: kind(object, source)?,
            entry_point: entry_point(part("entrypoint"))?,
            arguments: arguments(part("arguments"))?,
            environment: environment(part("environment"))?,
            input_data: member_object(object, "input_data")?,
            context: member_object(object, "context")?,
            variables: member_object(object, "variables")?,
            timeout_ms,
            max_retries: retries(object)?,
            correlation_id: correlation(object, "correlation_id")?,
            traceparent: correlation(object, "traceparent")?,
            source,
        })
    }
}

fn plain_id<'a>(object: Object<'a>, name: &str) -> Option<&'a str> {
    let id = object.present(name)?.as_str()?.plain()?;
    is_id(id).then_some(id)
}

fn check_recipient(object: Object<'_>, recipient: Recipient<'_>) -> Result<(), Reason<'static>> {
    let organization = recipient.organization_id;
    for (name, ours) in [
        ("agent_id", Some(recipient.agent_id)),
        ("organization_id", organization),
        ("tenant_id", organization),
    ] {
        let Some(value) = object.present(name) else {
            continue;
        };
        let is_ours = match (value.as_str(), ours) {
            (Some(text), Some(ours)) => text.is(ours),
            _ => false,
        };
        if !is_ours {
            return Err(Reason::NotOurs(name));
        }
    }
    Ok(())
}

fn kind<'a>(object: Object<'_>, source: Source<'_>) -> Result<InstructionKind, Reason<'a>> {
    let Some(value) = object.present("instruction_type") else {
        return Ok(match source.url {
            Some(_) => InstructionKind::Install,
            None => InstructionKind::Execute,
        });
    };
    match value.as_str().and_then(Str::plain) {
        Some("execute") => Ok(InstructionKind::Execute),
        Some("plugin_install") => Ok(InstructionKind::Install),
        Some("plugin_update") => Ok(InstructionKind::Update),
        _ => Err(Reason::UnknownType),
    }
}

/// A relative path that stays where it is looked up, of plain characters.
fn entry_point(value: Option<Value<'_>>) -> Result<Option<Str<'_>>, Reason<'_>> {
    let Some(value) = value else { return Ok(None) };
    let is_inside = |path: &str| {
        let is_step = |step: &str| !matches!(step, "" | "." | "..");
        path.split('/').all(is_step)
            && !path.starts_with('-')
            && !path.contains(|c: char| c.is_control())
    };
    let path = value.as_str().filter(|path| {
        // Some write a slash with a backslash in front.
        let mut buf = [0; ENTRY_POINT_BYTES];
        path.unescape(&mut buf).is_ok_and(is_inside)
    });
    let wrong = Reason::Wrong("entrypoint", "a file inside the plugin's folder");
    path.ok_or(wrong).map(Some)
}

fn arguments(value: Option<Value<'_>>) -> Result<Option<Array<'_>>, Reason<'_>> {
    let Some(value) = value else { return Ok(None) };
    let wrong = Reason::Wrong("arguments", "a list of at most 128 strings");
    let list = value.as_array().ok_or(wrong)?;
    let are_strings = list.elements().all(|element| element.as_str().is_some());
    let is_short = list.elements().count() <= ARGUMENTS_MOST;
    if are_strings && is_short {
        Ok(Some(list))
    } else {
        Err(wrong)
    }
}

fn environment(value: Option<Value<'_>>) -> Result<Option<Object<'_>>, Reason<'_>> {
    let Some(value) = value else { return Ok(None) };
    let wrong = Reason::Wrong("environment", "an object of at most 64 strings");
    let variables = value.as_object().ok_or(wrong)?;
    if variables.members().count() > VARIABLES_MOST {
        return Err(wrong);
    }
    for (name, value) in variables.members() {
        if value.as_str().is_none() {
            return Err(wrong);
        }
        let plain = name.plain().unwrap_or("");
        if !may_be_set(plain) {
            return Err(Reason::Variable(name.plain().unwrap_or("(escaped)")));
        }
    }
    Ok(Some(variables))
}

/// How variables begin by which loaders and interpreters are told what to load or to run.
const REFUSED_STARTS: &str = "BASH DYLD_ GCONV_ GIT_ GLIBC_ JAVA_ JDK_ LD_ LUA_ MOTE_ NODE_ \
                              OPENSSL_ PERL PYTHON RUBY _JAVA_";

/// Others of that kind, and those that the agent gives itself.
const REFUSED_NAMES: &str = "ENV HOME IFS LOCPATH PATH SHELLOPTS TMPDIR TRACEPARENT";

/// Whether a variable of this name changes nothing of what is loaded or run, nor of what the agent
/// says itself.
#[must_use]
pub fn may_be_set(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_name = !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(is_word)
        && !name.as_bytes()[0].is_ascii_digit();
    is_name
        && !REFUSED_STARTS
            .split(' ')
            .any(|start| name.starts_with(start))
        && !REFUSED_NAMES.split(' ').any(|refused| name == refused)
}

fn timeout_ms(value: Option<Value<'_>>) -> Result<Option<u64>, Reason<'_>> {
    let Some(value) = value else { return Ok(None) };
    let wrong = Reason::Wrong("timeout_seconds", "a number above 0");
    let number = value.as_number().ok_or(wrong)?;
    match number.scaled(3) {
        Some(0) => Err(wrong),
        Some(ms) => Ok(Some(ms.clamp(TIMEOUT_LEAST_MS, TIMEOUT_MOST_MS))),
        None if number.is_negative() => Err(wrong),
        None => Ok(Some(TIMEOUT_MOST_MS)),
    }
}

fn retries(object: Object<'_>) -> Result<u32, Reason<'_>> {
    let Some(value) = object.present("max_retries") else {
        return Ok(0);
    };
    let wrong = Reason::Wrong("max_retries", "a whole number");
    let number = value.as_number().and_then(Number::as_u64);
    let number = number.ok_or(wrong)?.min(RETRIES_MOST);
    Ok(u32::try_from(number).unwrap_or(0))
}

/// What goes into a log and into an environment as it is.
fn correlation<'a>(object: Object<'a>, name: &'static str) -> Result<Option<&'a str>, Reason<'a>> {
    let Some(value) = object.present(name) else {
        return Ok(None);
    };
    let is_plain = |text: &&str| {
        text.len() <= CORRELATION_BYTES && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
    };
    let text = value.as_str().and_then(Str::plain).filter(is_plain);
    let wrong = Reason::Wrong(name, "at most 128 plain characters");
    text.ok_or(wrong).map(Some)
}

fn member_object<'a>(
    object: Object<'a>,
    name: &'static str,
) -> Result<Option<Object<'a>>, Reason<'a>> {
    match object.present(name) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Reason::Wrong(name, "an object")),
    }
}
