//! `kintsugi release verify`: a signed release checked from files, and each link of the chain broken in turn.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::support::{kintsugi, stderr, stdout};
use kintsugi_adapters_local::Home;
use kintsugi_app::records;
use kintsugi_app::sign::Sign;
use kintsugi_app::stage::{Done, Stage as _, Wake};
use kintsugi_domain::bundle::Bundle;
use kintsugi_domain::channel::Head;
use kintsugi_domain::config::Config;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::fix::Fix;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::issue::Issue;
use kintsugi_domain::job::{Job, artifact_key};
use kintsugi_domain::ports::{Commit, Ports};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::Record;
use kintsugi_domain::release::Release;
use kintsugi_domain::signing::OnlineRole;
use kintsugi_domain::train::Predicate;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

pub(crate) const PROJECT: ProjectId = ProjectId(1);
const PACKAGE: &[u8] = b"the full package of 1.0.1";
const PACKAGE_NAME: &str = "till-1.0.1.tar.zst";
const APPIMAGE: &[u8] = b"the AppImage of 1.0.1";
const APPIMAGE_NAME: &str = "till-1.0.1-x86_64.AppImage";
const COMMIT: &str = "1111111111111111111111111111111111111111";

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
"#;

async fn put(ports: &Ports, record: &impl Record) {
    ports
        .store
        .commit(Commit::new().create(record))
        .await
        .unwrap();
}

fn record<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// What the build of the release gave: its package, and one for a platform.
fn built() -> Value {
    let key = artifact_key(PROJECT, &Digest::of(PACKAGE), PACKAGE_NAME);
    let appimage = artifact_key(PROJECT, &Digest::of(APPIMAGE), APPIMAGE_NAME);
    json!({
        "commit": "2".repeat(40), "deltas": [],
        "full": {"blob": key, "digest": Digest::of(PACKAGE), "length": PACKAGE.len()},
        "content": {"digest": Digest::of(b"content"), "length": 7},
        "platforms": [{
            "kind": {"kind": "app_image", "arch": "x86_64"}, "deltas": [],
            "artifact": {"blob": appimage, "digest": Digest::of(APPIMAGE), "length": APPIMAGE.len()},
        }],
        "inputs": [{"path": "uv.lock", "digest": Digest::of(b"locked")}],
        "builder": "kintsugi-engine/0.1.0 linux-x86_64",
    })
}

/// A release that a train built from a fix, ready to be signed.
async fn lay(ports: &Ports) -> Release {
    let now = ports.now();
    let config = Config::parse("kintsugi.toml", CONFIG).unwrap();
    let mut bundle = Bundle::cut(
        PROJECT,
        kintsugi_domain::train::Train::Hotfix,
        "stable",
        COMMIT.to_owned(),
        "1.0.1".parse().unwrap(),
        vec!["fix1".parse().unwrap()],
        now,
    );
    bundle.predicate = Some(Predicate::Immediate);
    bundle.state = record(json!("packaged"));
    let gate =
        |name: &str| json!({"name": name, "passed": true, "detail": "passed, on /secret/folder"});
    let built = built();
    let job: Job = record(json!({
        "id": "job1", "project": 1, "repository": "/home/somebody/till", "state": "done", "config": config,
        "ordered_at": now,
        "order": {"type": "build", "bundle": bundle.id, "commit": COMMIT, "fixes": [], "version": "1.0.1",
            "at": now, "delta_bases": [], "notes": ""},
        "report": {"type": "build", "applied": ["fix1"], "set_aside": {}, "gates": [gate("suite")],
            "built": {"Ok": built}},
    }));
    bundle.job = Some(job.id.clone());
    let fix: Fix = record(json!({
        "id": "fix1", "project": 1, "issue": "issue1", "state": "bundled", "title": "x", "rule": "guard",
        "class": "guards", "base": COMMIT, "files": [], "diff": "", "gates": [gate("regression_after")],
        "branch": null, "commit": "3".repeat(40), "priority": null, "bundle": bundle.id,
        "story": [{"at": now, "by": "ada", "what": "Approved", "why": "read it"}],
    }));
    let issue: Issue = record(json!({
        "id": "issue1", "project": 1, "state": "fixed", "title": "x", "culprit": null,
        "fingerprint": {"rule": "message", "parts": []}, "level": "high", "score": {"value": 1, "reasons": []},
        "sample": "event1", "events": 1, "first_seen": now, "last_seen": now, "users": [], "releases": [],
        "handled": false, "fix": "fix1", "fixed_in": null, "story": [],
    }));
    let version: semver::Version = "1.0.1".parse().unwrap();
    let release: Release = record(json!({
        "id": Release::id_of(PROJECT, &version), "project": 1, "version": version, "channel": "stable",
        "state": "draft", "train": "hotfix", "bundle": bundle.id, "fixes": ["fix1"], "issues": ["issue1"],
        "previous": null, "built": built, "notes": "", "statement": null, "required_actions": [],
        "built_at": now, "story": [],
    }));
    let project = Project {
        id: PROJECT,
        config,
        keys: vec![],
        repository: None,
        batch_keys: kintsugi_domain::batch::BatchKeys::default(),
        added_at: now,
    };
    for (content, name) in [(PACKAGE, PACKAGE_NAME), (APPIMAGE, APPIMAGE_NAME)] {
        let key = artifact_key(PROJECT, &Digest::of(content), name);
        ports.blobs.put(&key, content.to_vec()).await.unwrap();
    }
    put(ports, &project).await;
    put(ports, &bundle).await;
    put(ports, &job).await;
    put(ports, &fix).await;
    put(ports, &issue).await;
    put(ports, &release).await;
    release
}

async fn wake(ports: &Ports, message: Message) {
    let envelope = Envelope::new("a test", PROJECT, message);
    let wake = Wake::Message(Arc::new(envelope));
    let done = Sign::new(ports.clone()).run(wake).await.unwrap();
    assert!(matches!(done, Done::Did(_)), "{done:?}");
}

/// Signs and publishes a release, and writes what a mirror of its repository would hold.
async fn publish(folder: &Path, rotates: bool) {
    let ports = Home::open(&folder.join("home"), None)
        .await
        .unwrap()
        .ports();
    let id = lay(&ports).await.id;
    wake(
        &ports,
        Message::SignRelease {
            release: id.clone(),
        },
    )
    .await;
    let channel = "stable".to_owned();
    wake(&ports, Message::Publish { channel }).await;
    if rotates {
        rotate_targets(&ports).await;
    }
    let store = ports.store.as_ref();
    let release = records::need::<Release>(store, PROJECT, id.as_str())
        .await
        .unwrap();
    let made = release.value.provenance.unwrap();
    let head = records::need::<Head>(store, PROJECT, "head")
        .await
        .unwrap()
        .value;
    let mirror = folder.join("mirror");
    fs::create_dir(&mirror).unwrap();
    fs::write(mirror.join("timestamp.json"), &head.timestamp_body).unwrap();
    let mut files = vec![
        format!("{}.snapshot.json", head.snapshot),
        format!("{}.targets.json", head.targets),
    ];
    files.extend((1..=head.root).map(|version| format!("{version}.root.json")));
    for name in files {
        let key = format!("tuf/1/metadata/{name}");
        let content = ports.blobs.get(&key, 1 << 20).await.unwrap().unwrap();
        fs::write(mirror.join(name), content).unwrap();
    }
    assert!(
        made.blob.ends_with(".till-1.0.1.intoto.json"),
        "{}",
        made.blob
    );
    let content = ports.blobs.get(&made.blob, 1 << 20).await.unwrap().unwrap();
    fs::write(folder.join("till-1.0.1.intoto.json"), content).unwrap();
    fs::write(folder.join("till.tar.zst"), PACKAGE).unwrap();
    fs::write(folder.join(APPIMAGE_NAME), APPIMAGE).unwrap();
}

/// The key of targets is replaced, as an admin orders it.
async fn rotate_targets(ports: &Ports) {
    let store = ports.store.as_ref();
    let mut head = records::need::<Head>(store, PROJECT, "head").await.unwrap();
    head.value.signing.rotate(OnlineRole::Targets).unwrap();
    let commit = Commit::new().update(&head);
    store.commit(commit).await.unwrap();
    let channel = "stable".to_owned();
    wake(ports, Message::Publish { channel }).await;
}

/// Verifies with one argument or more in place of what is right.
pub(crate) fn verify(folder: &Path, artifact: &str, more: &[&str]) -> Output {
    let mut command = kintsugi();
    command
        .current_dir(folder)
        .args(["release", "verify", artifact]);
    for (name, value) in [
        ("--root", "mirror/1.root.json"),
        ("--metadata", "mirror"),
        ("--attestation", "till-1.0.1.intoto.json"),
    ] {
        if !more.contains(&name) {
            command.args([name, value]);
        }
    }
    command.args(more).output().unwrap()
}

pub(crate) fn published() -> tempfile::TempDir {
    published_with(false)
}

fn published_with(rotates: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(publish(folder.path(), rotates));
    folder
}

#[test]
fn a_package_for_a_platform_is_verified_like_every_other() {
    let folder = published();
    let done = verify(folder.path(), APPIMAGE_NAME, &["--json"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let object: Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(object["target"], APPIMAGE_NAME);
    fs::write(folder.path().join(APPIMAGE_NAME), b"another").unwrap();
    let done = verify(folder.path(), APPIMAGE_NAME, &[]);
    assert!(!done.status.success());
}

#[test]
fn an_older_release_verifies_under_the_key_that_replaced_the_one_it_was_signed_with() {
    let folder = published_with(true);
    let checked = verify(folder.path(), "till.tar.zst", &[]);
    let said = stdout(&checked);
    assert!(checked.status.success(), "{}", stderr(&checked));
    assert!(said.contains("root        version 2"), "{said}");
    assert!(said.contains("ok  signature"), "{said}");
}

#[test]
fn an_artifact_is_verified_offline_with_everything_that_made_it() {
    let folder = published();
    let done = verify(folder.path(), "till.tar.zst", &["--json"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let object: Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(object["target"], "till-1.0.1.tar.zst");
    let checks: Vec<&str> = object["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["check"].as_str().unwrap())
        .collect();
    assert_eq!(
        checks,
        [
            "root",
            "timestamp",
            "snapshot",
            "targets",
            "artifact",
            "attestation",
            "signature",
            "subject"
        ]
    );
    let predicate = &object["statement"]["predicate"];
    let asked = &predicate["buildDefinition"]["externalParameters"];
    assert_eq!(asked["issues"], json!(["issue1"]));
    assert_eq!(asked["predicate"], "immediate");
    let fix = json!({
        "id": "fix1", "issue": "issue1", "rule": "guard", "class": "guards", "commit": "3".repeat(40),
        "gates": [{"name": "regression_after", "passed": true}], "approvedBy": ["ada"],
    });
    assert_eq!(asked["fixes"], json!([fix]));
    let inputs = json!([
        {"name": "source", "digest": {"gitCommit": COMMIT}},
        {"name": "uv.lock", "digest": {"sha256": Digest::of(b"locked")}},
    ]);
    assert_eq!(predicate["buildDefinition"]["resolvedDependencies"], inputs);
    let run = &predicate["runDetails"];
    assert_eq!(run["metadata"]["invocationId"], "job1");
    assert_eq!(run["builder"]["version"]["engine"], "kintsugi-engine/0.1.0");
    assert_eq!(run["byproducts"][0]["name"], "suite");
    let text = object.to_string();
    assert!(
        !text.contains("/home/somebody") && !text.contains("/secret"),
        "{text}"
    );

    let told = stdout(&verify(folder.path(), "till.tar.zst", &[]));
    assert!(
        told.contains("ok  subject     till-1.0.1.tar.zst\n"),
        "{told}"
    );
    assert!(told.contains("fix \"fix1\" of issue \"issue1\""), "{told}");
}

/// Copies the metadata but for the root to `alone`.
fn without_root(path: &Path) {
    fs::create_dir(path.join("alone")).unwrap();
    for file in fs::read_dir(path.join("mirror")).unwrap() {
        let file = file.unwrap();
        if file.file_name() != "1.root.json" {
            fs::copy(file.path(), path.join("alone").join(file.file_name())).unwrap();
        }
    }
}

#[test]
fn each_broken_link_of_the_chain_is_named() {
    let folder = published();
    let path = folder.path();
    let fails = |artifact: &str, more: &[&str], code: &str, words: &[&str]| {
        let failed = verify(path, artifact, more);
        let said = stderr(&failed);
        assert_eq!(failed.status.code(), Some(1), "{said}");
        assert!(said.ends_with(&format!(" [{code}]\n")), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in {said}");
        }
    };
    let changed = |name: &str, from: &str, to: &str| {
        let text = fs::read_to_string(path.join(name)).unwrap();
        assert!(text.contains(from), "{from} is not in {name}");
        text.replace(from, to)
    };
    fs::write(path.join("tampered"), [PACKAGE, b"!"].concat()).unwrap();
    fails(
        "tampered",
        &[],
        "target.not_listed",
        &["tampered", "26 bytes"],
    );
    let later = ["--at", "2099-01-01T00:00:00Z"];
    fails(
        "till.tar.zst",
        &later,
        "tuf.expired",
        &["root metadata expired"],
    );
    let other = changed("till-1.0.1.intoto.json", "payloadType", "payload_type");
    fs::write(path.join("other.json"), other).unwrap();
    let attested = ["--attestation", "other.json"];
    fails(
        "till.tar.zst",
        &attested,
        "target.not_listed",
        &["other.json"],
    );
    // A target of the repository that is no attestation, and an attestation in the place of its artifact.
    let attested = ["--attestation", "till.tar.zst"];
    fails("till.tar.zst", &attested, "attestation.envelope", &[]);
    fails(
        "till-1.0.1.intoto.json",
        &[],
        "attestation.subject",
        &["is not about till-1.0.1.intoto.json"],
    );
    // Another home's root does not vouch for this one's metadata.
    let stranger = published();
    let root = stranger.path().join("mirror/1.root.json");
    without_root(path);
    let rooted = ["--root", root.to_str().unwrap(), "--metadata", "alone"];
    fails("till.tar.zst", &rooted, "tuf.threshold", &["timestamp"]);
    let name = fs::read_dir(path.join("alone")).unwrap();
    let name = name.map(|it| it.unwrap().file_name().into_string().unwrap());
    let targets = name
        .into_iter()
        .find(|it| it.ends_with("targets.json"))
        .unwrap();
    let text = changed(&format!("alone/{targets}"), "till-1.0.1", "till-1.0.2");
    fs::write(path.join("alone").join(targets), text).unwrap();
    let listed = ["--metadata", "alone"];
    fails("till.tar.zst", &listed, "tuf.digest_mismatch", &["targets"]);

    let missing = verify(path, "till.tar.zst", &["--metadata", "nowhere"]);
    let said = stderr(&missing);
    assert_eq!(missing.status.code(), Some(3), "{said}");
    assert!(said.contains("timestamp.json"), "{said}");
}
