//! Events with one cause, and what becomes of them.

use crate::Timestamp;
use crate::event::Event;
use crate::grouping::Fingerprint;
use crate::id::{FixId, IssueId, ProjectId};
use crate::limits::{ISSUE_FACETS_MAX, ISSUE_USERS_MAX};
use crate::record::{IndexEntry, Kind, Record};
use crate::score::{Level, Score};
use crate::sla::{Clocks, SlaRules};
use crate::state::IllegalTransition;
use crate::story::Story;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Where an issue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueState {
    /// Seen, not yet scored.
    New,
    /// Scored and routed.
    Triaged,
    /// Its cause is named.
    Diagnosed,
    /// A fix is being searched for.
    Fixing,
    /// A proven fix waits for its train.
    Fixed,
    /// The fix is out.
    Released,
    /// The fix works: nothing came back.
    Resolved,
    /// It came back after it was fixed.
    Regressed,
    /// It grows faster than it should.
    Escalating,
    /// People chose not to hear of it until it escalates.
    Muted,
    /// The pipeline cannot help; a person must.
    NeedsHuman,
}

/// What can happen to an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueMove {
    /// It was scored.
    Triage,
    /// Its cause was named.
    Diagnose,
    /// A search for a fix began.
    StartFix,
    /// A fix was proven.
    Prove,
    /// The release with the fix was published.
    Release,
    /// Nothing came back.
    Resolve,
    /// It was seen in a version that has the fix.
    Recur,
    /// It grows too fast.
    Escalate,
    /// A person muted it.
    Mute,
    /// A person unmuted it.
    Unmute,
    /// The pipeline is at its end.
    GiveUp,
}

impl IssueState {
    /// The state after a move, or why there is none.
    pub fn next(self, event: IssueMove) -> Result<Self, IllegalTransition> {
        use IssueMove as M;
        use IssueState as S;
        let refused = || Err(IllegalTransition::new("issue", &self, &event));
        match (self, event) {
            (S::New | S::Muted, M::Triage | M::Unmute) => Ok(S::Triaged),
            (S::Triaged | S::Regressed | S::Escalating | S::NeedsHuman, M::Diagnose) => {
                Ok(S::Diagnosed)
            }
            (S::Diagnosed, M::StartFix) => Ok(S::Fixing),
            (S::Fixing, M::Prove) => Ok(S::Fixed),
            (S::Fixed, M::Release) => Ok(S::Released),
            (S::Released | S::NeedsHuman, M::Resolve) => Ok(S::Resolved),
            (S::Released | S::Resolved, M::Recur) => Ok(S::Regressed),
            (S::Triaged | S::Muted, M::Escalate) => Ok(S::Escalating),
            (
                S::New
                | S::Triaged
                | S::Diagnosed
                | S::Regressed
                | S::Escalating
                | S::NeedsHuman
                | S::Resolved,
                M::Mute,
            ) => Ok(S::Muted),
            (
                S::Triaged
                | S::Diagnosed
                | S::Fixing
                | S::Fixed
                | S::Released
                | S::Regressed
                | S::Escalating,
                M::GiveUp,
            ) => Ok(S::NeedsHuman),
            (S::New, M::Diagnose | M::StartFix | M::Prove | M::Release | M::Resolve)
            | (S::New, M::Recur | M::Escalate | M::GiveUp)
            | (S::Triaged, M::Triage | M::StartFix | M::Prove | M::Release | M::Resolve)
            | (S::Triaged, M::Recur | M::Unmute)
            | (S::Diagnosed, M::Triage | M::Diagnose | M::Prove | M::Release | M::Resolve)
            | (S::Diagnosed, M::Recur | M::Escalate | M::Unmute)
            | (S::Fixing, M::Triage | M::Diagnose | M::StartFix | M::Release | M::Resolve)
            | (S::Fixing, M::Recur | M::Escalate | M::Mute | M::Unmute)
            | (S::Fixed, M::Triage | M::Diagnose | M::StartFix | M::Prove | M::Resolve)
            | (S::Fixed, M::Recur | M::Escalate | M::Mute | M::Unmute)
            | (S::Released, M::Triage | M::Diagnose | M::StartFix | M::Prove | M::Release)
            | (S::Released, M::Escalate | M::Mute | M::Unmute)
            | (S::Resolved, M::Triage | M::Diagnose | M::StartFix | M::Prove | M::Release)
            | (S::Resolved, M::Resolve | M::Escalate | M::Unmute | M::GiveUp)
            | (S::Regressed, M::Triage | M::StartFix | M::Prove | M::Release | M::Resolve)
            | (S::Regressed, M::Recur | M::Escalate | M::Unmute)
            | (S::Escalating, M::Triage | M::StartFix | M::Prove | M::Release | M::Resolve)
            | (S::Escalating, M::Recur | M::Escalate | M::Unmute)
            | (S::Muted, M::Diagnose | M::StartFix | M::Prove | M::Release | M::Resolve)
            | (S::Muted, M::Recur | M::Mute | M::GiveUp)
            | (S::NeedsHuman, M::Triage | M::StartFix | M::Prove | M::Release | M::Recur)
            | (S::NeedsHuman, M::Escalate | M::Unmute | M::GiveUp) => refused(),
        }
    }
}

/// Events with one cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Issue {
    /// Its id, named by its fingerprint.
    pub id: IssueId,
    /// Its project.
    pub project: ProjectId,
    /// Where it stands.
    pub state: IssueState,
    /// A line that names it.
    pub title: String,
    /// The product frame where it was raised: `totals.average_sale`.
    pub culprit: Option<String>,
    /// Why events belong to it.
    pub fingerprint: Fingerprint,
    /// How bad it is.
    pub level: Level,
    /// How urgent it is, and why.
    pub score: Score,
    /// The first event; the one that diagnosis works from.
    pub sample: crate::id::EventId,
    /// Events so far.
    pub events: u64,
    /// First seen, by our clock.
    pub first_seen: Timestamp,
    /// Last seen, by our clock.
    pub last_seen: Timestamp,
    /// When a report first made it so bad that a fix of it departs at once; anew when it comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_since: Option<Timestamp>,
    /// Hashes of users seen, up to [`ISSUE_USERS_MAX`].
    pub users: BTreeSet<String>,
    /// Releases seen, up to [`ISSUE_FACETS_MAX`].
    pub releases: BTreeSet<String>,
    /// Whether the program went on after it.
    pub handled: bool,
    /// The fix that is meant to end it.
    pub fix: Option<FixId>,
    /// The version that has the fix.
    pub fixed_in: Option<Version>,
    /// What people are still owed, and when.
    #[serde(default)]
    pub clocks: Clocks,
    /// What happened to it.
    pub story: Story,
}

impl Issue {
    /// A new issue from its first event. Not scored yet.
    pub fn open(event: &Event, fingerprint: Fingerprint, level: Level) -> Self {
        Self {
            id: fingerprint.issue(event.project),
            project: event.project,
            state: IssueState::New,
            title: event.title(),
            culprit: event.culprit().map(|frame| match &frame.module {
                Some(module) => format!("{module}.{}", frame.function),
                None => format!("{}:{}", frame.file, frame.function),
            }),
            fingerprint,
            level,
            score: Score::default(),
            sample: event.id.clone(),
            events: 0,
            first_seen: event.received_at,
            last_seen: event.received_at,
            critical_since: None,
            users: BTreeSet::new(),
            releases: BTreeSet::new(),
            handled: !event.is_unhandled(),
            fix: None,
            fixed_in: None,
            clocks: Clocks::default(),
            story: Story::default(),
        }
    }

    /// Counts one more event. The order of events does not matter.
    pub fn join(&mut self, event: &Event) {
        self.events = self.events.saturating_add(1);
        self.first_seen = self.first_seen.min(event.received_at);
        self.last_seen = self.last_seen.max(event.received_at);
        self.handled &= !event.is_unhandled();
        if let Some(user) = &event.user
            && self.users.len() < ISSUE_USERS_MAX
        {
            self.users.insert(user.clone());
        }
        if let Some(release) = &event.release
            && self.releases.len() < ISSUE_FACETS_MAX
        {
            self.releases.insert(release.clone());
        }
    }

    /// Whether its fix is out, and in this version.
    pub fn is_released_in(&self, version: &Version) -> bool {
        self.state == IssueState::Released && self.fixed_in.as_ref() == Some(version)
    }

    /// Whether this event shows that the fix did not end the issue: it happened in a version that has
    /// the fix.
    pub fn is_recurrence(&self, event: &Event) -> bool {
        match (&self.fixed_in, event.version()) {
            (Some(fixed), Some(seen)) => seen >= *fixed,
            (Some(_) | None, _) => false,
        }
    }

    /// People are owed an answer to it from now on.
    pub fn start_clocks(&mut self, rules: &SlaRules, at: Timestamp) {
        self.clocks = Clocks::start(rules.promise(self.level), at);
    }

    /// It is at least as bad as that.
    pub fn raise(&mut self, level: Level, rules: &SlaRules) {
        if level > self.level {
            self.level = level;
            self.clocks.hasten(rules.promise(level));
        }
    }

    /// Where issues are found that people are still owed something of.
    pub fn owed() -> IndexEntry {
        IndexEntry::new("clocks", &"running")
    }

    /// Makes a move and tells it.
    pub fn step(
        &mut self,
        event: IssueMove,
        at: Timestamp,
        by: &str,
        why: impl Into<String>,
    ) -> Result<(), IllegalTransition> {
        self.state = self.state.next(event)?;
        self.clocks.note(event);
        self.story.tell(at, by, format!("{:?}", self.state), why);
        Ok(())
    }
}

impl Record for Issue {
    const KIND: Kind = Kind::Issue;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn indexes(&self) -> Vec<IndexEntry> {
        let name = serde_json::to_value(self.state).ok();
        let state = name
            .as_ref()
            .and_then(|name| name.as_str())
            .unwrap_or_default()
            .to_owned();
        let mut entries = vec![IndexEntry::new("state", &state)];
        if self.clocks.is_running() {
            entries.push(Self::owed());
        }
        entries
    }
}
