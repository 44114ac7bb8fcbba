//! The schedule: which fixes depart now, on which train, as which version.
//!
//! **One bundle is open per project at a time.** A departure writes the project's record unchanged, so
//! of two departures at once one loses, looks again, and finds the other's bundle.
//!
//! **A fix that is approved after its train was cut waits for the next one.** What the calendar holds is looked at again with every
//! tick of the clock. Not here: rollbacks, which no calendar holds ([`crate::rollback`]).
//!
//! The same tick tells people of issues whose time has run out ([`kintsugi_domain::sla`]).

mod overdue;
mod plan;
#[cfg(test)]
mod tests;

pub use plan::{Plan, PlannedFix, PlannedTrain, plan};

use crate::records;
use crate::schedule::plan::{Board, NO_RELEASE_YET};
use crate::stage::{Done, Stage, Wake, not_mine};
use async_trait::async_trait;
use kintsugi_domain::Timestamp;
use kintsugi_domain::bundle::Bundle;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::fix::{Fix, FixMove, FixState};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{Commit, PortError, Ports, Store};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::{IndexEntry, Stored};
use kintsugi_domain::release::{Release, ReleaseState};
use kintsugi_domain::train::Outlook;
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

/// Why no train leaves, for the log.
fn nobody_leaves(trains: &[Outlook<'_>], at: Timestamp) -> String {
    let due = trains.iter().find(|train| train.due_at <= at);
    let held = due.and_then(|train| Some((train, train.held.as_ref()?)));
    match held {
        Some((train, hold)) => {
            let until = hold.until.map(|until| format!(" until {until}"));
            format!(
                "the {:?} train is due ({}) and held: {}{}",
                train.train,
                train.why,
                hold.why,
                until.unwrap_or_default()
            )
        }
        None => "fixes wait, and no train is due".to_owned(),
    }
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

/// The number of the next build. MUST be asked for where the commit writes the project too: two cuts at once would have the same number,
/// and then only one holds.
pub async fn next_build(store: &dyn Store, project: ProjectId) -> Result<u64, PortError> {
    let bundles = records::all::<Bundle>(store, project, None).await?;
    let highest = bundles.iter().map(|bundle| bundle.value.build).max();
    // Those of before they were counted have none, and still count.
    Ok(highest.unwrap_or_default().max(bundles.len() as u64) + 1)
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
        let board = Board::read(store, &project.value).await?;
        if board.waiting.is_empty() {
            return Ok(Done::nothing("no fix waits"));
        }
        if let Some(open) = open_bundle(store, id).await? {
            let why = format!("bundle {} is under way", open.value.id);
            return Ok(Done::nothing(why));
        }
        let trains = board.outlook(&project.value, at);
        let Some(leaving) = trains.iter().find(|train| train.departs(at)) else {
            return Ok(Done::nothing(nobody_leaves(&trains, at)));
        };
        let (train, why) = (leaving.train, &leaving.why);
        let Some(from) = &board.last_version else {
            return Ok(Done::nothing(NO_RELEASE_YET));
        };
        if let Some(tag) = self.not_merged(&project.value, &repository).await? {
            return Ok(Done::nothing(format!(
                "{tag} is not merged into the branch: a train now would leave its fixes behind"
            )));
        }
        let branch = &project.value.config.product.branch;
        let head = self.ports.forge.head(&repository, branch).await?;
        let aboard = &leaving.aboard;
        let ids = aboard
            .iter()
            .map(|waiting| waiting.fix.id.clone())
            .collect();
        let version = train.version_after(from);
        let channel = &project.value.config.trains.channel;
        let mut bundle = Bundle::cut(id, train, channel, head, version, ids, at);
        bundle.predicate = Some(leaving.predicate);
        bundle.build = next_build(store, id).await?;
        bundle
            .story
            .tell(at, Self::NAME, "Collecting", format!("{train:?}: {why}"));
        let mut commit = Commit::new().create(&bundle).update(&project);
        for waiting in aboard {
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

    async fn tick(&self) -> Result<Done, PortError> {
        let (mut departed, mut overdue) = (0, 0);
        for project in self.ports.store.projects().await? {
            let cause = format!("schedule/{}", self.ports.now());
            overdue += overdue::tell(&self.ports, &cause, project).await?;
            match self.depart(&cause, project).await? {
                Done::Did(_) => departed += 1,
                Done::Nothing(_) => {}
            }
        }
        Ok(match (departed, overdue) {
            (0, 0) => Done::nothing("no train is due, and no issue overdue"),
            _ => Done::did(format!(
                "{departed} trains departed, {overdue} issues are overdue"
            )),
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
