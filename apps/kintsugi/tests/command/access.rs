//! `kintsugi login`, `keys` and `tokens` against a home that runs.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::support::{Running, assert_failed, kintsugi, stderr, stdout};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

/// Runs the program with a configuration folder of its own and text on standard input.
fn ask(config: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = kintsugi()
        .env("KINTSUGI_CONFIG", config)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_str(&stdout(output)).unwrap()
}

/// Logs in, with a slash too many.
fn login(config: &Path, url: &str, token: &str) {
    let home = format!("{url}/");
    let arguments = ["login", "--home", &home, "--json"];
    let answer = ask(config, &arguments, &format!("{token}\n"));
    let role = json(&answer).get("role").cloned();
    assert_eq!(role, Some("admin".into()));
}

#[test]
fn a_login_is_kept_for_its_owner_and_only_when_the_token_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    let home = Running::start(&folder.path().join("home"), &[]);
    let url = home.url();
    let run = |arguments: &[&str]| ask(&config, arguments, "");

    let not_yet = run(&["keys", "list"]);
    assert_failed(&not_yet, 3, "not_logged_in", &["kintsugi login"]);
    let wrong = ask(&config, &["login", "--home", &url], "x.y.z\n");
    assert_failed(&wrong, 1, "jws.malformed", &[]);
    assert!(!config.exists(), "a token that was not taken is not kept");

    login(&config, &url, &home.token());
    let file = config.join("homes.json");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&config)), (0o600, 0o700));
}

#[test]
fn keys_and_tokens_are_changed_with_a_login() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    let home = Running::start(&folder.path().join("home"), &[]);
    let url = home.url();
    login(&config, &url, &home.token());
    let run = |arguments: &[&str]| ask(&config, arguments, "");

    // A colleague's token, straight into a file.
    let issued = run(&[
        "keys",
        "issue",
        "--subject",
        "bob",
        "--role",
        "viewer",
        "--hours",
        "1",
    ]);
    assert!(issued.status.success() && stderr(&issued).contains("bob"));
    let token_file = folder.path().join("bob.token");
    fs::write(&token_file, stdout(&issued)).unwrap();
    let as_bob = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--home", &url, "--token-file", token_file.to_str().unwrap()]);
        run(&all)
    };
    assert_eq!(
        json(&as_bob(&["keys", "list", "--json"]))["keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_failed(&as_bob(&["keys", "rotate"]), 1, "token.role", &[]);

    let first = json(&run(&["keys", "list", "--json"]))["keys"][0]["kid"].clone();
    let first = first.as_str().unwrap();
    let current = run(&["keys", "retire", first]);
    assert_failed(&current, 1, "token_key.current", &["rotate"]);
    let odd = run(&["keys", "retire", "../projects"]);
    assert_failed(&odd, 1, "token_key.unknown", &[]);
    json(&run(&["keys", "rotate", "--reason", "spring", "--json"]));
    let listed = stdout(&run(&["keys", "list"]));
    assert_eq!(listed.lines().count(), 2);
    assert!(
        listed.lines().next().unwrap().ends_with("  current"),
        "{listed}"
    );
    assert!(
        as_bob(&["keys", "list"]).status.success(),
        "older tokens stay good"
    );

    let revoked = run(&["keys", "revoke", "--subject", "bob"]);
    assert!(revoked.status.success(), "{}", stderr(&revoked));
    assert_failed(&as_bob(&["keys", "list"]), 1, "token.revoked", &[]);
    assert!(stdout(&run(&["keys", "revoked"])).contains("subject bob"));
    assert_eq!(run(&["keys", "revoke"]).status.code(), Some(2));

    // The admin's own token was signed by the first key too.
    json(&run(&["keys", "retire", first, "--json"]));
    assert_failed(&run(&["keys", "list"]), 1, "jws.unknown_key", &[]);
}

#[test]
fn a_token_never_goes_to_another_machine_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["login", "--home", "http://kintsugi.example.com"];
    let output = ask(folder.path(), &arguments, "token\n");
    assert_failed(&output, 2, "home_address", &["https"]);
}
