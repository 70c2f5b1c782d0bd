//! The hub as a program: a server to point an agent at, by hand or from the demo.
//!
//! Prints one line when it listens, with `--print` a line per sample (those that misbehaviour left
//! undelivered are marked), a summary at the end. Exits
//! with 0 after SIGINT or SIGTERM, with 1 if a guest did what no agent should do or it could not
//! start, with 64 if it was called wrongly.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::mpsc::Receiver;
use std::thread;

use lexopt::{Arg, Parser, ValueExt};
use mote_tests::hub::{Hub, HubConfig, MISBEHAVIOUR_NAMES, Message, Misbehaviour, Received, Route};
use serde::de::DeserializeOwned;
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const HELP: &str = "\
A LunaSentri server for tests and demonstrations.

Usage: hub [OPTIONS]

  --listen ADDR        where to listen (default 127.0.0.1:0: any free port)
  --plain              plain HTTP instead of TLS
  --api-key KEY        the key that agents must show (default demo-key)
  --prefix PATH        comes before /agent/metrics, as in /api (default: nothing)
  --name NAME          a further name for the certificate; may be given again
  --dir DIR            where ca.pem goes (default: a folder that goes with the hub)
  --control ADDR       a loopback address for curl: GET /samples, GET /stats,
                       POST /misbehave {\"name\":\"status\",\"status\":503,\"times\":2},
                       POST /certificate {\"name\":\"expired\"}, POST /tls {\"name\":\"1.2\"}
  --print              print each sample, and each message but for looks for instructions
  --orchestrator       be an orchestrator too
  --token TOKEN        what its agents must show (default demo-token)
  --instructions FILE  a JSON list of instructions to hand out
  --client-certificates  let nobody in without a certificate of the hub's authority
  --answer KIND        accepted (documented, default) or empty (as the published server)
  --form FORM          any (default), documented, live or both
  --misbehave NAME     be bad from the start; see below
  --cert KIND          good (default), expired, not-yet-valid, wrong-name, foreign-ca, self-signed
  --tls VERSION        1.2 or 1.3 (default both)
  -h, --help           print this

Misbehaviours:
  ";

const USAGE: u8 = 64;

/// What the command line asks for.
struct Options {
    config: HubConfig,
    print: bool,
    help: bool,
}

fn main() -> ExitCode {
    let options = match parse_arguments(Parser::from_env()) {
        Ok(options) => options,
        Err(error) => {
            say(&mut io::stderr(), format_args!("hub: {error}; try --help"));
            return ExitCode::from(USAGE);
        }
    };
    if options.help {
        let names = MISBEHAVIOUR_NAMES.replace(", ", "\n  ");
        say(&mut io::stdout(), format_args!("{HELP}{names}"));
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(code) => code,
        Err(error) => {
            say(
                &mut io::stderr(),
                format_args!("hub: cannot start: {error}"),
            );
            ExitCode::FAILURE
        }
    }
}

/// Writes a line. Whoever closed our output does not want to hear that it failed.
fn say(to: &mut dyn Write, line: impl Display) {
    writeln!(to, "{line}").ok();
}

fn parse_arguments(mut parser: Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options {
        config: HubConfig::default(),
        print: false,
        help: false,
    };
    let config = &mut options.config;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("listen") => config.listen = address("--listen", &mut parser)?,
            Arg::Long("plain") => config.plain = true,
            Arg::Long("api-key") => config.api_key = parser.value()?.string()?,
            Arg::Long("prefix") => config.prefix = parser.value()?.string()?,
            Arg::Long("name") => config.extra_names.push(parser.value()?.string()?),
            Arg::Long("dir") => config.dir = Some(parser.value()?.into()),
            Arg::Long("control") => config.control = Some(address("--control", &mut parser)?),
            Arg::Long("print") => options.print = true,
            Arg::Long("client-certificates") => config.wants_client_certificate = true,
            Arg::Long("orchestrator") => {
                config.orchestrator.get_or_insert_default();
            }
            Arg::Long("token") => {
                let token = parser.value()?.string()?;
                config.orchestrator.get_or_insert_default().token = Some(token);
            }
            Arg::Long("instructions") => {
                let path = parser.value()?;
                let list = instructions(path.as_ref())?;
                config.orchestrator.get_or_insert_default().instructions = list;
            }
            Arg::Long("answer") => config.answer = named("--answer", &mut parser)?,
            Arg::Long("form") => config.form = named("--form", &mut parser)?,
            Arg::Long("misbehave") => {
                config.misbehaviour = Misbehaviour::parse(&parser.value()?.string()?)?;
            }
            Arg::Long("cert") => config.certificate = named("--cert", &mut parser)?,
            Arg::Long("tls") => config.tls_versions = named("--tls", &mut parser)?,
            Arg::Long("help") | Arg::Short('h') => options.help = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

fn address(flag: &str, parser: &mut Parser) -> Result<SocketAddr, lexopt::Error> {
    let text = parser.value()?.string()?;
    SocketAddr::from_str(&text)
        .map_err(|_| format!("{flag} takes an address like 127.0.0.1:8443, not {text:?}").into())
}

fn instructions(path: &Path) -> Result<Vec<Value>, lexopt::Error> {
    let place = path.display();
    let text = std::fs::read(path).map_err(|error| format!("{place}: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("{place}: {error}").into())
}

/// A value that is one of the names of an enum, as its JSON form has them.
fn named<T: DeserializeOwned>(flag: &str, parser: &mut Parser) -> Result<T, lexopt::Error> {
    let name = parser.value()?.string()?;
    serde_json::from_value(Value::String(name)).map_err(|error| format!("{flag}: {error}").into())
}

fn run(options: &Options) -> io::Result<ExitCode> {
    // Before anything is printed: who reads our first line may stop us at once.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let hub = Hub::start(options.config.clone())?;
    let samples = hub.subscribe();
    let messages = hub.subscribe_to_messages();
    let mut line = format!("hub: listening on {}", hub.url());
    if !hub.is_plain() {
        line.extend([" ca=", &hub.ca_pem_path().to_string_lossy()]);
    }
    if let Some(url) = hub.control_url() {
        line.extend([" control=", &url]);
    }
    say(&mut io::stdout(), line);
    let print = options.print;
    let printer = thread::spawn(move || print_each(&samples, print));
    let clerk = thread::spawn(move || print_messages(&messages, print));

    signals.forever().next();
    let (summary, violations) = (hub.summary(), hub.violations());
    drop(hub);
    printer.join().ok();
    clerk.join().ok();
    say(&mut io::stdout(), format_args!("hub: {summary}"));
    for violation in &violations {
        say(
            &mut io::stdout(),
            format_args!("hub: violation: {violation}"),
        );
    }
    Ok(if violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print_each(samples: &Receiver<Received>, print: bool) {
    for sample in samples.iter().filter(|_| print) {
        say(&mut io::stdout(), describe(&sample));
    }
}

fn print_messages(messages: &Receiver<Message>, print: bool) {
    for message in messages.iter().filter(|_| print) {
        if message.route != Route::Poll {
            say(&mut io::stdout(), describe_message(&message));
        }
    }
}

/// A message as a line that a person can read.
fn describe_message(message: &Message) -> String {
    let text = |name: &str| message.body[name].as_str().unwrap_or_default().to_owned();
    let words = match message.route {
        Route::Register => format!("registers as {}", text("type")),
        Route::Heartbeat => format!("is {}", text("status")),
        Route::Poll => "asks for an instruction".to_owned(),
        Route::Executing => "takes it up".to_owned(),
        Route::Result => {
            let output = &message.body["result"]["execution_result"]["output_data"];
            format!("{} {output} {}", text("status"), text("error_message"))
        }
        Route::Events => {
            let events = message.body["events"].as_array();
            let names = events.into_iter().flatten();
            let names: Vec<&str> = names.filter_map(|event| event["type"].as_str()).collect();
            format!("reports {}", names.join(", "))
        }
    };
    let about = message.instruction.as_deref().map(|id| format!(" {id}:"));
    format!(
        "hub: {}:{} {}",
        message.agent,
        about.unwrap_or_default(),
        words.trim_end()
    )
}

/// A sample as a line that a person can read.
fn describe(sample: &Received) -> String {
    let text = |field: &str| {
        sample
            .body
            .get(field)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let percent = |names: [&str; 2]| match names.iter().find_map(|name| sample.number(name)) {
        Some(percent) => format!("{percent:5.1}%"),
        None => "     -".to_owned(),
    };
    let bytes = |names: [&str; 2]| match names.iter().find_map(|name| sample.number(name)) {
        Some(bytes) => human(bytes),
        None => "-".to_owned(),
    };
    let host = text("hostname").or_else(|| {
        sample
            .body
            .pointer("/system_info/hostname")?
            .as_str()
            .map(str::to_owned)
    });
    // The date is the same all day long; the time of day is what tells two lines apart.
    let time = text("timestamp").and_then(|time| time.get(11..).map(str::to_owned));
    let mut line = format!(
        "{:13} {}  cpu {}  mem {}  disk {}  net {} out {} in  {}  {} bytes",
        time.unwrap_or_else(|| "-".into()),
        host.unwrap_or_else(|| "-".into()),
        percent(["cpu_percent", "cpu_pct"]),
        percent(["memory_percent", "mem_used_pct"]),
        percent(["disk_percent", "disk_used_pct"]),
        bytes(["network_bytes_sent", "net_tx_bytes"]),
        bytes(["network_bytes_recv", "net_rx_bytes"]),
        sample.status,
        sample.raw.len(),
    );
    if !sample.delivered {
        line.push_str("  (not delivered)");
    }
    if sample.repeat {
        line.push_str("  (again)");
    }
    line
}

/// Bytes in the largest unit that leaves a whole number before the point.
fn human(bytes: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{value} B")
    } else {
        format!("{value:.1} {}", units[unit])
    }
}
