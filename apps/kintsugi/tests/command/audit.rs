//! `kintsugi audit verify` against a home whose log is changed behind its back.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::support::{Running, kintsugi, stderr, stdout};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Changes the data of a home that does not run, past everything that is ours.
fn behind_its_back(data: &Path, sql: &str) {
    let script = "import sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nn = d.execute(sys.argv[2]).rowcount\nd.commit()\nprint(n)";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(data.join("home.db"));
    let output = python.arg(sql).output().unwrap();
    assert_eq!(stdout(&output).trim(), "1", "{}", stderr(&output));
}

#[test]
fn a_line_that_was_changed_behind_the_homes_back_is_named_and_one_rewritten_to_the_end_by_what_was_seen()
 {
    let folder = tempfile::tempdir().unwrap();
    let (data, token) = (folder.path().join("home"), folder.path().join("token"));
    let run = |home: &Running, arguments: &[&str]| {
        fs::write(&token, home.token()).unwrap();
        let mut command = kintsugi();
        command.args(arguments).args(["--home", &home.url()]);
        command.arg("--token-file").arg(&token);
        command.output().unwrap()
    };
    let home = Running::start(&data, &[]);
    for subject in ["ada", "bob", "eve"] {
        let issue = [
            "keys",
            "issue",
            "--subject",
            subject,
            "--role",
            "viewer",
            "--hours",
            "1",
        ];
        let output = run(&home, &issue);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let verified = run(&home, &["audit", "verify", "--json"]);
    assert_eq!(verified.status.code(), Some(0), "{}", stderr(&verified));
    let seen = folder.path().join("seen.json");
    fs::write(&seen, stdout(&verified)).unwrap();
    let verified: Value = serde_json::from_str(&stdout(&verified)).unwrap();
    let lines = verified.pointer("/logs/0/head/number").unwrap().as_u64();
    assert!(lines.unwrap() >= 3, "{verified}");
    drop(home);

    let bob = "kind = 'audit' AND body LIKE '%bob%'";
    let changed = format!("UPDATE records SET body = replace(body, 'bob', 'rob') WHERE {bob}");
    behind_its_back(&data, &changed);
    let home = Running::start(&data, &[]);
    let broken = run(&home, &["audit", "verify"]);
    assert_eq!(broken.status.code(), Some(1), "{}", stdout(&broken));
    let told = stdout(&broken);
    let last = lines.unwrap();
    assert!(
        told.contains(&format!("home: BROKEN: line {last} was not written after")),
        "{told}"
    );
    drop(home);

    // The end cut off leaves a whole log behind, and only who saw it knows better.
    behind_its_back(
        &data,
        "DELETE FROM records WHERE kind = 'audit' AND body LIKE '%eve%'",
    );
    let home = Running::start(&data, &[]);
    let cut = run(&home, &["audit", "verify"]);
    assert_eq!(cut.status.code(), Some(0), "{}", stdout(&cut));
    let against = ["audit", "verify", "--against", seen.to_str().unwrap()];
    let cut = run(&home, &against);
    assert_eq!(cut.status.code(), Some(1), "{}", stdout(&cut));
    assert!(stdout(&cut).contains("is not the one that was seen before"));
}
