//! Attacks on a repository below the root, each test named for one.

use crate::repository::{Repository, TARGET, later, now, past, public, secret, sign, sign_value};
use kintsugi_domain::limits::METADATA_BYTES_MAX;
use kintsugi_trust::tuf::{
    Change, MetaFile, Metadata, Role, Snapshot, TIMESTAMP_BYTES_MAX, TargetPath, Timestamp,
    Trusted, TufError,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

fn target(client: &Trusted) -> bool {
    let path: TargetPath = TARGET.parse().unwrap();
    client.target(&path).is_some()
}

fn id(number: u8) -> String {
    public(number).key_id().to_string()
}

/// A timestamp file with its `signed` part changed, properly signed.
fn timestamp_with(change: impl Fn(&mut Value)) -> String {
    let mut signed = Repository::new(1).timestamp.to_signed().unwrap();
    change(&mut signed);
    sign_value(&signed, &[(6, &id(6))])
}

fn offer(file: &str) -> Result<Change, TufError> {
    Repository::new(1)
        .client()
        .update_timestamp(file.as_bytes(), now())
}

#[test]
fn a_whole_repository_is_read() {
    let repository = Repository::new(3);
    let mut client = repository.client();
    assert_eq!(client.next_root().name, "2.root.json");
    let timestamp = repository.timestamp_file();
    assert_eq!(
        client.update_timestamp(timestamp.as_bytes(), now()),
        Ok(Change::New)
    );
    let snapshot = repository.snapshot_file();
    let wanted = client.next_snapshot().unwrap();
    assert_eq!(wanted.name, "3.snapshot.json");
    assert_eq!(wanted.bytes_max, snapshot.len() as u64);
    client.update_snapshot(snapshot.as_bytes(), now()).unwrap();
    assert_eq!(client.next_targets().unwrap().name, "3.targets.json");
    assert!(!target(&client), "nothing counts before the end");
    client
        .update_targets(repository.targets_file().as_bytes(), now())
        .unwrap();
    let path: TargetPath = TARGET.parse().unwrap();
    let info = client.target(&path).unwrap();
    assert_eq!(info.length, 7);
    assert_eq!(
        client.target_name(&path).unwrap(),
        format!(
            "packages/{}.till-1.0.0.tar.zst",
            info.hashes.sha256.unwrap()
        )
    );
    assert!(client.key(Role::Targets, &id(4)).is_some());
    assert!(client.key(Role::Targets, &id(5)).is_none());
}

#[test]
fn endless_data_is_cut_at_a_bound() {
    let repository = Repository::new(1);
    let mut client = repository.client();
    let endless = " ".repeat(TIMESTAMP_BYTES_MAX) + &repository.timestamp_file();
    let error = client
        .update_timestamp(endless.as_bytes(), now())
        .unwrap_err();
    assert!(matches!(error, TufError::Json { .. }), "{error}");
    let file = Timestamp::new(
        1,
        later(),
        MetaFile {
            version: 1,
            length: Some(u64::MAX),
            hashes: None,
        },
    );
    client
        .update_timestamp(sign(&file, &[6]).as_bytes(), now())
        .unwrap();
    let wanted = client.next_snapshot().unwrap();
    assert_eq!(wanted.bytes_max, METADATA_BYTES_MAX as u64);
}

#[test]
fn a_frozen_repository_is_noticed_by_its_expiry() {
    let expired = |role| TufError::Expired {
        role,
        expires: past(),
    };
    let mut repository = Repository::new(1);
    repository.timestamp.expires = past();
    let mut client = repository.client();
    assert_eq!(
        repository.refresh(&mut client),
        Err(expired(Role::Timestamp))
    );

    let fresh = Repository::new(1);
    let mut snapshot = fresh.snapshot.clone();
    snapshot.expires = past();
    let repository = Repository::with_snapshot(1, fresh.targets.clone(), snapshot);
    let mut client = repository.client();
    assert_eq!(
        repository.refresh(&mut client),
        Err(expired(Role::Snapshot))
    );

    let mut targets = fresh.targets;
    targets.expires = past();
    let repository = Repository::with_targets(1, targets);
    let mut client = repository.client();
    assert_eq!(repository.refresh(&mut client), Err(expired(Role::Targets)));
    assert!(!target(&client));

    let mut repository = Repository::new(1);
    repository.root.expires = past();
    let mut client = repository.client();
    assert_eq!(repository.refresh(&mut client), Err(expired(Role::Root)));
}

#[test]
fn metadata_expires_at_the_second_it_says() {
    let repository = Repository::new(1);
    let file = repository.timestamp_file();
    let mut client = repository.client();
    assert!(client.update_timestamp(file.as_bytes(), later()).is_err());
}

#[test]
fn a_stale_timestamp_held_in_memory_freezes_nobody() {
    let repository = Repository::new(1);
    let mut client = repository.refreshed();
    let file = repository.timestamp_file();
    assert_eq!(
        client.update_timestamp(file.as_bytes(), now()),
        Ok(Change::Same)
    );
    let error = client
        .update_timestamp(file.as_bytes(), later())
        .unwrap_err();
    assert_eq!(error.code(), "tuf.expired");
}

#[test]
fn an_older_timestamp_is_a_rollback() {
    let mut client = Repository::new(2).refreshed();
    let error = Repository::new(1).refresh(&mut client).unwrap_err();
    assert_eq!(
        error,
        TufError::Rollback {
            what: "timestamp.json".into(),
            trusted: 2,
            found: 1
        }
    );
    assert!(target(&client), "a failed step changes nothing");
}

#[test]
fn a_newer_timestamp_with_an_older_snapshot_is_a_rollback() {
    let mut client = Repository::new(2).refreshed();
    let mut hostile = Repository::new(1);
    hostile.timestamp.version = 3;
    let error = hostile.refresh(&mut client).unwrap_err();
    assert!(matches!(error, TufError::Rollback { ref what, .. } if what == "snapshot.json"));
}

#[test]
fn a_newer_snapshot_with_older_targets_is_a_rollback() {
    let mut client = Repository::new(2).refreshed();
    let hostile = Repository::with_targets(3, Repository::new(1).targets);
    let error = hostile.refresh(&mut client).unwrap_err();
    assert!(
        matches!(error, TufError::Rollback { ref what, found: 1, .. } if what == "targets.json")
    );
}

#[test]
fn a_file_that_vanishes_from_the_snapshot_is_a_rollback() {
    let first = Repository::new(1);
    let mut snapshot = first.snapshot.clone();
    let other = MetaFile {
        version: 4,
        length: None,
        hashes: None,
    };
    snapshot.meta.insert("other.json".into(), other);
    let mut client = Repository::with_snapshot(1, first.targets, snapshot).refreshed();
    let error = Repository::new(2).refresh(&mut client).unwrap_err();
    assert!(matches!(error, TufError::Rollback { ref what, found: 0, .. } if what == "other.json"));
}

#[test]
fn what_was_stored_binds_the_next_run_even_when_it_has_expired() {
    let mut old = Repository::new(5);
    old.timestamp.expires = past();
    let mut client = old.client();
    client
        .remember_timestamp(old.timestamp_file().as_bytes())
        .unwrap();
    let error = Repository::new(4).refresh(&mut client).unwrap_err();
    assert_eq!(error.code(), "tuf.rollback");

    let mut client = old.client();
    client
        .remember_snapshot(old.snapshot_file().as_bytes())
        .unwrap();
    let error = Repository::new(4).refresh(&mut client).unwrap_err();
    assert_eq!(error.code(), "tuf.rollback");
    Repository::new(6).refresh(&mut client).unwrap();
}

#[test]
fn a_snapshot_of_another_moment_is_mix_and_match() {
    let repository = Repository::new(2);
    let mut client = repository.client();
    client
        .update_timestamp(repository.timestamp_file().as_bytes(), now())
        .unwrap();
    let mut other = repository.snapshot.clone();
    other.meta.clear();
    let other = sign(&other, &[5]);
    let error = client.update_snapshot(other.as_bytes(), now()).unwrap_err();
    assert_eq!(error.code(), "tuf.length_mismatch");
    let mut other = repository.snapshot_file();
    let place = other.find("sig\":\"").unwrap() + 20;
    let digit = if &other[place..=place] == "0" {
        "1"
    } else {
        "0"
    };
    other.replace_range(place..=place, digit);
    let error = client.update_snapshot(other.as_bytes(), now()).unwrap_err();
    assert_eq!(error.code(), "tuf.digest_mismatch");
}

#[test]
fn a_listing_without_digests_still_binds_the_version() {
    let file = |version| MetaFile {
        version,
        length: None,
        hashes: None,
    };
    let repository = Repository::new(1);
    let mut client = repository.client();
    let timestamp = Timestamp::new(1, later(), file(2));
    client
        .update_timestamp(sign(&timestamp, &[6]).as_bytes(), now())
        .unwrap();
    let error = client
        .update_snapshot(repository.snapshot_file().as_bytes(), now())
        .unwrap_err();
    assert_eq!(error.code(), "tuf.version_mismatch");
    let snapshot = Snapshot::new(2, later(), file(7));
    client
        .update_snapshot(sign(&snapshot, &[5]).as_bytes(), now())
        .unwrap();
    let error = client
        .update_targets(repository.targets_file().as_bytes(), now())
        .unwrap_err();
    assert_eq!(
        error,
        TufError::VersionMismatch {
            role: Role::Targets,
            listed: 7,
            found: 1
        }
    );
}

#[test]
fn metadata_of_another_role_is_refused_even_if_the_key_fits() {
    let mut repository = Repository::new(1);
    repository.root.roles.timestamp = repository.root.roles.snapshot.clone();
    let mut client = repository.client();
    let error = client
        .update_timestamp(repository.snapshot_file().as_bytes(), now())
        .unwrap_err();
    assert_eq!(error.code(), "tuf.wrong_role");
}

#[test]
fn a_key_of_another_role_does_not_count() {
    let repository = Repository::new(1);
    for key in [1, 4, 5, 9] {
        let error = offer(&sign(&repository.timestamp, &[key])).unwrap_err();
        assert_eq!(error.code(), "tuf.threshold", "key {key}");
    }
    let unsigned = sign(&repository.timestamp, &[]);
    assert_eq!(offer(&unsigned).unwrap_err().code(), "tuf.threshold");
}

#[test]
fn two_signatures_of_one_key_are_refused() {
    let file = sign(&Repository::new(1).timestamp, &[6, 6]);
    assert_eq!(offer(&file).unwrap_err().code(), "tuf.malformed");
}

#[test]
fn a_stray_signature_does_not_spoil_the_good_ones() {
    let signed = Repository::new(1).timestamp.to_signed().unwrap();
    let good = sign_value(&signed, &[(6, &id(6)), (9, "a stranger")]);
    assert_eq!(offer(&good), Ok(Change::New));
    let mut file: Value = serde_json::from_str(&good).unwrap();
    file["signatures"][1]["sig"] = json!("not hex");
    assert_eq!(offer(&file.to_string()), Ok(Change::New));
    file["signatures"][0]["sig"] = json!("");
    assert_eq!(
        offer(&file.to_string()).unwrap_err().code(),
        "tuf.threshold"
    );
}

#[test]
fn metadata_that_can_be_read_in_two_ways_is_refused() {
    let good = Repository::new(1).timestamp_file();
    let twice = good.replacen("\"version\":1", "\"version\":9,\"version\":1", 1);
    assert_ne!(good, twice);
    assert_eq!(offer(&twice).unwrap_err().code(), "tuf.json");
    let fraction = good.replacen("\"version\":1", "\"version\":1.0", 1);
    assert_eq!(offer(&fraction).unwrap_err().code(), "tuf.json");
    let again = good.replacen("{\"signatures\"", "{\"signed\":{},\"signatures\"", 1);
    assert_ne!(good, again);
    assert_eq!(offer(&again).unwrap_err().code(), "tuf.json");
}

#[test]
fn white_space_and_unknown_fields_do_no_harm() {
    let file = timestamp_with(|signed| signed["x-note"] = json!({"a": [1, null]}));
    let value: Value = serde_json::from_str(&file).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    assert_eq!(offer(&pretty), Ok(Change::New));
}

#[test]
fn signed_nonsense_is_refused_without_panic() {
    type Spoil = fn(&mut Value);
    let spoils: [(&str, Spoil); 9] = [
        ("tuf.wrong_role", |s| s["_type"] = json!("Timestamp")),
        ("tuf.spec_version", |s| s["spec_version"] = json!("2.0.0")),
        ("tuf.spec_version", |s| s["spec_version"] = json!("10.0")),
        ("tuf.malformed", |s| s["version"] = json!(0)),
        ("tuf.malformed", |s| s["version"] = json!(-1)),
        ("tuf.malformed", |s| {
            s["expires"] = json!("2026-11-22T12:00:00+00:00");
        }),
        ("tuf.malformed", |s| {
            s["expires"] = json!("2026-13-22T12:00:00Z");
        }),
        ("tuf.malformed", |s| s["meta"] = json!({})),
        ("tuf.malformed", |s| {
            s["meta"]["snapshot.json"]["hashes"]["sha256"] = json!("zz");
        }),
    ];
    for (code, spoil) in spoils {
        let error = offer(&timestamp_with(spoil)).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    for text in ["", "[]", "{}", "null", r#"{"signed":1,"signatures":[]}"#] {
        assert!(offer(text).is_err(), "{text}");
    }
}

#[test]
fn steps_out_of_order_are_refused() {
    let repository = Repository::new(1);
    let mut client = repository.client();
    let snapshot = repository.snapshot_file();
    let error = client
        .update_snapshot(snapshot.as_bytes(), now())
        .unwrap_err();
    assert_eq!(
        error,
        TufError::OutOfOrder {
            needs: Role::Timestamp
        }
    );
    let targets = repository.targets_file();
    let error = client
        .update_targets(targets.as_bytes(), now())
        .unwrap_err();
    assert_eq!(
        error,
        TufError::OutOfOrder {
            needs: Role::Snapshot
        }
    );
}

#[test]
fn a_new_timestamp_takes_old_targets_out_of_use() {
    let mut client = Repository::new(1).refreshed();
    let second = Repository::new(2);
    client
        .update_timestamp(second.timestamp_file().as_bytes(), now())
        .unwrap();
    assert!(!target(&client));
}

#[test]
fn targets_that_cannot_be_used_are_left_out_and_the_rest_stays() {
    let mut signed = Repository::new(1).targets.to_signed().unwrap();
    let info = signed["targets"][TARGET].clone();
    signed["targets"]["../../etc/passwd"] = info.clone();
    signed["targets"]["/abs"] = info;
    signed["targets"]["only-md5"] = json!({"length": 1, "hashes": {"md5": "00"}});
    signed["targets"]["odd-sha512"] = json!({"length": 1, "hashes": {"sha512": "00"}});
    signed["delegations"] = json!({"keys": {}, "roles": []});
    let file = sign_value(&signed, &[(4, &id(4))]);
    let listing = MetaFile::of(1, file.as_bytes());
    let snapshot = Snapshot::new(1, later(), listing);
    let repository = Repository::with_snapshot(1, Repository::new(1).targets, snapshot);
    let mut client = repository.client();
    client
        .update_timestamp(repository.timestamp_file().as_bytes(), now())
        .unwrap();
    client
        .update_snapshot(repository.snapshot_file().as_bytes(), now())
        .unwrap();
    client.update_targets(file.as_bytes(), now()).unwrap();
    assert_eq!(client.targets().unwrap().targets.len(), 1);
    assert!(target(&client));
}

#[test]
fn what_is_signed_is_what_is_served() {
    let file: Value = serde_json::from_str(&Repository::new(1).timestamp_file()).unwrap();
    let bytes = kintsugi_trust::json::canonical(&file["signed"]).unwrap();
    let der = hex::decode(file["signatures"][0]["sig"].as_str().unwrap()).unwrap();
    assert_eq!(secret(6).public_key().unwrap().verify(&bytes, &der), Ok(()));
    assert_eq!(file["signed"]["expires"], "2026-11-22T12:00:00Z");
    assert_eq!(file["signed"]["spec_version"], "1.0.31");
}

/// A client, a timestamp file for it, and what that file says.
static TRUSTED: LazyLock<(Trusted, String, Timestamp)> = LazyLock::new(|| {
    let repository = Repository::new(1);
    let file = repository.timestamp_file();
    (repository.client(), file, repository.timestamp)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_change_of_a_file_changes_what_is_trusted(place in any::<prop::sample::Index>(), with in "[ -~]") {
        let (client, file, timestamp) = &*TRUSTED;
        let mut file = file.clone().into_bytes();
        let place = place.index(file.len());
        file[place] = with.as_bytes()[0];
        let mut client = client.clone();
        if client.update_timestamp(&file, now()).is_ok() {
            prop_assert_eq!(client.timestamp(), Some(timestamp));
        } else {
            prop_assert_eq!(client.timestamp(), None);
        }
    }
}
