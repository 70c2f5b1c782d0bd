//! The server's URL, checked once so that every request can rely on it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use http::Uri;

/// The URL that samples are posted to, from what `server_url` says.
///
/// It must be `https:`; `http:` carries the key in the clear and is for this device's own
/// loopback, or for those who say `allow_http`.
pub fn metrics_uri(server_url: &str, allow_http: bool) -> Result<Uri, String> {
    let base = checked_base("server_url", server_url, allow_http, "allow_http: true")?;
    let uri = format!("{base}/agent/metrics").parse();
    uri.map_err(|_| format!("server_url {server_url:?} is not a URL"))
}

/// Where an orchestrator is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// What paths are appended to.
    pub url: String,
    /// It is on this device.
    pub is_loopback: bool,
    /// It is spoken to in the clear.
    pub is_plain: bool,
}

impl Base {
    /// Of the URL what may be shown: its host, and its port if it names one.
    pub fn authority(&self) -> &str {
        self.url.split('/').nth(2).unwrap_or_default()
    }
}

/// The orchestrator's URL, from what `api.base_url` says.
pub fn orchestrator_base(base_url: &str, allow_http: bool) -> Result<Base, String> {
    let remedy = "security.tls.enabled: false";
    let url = checked_base("api.base_url", base_url, allow_http, remedy)?;
    let uri: Option<Uri> = url.parse().ok();
    let is_loopback = uri.as_ref().and_then(Uri::host).is_some_and(is_loopback);
    Ok(Base {
        is_loopback,
        is_plain: uri.is_some_and(|uri| uri.scheme_str() == Some("http")),
        url,
    })
}

/// The URL under `key` without a slash at its end; `remedy` is what allows `http:`.
fn checked_base(key: &str, url: &str, allow_http: bool, remedy: &str) -> Result<String, String> {
    let shown = without_password(url);
    let wrong = |words: &str| {
        Err(format!(
            "{key} {shown:?} {words}: write it like https://hub.example.com"
        ))
    };
    let Ok(uri) = url.parse::<Uri>() else {
        return wrong("is not a URL");
    };
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return wrong("has no https:// in front");
    };
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        // Not quoted: what stands before the @ is a secret.
        return Err(format!(
            "{key} has a user or password in it: give the key in a key of its own"
        ));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let has_colon = authority.len() > host.len();
    if host.is_empty() || (has_colon && uri.port_u16().unwrap_or_default() == 0) {
        return wrong("has no host, or no port from 1 to 65535 after its colon");
    }
    let brackets = host
        .strip_prefix('[')
        .map(|rest| rest.trim_end_matches(']'));
    if brackets.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_err()) {
        return wrong("has no IPv6 address in its brackets, in which no %zone may be");
    }
    if uri.query().is_some() {
        return wrong("has a query");
    }
    if url.contains('#') {
        // It would take the path that is added here along, and never be sent.
        return wrong("has a fragment");
    }
    match scheme {
        "https" => {}
        "http" if allow_http || is_loopback(host) => {}
        "http" => {
            return Err(format!(
                "{key} {shown:?} would send the key in the clear: write https://, or set {remedy} \
                 if that is what you want"
            ));
        }
        _ => return wrong("is neither https nor http"),
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// The URL without what may be a secret in it: all between its scheme and the last @.
pub fn without_password(url: &str) -> Cow<'_, str> {
    let Some(at) = url.rfind('@') else {
        return Cow::Borrowed(url);
    };
    let is_scheme = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let begin = match url[..at].split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => scheme.len() + 3,
        _ => 0,
    };
    Cow::Owned(format!("{}(hidden){}", &url[..begin], &url[at..]))
}

/// Whether it is this device's own, however it is written.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = bare.strip_suffix('.').unwrap_or(bare);
    let address = bare.parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_protocol_is_added() {
        for (url, expected) in [
            ("https://hub", "https://hub/agent/metrics"),
            ("https://hub/", "https://hub/agent/metrics"),
            (
                "https://hub:8443/base/",
                "https://hub:8443/base/agent/metrics",
            ),
            (
                "https://[2001:db8::1]:8443",
                "https://[2001:db8::1]:8443/agent/metrics",
            ),
            (
                "http://127.0.0.1:8080",
                "http://127.0.0.1:8080/agent/metrics",
            ),
            ("http://[::1]", "http://[::1]/agent/metrics"),
            ("http://localhost", "http://localhost/agent/metrics"),
            ("http://LOCALHOST", "http://LOCALHOST/agent/metrics"),
            ("http://localhost.:80", "http://localhost.:80/agent/metrics"),
        ] {
            assert_eq!(metrics_uri(url, false).unwrap(), expected);
        }
    }

    #[test]
    fn a_key_in_the_clear_needs_to_be_asked_for() {
        let words = metrics_uri("http://hub", false).unwrap_err();
        assert!(words.contains("allow_http"), "{words}");
        assert!(metrics_uri("http://hub", true).is_ok());
        assert!(metrics_uri("http://localhost.hub", false).is_err());
    }

    #[test]
    fn what_is_no_server_is_refused_with_a_remedy() {
        for url in [
            "",
            "hub",
            "hub.example.com:8443",
            "/path",
            "ftp://hub",
            "https://",
            "https://hub:",
            "https://hub:99999",
            "https://hub:0",
            "https://[fe80::1%25eth0]",
            "https://[fe80::1%25eth0]:8443",
            "https://hub?x=1",
            "https://hub#x",
            "https://h ub",
        ] {
            let words = metrics_uri(url, false).unwrap_err();
            assert!(words.contains("write it like https://"), "{url}: {words}");
        }
        let words = metrics_uri("https://user:s3cret@hub", false).unwrap_err();
        assert!(!words.contains("s3cret"), "{words}");
        let words = metrics_uri("https://user:s3 cret@hub", false).unwrap_err();
        assert!(
            !words.contains("s3") && words.contains("(hidden)@hub"),
            "{words}"
        );
        assert_eq!(without_password("https://hub/a"), "https://hub/a");
        for (url, shown) in [
            ("user:s3//cret@proxy", "(hidden)@proxy"),
            ("user:s3://cret@proxy", "(hidden)@proxy"),
            ("//user:s3cret@proxy", "(hidden)@proxy"),
            ("http://user:s3://cret@proxy", "http://(hidden)@proxy"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
