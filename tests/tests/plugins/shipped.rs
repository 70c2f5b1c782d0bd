//! The project's own plugins do what they say, under the agent's walls.

use std::fs;
use std::process::Command;

use crate::{configure, install, outcome, plugin, shipped};

#[test]
fn a_list_names_them_with_what_they_are() {
    let agent = plugin(&["list"]);
    for id in ["cpu-load", "disk-space", "service"] {
        install(&agent, id);
    }
    let (text, code, errors) = outcome(&agent);
    assert_eq!(code, Some(0), "{errors}");
    for line in [
        "cpu-load                 trigger  main.py  CPU load 1.0.0",
        "disk-space               trigger  main.sh  Disk space 1.0.0",
        "service                  action   main.py  Service 1.0.0",
    ] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}

#[test]
fn each_is_prepared_asked_and_well() {
    for (id, last) in [
        ("cpu-load", "detect_triggers"),
        ("disk-space", "detect_triggers"),
        ("service", "start"),
    ] {
        let agent = plugin(&["test", id]);
        install(&agent, id);
        let (text, code, errors) = outcome(&agent);
        assert_eq!(code, Some(0), "{id}: {text}\n{errors}");
        for part in [
            "> {\"action\":\"get_info\"}",
            "> {\"action\":\"initialize\",\"config\":{",
            &format!("> {{\"action\":\"{last}\"}}"),
            "> {\"action\":\"get_health\"}",
            "capabilities   none",
        ] {
            assert!(text.contains(part), "{id}: {part}\n{text}");
        }
        assert!(text.ends_with("good"), "{id}: {text}");
    }
}

#[test]
fn a_disk_that_fills_up_is_an_event() {
    let agent = plugin(&["test", "disk-space"]);
    install(&agent, "disk-space");
    // A file system with something in it: this one holds the sources.
    let path = shipped().canonicalize().unwrap();
    configure(
        &agent,
        "disk-space",
        &format!("threshold: 1\npath: {}\n", path.display()),
    );
    let (text, code, errors) = outcome(&agent);
    assert_eq!(code, Some(0), "{text}\n{errors}");
    let event = text
        .lines()
        .find_map(|line| line.strip_prefix("event "))
        .unwrap();
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    assert_eq!(event["type"], "disk.full");
    assert_eq!(event["severity"], "high");
    assert_eq!(event["data"]["threshold"], 1);
    assert!(event["data"]["used_percent"].as_u64().unwrap() >= 1);
    assert_eq!(event["id"].as_str().unwrap().len(), 36);
    assert!(event["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_cpu_is_busy_and_calm_after_as_many_looks() {
    let script = r"
import main, tempfile
file = tempfile.NamedTemporaryFile('w')
main.PROC_STAT = file.name
ticks = [0, 0]
def look(watch, busy):
    ticks[0] += busy
    ticks[1] += 100 - busy
    with open(file.name, 'w') as stat:
        stat.write('cpu  %d 0 0 %d 0 0 0 0 0 0\n' % tuple(ticks))
    return watch.look() if watch else None
look(None, 0)
watch = main.Watch(90, 2)
seen = [look(watch, busy) for busy in (100, 89, 95, 90, 100, 10, 95, 0, 0, 0)]
print([event and (event['type'], event['data']['percent']) for event in seen])
";
    let output = Command::new("python3")
        .args(["-B", "-c", script])
        .current_dir(shipped().join("cpu-load"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "[None, None, None, ('cpu.busy', 90.0), None, None, None, None, ('cpu.calm', 0.0), None]\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_service_is_touched_only_if_it_is_allowed() {
    for (input, code, words) in [
        (
            r#"{"service":"web; reboot","operation":"restart"}"#,
            1,
            "not among the allowed services",
        ),
        (
            r#"{"service":"web","operation":"format"}"#,
            1,
            "operation must be one of",
        ),
        (
            r#"{"service":"web","operation":"restart"}"#,
            0,
            r#""operation": "restart""#,
        ),
        (
            r#"{"service":"web","operation":"status"}"#,
            0,
            r#""active": true"#,
        ),
        (
            r#"{"service":"broken","operation":"start"}"#,
            1,
            "ended with code 3: no such thing",
        ),
    ] {
        let agent = plugin(&["test", "service", "--input", input]);
        install(&agent, "service");
        let manager = agent.dir().join("manager.sh");
        let log = agent.dir().join("calls");
        let script = format!(
            "echo \"$*\" >> '{}'\ncase $2 in broken) echo no such thing; exit 3;; esac\n",
            log.display()
        );
        fs::write(&manager, script).unwrap();
        let config = format!(
            "allowed: [web, broken]\ncommand: [sh, {}]\n",
            manager.display()
        );
        configure(&agent, "service", &config);
        let (text, ended, errors) = outcome(&agent);
        assert_eq!(ended, Some(code), "{input}: {text}\n{errors}");
        assert!(
            text.contains(words) || errors.contains(words),
            "{input}: {text}\n{errors}"
        );
        let calls = fs::read_to_string(&log).unwrap_or_default();
        if words.starts_with("not among") || words.starts_with("operation") {
            assert_eq!(calls, "", "{input}");
        } else {
            assert_eq!(calls.lines().count(), 1, "{input}: {calls}");
        }
    }
}
