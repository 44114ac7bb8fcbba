//! Sealed keys: they survive, they stay sealed, and what is wrong is said.

#![expect(clippy::unwrap_used, reason = "test code")]

use kintsugi_adapters_local::KeyFiles;
use kintsugi_adapters_local::signer::MASTER_FILE;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{KeyName, KeyUse, Signer};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn name(key_use: KeyUse) -> KeyName {
    KeyName {
        project: ProjectId(1),
        key_use,
    }
}

fn refusal(folder: &Path, passphrase: Option<&str>) -> String {
    KeyFiles::open(folder, passphrase).unwrap_err().to_string()
}

#[tokio::test]
async fn keys_and_secrets_are_the_same_after_closing_and_opening() {
    for passphrase in [None, Some("correct horse")] {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFiles::open(folder.path(), passphrase).unwrap();
        let pem = keys.public_key(&name(KeyUse::Targets(1))).await.unwrap();
        let secret = keys.secret(&name(KeyUse::Tickets)).await.unwrap();
        drop(keys);
        let keys = KeyFiles::open(folder.path(), passphrase).unwrap();
        assert_eq!(
            keys.public_key(&name(KeyUse::Targets(1))).await.unwrap(),
            pem
        );
        assert_eq!(keys.secret(&name(KeyUse::Tickets)).await.unwrap(), secret);
    }
}

#[tokio::test]
async fn a_wrong_a_missing_and_a_needless_passphrase_are_each_said() {
    let folder = tempfile::tempdir().unwrap();
    KeyFiles::open(folder.path(), Some("right")).unwrap();
    assert!(refusal(folder.path(), Some("wrong")).contains("the passphrase is wrong"));
    assert!(refusal(folder.path(), None).contains("sealed with a passphrase; give it"));
    assert!(KeyFiles::open(folder.path(), Some("right")).is_ok());
    let folder = tempfile::tempdir().unwrap();
    KeyFiles::open(folder.path(), None).unwrap();
    assert!(refusal(folder.path(), Some("any")).contains("give none"));
}

#[tokio::test]
async fn a_lost_or_foreign_master_key_file_is_said_and_no_new_one_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let master = folder.path().join(MASTER_FILE);
    KeyFiles::open(folder.path(), None).unwrap();
    fs::write(&master, "ab".repeat(32)).unwrap();
    assert!(refusal(folder.path(), None).contains("does not belong to these keys"));
    fs::remove_file(&master).unwrap();
    assert!(refusal(folder.path(), None).contains("put it back from a backup"));
    assert!(!master.exists());
}

#[tokio::test]
async fn files_are_readable_by_their_owner_only_and_show_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyFiles::open(folder.path(), None).unwrap();
    keys.public_key(&name(KeyUse::Root(0))).await.unwrap();
    let secret = keys.secret(&name(KeyUse::Users)).await.unwrap();
    let hex = hex::encode(secret);
    let mut seen = 0;
    for below in [folder.path().to_owned(), folder.path().join("1")] {
        for entry in fs::read_dir(below).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                let mode = entry.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
                assert!(!fs::read_to_string(entry.path()).unwrap().contains(&hex));
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 5, "master key, sealing, probe, key and secret");
}

#[tokio::test]
async fn a_changed_or_swapped_key_file_is_refused_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyFiles::open(folder.path(), None).unwrap();
    keys.public_key(&name(KeyUse::Targets(1))).await.unwrap();
    keys.public_key(&name(KeyUse::Snapshot(1))).await.unwrap();
    let file = |stem: &str| folder.path().join("1").join(format!("{stem}.key"));
    let sealed = fs::read_to_string(file("targets")).unwrap();
    let swapped = fs::read_to_string(file("snapshot")).unwrap();
    let flipped = sealed.replace("\"content\":\"", "\"content\":\"00");
    for hostile in [swapped.as_str(), flipped.as_str(), "", "{}"] {
        fs::write(file("targets"), hostile).unwrap();
        let keys = KeyFiles::open(folder.path(), None).unwrap();
        let refusal = keys
            .sign(&name(KeyUse::Targets(1)), b"x")
            .await
            .unwrap_err();
        assert!(refusal.to_string().contains("damaged"), "{refusal}");
        assert_eq!(fs::read_to_string(file("targets")).unwrap(), hostile);
    }
}
