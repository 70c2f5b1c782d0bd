//! Draws outages: one row each, with jitter on the left and without on the right.
//!
//! A panel is as wide as its time and holds, for each of its pixels, the loudest second in it: a
//! peak is never averaged away. Numbers are whole pixels.

use std::fmt::Write as _;

use super::counts::Counts;
use super::report::{Case, allowed};

const PANEL_WIDTH: u64 = 560;
const PANEL_HEIGHT: u64 = 180;
const LEFT: u64 = 60;
const TOP: u64 = 70;
const ROW: u64 = PANEL_HEIGHT + 80;
const COLUMN: u64 = PANEL_WIDTH + 90;
const STYLE: &str = "\
text{font:12px sans-serif;fill:#333}.small{font-size:10px}.head{font-size:15px}\
.frame{fill:none;stroke:#999}.outage{fill:#f4dcdc}.steady{stroke:#888;stroke-dasharray:2 3}\
.allowed{stroke:#c22;stroke-dasharray:5 3}path{fill:none}\
.load{stroke:#115}.requests{stroke:#2a8}.handshakes{stroke:#e80}.vain{stroke:#bbb}";

/// The drawing, as SVG.
pub fn draw(cases: &[Case]) -> String {
    let height = TOP + cases.len() as u64 * ROW;
    let width = LEFT + 2 * COLUMN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" class=\"head\">What a fleet asks of its server, each second, \
         as multiples of a good day</text>\n"
    );
    let legend = [
        ("load", "requests and handshakes"),
        ("requests", "requests"),
        ("handshakes", "handshakes"),
        ("vain", "attempts that reached nobody"),
        ("allowed", "allowed"),
    ];
    let mut x = LEFT;
    for (class, words) in legend {
        // Writing to a String does not fail.
        let _ = writeln!(
            svg,
            "<path class=\"{class}\" d=\"M{x} 40h20\"/><text x=\"{}\" y=\"44\">{words}</text>",
            x + 25
        );
        x += 60 + 7 * words.len() as u64;
    }
    for (row, case) in (0..).zip(cases) {
        let y = TOP + row * ROW;
        panel(&mut svg, (LEFT, y), case, &case.with_jitter, "with jitter");
        if let Some(counts) = &case.without_jitter {
            panel(&mut svg, (LEFT + COLUMN, y), case, counts, "without jitter");
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, (x, y): (u64, u64), case: &Case, counts: &Counts, how: &str) {
    let plan = &case.plan;
    let seconds = counts.requests.len() as u64;
    let of_steady = |count: u32| plan.of_steady(count.into(), 1).0;
    let loads: Vec<u64> = (0..counts.requests.len())
        .map(|second| of_steady(counts.load(second)))
        .collect();
    let in_vain = counts.in_vain.iter().map(|n| of_steady(*n)).max();
    let most = loads.iter().copied().max().max(in_vain).unwrap_or(0);
    // Whole steps of a half, with room above.
    let top = (most / 500 + 1).max(4) * 500;
    let across = |second: u64| x + second * PANEL_WIDTH / seconds;
    let up = |permille: u64| y + PANEL_HEIGHT - permille * PANEL_HEIGHT / top;

    let (down_s, back_s) = (plan.down_ms / 1000, plan.back_ms / 1000);
    let outage_width = (across(back_s) - across(down_s)).max(1);
    let _ = writeln!(
        svg,
        "<rect class=\"outage\" x=\"{}\" y=\"{y}\" width=\"{outage_width}\" \
         height=\"{PANEL_HEIGHT}\"/>",
        across(down_s)
    );
    for (class, permille) in [("steady", 1000), ("allowed", allowed(plan).0)] {
        let _ = writeln!(
            svg,
            "<path class=\"{class}\" d=\"M{x} {}h{PANEL_WIDTH}\"/>",
            up(permille)
        );
    }
    let line = |numbers: &[u32]| -> Vec<u64> { numbers.iter().map(|n| of_steady(*n)).collect() };
    for (class, values) in [
        ("vain", line(&counts.in_vain)),
        ("requests", line(&counts.requests)),
        ("handshakes", line(&counts.handshakes)),
        ("load", loads),
    ] {
        let _ = writeln!(
            svg,
            "<path class=\"{class}\" d=\"{}\"/>",
            path(&values, x, up)
        );
    }
    let _ = writeln!(
        svg,
        "<rect class=\"frame\" x=\"{x}\" y=\"{y}\" width=\"{PANEL_WIDTH}\" \
         height=\"{PANEL_HEIGHT}\"/>"
    );
    let every = (top / 2500 + 1) * 500;
    for permille in (0..=top).step_by(every as usize) {
        let _ = writeln!(
            svg,
            "<text class=\"small\" text-anchor=\"end\" x=\"{}\" y=\"{}\">{}.{}</text>",
            x - 5,
            up(permille) + 4,
            permille / 1000,
            permille % 1000 / 100
        );
    }
    for (second, words) in [
        (0, "0".to_owned()),
        (back_s, format!("back, {back_s} s")),
        (seconds, format!("{seconds} s")),
    ] {
        let _ = writeln!(
            svg,
            "<text class=\"small\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{words}</text>",
            across(second),
            y + PANEL_HEIGHT + 14
        );
    }
    let peak = case.after(counts);
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{}\">{} agents, {}, {} s, {how}: {} at most after the return</text>",
        y - 6,
        plan.agents,
        plan.fault.name(),
        (plan.back_ms - plan.down_ms) / 1000,
        peak.load
    );
}

/// A step for each pixel, at the loudest of its seconds.
fn path(values: &[u64], x: u64, up: impl Fn(u64) -> u64) -> String {
    let mut path = String::new();
    let pixels = (values.len() as u64).min(PANEL_WIDTH);
    let at = |pixel: u64| (pixel * values.len() as u64 / pixels) as usize;
    for pixel in 0..pixels {
        let most = values[at(pixel)..at(pixel + 1)].iter().max();
        let command = if pixel == 0 { 'M' } else { 'L' };
        let _ = write!(
            path,
            "{command}{} {}",
            x + pixel * PANEL_WIDTH / pixels,
            up(most.copied().unwrap_or(0))
        );
    }
    path
}

#[cfg(test)]
mod tests {
    use super::super::fleet::{Fault, Plan};
    use super::*;

    #[test]
    fn a_peak_is_in_the_drawing_however_long_the_time_around_it() {
        let mut values = vec![0; 10_000];
        values[7_777] = 40;
        let drawn = path(&values, 0, |value| 100 - value);
        assert_eq!(drawn.matches(" 60").count(), 1, "{drawn}");
    }

    #[test]
    fn each_case_has_its_panels() {
        let plan = Plan::new(20, 10_000, Fault::Refused, 60_000, 1);
        let svg = draw(&[Case::new(plan, true), Case::new(plan, false)]);
        assert_eq!(svg.matches("class=\"outage\"").count(), 3);
        assert_eq!(svg.matches("without jitter").count(), 1);
        assert!(svg.ends_with("</svg>\n"));
    }
}
