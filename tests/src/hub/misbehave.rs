//! The ways in which the hub can be a bad server, and how they are named on a command line and in
//! JSON.
//!
//! A misbehaviour either stands (applies to everything until another is set) or is one entry of a
//! script (applies to one request, or to one connection where it says so). What each does on the
//! wire is in `conduct.rs`. Times are milliseconds.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;

use super::orchestrator::Route;

/// One way to answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Misbehaviour {
    /// As the documentation says.
    #[default]
    Normal,
    /// Another status, with further headers and a body. A 2xx still counts as delivered.
    Status {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// The normal answer, later.
    Delay { ms: u64 },
    /// Reads the request and says nothing.
    Silent,
    /// Accepts the TCP connection and says nothing. Holds for new connections.
    SilentTls,
    /// The normal answer, its body one byte at a time.
    SlowBody { byte_ms: u64 },
    /// The normal answer, one byte at a time from its first.
    SlowHeaders { byte_ms: u64 },
    /// 202 with a declared body, a few bytes of it, then a TCP reset.
    ResetMidBody,
    /// 202 with a declared body, a few bytes of it, then the end of the TCP stream without TLS
    /// saying goodbye.
    CutBody,
    /// 202 with a body that ends where the connection ends, cut in the same way.
    CutOpenBody,
    /// Bytes that are not HTTP.
    Garbage,
    /// 202 with a header that never ends.
    HugeHeader,
    /// 202 with a chunked body that never ends.
    EndlessBody,
    /// `100 Continue` for ever.
    Endless100,
    /// Closes the connection after each answer, without having said so.
    CloseIdle,
    /// Answers a connection's first request; closes at the second without a byte.
    CloseOnReuse,
    /// Nobody listens, and open connections are reset. In a script: one connection is accepted and
    /// reset.
    RefuseConnections,
    /// 302 to another place.
    RedirectTo { url: String },
}

/// The names, with their argument, for people.
pub const NAMES: &str = "normal, status:CODE, delay:MS, silent, silent-tls, slow-body[:MS], \
    slow-headers[:MS], reset-mid-body, cut-body, cut-open-body, garbage, huge-header, \
    endless-body, endless-100, close-idle, close-on-reuse, refuse-connections, redirect-to:URL";

/// What slow answers take for a byte, if nothing else is said.
const SLOW_BYTE_MS: u64 = 1000;

impl Misbehaviour {
    /// Each way in which a server may be out of order for long.
    pub fn every_outage() -> [Self; 9] {
        [
            Self::RefuseConnections,
            Self::Silent,
            Self::ResetMidBody,
            Self::CutBody,
            Self::Garbage,
            Self::HugeHeader,
            Self::EndlessBody,
            Self::status(503),
            Self::status(401),
        ]
    }

    /// A status with no further headers and no body.
    pub fn status(status: u16) -> Self {
        Self::status_with(status, &[], "")
    }

    /// A status with headers and a body.
    pub fn status_with(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers = headers
            .iter()
            .map(|&(name, value)| (name.into(), value.into()))
            .collect();
        Self::Status {
            status,
            headers,
            body: body.into(),
        }
    }

    /// Reads `NAME` or `NAME:ARGUMENT`, as on a command line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let mut order = Order {
            name: name.to_owned(),
            ..Order::default()
        };
        if let Some(argument) = argument {
            let number = || {
                argument
                    .parse::<u64>()
                    .map_err(|_| not_a_number(name, argument))
            };
            match name {
                "status" => {
                    let code = argument.parse().map_err(|_| not_a_number(name, argument))?;
                    order.status = Some(code);
                }
                "redirect-to" => order.url = Some(argument.to_owned()),
                _ => order.ms = Some(number()?),
            }
        }
        order.into_misbehaviour()
    }

    /// Whether it acts on a connection before any request.
    pub(super) fn is_for_connections(&self) -> bool {
        matches!(self, Self::SilentTls | Self::RefuseConnections)
    }
}

fn not_a_number(name: &str, argument: &str) -> String {
    format!("{name} takes a whole number, not {argument:?}")
}

/// A misbehaviour as JSON has it: `{"name":"status","status":503,"headers":{},"body":"","times":2}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    name: String,
    status: Option<u16>,
    headers: Option<BTreeMap<String, String>>,
    body: Option<String>,
    ms: Option<u64>,
    url: Option<String>,
    /// One kind of an orchestrator's requests, rather than all.
    pub(super) route: Option<Route>,
    /// For the next so many requests instead of until further notice.
    pub(super) times: Option<u16>,
}

impl Order {
    /// What the order asks for. Refuses an argument that its name does not take: it would be
    /// ignored, and the person who gave it would wait for nothing.
    pub(super) fn into_misbehaviour(mut self) -> Result<Misbehaviour, String> {
        use Misbehaviour as M;
        let byte_ms = self.ms.unwrap_or(SLOW_BYTE_MS);
        let misbehaviour = match self.name.as_str() {
            "normal" => M::Normal,
            "status" => {
                let status = self
                    .status
                    .take()
                    .ok_or("status needs a code, as in status:503")?;
                if !(200..=999).contains(&status) {
                    return Err(format!("status takes a code from 200 to 999, not {status}"));
                }
                let headers = self
                    .headers
                    .take()
                    .unwrap_or_default()
                    .into_iter()
                    .collect();
                M::Status {
                    status,
                    headers,
                    body: self.body.take().unwrap_or_default(),
                }
            }
            "delay" => M::Delay {
                ms: self.ms.take().ok_or("delay needs ms, as in delay:200")?,
            },
            "silent" => M::Silent,
            "silent-tls" => M::SilentTls,
            "slow-body" => {
                self.ms = None;
                M::SlowBody { byte_ms }
            }
            "slow-headers" => {
                self.ms = None;
                M::SlowHeaders { byte_ms }
            }
            "reset-mid-body" => M::ResetMidBody,
            "cut-body" => M::CutBody,
            "cut-open-body" => M::CutOpenBody,
            "garbage" => M::Garbage,
            "huge-header" => M::HugeHeader,
            "endless-body" => M::EndlessBody,
            "endless-100" => M::Endless100,
            "close-idle" => M::CloseIdle,
            "close-on-reuse" => M::CloseOnReuse,
            "refuse-connections" => M::RefuseConnections,
            "redirect-to" => M::RedirectTo {
                url: self.url.take().ok_or("redirect-to needs a url")?,
            },
            other => {
                return Err(format!(
                    "no misbehaviour is called {other:?}; there are {NAMES}"
                ));
            }
        };
        let left_over = [
            ("status", self.status.is_some()),
            ("headers", self.headers.is_some()),
            ("body", self.body.is_some()),
            ("ms", self.ms.is_some()),
            ("url", self.url.is_some()),
        ];
        match left_over.iter().find(|(_, given)| *given) {
            Some((argument, _)) => Err(format!("{} takes no {argument}", self.name)),
            None => Ok(misbehaviour),
        }
    }
}

/// What stands, and what comes first.
#[derive(Debug, Default)]
pub(super) struct Mood {
    pub(super) standing: Misbehaviour,
    pub(super) script: VecDeque<Misbehaviour>,
}

impl Mood {
    /// What a new connection meets, if it is not let through to its first request.
    pub(super) fn for_connection(&mut self) -> Option<Misbehaviour> {
        if let Some(first) = self.script.front() {
            return if first.is_for_connections() {
                self.script.pop_front()
            } else {
                None
            };
        }
        self.standing
            .is_for_connections()
            .then(|| self.standing.clone())
    }

    /// What the next request meets.
    pub(super) fn for_request(&mut self) -> Misbehaviour {
        if let Some(next) = self.script.pop_front() {
            return match next {
                // Meant for a connection, but the client kept its old one: the nearest thing that
                // can be done to a request.
                Misbehaviour::SilentTls => Misbehaviour::Silent,
                other => other,
            };
        }
        match &self.standing {
            // New connections meet it; kept ones are served.
            Misbehaviour::SilentTls => Misbehaviour::Normal,
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_help_is_understood() {
        for name in NAMES.split(", ") {
            let name = name.split('[').next().unwrap_or_default();
            let text = name
                .replace(":CODE", ":503")
                .replace(":MS", ":10")
                .replace(":URL", ":https://x.invalid/");
            Misbehaviour::parse(&text).unwrap();
        }
    }

    #[test]
    fn arguments_arrive() {
        let status = Misbehaviour::parse("status:418").unwrap();
        assert_eq!(status, Misbehaviour::status(418));
        let slow = Misbehaviour::parse("slow-body:7").unwrap();
        assert_eq!(slow, Misbehaviour::SlowBody { byte_ms: 7 });
        let redirect = Misbehaviour::parse("redirect-to:http://a.invalid:1/").unwrap();
        assert_eq!(
            redirect,
            Misbehaviour::RedirectTo {
                url: "http://a.invalid:1/".into()
            }
        );
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        for wrong in [
            "",
            "sulk",
            "status",
            "status:abc",
            "status:99",
            "delay",
            "silent:3",
        ] {
            assert!(Misbehaviour::parse(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn a_script_comes_before_what_stands() {
        let mut mood = Mood {
            standing: Misbehaviour::Silent,
            ..Mood::default()
        };
        mood.script.push_back(Misbehaviour::status(500));
        assert_eq!(mood.for_connection(), None);
        assert_eq!(mood.for_request(), Misbehaviour::status(500));
        assert_eq!(mood.for_request(), Misbehaviour::Silent);
    }

    #[test]
    fn a_scripted_refusal_meets_one_connection() {
        let mut mood = Mood::default();
        mood.script.push_back(Misbehaviour::RefuseConnections);
        assert_eq!(mood.for_connection(), Some(Misbehaviour::RefuseConnections));
        assert_eq!(mood.for_connection(), None);
        assert_eq!(mood.for_request(), Misbehaviour::Normal);
    }
}
