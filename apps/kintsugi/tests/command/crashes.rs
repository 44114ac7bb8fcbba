//! Native crashes of a product, from the signal to the issue: dumped by the process that watches it, sealed at the next start, read by a home that runs.
//!
//! The product is this test program itself, started to run the one test `crashes::the_product`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code; the product of a test is told by variables what to do"
)]

use crate::sdks::{Asked, within_minutes};
use kintsugi_sdk::reporter::{Consent, Options, Reporter};
use rustix::process::{Signal, getpid, kill_process};
use std::env;
use std::fs;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

const HOW: &str = "KINTSUGI_TEST_CRASH";
const LONG: Duration = Duration::from_mins(3);

/// What runs where a test has started this program as its product; nothing otherwise.
#[test]
fn the_product() {
    let Ok(how) = env::var(HOW) else { return };
    let word = |name: &str| env::var(format!("{HOW}_{name}")).unwrap();
    let (folder, release) = (PathBuf::from(word("FOLDER")), word("RELEASE"));
    // The process that watches does not come back from here.
    let _watch = kintsugi_native::watch(&folder, Some(&release)).unwrap();
    let (key, batch_key) = (word("KEY").parse().unwrap(), word("BATCH_KEY"));
    let mut options = Options::new(
        &word("HOME"),
        "1".parse().unwrap(),
        key,
        batch_key.trim().parse().unwrap(),
    );
    options.folder = Some(folder);
    options.release = Some(release);
    let reporter = Reporter::start(options, Consent::Given).unwrap();
    match how.as_str() {
        "abort" => std::process::abort(),
        "signal" => kill_process(getpid(), Signal::SEGV).unwrap(),
        "overflow" => assert_eq!(deeper(1), 0),
        _ => assert!(reporter.flush(LONG)),
    }
}

/// Calls itself until the stack ends.
#[expect(unconditional_recursion, reason = "it shall end badly")]
fn deeper(depth: u64) -> u64 {
    black_box(deeper(black_box(depth + 1))) + depth
}

/// Runs the product to its end.
fn run(how: &str, release: &str, folder: &Path, home: &Asked) -> ExitStatus {
    let batch_key = home.run(&["project", "batch-keys"]);
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "crashes::the_product", "--nocapture"]);
    command.env(HOW, how);
    for (name, value) in [
        ("FOLDER", folder.to_str().unwrap()),
        ("RELEASE", release),
        ("HOME", &home.url()),
        ("KEY", &home.key()),
        ("BATCH_KEY", &batch_key),
    ] {
        command.env(format!("{HOW}_{name}"), value);
    }
    let ended = command.stdout(Stdio::null()).stderr(Stdio::null());
    ended.status().unwrap()
}

/// Crashes the product, starts the next version, and looks at the issue that comes of it.
fn crashed(how: &str, signal: Signal, reason: &str) {
    let home = Asked::start();
    let folder = tempfile::tempdir().unwrap();
    let ended = run(how, "till@1.0.0", folder.path(), &home);
    assert_eq!(ended.signal(), Some(signal.as_raw()), "{ended}");
    // It is saved before the product ends.
    let names = || {
        fs::read_dir(folder.path())
            .unwrap()
            .map(|it| it.unwrap().file_name())
    };
    let crashes = || {
        names()
            .filter(|it| it.to_string_lossy().ends_with(".crash"))
            .count()
    };
    within_minutes("a saved crash", || (crashes() == 1).then_some(()));
    assert!(run("none", "till@1.0.1", folder.path(), &home).success());
    assert_eq!(crashes(), 0);

    let issue = home.issue();
    let event = &issue["sample"];
    assert_eq!(event["release"], "till@1.0.0", "{issue:#}");
    assert_eq!(event["level"], "fatal");
    let raised = &event["exceptions"][0];
    assert_eq!(raised["kind"], reason, "{issue:#}");
    let frames = raised["frames"].as_array().unwrap();
    assert!(!frames.is_empty(), "{issue:#}");
    let program = env::current_exe().unwrap();
    let program = program.file_name().unwrap().to_str().unwrap();
    let mut files = frames.iter().map(|frame| &frame["file"]);
    // A signal from elsewhere may reach a thread that waits deep in the C library, from where only its tables lead back.
    assert!(
        how == "signal" || files.any(|file| file == program),
        "{frames:?}"
    );
    home.accepted(&[("error", 1)]);
}

#[test]
fn an_abort_is_dumped_from_outside_and_becomes_an_issue_at_the_next_start() {
    crashed("abort", Signal::ABORT, "SIGABRT");
}

#[test]
fn a_stack_that_overflows_is_dumped_from_outside_and_becomes_an_issue_at_the_next_start() {
    crashed("overflow", Signal::SEGV, "SIGSEGV");
}

#[test]
fn a_signal_from_elsewhere_is_dumped_too() {
    crashed("signal", Signal::SEGV, "SIGSEGV");
}
