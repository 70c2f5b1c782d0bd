//! The page of a real agent that has watched its device for two days.
//!
//! They take half a minute: the agent, built for this machine's own C library, starts with a clock
//! that is two days behind and runs 6,000 times as fast, its waits included (libfaketime). When it
//! has come to the present it goes on at the pace of everybody, and is looked at.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use mote_tests::agent::dynamic_binary;
use mote_tests::wait::poll_until;

use super::*;

const TWO_DAYS_S: u32 = 2 * 24 * 3600;

/// A point of 10 minutes is then 100 ms, and a sample of each minute 10 ms.
const HASTE: u32 = 6000;

/// Where Debian and others keep the library; none, which is said, where it is not installed.
fn clock_library(test: &str) -> Option<PathBuf> {
    let machine = std::env::consts::ARCH;
    let places = [
        format!("/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1"),
        "/usr/lib/faketime/libfaketime.so.1".into(),
        "/usr/lib64/faketime/libfaketime.so.1".into(),
    ];
    let found = places.iter().map(PathBuf::from).find(|path| path.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "libfaketime is not installed: apt-get install faketime"
        );
        // Whoever closed standard error does not want to know.
        writeln!(std::io::stderr(), "SKIPPED {test}: no libfaketime").ok();
    }
    found
}

#[test]
fn two_days_of_a_real_agent_are_drawn_to_the_last_point() {
    let test = "two_days_of_a_real_agent_are_drawn_to_the_last_point";
    if left_out("a clock that runs fast") {
        return;
    }
    let Some(library) = clock_library(test) else {
        return;
    };
    let builder = AgentBuilder::new().unwrap();
    let pace = builder
        .write_file("pace", &format!("-{TWO_DAYS_S} x{HASTE}"))
        .unwrap();
    let binary = dynamic_binary().unwrap();
    let began = Instant::now();
    let agent = builder
        .binary(binary)
        .flag("interval", "1m")
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &pace)
        .env("FAKETIME_NO_CACHE", "1")
        .start()
        .unwrap();
    let url = url_of(&agent);
    let fast = Duration::from_secs(TWO_DAYS_S.into()) / HASTE;
    poll_until("the agent's clock to come to the present", LONG, || {
        (began.elapsed() >= fast).then_some(())
    })
    .unwrap();
    // Replaced as a whole: the library reads it at each look at the clock.
    let new = pace.with_extension("new");
    fs::write(&new, "+0 x1").unwrap();
    fs::rename(&new, &pace).unwrap();

    for (name, screen) in SCREENS {
        let Some(browser) = looking(test, &url, screen) else {
            return;
        };
        for (span, points) in [("10m", 60), ("4h", 240), ("48h", 288)] {
            let drawn = format!(
                "document.querySelector('[value=\"{span}\"]').click();\
                 var svg = document.querySelector('svg');\
                 return svg.getAttribute('viewBox') === '0 0 {points} 100'\
                     && svg.querySelector('.line').getAttribute('d')"
            );
            let line = browser.wait_for("the span to be drawn", &drawn, LONG);
            let line = line.unwrap();
            let known = line.as_str().unwrap().matches('L').count();
            if span == "48h" {
                // A busy machine may have kept the agent from a few.
                assert!(known >= points * 9 / 10, "{known} of {points} points");
            }
        }
        assert_tidy(&browser);
        picture(&browser, &format!("days-{name}"));
    }
}
