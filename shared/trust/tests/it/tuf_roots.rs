//! The chain of roots: attacks on it, and recovery through it.

use crate::repository::{Repository, later, now, past, public, roles, sign, sign_value};
use kintsugi_trust::key::KeyId;
use kintsugi_trust::tuf::{
    Metadata, ROOT_BYTES_MAX, Role, RoleKeys, Root, Trusted, TufError, assemble, canonical,
};
use serde_json::{Value, json};

fn id(number: u8) -> String {
    public(number).key_id().to_string()
}

fn keys(role: Role, numbers: &[u8], threshold: usize) -> RoleKeys {
    let keys: Vec<_> = numbers.iter().map(|number| public(*number)).collect();
    RoleKeys::new(role, &keys, threshold).unwrap()
}

/// The second root, with keys 7 to 9 (2 of 3) in place of 1 to 3.
fn rotated() -> Root {
    let mut roles = roles();
    roles.root = keys(Role::Root, &[7, 8, 9], 2);
    Root::new(2, later(), roles)
}

fn client() -> Trusted {
    Repository::new(1).client()
}

fn refused(file: &str) -> TufError {
    client().update_root(file.as_bytes()).unwrap_err()
}

/// The first root with its `signed` part changed, signed under these ids.
fn root_with(change: impl Fn(&mut Value), signers: &[(u8, &str)]) -> String {
    let mut signed = Repository::new(1).root.to_signed().unwrap();
    change(&mut signed);
    sign_value(&signed, signers)
}

#[test]
fn a_rotated_root_is_taken_when_old_and_new_keys_sign() {
    let mut client = client();
    let file = sign(&rotated(), &[1, 3, 7, 9]);
    client.update_root(file.as_bytes()).unwrap();
    assert_eq!(client.root(), &rotated());
    Repository::new(1).refresh(&mut client).unwrap();
}

#[test]
fn a_root_without_enough_old_keys_is_refused() {
    let error = refused(&sign(&rotated(), &[1, 7, 8, 9]));
    assert_eq!(
        error,
        TufError::Threshold {
            role: Role::Root,
            valid: 1,
            threshold: 2
        }
    );
}

#[test]
fn a_root_without_enough_new_keys_is_refused() {
    let error = refused(&sign(&rotated(), &[1, 2, 3, 7]));
    assert_eq!(error.code(), "tuf.threshold");
}

#[test]
fn a_root_that_skips_repeats_or_goes_back_is_refused() {
    for version in [1, 3, 9] {
        let error = refused(&sign(&Root::new(version, later(), roles()), &[1, 2]));
        assert_eq!(
            error,
            TufError::RootOrder {
                expected: 2,
                found: version
            }
        );
    }
}

#[test]
fn a_shipped_root_must_be_signed_by_its_own_keys() {
    let root = Repository::new(1).root;
    for signers in [&[][..], &[1], &[1, 4], &[7, 8]] {
        let error = Trusted::new(sign(&root, signers).as_bytes()).unwrap_err();
        assert_eq!(error.code(), "tuf.threshold", "{signers:?}");
    }
}

#[test]
fn an_expired_root_leads_to_its_successor_but_not_to_metadata() {
    let mut repository = Repository::new(1);
    repository.root.expires = past();
    let mut client = repository.client();
    let error = repository.refresh(&mut client).unwrap_err();
    assert_eq!(error.code(), "tuf.expired");
    client
        .update_root(sign(&rotated(), &[1, 2, 7, 8]).as_bytes())
        .unwrap();
    repository.refresh(&mut client).unwrap();
}

#[test]
fn one_key_under_two_ids_counts_once() {
    let twice = root_with(
        |signed| {
            signed["keys"]["alias"] = signed["keys"][id(1)].clone();
            signed["roles"]["root"]["keyids"] = json!([id(1), "alias"]);
        },
        &[(1, &id(1)), (1, "alias")],
    );
    let error = Trusted::new(twice.as_bytes()).unwrap_err();
    assert_eq!(
        error,
        TufError::Threshold {
            role: Role::Root,
            valid: 1,
            threshold: 2
        }
    );
}

#[test]
fn a_role_that_names_a_key_twice_is_refused() {
    let twice = root_with(
        |signed| signed["roles"]["root"]["keyids"] = json!([id(1), id(1)]),
        &[(1, &id(1)), (2, &id(2))],
    );
    let error = Trusted::new(twice.as_bytes()).unwrap_err();
    assert_eq!(error.code(), "tuf.malformed");
}

#[test]
fn a_threshold_of_zero_is_refused_when_read_and_when_written() {
    let none = root_with(
        |signed| signed["roles"]["timestamp"]["threshold"] = json!(0),
        &[(1, &id(1)), (2, &id(2))],
    );
    let error = Trusted::new(none.as_bytes()).unwrap_err();
    assert_eq!(error.code(), "tuf.impossible_threshold");
    for threshold in [0, 2] {
        assert!(RoleKeys::new(Role::Root, &[public(1)], threshold).is_err());
    }
    assert!(RoleKeys::new(Role::Root, &[public(1), public(1)], 2).is_err());
}

#[test]
fn a_root_that_lacks_a_role_is_refused() {
    for role in Role::ALL {
        let less = root_with(
            |signed| {
                signed["roles"].as_object_mut().unwrap().remove(role.name());
            },
            &[(1, &id(1)), (2, &id(2))],
        );
        assert!(Trusted::new(less.as_bytes()).is_err(), "{role}");
    }
}

#[test]
fn keys_of_unknown_kind_are_skipped_and_count_for_nothing() {
    let foreign = |signed: &mut Value| {
        signed["keys"]["ed"] =
            json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "00"}});
        signed["keys"]["odd"] = json!({"keytype": 7});
        signed["keys"]["new"] = signed["keys"][id(3)].clone();
        signed["keys"]["new"]["keytype"] = json!("ecdsa2");
        signed["keys"]["pq"] =
            json!({"keytype": "ml-dsa", "scheme": "ml-dsa-65", "keyval": {}, "x": [1]});
        let ids = json!([id(1), id(2), "ed", "odd", "pq", "new", "nowhere"]);
        signed["roles"]["root"]["keyids"] = ids;
    };
    let file = root_with(foreign, &[(1, &id(1)), (2, &id(2)), (3, "ed")]);
    let client = Trusted::new(file.as_bytes()).unwrap();
    assert_eq!(client.root().roles.root.keys().len(), 2);
    let file = root_with(foreign, &[(1, &id(1)), (3, "ed"), (3, "new")]);
    let error = Trusted::new(file.as_bytes()).unwrap_err();
    assert_eq!(error.code(), "tuf.threshold");
}

#[test]
fn the_older_name_of_the_key_type_is_read() {
    let file = root_with(
        |signed| signed["keys"][id(1)]["keytype"] = json!("ecdsa-sha2-nistp384"),
        &[(1, &id(1)), (2, &id(2))],
    );
    assert!(Trusted::new(file.as_bytes()).is_ok());
}

#[test]
fn a_replaced_timestamp_key_lets_a_fast_forwarded_fleet_recover() {
    let mut client = Repository::new(1_000_000).refreshed();
    let mut root = Root::new(2, later(), roles());
    root.roles.timestamp = keys(Role::Timestamp, &[9], 1);
    let repository = Repository::new(2);
    let timestamp = sign(&repository.timestamp, &[9]);

    client.update_root(sign(&root, &[1, 2]).as_bytes()).unwrap();
    client
        .update_timestamp(timestamp.as_bytes(), now())
        .unwrap();
    let snapshot = repository.snapshot_file();
    client.update_snapshot(snapshot.as_bytes(), now()).unwrap();
}

#[test]
fn a_stored_timestamp_of_a_replaced_key_binds_no_more() {
    let mut client = client();
    let mut root = Root::new(2, later(), roles());
    root.roles.timestamp = keys(Role::Timestamp, &[9], 1);
    client.update_root(sign(&root, &[1, 2]).as_bytes()).unwrap();
    let stored = Repository::new(7).timestamp_file();
    assert!(client.remember_timestamp(stored.as_bytes()).is_err());
}

#[test]
fn a_new_root_with_the_same_online_keys_keeps_what_was_seen() {
    let mut client = Repository::new(5).refreshed();
    client
        .update_root(sign(&rotated(), &[1, 2, 7, 8]).as_bytes())
        .unwrap();
    assert!(client.targets().is_none());
    let error = Repository::new(4).refresh(&mut client).unwrap_err();
    assert_eq!(error.code(), "tuf.rollback");
}

#[test]
fn an_endless_root_is_refused() {
    let file = " ".repeat(ROOT_BYTES_MAX) + &Repository::new(1).root_file();
    assert!(Trusted::new(file.as_bytes()).is_err());
}

#[test]
fn a_signature_over_other_metadata_does_not_count() {
    let other = canonical(&rotated()).unwrap();
    let signatures: Vec<(KeyId, Vec<u8>)> = [1, 2, 7, 8]
        .into_iter()
        .map(|number| {
            let key = crate::repository::secret(number);
            (public(number).key_id(), key.sign(&other).unwrap())
        })
        .collect();
    let mut root = rotated();
    root.expires = now();
    let file = assemble(&root, &signatures).unwrap();
    assert_eq!(refused(&file).code(), "tuf.threshold");
}
