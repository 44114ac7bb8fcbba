//! A change that should end an issue, and the evidence for it.

use crate::Timestamp;
use crate::digest::Digest;
use crate::id::{BundleId, FixId, IssueId, ProjectId};
use crate::job::{CandidateReport, FixClass, Gate, SearchReport, SourceFile};
use crate::record::{IndexEntry, Kind, Record};
use crate::state::IllegalTransition;
use crate::story::Story;
use serde::{Deserialize, Serialize};

/// Where a fix stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixState {
    /// Drafted.
    Candidate,
    /// Passed every gate.
    Validated,
    /// May depart.
    Approved,
    /// On a train.
    Bundled,
    /// Out.
    Released,
    /// Nothing came back.
    Effective,
    /// It came back.
    Ineffective,
    /// Refused, with the reason in its story.
    Rejected,
}

/// What can happen to a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixMove {
    /// It passed every gate.
    Validate,
    /// Policy or a person let it go.
    Approve,
    /// A train took it.
    Bundle,
    /// Its train failed for another reason; it waits for the next.
    Unbundle,
    /// Its release was published.
    Release,
    /// Nothing came back.
    Prove,
    /// It came back, or its release was called back.
    Refute,
    /// Refused.
    Reject,
}

impl FixState {
    /// The state after a move, or why there is none.
    pub fn next(self, event: FixMove) -> Result<Self, IllegalTransition> {
        use FixMove as M;
        use FixState as S;
        match (self, event) {
            (S::Candidate, M::Validate) => Ok(S::Validated),
            (S::Validated, M::Approve) | (S::Bundled, M::Unbundle) => Ok(S::Approved),
            (S::Approved, M::Bundle) => Ok(S::Bundled),
            (S::Bundled, M::Release) => Ok(S::Released),
            (S::Released, M::Prove) => Ok(S::Effective),
            (S::Released | S::Effective, M::Refute) => Ok(S::Ineffective),
            (S::Candidate | S::Validated | S::Approved | S::Bundled, M::Reject) => Ok(S::Rejected),
            (S::Candidate, M::Approve | M::Bundle | M::Unbundle | M::Release)
            | (S::Candidate, M::Prove | M::Refute)
            | (S::Validated, M::Validate | M::Bundle | M::Unbundle | M::Release)
            | (S::Validated, M::Prove | M::Refute)
            | (S::Approved, M::Validate | M::Approve | M::Unbundle | M::Release)
            | (S::Approved, M::Prove | M::Refute)
            | (S::Bundled, M::Validate | M::Approve | M::Bundle | M::Prove | M::Refute)
            | (S::Released, M::Validate | M::Approve | M::Bundle | M::Unbundle | M::Release)
            | (S::Released, M::Reject)
            | (S::Effective, M::Validate | M::Approve | M::Bundle | M::Unbundle | M::Release)
            | (S::Effective, M::Prove | M::Reject)
            | (S::Ineffective | S::Rejected, M::Validate | M::Approve | M::Bundle | M::Unbundle)
            | (S::Ineffective | S::Rejected, M::Release | M::Prove | M::Refute | M::Reject) => {
                Err(IllegalTransition::new("fix", &self, &event))
            }
        }
    }
}

/// A change that should end an issue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fix {
    /// Its id, named by issue and change.
    pub id: FixId,
    /// Its project.
    pub project: ProjectId,
    /// The issue it should end.
    pub issue: IssueId,
    /// Where it stands.
    pub state: FixState,
    /// The line for commit and changelog.
    pub title: String,
    /// The rule that made it.
    pub rule: String,
    /// What kind of change it is.
    pub class: FixClass,
    /// The commit it was proven on.
    pub base: String,
    /// The changed files, the regression test among them.
    pub files: Vec<SourceFile>,
    /// The change, as a unified diff.
    pub diff: String,
    /// What was tried, and how it went.
    pub gates: Vec<Gate>,
    /// The branch it was proposed on.
    pub branch: Option<String>,
    /// Its commit in the product's repository.
    pub commit: Option<String>,
    /// How urgent it is (ledger E1), once scored.
    pub priority: Option<crate::train::FixScore>,
    /// The bundle it is in.
    pub bundle: Option<BundleId>,
    /// What happened to it.
    pub story: Story,
}

impl Fix {
    /// The fix of a proven candidate.
    pub fn from_candidate(
        project: ProjectId,
        issue: &IssueId,
        base: &str,
        title: String,
        candidate: &CandidateReport,
        regression_test: &SourceFile,
        base_gates: &[Gate],
    ) -> Self {
        let digest = Digest::of_parts(&[
            issue.as_str().as_bytes(),
            base.as_bytes(),
            candidate.diff.as_bytes(),
        ]);
        let mut files = candidate.files.clone();
        files.push(regression_test.clone());
        let gates = base_gates.iter().chain(&candidate.gates).cloned().collect();
        Self {
            id: FixId::from_digest(digest),
            project,
            issue: issue.clone(),
            state: FixState::Candidate,
            title,
            rule: candidate.rule.clone(),
            class: candidate.class,
            base: base.to_owned(),
            files,
            diff: candidate.diff.clone(),
            gates,
            branch: None,
            commit: None,
            priority: None,
            bundle: None,
            story: Story::default(),
        }
    }

    /// Makes a move and tells it.
    pub fn step(
        &mut self,
        event: FixMove,
        at: Timestamp,
        by: &str,
        why: impl Into<String>,
    ) -> Result<(), IllegalTransition> {
        self.state = self.state.next(event)?;
        self.story.tell(at, by, format!("{:?}", self.state), why);
        Ok(())
    }
}

/// What a search leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict<'a> {
    /// This candidate is proven and ranks first.
    Chosen {
        /// The candidate.
        candidate: &'a CandidateReport,
        /// The test that shows it.
        regression_test: &'a SourceFile,
        /// Why it ranks first.
        why: String,
    },
    /// None is proven: `NO_VALID_FIX`, and why.
    None {
        /// The reason, in a sentence.
        why: String,
    },
}

/// Chooses among the candidates of a search (ledger D8). A fix without a reproducer is never chosen.
/// Correcting changes rank over guards, guards over suppressing ones; then the rule's prior, then size.
pub fn choose(report: &SearchReport) -> Verdict<'_> {
    if let Some(why) = &report.refused {
        return Verdict::None { why: why.clone() };
    }
    let Some(regression_test) = &report.regression_test else {
        return Verdict::None {
            why: "the event's inputs could not be rebuilt".to_owned(),
        };
    };
    if let Some(gate) = report.base.iter().find(|gate| !gate.passed) {
        return Verdict::None {
            why: format!("before any change: {}: {}", gate.name, gate.detail),
        };
    }
    let mut proven: Vec<&CandidateReport> = report
        .candidates
        .iter()
        .filter(|candidate| candidate.is_proven())
        .collect();
    proven.sort_by(|a, b| {
        b.class
            .cmp(&a.class)
            .then(b.prior.total_cmp(&a.prior))
            .then(a.size.cmp(&b.size))
            .then(a.diff.cmp(&b.diff))
    });
    match proven.first() {
        Some(candidate) => Verdict::Chosen {
            candidate,
            regression_test,
            why: format!(
                "{} of {} candidates passed every gate; “{}” ranks first: {:?}, prior {:.2}, {} lines",
                proven.len(),
                report.candidates.len(),
                candidate.rule,
                candidate.class,
                candidate.prior,
                candidate.size
            ),
        },
        None => Verdict::None {
            why: format!(
                "none of {} candidates passed every gate",
                report.candidates.len()
            ),
        },
    }
}

impl Record for Fix {
    const KIND: Kind = Kind::Fix;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn indexes(&self) -> Vec<IndexEntry> {
        let mut entries = vec![IndexEntry::new("issue", &self.issue)];
        match self.state {
            FixState::Validated => entries.push(IndexEntry::new("waiting", &"review")),
            FixState::Approved => entries.push(IndexEntry::new("waiting", &"train")),
            FixState::Candidate
            | FixState::Bundled
            | FixState::Released
            | FixState::Effective
            | FixState::Ineffective
            | FixState::Rejected => {}
        }
        entries
    }
}
