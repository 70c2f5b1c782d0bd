//! What is at which path, and for whom.
//!
//! The health port has health, ready and, unless it is switched off, the page with its two JSON
//! texts; the metrics port has the metrics. Both are on one port if both were given the same.
//! Without the page its JSON is still there for this device itself, for `mote status`.
//!
//! Nothing here can be changed by a request.

use std::net::IpAddr;

use mote_core::Full;
use mote_core::history::Span;
use mote_core::wire::pieces::Pieces;
use mote_core::wire::prometheus::Lines;

use super::answer::{Answer, Body, Content, Status};
use super::health::{self, Question};
use super::host::is_ours;
use super::metrics;
use super::node::Node;
use super::process::Process;
use super::request::Request;
use super::status;
use crate::board::Board;
use crate::clock;
use crate::config::Settings;
use crate::device::Device;
use crate::plugin::Plugins;
use crate::vitals::newest_point;

/// The page of the device, whole: it asks for nothing but the two JSON texts. `build.rs` makes it
/// from `page/index.html`.
const PAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html"));

/// More scrapes a second than any Prometheus makes.
const SCRAPES: u32 = 20;

/// What a port answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Services {
    /// Health, ready, the page.
    pub health: bool,
    /// The metrics.
    pub metrics: bool,
}

/// What the configuration says about answers.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Path of health.
    pub health_path: String,
    /// Path of ready.
    pub ready_path: String,
    /// Whether there is a page.
    pub page: bool,
    /// Path of the metrics.
    pub metrics_path: String,
    /// What the agent's own metrics begin with, up to the underscore.
    pub namespace: String,
    /// Host names that are answered besides the device's own.
    pub allowed_hosts: Vec<String>,
    /// The path on the file system that is watched.
    pub disk: String,
}

impl Rules {
    /// What `settings` say.
    pub fn new(settings: &Settings) -> Self {
        Self {
            health_path: settings.health_path.clone(),
            ready_path: ready_path(&settings.health_path),
            page: settings.health_page,
            metrics_path: settings.metrics_path.clone(),
            namespace: [&settings.metrics_namespace, "_"].concat(),
            allowed_hosts: settings.health_allowed_hosts.clone(),
            disk: settings.disk.to_string_lossy().into_owned(),
        }
    }
}

/// Ready is beside health.
pub fn ready_path(health_path: &str) -> String {
    let folder = health_path.rfind('/').map_or(0, |at| at + 1);
    format!("{}ready", &health_path[..folder])
}

/// What is written when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// `GET /health` or `/ready`.
    Health(Question),
    /// `GET /api/status`.
    Status,
    /// `GET /api/history`, settled when it was asked for: the points must not move under an answer.
    History {
        span: Span,
        /// The last point.
        newest: u64,
        /// When it ends, Unix milliseconds.
        end_ms: u64,
    },
    /// `GET /metrics`.
    Metrics,
}

/// How far a page is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Parts that are done.
    part: usize,
    /// Lines or units of the next part that are done.
    line: u32,
}

/// Whether a page is written to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// To its end.
    Done,
    /// More is to come.
    More,
    /// It cannot be written.
    Broken,
}

/// Counts scrapes, so that a loop of them costs little.
#[derive(Debug, Default)]
pub struct Scrapes {
    second: u64,
    count: u32,
}

impl Scrapes {
    /// Whether one more is answered at `now_ms`.
    fn admit(&mut self, now_ms: u64) -> bool {
        let second = now_ms / 1_000;
        if second != self.second {
            (self.second, self.count) = (second, 0);
        }
        self.count += 1;
        self.count <= SCRAPES
    }
}

/// All that answers are made of, for the time of one turn.
#[derive(Debug)]
pub struct Desk<'a> {
    /// What the configuration says.
    pub rules: &'a Rules,
    /// Samples, and what became of them.
    pub device: &'a Device,
    /// What the loop told.
    pub board: &'a Board,
    /// What runs beside the agent.
    pub plugins: &'a Plugins,
    /// Scrapes of late.
    pub scrapes: &'a mut Scrapes,
    /// What the metrics say of the process.
    pub process: &'a mut Process,
    /// What they say of the device, if there are any.
    pub node: Option<&'a mut Node>,
    /// Now, since the kernel started.
    pub now_ms: u64,
    /// When something else is to be done.
    pub until_ms: u64,
    /// Now, since 1970.
    pub wall_ms: u64,
}

impl Desk<'_> {
    /// Whether what is done piece by piece is to go on in another turn.
    pub fn is_time_up(&self) -> bool {
        clock::boot_ms() >= self.until_ms
    }

    /// The answer to a request that came in at `local`; `is_near` if from this device.
    pub fn answer(
        &mut self,
        request: &Request<'_>,
        services: Services,
        local: IpAddr,
        is_near: bool,
    ) -> Answer {
        let hostname = &self.board.about.hostname;
        let allowed = &self.rules.allowed_hosts;
        if request
            .host
            .is_some_and(|host| !is_ours(host, local, hostname, allowed))
        {
            return Answer::words(
                Status::MisdirectedRequest,
                "this is not a name of this device: use its address, or list the name in \
                 health.allowed_hosts\n",
            );
        }
        let rules = self.rules;
        let has_page = services.health && (rules.page || is_near);
        let path = request.path;
        if services.metrics && path == rules.metrics_path {
            return self.metrics();
        }
        if services.health && path == rules.health_path {
            return self.health(Question::Health);
        }
        if services.health && path == rules.ready_path {
            return self.health(Question::Ready);
        }
        match path {
            "/" if services.health && rules.page => Answer {
                status: Status::Ok,
                content: Content::Html,
                body: Body::Static(PAGE),
            },
            "/api/status" if has_page => json(Page::Status),
            "/api/history" if has_page => self.history(request.query),
            _ => Answer::words(Status::NotFound, "there is nothing at this path\n"),
        }
    }

    fn metrics(&mut self) -> Answer {
        if !self.scrapes.admit(self.now_ms) {
            return Answer::words(
                Status::TooOften,
                "more than 20 scrapes in this second: come again in the next\n",
            );
        }
        Answer {
            status: Status::Ok,
            content: Content::Metrics,
            body: Body::Page(Page::Metrics),
        }
    }

    fn health(&self, question: Question) -> Answer {
        let status = if health::is_good(self, question) {
            Status::Ok
        } else {
            Status::ServiceUnavailable
        };
        Answer {
            status,
            ..json(Page::Health(question))
        }
    }

    fn history(&self, query: &str) -> Answer {
        let asked = query
            .split('&')
            .find_map(|field| field.strip_prefix("span="));
        let span = match asked {
            None | Some("10m") => Span::TenMinutes,
            Some("4h") => Span::FourHours,
            Some("48h") => Span::TwoDays,
            Some(_) => {
                return Answer::words(Status::BadRequest, "span is one of 10m, 4h and 48h\n");
            }
        };
        let newest = newest_point(span, self.now_ms);
        let left_ms = (newest + 1) * span.step_ms() - self.now_ms;
        json(Page::History {
            span,
            newest,
            end_ms: self.wall_ms + left_ms,
        })
    }

    /// Writes on at a page, as much as fits; gives how many bytes, and moves the cursor.
    pub fn write(&mut self, page: Page, cursor: &mut Cursor, out: &mut [u8]) -> (usize, Progress) {
        match page {
            Page::Metrics => self.write_metrics(cursor, out),
            Page::Health(question) => {
                write_json(cursor, out, &|pieces| health::write(self, question, pieces))
            }
            Page::Status => write_json(cursor, out, &|pieces| status::write(self, pieces)),
            Page::History {
                span,
                newest,
                end_ms,
            } => write_json(cursor, out, &|pieces| {
                status::write_history(self, span, newest, end_ms, pieces)
            }),
        }
    }

    fn write_metrics(&mut self, cursor: &mut Cursor, out: &mut [u8]) -> (usize, Progress) {
        let mut used = 0;
        let mut began_us = clock::boot_us();
        while cursor.part < metrics::PARTS {
            if used > 0 && began_us / 1000 >= self.until_ms {
                return (used, Progress::More);
            }
            let mut lines = Lines::new(&mut out[used..], cursor.line);
            let written = metrics::write(self, cursor.part, &mut lines);
            let ended_us = clock::boot_us();
            metrics::took(self, cursor.part, ended_us.saturating_sub(began_us));
            began_us = ended_us;
            let is_stuck = lines.is_empty() && used == 0;
            let lines_done = lines.line();
            used += lines.len();
            if written == Err(Full) {
                // A line that not even an empty buffer holds is passed over.
                cursor.line = lines_done + u32::from(is_stuck);
                return (used, Progress::More);
            }
            *cursor = Cursor {
                part: cursor.part + 1,
                line: 0,
            };
        }
        (used, Progress::Done)
    }
}

fn json(page: Page) -> Answer {
    Answer {
        status: Status::Ok,
        content: Content::Json,
        body: Body::Page(page),
    }
}

type Writer<'w> = &'w dyn Fn(&mut Pieces<'_>) -> Result<(), Full>;

fn write_json(cursor: &mut Cursor, out: &mut [u8], write: Writer<'_>) -> (usize, Progress) {
    let mut pieces = Pieces::new(out, cursor.line);
    match write(&mut pieces) {
        Ok(()) => (pieces.len(), Progress::Done),
        // A text without one of its units would not be JSON.
        Err(Full) if pieces.is_empty() => (0, Progress::Broken),
        Err(Full) => {
            cursor.line = pieces.unit();
            (pieces.len(), Progress::More)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_beside_health() {
        for (health, ready) in [
            ("/health", "/ready"),
            ("/a/b", "/a/ready"),
            ("/", "/ready"),
            ("/a/", "/a/ready"),
        ] {
            assert_eq!(ready_path(health), ready);
        }
    }

    #[test]
    fn twenty_scrapes_a_second_are_admitted() {
        let mut scrapes = Scrapes::default();
        let admitted = |scrapes: &mut Scrapes, second: u64| {
            (0..1_000)
                .filter(|ms| scrapes.admit(second * 1_000 + ms))
                .count()
        };
        assert_eq!(admitted(&mut scrapes, 7), 20);
        assert_eq!(admitted(&mut scrapes, 8), 20);
    }
}
