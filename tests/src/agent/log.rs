//! What an agent says, line by line, as it says it.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::hub::{self, json};
use crate::wait::{TimedOut, lock};

/// How many lines are shown when something was awaited in vain.
const TAIL: usize = 15;

/// One line of the agent's standard output.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// As it came, without its line end.
    pub text: String,
    /// As JSON, if it is; an object that names a field twice is not.
    pub json: Option<Value>,
}

impl LogLine {
    fn new(text: String) -> Self {
        let json = json::parse(text.as_bytes()).ok();
        Self { text, json }
    }

    /// A field, if the line is a JSON object that has it.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.json.as_ref()?.get(name)
    }

    /// A field that is a string; empty if there is none.
    pub fn str(&self, name: &str) -> &str {
        self.field(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// When it was written, in Unix milliseconds, if it says so.
    pub fn time_ms(&self) -> Option<u64> {
        hub::timestamp_ms(self.str("timestamp"))
    }

    pub fn msg(&self) -> &str {
        self.str("msg")
    }

    pub fn level(&self) -> &str {
        self.str("level")
    }
}

#[derive(Debug, Default)]
struct Heard {
    out: Vec<LogLine>,
    err: Vec<String>,
    /// Streams that ended, of two.
    ended: u8,
}

/// Both streams of an agent.
#[derive(Debug, Default)]
pub(super) struct Output {
    heard: Mutex<Heard>,
    changed: Condvar,
}

impl Output {
    /// Reads standard output to its end.
    pub(super) fn listen_out(&self, stream: impl Read) {
        self.listen(stream, |heard, line| heard.out.push(LogLine::new(line)));
    }

    /// Reads standard error to its end.
    pub(super) fn listen_err(&self, stream: impl Read) {
        self.listen(stream, |heard, line| heard.err.push(line));
    }

    fn listen(&self, stream: impl Read, mut keep: impl FnMut(&mut Heard, String)) {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            keep(&mut lock(&self.heard), line);
            self.changed.notify_all();
        }
        lock(&self.heard).ended += 1;
        self.changed.notify_all();
    }

    pub(super) fn lines(&self) -> Vec<LogLine> {
        lock(&self.heard).out.clone()
    }

    pub(super) fn errors(&self) -> Vec<String> {
        lock(&self.heard).err.clone()
    }

    /// The first line from number `from` on that is wanted. Fails at once when the agent can say
    /// nothing more.
    pub(super) fn wait_for(
        &self,
        from: usize,
        wanted: impl Fn(&LogLine) -> bool,
        timeout: Duration,
    ) -> Result<LogLine, TimedOut> {
        let mut next = from;
        let look = |heard: &Heard| {
            let found = heard
                .out
                .iter()
                .skip(next)
                .find(|line| wanted(line))
                .cloned();
            next = next.max(heard.out.len());
            match found {
                None if heard.ended == 2 => Some(None),
                None => None,
                found => Some(found),
            }
        };
        match self.wait(timeout, look) {
            Some(Some(line)) => Ok(line),
            Some(None) => Err(self.missing("the agent ended without the wanted line")),
            None => Err(self.missing(&format!("waited {timeout:?} for a line of the log"))),
        }
    }

    /// Waits until both streams ended. False if they did not in time.
    pub(super) fn wait_for_end(&self, timeout: Duration) -> bool {
        self.wait(timeout, |heard| (heard.ended == 2).then_some(()))
            .is_some()
    }

    fn wait<T>(&self, timeout: Duration, mut look: impl FnMut(&Heard) -> Option<T>) -> Option<T> {
        let end = Instant::now() + timeout;
        let mut heard = lock(&self.heard);
        loop {
            if let Some(found) = look(&heard) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(heard, left);
            heard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Words, and the last that was heard.
    pub(super) fn missing(&self, words: &str) -> TimedOut {
        TimedOut(format!("{words}; the last it said:\n{}", self.tail()))
    }

    pub(super) fn tail(&self) -> String {
        let heard = lock(&self.heard);
        let last = |count: usize| count.saturating_sub(TAIL);
        let out = heard
            .out
            .iter()
            .skip(last(heard.out.len()))
            .map(|line| format!("  {}", line.text));
        let err = heard
            .err
            .iter()
            .skip(last(heard.err.len()))
            .map(|line| format!("  stderr: {line}"));
        let lines: Vec<String> = out.chain(err).collect();
        if lines.is_empty() {
            "  nothing".into()
        } else {
            lines.join("\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn output(out: &str, err: &str) -> Output {
        let output = Output::default();
        output.listen_out(out.as_bytes());
        output.listen_err(err.as_bytes());
        output
    }

    #[test]
    fn lines_are_read_as_json_where_they_are() {
        let output = output("{\"msg\":\"hello\",\"n\":1}\nplain\n", "");
        let lines = output.lines();
        assert_eq!((lines[0].msg(), lines[0].level()), ("hello", ""));
        assert_eq!(lines[0].field("n"), Some(&1.into()));
        assert_eq!((lines[1].text.as_str(), lines[1].msg()), ("plain", ""));
        assert_eq!(LogLine::new("{\"n\":1,\"n\":1}".into()).json, None);
    }

    #[test]
    fn a_line_is_found_from_where_one_looks() {
        let output = output("a 1\nb\na 2\n", "");
        let is_a = |line: &LogLine| line.text.starts_with('a');
        assert_eq!(output.wait_for(0, is_a, SECOND).unwrap().text, "a 1");
        assert_eq!(output.wait_for(1, is_a, SECOND).unwrap().text, "a 2");
    }

    #[test]
    fn an_agent_that_ended_is_not_waited_for() {
        let words = output("{}\n", "it broke\n")
            .wait_for(0, |_| false, 600 * SECOND)
            .unwrap_err();
        assert!(words.0.contains("stderr: it broke"), "{words}");
    }
}
