//! A machine that is not as a home needs it. Each condition is the real one: a port that is taken, a
//! disk (a small file system in memory, in a namespace of its own) that is full or read-only, a `PATH`
//! without the tool, a kernel that allows no sandbox.

use crate::support::{
    ANY_PORT, Running, ask, assert_failed, git, kintsugi, sample, stderr, stdout, write,
};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

fn up(folder: &Path, more: &[&str]) -> std::process::Output {
    ask(folder, &[&["up", "--listen", ANY_PORT], more].concat())
}

/// Runs the program as `"$0"` of a script in namespaces of its own, where the script may mount things.
pub(crate) fn script(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-ec", script])
        .arg(env!("CARGO_BIN_EXE_kintsugi"))
        .current_dir(folder);
    command
}

#[test]
fn an_occupied_port_is_named_and_no_data_folder_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(ANY_PORT).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = ask(
        folder.path(),
        &["up", "--data", "home", "--listen", &address],
    );
    assert_failed(&done, 4, "address_in_use", &[&address, "--listen"]);
    assert!(!folder.path().join("home").exists());
}

#[test]
fn an_address_of_another_machine_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // TEST-NET-1 of RFC 5737: nobody has it.
    let done = ask(folder.path(), &["up", "--listen", "192.0.2.1:80"]);
    assert_failed(&done, 4, "address", &["192.0.2.1:80", "--listen"]);
}

#[test]
fn a_data_folder_belongs_to_one_home_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = Running::start(&folder.path().join("home"), &[]);
    let done = up(folder.path(), &["--data", "home"]);
    assert_failed(
        &done,
        5,
        "data_folder",
        &["another Kintsugi", "use another folder"],
    );
    assert!(
        first.get("/health").contains("200 OK"),
        "the first one goes on"
    );
    assert!(first.signal(Signal::TERM).0.success());
    assert!(
        Running::start(&folder.path().join("home"), &[])
            .signal(Signal::TERM)
            .0
            .success()
    );
}

#[test]
fn a_data_folder_that_is_a_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("home", "mine")]);
    let done = up(folder.path(), &["--data", "home"]);
    assert_failed(&done, 5, "data_folder", &["home: it is a file", "--data"]);
    assert_eq!(
        fs::read_to_string(folder.path().join("home")).unwrap(),
        "mine"
    );
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[("home/home.db", "a shopping list, not a database")],
    );
    let done = up(folder.path(), &["--data", "home"]);
    assert_failed(
        &done,
        5,
        "data_folder",
        &["not a database", "use another data folder"],
    );
}

#[test]
fn a_full_disk_is_named_wherever_it_is_met() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("disk")).unwrap();
    // From too small for anything to too small for the whole schema.
    for kib in [4, 16, 32, 64] {
        let done = script(
            folder.path(),
            &format!(
                "mount -t tmpfs -o size={kib}k tmpfs disk; exec \"$0\" up --listen {ANY_PORT} --data disk/home"
            ),
        );
        let done = { done }.output().unwrap();
        assert_failed(&done, 5, "data_folder", &["free some space"]);
    }
}

#[test]
fn a_read_only_disk_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("disk")).unwrap();
    let script_text = format!(
        "mount -t tmpfs -o ro tmpfs disk; exec \"$0\" up --listen {ANY_PORT} --data disk/home"
    );
    let done = script(folder.path(), &script_text).output().unwrap();
    assert_failed(&done, 5, "data_folder", &["Read-only", "--data"]);
}

#[test]
fn a_passphrase_must_fit_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let mut command = kintsugi();
    command.args(["up", "--json", "--listen", ANY_PORT, "--data"]);
    command
        .arg(&home)
        .env("KINTSUGI_KEY_PASSPHRASE", "gold and lacquer");
    assert!(Running::of(command).signal(Signal::TERM).0.success());

    let done = up(folder.path(), &["--data", "home"]);
    assert_failed(&done, 3, "passphrase", &["set KINTSUGI_KEY_PASSPHRASE"]);
    let mut command = kintsugi();
    command.args(["up", "--listen", ANY_PORT, "--data"]);
    command.arg(&home).env("KINTSUGI_KEY_PASSPHRASE", "glue");
    let done = command.output().unwrap();
    assert_failed(&done, 3, "passphrase", &["the passphrase is wrong"]);
    assert!(!stderr(&done).contains("glue"));
}

#[test]
fn a_broken_product_stops_the_start_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[(
            "shop/kintsugi.toml",
            "[product]\nname = \"shop\"\nlanguage = \"cobol\"\n",
        )],
    );
    let done = up(folder.path(), &["--data", "home", "--project", "shop"]);
    let words = [
        "shop/kintsugi.toml:3: product.language: ",
        "expected `python`",
    ];
    assert_failed(&done, 3, "config_broken", &words);
    let done = up(folder.path(), &["--data", "home", "--project", "elsewhere"]);
    assert_failed(&done, 3, "config_missing", &["elsewhere", "kintsugi init"]);
    assert!(!folder.path().join("home").exists());
}

#[test]
fn a_missing_tool_is_named_by_up_and_by_doctor() {
    let folder = tempfile::tempdir().unwrap();
    let tools = folder.path().join("tools");
    fs::create_dir(&tools).unwrap();
    let with = |arguments: &[&str]| {
        let mut command = kintsugi();
        command
            .args(arguments)
            .current_dir(folder.path())
            .env("PATH", &tools);
        command.output().unwrap()
    };
    let up = ["up", "--data", "home", "--listen", ANY_PORT];
    assert_failed(
        &with(&up),
        6,
        "tool_missing",
        &["git is missing", "apt install git"],
    );
    let doctor = with(&["doctor", "--listen", ANY_PORT]);
    assert_eq!(doctor.status.code(), Some(6));
    assert!(
        stdout(&doctor).starts_with("bad  git"),
        "{}",
        stdout(&doctor)
    );

    let git_program = git(folder.path(), &["--exec-path"]) + "/git";
    symlink(git_program, tools.join("git")).unwrap();
    assert_failed(
        &with(&up),
        6,
        "tool_missing",
        &["python3 is missing", "apt install python3"],
    );
    assert!(!folder.path().join("home").exists());
}

#[test]
fn without_a_sandbox_a_home_runs_and_says_what_stops() {
    let folder = tempfile::tempdir().unwrap();
    let no_boxes = "echo 0 >/proc/sys/user/max_user_namespaces";
    let text = format!("{no_boxes}; exec \"$0\" up --json --listen {ANY_PORT} --data home");
    let home = Running::of(script(folder.path(), &text));
    let warning = home.event("warning")["message"].as_str().unwrap();
    for word in [
        "searches for fixes and builds stop",
        "user namespaces are switched off",
    ] {
        assert!(warning.contains(word), "{warning}");
    }
    assert!(home.get("/health").contains("200 OK"));
    assert!(home.signal(Signal::TERM).0.success());

    let text = format!("{no_boxes}; exec \"$0\" doctor --listen {ANY_PORT}");
    let done = script(folder.path(), &text).output().unwrap();
    assert_eq!(done.status.code(), Some(7), "{}", stdout(&done));
    assert!(stdout(&done).contains("bad  sandbox"), "{}", stdout(&done));
}

#[test]
fn doctor_finds_this_machine_fit_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let done = ask(
        folder.path(),
        &["doctor", "--json", "--data", "home", "--listen", ANY_PORT],
    );
    let object: Value = serde_json::from_str(&stdout(&done)).unwrap();
    let checks = object["checks"].as_array().unwrap();
    let names: Vec<&str> = checks
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "git",
            "python3",
            "sandbox",
            "data folder",
            "free space",
            "address"
        ]
    );
    assert_eq!(object["ok"], true, "{object:#}");
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn doctor_beside_a_running_home_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("home");
    let project = sample();
    let home = Running::start(&data, &["--project", project.to_str().unwrap()]);
    let data = data.to_str().unwrap();
    let done = ask(
        folder.path(),
        &["doctor", "--data", data, "--listen", &home.address()],
    );
    assert_eq!(done.status.code(), Some(0), "{}", stdout(&done));
    assert!(stdout(&done).contains("in use by a home that runs"));
    assert!(home.signal(Signal::TERM).0.success());
}
