//! The device's page as people see it: a real Chromium looks at it on a phone and on a desk, by day
//! and by night.
//!
//! In `live` the page comes from a real agent with its real figures; in `days` from one whose clock
//! ran fast until its history was full. In `recorded` the same page, taken from the agent, is
//! served with figures that were made before, to say exactly what must be seen. Pictures of what was seen stay in `target/page/`, for people to look at.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod days;
mod live;
mod recorded;
mod source;
mod stand;

use std::fs;
use std::path::Path;
use std::time::Duration;

use mote_tests::agent::{AgentBuilder, AgentUnderTest, left_out};
use mote_tests::browser::{Browser, Screen};
use mote_tests::suite::LONG;
use serde_json::Value;

/// Each way in which the page is looked at, with its name.
const SCREENS: [(&str, Screen); 4] = [
    ("phone-light", phone(false)),
    ("phone-dark", phone(true)),
    ("desk-light", desk(false)),
    ("desk-dark", desk(true)),
];

/// High enough for the whole page.
const fn phone(is_dark: bool) -> Screen {
    let (width, height) = (390, 1820);
    Screen {
        width,
        height,
        is_dark,
    }
}

const fn desk(is_dark: bool) -> Screen {
    let (width, height) = (1280, 800);
    Screen {
        width,
        height,
        is_dark,
    }
}

/// The page's own address, once the agent says that it listens.
fn url_of(agent: &AgentUnderTest) -> String {
    format!("http://{}/", agent.listens_at("/", LONG).unwrap())
}

/// An agent that is looked at without a server.
fn without_server() -> AgentBuilder {
    AgentBuilder::new().unwrap().flag("interval", "1s")
}

/// A browser that has this page open on this screen.
fn looking(test: &str, url: &str, screen: Screen) -> Option<Browser> {
    let browser = Browser::start(test).unwrap()?;
    browser.screen(screen).unwrap();
    browser.open(url).unwrap();
    Some(browser)
}

fn text(browser: &Browser, id: &str) -> String {
    let script = format!("return document.getElementById('{id}').textContent");
    browser.ask(&script).unwrap().as_str().unwrap().to_owned()
}

/// Waits until the text of an element contains this; gives the text.
fn wait_for_text(browser: &Browser, id: &str, wanted: &str) -> String {
    let script = format!(
        "var t = document.getElementById('{id}').textContent; return t.indexOf('{wanted}') >= 0 && t"
    );
    let what = format!("{wanted:?} in #{id}");
    let found = browser.wait_for(&what, &script, LONG).unwrap();
    found.as_str().unwrap_or_default().to_owned()
}

/// Waits until the line of the first chart, the processor's, is drawn.
fn wait_for_charts(browser: &Browser) {
    let drawn = "var d = document.querySelector('.line').getAttribute('d'); return !!d";
    browser
        .wait_for("a chart with a line", drawn, LONG)
        .unwrap();
}

/// The number at the start of a text, without the commas between thousands.
fn number(text: &str) -> u64 {
    let digits = text.chars().filter(|c| *c != ',');
    let digits: String = digits.take_while(char::is_ascii_digit).collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number: {text:?}"))
}

/// Nothing may stick out to the side, nothing but the lists of what there is none of be hidden, and
/// the console have nothing to say.
fn assert_tidy(browser: &Browser) {
    let widths = browser
        .ask("return [document.documentElement.scrollWidth, window.innerWidth]")
        .unwrap();
    assert!(
        widths[0].as_u64() <= widths[1].as_u64(),
        "too wide: {widths}"
    );
    // A text that is cut, or lies outside of the card it is in.
    let outside = browser.ask(OUTSIDE).unwrap();
    assert_eq!(outside, Value::Array(vec![]), "outside of their cards");
    let faint = browser.ask(FAINT).unwrap();
    assert_eq!(faint, Value::Array(vec![]), "hard to read");
    assert_eq!(browser.console().unwrap(), Vec::<String>::new());
}

const OUTSIDE: &str = "
    var found = [];
    document.querySelectorAll('.card *').forEach(function (element) {
        var card = element.closest('.card').getBoundingClientRect(), box = element.getBoundingClientRect();
        if (!box.width || !element.textContent) return;
        if (box.left < card.left || box.right > card.right || box.bottom > card.bottom + 1)
            found.push(element.textContent);
    });
    return found;";

/// Texts whose contrast is below what WCAG 2 asks for at level AA (4.5 to 1), with their contrast.
const FAINT: &str = "
    function light(colour) {
        var part = colour.match(/[\\d.]+/g).slice(0, 3).map(function (byte) {
            var share = byte / 255;
            return share <= 0.03928 ? share / 12.92 : Math.pow((share + 0.055) / 1.055, 2.4);
        });
        return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
    }
    var found = [];
    document.querySelectorAll('body *:not(script)').forEach(function (element) {
        var has = [].some.call(element.childNodes, function (node) {
            return node.nodeType === 3 && node.data.trim();
        });
        if (!has || !element.getBoundingClientRect().width) return;
        var under = element, ground;
        do {
            ground = getComputedStyle(under).backgroundColor;
            under = under.parentElement;
        } while (ground === 'rgba(0, 0, 0, 0)');
        var two = [light(getComputedStyle(element).color), light(ground)].sort();
        var contrast = (Math.max(two[0], two[1]) + 0.05) / (Math.min(two[0], two[1]) + 0.05);
        if (contrast < 4.5) found.push(element.textContent + ': ' + contrast);
    });
    return found;";

/// Every address that was asked for must be of the page's own origin. Gives them.
fn own_requests(browser: &Browser, url: &str) -> Vec<String> {
    let requests = browser.requests().unwrap();
    for request in &requests {
        // Chromium shows the page's icon from where it is, in the page.
        let is_own = request.starts_with(url) || request.starts_with("data:");
        assert!(is_own, "{request} is not of {url}");
    }
    requests
}

fn picture(browser: &Browser, name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/page");
    fs::create_dir_all(&folder).unwrap();
    browser
        .picture(&folder.join(format!("{name}.png")))
        .unwrap();
}
