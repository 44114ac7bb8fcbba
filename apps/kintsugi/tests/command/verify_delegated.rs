//! `kintsugi release verify` where a delegated role lists the release.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::support::{stderr, stdout};
use crate::verify::{PROJECT, published, verify};
use kintsugi_adapters_local::Home;
use kintsugi_domain::ports::{KeyName, KeyUse, Ports};
use kintsugi_trust::key::{KeyId, PublicKey, SecretKey};
use kintsugi_trust::tuf::{
    DelegatedRole, Delegations, MetaFile, Metadata, Role, RoleKeys, Scope, Snapshot, Targets,
    Timestamp, assemble, canonical,
};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The metadata file of a mirror with that ending, and what it says.
fn read<T: Metadata>(mirror: &Path, ending: &str) -> (PathBuf, T) {
    let mut files = fs::read_dir(mirror).unwrap().map(|it| it.unwrap().path());
    let path = files.find(|path| path.to_string_lossy().ends_with(ending));
    let path = path.unwrap();
    let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    (path, T::from_signed(file.get("signed").unwrap()).unwrap())
}

/// Metadata as a key of the home signs it.
async fn signed<T: Metadata>(ports: &Ports, key_use: KeyUse, metadata: &T) -> String {
    let project = PROJECT;
    let key = KeyName { project, key_use };
    let pem = ports.signer.public_key(&key).await.unwrap();
    let message = canonical(metadata).unwrap();
    let der = ports.signer.sign(&key, &message).await.unwrap();
    let id: KeyId = PublicKey::from_pem(&pem).unwrap().key_id();
    assemble(metadata, &[(id, der)]).unwrap()
}

/// Moves every target of a mirror to a delegated role that speaks for one pattern.
async fn delegate(folder: &Path, pattern: &str, signer: &SecretKey) {
    let home = Home::open(&folder.join("home"), None).await.unwrap();
    let ports = home.ports();
    let mirror = folder.join("mirror");
    let (at, mut top) = read::<Targets>(&mirror, ".targets.json");
    let moved = Targets {
        targets: std::mem::take(&mut top.targets),
        ..top.clone()
    };
    let key = SecretKey::from_random(&[7; 48]).unwrap();
    let id = key.public_key().unwrap().key_id();
    let role = DelegatedRole {
        name: "of releases".to_owned(),
        keys: RoleKeys::new(Role::Targets, &[key.public_key().unwrap()], 1).unwrap(),
        terminating: false,
        scope: Scope::Paths(vec![pattern.to_owned()]),
    };
    top.delegations = Some(Delegations::new(vec![role]).unwrap());
    let der = signer.sign(&canonical(&moved).unwrap()).unwrap();
    let moved_text = assemble(&moved, &[(id, der)]).unwrap();
    let name = format!("{}.of%20releases.json", moved.version);
    fs::write(mirror.join(name), &moved_text).unwrap();
    let file = MetaFile::of(moved.version, moved_text.as_bytes());
    replace(
        &ports,
        &mirror,
        (&at, &top),
        Some(("of releases.json", file)),
    )
    .await;
}

/// Puts other targets metadata into a mirror, and a delegated role beside it.
async fn replace(
    ports: &Ports,
    mirror: &Path,
    (at, top): (&Path, &Targets),
    delegated: Option<(&str, MetaFile)>,
) {
    let text = signed(ports, KeyUse::Targets(1), top).await;
    fs::write(at, &text).unwrap();
    let (at, mut snapshot) = read::<Snapshot>(mirror, ".snapshot.json");
    let targets = MetaFile::of(top.version, text.as_bytes());
    for (name, file) in [("targets.json", targets)].into_iter().chain(delegated) {
        snapshot.meta.insert(name.to_owned(), file);
    }
    let text = signed(ports, KeyUse::Snapshot(1), &snapshot).await;
    fs::write(at, &text).unwrap();
    let (at, before) = read::<Timestamp>(mirror, "timestamp.json");
    let file = MetaFile::of(snapshot.version, text.as_bytes());
    let timestamp = Timestamp::new(before.version, before.expires, file);
    let text = signed(ports, KeyUse::Timestamp(1), &timestamp).await;
    fs::write(at, text).unwrap();
}

/// Lists what a target has under two more names, one before it and one after it.
async fn list_thrice(folder: &Path, path: &str) {
    let home = Home::open(&folder.join("home"), None).await.unwrap();
    let mirror = folder.join("mirror");
    let (at, mut top) = read::<Targets>(&mirror, ".targets.json");
    let info = top.targets.get(path).unwrap().clone();
    for name in ["a.tar.zst", "z.tar.zst"] {
        top.targets.insert(name.parse().unwrap(), info.clone());
    }
    replace(&home.ports(), &mirror, (&at, &top), None).await;
}

#[test]
fn a_package_with_the_same_bytes_as_others_is_the_one_that_its_attestation_names() {
    let folder = published();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(list_thrice(folder.path(), "till-1.0.1.tar.zst"));
    let done = verify(folder.path(), "till.tar.zst", &[]);
    assert!(done.status.success(), "{}", stderr(&done));
    let said = stdout(&done);
    let named = "ok  artifact    a.tar.zst = till-1.0.1.tar.zst = z.tar.zst, ";
    assert!(said.contains(named), "{said}");
    assert!(
        said.contains("ok  subject     till-1.0.1.tar.zst\n"),
        "{said}"
    );
}

fn delegated(pattern: &str, signer: u8) -> tempfile::TempDir {
    let folder = published();
    let signer = SecretKey::from_random(&[signer; 48]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(delegate(folder.path(), pattern, &signer));
    folder
}

#[test]
fn a_release_that_a_delegated_role_lists_is_verified() {
    let folder = delegated("*", 7);
    let done = verify(folder.path(), "till.tar.zst", &[]);
    assert!(done.status.success(), "{}", stderr(&done));
    let said = stdout(&done);
    assert!(
        said.contains("ok  subject     till-1.0.1.tar.zst\n"),
        "{said}"
    );
}

#[test]
fn a_role_that_may_not_speak_for_the_release_vouches_for_nothing() {
    let folder = delegated("other/*", 7);
    let failed = verify(folder.path(), "till.tar.zst", &[]);
    let said = stderr(&failed);
    assert!(said.ends_with(" [target.not_listed]\n"), "{said}");
}

#[test]
fn a_delegated_role_that_another_key_signed_is_named() {
    let folder = delegated("*", 8);
    let failed = verify(folder.path(), "till.tar.zst", &[]);
    let said = stderr(&failed);
    assert!(said.contains("delegated role \"of releases\""), "{said}");
    assert!(said.ends_with(" [tuf.threshold]\n"), "{said}");
}
