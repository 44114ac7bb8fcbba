//! Gates besides the suite: what is run, what is recorded, what stops a release.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use crate::product::{Product, at};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::job::{BuildOrder, BuildReport, Order, Report};
use kintsugi_domain::ports::Blobs as _;
use std::fs;

fn order(product: &Product, version: &str) -> BuildOrder {
    BuildOrder {
        bundle: "b".parse().unwrap(),
        commit: product.head(),
        fixes: vec![],
        version: version.parse().unwrap(),
        at: at(),
        delta_bases: vec![],
        platform_bases: vec![],
        notes: String::new(),
    }
}

async fn build(product: &Product, order: BuildOrder) -> BuildReport {
    match product.run(Order::Build(Box::new(order))).await.unwrap() {
        Report::Build(report) => report,
        Report::Search(report) => panic!("{report:?}"),
    }
}

fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

/// The gates of a report that are asked for, and whether each was passed.
fn results<'a>(report: &'a BuildReport, names: &[&str]) -> Vec<(&'a str, bool)> {
    let asked = report
        .gates
        .iter()
        .filter(|gate| names.contains(&gate.name.as_str()));
    asked
        .map(|gate| (gate.name.as_str(), gate.passed))
        .collect()
}

#[tokio::test]
async fn a_package_and_its_extension_are_zipped_alike_each_time() {
    let mut product = Product::sample();
    product.config.package.zip = true;
    product.config.package.extension = "till/".to_owned();
    let why = "package.extension: there is no manifest.json in till/";
    let report = build(&product, order(&product, "1.0.1")).await;
    assert_eq!(report.built.unwrap_err().why, why);
    write(&product, "");
    let first = build(&product, order(&product, "1.0.1"))
        .await
        .built
        .unwrap();
    let again = build(&product, order(&product, "1.0.1"))
        .await
        .built
        .unwrap();
    assert_eq!(first, again);
    let mut names = Vec::new();
    for zip in &first.zips {
        let content = product
            .blobs
            .get(&zip.blob, 1 << 30)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(Digest::of(&content), zip.digest);
        let name = zip.blob.rsplit('/').next().unwrap();
        let name = name.strip_prefix(&format!("{}.", zip.digest)).unwrap();
        let found = |text: &[u8]| content.windows(text.len()).any(|window| window == text);
        assert!(found(b"manifest.json") && !found(b".git/"), "{name}");
        names.push((
            name.to_owned(),
            found(b"till/manifest.json"),
            found(b"kintsugi-package.json"),
        ));
    }
    let expected = [
        ("till-1.0.1.zip", true, true),
        ("till-1.0.1-extension.zip", false, false),
    ];
    assert_eq!(
        names,
        expected.map(|(name, whole, named)| (name.to_owned(), whole, named))
    );
}

const NAMES: [&str; 5] = ["audit", "static_checks", "unit", "integration", "e2e"];

#[tokio::test]
async fn every_gate_runs_and_one_that_fails_stops_the_release_with_its_log() {
    let mut product = Product::sample();
    let gates = &mut product.config.gates;
    gates.audit = shell("test -f till/totals.py");
    gates.e2e = shell("test \"$(cat till/VERSION)\" = 1.0.1");
    let report = build(&product, order(&product, "1.0.1")).await;
    assert!(report.built.is_ok(), "{report:?}");
    // Both ran on what is released: the version is in its file.
    assert_eq!(results(&report, &NAMES), [("audit", true), ("e2e", true)]);

    let gates = &mut product.config.gates;
    gates.unit = shell("echo the till is short >&2; exit 3");
    gates.integration = shell("exit 9");
    let report = build(&product, order(&product, "1.0.2")).await;
    let expected = [
        ("audit", true),
        ("unit", false),
        ("integration", false),
        ("e2e", false),
    ];
    assert_eq!(results(&report, &NAMES), expected);
    let failure = report.built.unwrap_err();
    assert_eq!(failure.code, "TEST_FAILURE");
    let log = "gate unit ended with code 3\nthe till is short; gate integration ended with code 9";
    assert!(failure.why.starts_with(log), "{}", failure.why);

    product.config.gates.audit = shell("echo a known fault; exit 1");
    let report = build(&product, order(&product, "1.0.3")).await;
    let failure = report.built.unwrap_err();
    assert_eq!(failure.code, "SCAN_FAILURE");
    let branches = product.git(&["branch", "--list", "kintsugi/*"]);
    assert_eq!(
        branches, "kintsugi/release/1.0.1",
        "nothing is pushed that failed"
    );
}

/// Writes the extension's manifest and returns the commit.
fn write(product: &Product, hosts: &str) -> String {
    let text = format!("{{\"manifest_version\": 3, \"host_permissions\": [{hosts}]}}\n");
    fs::write(product.repository().join("till/manifest.json"), text).unwrap();
    product.git(&["add", "."]);
    product.git(&["commit", "-q", "-m", "manifest"]);
    product.head()
}

#[tokio::test]
async fn a_patch_of_an_extension_may_not_ask_for_more_and_a_minor_version_may() {
    let mut product = Product::sample();
    product.config.gates.manifest = "till/manifest.json".to_owned();
    let report = build(&product, order(&product, "1.0.0")).await;
    let why = "gate permissions failed: there is no file till/manifest.json";
    assert_eq!(report.built.unwrap_err().why, why);

    write(&product, "\"https://*.example.com/*\"");
    let first = build(&product, order(&product, "1.0.0"))
        .await
        .built
        .unwrap();
    let base = vec![("1.0.0".parse().unwrap(), first.full.blob)];
    let after = |product: &Product, version: &str| BuildOrder {
        delta_bases: base.clone(),
        ..order(product, version)
    };
    write(&product, "\"https://api.example.com/*\"");
    let report = build(&product, after(&product, "1.0.1")).await;
    assert!(report.built.is_ok(), "{report:?}");
    write(&product, "\"https://*/*\"");
    let report = build(&product, after(&product, "1.0.2")).await;
    let failure = report.built.unwrap_err();
    assert_eq!(failure.code, "SCAN_FAILURE");
    let why =
        "gate permissions failed: a patch of version 1.0.0 is wider: it has host \"https://*/*\"";
    assert_eq!(failure.why, why);
    let report = build(&product, after(&product, "1.1.0")).await;
    assert_eq!(results(&report, &["permissions"]), [("permissions", true)]);
    assert!(report.built.is_ok(), "{report:?}");
}
