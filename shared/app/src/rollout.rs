//! Rollouts: offers a release to growing shares, listens to how installs go, halts by itself, and at the
//! end judges whether the fixes in it worked.
//!
//! **One rollout per channel runs at a time**: a second one waits, pending, until the first has ended,
//! because two comparisons would spoil each other's control arm.
//!
//! The decision is [`kintsugi_domain::rollout::plan`]; this loads, applies and tells.

mod hotfix;

use crate::news;
use crate::records;
use crate::stage::{Done, Stage, Wake, not_mine, step};
use async_trait::async_trait;
use kintsugi_domain::Timestamp;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::cohort::Share;
use kintsugi_domain::config::RolloutRules;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::fix::{Fix, FixMove};
use kintsugi_domain::guard::{Tally, tally_counter};
use kintsugi_domain::id::{ProjectId, ReleaseId, RolloutId};
use kintsugi_domain::issue::{Issue, IssueMove};
use kintsugi_domain::outcome::{Counts, Outcome, Progress, counts};
use kintsugi_domain::ports::{Commit, PortError, Ports};
use kintsugi_domain::record::{IndexEntry, Stored};
use kintsugi_domain::release::{Release, ReleaseState};
use kintsugi_domain::rollout::{Rollout, RolloutMove, RolloutState, Step, plan};
use semver::Version;

/// The rollout stage.
#[derive(Debug, Clone)]
pub struct Rollouts {
    ports: Ports,
}

impl Rollouts {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    async fn rules(&self, project: ProjectId) -> Result<Option<RolloutRules>, PortError> {
        let project = records::project(self.ports.store.as_ref(), project).await?;
        Ok(project.map(|stored| stored.value.config.rollout))
    }

    /// Makes the rollout of a published release, and starts it if nothing else runs.
    async fn start(&self, cause: &Envelope, id: &ReleaseId) -> Result<Done, PortError> {
        let store = self.ports.store.as_ref();
        let Some(release) = records::get::<Release>(store, cause.project, id.as_str()).await?
        else {
            return Ok(Done::nothing("the release does not exist"));
        };
        let release = release.value;
        if release.state != ReleaseState::Published {
            return Ok(Done::nothing(format!("the release is {:?}", release.state)));
        }
        let Some(rules) = self.rules(cause.project).await? else {
            return Ok(Done::nothing("the project does not exist"));
        };
        let rollout = Rollout::new(
            cause.project,
            id,
            release.version,
            release.previous,
            &release.channel,
            &rules,
            self.ports.now(),
        );
        let known = records::get::<Rollout>(store, cause.project, rollout.id.as_str()).await?;
        if known.is_none() {
            store.commit(Commit::new().create(&rollout)).await?;
        }
        self.advance(cause.project, &rollout.id).await
    }

    /// Does what the plan says now.
    async fn advance(&self, project: ProjectId, id: &RolloutId) -> Result<Done, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let Some(mut rollout) = records::get::<Rollout>(store, project, id.as_str()).await? else {
            return Ok(Done::nothing("the rollout does not exist"));
        };
        let Some(rules) = self.rules(project).await? else {
            return Ok(Done::nothing("the project does not exist"));
        };
        if rollout.value.state == RolloutState::Pending {
            match self.turn(&rollout.value).await? {
                Turn::Waits(other) => {
                    return Ok(Done::nothing(format!(
                        "waits until rollout {other} has ended"
                    )));
                }
                Turn::From(previous) => rollout.value.previous = previous,
            }
        }
        let fields = store.counter(project, &tally_counter(id)).await?;
        let tally = Tally::from_fields(&fields);
        // Names this decision: a rollout is written once per version of its record.
        let cause = format!("rollout/{id}@{}", rollout.version);
        let step = plan(&rollout.value, &tally, &rules, at);
        let is_first = rollout.value.state == RolloutState::Pending;
        let first = match step {
            Step::Widen { .. } | Step::Finalise { .. } if is_first => {
                self.first_offer(&cause, &rollout.value, at).await?
            }
            Step::Widen { .. } | Step::Finalise { .. } | Step::Hold { .. } | Step::Halt { .. } => {
                Commit::new()
            }
        };
        match step {
            Step::Hold { why } => Ok(Done::nothing(why)),
            Step::Widen { share, why } => {
                rollout.value.share = share;
                rollout.value.share_since = at;
                let event = match rollout.value.state {
                    RolloutState::Pending => RolloutMove::Start,
                    RolloutState::Canary
                    | RolloutState::Ramping
                    | RolloutState::Finalised
                    | RolloutState::Paused
                    | RolloutState::Halted
                    | RolloutState::RolledBack => RolloutMove::Widen,
                };
                step!(rollout.value, event, at, Self::NAME, why);
                self.save(&cause, rollout, first).await
            }
            Step::Finalise { why } => {
                rollout.value.share = Share::ALL;
                rollout.value.share_since = at;
                rollout.value.finalised_at = Some(at);
                step!(rollout.value, RolloutMove::Finalise, at, Self::NAME, why);
                self.save(&cause, rollout, first).await
            }
            Step::Halt { why } => self.halt(&cause, rollout, why).await,
        }
    }

    /// Whether it is a pending rollout's turn, and which version it starts from then.
    async fn turn(&self, pending: &Rollout) -> Result<Turn, PortError> {
        let store = self.ports.store.as_ref();
        let index = || Some(IndexEntry::new("channel", &pending.channel));
        let releases = records::all::<Release>(store, pending.project, index()).await?;
        let mut previous: Option<Version> = None;
        for release in releases.into_iter().map(|stored| stored.value) {
            if release.version >= pending.version || release.state != ReleaseState::Published {
                continue;
            }
            // Asked by release: a rollout whose message is late has no record yet, and comes first all
            // the same.
            let id = Rollout::id_of(&release.id, &release.channel);
            let other = records::get::<Rollout>(store, pending.project, id.as_str()).await?;
            match other.map(|other| other.value.state) {
                Some(RolloutState::Finalised) => previous = previous.max(Some(release.version)),
                // Nothing offers it, and its rollback is on the way.
                Some(RolloutState::Halted | RolloutState::RolledBack) => {}
                Some(
                    RolloutState::Pending
                    | RolloutState::Canary
                    | RolloutState::Ramping
                    | RolloutState::Paused,
                )
                | None => return Ok(Turn::Waits(id)),
            }
        }
        Ok(Turn::From(previous))
    }

    async fn save(
        &self,
        cause: &str,
        rollout: Stored<Rollout>,
        mut commit: Commit,
    ) -> Result<Done, PortError> {
        let Rollout {
            project,
            version,
            channel,
            share,
            state,
            ..
        } = &rollout.value;
        let publish = Message::Publish {
            channel: channel.clone(),
        };
        commit = commit.update(&rollout);
        commit = commit.send(Envelope::new(cause, *project, publish));
        self.ports.store.commit(commit).await?;
        Ok(Done::did(format!(
            "version {version} is {state:?}, {share}"
        )))
    }

    /// Stops offering at once, and has devices brought back.
    async fn halt(
        &self,
        cause: &str,
        mut rollout: Stored<Rollout>,
        why: String,
    ) -> Result<Done, PortError> {
        let at = self.ports.now();
        let (project, id) = (rollout.value.project, rollout.value.id.clone());
        rollout.value.halt_reason = Some(why.clone());
        step!(rollout.value, RolloutMove::Halt, at, Self::NAME, &why);
        let version = &rollout.value.version;
        let alert = Alert::new(
            project,
            Urgency::Page,
            "rollout.halted",
            &id,
            format!("Version {version} was halted: {why}"),
            at,
        );
        let publish = Message::Publish {
            channel: rollout.value.channel.clone(),
        };
        let roll_back = Message::RollBack {
            rollout: id,
            reason: why.clone(),
            by: "guard".to_owned(),
        };
        let commit = Commit::new()
            .update(&rollout)
            .send(Envelope::new(cause, project, publish))
            .send(Envelope::new(cause, project, roll_back));
        let commit = news::raise(&self.ports, commit, cause, alert).await?;
        self.ports.store.commit(commit).await?;
        Ok(Done::did(format!("version {version} is halted: {why}")))
    }

    /// Counts what an install did, once, and looks at the plan with it.
    async fn count(&self, reported: &Outcome) -> Result<Done, PortError> {
        let store = self.ports.store.as_ref();
        let (project, id) = (reported.project, reported.rollout.as_str());
        let Some(rollout) = records::get::<Rollout>(store, project, id).await? else {
            return Ok(Done::nothing("the rollout does not exist"));
        };
        let known = records::get::<Outcome>(store, project, &record_key(reported)).await?;
        let counts = counts(
            known.as_ref().map(|it| &it.value.progress),
            &reported.progress,
        );
        if counts == Counts::Nothing {
            return Ok(Done::nothing("the device was counted before"));
        }
        let mut outcome = Stored {
            version: known.as_ref().map_or(0, |it| it.version),
            value: reported.clone(),
        };
        if let Some(known) = known {
            // The silence of a device is measured from its beginning.
            outcome.value.at = known.value.at;
        }
        let commit = Commit::new().update(&outcome);
        let commit = reported.tally(counts, rollout.value.share, commit);
        store.commit(commit).await?;
        self.advance(project, &reported.rollout).await?;
        Ok(Done::did(format!("counted {:?}", reported.progress)))
    }

    /// What time alone changes: devices that fell silent, soaked steps, fixes that proved themselves.
    async fn tick(&self) -> Result<Done, PortError> {
        let store = self.ports.store.as_ref();
        let mut changed = 0;
        for project in store.projects().await? {
            let Some(rules) = self.rules(project).await? else {
                continue;
            };
            let index = IndexEntry::new("open", &"rollout");
            for rollout in records::all::<Rollout>(store, project, Some(index)).await? {
                let id = rollout.value.id.clone();
                let done = if rollout.value.state == RolloutState::Finalised {
                    self.judge(rollout, &rules).await?
                } else {
                    self.find_silent(&rollout.value, &rules).await?;
                    self.advance(project, &id).await?
                };
                changed += usize::from(matches!(done, Done::Did(_)));
            }
        }
        Ok(match changed {
            0 => Done::nothing("no rollout is due"),
            count => Done::did(format!("{count} rollouts went on")),
        })
    }

    /// Devices that began and said nothing within the deadline have failed.
    async fn find_silent(&self, rollout: &Rollout, rules: &RolloutRules) -> Result<(), PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let index = IndexEntry::new("open", &rollout.id);
        for mut outcome in records::all::<Outcome>(store, rollout.project, Some(index)).await? {
            if passed(outcome.value.at, rules.silence_seconds, at) {
                outcome.value.progress = Progress::Silent;
                let commit = Commit::new().update(&outcome);
                let commit = outcome.value.tally(Counts::End, rollout.share, commit);
                store.commit(commit).await?;
            }
        }
        Ok(())
    }

    /// Everybody has it, and long enough nothing came back: its fixes worked.
    async fn judge(
        &self,
        mut rollout: Stored<Rollout>,
        rules: &RolloutRules,
    ) -> Result<Done, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let project = rollout.value.project;
        let since = rollout.value.finalised_at.unwrap_or(at);
        if !passed(since, rules.resolve_after_seconds, at) {
            return Ok(Done::nothing("its fixes are not judged yet"));
        }
        let release = rollout.value.release.as_str();
        let release: Stored<Release> = records::need(store, project, release).await?;
        rollout.value.judged = true;
        let mut commit = Commit::new().update(&rollout);
        let why = format!(
            "nothing came back within {} s after everybody was offered {}",
            rules.resolve_after_seconds, rollout.value.version
        );
        for id in &release.value.fixes {
            let mut fix: Stored<Fix> = records::need(store, project, id.as_str()).await?;
            if fix.value.step(FixMove::Prove, at, Self::NAME, &why).is_ok() {
                commit = commit.update(&fix);
            }
        }
        for id in &release.value.issues {
            let mut issue: Stored<Issue> = records::need(store, project, id.as_str()).await?;
            // One that came back meanwhile has no such move, or is in a later release now.
            if issue.value.is_released_in(&release.value.version)
                && issue
                    .value
                    .step(IssueMove::Resolve, at, Self::NAME, &why)
                    .is_ok()
            {
                commit = commit.update(&issue);
            }
        }
        store.commit(commit).await?;
        Ok(Done::did(format!(
            "version {} worked",
            rollout.value.version
        )))
    }
}

/// Whether it is a pending rollout's turn.
enum Turn {
    /// Another one runs.
    Waits(RolloutId),
    /// It is, and devices come from this version.
    From(Option<Version>),
}

fn record_key(outcome: &Outcome) -> String {
    kintsugi_domain::record::Record::key(outcome)
}

/// Whether so many seconds lie between two points.
fn passed(since: Timestamp, seconds: u64, now: Timestamp) -> bool {
    u64::try_from(now.duration_since(since).as_secs()).is_ok_and(|gone| gone >= seconds)
}

#[async_trait]
impl Stage for Rollouts {
    const NAME: &'static str = "rollout";
    type Command = Wake;
    type Done = Done;

    async fn run(&self, wake: Wake) -> Result<Done, PortError> {
        match wake.message() {
            Some((envelope, Message::StartRollout { release })) => {
                self.start(envelope, release).await
            }
            Some((_, Message::Install { outcome })) => self.count(outcome).await,
            None => self.tick().await,
            Some(_) => Err(not_mine(Self::NAME, &wake)),
        }
    }
}
