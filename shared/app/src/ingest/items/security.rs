//! Reports of browsers' security policies, rewritten as events: Content Security Policy (levels 1 to 3, as `csp-report` or through the
//! Reporting API), Expect-CT, Expect-Staple, and public key pins (RFC 7469).

use crate::ingest::details::unescaped;
use crate::ingest::json::{member, text_of};
use serde_json::{Value, json};

/// One report as a Sentry event; nothing where it is none of those. `query` may name release and environment
/// (`sentry_release`, `sentry_environment`).
pub(super) fn as_event(value: &Value, query: Option<&str>) -> Option<Value> {
    let (kind, report) = found(value)?;
    let text = |names: &[&str]| names.iter().find_map(|name| text_of(report, name));
    let page = text(&["document-uri", "documentURL"]);
    let (message, parts) = if kind == "csp" {
        let directive = text(&[
            "effective-directive",
            "effectiveDirective",
            "violated-directive",
        ]);
        let directive = directive.unwrap_or_else(|| "policy".to_owned());
        let directive = directive.split(' ').next().unwrap_or_default().to_owned();
        let blocked = text(&["blocked-uri", "blockedURL"]).unwrap_or_default();
        let from = origin(&blocked);
        (
            format!("Blocked {directive} from {from}"),
            vec![directive, from],
        )
    } else {
        let host = text(&["hostname"]).unwrap_or_else(|| "a host".to_owned());
        (format!("{kind} failed for {host}"), vec![host])
    };
    let mut fingerprint = vec![kind.to_owned()];
    fingerprint.extend(parts);
    let said = |name: &str| query.and_then(|query| parameter(query, name));
    Some(json!({
        "message": message,
        "level": "error",
        "platform": "other",
        "logger": kind,
        "fingerprint": fingerprint,
        "tags": {"report": kind},
        "release": said("sentry_release"),
        "environment": said("sentry_environment"),
        "request": {"url": page},
        "extra": {"report": report},
    }))
}

/// The report inside, and its kind.
fn found(value: &Value) -> Option<(&'static str, &Value)> {
    for (name, kind) in [
        ("csp-report", "csp"),
        ("expect-ct-report", "expect-ct"),
        ("expect-staple-report", "expect-staple"),
    ] {
        if let Some(report) = member(value, name).filter(|report| report.is_object()) {
            return Some((kind, report));
        }
    }
    if member(value, "known-pins").is_some() {
        return Some(("hpkp", value));
    }
    let is_csp = text_of(value, "type").is_some_and(|kind| kind == "csp-violation");
    let body = member(value, "body").filter(|body| body.is_object())?;
    is_csp.then_some(("csp", body))
}

/// What was blocked, without the path and the query, which differ from page to page: `inline`, `https://cdn.example.com`.
fn origin(blocked: &str) -> String {
    match blocked.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            format!("{scheme}://{host}")
        }
        None if blocked.is_empty() => "inline".to_owned(),
        None => blocked.split(':').next().unwrap_or_default().to_owned(),
    }
}

/// A parameter of a query. A `+` stays one: versions have it, and who writes a policy by hand does not escape it.
fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| {
        let (found, value) = pair.split_once('=')?;
        (found == name).then_some(value)
    })?;
    (!value.is_empty()).then(|| unescaped(&value.replace('+', "%2B")))
}
