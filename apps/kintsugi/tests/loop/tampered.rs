//! What a device is sent is changed on its way from a real home, or in that home's folder: the updater
//! refuses it with the reason, and what is installed stays and runs.
//!
//! The many ways in which signed metadata can be wrong are tried beside the updater itself; here each
//! kind of file is changed once, as the stages of a home made it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use crate::between::{Between, Lie};
use crate::home::{Client, make_repository, start, until, version_of};
use crate::support::{ANY_PORT, Running};
use crate::till::Till;
use kintsugi_sdk::updater::{Outcome, Settings, Source, Summary, UpdateError, Updater};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A home that offers 1.0.0, then 1.0.1, to everybody.
struct Scene {
    folder: TempDir,
    till: Till,
    home: Running,
    client: Client,
}

impl Scene {
    fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let till = Till::copy();
        let file = "product/kintsugi.toml";
        till.replace(file, "steps_percent = [25, 90]", "steps_percent = [100]");
        till.replace(file, "holdout_percent = 10", "holdout_percent = 0");
        let repository = make_repository(&till, folder.path());
        let home = start(&folder.path().join("home"), ANY_PORT);
        let client = Client::of(&home);
        client.add_project(&till, &repository);
        let scene = Self {
            folder,
            till,
            home,
            client,
        };
        scene.publish("1.0.0");
        scene
    }

    fn publish(&self, version: &str) {
        assert!(self.client.order(version));
        until(version, || self.client.is_served(version)?.then_some(()));
    }

    fn device(&self, name: &str) -> Settings {
        let folder = self.folder.path().join("devices");
        self.client.device(&self.till, &folder, name)
    }

    /// The files of the repository whose path has a text in it.
    fn files(&self, part: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        list(&self.folder.path().join("home/blobs/tuf"), &mut found);
        found.retain(|it| it.to_str().unwrap().contains(part));
        assert!(!found.is_empty(), "no file {part}");
        found
    }

    fn end(self) {
        assert!(self.home.signal(Signal::TERM).0.success());
    }
}

fn list(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn run(device: &Settings) -> Result<Summary, UpdateError> {
    Updater::open(device.clone())?.run_once()
}

/// One bit, in the middle.
#[expect(clippy::ptr_arg, reason = "a change may also be one of the length")]
fn flip(content: &mut Vec<u8>) {
    let middle = content.len() / 2;
    content[middle] ^= 1;
}

/// The second half is missing.
fn cut(content: &mut Vec<u8>) {
    content.truncate(content.len() / 2);
}

fn rewrite(content: &mut Vec<u8>, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(content).unwrap();
    change(&mut value);
    *content = serde_json::to_vec(&value).unwrap();
}

fn other_version(manifest: &mut Vec<u8>) {
    rewrite(manifest, |it| it["version"] = json!("1.0.9"));
}

fn other_notes(manifest: &mut Vec<u8>) {
    rewrite(manifest, |it| it["notes"] = json!("Nothing to see."));
}

fn other_health(manifest: &mut Vec<u8>) {
    rewrite(manifest, |it| it["health"]["command"] = json!(["true"]));
}

/// Everybody is offered it for ever, says somebody without a key.
fn later_expiry(metadata: &mut Vec<u8>) {
    rewrite(metadata, |it| {
        it["signed"]["expires"] = json!("2099-01-01T00:00:00Z");
    });
}

/// What is changed, the code of the refusal, and what it names.
const LIES: [(&[Lie], &str, &str); 10] = [
    (&[("timestamp.json", later_expiry)], "metadata_refused", ""),
    (&[("snapshot.json", later_expiry)], "metadata_refused", ""),
    (&[("targets.json", later_expiry)], "metadata_refused", ""),
    (&[("stable.json", flip)], "file_tampered", "stable.json"),
    (
        &[("/updates/", other_version)],
        "offer_not_in_document",
        "1.0.9",
    ),
    (&[("/updates/", other_notes)], "manifest_differs", "notes"),
    (&[("/updates/", other_health)], "manifest_differs", "health"),
    (&[("/updates/", flip)], "manifest_differs", "statement"),
    (&[("/updates/", cut)], "manifest_invalid", ""),
    (&[("till-1.0.", flip)], "file_tampered", "1.0.1"),
];

#[test]
fn what_was_changed_on_its_way_is_refused_and_what_runs_goes_on() {
    let scene = Scene::set();
    let between = Between::start(&scene.home.address());
    let mut device = scene.device("device-001");
    device.home.clone_from(&between.url);
    run(&device).unwrap();
    assert_eq!(version_of(&device).as_deref(), Some("1.0.0"));
    scene.publish("1.0.1");
    for (lies, code, named) in LIES {
        between.lie(lies);
        let error = run(&device).unwrap_err();
        let why = error.to_string();
        assert_eq!(error.code(), code, "{why}");
        assert!(why.contains(named), "{why}");
        assert_eq!(version_of(&device).as_deref(), Some("1.0.0"), "{why}");
        assert_runs(&scene, &device, "1.0.0");
    }
    // Nothing else kept it: without lies it comes.
    between.lie(&[]);
    let done = run(&device).unwrap();
    let Outcome::Installed { source, .. } = done.outcome else {
        panic!("{done:#?}");
    };
    assert_eq!(source, Source::Delta);
    assert_runs(&scene, &device, "1.0.1");
    scene.end();
}

#[test]
fn what_was_changed_in_the_folder_of_the_home_is_refused_by_every_device() {
    let scene = Scene::set();
    let (old, other) = (scene.device("device-001"), scene.device("device-002"));
    for device in [&old, &other] {
        run(device).unwrap();
    }
    scene.publish("1.0.1");
    change(&scene.files(".delta"));
    let done = run(&old).unwrap();
    let Outcome::Installed {
        source,
        delta_refused,
        ..
    } = done.outcome
    else {
        panic!("{done:#?}");
    };
    assert_eq!(source, Source::Full);
    let why = delta_refused.unwrap();
    assert!(why.starts_with("file_tampered: "), "{why}");

    change(&scene.files("1.0.1.tar"));
    let fresh = scene.device("device-003");
    for (device, version) in [(&other, Some("1.0.0")), (&fresh, None)] {
        let error = run(device).unwrap_err();
        assert_eq!(error.code(), "file_tampered", "{error}");
        assert_eq!(version_of(device).as_deref(), version);
    }
    assert_runs(&scene, &other, "1.0.0");
    scene.end();
}

fn change(files: &[PathBuf]) {
    for path in files {
        let mut content = fs::read(path).unwrap();
        flip(&mut content);
        fs::write(path, content).unwrap();
    }
}

/// The installed product works, and is of that version.
fn assert_runs(scene: &Scene, device: &Settings, version: &str) {
    let current = device.dir.join("current");
    let installed = fs::read_to_string(current.join("till/VERSION")).unwrap();
    assert_eq!(installed.trim(), version);
    let done = Command::new("python3")
        .args(["-m", "till", "health"])
        .current_dir(&current)
        .env("TILL_SETTINGS", scene.till.path("device-settings.json"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}
