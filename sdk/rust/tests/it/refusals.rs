//! What must not happen: whatever a server, a cache or a thief of one key sends, it is refused with a
//! code, and what was installed stays as it was.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use crate::home::{Home, PROJECT, Reply, built, day, pack, reply, signed};
use crate::installs::{V100, V101, V110, installed, run, running, state};
use kintsugi_domain::id::ProjectId;
use kintsugi_sdk::updater::Settings;
use kintsugi_trust::tuf::{MetaFile, Timestamp as TimestampRole};
use std::path::Path;

/// A run is refused with this code, and 1.0.0 still runs, untouched.
#[track_caller]
pub(crate) fn refused(home: &Home, settings: &Settings, code: &str) {
    let before = state(&settings.dir).installed;
    let error = run(home, settings).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert_eq!(running(&settings.dir).as_deref(), Some("1.0.0"));
    assert_eq!(state(&settings.dir).installed, before);
    assert!(!settings.dir.join("versions/1.0.1").exists());
    assert!(!settings.dir.join("versions/.new-1.0.1").exists());
}

/// A home that offers 1.0.1, and a device with 1.0.0.
pub(crate) fn offering() -> (Home, tempfile::TempDir, Settings) {
    let (mut home, dir, settings) = installed();
    home.release(&built(V101, true), &[]);
    home.publish();
    (home, dir, settings)
}

fn flip(home: &Home, ending: &str) {
    let path = home.served(ending);
    let mut shelf = home.shelf();
    let bytes = shelf.files.get_mut(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

#[test]
fn a_tampered_package() {
    let (home, dir, settings) = offering();
    flip(&home, "till-1.0.1.tar.zst");
    refused(&home, &settings, "file_tampered");
    let told = home.reported();
    assert_eq!(told.last().unwrap(), "rollout-1-0-1/New failed verify");
    // The network did it, so it is tried again.
    assert!(state(dir.path()).quarantined.is_empty());
    flip(&home, "till-1.0.1.tar.zst");
    run(&home, &settings).unwrap();
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.1"));
}

#[test]
fn a_tampered_delta_and_a_tampered_package() {
    let (mut home, _dir, settings) = installed();
    home.release(&built(V101, true), &[&built(V100, true)]);
    home.publish();
    flip(&home, ".delta");
    flip(&home, "till-1.0.1.tar.zst");
    refused(&home, &settings, "file_tampered");
}

#[test]
fn a_package_that_never_ends() {
    let (home, _dir, settings) = offering();
    let full = home.served("till-1.0.1.tar.zst");
    home.shelf().files.get_mut(&full).unwrap().push(0);
    refused(&home, &settings, "too_large");
}

#[test]
fn every_metadata_file_when_one_bit_of_it_is_changed() {
    for file in [
        "metadata/timestamp.json",
        "metadata/2.snapshot.json",
        "metadata/2.targets.json",
    ] {
        let (home, _dir, settings) = offering();
        flip(&home, file);
        refused(&home, &settings, "metadata_refused");
    }
}

#[test]
fn a_tampered_channel_document() {
    let (home, _dir, settings) = offering();
    let bytes = home.shelf().files.iter().rev().find_map(|(path, bytes)| {
        let document: kintsugi_domain::channel::ChannelDocument = path
            .ends_with(".stable.json")
            .then(|| serde_json::from_slice(bytes).unwrap())?;
        (document.serial == 2).then(|| path.clone())
    });
    home.shelf().files.get_mut(&bytes.unwrap()).unwrap()[20] ^= 1;
    refused(&home, &settings, "file_tampered");
}

#[test]
fn metadata_signed_by_the_wrong_keys() {
    let (mut home, _dir, settings) = installed();
    home.release(&built(V101, true), &[]);
    home.publish_with(&[9], &[home.timestamp_key]);
    refused(&home, &settings, "metadata_refused");
    home.publish_with(&[home.targets_key], &[home.targets_key]);
    refused(&home, &settings, "metadata_refused");
}

#[test]
fn expired_metadata() {
    let (home, _dir, settings) = offering();
    home.set_day(11);
    refused(&home, &settings, "metadata_refused");
}

#[test]
fn an_old_timestamp_that_is_played_back() {
    let (mut home, _dir, settings) = installed();
    let old = home.shelf().files["metadata/timestamp.json"].clone();
    home.publish();
    run(&home, &settings).unwrap();
    home.shelf()
        .files
        .insert("metadata/timestamp.json".into(), old);
    refused(&home, &settings, "metadata_refused");
}

#[test]
fn an_old_timestamp_of_the_same_snapshot() {
    let (mut home, _dir, settings) = installed();
    let old = home.shelf().files["metadata/timestamp.json"].clone();
    home.refresh_timestamp(2);
    run(&home, &settings).unwrap();
    home.shelf()
        .files
        .insert("metadata/timestamp.json".into(), old);
    refused(&home, &settings, "metadata_refused");
}

#[test]
fn a_snapshot_that_was_never_listed() {
    let (home, _dir, settings) = offering();
    // Signed by the right key, but with other targets than the timestamp's snapshot lists.
    let length = home.shelf().files["metadata/2.snapshot.json"].len();
    let forged = MetaFile::of(2, &vec![b'x'; length]);
    let forged = TimestampRole::new(3, day(10), forged);
    let forged = signed(&forged, &[home.timestamp_key]);
    home.shelf()
        .files
        .insert("metadata/timestamp.json".into(), forged);
    refused(&home, &settings, "metadata_refused");
}

#[test]
fn a_root_that_the_old_keys_did_not_sign() {
    let (mut home, _dir, settings) = offering();
    home.targets_key = 9;
    let forged = home.sign_root(2, &[9]);
    home.shelf()
        .files
        .insert("metadata/2.root.json".into(), forged);
    refused(&home, &settings, "metadata_refused");
}

#[test]
fn a_shipped_root_that_is_not_one() {
    let (home, dir, mut settings) = offering();
    settings.root = b"{\"signatures\":[],\"signed\":{}}".to_vec();
    std::fs::remove_file(dir.path().join("metadata/root.json")).ok();
    refused(&home, &settings, "metadata_refused");
}

#[test]
fn a_package_that_the_targets_do_not_list() {
    let (mut home, _dir, settings) = offering();
    home.targets.remove("releases/till-1.0.1.tar.zst");
    home.publish();
    refused(&home, &settings, "target_not_listed");
}

#[test]
fn a_document_of_another_project_or_channel() {
    let (mut home, _dir, settings) = offering();
    home.document.project = ProjectId(2);
    home.publish();
    refused(&home, &settings, "document_refused");
    home.document.project = PROJECT;
    home.document.channel = "beta".into();
    home.publish();
    refused(&home, &settings, "document_refused");
}

#[test]
fn a_signed_archive_that_would_leave_its_folder() {
    let (mut home, dir, settings) = installed();
    home.release(&pack(V101, escaping_archive()), &[]);
    home.publish();
    refused(&home, &settings, "package_refused");
    assert!(!dir.path().join("versions/escaped").exists());
    assert!(!dir.path().join("escaped").exists());
    assert_eq!(
        home.reported().last().unwrap(),
        "rollout-1-0-1/New failed apply"
    );
    // It will not be better the next time.
    assert!(state(dir.path()).quarantined.contains_key(&V101));
    run(&home, &settings).unwrap();
}

#[test]
fn content_that_is_not_what_the_statement_says() {
    let (mut home, _dir, settings) = installed();
    let mut other = built(V101, true);
    other.content = built(V110, true).content;
    home.release(&other, &[]);
    home.publish();
    refused(&home, &settings, "content_tampered");
}

#[test]
fn a_package_larger_than_this_device_takes() {
    let (home, _dir, mut settings) = offering();
    settings.content_bytes_max = 1_000;
    refused(&home, &settings, "too_large");
}

#[test]
fn a_home_that_cannot_be_reached_or_is_in_trouble() {
    let (home, _dir, mut settings) = offering();
    home.shelf().lie = Some(Box::new(|path| {
        path.contains("/updates/").then(|| Reply {
            status: 500,
            ..reply("")
        })
    }));
    refused(&home, &settings, "unexpected_status");
    // Nobody listens on the port of a listener that is gone.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    settings.home = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    refused(&home, &settings, "unreachable");
}

#[test]
fn a_second_updater_in_the_same_folder() {
    let (home, _dir, settings) = offering();
    let clock = std::sync::Arc::new(home.clock.clone());
    let first = kintsugi_sdk::updater::Updater::open_with_clock(settings.clone(), clock).unwrap();
    refused(&home, &settings, "busy");
    drop(first);
    run(&home, &settings).unwrap();
}

#[test]
fn damaged_state_is_named_and_nothing_is_changed() {
    let (home, dir, settings) = offering();
    let path = dir.path().join("state.json");
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, "{").unwrap();
    assert_eq!(run(&home, &settings).unwrap_err().code(), "state_damaged");
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.0"));
    std::fs::write(&path, good).unwrap();
    run(&home, &settings).unwrap();
}

#[test]
fn damaged_kept_metadata_is_fetched_again() {
    let (home, dir, settings) = offering();
    for role in ["timestamp", "snapshot", "targets", "root"] {
        std::fs::write(dir.path().join(format!("metadata/{role}.json")), "{").unwrap();
    }
    run(&home, &settings).unwrap();
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.1"));
}

/// An archive as no writer of ours would make it: its one file wants to be beside the folder.
fn escaping_archive() -> Vec<u8> {
    let name = "../escaped";
    assert!(!Path::new(name).is_absolute());
    let mut header = vec![0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    header[124..135].copy_from_slice(b"00000000004");
    header[136..147].copy_from_slice(b"00000000000");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header;
    archive.extend(b"evil");
    archive.resize(1_024 + 1_024, 0);
    archive
}
