//! The story itself, in the order of the loop.

use super::fleet::{Fleet, Run, Source, failures, offered};
use super::scene::Scene;
use super::tell::Teller;
use super::watch::{Missed, Seen, Watch};
use crate::error::Error;
use crate::home::LocalHome;
use kintsugi_app::admin::Action;
use kintsugi_app::records;
use kintsugi_app::repository::Repository;
use kintsugi_domain::bundle::Bundle;
use kintsugi_domain::cohort::{Arm, Share, arm};
use kintsugi_domain::event::FiledEvent;
use kintsugi_domain::fix::{Fix, FixState};
use kintsugi_domain::issue::{Issue, IssueState};
use kintsugi_domain::record::Stored;
use kintsugi_domain::release::{Release, ReleaseState};
use kintsugi_domain::rollout::{Rollout, RolloutState};
use semver::Version;
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest wait for anything that one machine does.
const PATIENCE: Duration = Duration::from_mins(10);
/// Longest wait for a report, which takes a moment.
const REPORT_PATIENCE: Duration = Duration::from_secs(30);
/// Most rounds of the fleet for one release. The plan needs three.
const ROUNDS_MAX: usize = 60;
/// Time between the rounds.
const ROUND_PAUSE: Duration = Duration::from_millis(500);

/// What happened, filled as it happens.
#[derive(Debug, Default, Serialize)]
pub(super) struct Told {
    pub(super) event_id: Option<String>,
    pub(super) issue_id: Option<String>,
    pub(super) fix_id: Option<String>,
    pub(super) fix_commit: Option<String>,
    pub(super) release: Option<String>,
    pub(super) delta_bytes: Option<u64>,
    pub(super) full_bytes: Option<u64>,
    pub(super) tuf_verified: bool,
    pub(super) installed_version: Option<String>,
    pub(super) healed: bool,
    pub(super) devices: usize,
    pub(super) canary_devices: usize,
    pub(super) bad_release: Option<String>,
    pub(super) devices_offered_bad_release: usize,
    pub(super) devices_on_bad_release_at_end: usize,
    pub(super) halt_reason: Option<String>,
    pub(super) rolled_back_to: Option<String>,
}

/// How the story ended.
pub(super) enum Ended {
    /// As it should.
    Well,
    /// Otherwise, and why.
    Badly(String),
}

/// What a part of the story ends with: an error of the machine, a story that went another way, or what
/// the next part needs.
type Part<T> = Result<Result<T, Missed>, Error>;

/// Goes on with what a part gave, or ends the story there.
macro_rules! part {
    ($part:expr) => {
        match $part? {
            Ok(given) => given,
            Err(missed) => return Ok(Err(missed)),
        }
    };
}

/// Plays the whole story.
pub(super) async fn play(
    scene: &Scene,
    home: &mut LocalHome,
    teller: &Teller,
    told: &mut Told,
) -> Result<Ended, Error> {
    let mut story = Story {
        scene,
        teller,
        watch: Watch::new(home, scene.project),
    };
    Ok(match story.play(told).await? {
        Ok(()) => Ended::Well,
        Err(Missed(why)) => Ended::Badly(why),
    })
}

struct Story<'a> {
    scene: &'a Scene,
    teller: &'a Teller,
    watch: Watch<'a>,
}

impl Story<'_> {
    async fn play(&mut self, told: &mut Told) -> Part<()> {
        part!(
            self.release(Version::new(1, 0, 0), "The first version.")
                .await
        );
        let fleet = part!(self.install(told).await);
        part!(self.crash(&fleet, told).await);
        let healed = part!(self.heal(told).await);
        part!(self.roll_out(&fleet, &healed, told).await);
        part!(self.try_again(&fleet, &healed, told).await);
        self.publish_bad(&fleet, &healed, told).await
    }

    /// Orders a version from the product's branch and waits until it is published.
    async fn release(&mut self, version: Version, notes: &str) -> Part<Release> {
        let order = Action::OrderRelease {
            project: self.scene.project,
            from: "main".to_owned(),
            version: version.clone(),
            notes: notes.to_owned(),
        };
        self.scene.order(order).await?;
        self.watch.home().wake();
        self.teller.step(&format!("version {version} was ordered"));
        let release = part!(self.published(&version).await);
        let bytes = release.built.full.length;
        self.teller.step(&format!(
            "version {version} is built, signed and published: {bytes} bytes"
        ));
        Ok(Ok(release))
    }

    async fn published(&mut self, version: &Version) -> Part<Release> {
        let what = format!("version {version}");
        let look = async |store: &dyn kintsugi_domain::ports::Store, project| {
            let bundles = records::all::<Bundle>(store, project, None).await?;
            let failure = bundles
                .into_iter()
                .find(|it| it.value.version == *version)
                .and_then(|it| it.value.failure);
            if let Some(failure) = failure {
                let why = format!("version {version}: {}: {}", failure.code, failure.why);
                return Ok(Seen::Never(why));
            }
            let id = Release::id_of(project, version);
            let release = records::get::<Release>(store, project, id.as_str()).await?;
            let published = release
                .map(|it| it.value)
                .filter(|it| it.state == ReleaseState::Published);
            // Devices can have it when its rollout has begun and was published.
            let rollouts = records::all::<Rollout>(store, project, None).await?;
            let started = rollouts
                .iter()
                .any(|it| it.value.version == *version && it.value.state.is_offering());
            Ok(published
                .filter(|_| started)
                .map_or(Seen::NotYet, Seen::Yes))
        };
        self.watch.until(self.teller, PATIENCE, &what, look).await
    }

    /// Sets the fleet up and has every device install the first version.
    async fn install(&mut self, told: &mut Told) -> Part<Fleet> {
        let scene = self.scene;
        let repository = Repository::new(self.watch.home().ports.clone());
        let root = repository.metadata(scene.project, "1.root.json").await?;
        let root = root.ok_or_else(|| Error::unexpected("ship the root", "there is none"))?;
        let settings = scene.sample.path("device-settings.json");
        let source = Source {
            home: self.watch.home().url(),
            project: scene.project,
            channel: scene.channel.clone(),
            root: root.content,
            env: vec![("TILL_SETTINGS".to_owned(), settings.display().to_string())],
            python: scene.python.clone(),
        };
        let fleet = Fleet::set_up(&scene.folder.join("devices"), super::DEVICES, &source)?;
        told.devices = fleet.len();
        let first = Version::new(1, 0, 0);
        for _ in 0..ROUNDS_MAX {
            let runs = fleet.round().await?;
            if fleet
                .versions()?
                .iter()
                .all(|it| it.as_ref() == Some(&first))
            {
                self.teller.step(&format!(
                    "{} devices verified and installed {first}",
                    fleet.len()
                ));
                return Ok(Ok(fleet));
            }
            if let Some(why) = failures(&runs).first() {
                self.teller.note(&format!("an updater: {why}"));
            }
            tokio::time::sleep(ROUND_PAUSE).await;
        }
        Ok(Err(Missed(format!("not every device got {first}"))))
    }

    /// Runs the product on one device: a day that works, then the one that crashes.
    async fn crash(&mut self, fleet: &Fleet, told: &mut Told) -> Part<()> {
        let busy = self.run(fleet, "busy-day.jsonl")?;
        if !busy.ok {
            let why = format!("an ordinary day fails too: {}", busy.last_line);
            return Ok(Err(Missed(why)));
        }
        let crashed = self.run(fleet, "refunds-only.jsonl")?;
        if crashed.ok {
            self.teller
                .step("a day of refunds only does not crash: waiting for a report all the same");
        } else {
            self.teller.step(&format!(
                "device 1 crashed on a day of refunds only: {}",
                crashed.last_line
            ));
        }
        let look = async |store: &dyn kintsugi_domain::ports::Store, project| {
            let mut events = records::all::<FiledEvent>(store, project, None).await?;
            Ok(events.pop().map_or(Seen::NotYet, Seen::Yes))
        };
        let what = "a report";
        let filed = part!(
            self.watch
                .until(self.teller, REPORT_PATIENCE, what, look)
                .await
        );
        told.event_id = Some(filed.value.event.id.to_string());
        told.issue_id = Some(filed.value.issue.to_string());
        let issue = part!(self.issue(told, "the issue", |_| true).await);
        let score = &issue.score;
        self.teller.step(&format!(
            "the report became issue “{}”, {:?}, score {}",
            issue.title, issue.level, score.value
        ));
        Ok(Ok(()))
    }

    /// Runs the product's report on the first device, as its user would.
    fn run(&self, fleet: &Fleet, journal: &str) -> Result<super::reporter::Ran, Error> {
        let scene = self.scene;
        let version = fleet.current(0).unwrap_or_default();
        let settings = scene.sample.path("device-settings.json");
        let env = [
            ("TILL_SETTINGS", settings.display().to_string()),
            ("TILL_DEVICE", fleet.name(0).unwrap_or_default().to_owned()),
            ("SENTRY_DSN", scene.dsn.clone()),
        ];
        let journal = scene.sample.path("days").join(journal);
        scene.reporter.run(&version, &journal, &env)
    }

    /// Waits until the issue is as asked; one that needs a person will not heal.
    async fn issue(
        &mut self,
        told: &Told,
        what: &str,
        is_so: impl Fn(&Issue) -> bool,
    ) -> Part<Issue> {
        let id = told.issue_id.clone().unwrap_or_default();
        let look = async |store: &dyn kintsugi_domain::ports::Store, project| {
            let issue: Stored<Issue> = records::need(store, project, &id).await?;
            let issue = issue.value;
            if is_so(&issue) {
                return Ok(Seen::Yes(issue));
            }
            if issue.state == IssueState::NeedsHuman {
                let why = issue.story.last().map(|step| step.why.clone());
                return Ok(Seen::Never(why.unwrap_or_default()));
            }
            Ok(Seen::NotYet)
        };
        self.watch.until(self.teller, PATIENCE, what, look).await
    }

    /// Waits for the fix and the version that has it.
    async fn heal(&mut self, told: &mut Told) -> Part<Release> {
        let issue = part!(self.issue(told, "a fix", |issue| issue.fix.is_some()).await);
        let fix = issue.fix.clone().map(|id| id.to_string());
        let id = fix.clone().unwrap_or_default();
        let project = self.watch.project();
        let fix_record: Stored<Fix> = records::need(self.watch.store(), project, &id).await?;
        let proven = fix_record.value;
        told.fix_id = fix;
        told.fix_commit.clone_from(&proven.commit);
        let passed = proven.gates.iter().filter(|gate| gate.passed).count();
        self.teller.step(&format!(
            "“{}” is proven by {passed} gates and committed on {}",
            proven.title,
            proven.branch.as_deref().unwrap_or("a branch")
        ));
        let look = async |store: &dyn kintsugi_domain::ports::Store, project| {
            let fix: Stored<Fix> = records::need(store, project, &id).await?;
            let fix = fix.value;
            if fix.state == FixState::Rejected {
                let why = fix.story.last().map(|step| step.why.clone());
                return Ok(Seen::Never(why.unwrap_or_default()));
            }
            let Some(bundle) = fix.bundle else {
                return Ok(Seen::NotYet);
            };
            let bundle: Stored<Bundle> = records::need(store, project, bundle.as_str()).await?;
            Ok(Seen::Yes(bundle.value))
        };
        let what = "a train";
        let bundle = part!(self.watch.until(self.teller, PATIENCE, what, look).await);
        self.teller.step(&format!(
            "a {:?} train departs as {}",
            bundle.train, bundle.version
        ));
        let release = part!(self.published(&bundle.version).await);
        let full = release.built.full.length;
        let delta = release.built.deltas.first().map(|it| it.artifact.length);
        told.release = Some(release.version.to_string());
        told.full_bytes = Some(full);
        told.delta_bytes = delta;
        self.teller.step(&format!(
            "version {} is built, signed and published: full {full} bytes, delta {} bytes",
            release.version,
            delta.map_or("none".to_owned(), |bytes| bytes.to_string())
        ));
        Ok(Ok(release))
    }

    /// Lets the fleet update until the rollout ends, telling each step of it.
    async fn roll_out(&mut self, fleet: &Fleet, release: &Release, told: &mut Told) -> Part<()> {
        let mut steps = 0;
        let mut verified = true;
        for _ in 0..ROUNDS_MAX {
            let runs = fleet.round().await?;
            verified &= runs.iter().flatten().all(|it| it.metadata.is_some());
            let rollout = part!(self.rollout(&release.version).await);
            self.tell_steps(&rollout, &mut steps);
            if matches!(
                rollout.state,
                RolloutState::Halted | RolloutState::RolledBack
            ) {
                let why = rollout.halt_reason.unwrap_or_default();
                return Ok(Err(Missed(format!(
                    "{} was halted: {why}",
                    release.version
                ))));
            }
            let versions = fleet.versions()?;
            let have = versions
                .iter()
                .filter(|it| it.as_ref() == Some(&release.version))
                .count();
            told.installed_version = versions.first().cloned().flatten().map(|it| it.to_string());
            if have == fleet.len() {
                told.tuf_verified = verified;
                self.teller.step(&format!(
                    "all {have} devices verified and installed {}",
                    release.version
                ));
                return Ok(Ok(()));
            }
            self.tell_failures(&runs);
            tokio::time::sleep(ROUND_PAUSE).await;
        }
        Ok(Err(Missed(format!(
            "{} did not reach the whole fleet",
            release.version
        ))))
    }

    async fn rollout(&mut self, version: &Version) -> Part<Rollout> {
        let rollouts =
            records::all::<Rollout>(self.watch.store(), self.watch.project(), None).await?;
        let found = rollouts.into_iter().find(|it| it.value.version == *version);
        Ok(match found {
            Some(found) => Ok(found.value),
            None => Err(Missed(format!("{version} has no rollout"))),
        })
    }

    fn tell_steps(&self, rollout: &Rollout, told: &mut usize) {
        for step in rollout.story.steps().iter().skip(*told) {
            let version = &rollout.version;
            self.teller
                .step(&format!("{version}: {}: {}", step.what, step.why));
            *told += 1;
        }
    }

    fn tell_failures(&self, runs: &[Run]) {
        if let Some(why) = failures(runs).first() {
            self.teller.note(&format!("an updater: {why}"));
        }
    }

    /// The same input again, and what the pipeline thinks of its fix.
    async fn try_again(&mut self, fleet: &Fleet, release: &Release, told: &mut Told) -> Part<()> {
        let again = self.run(fleet, "refunds-only.jsonl")?;
        if !again.ok {
            let why = format!(
                "{} crashes on the same input: {}",
                release.version, again.last_line
            );
            return Ok(Err(Missed(why)));
        }
        self.teller
            .step("the same input no longer crashes on device 1");
        let resolved = |issue: &Issue| issue.state == IssueState::Resolved;
        part!(self.issue(told, "the issue's end", resolved).await);
        let id = told.fix_id.clone().unwrap_or_default();
        let project = self.watch.project();
        let fix: Stored<Fix> = records::need(self.watch.store(), project, &id).await?;
        if fix.value.state != FixState::Effective {
            let why = format!("the fix is {:?}, not effective", fix.value.state);
            return Ok(Err(Missed(why)));
        }
        told.healed = true;
        self.teller
            .step("the issue is resolved and the fix is effective");
        Ok(Ok(()))
    }

    /// A developer's mistake: a version that works on their machine and nowhere else.
    async fn publish_bad(&mut self, fleet: &Fleet, good: &Release, told: &mut Told) -> Part<()> {
        let scene = self.scene;
        scene.sample.commit_bad_version(&scene.repository)?;
        let bad = Version::new(1, 1, 0);
        told.bad_release = Some(bad.to_string());
        part!(
            self.release(bad.clone(), "Tax numbers on the report.")
                .await
        );
        let mut steps = 0;
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut canaries: BTreeSet<String> = BTreeSet::new();
        for _ in 0..ROUNDS_MAX {
            let before = part!(self.rollout(&bad).await);
            canaries.extend(self.offered_now(fleet, &before)?);
            let runs = fleet.round().await?;
            seen.extend(offered(&runs, &bad));
            let rollout = part!(self.rollout(&bad).await);
            self.tell_steps(&rollout, &mut steps);
            let on_bad = fleet
                .versions()?
                .iter()
                .filter(|it| it.as_ref() == Some(&bad))
                .count();
            told.canary_devices = canaries.len();
            told.devices_offered_bad_release = seen.len();
            told.devices_on_bad_release_at_end = on_bad;
            told.halt_reason.clone_from(&rollout.halt_reason);
            told.rolled_back_to = rollout.rolled_back_to.as_ref().map(ToString::to_string);
            if rollout.state == RolloutState::RolledBack {
                // Once more: the signed rollback reaches every device, and nobody is offered it again.
                let runs = fleet.round().await?;
                let again = offered(&runs, &bad).difference(&seen).count();
                return Ok(self.verdict(good, fleet, (&canaries, &seen, again))?);
            }
            self.tell_failures(&runs);
            tokio::time::sleep(ROUND_PAUSE).await;
        }
        Ok(Err(Missed(format!("{bad} was not rolled back"))))
    }

    /// The devices that a rollout offers its version to at this moment.
    fn offered_now(&self, fleet: &Fleet, rollout: &Rollout) -> Result<BTreeSet<String>, Error> {
        let mut found = BTreeSet::new();
        if !rollout.state.is_offering() || rollout.share == Share::NONE {
            return Ok(found);
        }
        for index in 0..fleet.len() {
            let name = fleet.name(index).unwrap_or_default();
            let device = name
                .parse()
                .map_err(|error| Error::unexpected("read a device's name", &error))?;
            let salt = rollout.id.as_str();
            if arm(salt, &device, rollout.share, rollout.holdout) == Arm::New {
                found.insert(name.to_owned());
            }
        }
        Ok(found)
    }

    fn verdict(
        &self,
        good: &Release,
        fleet: &Fleet,
        (canaries, seen, again): (&BTreeSet<String>, &BTreeSet<String>, usize),
    ) -> Result<Result<(), Missed>, Error> {
        let missed = |why: String| Ok(Err(Missed(why)));
        let outsiders = seen.difference(canaries).count();
        if outsiders > 0 {
            return missed(format!(
                "{outsiders} devices outside the canary cohort were offered the bad version"
            ));
        }
        if again > 0 {
            return missed(format!(
                "{again} devices were offered the bad version after its rollback"
            ));
        }
        let versions = fleet.versions()?;
        let elsewhere = versions
            .iter()
            .filter(|it| it.as_ref() != Some(&good.version))
            .count();
        if elsewhere > 0 {
            return missed(format!("{elsewhere} devices are not on {}", good.version));
        }
        self.teller.step(&format!(
            "the rollback is signed and published; all {} devices run {}",
            fleet.len(),
            good.version
        ));
        Ok(Ok(()))
    }
}
