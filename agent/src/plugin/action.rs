//! What is to be done once, and what came of it: the same for a plugin that runs for it and for one
//! that stands.

use mote_core::json;

use super::live::Verdict;
use super::quote::quote;
use super::reaper::End;

/// Most of an action's output that is kept.
pub const OUTPUT_BYTES: usize = 64 * 1024;

/// Tells runs apart, in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunId(pub u64);

/// An instruction to execute something.
#[derive(Debug, Clone, Copy, Default)]
pub struct Action<'a> {
    /// The instruction's id.
    pub id: &'a str,
    /// The plugin: the name of its folder, or the id in its manifest.
    pub plugin_id: &'a str,
    /// What is run of a plugin without a manifest.
    pub entrypoint: Option<&'a str>,
    /// Its arguments, passed on one by one: no shell reads them.
    pub arguments: &'a [String],
    /// Its environment, besides what every plugin gets.
    pub environment: &'a [(String, String)],
    /// For the whole; 0 is as long as plugins may.
    pub timeout_ms: u64,
    /// A JSON object.
    pub input_data: Option<&'a str>,
    /// A JSON object.
    pub context: Option<&'a str>,
    /// A JSON object.
    pub variables: Option<&'a str>,
    /// Handed on as `MOTE_CORRELATION_ID`.
    pub correlation_id: Option<&'a str>,
    /// Handed on as `TRACEPARENT` (W3C trace context).
    pub traceparent: Option<&'a str>,
}

impl Action<'_> {
    /// `{"input_data":…,"context":…,"variables":…}`; `None` if it has none of them.
    pub(super) fn input(&self) -> Option<String> {
        let parts = [self.input_data, self.context, self.variables];
        if parts.iter().all(Option::is_none) {
            return None;
        }
        let [input_data, context, variables] = parts.map(|part| part.unwrap_or("{}"));
        Some(format!(
            "{{\"input_data\":{input_data},\"context\":{context},\"variables\":{variables}}}"
        ))
    }

    /// The variables that follow the instruction.
    pub(super) fn trace(&self) -> Vec<(String, String)> {
        let given = [
            ("MOTE_CORRELATION_ID", self.correlation_id),
            ("TRACEPARENT", self.traceparent),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, text)| Some((name, text?)));
        // A NUL cannot be part of an environment.
        let given = given.filter(|(_, text)| !text.contains('\0'));
        given
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect()
    }

    /// The line by which a standing plugin is told to do it.
    pub(super) fn request(&self, timeout_ms: u64) -> Vec<u8> {
        let mut line = Vec::from(*b"{\"action\":\"execute_action\",\"action_request\":{\"id\":");
        quote(&mut line, self.id);
        line.extend_from_slice(b",\"type\":");
        let input = self
            .input_data
            .and_then(|text| json::read(text.as_bytes(), text.len()).ok());
        let kind = input.and_then(|input| input.present("type")?.as_str());
        match kind {
            Some(kind) => line.extend_from_slice(kind.raw().as_bytes()),
            None => {
                quote(&mut line, self.plugin_id);
            }
        }
        let seconds = timeout_ms.div_ceil(1000);
        let rest = format!(
            ",\"parameters\":{},\"context\":{},\"variables\":{},\"timeout\":{seconds},\"metadata\":{{",
            self.input_data.unwrap_or("{}"),
            self.context.unwrap_or("{}"),
            self.variables.unwrap_or("{}"),
        );
        line.extend_from_slice(rest.as_bytes());
        if let Some(correlation_id) = self.correlation_id {
            line.extend_from_slice(b"\"correlation_id\":");
            quote(&mut line, correlation_id);
        }
        line.extend_from_slice(b"}}}");
        // One line is one request: text from outside may have been written over several.
        for byte in &mut line {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        line
    }
}

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It did what it was asked to.
    Completed,
    /// It did not.
    Failed,
    /// It took too long and was killed.
    TimedOut,
    /// The agent stopped meanwhile.
    Interrupted,
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Which.
    pub run: RunId,
    /// How it ended.
    pub status: Status,
    /// Its exit code, if it was a process of its own that ended.
    pub exit_code: Option<i32>,
    /// Its output: a JSON object of about [`OUTPUT_BYTES`] at most.
    pub output: String,
    /// Why it did not complete.
    pub error: Option<String>,
    /// The last lines that it said.
    pub logs: Vec<String>,
    /// Wall clock at its start, milliseconds since 1970.
    pub started_ms: u64,
    /// Wall clock at its end.
    pub ended_ms: u64,
    /// Milliseconds that it took, by a clock that does not jump.
    pub duration_ms: u64,
}

/// The status of a process that ended, and why if not well.
pub(super) fn judge(verdict: Option<&Verdict>, end: Option<End>) -> (Status, Option<String>) {
    match (verdict, end) {
        (Some(Verdict::TimedOut(ms)), _) => {
            let words = format!("took longer than {ms} ms and was killed");
            (Status::TimedOut, Some(words))
        }
        (Some(Verdict::Stopped), _) => {
            let words = "interrupted: may or may not have run".to_owned();
            (Status::Interrupted, Some(words))
        }
        (Some(verdict), _) => (Status::Failed, Some(verdict.words())),
        (None, Some(End::Code(0))) => (Status::Completed, None),
        (None, Some(end)) => (Status::Failed, Some(end.words())),
        (None, None) => (Status::Failed, Some("cannot be killed".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_of_json_whatever_it_is_made_of() {
        let action = Action {
            id: "i-1",
            plugin_id: "service",
            input_data: Some("{\n \"type\": \"restart\",\n \"name\": \"x\"}"),
            variables: Some("{\"v\":1}"),
            correlation_id: Some("c\"1"),
            ..Action::default()
        };
        let line = action.request(1_500);
        assert!(!line.contains(&b'\n'));
        let object = json::read(&line, 10_000).unwrap();
        let request = object.get("action_request").unwrap().as_object().unwrap();
        assert!(request.get("type").unwrap().as_str().unwrap().is("restart"));
        assert_eq!(request.get("timeout").unwrap().raw(), "2");
        assert_eq!(request.get("context").unwrap().raw(), "{}");
        assert_eq!(request.get("variables").unwrap().raw(), "{\"v\":1}");
        let input = action.input().unwrap();
        assert!(
            json::read(input.as_bytes(), 10_000)
                .unwrap()
                .get("context")
                .is_some()
        );
        assert_eq!(Action::default().input(), None);
    }

    #[test]
    fn a_timeout_is_no_failure_of_the_plugins_own() {
        let end = Some(End::Signal(9));
        assert_eq!(judge(Some(&Verdict::TimedOut(5)), end).0, Status::TimedOut);
        assert_eq!(judge(Some(&Verdict::Stopped), end).0, Status::Interrupted);
        assert_eq!(judge(None, Some(End::Code(0))), (Status::Completed, None));
        let (status, words) = judge(None, Some(End::Code(3)));
        assert_eq!(
            (status, words.as_deref()),
            (Status::Failed, Some("ended with code 3"))
        );
    }
}
