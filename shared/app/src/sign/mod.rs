//! Signing and publishing: a packaged release gets its statement, and what a channel says becomes a
//! signed repository.
//!
//! **A repository becomes visible by one write of its head, after everything the head names is
//! stored.** A publication first claims a version number, so files of one that did not get to its end
//! are never taken for another's.
//!
//! The clock refreshes what expires at half of its life. Lives: timestamp 1 day, snapshot 7 days,
//! targets, statements and grants 90 days, root 365 days.
//!
//! In the local home the root's keys lie beside the others, so that a first release needs no ceremony;
//! three keys of which two must sign are made all the same, so that they can be taken away: `kintsugi tuf` makes
//! a root with keys that are offline, and from then on the home signs no root any more.
//!
//! **A new key takes two publications**: one that the key in force and the new one both sign, then the root that names the new one, so
//! that what is served holds for devices with either root at every instant. What people ordered of keys and numbers stands in the
//! head ([`kintsugi_domain::signing`]).
//!
//! **What is signed is what is stored**: before a release is signed, its files are read and compared with what the build reported.
//!
//! Beside each release lies its signed provenance (ledger F6).
//!
//! Not here yet: several platforms per release.

mod document;
mod metadata;
mod provenance;
mod publish;
mod root;
mod rotated;
mod skip;

use crate::news;
use crate::records;
use crate::stage::{Done, Stage, Wake, not_mine, step};
use async_trait::async_trait;
use jiff::SignedDuration;
use kintsugi_domain::Timestamp;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::bundle::{Bundle, BundleMove};
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::fix::{Fix, FixMove};
use kintsugi_domain::id::ReleaseId;
use kintsugi_domain::issue::{Issue, IssueMove};
use kintsugi_domain::ports::{Commit, PortError, Ports};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::Stored;
use kintsugi_domain::release::{Release, ReleaseMove, Statement};
use kintsugi_domain::rollout::Rollout;
use kintsugi_trust::statement::{ReleaseStatement, RollbackGrant, STATEMENT_FORMAT};

pub use document::target_path;
use metadata::jws;

/// For how long a statement or a grant holds.
const STATEMENT_LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Whether half of a life has passed.
fn is_due(expires: Timestamp, life: SignedDuration, now: Timestamp) -> bool {
    expires.duration_since(now) < life / 2
}

/// The signed permission to go back from a rollout's version, where it says to which.
pub(crate) async fn grant(
    ports: &Ports,
    project: &Project,
    rollout: &Rollout,
) -> Result<Option<Statement>, PortError> {
    let generation = metadata::signing(ports, project.id).await?.targets.in_force;
    grant_by(ports, project, rollout, generation).await
}

/// The same, by the targets key of a generation.
async fn grant_by(
    ports: &Ports,
    project: &Project,
    rollout: &Rollout,
    generation: u32,
) -> Result<Option<Statement>, PortError> {
    let Some(to) = &rollout.rolled_back_to else {
        return Ok(None);
    };
    let at = ports.now();
    let grant = RollbackGrant {
        format: STATEMENT_FORMAT,
        project: project.id,
        app: project.config.product.name.clone(),
        channel: rollout.channel.clone(),
        from: rollout.version.clone(),
        to: to.clone(),
        reason: rollout.halt_reason.clone().unwrap_or_default(),
        issued_at: at,
        expires: at + STATEMENT_LIFE,
    };
    let what = format!("grant from {} to {to}", rollout.version);
    let by = (project.id, generation);
    let jws = jws(ports, by, &what, |kid| grant.signing_input(kid)).await?;
    Ok(Some(Statement {
        jws,
        expires: grant.expires,
    }))
}

/// The sign stage.
#[derive(Debug, Clone)]
pub struct Sign {
    ports: Ports,
}

impl Sign {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    /// Signs a packaged release and publishes it. Who is offered it is its rollout's business.
    async fn sign(&self, cause: &Envelope, id: &ReleaseId) -> Result<Done, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let Some(mut release) = records::get::<Release>(store, cause.project, id.as_str()).await?
        else {
            return Ok(Done::nothing("the release does not exist"));
        };
        if let Err(refused) = release.value.state.next(ReleaseMove::Publish) {
            return Ok(refused.into());
        }
        let Some(project) = records::project(store, cause.project).await? else {
            return Ok(Done::nothing("the project does not exist"));
        };
        let mut bundle: Stored<Bundle> =
            records::need(store, cause.project, release.value.bundle.as_str()).await?;
        self.verify(&release.value).await?;
        let by = metadata::signing(&self.ports, cause.project).await?;
        let statement = self.statement(&project.value, &release.value, by.targets.in_force);
        release.value.statement = Some(statement.await?);
        let made = provenance::provenance(
            &self.ports,
            &project.value,
            &release.value,
            &bundle.value,
            by.targets.in_force,
        );
        release.value.provenance = Some(made.await?);
        let why = "statement signed";
        step!(release.value, ReleaseMove::Publish, at, Self::NAME, why);
        step!(bundle.value, BundleMove::Sign, at, Self::NAME, why);
        let commit = Commit::new().update(&release).update(&bundle);
        let commit = self
            .land(cause, commit, &project.value, &release.value)
            .await?;
        // Last, since reports change issues at any time.
        let commit = self.tell_fixes(commit, &release.value).await?;
        let message = Message::StartRollout {
            release: id.clone(),
        };
        let envelope = Envelope::new(cause.id.to_string(), cause.project, message);
        store.commit(commit.send(envelope)).await?;
        Ok(Done::did(format!(
            "release {} is published",
            release.value.version
        )))
    }

    /// Reads what is stored for a release and compares it with what its build reported. Builds may be done on other
    /// machines, and uploads can break: devices would refuse what differs, so it is not published.
    async fn verify(&self, release: &Release) -> Result<(), PortError> {
        for artifact in release.built.artifacts() {
            let what = || format!("artifact {}", artifact.blob);
            match self.ports.blobs.digest(&artifact.blob).await? {
                Some(found) if found == (artifact.digest, artifact.length) => {}
                Some((digest, length)) => {
                    let why = format!(
                        "the build reported {} bytes with digest {}, stored are {length} with digest {digest}",
                        artifact.length, artifact.digest
                    );
                    return Err(PortError::broken(what(), why));
                }
                None => {
                    let why = "the build reported it, and it is not stored";
                    return Err(PortError::broken(what(), why));
                }
            }
        }
        Ok(())
    }

    /// The statement of a release, signed with the targets key of a generation.
    async fn statement(
        &self,
        project: &Project,
        release: &Release,
        generation: u32,
    ) -> Result<Statement, PortError> {
        let at = self.ports.now();
        let expires = at + STATEMENT_LIFE;
        let path = target_path(project.id, &release.built.full)?;
        let what = format!("statement of release {}", release.version);
        let target = path
            .parse()
            .map_err(|error| PortError::broken(&what, error))?;
        let statement = ReleaseStatement {
            format: STATEMENT_FORMAT,
            project: project.id,
            app: project.config.product.name.clone(),
            channel: release.channel.clone(),
            platform: document::ANY.to_owned(),
            arch: document::ANY.to_owned(),
            version: release.version.clone(),
            build: release.build,
            target,
            digest: release.built.full.digest,
            length: release.built.full.length,
            content_digest: release.built.content.digest,
            content_length: release.built.content.length,
            required_stop: false,
            issued_at: at,
            expires,
        };
        let jws = jws(&self.ports, (project.id, generation), &what, |kid| {
            statement.signing_input(kid)
        })
        .await?;
        Ok(Statement { jws, expires })
    }

    /// The fixes in a release, and the issues they should end, are out.
    async fn tell_fixes(&self, mut commit: Commit, release: &Release) -> Result<Commit, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let why = format!("version {}", release.version);
        for id in &release.fixes {
            let mut fix: Stored<Fix> = records::need(store, release.project, id.as_str()).await?;
            if fix
                .value
                .step(FixMove::Release, at, Self::NAME, &why)
                .is_ok()
            {
                commit = commit.update(&fix);
            }
        }
        for id in &release.issues {
            let mut issue: Stored<Issue> =
                records::need(store, release.project, id.as_str()).await?;
            issue.value.fixed_in = Some(release.version.clone());
            if issue
                .value
                .step(IssueMove::Release, at, Self::NAME, &why)
                .is_ok()
            {
                commit = commit.update(&issue);
            }
        }
        Ok(commit)
    }

    /// Brings the release's commit to the product's branch, or tells people that they must.
    async fn land(
        &self,
        cause: &Envelope,
        commit: Commit,
        project: &Project,
        release: &Release,
    ) -> Result<Commit, PortError> {
        let Some(repository) = &project.repository else {
            return Ok(commit);
        };
        let branch = &project.config.product.branch;
        let tag = format!("v{}", release.version);
        let made = &release.built.commit;
        let landed = self
            .ports
            .forge
            .land(repository, branch, made, &tag)
            .await?;
        if landed {
            return Ok(commit);
        }
        let alert = Alert::new(
            project.id,
            Urgency::Notice,
            "release.merge_by_hand",
            &release.id,
            format!(
                "Version {} is published, but {branch} has moved on or is checked out: merge {tag} into it.",
                release.version
            ),
            self.ports.now(),
        );
        news::raise(&self.ports, commit, cause.id.as_str(), alert).await
    }

    async fn tick(&self) -> Result<Done, PortError> {
        let mut published = 0;
        for project in self.ports.store.projects().await? {
            match self.publish(project).await {
                Ok(Done::Did(_)) => published += 1,
                // Somebody else publishes. Trying again at once would take the next number from under them, as they would from
                // under us, and neither would end: they have a message to answer, and the clock strikes again.
                Ok(Done::Nothing(_)) | Err(PortError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(match published {
            0 => Done::nothing("nothing expires soon"),
            count => Done::did(format!("{count} repositories refreshed")),
        })
    }
}

#[async_trait]
impl Stage for Sign {
    const NAME: &'static str = "sign";
    type Command = Wake;
    type Done = Done;

    async fn run(&self, wake: Wake) -> Result<Done, PortError> {
        match wake.message() {
            Some((envelope, Message::SignRelease { release })) => {
                self.sign(envelope, release).await
            }
            Some((envelope, Message::Publish { .. })) => self.publish(envelope.project).await,
            None => self.tick().await,
            Some(_) => Err(not_mine(Self::NAME, &wake)),
        }
    }
}

#[cfg(test)]
mod tests;
