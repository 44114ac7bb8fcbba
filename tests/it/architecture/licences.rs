//! What the licences of other people's crates ask of us: `NOTICE` and `licences/` against the crates themselves.
//!
//! Not here: the notices of crates that ask for no more than that; whoever hands on a program adds them.

#![expect(clippy::unwrap_used, reason = "test code")]

use super::{assert_none, facts};
use cargo_metadata::{MetadataCommand, Package};
use std::fs;

/// Licences that ask for no more than that their notice and text go along.
const NOTICE_ONLY: [&str; 7] = [
    "Apache-2.0",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Crates that ask for more. `NOTICE` names each, and `licences` has its text.
const NAMED: [&str; 1] = ["hakoniwa"];

/// Every crate of others that is built on Linux.
fn foreign() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(facts::root().join("Cargo.toml"))
        .other_options([
            "--filter-platform".to_owned(),
            "x86_64-unknown-linux-gnu".to_owned(),
        ])
        .exec()
        .unwrap();
    let mut packages = metadata.packages;
    packages.retain(|package| package.source.is_some());
    packages
}

/// Whether a licence of a crate can be chosen so that its notice is enough. Brackets are not counted: each part that
/// `AND` joins has to be fine by itself, so that no bracket can hide one that is not.
fn is_notice_only(expression: &str) -> bool {
    let expression = expression.replace(['(', ')'], "").replace('/', " OR ");
    expression.split(" AND ").all(|part| {
        let mut choices = part.split(" OR ");
        choices.any(|choice| NOTICE_ONLY.contains(&choice.trim()))
    })
}

#[test]
fn a_crate_that_asks_for_more_than_a_notice_is_named() {
    let problems: Vec<String> = foreign()
        .iter()
        .filter(|package| !NAMED.contains(&package.name.as_str()))
        .filter(|package| !package.license.as_deref().is_some_and(is_notice_only))
        .map(|package| format!("{}: {:?}", package.name, package.license))
        .collect();
    assert_none(&problems);
}

#[test]
fn the_notice_names_the_version_and_the_texts_are_the_crates_own() {
    let notice = fs::read_to_string(facts::root().join("NOTICE")).unwrap();
    let foreign = foreign();
    for name in NAMED {
        let package = foreign.iter().find(|package| package.name == name).unwrap();
        let said = format!("{name} {}", package.version);
        assert!(notice.contains(&said), "NOTICE does not say {said}");
        let own = package.manifest_path.with_file_name("LICENSE");
        let ours = facts::root().join("licences").join(format!("{name}.txt"));
        assert_eq!(
            fs::read_to_string(ours).unwrap(),
            fs::read_to_string(own).unwrap()
        );
    }
}

#[test]
fn a_licence_is_taken_apart_before_it_is_judged() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "Apache-2.0 / MIT",
        "Unlicense OR MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 AND ISC",
    ] {
        assert!(is_notice_only(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "(MIT OR Apache-2.0) AND GPL-3.0-only",
        "LGPL-3.0-only WITH LGPL-3.0-linking-exception",
        "MPL-2.0 OR GPL-2.0",
    ] {
        assert!(!is_notice_only(bad), "{bad}");
    }
}
