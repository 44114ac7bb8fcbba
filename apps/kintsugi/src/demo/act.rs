//! The story itself, in the order of the loop.

use super::fleet::{Fleet, Run, Source, failures};
use super::scene::Scene;
use super::tell::Teller;
use super::watch::{Missed, Records, Seen, Watch};
use crate::error::Error;
use crate::home::LocalHome;
use kintsugi_app::admin::{IssueLine, IssueView, RolloutView};
use kintsugi_domain::bundle::Bundle;
use kintsugi_domain::fix::{Fix, FixState};
use kintsugi_domain::issue::{Issue, IssueState};
use kintsugi_domain::release::{Release, ReleaseState};
use kintsugi_domain::rollout::{Rollout, RolloutState};
use semver::Version;
use serde::Serialize;
use std::time::Duration;

/// Longest wait for anything that one machine does.
const PATIENCE: Duration = Duration::from_mins(10);
/// Longest wait for a report, which takes a moment.
const REPORT_PATIENCE: Duration = Duration::from_secs(30);
/// Most crashes until one is reported, to a home of the demo's own and to another: there a report may wait for functions that broke, and
/// for its turn among others.
const CRASHES_MAX: (u32, u32) = (3, 20);
/// Most rounds of the fleet for one release. The plan needs three.
pub(super) const ROUNDS_MAX: usize = 60;
/// Time between the rounds.
pub(super) const ROUND_PAUSE: Duration = Duration::from_millis(500);

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
pub(super) type Part<T> = Result<Result<T, Missed>, Error>;

/// Goes on with what a part gave, or ends the story there.
macro_rules! part {
    ($part:expr) => {
        match $part? {
            Ok(given) => given,
            Err(missed) => return Ok(Err(missed)),
        }
    };
}

pub(super) use part;

/// Plays the whole story.
pub(super) async fn play(
    scene: &Scene,
    here: Option<&mut LocalHome>,
    teller: &Teller,
    told: &mut Told,
) -> Result<Ended, Error> {
    let records = Records::of(&scene.client, scene.project);
    let mut story = Story {
        scene,
        teller,
        watch: Watch::new(records, here),
    };
    Ok(match story.play(told).await? {
        Ok(()) => Ended::Well,
        Err(Missed(why)) => Ended::Badly(why),
    })
}

pub(super) struct Story<'a> {
    pub(super) scene: &'a Scene,
    pub(super) teller: &'a Teller,
    watch: Watch<'a>,
}

impl Story<'_> {
    async fn play(&mut self, told: &mut Told) -> Part<()> {
        part!(
            self.release(Version::new(1, 0, 0), "The first version.")
                .await
        );
        let fleet = part!(self.install(told).await);
        self.teller.mark("installed");
        part!(self.crash(&fleet, told).await);
        self.teller.mark("reported");
        let healed = part!(self.heal(told).await);
        self.teller.mark("fix published");
        part!(self.roll_out(&fleet, &healed, told).await);
        self.teller.mark("fleet updated");
        part!(self.try_again(&fleet, &healed, told).await);
        self.teller.mark("resolved");
        part!(self.publish_bad(&fleet, &healed, told).await);
        self.teller.mark("bad release gone");
        Ok(Ok(()))
    }

    /// Orders a version from the product's branch and waits until it is published.
    pub(super) async fn release(&mut self, version: Version, notes: &str) -> Part<Release> {
        self.scene.order_release(&version, notes).await?;
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
        let id = Release::id_of(self.scene.project, version);
        let look = async |records: &Records| {
            let bundles = records.all::<Bundle>("bundles").await?;
            let failure = bundles
                .into_iter()
                .find(|it| it.version == *version)
                .and_then(|it| it.failure);
            if let Some(failure) = failure {
                let why = format!("version {version}: {}: {}", failure.code, failure.why);
                return Ok(Seen::Never(why));
            }
            let release = records.find::<Release>("releases", &id).await?;
            let published = release.filter(|it| it.state == ReleaseState::Published);
            // Devices can have it when its rollout has begun and was published.
            let rollouts = records.all::<RolloutView>("rollouts").await?;
            let mut rollouts = rollouts.into_iter().map(|it| it.rollout);
            let started = rollouts.any(|it| it.version == *version && it.state.is_offering());
            Ok(published
                .filter(|_| started)
                .map_or(Seen::NotYet, Seen::Yes))
        };
        self.watch.until(self.teller, PATIENCE, &what, look).await
    }

    /// Sets the fleet up and has every device install the first version.
    async fn install(&mut self, told: &mut Told) -> Part<Fleet> {
        let scene = self.scene;
        let first_root = format!("tuf/{}/metadata/1.root.json", scene.project);
        let root = scene.client.public(&first_root).await?;
        let settings = scene.sample.path("device-settings.json");
        let source = Source {
            home: scene.client.home().to_owned(),
            project: scene.project,
            channel: scene.channel.clone(),
            root,
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
        let found = part!(self.reported(fleet).await);
        let issue = found.issue;
        told.event_id = Some(issue.sample.to_string());
        told.issue_id = Some(issue.id.to_string());
        let score = &issue.score;
        self.teller.step(&format!(
            "the report became issue “{}”, {:?}, score {}",
            issue.title, issue.level, score.value
        ));
        Ok(Ok(()))
    }

    /// Lets the product crash until a report has come: client libraries send one once and keep none.
    async fn reported(&mut self, fleet: &Fleet) -> Part<IssueView> {
        let look = async |records: &Records| {
            let issues = records.all::<IssueLine>("issues").await?;
            let Some(first) = issues.into_iter().next() else {
                return Ok(Seen::NotYet);
            };
            let whole: IssueView = records.get("issues", &first.id).await?;
            Ok(Seen::Yes(whole))
        };
        let mut missed = Missed(String::new());
        let (own, elsewhere) = CRASHES_MAX;
        let most = if self.watch.is_here() { own } else { elsewhere };
        for _ in 0..most {
            let crashed = self.run(fleet, "refunds-only.jsonl")?;
            if crashed.ok {
                let text =
                    "a day of refunds only does not crash: waiting for a report all the same";
                self.teller.step(text);
            } else {
                let why = crashed.last_line;
                let text = format!("device 1 crashed on a day of refunds only: {why}");
                self.teller.step(&text);
            }
            let watched = self
                .watch
                .until(self.teller, REPORT_PATIENCE, "a report", look);
            match watched.await? {
                Ok(found) => return Ok(Ok(found)),
                Err(why) => missed = why,
            }
        }
        Ok(Err(missed))
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
        let look = async |records: &Records| {
            let view: IssueView = records.get("issues", &id).await?;
            let issue = view.issue;
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
        let proven: Fix = self.watch.records.get("fixes", &id).await?;
        told.fix_id = fix;
        told.fix_commit.clone_from(&proven.commit);
        let passed = proven.gates.iter().filter(|gate| gate.passed).count();
        self.teller.step(&format!(
            "“{}” is proven by {passed} gates and committed on {}",
            proven.title,
            proven.branch.as_deref().unwrap_or("a branch")
        ));
        let look = async |records: &Records| {
            let fix: Fix = records.get("fixes", &id).await?;
            if fix.state == FixState::Rejected {
                let why = fix.story.last().map(|step| step.why.clone());
                return Ok(Seen::Never(why.unwrap_or_default()));
            }
            let Some(bundle) = fix.bundle else {
                return Ok(Seen::NotYet);
            };
            let bundle: Bundle = records.get("bundles", &bundle).await?;
            Ok(Seen::Yes(bundle))
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

    pub(super) async fn rollout(&mut self, version: &Version) -> Part<Rollout> {
        let rollouts: Vec<RolloutView> = self.watch.records.all("rollouts").await?;
        let mut rollouts = rollouts.into_iter().map(|it| it.rollout);
        Ok(match rollouts.find(|it| it.version == *version) {
            Some(found) => Ok(found),
            None => Err(Missed(format!("{version} has no rollout"))),
        })
    }

    pub(super) fn tell_steps(&self, rollout: &Rollout, told: &mut usize) {
        for step in rollout.story.steps().iter().skip(*told) {
            let version = &rollout.version;
            self.teller
                .step(&format!("{version}: {}: {}", step.what, step.why));
            *told += 1;
        }
    }

    pub(super) fn tell_failures(&self, runs: &[Run]) {
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
        let fix: Fix = self.watch.records.get("fixes", &id).await?;
        if fix.state != FixState::Effective {
            let why = format!("the fix is {:?}, not effective", fix.state);
            return Ok(Err(Missed(why)));
        }
        told.healed = true;
        self.teller
            .step("the issue is resolved and the fix is effective");
        Ok(Ok(()))
    }
}
