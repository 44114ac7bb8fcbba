//! How functions are built for AWS: what `cargo lambda build`, and with it `sam build`, reads in our manifests.
//!
//! Not here: size, start and memory of what comes out (`cargo xtask bench cold-start`).

#![expect(clippy::unwrap_used, reason = "test code")]

use super::{assert_none, facts, table};
use std::process::{Command, Stdio};

/// What is wrong with the workspace's manifest.
fn workspace_problems(manifest: &toml::Value) -> Vec<String> {
    let at = |path: &[&str]| path.iter().try_fold(manifest, |at, key| at.get(key));
    let mut problems = Vec::new();
    if at(&["profile", "release", "panic"]).and_then(toml::Value::as_str) != Some("unwind") {
        // Without that line cargo-lambda builds with "abort".
        problems.push("a panic over one message would end its whole batch".to_owned());
    }
    let build = ["workspace", "metadata", "lambda", "build"];
    let lambda = at(&build).and_then(|build| build.get("no_default_features"));
    if lambda.and_then(toml::Value::as_bool) != Some(true) {
        problems.push("deployed functions would be built with a local home".to_owned());
    }
    problems
}

#[test]
fn the_workspace_says_how_functions_are_built() {
    assert_none(&workspace_problems(&facts::workspace()));
    let silent = "[profile.release]\ndebug = false".parse::<toml::Table>();
    assert_eq!(workspace_problems(&silent.unwrap().into()).len(), 2);
}

/// The crates below a function, with its default features or without.
fn crates_below(stage: &str, features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--package",
            &format!("kintsugi-fn-{stage}"),
        ])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(features)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn a_deployed_function_carries_no_local_home_and_one_built_for_tests_does() {
    let has = |crates: &[String], name: &str| crates.iter().any(|it| it == name);
    for stage in table::STAGES {
        let deployed = crates_below(stage, &["--no-default-features"]);
        assert!(has(&deployed, "aws-sdk-dynamodb"), "{stage}");
        for heavy in ["rusqlite", "argon2", "aws-config"] {
            assert!(!has(&deployed, heavy), "{stage} carries {heavy}");
        }
        assert!(has(&crates_below(stage, &[]), "rusqlite"), "{stage}");
    }
}
