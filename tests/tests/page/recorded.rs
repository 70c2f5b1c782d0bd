//! The page with figures that were made before: two full days, gaps, nothing known, foreign words.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::source::{header, page_of};
use super::stand::Stand;
use super::*;

const HOUR_MS: u64 = 3_600_000;

/// Points of 48 hours, 10 minutes each.
const POINTS: usize = 288;

/// Points for which nothing is known.
const GAP: std::ops::Range<usize> = 90..102;

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn status() -> Value {
    let now = now_ms();
    json!({
        "name": "mote", "version": "0.1.0", "hostname": "gw-7.north.example", "start": 7,
        "pid": 412, "now_ms": now, "started_ms": now - 50 * HOUR_MS, "uptime_s": 3_568_353,
        "interval_ms": 10_000,
        "sample": {"age_ms": 2300, "cpu_pct": 12.3, "memory_pct": 60.6, "disk_pct": 16.2,
            "load1": 0.12, "temp_c": 48.2, "rx_bps": 123_456, "tx_bps": 2345, "disk_path": "/overlay"},
        "uplink": {"configured": true, "state": "delivering", "server": "hub.example.com:443",
            "failures": 0, "last_success_ms": now - 3000, "retry_in_ms": null, "trouble": null},
        "outbox": {"held": 0, "room": 8640, "oldest_ms": null, "collected": 18_000, "sent": 17_999,
            "dropped": {"full": 0, "refused": 1, "late": 0}},
        "clock": {"synchronized": true}, "outage": null,
        "last_outage": {"from_ms": now - 12 * HOUR_MS, "to_ms": now - 10 * HOUR_MS, "failures": 31},
        "orchestrator": {"state": "not configured"}, "plugins": [], "warnings": [], "alerts": [],
    })
}

/// Two days whose curves rise and fall once a day, with a gap and a lone point in it.
fn history() -> Value {
    let series = |low: f64, high: f64, uneven: f64| -> Vec<Value> {
        let point = |n: usize| {
            if GAP.contains(&n) && n != GAP.start + 6 {
                return Value::Null;
            }
            let day = (f64::from(n as u32) / 144.0 * std::f64::consts::TAU).sin();
            let noise = f64::from((n * 7919 % 101) as u32) / 101.0 * uneven;
            let value = low + (high - low) * (day + 1.0) / 2.0 + noise;
            json!((value * 10.0).round() / 10.0)
        };
        (0..POINTS).map(point).collect()
    };
    json!({
        "step_ms": 600_000, "end_ms": now_ms() / 600_000 * 600_000,
        "cpu": series(8.0, 35.0, 12.0), "memory": series(52.0, 60.0, 1.0),
        "disk": series(16.0, 17.0, 0.0), "load": series(0.1, 0.6, 0.3),
        "temp": series(-5.0, 9.0, 1.0), "rx": series(30_000.0, 150_000.0, 40_000.0),
        "tx": series(9000.0, 31_000.0, 8000.0),
    })
}

/// The page of a real agent, served with this.
fn stand(status: Value, history: Value) -> Stand {
    let agent = without_server().start().unwrap();
    let (head, page) = page_of(&agent);
    let policy = header(&head, "content-security-policy");
    Stand::start(page.into_bytes(), policy, status, history)
}

/// A browser that shows the two days.
fn looking_at_two_days(test: &str, stand: &Stand, screen: Screen) -> Option<Browser> {
    let browser = looking(test, &stand.url(), screen)?;
    let choose = "document.querySelector('[value=\"48h\"]').click()";
    wait_for_text(&browser, "host", "");
    browser.ask(choose).unwrap();
    let whole = "var s = document.querySelector('svg'), b = s.getAttribute('viewBox');\
        return b === '0 0 288 100' && !!s.querySelector('.line').getAttribute('d')";
    browser.wait_for("48 hours drawn", whole, LONG).unwrap();
    Some(browser)
}

/// The text of each element, in the first chart that has this name.
fn texts(browser: &Browser, chart: &str, of: &str) -> Vec<String> {
    let script = format!(
        "var found = [];\
         document.querySelectorAll('.chart').forEach(function (chart) {{\
             if (chart.querySelector('h2').textContent !== '{chart}') return;\
             chart.querySelectorAll('{of}').forEach(function (e) {{ found.push(e.textContent); }});\
         }});\
         return found"
    );
    serde_json::from_value(browser.ask(&script).unwrap()).unwrap()
}

#[test]
fn two_days_fit_on_every_screen_and_a_gap_is_a_gap() {
    let stand = stand(status(), history());
    for (name, screen) in SCREENS {
        let test = "two_days_fit_on_every_screen_and_a_gap_is_a_gap";
        let Some(browser) = looking_at_two_days(test, &stand, screen) else {
            return;
        };
        let line = "return document.querySelector('.line').getAttribute('d')";
        let line = browser.ask(line).unwrap();
        let line = line.as_str().unwrap();
        // Before the gap, the lone point in it, and after it.
        assert_eq!(line.matches('M').count(), 3, "{line}");
        let known = POINTS - GAP.len() + 1;
        assert_eq!(line.matches('L').count(), known, "{line}");
        assert_eq!(texts(&browser, "CPU", "b"), ["100 %", "50 %", "0 %"]);
        assert_eq!(texts(&browser, "Load", "b"), ["1", "0.5", "0"]);
        let network = ["200 kB/s", "100 kB/s", "0 B/s"];
        assert_eq!(texts(&browser, "Network", "b"), network);
        let warmth = texts(&browser, "Temperature", "b");
        assert_eq!(warmth, ["10 °C", "0 °C", "-10 °C"]);
        let marks = texts(&browser, "CPU", "i");
        let marks: Vec<&String> = marks.iter().filter(|mark| !mark.is_empty()).collect();
        assert!(marks.len() >= 3, "{marks:?}");
        assert!(marks.iter().all(|mark| mark.ends_with(":00")), "{marks:?}");
        let label = "return document.querySelector('svg').getAttribute('aria-label')";
        let label = browser.ask(label).unwrap();
        assert!(label.as_str().unwrap().starts_with("CPU from 8"), "{label}");
        let key = "return !document.getElementById('key').hidden";
        assert_eq!(browser.ask(key).unwrap(), true, "the outage has no key");
        assert_tidy(&browser);
        own_requests(&browser, &stand.url());
        picture(&browser, &format!("two-days-{name}"));
    }
}

#[test]
fn the_value_of_a_time_is_shown_to_mouse_finger_and_keys() {
    let stand = stand(status(), history());
    stand.tell(|status| status["interval_ms"] = 1000.into());
    let test = "the_value_of_a_time_is_shown_to_mouse_finger_and_keys";
    let Some(browser) = looking_at_two_days(test, &stand, desk(true)) else {
        return;
    };
    let cpu = || texts(&browser, "CPU", ".big span")[0].clone();
    assert_eq!(cpu(), "12.3 %");
    let place = "var b = document.querySelector('.plot').getBoundingClientRect();\
        return [b.left, b.top, b.width].map(Math.round)";
    let place = browser.ask(place).unwrap();
    let at = |index: usize| place[index].as_i64().unwrap();
    let (left, top, width) = (at(0), at(1), at(2));
    let shown = history()["cpu"][144].as_f64().unwrap();
    let middle = left + width * 289 / 576;
    browser.point(middle, top + 50, false).unwrap();
    assert_eq!(cpu(), format!("{shown:.1} %"));
    let time = "var u = document.querySelector('u'); return !u.hidden && u.title";
    assert!(browser.ask(time).unwrap().is_string(), "no time is shown");
    assert_tidy(&browser);
    picture(&browser, "pointed-at-desk-dark");
    browser.point(left + width / 2, 5, false).unwrap();
    assert_eq!(cpu(), "12.3 %", "the mouse is gone and the time is not");

    browser.point(middle, top + 50, true).unwrap();
    assert_eq!(cpu(), format!("{shown:.1} %"), "a finger lifts");
    browser.point(5, 5, true).unwrap();
    assert_eq!(cpu(), "12.3 %");

    // Into the charts, to their last point and one back.
    browser
        .ask("document.getElementById('charts').focus()")
        .unwrap();
    browser.press("\u{e012}\u{e012}").unwrap();
    let shown = history()["cpu"][POINTS - 2].as_f64().unwrap();
    assert_eq!(cpu(), format!("{shown:.1} %"));
    browser.press("\u{e00c}").unwrap();
    assert_eq!(cpu(), "12.3 %");

    // Another agent has another history: there is nothing to point at until it is there.
    browser.press("\u{e012}").unwrap();
    stand.tell(|status| status["pid"] = 413.into());
    let gone = "return document.querySelector('u').hidden";
    browser.wait_for("the mark to go", gone, LONG).unwrap();
    assert_eq!(cpu(), "12.3 %");
    wait_for_charts(&browser);
    assert_tidy(&browser);
}

fn plugin(id: &str, state: &str, error: Option<&str>) -> Value {
    json!({
        "id": id, "kind": "trigger", "mode": "standing", "state": state, "health": "healthy",
        "error": error, "runs": 8641, "failures": 1, "restarts": 0, "events": 3,
        "last_run_ms": now_ms(), "memory_kb": 9840, "cpu_s": 12.34,
    })
}

/// What the status says with an orchestrator, plugins and warnings.
fn tell_all(status: &mut Value, words: &str) {
    status["interval_ms"] = 1000.into();
    status["hostname"] = words.into();
    status["alerts"] = json!([{"name": "disk", "state": "firing", "text": words}]);
    status["warnings"] = json!([{"text": "the orchestrator's token ends in 9 days: renew it",
        "days_left": 9, "ends_ms": now_ms()}]);
    status["plugins"] = json!([
        plugin("disk-space", "running", None),
        plugin("cpu-load", "failed", Some(words)),
    ]);
    status["orchestrator"] = json!({
        "state": "held", "trouble": words, "server": "orchestrator.example.com",
        "last_contact_ms": now_ms() - 65_000, "last_heartbeat_ms": null, "last_poll_ms": null,
        "retry_in_ms": 2000, "instructions_taken": 4, "instructions_reported": 2,
        "results_held": 1,
    });
}

#[test]
fn what_there_is_besides_is_shown_when_there_is_any_and_foreign_words_stay_words() {
    let stand = stand(status(), history());
    let test = "what_there_is_besides_is_shown_when_there_is_any_and_foreign_words_stay_words";
    let Some(browser) = looking_at_two_days(test, &stand, desk(false)) else {
        return;
    };
    let hidden = |id: &str| {
        let script = format!("return document.getElementById('{id}').hidden");
        browser.ask(&script).unwrap() == true
    };
    assert!(
        ["alerts", "plugins", "orchestrator"]
            .into_iter()
            .all(hidden)
    );
    let markup = "<img src=x onerror=alert(1)>";
    stand.tell(|status| tell_all(status, markup));
    wait_for_text(&browser, "alerts", "disk · firing · <img");
    wait_for_text(&browser, "alerts", "token ends in 9 days");
    wait_for_text(&browser, "plugins", "disk-spacerunning8,641");
    wait_for_text(&browser, "plugins", "failed: <img");
    wait_for_text(&browser, "orchestrator", "held · heard 1");
    wait_for_text(&browser, "orchestrator", "4 taken · 2 reported · 1 waiting");
    assert!(
        !["alerts", "plugins", "orchestrator"]
            .into_iter()
            .any(hidden)
    );
    assert_eq!(text(&browser, "host"), markup);
    assert_eq!(browser.ask("return document.images.length").unwrap(), 0);
    assert_tidy(&browser);
    picture(&browser, "alerts-desk-light");
    stand.tell(|status| status["alerts"] = json!([]));
    stand.tell(|status| status["warnings"] = json!([]));
    stand.tell(|status| drop(status["plugins"].as_array_mut().unwrap().remove(0)));
    let gone = "return document.getElementById('alerts').hidden";
    browser.wait_for("the alert to go", gone, LONG).unwrap();
    let one = "return document.querySelectorAll('#plugins tr').length === 1";
    browser.wait_for("a plugin to go", one, LONG).unwrap();
}

#[test]
fn what_there_is_besides_fits_on_every_screen() {
    let stand = stand(status(), history());
    stand.tell(|status| {
        tell_all(status, "it answered 503: come back after the maintenance");
        status["hostname"] = "gw-7.north.example".into();
    });
    for (name, screen) in SCREENS {
        let test = "what_there_is_besides_fits_on_every_screen";
        let Some(browser) = looking_at_two_days(test, &stand, screen) else {
            return;
        };
        wait_for_text(&browser, "plugins", "cpu-load");
        assert_tidy(&browser);
        picture(&browser, &format!("besides-{name}"));
    }
}

#[test]
fn what_is_not_known_is_a_dash_and_never_a_nought() {
    let mut nothing = status();
    nothing["sample"] = Value::Null;
    nothing["uptime_s"] = Value::Null;
    nothing["uplink"]["state"] = "unknown".into();
    nothing["uplink"]["last_success_ms"] = Value::Null;
    nothing["start"] = Value::Null;
    nothing["last_outage"] = Value::Null;
    nothing["clock"]["synchronized"] = Value::Null;
    let empty = json!({"step_ms": 10_000, "end_ms": now_ms(), "cpu": [], "memory": [null],
        "disk": [], "load": [], "temp": [], "rx": [], "tx": []});
    let stand = stand(nothing, empty);
    let test = "what_is_not_known_is_a_dash_and_never_a_nought";
    let Some(browser) = looking(test, &stand.url(), phone(true)) else {
        return;
    };
    wait_for_text(&browser, "live", "no sample yet");
    let told = "return document.querySelector('em').textContent !== ''";
    browser
        .wait_for("charts without a line", told, LONG)
        .unwrap();
    for chart in ["CPU", "Memory", "Disk", "Load", "Temperature"] {
        assert_eq!(texts(&browser, chart, ".big span")[0], "–", "{chart}");
        assert_eq!(texts(&browser, chart, "b"), [""; 3], "{chart}");
    }
    assert_eq!(texts(&browser, "Network", ".big span"), ["↓ –", "↑ –"]);
    let page = browser.ask("return document.body.innerText").unwrap();
    for wrong in ["NaN", "undefined", "null", "Infinity"] {
        assert!(!page.as_str().unwrap().contains(wrong), "{wrong} in {page}");
    }
    assert_tidy(&browser);
    picture(&browser, "nothing-known-phone-dark");
}
