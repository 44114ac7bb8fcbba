//! The client workflow (TUF specification §5) as a state machine: the caller fetches and stores, this
//! decides what is trusted.
//!
//! One refresh: [`Trusted::new`] with the shipped or last stored root; [`Trusted::update_root`] with
//! each next root until there is none; [`Trusted::remember_timestamp`] and
//! [`Trusted::remember_snapshot`] with what was stored at the last refresh; then
//! [`Trusted::update_timestamp`], [`Trusted::update_snapshot`] and [`Trusted::update_targets`] with what
//! was fetched, or with a stored file where it is the wanted one. Store each file that was taken; where a root
//! [replaces the online keys](Root::replaces_online_keys), delete the stored timestamp and snapshot first. Then
//! [`Trusted::search`] finds targets, also those that only a delegated role lists.

use crate::key::PublicKey;
use crate::tuf::envelope::File;
use crate::tuf::search::Search;
use crate::tuf::{
    MetaFile, Metadata, ROOT_BYTES_MAX, ROOT_UPDATES_MAX, Role, Root, Snapshot,
    TIMESTAMP_BYTES_MAX, TargetInfo, TargetPath, Targets, Timestamp, TufError, file_name,
};
use kintsugi_domain::Timestamp as Time;
use kintsugi_domain::limits::METADATA_BYTES_MAX;
use std::collections::BTreeMap;

/// What is trusted so far. **A failed step changes nothing.**
#[derive(Debug, Clone)]
pub struct Trusted {
    pub(super) root: Root,
    root_updates: u32,
    /// The newest timestamp and snapshot ever trusted: nothing may go below them.
    seen_timestamp: Option<Timestamp>,
    seen_snapshot: Option<Snapshot>,
    /// What this refresh has reached. Each is there only if the ones before it are.
    timestamp: Option<Timestamp>,
    snapshot: Option<Snapshot>,
    targets: Option<Targets>,
}

/// Whether a timestamp brought something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is newer than what was trusted: store it.
    New,
    /// It has the version that was trusted before, which stays.
    Same,
}

/// A metadata file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name in the metadata folder.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// Stop reading after so many bytes.
    pub bytes_max: u64,
}

impl Trusted {
    /// Starts from a root that is trusted because it was shipped or stored. It must be signed by its
    /// own keys; that it may have expired is judged after its successors were asked for.
    pub fn new(root: &[u8]) -> Result<Self, TufError> {
        let file = File::<Root>::read(root, ROOT_BYTES_MAX)?;
        let root = file.metadata()?;
        file.check(Role::Root, &root.roles.root)?;
        Ok(Self {
            root,
            root_updates: 0,
            seen_timestamp: None,
            seen_snapshot: None,
            timestamp: None,
            snapshot: None,
            targets: None,
        })
    }

    /// The root after the trusted one, if there is one: ask until the server has none.
    pub fn next_root(&self) -> Wanted {
        let version = self.root.version.saturating_add(1);
        Wanted {
            name: file_name(Role::Root, version),
            version,
            bytes_max: ROOT_BYTES_MAX as u64,
        }
    }

    /// Takes the next root (§5.3): signed by the old keys and by its own, one version up.
    pub fn update_root(&mut self, text: &[u8]) -> Result<(), TufError> {
        if self.root_updates >= ROOT_UPDATES_MAX {
            return Err(TufError::TooManyRoots);
        }
        let file = File::<Root>::read(text, ROOT_BYTES_MAX)?;
        file.check(Role::Root, &self.root.roles.root)?;
        let next = file.metadata()?;
        file.check(Role::Root, &next.roles.root)?;
        let expected = self.root.version.saturating_add(1);
        if next.version != expected {
            return Err(TufError::RootOrder {
                expected,
                found: next.version,
            });
        }
        // Fast-forward recovery (§5.3.11): where an online key was replaced, the versions it reached
        // may be an attacker's, so they bind no more.
        if next.replaces_online_keys(&self.root) {
            self.seen_timestamp = None;
            self.seen_snapshot = None;
        }
        self.forget_refresh();
        self.root = next;
        self.root_updates += 1;
        Ok(())
    }

    /// Gives back the timestamp of the last refresh, so that nothing goes below it. It may have expired.
    /// An error means that it binds no more, for one because its key was replaced.
    pub fn remember_timestamp(&mut self, text: &[u8]) -> Result<(), TufError> {
        let known: Timestamp = self.read(text, TIMESTAMP_BYTES_MAX)?;
        listed(&known.meta, "snapshot.json", Role::Timestamp)?;
        self.seen_timestamp = Some(known);
        Ok(())
    }

    /// Gives back the snapshot of the last refresh, so that nothing goes below it. It may have expired.
    pub fn remember_snapshot(&mut self, text: &[u8]) -> Result<(), TufError> {
        self.seen_snapshot = Some(self.read(text, METADATA_BYTES_MAX)?);
        Ok(())
    }

    /// Takes the timestamp (§5.4). Starts the refresh anew: snapshot and targets must follow.
    pub fn update_timestamp(&mut self, text: &[u8], now: Time) -> Result<Change, TufError> {
        check_expiry(&self.root, now)?;
        let offered: Timestamp = self.read(text, TIMESTAMP_BYTES_MAX)?;
        let snapshot = listed(&offered.meta, "snapshot.json", Role::Timestamp)?;
        let (change, current) = match &self.seen_timestamp {
            Some(seen) if offered.version < seen.version => {
                return Err(TufError::Rollback {
                    what: "timestamp.json".to_owned(),
                    trusted: seen.version,
                    found: offered.version,
                });
            }
            Some(seen) if offered.version == seen.version => (Change::Same, seen.clone()),
            Some(seen) => {
                let seen = listed(&seen.meta, "snapshot.json", Role::Timestamp)?;
                check_not_below("snapshot.json", seen.version, snapshot.version)?;
                (Change::New, offered)
            }
            None => (Change::New, offered),
        };
        check_expiry(&current, now)?;
        self.forget_refresh();
        self.seen_timestamp = Some(current.clone());
        self.timestamp = Some(current);
        Ok(change)
    }

    /// The snapshot that the timestamp names.
    pub fn next_snapshot(&self) -> Result<Wanted, TufError> {
        let listing = self.snapshot_listing()?;
        Ok(wanted(&self.root, Role::Snapshot.name(), listing))
    }

    /// Takes the snapshot (§5.5).
    pub fn update_snapshot(&mut self, text: &[u8], now: Time) -> Result<(), TufError> {
        let listing = self.snapshot_listing()?;
        check_content(Role::Snapshot, listing, text)?;
        let offered: Snapshot = self.read(text, METADATA_BYTES_MAX)?;
        check_version(Role::Snapshot, listing, offered.version)?;
        for (name, seen) in self.seen_snapshot.iter().flat_map(|seen| &seen.meta) {
            let found = offered.meta.get(name).map_or(0, |file| file.version);
            check_not_below(name, seen.version, found)?;
        }
        listed(&offered.meta, "targets.json", Role::Snapshot)?;
        check_expiry(&offered, now)?;
        self.targets = None;
        self.seen_snapshot = Some(offered.clone());
        self.snapshot = Some(offered);
        Ok(())
    }

    /// The targets metadata that the snapshot names.
    pub fn next_targets(&self) -> Result<Wanted, TufError> {
        let listing = self.targets_listing()?;
        Ok(wanted(&self.root, Role::Targets.name(), listing))
    }

    /// Takes the targets metadata (§5.6).
    pub fn update_targets(&mut self, text: &[u8], now: Time) -> Result<(), TufError> {
        let listing = self.targets_listing()?;
        check_content(Role::Targets, listing, text)?;
        let offered: Targets = self.read(text, METADATA_BYTES_MAX)?;
        check_version(Role::Targets, listing, offered.version)?;
        check_expiry(&offered, now)?;
        self.targets = Some(offered);
        Ok(())
    }

    /// Begins the search for a target, which delegated roles may list. The refresh must be complete.
    pub fn search(&self, path: &TargetPath) -> Result<Search, TufError> {
        let targets = self.targets.as_ref().ok_or(TufError::OutOfOrder {
            needs: Role::Targets,
        })?;
        Ok(Search::new(path, targets))
    }

    /// What the top-level targets metadata says of a target; nothing before the refresh is complete.
    pub fn target(&self, path: &TargetPath) -> Option<&TargetInfo> {
        self.targets.as_ref()?.targets.get(path)
    }

    /// The name under which the repository serves a target, below its targets folder.
    pub fn target_name(&self, path: &TargetPath) -> Option<String> {
        Some(self.name_of(path, self.target(path)?))
    }

    /// The name under which the repository serves a target that was found, below its targets folder.
    pub fn name_of(&self, path: &TargetPath, info: &TargetInfo) -> String {
        match info.hashes.prefix() {
            Some(digest) if self.root.consistent_snapshot => path.hashed_name(&digest),
            Some(_) | None => path.to_string(),
        }
    }

    /// A key on P-384 that the trusted root names for a role, by its id: the `keys` of statements are those of
    /// [`Role::Targets`]. One key is enough for a statement, whatever the role's threshold is.
    pub fn key(&self, role: Role, id: &str) -> Option<&PublicKey> {
        self.root.roles.of(role).keys().get(id)?.p384()
    }

    /// The trusted root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The timestamp of this refresh.
    pub fn timestamp(&self) -> Option<&Timestamp> {
        self.timestamp.as_ref()
    }

    /// The snapshot of this refresh.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// The targets metadata of this refresh.
    pub fn targets(&self) -> Option<&Targets> {
        self.targets.as_ref()
    }

    /// Reads metadata that the trusted root's keys signed.
    fn read<T: Metadata>(&self, text: &[u8], bytes_max: usize) -> Result<T, TufError> {
        let file = File::<T>::read(text, bytes_max)?;
        file.check(T::ROLE, self.root.roles.of(T::ROLE))?;
        file.metadata()
    }

    fn forget_refresh(&mut self) {
        self.timestamp = None;
        self.snapshot = None;
        self.targets = None;
    }

    fn snapshot_listing(&self) -> Result<&MetaFile, TufError> {
        let timestamp = self.timestamp.as_ref().ok_or(TufError::OutOfOrder {
            needs: Role::Timestamp,
        })?;
        listed(&timestamp.meta, "snapshot.json", Role::Timestamp)
    }

    fn targets_listing(&self) -> Result<&MetaFile, TufError> {
        listed(
            &self.snapshot_of_refresh()?.meta,
            "targets.json",
            Role::Snapshot,
        )
    }

    pub(super) fn snapshot_of_refresh(&self) -> Result<&Snapshot, TufError> {
        self.snapshot.as_ref().ok_or(TufError::OutOfOrder {
            needs: Role::Snapshot,
        })
    }
}

/// A listed file of a role, whose name is written as one part of an address.
pub(super) fn wanted(root: &Root, role: &str, listing: &MetaFile) -> Wanted {
    let bytes_max = METADATA_BYTES_MAX as u64;
    Wanted {
        name: if root.consistent_snapshot {
            format!("{}.{role}.json", listing.version)
        } else {
            format!("{role}.json")
        },
        version: listing.version,
        bytes_max: listing.length.map_or(bytes_max, |n| n.min(bytes_max)),
    }
}

/// The entry of a listing that must be there.
pub(super) fn listed<'a>(
    meta: &'a BTreeMap<String, MetaFile>,
    name: &str,
    by: Role,
) -> Result<&'a MetaFile, TufError> {
    meta.get(name).ok_or_else(|| TufError::Malformed {
        role: by,
        why: format!("{name} is not listed"),
    })
}

pub(super) fn check_expiry<T: Metadata>(metadata: &T, now: Time) -> Result<(), TufError> {
    if metadata.expires() > now {
        Ok(())
    } else {
        Err(TufError::Expired {
            role: T::ROLE,
            expires: metadata.expires(),
        })
    }
}

fn check_not_below(what: &str, trusted: u64, found: u64) -> Result<(), TufError> {
    if found >= trusted {
        Ok(())
    } else {
        Err(TufError::Rollback {
            what: what.to_owned(),
            trusted,
            found,
        })
    }
}

/// Mix and match: the file must be the one that was listed, before any of it is read.
pub(super) fn check_content(role: Role, listing: &MetaFile, text: &[u8]) -> Result<(), TufError> {
    let found = text.len() as u64;
    if let Some(listed) = listing.length
        && listed != found
    {
        return Err(TufError::LengthMismatch {
            role,
            listed,
            found,
        });
    }
    match &listing.hashes {
        Some(hashes) if !hashes.fit(text) => Err(TufError::DigestMismatch { role }),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn check_version(role: Role, listing: &MetaFile, found: u64) -> Result<(), TufError> {
    if listing.version == found {
        Ok(())
    } else {
        Err(TufError::VersionMismatch {
            role,
            listed: listing.version,
            found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;
    use crate::tuf::{RoleKeys, Roles, assemble, canonical};

    #[test]
    fn an_endless_chain_of_roots_ends() {
        let key = SecretKey::from_random(&[1; 48]).unwrap();
        let public = key.public_key().unwrap();
        let keys = RoleKeys::new(Role::Root, std::slice::from_ref(&public), 1).unwrap();
        let roles = Roles {
            root: keys.clone(),
            targets: keys.clone(),
            snapshot: keys.clone(),
            timestamp: keys,
        };
        let file = |version| {
            let root = Root::new(version, Time::UNIX_EPOCH, roles.clone());
            let der = key.sign(&canonical(&root).unwrap()).unwrap();
            assemble(&root, &[(public.key_id(), der)]).unwrap()
        };
        let mut client = Trusted::new(file(1).as_bytes()).unwrap();
        client.root_updates = ROOT_UPDATES_MAX - 1;
        client.update_root(file(2).as_bytes()).unwrap();
        let error = client.update_root(file(3).as_bytes()).unwrap_err();
        assert_eq!(error, TufError::TooManyRoots);
    }
}
