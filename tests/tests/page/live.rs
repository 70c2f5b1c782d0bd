//! The page of a real agent: figures that change, an outage and its end, no server, a restart.

use std::net::TcpListener;

use mote_tests::agent::Signal;
use mote_tests::hub::{Hub, HubConfig, Misbehaviour};

use super::*;

/// An agent that delivers every second, retries at once, and its page.
fn delivering() -> (Hub, AgentUnderTest, String) {
    let hub = Hub::start(HubConfig::default()).unwrap();
    let builder = AgentBuilder::new().unwrap().for_hub(&hub);
    let agent = builder
        .flag("interval", "1s")
        .flag("retry-backoff", "500ms")
        .flag("retry-max", "2s")
        .flag("backfill-rate", "50")
        .start()
        .unwrap();
    let url = url_of(&agent);
    (hub, agent, url)
}

#[test]
fn figures_change_on_every_screen() {
    let (_hub, _agent, url) = delivering();
    for (name, screen) in SCREENS {
        let Some(browser) = looking("figures_change_on_every_screen", &url, screen) else {
            return;
        };
        wait_for_text(&browser, "standing", "Delivering");
        wait_for_charts(&browser);
        let place = "return document.getElementById('charts').getBoundingClientRect().top";
        let stands = browser.ask(place).unwrap();
        let first = number(&text(&browser, "sent"));
        let more = format!(
            "return parseInt(document.getElementById('sent').textContent.replace(',', ''), 10) > {first}"
        );
        browser.wait_for("more samples sent", &more, LONG).unwrap();
        assert_eq!(browser.ask(place).unwrap(), stands, "the charts moved");
        for unit in ["%", "B/s"] {
            let script = format!(
                "var t = document.getElementById('charts').innerText; return t.indexOf('{unit}') > 0"
            );
            assert_eq!(browser.ask(&script).unwrap(), true, "no figure with {unit}");
        }
        assert!(text(&browser, "live").starts_with("sampled "));
        assert_eq!(text(&browser, "lost"), "");
        assert_tidy(&browser);
        let requests = own_requests(&browser, &url);
        assert!(requests.len() >= 4, "{requests:?}");
        picture(&browser, &format!("live-{name}"));
    }
}

#[test]
fn an_outage_is_shown_while_it_lasts_and_afterwards() {
    let (hub, _agent, url) = delivering();
    let test = "an_outage_is_shown_while_it_lasts_and_afterwards";
    let Some(browser) = looking(test, &url, desk(false)) else {
        return;
    };
    wait_for_text(&browser, "standing", "Delivering");
    wait_for_text(&browser, "outage", "None");
    hub.misbehave(Misbehaviour::RefuseConnections);
    wait_for_text(&browser, "standing", "Away");
    wait_for_text(&browser, "trouble", "efused");
    wait_for_text(&browser, "when", "next try in ");
    wait_for_text(&browser, "when", "since ");
    wait_for_text(&browser, "outage", "Now");
    let grown = |than: u64| {
        let script = format!(
            "var n = parseInt(document.getElementById('held').textContent, 10); return n > {than} && n"
        );
        browser
            .wait_for("more samples held", &script, LONG)
            .unwrap()
    };
    let some = grown(1).as_u64().unwrap();
    grown(some + 1);
    assert_tidy(&browser);
    picture(&browser, "outage-desk-light");
    browser.screen(phone(true)).unwrap();
    assert_tidy(&browser);
    picture(&browser, "outage-phone-dark");

    hub.misbehave(Misbehaviour::Normal);
    wait_for_text(&browser, "standing", "Delivering");
    let empty = "return document.getElementById('held').textContent === '0'";
    browser.wait_for("nothing held", empty, LONG).unwrap();
    let over =
        "var t = document.getElementById('outage').textContent; return /^\\d\\d:\\d\\d$/.test(t)";
    browser.wait_for("when the outage was", over, LONG).unwrap();
    assert!(text(&browser, "lasted").contains("failure"));
    assert!(text(&browser, "sent").contains("none dropped"));
    assert_tidy(&browser);
    picture(&browser, "outage-over-phone-dark");
}

#[test]
fn a_key_that_is_refused_is_said_so() {
    let (hub, _agent, url) = delivering();
    hub.misbehave(Misbehaviour::status(401));
    let Some(browser) = looking("a_key_that_is_refused_is_said_so", &url, phone(false)) else {
        return;
    };
    wait_for_text(&browser, "standing", "Refuses the key");
    wait_for_text(&browser, "trouble", "401");
    wait_for_text(&browser, "when", "next try in ");
    assert_tidy(&browser);
    picture(&browser, "refused-phone-light");
}

#[test]
fn without_a_server_the_device_is_shown_all_the_same() {
    let agent = without_server().start().unwrap();
    let url = url_of(&agent);
    let test = "without_a_server_the_device_is_shown_all_the_same";
    let Some(browser) = looking(test, &url, desk(true)) else {
        return;
    };
    wait_for_text(&browser, "server", "server_url");
    wait_for_charts(&browser);
    assert_eq!(text(&browser, "standing"), "None");
    assert_tidy(&browser);
    picture(&browser, "no-server-desk-dark");
}

#[test]
fn an_agent_that_was_away_is_found_again_with_its_new_history() {
    // Chosen before the agent opens it, so that it is the same for the next one.
    let chosen = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr();
    let port = chosen.unwrap().port().to_string();
    let builder = without_server().flag("health-port", &port);
    let mut agent = builder.start().unwrap();
    let url = url_of(&agent);
    let test = "an_agent_that_was_away_is_found_again_with_its_new_history";
    let Some(browser) = looking(test, &url, phone(false)) else {
        return;
    };
    wait_for_charts(&browser);
    assert_eq!(text(&browser, "lost"), "");
    assert_tidy(&browser);

    agent.stop(Signal::SIGTERM).unwrap();
    wait_for_text(&browser, "lost", "does not answer since");
    // Where the reader is, and not below the end of the page.
    let seen = "var b = document.getElementById('lost').getBoundingClientRect();\
        return b.height > 0 && b.bottom <= window.innerHeight";
    assert_eq!(browser.ask(seen).unwrap(), true);
    picture(&browser, "lost-phone-light");
    browser.screen(desk(true)).unwrap();
    picture(&browser, "lost-desk-dark");
    own_requests(&browser, &url);

    let _again = builder.start().unwrap();
    let back = "return document.getElementById('lost').textContent === ''";
    browser
        .wait_for("the page to find it again", back, LONG)
        .unwrap();
    wait_for_charts(&browser);
    let asked = own_requests(&browser, &url);
    assert!(
        asked
            .iter()
            .any(|url| url.ends_with("/api/history?span=10m")),
        "{asked:?}"
    );
    // That nobody listened is all that the console may have said.
    for line in browser.console().unwrap() {
        assert!(line.starts_with("network "), "{line}");
    }
}

#[test]
fn the_span_is_switched_with_keys() {
    let agent = without_server().start().unwrap();
    let url = url_of(&agent);
    let Some(browser) = looking("the_span_is_switched_with_keys", &url, desk(false)) else {
        return;
    };
    wait_for_charts(&browser);
    // Tab, then the right arrow.
    browser.press("\u{e004}\u{e014}").unwrap();
    let checked = "return document.querySelector(':checked').value";
    assert_eq!(browser.ask(checked).unwrap(), "4h");
    wait_for_charts(&browser);
    let asked = own_requests(&browser, &url);
    assert!(
        asked
            .iter()
            .any(|url| url.ends_with("/api/history?span=4h")),
        "{asked:?}"
    );
    assert_tidy(&browser);
}
