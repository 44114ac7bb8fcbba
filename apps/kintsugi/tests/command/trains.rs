//! `kintsugi trains plan` against a home that runs.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::support::{Running, assert_failed, kintsugi, stderr, stdout};
use kintsugi_adapters_local::Home;
use kintsugi_domain::config::Config;
use kintsugi_domain::fix::Fix;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::issue::Issue;
use kintsugi_domain::ports::{Commit, Store as _};
use kintsugi_domain::project::Project;
use kintsugi_domain::release::Release;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Output;

const CONFIG: &str = r#"
[product]
name = "till"
language = "python"
[test]
command = ["python3", "-m", "unittest"]
[package]
include = ["till"]
[health]
command = ["python3", "-m", "till", "health"]
[calendar]
time_zone = "Europe/Berlin"
[[calendar.freeze]]
name = "the fair"
start = "2040-05-01"
length = "P3D"
"#;

/// Leaves a product with a release and an urgent fix in a home that does not run.
fn lay(folder: &Path) {
    let long_ago = "2026-01-01T00:00:00Z";
    let project = Project {
        id: ProjectId(1),
        config: Config::parse("kintsugi.toml", CONFIG).unwrap(),
        keys: vec![],
        repository: Some("/nowhere".to_owned()),
        batch_keys: kintsugi_domain::batch::BatchKeys::default(),
        added_at: long_ago.parse().unwrap(),
    };
    let release: Release = serde_json::from_value(json!({
        "id": "release1", "project": 1, "version": "1.0.0", "channel": "beta", "state": "draft",
        "train": "major", "bundle": "b", "fixes": [], "issues": [], "previous": null,
        "built": {
            "commit": "c", "deltas": [], "full": {"blob": "x", "digest": "0".repeat(64), "length": 1},
            "content": {"digest": "0".repeat(64), "length": 1},
        },
        "notes": "", "statement": null, "required_actions": [], "built_at": long_ago, "story": [],
    }))
    .unwrap();
    let issue: Issue = serde_json::from_value(json!({
        "id": "issue1", "project": 1, "state": "fixed", "title": "x", "culprit": null,
        "fingerprint": {"rule": "message", "parts": []}, "level": "high",
        "score": {"value": 1, "reasons": []}, "sample": "event1", "events": 101,
        "first_seen": long_ago, "last_seen": long_ago, "users": [], "releases": [], "handled": false,
        "fix": null, "fixed_in": null, "story": [],
    }))
    .unwrap();
    let fix: Fix = serde_json::from_value(json!({
        "id": "fix1", "project": 1, "issue": "issue1", "state": "approved", "title": "Mend\u{1b}[2J it",
        "rule": "guard", "class": "guards", "base": "", "files": [], "diff": "", "gates": [],
        "branch": null, "commit": null, "priority": null, "bundle": null,
        "story": [{"at": "2040-04-24T10:00:00Z", "by": "ada", "what": "Approved", "why": "read it"}],
    }))
    .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Home::open(folder, None).await.unwrap().store;
        let commit = Commit::new()
            .create(&project)
            .create(&release)
            .create(&issue);
        store.commit(commit.create(&fix)).await.unwrap();
    });
}

#[test]
fn trains_plan_says_what_departs_and_what_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("home");
    lay(&data);
    let home = Running::start(&data, &[]);
    let token = folder.path().join("token");
    fs::write(&token, home.token()).unwrap();
    let url = home.url();
    let plan = |arguments: &[&str]| -> Output {
        let mut command = kintsugi();
        command.args(["trains", "plan"]).args(arguments);
        command.args(["--home", &url, "--token-file"]).arg(&token);
        command.output().unwrap()
    };

    // The patch is due a week after its fix, in the freeze: it departs when that ends, at midnight in Berlin.
    let planned = plan(&["--at", "2040-05-01T12:00:00Z", "--json"]);
    assert!(planned.status.success(), "{}", stderr(&planned));
    let planned: Value = serde_json::from_str(&stdout(&planned)).unwrap();
    let patch = &planned["trains"][0];
    assert_eq!(planned["departs"], Value::Null);
    assert_eq!(patch["train"], "patch");
    assert_eq!(patch["predicate"], "oldest_waits");
    assert_eq!(patch["due_at"], "2040-05-01T10:00:00Z");
    assert_eq!(patch["version"], "1.0.1");
    let hold = json!({"why": "freeze “the fair”", "until": "2040-05-03T22:00:00Z"});
    assert_eq!(patch["held"], hold);
    assert_eq!(patch["departs_at"], "2040-05-03T22:00:00Z");

    let told = stdout(&plan(&["--at", "2040-05-03T22:00:00Z", "--project", "1"]));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[0],
        "project 1 at 2040-05-03T22:00:00Z: the patch train departs"
    );
    assert!(
        lines[1].starts_with("  patch to \"1.0.1\"  the oldest waits ("),
        "{told}"
    );
    assert_eq!(lines[2], "    departs 2040-05-03T22:00:00Z");
    assert!(lines[3].contains("High, 50 points"), "{told}");
    assert!(!told.contains('\u{1b}'), "{told}");

    assert_failed(&plan(&["--project", "7"]), 1, "project.unknown", &[]);
    let wrong = plan(&["--at", "tomorrow"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));
}
