//! Whether a new version of a browser extension may do more than the one before (ledger E8): a pure rule over two `manifest.json`.
//!
//! Looked at are `permissions`, `optional_permissions`, `host_permissions`, `optional_host_permissions`, the `matches` of `content_scripts`
//! and `externally_connectable`, of manifest versions 2 and 3. A host pattern is no widening where a pattern of the old version covers
//! it. **What cannot be shown to be covered counts as wider**: a pattern that is not understood is compared as text. Not here: which
//! releases may widen (the build engine), and what a permission means.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// Longest manifest that is read, bytes.
const MANIFEST_BYTES_MAX: usize = 1024 * 1024;
/// Every address that an extension can be given.
const ALL_URLS: &str = "<all_urls>";

/// A manifest that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the manifest cannot be read: {why}")]
pub struct InvalidManifest {
    /// What is wrong with it.
    pub why: String,
}

/// How an extension comes to a right, the strongest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// It may ask for it while it runs.
    Optional,
    /// It has it once it is installed.
    Required,
}

/// A right that the new version has and the old one had not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Widening {
    /// Which kind of right.
    pub kind: Kind,
    /// How the new version comes to it.
    pub grant: Grant,
    /// The permission or the pattern.
    pub right: String,
}

/// Kinds of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A permission by its name, for an interface of the browser.
    Permission,
    /// Addresses whose pages and requests it may touch.
    Host,
    /// Pages that may talk to it.
    Connectable,
}

impl fmt::Display for Widening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grant = match self.grant {
            Grant::Optional => "may ask for",
            Grant::Required => "has",
        };
        let kind = match self.kind {
            Kind::Permission => "permission",
            Kind::Host => "host",
            Kind::Connectable => "messages of",
        };
        write!(f, "{grant} {kind} {:?}", self.right)
    }
}

/// Everything that a new manifest allows and an old one did not, sorted. An empty list: it is no wider.
pub fn widened(old: &[u8], new: &[u8]) -> Result<Vec<Widening>, InvalidManifest> {
    let (old, new) = (rights(old)?, rights(new)?);
    let had = |wanted: &Widening| {
        old.iter().any(|right| {
            right.kind == wanted.kind
                && right.grant >= wanted.grant
                && match wanted.kind {
                    Kind::Permission => right.right == wanted.right,
                    Kind::Host | Kind::Connectable => covers(&right.right, &wanted.right),
                }
        })
    };
    Ok(new.iter().filter(|right| !had(right)).cloned().collect())
}

/// Every right that a manifest gives.
fn rights(manifest: &[u8]) -> Result<BTreeSet<Widening>, InvalidManifest> {
    let refuse = |why: String| InvalidManifest { why };
    if manifest.len() > MANIFEST_BYTES_MAX {
        return Err(refuse(format!("longer than {MANIFEST_BYTES_MAX} bytes")));
    }
    // Some editors begin a text with a byte order mark; browsers skip it.
    let text = manifest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(manifest);
    let value: Value = serde_json::from_slice(text).map_err(|error| refuse(error.to_string()))?;
    if !value.is_object() {
        return Err(refuse("it is not an object".to_owned()));
    }
    let mut found = BTreeSet::new();
    for (key, grant) in [
        ("permissions", Grant::Required),
        ("host_permissions", Grant::Required),
        ("optional_permissions", Grant::Optional),
        ("optional_host_permissions", Grant::Optional),
    ] {
        for right in texts(value.get(key), key)? {
            // Manifest version 2 has hosts among the permissions.
            let is_host = right == ALL_URLS || right.contains("://");
            let kind = if is_host {
                Kind::Host
            } else {
                Kind::Permission
            };
            found.insert(Widening { kind, grant, right });
        }
    }
    let scripts = match value.get("content_scripts") {
        None => &[],
        Some(Value::Array(scripts)) => scripts.as_slice(),
        Some(_) => return Err(refuse("content_scripts is no list".to_owned())),
    };
    let connectable = value.get("externally_connectable");
    let pages = scripts
        .iter()
        .map(|script| (Kind::Host, "content_scripts.matches", script.get("matches")))
        .chain(connectable.map(|it| {
            (
                Kind::Connectable,
                "externally_connectable.matches",
                it.get("matches"),
            )
        }));
    for (kind, key, matches) in pages {
        for right in texts(matches, key)? {
            let grant = Grant::Required;
            found.insert(Widening { kind, grant, right });
        }
    }
    Ok(found)
}

/// A list of texts. Permissions that are objects, as some browsers have them, are compared as they are written.
fn texts(value: Option<&Value>, key: &str) -> Result<Vec<String>, InvalidManifest> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items
            .iter()
            .map(|item| {
                item.as_str()
                    .map_or_else(|| item.to_string(), str::to_owned)
            })
            .collect()),
        Some(_) => Err(InvalidManifest {
            why: format!("{key} is no list"),
        }),
    }
}

/// Whether every address of one match pattern is among those of another.
fn covers(old: &str, new: &str) -> bool {
    if old == new {
        return true;
    }
    let Some((new_scheme, new_host, new_path)) = parts(new) else {
        return false;
    };
    if old == ALL_URLS {
        return matches!(
            new_scheme,
            "*" | "http" | "https" | "ws" | "wss" | "ftp" | "file"
        );
    }
    let Some((old_scheme, old_host, old_path)) = parts(old) else {
        return false;
    };
    let scheme =
        old_scheme == new_scheme || (old_scheme == "*" && matches!(new_scheme, "http" | "https"));
    let host = old_host.eq_ignore_ascii_case(new_host)
        || (old_host == "*" && !new_host.is_empty())
        || old_host
            .strip_prefix("*.")
            .is_some_and(|domain| is_within(new_host, domain));
    let path = old_path == new_path
        || old_path
            .strip_suffix('*')
            .is_some_and(|prefix| !prefix.contains('*') && new_path.starts_with(prefix));
    scheme && host && path
}

/// Whether a host, or every host of a pattern, is a domain or beneath it.
fn is_within(host: &str, domain: &str) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host).to_ascii_lowercase();
    let domain = domain.to_ascii_lowercase();
    host == domain
        || host
            .strip_suffix(&domain)
            .is_some_and(|rest| rest.ends_with('.'))
}

/// Scheme, host and path of a match pattern.
fn parts(pattern: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = pattern.split_once("://")?;
    let slash = rest.find('/')?;
    let (host, path) = rest.split_at_checked(slash)?;
    // A star elsewhere in a host is no pattern, so it covers nothing.
    let bare = host.strip_prefix("*.").unwrap_or(host);
    let is_host = bare == "*" || !bare.contains('*');
    is_host.then_some((scheme, host, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wider(old: &str, new: &str) -> Vec<String> {
        let found = widened(old.as_bytes(), new.as_bytes()).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_new_permission_is_wider_and_a_dropped_one_is_not() {
        let old = r#"{"permissions": ["storage", "tabs"], "optional_permissions": ["history"]}"#;
        assert_eq!(wider(old, old), [""; 0]);
        assert_eq!(wider(old, r#"{"permissions": ["storage"]}"#), [""; 0]);
        let new = r#"{"permissions": ["storage", "history"], "optional_permissions": ["tabs", "bookmarks"]}"#;
        // What it could ask for it now has; what it had it may now ask for, which is less.
        let expected = [
            "may ask for permission \"bookmarks\"",
            "has permission \"history\"",
        ];
        assert_eq!(wider(old, new), expected);
    }

    #[test]
    fn hosts_are_compared_by_what_they_cover() {
        for (old, new, is_wider) in [
            ("https://a.example/*", "https://a.example/*", false),
            ("*://*.example.com/*", "https://api.example.com/v1/*", false),
            ("*://*.example.com/*", "https://example.com/", false),
            ("*://*.example.com/*", "https://*.api.example.com/*", false),
            ("*://*.example.com/*", "https://badexample.com/*", true),
            ("https://*.example.com/*", "http://a.example.com/*", true),
            ("https://*.example.com/*", "*://a.example.com/*", true),
            ("https://a.example.com/*", "https://*.example.com/*", true),
            ("https://a.example/x/*", "https://a.example/*", true),
            ("https://a.example/x/*", "https://a.example/x/y", false),
            ("https://*/*", "https://a.example/*", false),
            ("https://*/*", "<all_urls>", true),
            ("<all_urls>", "*://*/*", false),
            ("<all_urls>", "chrome://favicon/*", true),
            ("https://a.*.example/*", "https://a.b.example/*", true),
        ] {
            let manifest = |host: &str| format!(r#"{{"host_permissions": ["{host}"]}}"#);
            let found = wider(&manifest(old), &manifest(new));
            assert_eq!(!found.is_empty(), is_wider, "{old} → {new}: {found:?}");
        }
    }

    #[test]
    fn hosts_count_wherever_a_manifest_has_them() {
        let version_2 = r#"{"permissions": ["storage", "https://*.example.com/*"]}"#;
        let version_3 =
            r#"{"permissions": ["storage"], "host_permissions": ["https://*.example.com/*"]}"#;
        assert_eq!(wider(version_2, version_3), [""; 0]);
        let script = r#"{"permissions": ["storage"], "host_permissions": ["https://*.example.com/*"],
            "content_scripts": [{"matches": ["https://a.example.com/*", "https://other.example/*"]}],
            "externally_connectable": {"matches": ["https://a.example.com/*"]}}"#;
        let expected = [
            "has host \"https://other.example/*\"",
            "has messages of \"https://a.example.com/*\"",
        ];
        assert_eq!(wider(version_3, script), expected);
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for odd in [
            "",
            "[]",
            "{",
            r#"{"permissions": "all"}"#,
            r#"{"content_scripts": {}}"#,
        ] {
            assert!(widened(odd.as_bytes(), b"{}").is_err(), "{odd}");
            assert!(widened(b"{}", odd.as_bytes()).is_err(), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_covers_itself_and_nothing_panics(
            a in "(<all_urls>|[a-z*]{0,5}://[a-z.*é]{0,9}(/[a-z*]{0,5})?)", b in "\\PC{0,30}",
        ) {
            prop_assert!(covers(&a, &a));
            let _ = covers(&a, &b);
            let _ = covers(&b, &a);
            let _ = widened(b.as_bytes(), a.as_bytes());
        }
    }
}
