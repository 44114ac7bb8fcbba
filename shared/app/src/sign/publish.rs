//! One publication of a project's repository.

use super::document::{document, listed, target_path};
use super::metadata::{online_key, signed};
use super::provenance::signed_anew;
use super::root::NextRoot;
use super::rotated::is_by_another;
use super::{STATEMENT_LIFE, Sign, grant_by, is_due};
use crate::records;
use crate::stage::Done;
use jiff::SignedDuration;
use kintsugi_domain::Timestamp;
use kintsugi_domain::channel::{ChannelDocument, Head};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::METADATA_BYTES_MAX;
use kintsugi_domain::ports::{Commit, KeyUse, PortError};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::Stored;
use kintsugi_domain::release::{Release, Statement};
use kintsugi_domain::rollout::Rollout;
use kintsugi_domain::signing::Signing;
use kintsugi_trust::tuf::{
    MetaFile, Metadata, Role, Snapshot, TargetInfo, TargetPath, Targets, Timestamp as TufTimestamp,
    file_name,
};
use std::collections::{BTreeMap, BTreeSet};

const TIMESTAMP_LIFE: SignedDuration = SignedDuration::from_hours(24);
const SNAPSHOT_LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);
const TARGETS_LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
pub(super) const ROOT_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Most publications in one go: a new key takes two, a root that was brought as many.
const ROUNDS_MAX: usize = 4;
/// Statements, and grants, signed anew in one publication; the rest wait for the next.
const RENEWALS_MAX: usize = 40;

/// A channel document and the text it was or will be stored as.
struct Page {
    document: ChannelDocument,
    text: String,
    is_new: bool,
}

impl Sign {
    /// Publishes what the records say now, and goes on as long as something that was ordered takes another publication. Each of
    /// them ends with a complete repository.
    pub(super) async fn publish(&self, id: ProjectId) -> Result<Done, PortError> {
        let (mut done, mut more) = self.publish_once(id).await?;
        for _ in 1..ROUNDS_MAX {
            if !more {
                break;
            }
            let (next, again) = self.publish_once(id).await?;
            more = again;
            match next {
                Done::Did(_) => done = next,
                Done::Nothing(_) => break,
            }
        }
        Ok(done)
    }

    /// One publication of what the records say now, if that differs from what is served, something served
    /// expires soon, or keys changed; and whether another one has to follow. The head is read first: what changes while this
    /// runs has its own message, and of two publications at once the later one to commit looks again.
    pub(super) async fn publish_once(&self, id: ProjectId) -> Result<(Done, bool), PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let Some(project) = records::project(store, id).await? else {
            return Ok((Done::nothing("the project does not exist"), false));
        };
        let project = project.value;
        let mut head = self.head(id).await?;
        let skips = self.skip(&mut head.value).await?;
        let mut due = due(&head.value, at);
        let is_old = due.contains(&Role::Root);
        due.retain(|role| *role != Role::Root);
        let plan = self.plan_root(&mut head.value, id, is_old).await?;
        let takes_root = !matches!(plan.next, NextRoot::Stays);
        // The number first, so that files of a publication that is cut off are never taken for another's.
        if takes_root {
            self.claim(&mut head).await?;
            self.take_root(&mut head.value, plan.next).await?;
        }
        let mut releases = records::all::<Release>(store, id, None).await?;
        let mut rollouts = records::all::<Rollout>(store, id, None).await?;
        let by = (head.value.signing.targets.in_force, skips);
        let renewed = self
            .renew(&project, by, &mut releases, &mut rollouts)
            .await?;
        let releases: Vec<Release> = releases.into_iter().map(|it| it.value).collect();
        let rollouts: Vec<Rollout> = rollouts.into_iter().map(|it| it.value).collect();
        let records = (releases.as_slice(), rollouts.as_slice());
        let pages = self.pages(&project, &head.value, records, skips).await?;
        let changed = pages.values().any(|page| page.is_new);
        due.extend(self.signed_by_all(&head.value, id).await?);
        if !changed && !takes_root && due.is_empty() {
            let mut commit = self.tell(Commit::new(), plan.alerts).await?;
            if plan.changed {
                commit = commit.update(&head);
            }
            if !commit.writes.is_empty() {
                store.commit(commit).await?;
            }
            let done = Done::nothing("what is served is what the records say");
            return Ok((done, false));
        }
        if !takes_root {
            self.claim(&mut head).await?;
        }
        let targets = changed || due.contains(&Role::Targets);
        if targets {
            self.write_targets(&mut head.value, &pages, &releases)
                .await?;
        }
        if targets || due.contains(&Role::Snapshot) {
            self.write_snapshot(&mut head.value).await?;
        }
        self.write_timestamp(&mut head.value).await?;
        if skips {
            head.value.signing.skip = None;
        }
        let commit = self.tell(renewed.update(&head), plan.alerts).await?;
        store.commit(commit).await?;
        let serials: Vec<String> = pages
            .iter()
            .map(|(channel, page)| format!("{channel} {}", page.document.serial))
            .collect();
        let done = Done::did(format!("published {}", serials.join(", ")));
        Ok((done, plan.more))
    }

    /// The head of the repository; on first use the repository is founded.
    async fn head(&self, id: ProjectId) -> Result<Stored<Head>, PortError> {
        let store = self.ports.store.as_ref();
        if let Some(head) = records::get::<Head>(store, id, "head").await? {
            return Ok(head);
        }
        let past = Timestamp::UNIX_EPOCH;
        let mut head = Head {
            project: id,
            claimed: 0,
            root: 0,
            targets: 0,
            snapshot: 0,
            timestamp: 0,
            timestamp_body: String::new(),
            root_expires: past,
            targets_expires: past,
            snapshot_expires: past,
            expires: past,
            documents: BTreeMap::new(),
            signing: Signing::default(),
        };
        self.write_root(&mut head, false).await?;
        store.commit(Commit::new().create(&head)).await?;
        Ok(Stored {
            value: head,
            version: 1,
        })
    }

    /// Takes the next version number for this publication alone.
    async fn claim(&self, head: &mut Stored<Head>) -> Result<(), PortError> {
        head.value.claimed += 1;
        self.ports.store.commit(Commit::new().update(head)).await?;
        head.version += 1;
        Ok(())
    }

    /// Signs statements and grants anew that expire soon or that another key signed, or all of them; the commit stores them.
    async fn renew(
        &self,
        project: &Project,
        (generation, all): (u32, bool),
        releases: &mut [Stored<Release>],
        rollouts: &mut [Stored<Rollout>],
    ) -> Result<Commit, PortError> {
        let mut commit = Commit::new();
        let own = online_key(&self.ports, project.id, KeyUse::Targets(generation)).await?;
        let is_due = |statement: &Option<Statement>| {
            statement.as_ref().is_some_and(|it| {
                let is_old = is_due(it.expires, STATEMENT_LIFE, self.ports.now());
                all || is_old || is_by_another(it, &own)
            })
        };
        let old = releases.iter_mut().filter(|it| is_due(&it.value.statement));
        for release in old.take(RENEWALS_MAX) {
            let statement = release.value.statement.as_ref();
            if statement.is_some_and(|it| is_by_another(it, &own)) {
                let anew = signed_anew(&self.ports, project, &release.value, generation);
                release.value.provenance = anew.await?.or(release.value.provenance.take());
            }
            let statement = self.statement(project, &release.value, generation);
            release.value.statement = Some(statement.await?);
            commit = commit.update(release);
        }
        let old = rollouts.iter_mut().filter(|it| is_due(&it.value.grant));
        for rollout in old.take(RENEWALS_MAX) {
            let grant = grant_by(&self.ports, project, &rollout.value, generation);
            rollout.value.grant = grant.await?;
            commit = commit.update(rollout);
        }
        Ok(commit)
    }

    /// The documents of all channels: the stored one where it still says what the records say. After a restore their numbers go
    /// above every one that was given out, which the number of the publication is.
    async fn pages(
        &self,
        project: &Project,
        head: &Head,
        (releases, rollouts): (&[Release], &[Rollout]),
        skips: bool,
    ) -> Result<BTreeMap<String, Page>, PortError> {
        let mut channels: BTreeSet<&str> = releases.iter().map(|it| it.channel.as_str()).collect();
        channels.insert(&project.config.trains.channel);
        let mut pages = BTreeMap::new();
        let floor = if skips { head.claimed } else { 0 };
        for channel in channels {
            let records = (releases, rollouts);
            let stored = self.stored_page(head, channel).await?;
            let page = match stored {
                Some((served, text)) => {
                    let same = (served.serial, served.issued_at);
                    if !skips && document(project, channel, records, same)? == served {
                        Page {
                            document: served,
                            text,
                            is_new: false,
                        }
                    } else {
                        let next = (served.serial.max(floor) + 1, self.ports.now());
                        Page::new(document(project, channel, records, next)?)
                    }
                }
                None => Page::new(document(
                    project,
                    channel,
                    records,
                    (floor + 1, self.ports.now()),
                )?),
            };
            pages.insert(channel.to_owned(), page);
        }
        Ok(pages)
    }

    async fn stored_page(
        &self,
        head: &Head,
        channel: &str,
    ) -> Result<Option<(ChannelDocument, String)>, PortError> {
        let Some((key, _)) = head.documents.get(channel) else {
            return Ok(None);
        };
        let broken =
            |why: &dyn std::fmt::Display| PortError::broken(format!("document {key}"), why);
        let Some(content) = self.ports.blobs.get(key, METADATA_BYTES_MAX).await? else {
            return Err(broken(&"the head names it, and it is not stored"));
        };
        let text = String::from_utf8(content).map_err(|error| broken(&error))?;
        let document = serde_json::from_str(&text).map_err(|error| broken(&error))?;
        Ok(Some((document, text)))
    }

    async fn write_targets(
        &self,
        head: &mut Head,
        pages: &BTreeMap<String, Page>,
        releases: &[Release],
    ) -> Result<(), PortError> {
        let id = head.project;
        let mut targets = BTreeMap::new();
        let mut list = |path: String, digest, length| {
            let info = TargetInfo::new(length, digest);
            let path: TargetPath = path
                .parse()
                .map_err(|error| PortError::broken("targets metadata", error))?;
            let name = path.hashed_name(&digest);
            targets.insert(path, info);
            Ok::<_, PortError>(name)
        };
        for (channel, page) in pages {
            for release in listed(releases, channel) {
                for artifact in release.built.artifacts().chain(&release.provenance) {
                    list(target_path(id, artifact)?, artifact.digest, artifact.length)?;
                }
            }
            let digest = Digest::of(page.text.as_bytes());
            let path = format!("channels/{channel}.json");
            let name = list(path, digest, page.text.len() as u64)?;
            let key = format!("tuf/{id}/targets/{name}");
            if page.is_new {
                let content = page.text.clone().into_bytes();
                self.ports.blobs.put(&key, content).await?;
            }
            let entry = (key, page.document.serial);
            head.documents.insert(channel.clone(), entry);
        }
        head.targets = head.claimed;
        head.targets_expires = self.ports.now() + TARGETS_LIFE;
        let metadata = Targets {
            version: head.targets,
            expires: head.targets_expires,
            targets,
            delegations: None,
        };
        self.write(head, head.targets, &metadata).await?;
        Ok(())
    }

    async fn write_snapshot(&self, head: &mut Head) -> Result<(), PortError> {
        let targets = self.meta(head.project, Role::Targets, head.targets).await?;
        head.snapshot = head.claimed;
        head.snapshot_expires = self.ports.now() + SNAPSHOT_LIFE;
        let metadata = Snapshot::new(head.snapshot, head.snapshot_expires, targets);
        self.write(head, head.snapshot, &metadata).await?;
        Ok(())
    }

    /// The timestamp is no blob: it changes in place, with the head.
    async fn write_timestamp(&self, head: &mut Head) -> Result<(), PortError> {
        let snapshot = self
            .meta(head.project, Role::Snapshot, head.snapshot)
            .await?;
        head.timestamp = head.claimed;
        head.expires = self.ports.now() + TIMESTAMP_LIFE;
        let metadata = TufTimestamp::new(head.timestamp, head.expires, snapshot);
        head.timestamp_body = signed(&self.ports, head.project, &metadata, &head.signing).await?;
        Ok(())
    }

    async fn meta(&self, id: ProjectId, role: Role, version: u64) -> Result<MetaFile, PortError> {
        let key = metadata_key(id, role, version);
        match self.ports.blobs.get(&key, METADATA_BYTES_MAX).await? {
            Some(content) => Ok(MetaFile::of(version, &content)),
            None => Err(PortError::broken(
                format!("metadata {key}"),
                "the head names it, and it is not stored",
            )),
        }
    }

    pub(super) async fn write<T: Metadata + Sync>(
        &self,
        head: &Head,
        version: u64,
        metadata: &T,
    ) -> Result<(), PortError> {
        let text = signed(&self.ports, head.project, metadata, &head.signing).await?;
        let key = metadata_key(head.project, T::ROLE, version);
        self.ports.blobs.put(&key, text.into_bytes()).await
    }
}

/// The blob of a version of a role's metadata.
pub(super) fn metadata_key(project: ProjectId, role: Role, version: u64) -> String {
    format!("tuf/{project}/metadata/{}", file_name(role, version))
}

/// The roles whose metadata expires soon.
fn due(head: &Head, now: Timestamp) -> Vec<Role> {
    [
        (Role::Root, head.root_expires, ROOT_LIFE),
        (Role::Targets, head.targets_expires, TARGETS_LIFE),
        (Role::Snapshot, head.snapshot_expires, SNAPSHOT_LIFE),
        (Role::Timestamp, head.expires, TIMESTAMP_LIFE),
    ]
    .into_iter()
    .filter(|(_, expires, life)| is_due(*expires, *life, now))
    .map(|(role, ..)| role)
    .collect()
}

impl Page {
    fn new(document: ChannelDocument) -> Self {
        Self {
            // A document is made of strings, numbers and maps with string keys: it serialises.
            text: serde_json::to_string(&document).unwrap_or_default(),
            document,
            is_new: true,
        }
    }
}
