//! Simulates a fleet that loses its server, prints what its return brings, and draws it.
//!
//! Exits with 1 if a return is louder than allowed, with 64 if it was called wrongly.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use lexopt::{Arg, Parser, ValueExt};
use mote_tests::simulate::{CASES, Case, Counts, Fault, Plan, allowed, draw};
use mote_tests::target_folder;

const HELP: &str = "\
Simulates a fleet that loses its server and gets it back, with the agent's own policy.

Usage: simulate [--agents N] [--outage DURATION] [--fault NAME] [--interval DURATION]
                [--seed N] [--quick] [--out FILE]

Prints the loudest second before the outage and after the return, with and without jitter, and
writes the drawing of both. A connection that has to be opened counts as a request. Without
--outage a few outages from a minute to half an hour are gone through. Exits with 1 if a return
with jitter brings more than 1.5 times what a good day brings; for a small fleet, whose seconds are
ruled by chance, a little more is allowed, as is printed.

  --agents N           how many agents (default: 100000)
  --outage DURATION    how long the server is away, say 90s, 30m
  --fault NAME         in what way: refused, silent, errors, no-address (default: refused)
  --interval DURATION  between two samples (default: 10s)
  --seed N             for everything that is left to chance (default: 1)
  --quick              leaves out what jitter is good for: everything without it
  --out FILE           where the drawing goes (default: target/simulate.svg)
  -h, --help           print this
";

const USAGE: u8 = 64;

/// What the command line asks for.
struct Options {
    agents: u32,
    outage_ms: Option<u64>,
    fault: Fault,
    interval_ms: u64,
    seed: u64,
    quick: bool,
    out: Option<PathBuf>,
    help: bool,
}

fn main() -> ExitCode {
    let options = match parse_arguments(Parser::from_env()) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("simulate: {error}; try --help");
            return ExitCode::from(USAGE);
        }
    };
    if options.help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let cases = simulate(&options);
    let out = options
        .out
        .unwrap_or_else(|| target_folder().join("simulate.svg"));
    if let Err(error) = write(&out, &draw(&cases)) {
        eprintln!("simulate: cannot write {}: {error}", out.display());
        return ExitCode::FAILURE;
    }
    eprintln!("simulate: wrote {}", out.display());
    let loud = cases.iter().filter(|case| !case.is_good()).count();
    if loud > 0 {
        eprintln!(
            "simulate: {loud} of {} returns bring more than is allowed",
            cases.len()
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn simulate(options: &Options) -> Vec<Case> {
    let asked = options
        .outage_ms
        .map(|outage_ms| vec![(options.fault, outage_ms)]);
    let usual = || CASES.map(|(fault, s)| (fault, s * 1000)).to_vec();
    let begun = Instant::now();
    let plan = |fault, outage_ms| {
        let (agents, interval_ms) = (options.agents, options.interval_ms);
        Plan::new(agents, interval_ms, fault, outage_ms, options.seed)
    };
    println!("{} agents, seed {}", options.agents, options.seed);
    println!(
        "the loudest second, as a multiple of a good day's: before the outage; after the return, \
         where at most {} is\nallowed, with its requests, its handshakes and how long after it was",
        allowed(&plan(Fault::Refused, 0))
    );
    println!(
        "{:<12} {:>8}  {:<8} {:>7} {:>9} {:>11} {:>7}  {:>5}",
        "fault", "outage", "jitter", "before", "requests", "handshakes", "after", "at"
    );
    let mut cases = Vec::new();
    for (fault, outage_ms) in asked.unwrap_or_else(usual) {
        let case = Case::new(plan(fault, outage_ms), !options.quick);
        print_line(&case, &case.with_jitter, "with");
        if let Some(counts) = &case.without_jitter {
            print_line(&case, counts, "without");
        }
        cases.push(case);
    }
    eprintln!("simulate: {} s", begun.elapsed().as_secs());
    cases
}

/// The loudest second: before the outage, and after it with what it was made of.
fn print_line(case: &Case, counts: &Counts, jitter: &str) {
    let (before, after) = (case.before(counts), case.after(counts));
    println!(
        "{:<12} {:>6} s  {jitter:<8} {:>7} {:>9} {:>11} {:>7}  +{} s",
        case.plan.fault.name(),
        (case.plan.back_ms - case.plan.down_ms) / 1000,
        before.load.to_string(),
        after.requests,
        after.handshakes,
        after.load.to_string(),
        after.at_s
    );
}

fn parse_arguments(mut parser: Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options {
        agents: 100_000,
        outage_ms: None,
        fault: Fault::Refused,
        interval_ms: 10_000,
        seed: 1,
        quick: false,
        out: None,
        help: false,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("agents") => options.agents = parser.value()?.parse()?,
            Arg::Long("outage") => options.outage_ms = Some(duration_ms(&mut parser)?),
            Arg::Long("fault") => options.fault = parser.value()?.parse_with(fault)?,
            Arg::Long("interval") => options.interval_ms = duration_ms(&mut parser)?,
            Arg::Long("seed") => options.seed = parser.value()?.parse()?,
            Arg::Long("quick") => options.quick = true,
            Arg::Long("out") => options.out = Some(parser.value()?.into()),
            Arg::Long("help") | Arg::Short('h') => options.help = true,
            other => return Err(other.unexpected()),
        }
    }
    if options.agents == 0 {
        return Err("--agents must be at least 1".into());
    }
    Ok(options)
}

fn fault(name: &str) -> Result<Fault, String> {
    let known = Fault::ALL.iter().find(|(known, _)| *known == name);
    let names = Fault::ALL.map(|(name, _)| name).join(", ");
    known
        .map(|(_, fault)| *fault)
        .ok_or_else(|| format!("no such fault; there are {names}"))
}

fn duration_ms(parser: &mut Parser) -> Result<u64, lexopt::Error> {
    parser.value()?.parse_with(|text| {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit_ms = match &text[digits.len()..] {
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err("not a duration; write it like 90s, 30m or 2h"),
        };
        match digits.parse::<u64>() {
            Ok(number @ 1..=1_000_000) => Ok(number * unit_ms),
            _ => Err("not a duration; write it like 90s, 30m or 2h"),
        }
    })
}

fn write(path: &PathBuf, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}
