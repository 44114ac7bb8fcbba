//! The records as the commits made them, and what must hold after every single commit.

use super::machines::{self, Machine};
use kintsugi_domain::alert::Alert;
use kintsugi_domain::bundle::{Bundle, BundleState};
use kintsugi_domain::channel::Head;
use kintsugi_domain::cohort::Arm;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::event::FiledEvent;
use kintsugi_domain::fix::{Fix, FixState};
use kintsugi_domain::guard::tally_counter;
use kintsugi_domain::id::EventId;
use kintsugi_domain::issue::{Issue, IssueState};
use kintsugi_domain::job::{Job, JobState};
use kintsugi_domain::outcome::{Outcome, Progress};
use kintsugi_domain::ports::{Commit, Write};
use kintsugi_domain::record::{Kind, Record};
use kintsugi_domain::release::{Release, ReleaseState};
use kintsugi_domain::rollout::{Rollout, RolloutState};
use semver::Version;
use std::collections::{BTreeMap, BTreeSet};

/// A rule that does not hold.
#[derive(Debug, Clone)]
pub(super) struct Violation {
    /// The rule.
    pub(super) invariant: &'static str,
    /// Where and how.
    pub(super) detail: String,
}

/// What a check answers.
pub(super) type Check<T = ()> = Result<T, Violation>;

/// A rule does not hold.
pub(super) fn violated<T>(invariant: &'static str, detail: impl Into<String>) -> Check<T> {
    let detail = detail.into();
    Err(Violation { invariant, detail })
}

/// A rule holds if `holds`.
pub(super) fn must(holds: bool, invariant: &'static str, detail: impl FnOnce() -> String) -> Check {
    if holds {
        Ok(())
    } else {
        violated(invariant, detail())
    }
}

/// The records by their keys.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    pub(super) issues: BTreeMap<String, Issue>,
    pub(super) fixes: BTreeMap<String, Fix>,
    pub(super) bundles: BTreeMap<String, Bundle>,
    pub(super) releases: BTreeMap<String, Release>,
    pub(super) rollouts: BTreeMap<String, Rollout>,
    pub(super) outcomes: BTreeMap<String, Outcome>,
    pub(super) jobs: BTreeMap<String, JobState>,
    pub(super) filed: BTreeMap<EventId, String>,
    pub(super) alerts: BTreeMap<String, Alert>,
    pub(super) head: Option<Head>,
    /// Every message that was ever handed on.
    pub(super) messages: Vec<Envelope>,
    counters: BTreeMap<String, BTreeMap<String, i64>>,
    /// Commits that changed more than the head.
    pub(super) commits: usize,
}

fn parse<T: Record>(write: &Write) -> Check<T> {
    serde_json::from_str(&write.body)
        .or_else(|error| violated("records are readable", format!("{}: {error}", write.key)))
}

fn moved<T: Machine>(
    known: &mut BTreeMap<String, T>,
    write: &Write,
    trace: &mut Vec<String>,
) -> Check<T> {
    let new: T = parse(write)?;
    let old = known.get(&write.key.key);
    let line = machines::check(old, &new)?;
    let stays = old.is_some_and(|old| old.story().steps() == new.story().steps());
    if !stays {
        trace.push(line);
    }
    known.insert(write.key.key.clone(), new.clone());
    Ok(new)
}

impl Mirror {
    /// Takes a commit over and checks everything that must hold after it. Answers with lines for the trace.
    pub(super) fn see(&mut self, commit: &Commit) -> Check<Vec<String>> {
        let mut trace = Vec::new();
        for write in &commit.writes {
            self.write(write, &mut trace)?;
        }
        for add in &commit.adds {
            let fields = self.counters.entry(add.counter.clone()).or_default();
            *fields.entry(add.field.clone()).or_default() += add.by;
        }
        for envelope in &commit.messages {
            let text = brief(&envelope.message);
            trace.push(format!("hands on {} {text}", envelope.id));
        }
        self.messages.extend(commit.messages.iter().cloned());
        let only_head = commit.writes.iter().all(|it| it.key.kind == Kind::Head);
        self.commits += usize::from(!only_head || !commit.messages.is_empty());
        let touched: BTreeSet<Kind> = commit.writes.iter().map(|it| it.key.kind).collect();
        let touches = |kinds: &[Kind]| kinds.iter().any(|kind| touched.contains(kind));
        if touches(&[Kind::Event, Kind::Issue, Kind::Fix]) {
            self.check_issues()?;
        }
        if touches(&[Kind::Bundle, Kind::Fix, Kind::Release, Kind::Rollout]) {
            self.check_bundles()?;
            self.check_releases()?;
            self.check_rollouts()?;
        }
        self.check_tallies(commit)?;
        Ok(trace)
    }

    fn write(&mut self, write: &Write, trace: &mut Vec<String>) -> Check {
        let key = write.key.key.clone();
        match write.key.kind {
            Kind::Issue => drop(moved(&mut self.issues, write, trace)?),
            Kind::Fix => drop(moved(&mut self.fixes, write, trace)?),
            Kind::Bundle => drop(moved(&mut self.bundles, write, trace)?),
            Kind::Release => drop(moved(&mut self.releases, write, trace)?),
            Kind::Rollout => {
                let old = self.rollouts.get(&key).map(|old| old.share);
                let new: Rollout = moved(&mut self.rollouts, write, trace)?;
                must(
                    old.is_none_or(|old| old <= new.share),
                    "a share never shrinks",
                    || key,
                )?;
            }
            Kind::Event => {
                let filed: FiledEvent = parse(write)?;
                let before = self.filed.insert(filed.id, filed.issue.to_string());
                must(before.is_none(), "an event is filed once", || key)?;
            }
            Kind::Job => {
                let job: Job = parse(write)?;
                let before = self.jobs.insert(key.clone(), job.state);
                must(
                    before != Some(JobState::Done),
                    "a job is reported once",
                    || key,
                )?;
            }
            Kind::Outcome => {
                let outcome: Outcome = parse(write)?;
                let before = self.outcomes.insert(key.clone(), outcome);
                must(
                    before.is_none_or(|before| before.progress == Progress::Started),
                    "an outcome's end counts once",
                    || key,
                )?;
            }
            Kind::Alert => {
                let alert: Alert = parse(write)?;
                let before = self.alerts.insert(key.clone(), alert.clone());
                must(
                    before.is_none_or(|before| before.at == alert.at && before.text == alert.text),
                    "an alert is raised once",
                    || key,
                )?;
            }
            Kind::Head => self.head = Some(parse(write)?),
            Kind::Project
            | Kind::Diagnosis
            | Kind::Flag
            | Kind::Audit
            | Kind::Access
            | Kind::Request
            | Kind::Session
            | Kind::Visitor
            | Kind::Series
            | Kind::Feedback
            | Kind::Attachment
            | Kind::Logs
            | Kind::Monitor
            | Kind::Quota
            | Kind::Batch => {}
        }
        Ok(())
    }

    fn check_issues(&self) -> Check {
        for (id, issue) in &self.issues {
            let filed = self.filed.values().filter(|it| *it == id).count() as u64;
            must(
                filed == issue.events,
                "an issue counts each of its events once",
                || format!("issue {id}: {filed} filed, {} counted", issue.events),
            )?;
            let fix = issue
                .fix
                .as_ref()
                .and_then(|fix| self.fixes.get(fix.as_str()));
            let fix = fix.map(|fix| fix.state);
            let agrees = match issue.state {
                IssueState::Fixed => matches!(
                    fix,
                    Some(FixState::Validated | FixState::Approved | FixState::Bundled)
                ),
                IssueState::Released => fix == Some(FixState::Released),
                IssueState::Resolved => fix == Some(FixState::Effective),
                IssueState::New
                | IssueState::Triaged
                | IssueState::Diagnosed
                | IssueState::Fixing
                | IssueState::Regressed
                | IssueState::Escalating
                | IssueState::Muted
                | IssueState::NeedsHuman => true,
            };
            must(agrees, "an issue stands where its fix stands", || {
                format!("issue {id} is {:?}, its fix is {fix:?}", issue.state)
            })?;
        }
        Ok(())
    }

    fn check_bundles(&self) -> Check {
        let open: Vec<_> = self.bundles.values().filter(|it| it.is_open()).collect();
        must(open.len() <= 1, "at most one bundle is open", || {
            format!("{:?}", open.iter().map(|it| &it.id).collect::<Vec<_>>())
        })?;
        let mut aboard = BTreeSet::new();
        for bundle in self.bundles.values() {
            if bundle.state == BundleState::Failed {
                continue;
            }
            for fix in &bundle.fixes {
                must(
                    bundle.set_aside.contains_key(fix) || aboard.insert(fix),
                    "never two bundles with one fix",
                    || format!("fix {fix}, the second is bundle {}", bundle.id),
                )?;
            }
        }
        Ok(())
    }

    fn check_releases(&self) -> Check {
        let mut versions: BTreeSet<&Version> = BTreeSet::new();
        for (id, release) in &self.releases {
            must(
                versions.insert(&release.version),
                "a version is released once",
                || release.version.to_string(),
            )?;
            if release.state == ReleaseState::Draft {
                continue;
            }
            let bundle = self.bundles.get(release.bundle.as_str());
            let signed = release.statement.is_some()
                && bundle.is_some_and(|it| it.state == BundleState::Signed);
            must(
                signed,
                "a published release has a signed bundle and a statement",
                || id.clone(),
            )?;
            for fix in &release.fixes {
                let state = self.fixes.get(fix.as_str()).map(|fix| fix.state);
                must(
                    matches!(
                        state,
                        Some(FixState::Released | FixState::Effective | FixState::Ineffective)
                    ),
                    "a published release has released fixes only",
                    || format!("version {}: fix {fix} is {state:?}", release.version),
                )?;
            }
        }
        Ok(())
    }

    fn check_rollouts(&self) -> Check {
        let mut running = Vec::new();
        for rollout in self.rollouts.values() {
            let release = self.releases.get(rollout.release.as_str());
            let state = release.map(|release| release.state);
            let (agrees, runs) = match rollout.state {
                RolloutState::Pending | RolloutState::Finalised => {
                    (state == Some(ReleaseState::Published), false)
                }
                RolloutState::Canary | RolloutState::Ramping | RolloutState::Paused => {
                    (state == Some(ReleaseState::Published), true)
                }
                // Halted and without a way back: revoked by the rollback that follows.
                RolloutState::Halted => (state.is_some(), false),
                RolloutState::RolledBack => (state == Some(ReleaseState::Revoked), false),
            };
            must(agrees, "a rollout stands where its release stands", || {
                format!(
                    "version {}: {:?}, {state:?}",
                    rollout.version, rollout.state
                )
            })?;
            if runs {
                running.push(&rollout.version);
            }
        }
        must(running.len() <= 1, "one rollout runs at a time", || {
            format!("{running:?}")
        })
    }

    /// The counters of a rollout say what its outcomes say.
    fn check_tallies(&self, commit: &Commit) -> Check {
        let touched: BTreeSet<&str> = commit.adds.iter().map(|it| it.counter.as_str()).collect();
        for rollout in self.rollouts.values() {
            let counter = tally_counter(&rollout.id);
            if !touched.contains(counter.as_str()) {
                continue;
            }
            let mut expected: BTreeMap<&str, i64> = BTreeMap::new();
            for outcome in self.outcomes.values() {
                if outcome.rollout == rollout.id {
                    let (started, ended) = fields_of(outcome);
                    *expected.entry(started).or_default() += 1;
                    if let Some(ended) = ended {
                        *expected.entry(ended).or_default() += 1;
                    }
                }
            }
            let counted = self.counters.get(&counter);
            let counted: BTreeMap<&str, i64> = counted
                .into_iter()
                .flatten()
                .filter(|(field, _)| !field.starts_with("weight"))
                .map(|(field, count)| (field.as_str(), *count))
                .collect();
            must(
                counted == expected,
                "a tally counts each outcome once",
                || {
                    format!(
                        "version {}: {counted:?}, records: {expected:?}",
                        rollout.version
                    )
                },
            )?;
        }
        Ok(())
    }

    /// The fields of a rollout's tally.
    pub(super) fn tally(&self, rollout: &Rollout) -> BTreeMap<String, i64> {
        let counter = tally_counter(&rollout.id);
        self.counters.get(&counter).cloned().unwrap_or_default()
    }
}

/// A message in a few words.
fn brief(message: &Message) -> String {
    if let Message::Reported { events } = message {
        return format!("Reported, {} events", events.len());
    }
    if let Message::Install { outcome } = message {
        return format!(
            "Install {} {} {:?} {:?}",
            outcome.device, outcome.version, outcome.arm, outcome.progress
        );
    }
    format!("{message:?}")
}

fn fields_of(outcome: &Outcome) -> (&'static str, Option<&'static str>) {
    let failed = matches!(outcome.progress, Progress::Failed { .. } | Progress::Silent);
    let healthy = outcome.progress == Progress::Healthy;
    match outcome.arm {
        Arm::New => (
            "new_started",
            failed
                .then_some("new_failed")
                .or(healthy.then_some("new_healthy")),
        ),
        Arm::Control => (
            "control_started",
            failed
                .then_some("control_failed")
                .or(healthy.then_some("control_healthy")),
        ),
    }
}
