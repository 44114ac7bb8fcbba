//! What is served, seen by a client that saw everything that was served before.

use super::mirror::{Check, Mirror, Violation, must, violated};
use super::world::{CHANNEL, PROJECT, World, at_once};
use kintsugi_domain::Timestamp;
use kintsugi_domain::channel::{ChannelDocument, Grant, Head};
use kintsugi_domain::ports::Blobs;
use kintsugi_domain::release::ReleaseState;
use kintsugi_trust::statement::{
    ReleaseExpectation, ReleaseStatement, RollbackExpectation, RollbackGrant,
};
use kintsugi_trust::tuf::{Role, TargetPath, Trusted, TufError};
use semver::Version;
use std::collections::BTreeSet;
use std::rc::Rc;

/// The client that misses nothing.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    trusted: Option<Trusted>,
    /// Version of the timestamp it saw last.
    seen: u64,
    /// Every document that was served, oldest first.
    pub(super) documents: Vec<Rc<ChannelDocument>>,
    /// Versions that were served as revoked.
    revoked: BTreeSet<Version>,
    /// Statements and grants whose signatures were checked.
    checked: BTreeSet<String>,
}

const VERIFIES: &str = "what is served verifies";

fn refused<T>(what: &str, error: impl std::fmt::Display) -> Check<T> {
    violated(VERIFIES, format!("{what}: {error}"))
}

fn blob(world: &World, key: &str) -> Check<Vec<u8>> {
    match at_once(world.blobs.get(key, usize::MAX)) {
        Ok(Some(content)) => Ok(content),
        Ok(None) => refused(key, "it is not stored"),
        Err(error) => refused(key, error),
    }
}

fn metadata(world: &World, name: &str) -> Check<Vec<u8>> {
    blob(world, &format!("tuf/{PROJECT}/metadata/{name}"))
}

impl Watcher {
    /// Looks at what is served, if it is new.
    pub(super) fn look(&mut self, world: &World, mirror: &Mirror) -> Check {
        let Some(head) = mirror.head.as_ref().filter(|it| it.timestamp > self.seen) else {
            return Ok(());
        };
        let now = world.now();
        if world.signs() && !self.refresh(world, head, now)? {
            return Ok(());
        }
        self.seen = head.timestamp;
        let Some(document) = document(world, head, self.trusted.as_ref())? else {
            return Ok(());
        };
        self.check(mirror, &document, now)?;
        let is_new = self.documents.last().is_none_or(|last| **last != document);
        if is_new {
            self.documents.push(Rc::new(document));
        }
        Ok(())
    }

    /// Takes the metadata that is served, as every updater does. False where it expired before it was served.
    fn refresh(&mut self, world: &World, head: &Head, now: Timestamp) -> Check<bool> {
        let mut trusted = match self.trusted.take() {
            Some(trusted) => trusted,
            None => Trusted::new(&metadata(world, "1.root.json")?)
                .or_else(|error| refused("1.root.json", error))?,
        };
        while trusted.root().version < head.root {
            let next = metadata(world, &trusted.next_root().name)?;
            let taken = trusted.update_root(&next);
            taken.or_else(|error| refused("the next root", error))?;
        }
        let taken = refresh(world, head, &mut trusted, now);
        self.trusted = Some(trusted);
        match taken {
            Ok(()) => Ok(true),
            // Signed long before it was committed.
            Err(Refresh::Expired) => Ok(false),
            Err(Refresh::Wrong(error)) => Err(error),
        }
    }

    fn check(&mut self, mirror: &Mirror, document: &ChannelDocument, now: Timestamp) -> Check {
        if let Some(last) = self.documents.last() {
            let next = if **last == *document {
                last.serial
            } else {
                last.serial + 1
            };
            must(document.serial == next, "serials grow by one", || {
                format!("{} after {}", document.serial, last.serial)
            })?;
        }
        for version in &self.revoked {
            must(
                document.revoked.contains(version),
                "what was revoked stays revoked",
                || version.to_string(),
            )?;
        }
        self.revoked.extend(document.revoked.iter().cloned());
        for listed in &document.releases {
            let version = &listed.version;
            let state = mirror
                .releases
                .values()
                .find(|it| it.version == *version)
                .map(|it| it.state);
            // Called back a moment ago: its own publication follows.
            let signed = matches!(state, Some(ReleaseState::Published | ReleaseState::Revoked));
            must(
                signed && !document.revoked.contains(version),
                "never a manifest for an unsigned or revoked release",
                || format!("version {version} is {state:?}"),
            )?;
            for package in &listed.packages {
                must(!package.statement.is_empty(), VERIFIES, || {
                    format!("version {version} has no statement")
                })?;
                if self.trusted.is_some() {
                    self.check_statement(document, version, package, now)?;
                }
            }
        }
        for grant in &document.grants {
            self.check_grant(grant, now)?;
        }
        Ok(())
    }

    fn check_statement(
        &mut self,
        document: &ChannelDocument,
        version: &Version,
        package: &kintsugi_domain::channel::Package,
        now: Timestamp,
    ) -> Check {
        if !self.checked.insert(package.statement.clone()) {
            return Ok(());
        }
        let expected = ReleaseExpectation {
            project: PROJECT,
            app: &document.app,
            channel: CHANNEL,
            platform: "linux",
            arch: "x86_64",
            version,
        };
        let taken = ReleaseStatement::verify(&package.statement, |kid| self.key(kid)).and_then(
            |statement| {
                statement.check(&expected, now)?;
                statement.check_package(package)
            },
        );
        taken.or_else(|error| refused(&format!("statement of {version}"), error))
    }

    /// Whether a device may take this way down.
    pub(super) fn check_grant(&mut self, grant: &Grant, now: Timestamp) -> Check {
        if self.trusted.is_none() || !self.checked.insert(grant.statement.clone()) {
            return must(
                !grant.statement.is_empty(),
                "never a downgrade without a signed rollback",
                || format!("{} to {}", grant.from, grant.to),
            );
        }
        let expected = RollbackExpectation {
            project: PROJECT,
            app: "till",
            channel: CHANNEL,
            from: &grant.from,
            to: &grant.to,
        };
        let taken = RollbackGrant::verify(&grant.statement, |kid| self.key(kid))
            .and_then(|signed| signed.check(&expected, now));
        taken.or_else(|error| {
            let detail = format!("{} to {}: {error}", grant.from, grant.to);
            violated("never a downgrade without a signed rollback", detail)
        })
    }

    fn key(&self, kid: &str) -> Option<kintsugi_trust::key::PublicKey> {
        self.trusted.as_ref()?.key(Role::Targets, kid).cloned()
    }
}

/// Why a refresh did not come to its end.
enum Refresh {
    Expired,
    Wrong(Violation),
}

fn refresh(
    world: &World,
    head: &Head,
    trusted: &mut Trusted,
    now: Timestamp,
) -> Result<(), Refresh> {
    let wrong = |what: &str, error: TufError| {
        if let TufError::Expired { .. } = error {
            return Refresh::Expired;
        }
        Refresh::Wrong(Violation {
            invariant: VERIFIES,
            detail: format!("{what}: {error}"),
        })
    };
    let timestamp = head.timestamp_body.as_bytes();
    trusted
        .update_timestamp(timestamp, now)
        .map_err(|error| wrong("timestamp", error))?;
    let next = trusted
        .next_snapshot()
        .map_err(|error| wrong("snapshot", error))?;
    let text = metadata(world, &next.name).map_err(Refresh::Wrong)?;
    trusted
        .update_snapshot(&text, now)
        .map_err(|error| wrong("snapshot", error))?;
    let next = trusted
        .next_targets()
        .map_err(|error| wrong("targets", error))?;
    let text = metadata(world, &next.name).map_err(Refresh::Wrong)?;
    trusted
        .update_targets(&text, now)
        .map_err(|error| wrong("targets", error))?;
    Ok(())
}

/// The document that the repository names; every file it lists must be stored.
fn document(
    world: &World,
    head: &Head,
    trusted: Option<&Trusted>,
) -> Check<Option<ChannelDocument>> {
    let Some((key, serial)) = head.documents.get(CHANNEL) else {
        return Ok(None);
    };
    if let Some(trusted) = trusted {
        check_targets(world, key, trusted)?;
    }
    let content = blob(world, key)?;
    let document: ChannelDocument =
        serde_json::from_slice(&content).or_else(|error| refused(key, error))?;
    must(document.serial == *serial, VERIFIES, || key.clone())?;
    Ok(Some(document))
}

fn check_targets(world: &World, key: &str, trusted: &Trusted) -> Check {
    for (path, info) in trusted.targets().into_iter().flat_map(|it| &it.targets) {
        let name = trusted.name_of(path, info);
        let length = at_once(world.blobs.length(&format!("tuf/{PROJECT}/targets/{name}")));
        must(length.ok().flatten() == Some(info.length), VERIFIES, || {
            format!("target {name} is not stored as listed")
        })?;
    }
    let path: TargetPath = format!("channels/{CHANNEL}.json").parse().unwrap();
    let name = trusted.target_name(&path).unwrap_or_default();
    must(
        key == format!("tuf/{PROJECT}/targets/{name}"),
        VERIFIES,
        || format!("the head names {key}, the targets name {name}"),
    )
}
