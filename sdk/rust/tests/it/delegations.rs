//! Repositories in which delegated roles, not the targets role itself, list what a device installs.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::home::{Home, built, key, signed};
use crate::installs::{V100, V101, installed, run, running};
use crate::refusals::{offering, refused};
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_trust::tuf::{
    DelegatedRole, Delegations, MetaFile, Role, RoleKeys, Scope, Snapshot, TargetInfo, Targets,
    Timestamp as TimestampRole, quoted,
};

/// The key that speaks for every delegated role.
const DELEGATE: u8 = 7;

fn role(name: &str, scope: Scope) -> DelegatedRole {
    let key = key(DELEGATE).public_key().unwrap();
    DelegatedRole {
        name: name.to_owned(),
        keys: RoleKeys::new(Role::Targets, &[key], 1).unwrap(),
        terminating: true,
        scope,
    }
}

fn paths(name: &str, pattern: &str) -> DelegatedRole {
    role(name, Scope::Paths(vec![pattern.to_owned()]))
}

/// Bins for everything: by the first digit of the digest of the path.
fn bins() -> [DelegatedRole; 2] {
    let bin = |name, digits: &str| {
        let digits = digits.chars().map(String::from).collect();
        role(name, Scope::HashPrefixes(digits))
    };
    [bin("bin 0-7", "01234567"), bin("bin 8-f", "89abcdef")]
}

/// Signs what was published anew, so that only these roles list targets: each all of them.
fn delegate(home: &Home, roles: Vec<DelegatedRole>, signer: u8) {
    let version = home.document.serial;
    let expires = Timestamp::from_second(home.now().as_second() + 86_400).unwrap();
    let entry = |(path, bytes): (&String, &Vec<u8>)| {
        let info = TargetInfo::new(bytes.len() as u64, Digest::of(bytes));
        (path.parse().unwrap(), info)
    };
    let listing = Targets {
        version,
        expires,
        targets: home.targets.iter().map(entry).collect(),
        delegations: None,
    };
    let listing = signed(&listing, &[signer]);
    let names: Vec<String> = roles.iter().map(|role| role.name.clone()).collect();
    let top = Targets {
        version,
        expires,
        targets: [].into(),
        delegations: Some(Delegations::new(roles).unwrap()),
    };
    let top = signed(&top, &[home.targets_key]);
    let mut snapshot = Snapshot::new(version, expires, MetaFile::of(version, &top));
    let mut shelf = home.shelf();
    let files = &mut shelf.files;
    for name in names {
        let file = MetaFile::of(version, &listing);
        snapshot.meta.insert(format!("{name}.json"), file);
        let served = format!("metadata/{version}.{}.json", quoted(&name));
        files.insert(served, listing.clone());
    }
    let snapshot = signed(&snapshot, &[3]);
    let timestamp = TimestampRole::new(version, expires, MetaFile::of(version, &snapshot));
    let timestamp = signed(&timestamp, &[home.timestamp_key]);
    files.insert(format!("metadata/{version}.targets.json"), top);
    files.insert(format!("metadata/{version}.snapshot.json"), snapshot);
    files.insert("metadata/timestamp.json".into(), timestamp);
}

#[test]
fn an_update_that_only_delegated_roles_list_is_installed() {
    let all = || {
        let [low, high] = bins();
        vec![paths("releases", "releases/*"), low, high]
    };
    let (mut home, dir, settings) = installed();
    home.release(&built(V101, true), &[&built(V100, true)]);
    home.publish();
    delegate(&home, all(), DELEGATE);
    run(&home, &settings).unwrap();
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.1"));
    let took_the_delta = home
        .shelf()
        .asked
        .iter()
        .any(|asked| asked.contains(".delta"));
    assert!(took_the_delta);
}

#[test]
fn an_update_that_lies_in_hash_bins_is_installed() {
    let (home, dir, settings) = offering();
    delegate(&home, bins().into(), DELEGATE);
    run(&home, &settings).unwrap();
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.1"));
}

#[test]
fn a_package_that_only_a_role_without_a_say_in_it_lists() {
    let (home, _dir, settings) = offering();
    let roles = vec![paths("documents", "channels/*"), paths("other", "tools/*")];
    delegate(&home, roles, DELEGATE);
    refused(&home, &settings, "target_not_listed");
}

#[test]
fn delegated_metadata_that_another_key_signed() {
    let (home, _dir, settings) = offering();
    // The targets key itself does not speak for a role that it delegated to.
    delegate(&home, bins().into(), home.targets_key);
    refused(&home, &settings, "metadata_refused");
}
