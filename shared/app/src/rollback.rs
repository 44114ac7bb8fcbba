//! Rollback: devices that took a halted release are brought back to the version before.
//!
//! The release is revoked and a grant to go down is signed; both are published, and every updater that
//! sees them goes back by itself. **No device goes down without such a grant.**
//!
//! Not here yet: the health check after the rollback and the escalation ladder (ledger I7).

use crate::news;
use crate::records;
use crate::sign::grant;
use crate::stage::{Done, Stage, Wake, not_mine, step};
use async_trait::async_trait;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::fix::{Fix, FixMove};
use kintsugi_domain::id::RolloutId;
use kintsugi_domain::issue::{Issue, IssueMove, IssueState};
use kintsugi_domain::ports::{Commit, PortError, Ports};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::{IndexEntry, Stored};
use kintsugi_domain::release::{Release, ReleaseMove, ReleaseState};
use kintsugi_domain::rollout::{Rollout, RolloutMove, RolloutState};

/// The rollback stage.
#[derive(Debug, Clone)]
pub struct Rollback {
    ports: Ports,
}

impl Rollback {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    async fn roll_back(
        &self,
        cause: &Envelope,
        (id, reason, by): (&RolloutId, &str, &str),
    ) -> Result<Done, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let Some(mut rollout) = records::get::<Rollout>(store, cause.project, id.as_str()).await?
        else {
            return Ok(Done::nothing("the rollout does not exist"));
        };
        let Some(project) = records::project(store, cause.project).await? else {
            return Ok(Done::nothing("the project does not exist"));
        };
        // A person may order it while the guard still holds; then it halts first.
        if rollout.value.state != RolloutState::Halted {
            rollout.value.halt_reason = Some(format!("{by}: {reason}"));
            step!(rollout.value, RolloutMove::Halt, at, by, reason);
        }
        let release = rollout.value.release.as_str();
        let mut release: Stored<Release> = records::need(store, cause.project, release).await?;
        let version = rollout.value.version.clone();
        let Some(to) = self.way_back(&rollout.value).await? else {
            let stuck = (rollout, release);
            return self.stranded(cause, &project.value, stuck, reason).await;
        };
        rollout.value.rolled_back_to = Some(to.clone());
        rollout.value.grant = grant(&self.ports, &project.value, &rollout.value).await?;
        let why = format!("{by}: {reason}; back to {to}");
        step!(rollout.value, RolloutMove::RollBack, at, Self::NAME, &why);
        step!(release.value, ReleaseMove::Revoke, at, Self::NAME, &why);
        let alert = Alert::new(
            cause.project,
            Urgency::Page,
            "rollout.rolled_back",
            id,
            format!("Version {version} is revoked and devices go back to {to}: {reason}"),
            at,
        );
        let publish = Message::Publish {
            channel: rollout.value.channel.clone(),
        };
        let commit = Commit::new()
            .update(&rollout)
            .update(&release)
            .send(Envelope::new(cause.id.to_string(), cause.project, publish));
        let commit = self
            .refute(commit, &project.value, &release.value, &why)
            .await?;
        let commit = self
            .lead_on(commit, &project.value, (&version, &to))
            .await?;
        let commit = news::raise(&self.ports, commit, cause.id.as_str(), alert).await?;
        store.commit(commit).await?;
        Ok(Done::did(format!("version {version} goes back to {to}")))
    }

    /// The version to go back to: the highest one below that everybody was offered and that is still good.
    /// The one that the rollout started from may have been called back since.
    async fn way_back(&self, rollout: &Rollout) -> Result<Option<semver::Version>, PortError> {
        let store = self.ports.store.as_ref();
        let index = IndexEntry::new("channel", &rollout.channel);
        let releases = records::all::<Release>(store, rollout.project, Some(index)).await?;
        let mut best = None;
        for release in releases.into_iter().map(|stored| stored.value) {
            if release.version >= rollout.version || release.state != ReleaseState::Published {
                continue;
            }
            let id = Rollout::id_of(&release.id, &release.channel);
            let below = records::get::<Rollout>(store, rollout.project, id.as_str()).await?;
            if below.is_some_and(|it| it.value.state == RolloutState::Finalised) {
                best = best.max(Some(release.version));
            }
        }
        Ok(best)
    }

    /// Devices that were sent back to `version`, and have not asked since, go on to `to` as well.
    async fn lead_on(
        &self,
        mut commit: Commit,
        project: &Project,
        (version, to): (&semver::Version, &semver::Version),
    ) -> Result<Commit, PortError> {
        let store = self.ports.store.as_ref();
        for mut other in records::all::<Rollout>(store, project.id, None).await? {
            if other.value.rolled_back_to.as_ref() == Some(version) {
                other.value.rolled_back_to = Some(to.clone());
                other.value.grant = grant(&self.ports, project, &other.value).await?;
                commit = commit.update(&other);
            }
        }
        Ok(commit)
    }

    /// Nothing to go back to: it is not offered any more, and people must act.
    async fn stranded(
        &self,
        cause: &Envelope,
        project: &Project,
        (rollout, mut release): (Stored<Rollout>, Stored<Release>),
        reason: &str,
    ) -> Result<Done, PortError> {
        let at = self.ports.now();
        let version = &rollout.value.version;
        if release.value.state == ReleaseState::Revoked {
            return Ok(Done::nothing("it is revoked, and there is no way back"));
        }
        let why = format!("{reason}; there is no good version to go back to");
        step!(release.value, ReleaseMove::Revoke, at, Self::NAME, &why);
        let alert = Alert::new(
            cause.project,
            Urgency::Page,
            "rollout.no_way_back",
            &rollout.value.id,
            format!(
                "Version {version} is revoked, and devices stay on it: {why}. Publish a fixed version."
            ),
            at,
        );
        let publish = Message::Publish {
            channel: rollout.value.channel.clone(),
        };
        let commit = Commit::new()
            .update(&rollout)
            .update(&release)
            .send(Envelope::new(cause.id.to_string(), cause.project, publish));
        let commit = self.refute(commit, project, &release.value, &why).await?;
        let commit = news::raise(&self.ports, commit, cause.id.as_str(), alert).await?;
        self.ports.store.commit(commit).await?;
        Ok(Done::did(format!("version {version} is revoked: {why}")))
    }

    /// The fixes in a revoked release did not help, and people must look at their issues: they are owed a fix again.
    async fn refute(
        &self,
        mut commit: Commit,
        project: &Project,
        release: &Release,
        why: &str,
    ) -> Result<Commit, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        for id in &release.fixes {
            let mut fix: Stored<Fix> = records::need(store, release.project, id.as_str()).await?;
            if fix.value.step(FixMove::Refute, at, Self::NAME, why).is_ok() {
                commit = commit.update(&fix);
            }
        }
        for id in &release.issues {
            let mut issue: Stored<Issue> =
                records::need(store, release.project, id.as_str()).await?;
            // One that came back meanwhile is fixed, or will be, by another release.
            if issue.value.fixed_in.as_ref() != Some(&release.version) {
                continue;
            }
            let moves: &[IssueMove] = match issue.value.state {
                IssueState::Released => &[IssueMove::GiveUp],
                IssueState::Resolved => &[IssueMove::Recur, IssueMove::GiveUp],
                IssueState::New
                | IssueState::Triaged
                | IssueState::Diagnosed
                | IssueState::Fixing
                | IssueState::Fixed
                | IssueState::Regressed
                | IssueState::Escalating
                | IssueState::Muted
                | IssueState::NeedsHuman => continue,
            };
            let stepped = moves
                .iter()
                .all(|event| issue.value.step(*event, at, Self::NAME, why).is_ok());
            if stepped {
                issue.value.start_clocks(&project.config.sla, at);
                commit = commit.update(&issue);
            }
        }
        Ok(commit)
    }
}

#[async_trait]
impl Stage for Rollback {
    const NAME: &'static str = "rollback";
    type Command = Wake;
    type Done = Done;

    async fn run(&self, wake: Wake) -> Result<Done, PortError> {
        match wake.message() {
            Some((
                envelope,
                Message::RollBack {
                    rollout,
                    reason,
                    by,
                },
            )) => self.roll_back(envelope, (rollout, reason, by)).await,
            _ => Err(not_mine(Self::NAME, &wake)),
        }
    }
}
