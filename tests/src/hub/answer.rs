//! Answers of HTTP/1.1: a status, headers, a body, and their bytes.
//!
//! Every answer has a date, and a length if it has a body; a status that forbids a body has
//! neither. Whether what is promised is then kept is decided in `conduct.rs`.

use time::OffsetDateTime;

/// An answer before it is bytes.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Say that the connection ends here.
    pub(super) close: bool,
}

impl Answer {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            close: false,
        }
    }

    /// An answer in JSON, as errors are told.
    pub(super) fn json(status: u16, value: &serde_json::Value) -> Self {
        let mut answer = Self::new(status, value.to_string());
        answer
            .headers
            .push(("Content-Type".into(), "application/json".into()));
        answer
    }

    /// Status line and the headers that every answer has, without the last empty line.
    pub(super) fn head(&self) -> String {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nServer: mote-hub\r\nDate: {}\r\n",
            self.status,
            reason(self.status),
            http_date(OffsetDateTime::now_utc()),
        );
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if self.close {
            head.push_str("Connection: close\r\n");
        }
        head
    }

    /// The whole answer. 204 and 304 have neither body nor length.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head().into_bytes();
        if matches!(self.status, 204 | 304) {
            bytes.extend_from_slice(b"\r\n");
            return bytes;
        }
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

fn http_date(at: OffsetDateTime) -> String {
    let (weekday, month) = (at.weekday().to_string(), at.month().to_string());
    format!(
        "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
        &weekday[..3],
        at.day(),
        &month[..3],
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_length_and_a_204_has_none() {
        let text = |status| String::from_utf8(Answer::new(status, "abc").to_bytes()).unwrap();
        assert!(text(202).starts_with("HTTP/1.1 202 Accepted\r\nServer: mote-hub\r\nDate: "));
        assert!(text(202).ends_with("\r\nContent-Length: 3\r\n\r\nabc"));
        assert!(text(204).ends_with(" GMT\r\n\r\n"));
    }

    #[test]
    fn dates_are_written_as_http_has_them() {
        let at = OffsetDateTime::from_unix_timestamp(784_111_777);
        assert_eq!(at.map(http_date).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
