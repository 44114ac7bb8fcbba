//! A signed repository to attack: four roles, any of their files rewritten and signed at will.

use kintsugi_domain::Timestamp as Time;
use kintsugi_domain::digest::Digest;
use kintsugi_trust::json;
use kintsugi_trust::key::{PublicKey, SecretKey};
use kintsugi_trust::tuf::{
    MetaFile, Metadata, Role, RoleKeys, Roles, Root, Snapshot, TargetInfo, Targets, Timestamp,
    Trusted, TufError, assemble, canonical,
};
use serde_json::{Value, json};

/// The name of the one target.
pub(crate) const TARGET: &str = "packages/till-1.0.0.tar.zst";

/// A key; the same number gives the same key.
pub(crate) fn secret(number: u8) -> SecretKey {
    SecretKey::from_random(&[number; 48]).unwrap()
}

pub(crate) fn public(number: u8) -> PublicKey {
    secret(number).public_key().unwrap()
}

/// The time of the tests.
pub(crate) fn now() -> Time {
    at("2026-11-21T12:00:00Z")
}

pub(crate) fn at(text: &str) -> Time {
    text.parse().unwrap()
}

/// A day after [`now`].
pub(crate) fn later() -> Time {
    at("2026-11-22T12:00:00Z")
}

/// An hour before [`now`].
pub(crate) fn past() -> Time {
    at("2026-11-21T11:00:00Z")
}

/// Metadata signed by these keys.
pub(crate) fn sign<T: Metadata>(metadata: &T, keys: &[u8]) -> String {
    let bytes = canonical(metadata).unwrap();
    let signatures: Vec<_> = keys
        .iter()
        .map(|number| {
            let id = public(*number).key_id();
            (id, secret(*number).sign(&bytes).unwrap())
        })
        .collect();
    assemble(metadata, &signatures).unwrap()
}

/// Any `signed` part signed by these keys, each under an id of one's choice.
pub(crate) fn sign_value(signed: &Value, keys: &[(u8, &str)]) -> String {
    let bytes = json::canonical(signed).unwrap();
    let signatures: Vec<_> = keys
        .iter()
        .map(|(number, id)| {
            json!({"keyid": id, "sig": hex::encode(secret(*number).sign(&bytes).unwrap())})
        })
        .collect();
    json!({"signed": signed, "signatures": signatures}).to_string()
}

/// The files of a repository, and what they were made from.
pub(crate) struct Repository {
    pub(crate) root: Root,
    pub(crate) targets: Targets,
    pub(crate) snapshot: Snapshot,
    pub(crate) timestamp: Timestamp,
}

/// Keys 1 to 3 are the root's (2 of 3), 4 speaks for targets, 5 for snapshot, 6 for timestamp.
pub(crate) fn roles() -> Roles {
    let keys = |role, numbers: &[u8], threshold| {
        let keys: Vec<_> = numbers.iter().map(|number| public(*number)).collect();
        RoleKeys::new(role, &keys, threshold).unwrap()
    };
    Roles {
        root: keys(Role::Root, &[1, 2, 3], 2),
        targets: keys(Role::Targets, &[4], 1),
        snapshot: keys(Role::Snapshot, &[5], 1),
        timestamp: keys(Role::Timestamp, &[6], 1),
    }
}

impl Repository {
    /// Every role at that version, fresh until [`later`].
    pub(crate) fn new(version: u64) -> Self {
        let info = TargetInfo::new(7, Digest::of(b"content"));
        let targets = Targets {
            version,
            expires: later(),
            targets: [(TARGET.parse().unwrap(), info)].into(),
            delegations: None,
        };
        Self::with_targets(version, targets)
    }

    pub(crate) fn with_targets(version: u64, targets: Targets) -> Self {
        let file = MetaFile::of(targets.version, sign(&targets, &[4]).as_bytes());
        Self::with_snapshot(version, targets, Snapshot::new(version, later(), file))
    }

    pub(crate) fn with_snapshot(version: u64, targets: Targets, snapshot: Snapshot) -> Self {
        let file = MetaFile::of(snapshot.version, sign(&snapshot, &[5]).as_bytes());
        Self {
            root: Root::new(1, later(), roles()),
            targets,
            snapshot,
            timestamp: Timestamp::new(version, later(), file),
        }
    }

    pub(crate) fn root_file(&self) -> String {
        sign(&self.root, &[1, 2])
    }

    pub(crate) fn targets_file(&self) -> String {
        sign(&self.targets, &[4])
    }

    pub(crate) fn snapshot_file(&self) -> String {
        sign(&self.snapshot, &[5])
    }

    pub(crate) fn timestamp_file(&self) -> String {
        sign(&self.timestamp, &[6])
    }

    /// A client that trusts the root and nothing else yet.
    pub(crate) fn client(&self) -> Trusted {
        Trusted::new(self.root_file().as_bytes()).unwrap()
    }

    /// A client after a whole refresh.
    pub(crate) fn refreshed(&self) -> Trusted {
        let mut client = self.client();
        self.refresh(&mut client).unwrap();
        client
    }

    /// A whole refresh.
    pub(crate) fn refresh(&self, client: &mut Trusted) -> Result<(), TufError> {
        client.update_timestamp(self.timestamp_file().as_bytes(), now())?;
        client.update_snapshot(self.snapshot_file().as_bytes(), now())?;
        client.update_targets(self.targets_file().as_bytes(), now())
    }
}
