//! `scrub`: an event goes in, what is left and what was removed comes out.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::support::{assert_failed, kintsugi, stdout, write};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

fn scrub(folder: &Path, arguments: &[&str], event: &str) -> Output {
    let mut command = kintsugi();
    command.arg("scrub").args(arguments).current_dir(folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(event.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

const EVENT: &str = r#"{"message": "mail to alice@example.org failed", "extra": {"password": "hunter2", "ref": "M-123456"}}"#;

#[test]
fn scrub_prints_what_is_left_and_what_was_removed() {
    let folder = tempfile::tempdir().unwrap();
    let done = scrub(folder.path(), &[], EVENT);
    assert_eq!(done.status.code(), Some(0));
    let text = stdout(&done);
    let (event, remarks) = text.split_once("\n\n").unwrap();
    let left = json!({"message": "mail to [email] failed", "extra": {"password": "[secret]", "ref": "M-123456"}});
    assert_eq!(serde_json::from_str::<Value>(event).unwrap(), left);
    let remarks: Vec<Vec<&str>> = remarks
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        remarks,
        [
            ["email", "message", "8..15"],
            ["named_secret", "extra.password", "0..8"]
        ]
    );
    assert!(stdout(&scrub(folder.path(), &[], "[1]")).ends_with("nothing was removed\n"));
}

#[test]
fn scrub_takes_the_rules_of_a_project_and_prints_one_object_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let rules =
        "[scrub]\noff = [\"email\"]\n[[scrub.patterns]]\nname = \"member\"\npattern = 'M-\\d{6}'\n";
    write(folder.path(), &[("rules.toml", rules)]);
    let done = scrub(folder.path(), &["--rules", "rules.toml", "--json"], EVENT);
    let object: Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(
        object["event"]["extra"],
        json!({"password": "[secret]", "ref": "[member]"})
    );
    assert_eq!(
        object["event"]["message"],
        "mail to alice@example.org failed"
    );
    assert_eq!(
        object["remarks"][1],
        json!({"rule": "member", "path": "extra.ref", "range": [0, 8]})
    );
}

#[test]
fn scrub_refuses_what_is_no_json_and_rules_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let done = scrub(folder.path(), &[], "{\"a\": ");
    assert_failed(&done, 1, "not_json", &["a value expected at byte 6"]);
    write(
        folder.path(),
        &[("rules.toml", "[scrub]\noff = [\"emial\"]\n")],
    );
    let done = scrub(folder.path(), &["--rules", "rules.toml"], EVENT);
    assert_failed(
        &done,
        3,
        "config_broken",
        &["rules.toml:2: scrub.off: ", "“emial”"],
    );
    let done = scrub(folder.path(), &["--rules", "none.toml"], EVENT);
    assert_failed(&done, 3, "file", &["none.toml"]);
}
