//! The command as people and programs use it, and killed for good at any point of its work.
#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "../../../sdk/rust/tests/it/home.rs"]
mod home;

use home::{Home, built, with_health};
use kintsugi_domain::Timestamp;
use semver::Version;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const V100: Version = Version::new(1, 0, 0);
const V101: Version = Version::new(1, 0, 1);
const V110: Version = Version::new(1, 1, 0);

/// A home whose clock agrees with the machine's: the command reads that one.
#[expect(
    clippy::disallowed_methods,
    reason = "the command reads the machine's clock"
)]
fn home_of_today() -> Home {
    let home = Home::start();
    *home.clock.0.lock().unwrap() = Timestamp::now();
    home
}

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kintsugi-updater"));
    command.arg("--dir").arg(dir).args(arguments);
    command
}

fn ask(dir: &Path, arguments: &[&str]) -> Output {
    command(dir, arguments).output().unwrap()
}

fn initialise(home: &Home, dir: &Path) {
    let root = dir.join("shipped.json");
    std::fs::write(&root, &home.root).unwrap();
    let root = root.to_str().unwrap();
    let done = ask(
        dir,
        &[
            "init",
            "--home",
            &home.url,
            "--project",
            "1",
            "--channel",
            "stable",
            "--root",
            root,
            "--env",
            "SHOP=harbour",
            "--interpreter",
            "sh=/bin/sh",
        ],
    );
    assert!(done.status.success(), "{done:?}");
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn running(dir: &Path) -> String {
    let text = std::fs::read_to_string(dir.join("current/VERSION")).unwrap_or_default();
    text.trim().to_owned()
}

#[test]
fn the_story_of_a_device() {
    let mut home = home_of_today();
    home.release(&with_health(V100, "test $SHOP = harbour"), &[]);
    home.publish();
    let dir = tempfile::tempdir().unwrap();
    initialise(&home, dir.path());
    let first = ask(dir.path(), &["run", "--once", "--json"]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    assert_eq!(json(&first)["outcome"]["type"], "installed");
    home.release(&built(V110, false), &[]);
    home.publish();
    let back = ask(dir.path(), &["run", "--once"]);
    assert_eq!(back.status.code(), Some(6), "{back:?}");
    let said = String::from_utf8(back.stdout).unwrap();
    assert_eq!(
        said,
        "1.1.0 failed at health (exit status: 3: tax_number is missing); 1.0.0 runs again\n"
    );
    let status = ask(dir.path(), &["status", "--json"]);
    assert_eq!(json(&status)["installed"]["version"], "1.0.0");
    assert_eq!(json(&status)["quarantined"]["1.1.0"]["step"], "health");
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let mut home = home_of_today();
    home.release(&built(V100, true), &[]);
    home.publish();
    let dir = tempfile::tempdir().unwrap();
    let code = |output: Output| {
        (
            output.status.code().unwrap(),
            json(&output)["error"]["code"].clone(),
        )
    };
    let once = ["run", "--once", "--json"];
    assert_eq!(ask(dir.path(), &["fly"]).status.code(), Some(2));
    assert_eq!(code(ask(dir.path(), &once)), (3, "settings_invalid".into()));
    initialise(&home, dir.path());
    home.shelf().forge = Some(Box::new(|_| b"{}".to_vec()));
    assert_eq!(code(ask(dir.path(), &once)), (5, "manifest_invalid".into()));
    home.shelf().lie = Some(Box::new(|_| {
        Some(home::Reply {
            status: 500,
            ..home::reply("")
        })
    }));
    assert_eq!(
        code(ask(dir.path(), &once)),
        (4, "unexpected_status".into())
    );
    std::fs::write(dir.path().join("state.json"), "{").unwrap();
    assert_eq!(code(ask(dir.path(), &once)), (8, "state_damaged".into()));
    let lock = std::fs::File::options()
        .write(true)
        .open(dir.path().join("lock"))
        .unwrap();
    lock.lock().unwrap();
    assert_eq!(code(ask(dir.path(), &once)), (9, "busy".into()));
}

#[test]
fn the_table_of_exit_codes_is_in_the_help() {
    let help = Command::new(env!("CARGO_BIN_EXE_kintsugi-updater"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for code in [0, 2, 3, 4, 5, 6, 7, 8, 9] {
        assert!(help.contains(&format!("\n  {code}  ")), "{code}");
    }
}

/// Runs the command and kills it when it has said its `line`-th step. Whether it was still alive.
fn killed_after(dir: &Path, line: usize) -> bool {
    let mut child = command(dir, &["run", "--once"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap()).lines();
    let heard = said.take(line).count();
    child.kill().unwrap();
    child.wait().unwrap().code().is_none() && heard == line
}

#[test]
fn killed_at_any_step_of_an_update_it_leaves_a_version_that_works() {
    let mut home = home_of_today();
    home.release(&built(V100, true), &[]);
    home.publish();
    let dir = tempfile::tempdir().unwrap();
    initialise(&home, dir.path());
    ask(dir.path(), &["run", "--once"]);
    home.release(&built(V101, true), &[&built(V100, true)]);
    home.publish();
    let kept = tempfile::tempdir().unwrap();
    for line in 1..=9 {
        // Each time from a copy of the same device.
        let device = kept.path().join(line.to_string());
        let copied = Command::new("cp")
            .arg("-a")
            .arg(dir.path())
            .arg(&device)
            .status()
            .unwrap();
        assert!(copied.success());
        killed_after(&device, line);
        assert!(
            ["1.0.0", "1.0.1"].contains(&running(&device).as_str()),
            "{line}"
        );
        let health = Command::new("sh")
            .arg(device.join("current/bin/health"))
            .status()
            .unwrap();
        assert!(health.success(), "{line}");
        let next = ask(&device, &["run", "--once", "--json"]);
        assert_eq!(next.status.code(), Some(0), "{line}: {next:?}");
        assert_eq!(running(&device), "1.0.1", "{line}");
    }
}

#[test]
fn a_version_that_kills_its_updater_is_given_up() {
    let mut home = home_of_today();
    home.release(&built(V100, true), &[]);
    home.publish();
    let dir = tempfile::tempdir().unwrap();
    initialise(&home, dir.path());
    ask(dir.path(), &["run", "--once"]);
    home.release(&with_health(V110, "kill -9 $PPID"), &[]);
    home.publish();
    for _ in 0..3 {
        let killed = ask(dir.path(), &["run", "--once"]);
        assert_eq!(killed.status.code(), None, "{killed:?}");
    }
    let last = ask(dir.path(), &["run", "--once", "--json"]);
    assert_eq!(last.status.code(), Some(0), "{last:?}");
    assert_eq!(json(&last)["outcome"]["declined"], "1.1.0");
    assert_eq!(running(dir.path()), "1.0.0");
    assert_eq!(
        home.reported().last().unwrap(),
        "rollout-1-1-0/New failed interrupted"
    );
}
