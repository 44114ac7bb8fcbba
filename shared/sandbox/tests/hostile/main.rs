//! Hostile and awkward programs, each in a real box on this machine.
//!
//! A machine that cannot build a box fails these tests: a skipped test here would be a lie.
#![expect(clippy::unwrap_used, reason = "test code")]

mod escape;
mod everyday;
mod limits;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, process, thread};

use kintsugi_sandbox::{Finished, Job, Sandbox, python_toolchain};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A job that runs a Python script in `folder`.
fn python(folder: &TempDir, script: &str) -> Job {
    let toolchain = python_toolchain().unwrap();
    let mut job = Job::new(
        [toolchain.program.to_str().unwrap(), "-c", script],
        folder.path(),
    );
    job.read_only = toolchain.read_only;
    job
}

fn shell(folder: &TempDir, script: &str) -> Job {
    Job::new(["/bin/sh", "-c", script], folder.path())
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn run(job: &Job) -> Finished {
    Sandbox::probe().unwrap().run(job).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// A word that is on the command line of one test's processes and of no others.
fn unique_word() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "boxed-{}-{}",
        process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// How many processes of the host, seen from outside, have `word` on their command line.
fn alive(word: &str) -> usize {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| {
            line.split(|byte| *byte == 0)
                .any(|part| part == word.as_bytes())
        })
        .count()
}

/// Waits until `holds`, and fails when it does not come true.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    unreachable!("waited in vain until {what}");
}
