//! Gates besides the suite: what is run, what is recorded, what stops a release.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use crate::product::{Product, at};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::FixId;
use kintsugi_domain::job::{BuildOrder, BuildReport, Order, PatchToApply, Report};
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
        since: None,
        build: 0,
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

/// A fix that adds one file to the package.
fn adding(product: &Product, name: &str) -> PatchToApply {
    let commit = product.on_branch(name, &product.head(), |product| {
        product.write(&format!("till/{name}.txt"), "x\n");
    });
    PatchToApply {
        fix: name.parse().unwrap(),
        commit,
        title: format!("Add {name}"),
    }
}

fn ids(names: &[&str]) -> Vec<FixId> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_gate_that_fails_sets_the_guilty_fixes_aside_and_the_rest_goes_on() {
    let mut product = Product::sample();
    let names = ["a", "b", "c", "d", "e"];
    let mut order = order(&product, "1.0.1");
    order.fixes = names.map(|name| adding(&product, name)).to_vec();
    // “d” is bad by itself, “e” only where “b” is.
    let script = "test ! -e till/d.txt || { echo d is here; exit 5; }; test ! -e till/b.txt -o ! -e till/e.txt";
    product.config.gates.unit = shell(script);
    let report = build(&product, order.clone()).await;
    assert!(report.built.is_ok(), "{report:?}");
    assert_eq!(report.applied, ids(&["a", "b", "c"]));
    let aside: Vec<_> = report.set_aside.clone().into_iter().collect();
    let [(d, why_d), (e, why_e)] = aside.as_slice() else {
        panic!("{aside:?}");
    };
    assert_eq!([d.clone(), e.clone()].to_vec(), ids(&["d", "e"]));
    assert_eq!(
        why_d,
        "TEST_FAILURE: gate unit ended with code 5\nd is here"
    );
    assert_eq!(why_e, "TEST_FAILURE: gate unit ended with code 1");
    // What is told is what the version passed.
    let gates = results(&report, &["suite", "unit"]);
    assert_eq!(gates, [("suite", true), ("unit", true)]);
}

#[tokio::test]
async fn a_build_command_that_fails_by_a_fix_blames_it_and_without_any_fix_none() {
    let mut product = Product::sample();
    let mut order = order(&product, "1.0.1");
    order.fixes = ["a", "b"].map(|name| adding(&product, name)).to_vec();
    product.config.build = Some(kintsugi_domain::config::Command {
        command: shell("test ! -e till/a.txt"),
        timeout_seconds: 10,
    });
    let report = build(&product, order.clone()).await;
    assert!(report.built.is_ok(), "{report:?}");
    assert_eq!(report.applied, ids(&["b"]));
    let why = &report.set_aside[&"a".parse().unwrap()];
    assert_eq!(why, "BUILD_FAILURE: ended with code 1");

    product.config.gates.e2e = shell("echo never; exit 1");
    let report = build(&product, order).await;
    let failure = report.built.unwrap_err();
    assert_eq!(failure.code, "TEST_FAILURE");
    assert!(
        failure
            .why
            .starts_with("without any fix the product fails: gate e2e ended"),
        "{failure:?}"
    );
    assert!(report.set_aside.is_empty(), "{:?}", report.set_aside);
}
