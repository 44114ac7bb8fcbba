//! The scenarios of the TUF conformance suite, played against the command.
//!
//! The suite itself (theupdateframework/tuf-conformance) is on no package index, so what it documents is
//! told again in `conformance/`, in our own words and with more cases; python-tuf makes and signs the
//! repositories.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Plays every scenario with repositories whose keys are of one scheme.
fn play(scheme: &str) {
    #[expect(clippy::disallowed_methods, reason = "the test's only setting")]
    let interpreter = std::env::var("KINTSUGI_TEST_PYTHON")
        .expect("KINTSUGI_TEST_PYTHON must name a Python with python-tuf: run `cargo xtask test`");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/play.py");
    let output = Command::new(interpreter)
        .arg("-B")
        .arg(script)
        .args([scheme, env!("CARGO_BIN_EXE_kintsugi-updater"), "tuf"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let results: BTreeMap<String, Option<String>> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(results.len() >= 120, "only {} scenarios", results.len());
    let failed: Vec<_> = results
        .iter()
        .filter_map(|(name, why)| Some(format!("{name}\n{}", why.as_ref()?)))
        .collect();
    assert!(failed.is_empty(), "{scheme}:\n{}", failed.join("\n"));
}

#[test]
fn every_scenario_of_the_conformance_suite_holds_with_the_suites_keys() {
    play("ecdsa-sha2-nistp256");
}

#[test]
fn every_scenario_of_the_conformance_suite_holds_with_p_384() {
    play("ecdsa-sha2-nistp384");
}
