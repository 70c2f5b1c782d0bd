//! Every message in its published form, and what is made of every answer.

use super::*;
use crate::json;

const US: Recipient<'_> = Recipient {
    agent_id: "a1",
    organization_id: Some("org"),
};

type Room<'a> = &'a mut [u8];

fn written(write: impl FnOnce(&mut Room<'_>) -> bool) -> String {
    let mut buf = vec![0xa5; 4_096];
    let mut out: Room<'_> = &mut buf[..];
    assert!(write(&mut out));
    let left = out.len();
    let used = buf.len() - left;
    let text = String::from_utf8(buf[..used].to_vec()).unwrap();
    json::read(text.as_bytes(), 4_096).unwrap_or_else(|error| panic!("{error}: {text}"));
    text
}

#[test]
fn ids_are_plain() {
    for id in [
        "a",
        "sensor-pi.local_7",
        "0aeb8570-9b0e-4dd5-b567-76261e29f0d7",
        "..a",
    ] {
        assert!(is_id(id), "{id}");
    }
    let long = "x".repeat(65);
    for id in [
        "", ".", "..", "../../x", "a/b", "a b", "ä", "a\0", "a\n", &long,
    ] {
        assert!(!is_id(id), "{id}");
    }
    assert!(is_id(&long[1..]));
}

#[test]
fn a_registration_says_what_is_known() {
    let mut registration = Registration {
        agent_id: "a1",
        name: "A \"one\"",
        agent_type: "sensor",
        organization_id: Some("org"),
        environment: Some("test"),
        region: None,
        version: "1.0.0",
        tags: &["x", "y:z"],
        hostname: "pi",
        arch: "aarch64",
        capabilities: &["triggers"],
    };
    let full = concat!(
        r#"{"agent_id":"a1","name":"A \"one\"","type":"sensor","organization_id":"org","#,
        r#""environment":"test","version":"1.0.0","tags":["x","y:z"],"hostname":"pi","#,
        r#""os":"linux","arch":"aarch64","capabilities":["triggers"]}"#
    );
    assert_eq!(written(|out| registration.write(out).is_ok()), full);
    registration.organization_id = None;
    registration.tags = &[];
    let text = written(|out| registration.write(out).is_ok());
    assert!(text.contains(r#""tags":[]"#) && !text.contains("organization"));
}

#[test]
fn a_heartbeat_has_the_time_and_the_word() {
    let mut beat = Heartbeat {
        wall_ms: 1_751_371_200_000,
        status: HeartbeatStatus::Online,
        audit_head: None,
        warnings: &[],
    };
    assert_eq!(
        written(|out| beat.write(out).is_ok()),
        r#"{"timestamp":"2025-07-01T12:00:00.000Z","status":"online"}"#
    );
    beat.status = HeartbeatStatus::Degraded;
    beat.warnings = &["the token ends in 3 days"];
    beat.audit_head = Some("ab12");
    assert_eq!(
        written(|out| beat.write(out).is_ok()),
        concat!(
            r#"{"timestamp":"2025-07-01T12:00:00.000Z","status":"degraded","#,
            r#""audit_head":"ab12","warnings":["the token ends in 3 days"]}"#
        )
    );
    assert_eq!(HeartbeatStatus::Offline.as_str(), "offline");
}

const LOG: &[Entry<'_>] = &[
    Entry {
        wall_ms: 1_751_371_200_000,
        words: "taken up",
    },
    Entry {
        wall_ms: 1_751_371_200_500,
        words: "said \"x\"\n",
    },
];

#[test]
fn an_instruction_that_is_taken_up_is_reported_with_its_log() {
    assert_eq!(
        written(|out| write_executing(out, LOG).is_ok()),
        concat!(
            r#"{"status":"executing","execution_log":["[2025-07-01T12:00:00.000Z] taken up","#,
            r#""[2025-07-01T12:00:00.500Z] said \"x\"\n"]}"#
        )
    );
}

fn outcome() -> Outcome<'static> {
    Outcome {
        instruction_id: "i1",
        status: OutcomeStatus::Completed,
        start_ms: 1_751_371_200_000,
        end_ms: 1_751_371_201_250,
        duration_ms: 1_250,
        logs: &["one"],
        execution: Some(Execution {
            plugin_id: "p1",
            output_data: r#"{"a": 1}"#,
            exit_code: Some(0),
        }),
        installation: None,
        error_message: None,
        error_details: None,
        execution_log: &[],
        correlation_id: None,
        traceparent: None,
    }
}

#[test]
fn a_result_carries_the_output_untouched() {
    assert_eq!(
        written(|out| outcome().write(out).is_ok()),
        concat!(
            r#"{"status":"completed","result":{"instruction_id":"i1","success":true,"#,
            r#""duration":1.250,"start_time":"2025-07-01T12:00:00.000Z","#,
            r#""end_time":"2025-07-01T12:00:01.250Z","logs":["one"],"#,
            r#""execution_result":{"plugin_id":"p1","success":true,"output_data":{"a": 1},"#,
            r#""logs":["one"],"duration":1.250,"exit_code":0}},"execution_log":[]}"#
        )
    );
}

#[test]
fn a_failure_says_why() {
    let failed = Outcome {
        status: OutcomeStatus::Timeout,
        execution: Some(Execution {
            plugin_id: "p1",
            output_data: "{}",
            exit_code: Some(-9),
        }),
        logs: &[],
        error_message: Some("took longer than 5s"),
        error_details: Some(r#"{"signal":9}"#),
        correlation_id: Some("c-1"),
        ..outcome()
    };
    let text = written(|out| failed.write(out).is_ok());
    for part in [
        r#""status":"timeout""#,
        r#""success":false"#,
        r#""exit_code":-9"#,
        r#""correlation_id":"c-1""#,
        r#""error_message":"took longer than 5s","error_details":{"signal":9}"#,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn an_installation_has_a_form_of_its_own() {
    let installed = Outcome {
        execution: None,
        installation: Some(Installation {
            plugin_id: "p1",
            installed_path: Some("/p/p1"),
            version: Some("2"),
        }),
        ..outcome()
    };
    let text = written(|out| installed.write(out).is_ok());
    assert!(
        text.contains(concat!(
            r#""install_result":{"plugin_id":"p1","success":true,"installed_path":"/p/p1","#,
            r#""version":"2","logs":["one"],"duration":1.250}"#
        )),
        "{text}"
    );
    assert!(!text.contains("execution_result"), "{text}");
}

#[test]
fn events_go_as_they_are() {
    let events = [r#"{"id":"e1"}"#, r#"{ "id" : "e2" }"#];
    assert_eq!(
        written(|out| write_events(out, "a1", events).is_ok()),
        r#"{"agent_id":"a1","events":[{"id":"e1"},{ "id" : "e2" }]}"#
    );
    assert_eq!(
        written(|out| write_events(out, "a1", []).is_ok()),
        r#"{"agent_id":"a1","events":[]}"#
    );
}

#[test]
fn a_full_buffer_is_an_error_at_every_length() {
    let whole = written(|out| outcome().write(out).is_ok()).len();
    for size in 0..whole {
        let mut buf = vec![0; size];
        assert!(outcome().write(&mut &mut buf[..]).is_err(), "{size}");
    }
}

#[test]
fn a_poll_gives_an_instruction_and_the_next_time() {
    let poll = |body: &'static str| Poll::read(body.as_bytes());
    let found = poll(r#"{"instruction":{"id":"i1"},"status":"x","next_poll_interval":5}"#).unwrap();
    assert_eq!(found.instruction.unwrap().raw(), r#"{"id":"i1"}"#);
    assert_eq!(found.next_poll_ms, Some(5_000));
    for (seconds, ms) in [
        ("0", Some(1_000)),
        ("0.5", Some(1_000)),
        ("2.5", Some(2_500)),
        ("1e300", Some(3_600_000)),
        ("86400", Some(3_600_000)),
        ("-1", None),
        ("null", None),
        ("\"5\"", None),
    ] {
        let body = format!(r#"{{"instruction":null,"next_poll_interval":{seconds}}}"#);
        let found = Poll::read(body.as_bytes()).unwrap();
        assert_eq!(found.next_poll_ms, ms, "{seconds}");
        assert_eq!(found.instruction, None);
    }
    assert_eq!(poll("{}").unwrap().instruction, None);
    assert!(poll("").is_err());
    assert!(poll("[]").is_err());
    assert_eq!(
        poll(r#"{"instruction":[]}"#).unwrap_err().to_string(),
        "instruction must be an object or null"
    );
}

#[test]
fn a_result_is_acknowledged_unless_the_answer_says_it_is_not() {
    let read = |body: &'static str| ResultAnswer::read(body.as_bytes());
    assert!(read("").unwrap().acknowledged);
    assert!(read("{}").unwrap().acknowledged);
    assert!(read(r#"{"acknowledged":true}"#).unwrap().acknowledged);
    assert!(!read(r#"{"acknowledged":false}"#).unwrap().acknowledged);
    let next = read(r#"{"acknowledged":true,"next_instruction":{"id":"i2"}}"#).unwrap();
    assert_eq!(next.next_instruction.unwrap().raw(), r#"{"id":"i2"}"#);
    assert!(read("<html>").is_err());
}

#[test]
fn failed_events_are_named() {
    let answer = EventsAnswer::read(br#"{"processed_events":1,"failed_events":["e2","\u0065 3"]}"#);
    let answer = answer.unwrap();
    assert!(answer.has_failed("e2") && answer.has_failed("e 3") && !answer.has_failed("e1"));
    for body in [
        "",
        "{}",
        r#"{"failed_events":null}"#,
        r#"{"failed_events":[]}"#,
    ] {
        assert!(
            !EventsAnswer::read(body.as_bytes())
                .unwrap()
                .has_failed("e1")
        );
    }
    assert!(EventsAnswer::read(br#"{"failed_events":"e1"}"#).is_err());
}

fn read(body: &str) -> Result<(), String> {
    let object = json::read(body.as_bytes(), 65_536).unwrap();
    let read = Instruction::read(object, US);
    read.map(drop).map_err(|refused| refused.reason.to_string())
}

#[test]
fn an_instruction_is_read_whole() {
    let body = concat!(
        r#"{"id":"i-1","agent_id":"a1","tenant_id":"org","plugin_id":"p.1","created_by":null,"#,
        r#""status":"pending","priority":"high","instruction_type":"execute","source":"web-ui","#,
        r#""plugin_configuration":{"entrypoint":"bin\/main.py","arguments":["-v","x y"],"#,
        r#""environment":{"LEVEL":"2"},"timeout_seconds":7},"input_data":{"a":[1]},"context":{},"#,
        r#""variables":null,"max_retries":3,"correlation_id":"c-1","execution_log":[]}"#
    );
    let object = json::read(body.as_bytes(), 65_536).unwrap();
    let instruction = Instruction::read(object, US).unwrap();
    assert_eq!(instruction.id, "i-1");
    assert_eq!(instruction.plugin_id, "p.1");
    assert_eq!(instruction.kind, InstructionKind::Execute);
    assert!(instruction.entry_point.unwrap().is("bin/main.py"));
    assert_eq!(instruction.arguments.unwrap().raw(), r#"["-v","x y"]"#);
    assert_eq!(instruction.environment.unwrap().raw(), r#"{"LEVEL":"2"}"#);
    assert_eq!(instruction.input_data.unwrap().raw(), r#"{"a":[1]}"#);
    assert_eq!(instruction.context.unwrap().raw(), "{}");
    assert_eq!(instruction.variables, None);
    assert_eq!(instruction.timeout_ms, Some(7_000));
    assert_eq!(instruction.max_retries, 3);
    assert_eq!(instruction.correlation_id, Some("c-1"));
}

#[test]
fn without_a_type_the_url_decides() {
    let kind = |body: &str| {
        let object = json::read(body.as_bytes(), 65_536).unwrap();
        Instruction::read(object, US).unwrap().kind
    };
    assert_eq!(
        kind(r#"{"id":"i","plugin_id":"p"}"#),
        InstructionKind::Execute
    );
    for name in ["plugin_url", "repository_url"] {
        let body =
            format!(r#"{{"id":"i","plugin_id":"p","plugin_configuration":{{"{name}":"u"}}}}"#);
        assert_eq!(kind(&body), InstructionKind::Install);
    }
    assert_eq!(
        kind(r#"{"id":"i","plugin_id":"p","instruction_type":"plugin_update"}"#),
        InstructionKind::Update
    );
}

#[test]
fn what_is_not_for_us_or_reaches_out_is_refused() {
    let with = |members: &str| read(&format!(r#"{{"id":"i","plugin_id":"p",{members}}}"#));
    let set = |configuration: &str| with(&format!(r#""plugin_configuration":{{{configuration}}}"#));
    assert_eq!(with(r#""agent_id":"a1""#), Ok(()));
    for (members, words) in [
        (r#""agent_id":"a2""#, "agent_id is not this agent's"),
        (r#""agent_id":7"#, "agent_id is not this agent's"),
        (r#""organization_id":"o""#, "organization_id is not"),
        (r#""tenant_id":"o""#, "tenant_id is not"),
        (r#""instruction_type":"shell""#, "must be execute"),
        (r#""input_data":[]"#, "input_data must be an object"),
        (
            r#""plugin_configuration":"x""#,
            "plugin_configuration must be",
        ),
        (r#""timeout_seconds":0"#, "timeout_seconds must be"),
        (r#""timeout_seconds":-5"#, "timeout_seconds must be"),
        (r#""max_retries":1.5"#, "max_retries must be"),
        (r#""correlation_id":"a\nb""#, "correlation_id must be"),
    ] {
        let refused = with(members).unwrap_err();
        assert!(
            refused.starts_with(words) || refused.contains(words),
            "{members}: {refused}"
        );
    }
    for path in [
        "/bin/sh",
        "../x",
        "a/../../x",
        "a//b",
        "./x",
        "",
        "-c",
        "a\\u0007",
    ] {
        let refused = set(&format!(r#""entrypoint":"{path}""#)).unwrap_err();
        assert!(
            refused.starts_with("entrypoint must be"),
            "{path}: {refused}"
        );
    }
    for name in [
        "PATH",
        "LD_PRELOAD",
        "PYTHONPATH",
        "NODE_OPTIONS",
        "BASH_ENV",
        "BASHOPTS",
        "PERL5OPT",
        "RUBYOPT",
        "LUA_INIT",
        "LUA_INIT_5_4",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "_JAVA_OPTIONS",
        "GCONV_PATH",
        "GLIBC_TUNABLES",
        "OPENSSL_CONF",
        "GIT_SSH_COMMAND",
        "HOME",
        "TMPDIR",
        "A=B",
        "",
        "1A",
        "A\\u0042",
    ] {
        let refused = set(&format!(r#""environment":{{"{name}":"x"}}"#)).unwrap_err();
        assert!(refused.contains("may not be set"), "{name}: {refused}");
    }
    assert!(set(r#""environment":{"A":1}"#).is_err());
    assert!(set(r#""arguments":["a",1]"#).is_err());
    let many = vec!["\"x\""; 129].join(",");
    assert!(set(&format!(r#""arguments":[{many}]"#)).is_err());
    assert_eq!(
        with(r#""timeout_seconds":1e300,"max_retries":99"#),
        Ok(()),
        "what is merely large is cut"
    );
}

#[test]
fn an_instruction_without_an_id_cannot_be_reported() {
    for body in [r#"{"plugin_id":"p"}"#, r#"{"id":"../../x"}"#, r#"{"id":7}"#] {
        let object = json::read(body.as_bytes(), 4_096).unwrap();
        assert_eq!(
            Instruction::read(object, US).unwrap_err().id,
            None,
            "{body}"
        );
    }
    let object = json::read(br#"{"id":"i","plugin_id":"../p"}"#, 4_096).unwrap();
    let refused = Instruction::read(object, US).unwrap_err();
    assert_eq!(refused.id, Some("i"));
    assert_eq!(refused.reason, Reason::BadId("plugin_id"));
    let nobody = Recipient {
        agent_id: "a1",
        organization_id: None,
    };
    let object = json::read(br#"{"id":"i","plugin_id":"p","tenant_id":"t"}"#, 4_096).unwrap();
    let refused = Instruction::read(object, nobody).unwrap_err();
    assert_eq!(refused.reason, Reason::NotOurs("tenant_id"));
}
