//! Bad input through the command as people use it: each is refused with the exact reason, and what ran goes on.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

#[path = "../../../sdk/rust/tests/it/home.rs"]
mod home;

use home::{Built, Home, built, pack};
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use semver::Version;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const V100: Version = Version::new(1, 0, 0);
const V101: Version = Version::new(1, 0, 1);
const DAY: i64 = 86_400;

#[expect(
    clippy::disallowed_methods,
    reason = "the command reads the machine's clock"
)]
fn now() -> i64 {
    Timestamp::now().as_second()
}

fn at(home: &Home, second: i64) {
    *home.clock.0.lock().unwrap() = Timestamp::from_second(second).unwrap();
}

fn ask(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kintsugi-updater"));
    command.arg("--dir").arg(dir).args(arguments);
    command.output().unwrap()
}

/// A home and a device that runs 1.0.0 of it.
fn installed() -> (Home, tempfile::TempDir) {
    let mut home = Home::start();
    at(&home, now());
    home.release(&built(V100, true), &[]);
    home.rollout(&V100).finalised = true;
    home.publish();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("shipped.json");
    std::fs::write(&root, &home.root).unwrap();
    let (url, root) = (home.url.clone(), root.display().to_string());
    let words = ["init", "--home", &url, "--project", "1"];
    let more = ["--channel", "stable", "--root", &root];
    let done = ask(dir.path(), &[&words[..], &more].concat());
    assert!(done.status.success(), "{done:?}");
    let done = ask(dir.path(), &["run", "--once"]);
    assert!(done.status.success(), "{done:?}");
    (home, dir)
}

/// What `run --once --json` answers, where 1.0.0 must still run after it.
fn answer(dir: &Path) -> Value {
    let done = ask(dir, &["run", "--once", "--json"]);
    assert_eq!(done.status.code(), Some(5), "{done:?}");
    let runs = std::fs::read_to_string(dir.join("current/VERSION")).unwrap();
    assert_eq!(runs.trim(), "1.0.0");
    serde_json::from_slice(&done.stdout).unwrap()
}

fn assert_refused(dir: &Path, code: &str, message: &str) {
    let said = answer(dir);
    assert_eq!(said["error"]["code"], code, "{said}");
    assert_eq!(said["error"]["message"], message, "{said}");
}

/// A package of one entry, which a writer of ours would not make: `kind` as tar has it.
fn hostile(path: &str, kind: u8, link: &str) -> Built {
    let mut header = vec![0_u8; 512];
    for (from, text) in [
        (0, path),
        (100, "0000644"),
        (108, "0000000"),
        (116, "0000000"),
        (124, "00000000000"),
        (136, "00000000000"),
        (148, "        "),
        (157, link),
        (257, "ustar\x0000"),
    ] {
        header[from..from + text.len()].copy_from_slice(text.as_bytes());
    }
    header[156] = kind;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.resize(512 + 1_024, 0);
    pack(V101, header)
}

#[test]
fn an_archive_with_a_way_out_of_its_folder_is_refused_with_the_exact_reason() {
    let (mut home, dir) = installed();
    home.release(&hostile("../escaped", b'0', ""), &[]);
    home.publish();
    let why = "archive cannot be used: the path \"../escaped\" has an empty part, “.” or “..”";
    assert_refused(dir.path(), "package_refused", why);
    assert!(!dir.path().join("versions/escaped").exists());
}

#[test]
fn an_archive_with_a_link_is_refused_with_the_exact_reason() {
    for (kind, what) in [(b'2', "a symbolic link"), (b'1', "a hard link")] {
        let (mut home, dir) = installed();
        home.release(&hostile("settings", kind, "/etc/passwd"), &[]);
        home.publish();
        let why = format!("archive cannot be used: \"settings\" is {what}, not a regular file");
        assert_refused(dir.path(), "package_refused", &why);
    }
}

#[test]
fn a_version_that_does_not_parse_is_refused_with_the_exact_reason() {
    let (mut home, dir) = installed();
    home.release(&built(V101, true), &[]);
    home.publish();
    home.shelf().forge = Some(Box::new(|manifest| {
        let mut manifest = serde_json::to_value(manifest).unwrap();
        manifest["version"] = "1.0".into();
        manifest.to_string().into_bytes()
    }));
    let said = answer(dir.path());
    assert_eq!(said["error"]["code"], "manifest_invalid", "{said}");
    let message = said["error"]["message"].as_str().unwrap();
    let why = "unexpected end of input while parsing minor version number";
    assert!(message.contains(why), "{message}");
}

#[test]
fn expired_metadata_is_refused_with_the_exact_reason() {
    let (home, dir) = installed();
    let mut home = home;
    // It is published for ten days, of which the last one was yesterday.
    let then = now() - 11 * DAY;
    at(&home, then);
    home.release(&built(V101, true), &[]);
    home.publish();
    let end = Timestamp::from_second(then + 10 * DAY).unwrap();
    let why = format!("metadata refused: timestamp metadata expired at {end}");
    assert_refused(dir.path(), "metadata_refused", &why);
}

#[test]
fn a_corrupt_delta_is_refused_with_the_exact_reason_and_the_package_is_taken() {
    let (mut home, dir) = installed();
    home.release(&built(V101, true), &[&built(V100, true)]);
    // Signed as it is: its own digests are what tells.
    let name = "releases/till-1.0.0-to-1.0.1.delta";
    let mut delta = home.targets[name].clone();
    let last = delta.len() - 1;
    delta[last] ^= 0x55;
    let target = home.target(name, &delta);
    assert_eq!(target.digest, Digest::of(&delta));
    let release = home.document.releases.last_mut().unwrap();
    release.packages[0].deltas[0].target = target;
    home.publish();
    let done = ask(dir.path(), &["run", "--once", "--json"]);
    assert!(done.status.success(), "{done:?}");
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(said["outcome"]["source"], "full", "{said}");
    let why = said["outcome"]["delta_refused"].as_str().unwrap();
    assert!(why.contains("the delta is damaged: "), "{why}");
}
