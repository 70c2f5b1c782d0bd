//! A real Chromium, driven over `WebDriver` as a person would: open a page, look, press a key.
//!
//! The driver is Debian's chromedriver, spoken to over HTTP on loopback as the W3C's `WebDriver` says.
//! Each browser has a fresh profile, and no network but what its page asks for; what the page
//! asked for, and what its console said, can be read afterwards. Where Chromium is not installed
//! the tests that want it are skipped, and say so on standard error, past the test runner's capture;
//! with `CI=true` that is a failure. It ends when dropped.

mod base64;
mod wire;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, io};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wait::{TimedOut, poll_until};
use wire::Wire;

/// What Chromium is started with: without a screen, as any user, and silent by itself.
const FLAGS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// Drivers that are tried before it is said that none starts.
const DRIVERS: usize = 5;

/// What the page is looked at on. Sizes are CSS pixels.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub width: u32,
    pub height: u32,
    pub is_dark: bool,
}

/// A running browser with one tab.
#[derive(Debug)]
pub struct Browser {
    wire: Wire,
    /// The path of the session, empty until there is one.
    session: String,
    driver: Child,
    profile: TempDir,
}

impl Browser {
    /// Starts one; none if Chromium is not installed, which is said in the name of `test`.
    ///
    /// # Panics
    /// If Chromium is not installed where `CI=true` says that it must be.
    pub fn start(test: &str) -> io::Result<Option<Self>> {
        let is_there = |name: &str| {
            let path = env::var_os("PATH").unwrap_or_default();
            env::split_paths(&path).any(|folder| folder.join(name).is_file())
        };
        if is_there("chromium") && is_there("chromedriver") {
            return Self::start_one().map(Some);
        }
        assert!(
            env::var_os("CI").is_none_or(|ci| ci != "true"),
            "a browser is not installed: apt-get install chromium chromium-driver"
        );
        // Whoever closed standard error does not want to know.
        writeln!(io::stderr(), "SKIPPED {test}: no chromium or chromedriver").ok();
        Ok(None)
    }

    fn start_one() -> io::Result<Self> {
        let mut browser = Self::start_driver()?;
        let mut flags = FLAGS.map(str::to_owned).to_vec();
        let profile = browser.profile.path().join("profile");
        flags.push(format!("--user-data-dir={}", profile.display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let made = browser.wire.post("/session", &wanted)?;
        let id = made.get("sessionId").and_then(Value::as_str);
        let id = id.ok_or_else(|| io::Error::other(format!("no session: {made}")))?;
        browser.session = format!("/session/{id}");
        Ok(browser)
    }

    /// The driver takes a port of one family and then wants the same of the other, where another
    /// program may have it.
    fn start_driver() -> io::Result<Self> {
        let mut outcome = Self::try_start_driver();
        for _ in 1..DRIVERS {
            if outcome.is_ok() {
                break;
            }
            outcome = Self::try_start_driver();
        }
        outcome
    }

    fn try_start_driver() -> io::Result<Self> {
        let profile = TempDir::with_prefix("mote-browser-")?;
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", profile.path())
            // Chromium is killed in the end, and leaves what it put there.
            .env("TMPDIR", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let said = driver.stdout.take();
        // From here on a failure drops, and so ends, the driver.
        let mut browser = Self {
            wire: Wire::default(),
            session: String::new(),
            driver,
            profile,
        };
        let said = said.ok_or_else(|| io::Error::other("chromedriver has no output"))?;
        browser.wire = Wire::to_port(port_said(BufReader::new(said))?);
        Ok(browser)
    }

    /// Looks at everything on this screen from now on.
    pub fn screen(&self, screen: Screen) -> io::Result<()> {
        let metrics = json!({
            "width": screen.width, "height": screen.height,
            "deviceScaleFactor": 1, "mobile": screen.width < 600,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics)?;
        let scheme = if screen.is_dark { "dark" } else { "light" };
        let feature = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &feature)
    }

    /// Goes to a page and waits until it is loaded.
    pub fn open(&self, url: &str) -> io::Result<()> {
        self.post("/url", &json!({"url": url})).map(drop)
    }

    /// What the body of a function, run in the page, returns.
    pub fn ask(&self, body: &str) -> io::Result<Value> {
        self.post("/execute/sync", &json!({"script": body, "args": []}))
    }

    /// Waits until the body of a function, run in the page, returns neither null nor false; gives
    /// what it returned.
    pub fn wait_for(&self, what: &str, body: &str, timeout: Duration) -> Result<Value, TimedOut> {
        let mut last = String::new();
        let found = poll_until(what, timeout, || match self.ask(body) {
            Ok(value) if value.is_null() || value == false => None,
            Ok(value) => Some(value),
            Err(error) => {
                last = format!("; {error}");
                None
            }
        });
        found.map_err(|TimedOut(words)| {
            let page = self.ask("return document.body.innerText");
            let page = page.unwrap_or_default();
            let page = page.as_str().unwrap_or_default();
            TimedOut(format!("{words}{last}; the page says:\n{page}"))
        })
    }

    /// Presses keys on what has the focus. Keys without a letter are those of `WebDriver`, like `\u{e014}`
    /// for the right arrow.
    pub fn press(&self, keys: &str) -> io::Result<()> {
        let press = |key: char| {
            ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()}))
        };
        let actions: Vec<Value> = keys.chars().flat_map(press).collect();
        let keyboard = json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]});
        self.post("/actions", &keyboard).map(drop)
    }

    /// Moves a mouse, or with `tap` a finger that touches and lifts, to this place of the window.
    pub fn point(&self, x: i64, y: i64, tap: bool) -> io::Result<()> {
        let kind = if tap { "touch" } else { "mouse" };
        let mut actions = vec![json!({"type": "pointerMove", "duration": 0, "x": x, "y": y})];
        if tap {
            actions.push(json!({"type": "pointerDown", "button": 0}));
            actions.push(json!({"type": "pointerUp", "button": 0}));
        }
        let pointer = json!({"actions": [{
            "type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": actions,
        }]});
        self.post("/actions", &pointer).map(drop)
    }

    /// What the console said since it was asked last, one line each: source, level, words.
    pub fn console(&self) -> io::Result<Vec<String>> {
        let entries = self.log("browser")?;
        let lines = entries.iter().map(|entry| {
            let field = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
            let (source, level, message) = (field("source"), field("level"), field("message"));
            format!("{source} {level} {message}")
        });
        Ok(lines.collect())
    }

    /// The addresses that were asked for since this was asked last, in order, without those of
    /// Chromium's own pages, like its empty tab.
    pub fn requests(&self) -> io::Result<Vec<String>> {
        let entries = self.log("performance")?;
        let urls = entries.iter().filter_map(|entry| {
            let event: Value = serde_json::from_str(entry.get("message")?.as_str()?).ok()?;
            let event = event.get("message")?;
            (event.get("method")? == "Network.requestWillBeSent").then_some(())?;
            Some(event.pointer("/params/request/url")?.as_str()?.to_owned())
        });
        let urls = urls.filter(|url| !url.starts_with("chrome:"));
        Ok(urls.collect())
    }

    /// Writes a picture of the window, PNG.
    pub fn picture(&self, file: &Path) -> io::Result<()> {
        let value = self.wire.get(&format!("{}/screenshot", self.session))?;
        let bytes = value.as_str().and_then(base64::decode);
        let bytes = bytes.ok_or_else(|| io::Error::other("the picture is not base64"))?;
        fs::write(file, bytes)
    }

    fn log(&self, kind: &str) -> io::Result<Vec<Value>> {
        match self.post("/se/log", &json!({"type": kind}))? {
            Value::Array(entries) => Ok(entries),
            other => Err(io::Error::other(format!("no log: {other}"))),
        }
    }

    fn devtools(&self, command: &str, parameters: &Value) -> io::Result<()> {
        let body = json!({"cmd": command, "params": parameters});
        self.post("/goog/cdp/execute", &body).map(drop)
    }

    fn post(&self, path: &str, body: &Value) -> io::Result<Value> {
        self.wire.post(&format!("{}{path}", self.session), body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium and waits for it. Each may fail only because it has ended already.
        if !self.session.is_empty() {
            self.wire.delete(&self.session).ok();
        }
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

/// The port that the driver says it listens on.
fn port_said(said: impl BufRead) -> io::Result<u16> {
    let mut all = String::new();
    for line in said.lines() {
        let line = line?;
        if let Some((_, port)) = line.split_once("successfully on port ")
            && let Ok(port) = port.trim_end_matches('.').parse()
        {
            return Ok(port);
        }
        all.push_str(&line);
        all.push('\n');
    }
    Err(io::Error::other(format!(
        "chromedriver did not start: {all}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_taken_from_what_the_driver_says() {
        let said = "Starting ChromeDriver 1 on port 0\nSuggestions on safety.\n\
            ChromeDriver was started successfully on port 40123.\n";
        assert_eq!(port_said(said.as_bytes()).unwrap(), 40_123);
        let words = port_said("bind() failed\n".as_bytes()).unwrap_err();
        assert!(words.to_string().contains("bind() failed"), "{words}");
    }
}
