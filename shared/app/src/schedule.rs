//! The schedule: which fixes depart now, on which train, as which version.
//!
//! **One bundle is open per project at a time.** A departure writes the project's record unchanged, so
//! of two departures at once one loses, looks again, and finds the other's bundle.
//!
//! Not here yet: calendars and freeze windows (ledger E3).

use crate::records;
use crate::stage::{Done, Stage, Wake, not_mine};
use async_trait::async_trait;
use kintsugi_domain::Timestamp;
use kintsugi_domain::bundle::Bundle;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::fix::{Fix, FixMove, FixState};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::issue::Issue;
use kintsugi_domain::ports::{Commit, PortError, Ports, Store};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::{IndexEntry, Stored};
use kintsugi_domain::release::{Release, ReleaseState};
use kintsugi_domain::train::{self, Waiting};
use semver::Version;

/// The schedule stage.
#[derive(Debug, Clone)]
pub struct Schedule {
    ports: Ports,
}

/// The bundle of a project that may still become a release, if there is one.
pub async fn open_bundle(
    store: &dyn Store,
    project: ProjectId,
) -> Result<Option<Stored<Bundle>>, PortError> {
    let index = IndexEntry::new("open", &"bundle");
    let mut open = records::page(store, project, Some(index), None, 1).await?;
    Ok(open.pop())
}

/// The highest version a project ever made a release of, called back or not: numbers are never used
/// twice.
pub async fn last_version(
    store: &dyn Store,
    project: ProjectId,
) -> Result<Option<Version>, PortError> {
    let releases = records::all::<Release>(store, project, None).await?;
    Ok(releases
        .into_iter()
        .map(|release| release.value.version)
        .max())
}

impl Schedule {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    /// Lets a train depart if one is due.
    async fn depart(&self, cause: &str, id: ProjectId) -> Result<Done, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let Some((project, repository)) = records::sourced(store, id).await? else {
            return Ok(Done::nothing("the project names no repository"));
        };
        let waiting = self.waiting(&project.value).await?;
        if waiting.is_empty() {
            return Ok(Done::nothing("no fix waits"));
        }
        if let Some(open) = open_bundle(store, id).await? {
            let why = format!("bundle {} is under way", open.value.id);
            return Ok(Done::nothing(why));
        }
        let rules = &project.value.config.trains;
        let last = self.last_departure(id).await?;
        let Some((train, aboard, why)) = train::departure(&waiting, rules, last, at) else {
            return Ok(Done::nothing(format!("{} fixes wait", waiting.len())));
        };
        let Some(from) = last_version(store, id).await? else {
            return Ok(Done::nothing(
                "fixes wait for the product's first release, which people order",
            ));
        };
        if let Some(tag) = self.not_merged(&project.value, &repository).await? {
            return Ok(Done::nothing(format!(
                "{tag} is not merged into the branch: a train now would leave its fixes behind"
            )));
        }
        let branch = &project.value.config.product.branch;
        let head = self.ports.forge.head(&repository, branch).await?;
        let ids = aboard
            .iter()
            .map(|waiting| waiting.fix.id.clone())
            .collect();
        let version = train.version_after(&from);
        let mut bundle = Bundle::cut(id, train, &rules.channel, head, version, ids, at);
        bundle
            .story
            .tell(at, Self::NAME, "Collecting", format!("{train:?}: {why}"));
        let mut commit = Commit::new().create(&bundle).update(&project);
        for waiting in &aboard {
            let mut fix: Stored<Fix> = records::need(store, id, waiting.fix.id.as_str()).await?;
            if fix.value.state != FixState::Approved {
                return Err(PortError::Conflict {
                    what: format!("fix {}", fix.value.id),
                });
            }
            fix.value.bundle = Some(bundle.id.clone());
            fix.value.priority = Some(waiting.score.clone());
            let why = format!("{train:?} train, version {}: {why}", bundle.version);
            // An approved fix has this move.
            if fix.value.step(FixMove::Bundle, at, Self::NAME, why).is_ok() {
                commit = commit.update(&fix);
            }
        }
        let message = Message::BuildBundle {
            bundle: bundle.id.clone(),
        };
        store
            .commit(commit.send(Envelope::new(cause, id, message)))
            .await?;
        Ok(Done::did(format!(
            "{train:?} train departs as {} with {} fixes: {why}",
            bundle.version,
            aboard.len()
        )))
    }

    /// Fixes that wait for a train, each with its score.
    async fn waiting(&self, project: &Project) -> Result<Vec<Waiting>, PortError> {
        let store = self.ports.store.as_ref();
        let index = IndexEntry::new("waiting", &"train");
        let fixes = records::all::<Fix>(store, project.id, Some(index)).await?;
        let mut waiting = Vec::new();
        for Stored { value: fix, .. } in fixes {
            let issue: Stored<Issue> = records::need(store, project.id, fix.issue.as_str()).await?;
            let score = train::score(&issue.value, &project.config.trains);
            let since = fix.story.last().map_or(project.added_at, |step| step.at);
            waiting.push(Waiting { fix, score, since });
        }
        Ok(waiting)
    }

    /// The tag of the last good release, where the product's branch does not hold its commit yet. People
    /// were asked to merge it when it was published.
    async fn not_merged(
        &self,
        project: &Project,
        repository: &str,
    ) -> Result<Option<String>, PortError> {
        let store = self.ports.store.as_ref();
        let releases = records::all::<Release>(store, project.id, None).await?;
        let last = releases
            .into_iter()
            .map(|release| release.value)
            .filter(|release| release.state == ReleaseState::Published)
            .max_by(|a, b| a.version.cmp(&b.version));
        let Some(last) = last else {
            return Ok(None);
        };
        let tag = format!("v{}", last.version);
        let branch = &project.config.product.branch;
        let commit = &last.built.commit;
        let landed = self
            .ports
            .forge
            .land(repository, branch, commit, &tag)
            .await?;
        Ok((!landed).then_some(tag))
    }

    async fn last_departure(&self, project: ProjectId) -> Result<Option<Timestamp>, PortError> {
        let store = self.ports.store.as_ref();
        let releases = records::all::<Release>(store, project, None).await?;
        Ok(releases
            .into_iter()
            .map(|release| release.value.built_at)
            .max())
    }

    async fn tick(&self) -> Result<Done, PortError> {
        let mut departed = 0;
        for project in self.ports.store.projects().await? {
            let cause = format!("schedule/{}", self.ports.now());
            match self.depart(&cause, project).await? {
                Done::Did(_) => departed += 1,
                Done::Nothing(_) => {}
            }
        }
        Ok(match departed {
            0 => Done::nothing("no train is due"),
            count => Done::did(format!("{count} trains departed")),
        })
    }
}

#[async_trait]
impl Stage for Schedule {
    const NAME: &'static str = "schedule";
    type Command = Wake;
    type Done = Done;

    async fn run(&self, wake: Wake) -> Result<Done, PortError> {
        match wake.message() {
            Some((envelope, Message::FixApproved { .. })) => {
                self.depart(envelope.id.as_str(), envelope.project).await
            }
            None => self.tick().await,
            Some(_) => Err(not_mine(Self::NAME, &wake)),
        }
    }
}
