//! Where a request says which key reports. Five places, and the first that holds a key counts:
//! `X-Sentry-Auth`, `Authorization: Sentry …`, `Authorization: Basic …`, the query, and the `dsn` of
//! the envelope's header (tunnels). Strictness about two keys at once would only lose reports.
//!
//! The key names a project's reporter and is no secret: it ships inside the product.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use kintsugi_domain::id::DsnKey;

/// The key in the headers or the query of a request.
pub(super) fn key_of_request(headers: &[(String, String)], query: Option<&str>) -> Option<DsnKey> {
    header(headers, "x-sentry-auth")
        .and_then(key_of_parameters)
        .or_else(|| header(headers, "authorization").and_then(key_of_authorization))
        .or_else(|| query.and_then(key_of_query))
}

/// The key in `Authorization: Bearer KEY`, which our own reporter and exporters of OpenTelemetry send.
pub(super) fn bearer_key(headers: &[(String, String)]) -> Option<DsnKey> {
    let (scheme, key) = header(headers, "authorization")?.trim().split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| key.trim().parse().ok())
        .flatten()
}

/// The key in a DSN: `https://KEY@host/project`.
pub(super) fn key_of_dsn(dsn: &str) -> Option<DsnKey> {
    let (_, rest) = dsn.split_once("://")?;
    let (user, _) = rest.split_once('@')?;
    user.split(':').next()?.parse().ok()
}

/// The value of a header, whatever the case of its name.
pub(super) fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers
        .iter()
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// `Sentry sentry_key=…, sentry_version=7, …`
fn key_of_parameters(value: &str) -> Option<DsnKey> {
    let value = value.trim();
    let parameters = value
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("sentry"))
        .map_or(value, |(_, parameters)| parameters);
    parameters.split(',').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        (name.trim() == "sentry_key")
            .then(|| value.trim().trim_matches('"').parse().ok())
            .flatten()
    })
}

fn key_of_authorization(value: &str) -> Option<DsnKey> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return key_of_parameters(value);
    }
    let decoded = STANDARD
        .decode(rest.trim())
        .or_else(|_| STANDARD_NO_PAD.decode(rest.trim()))
        .ok()?;
    let user = decoded.split(|byte| *byte == b':').next()?;
    std::str::from_utf8(user).ok()?.parse().ok()
}

/// Keys are letters and digits, so nothing in them is ever percent-encoded.
fn key_of_query(query: &str) -> Option<DsnKey> {
    query.split('&').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        (name == "sentry_key").then(|| value.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &str, value: &str) -> Vec<(String, String)> {
        vec![
            ("Host".into(), "example".into()),
            (name.into(), value.into()),
        ]
    }

    #[test]
    fn the_key_is_found_in_each_of_its_places() {
        for (headers, query) in [
            (
                headers("X-Sentry-Auth", "Sentry sentry_key=abc, sentry_version=7"),
                None,
            ),
            (
                headers(
                    "x-sentry-auth",
                    "Sentry sentry_version=7,sentry_key=\"abc\"",
                ),
                None,
            ),
            (headers("Authorization", "Sentry sentry_key=abc"), None),
            (headers("Authorization", "Basic YWJjOg=="), None),
            (
                vec![],
                Some("sentry_version=7&sentry_key=abc&sentry_client=x%2F1"),
            ),
            (headers("X-Sentry-Auth", "nonsense"), Some("sentry_key=abc")),
        ] {
            let found = key_of_request(&headers, query);
            assert_eq!(found, "abc".parse().ok(), "{headers:?} {query:?}");
        }
        assert_eq!(key_of_dsn("https://abc@example.org/1"), "abc".parse().ok());
        assert_eq!(
            key_of_dsn("https://abc:def@example.org/1"),
            "abc".parse().ok()
        );
    }

    #[test]
    fn hostile_headers_give_no_key() {
        for value in [
            "",
            "Sentry",
            "Sentry sentry_key=",
            "Basic ***",
            "Basic",
            "a b c",
            "=,=,=",
        ] {
            assert_eq!(key_of_request(&headers("Authorization", value), None), None);
            assert_eq!(key_of_request(&headers("X-Sentry-Auth", value), None), None);
        }
        assert_eq!(key_of_dsn("https://example.org/1"), None);
    }
}
