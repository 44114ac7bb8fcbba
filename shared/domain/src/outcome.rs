//! What one install did. Counts once per device, rollout and arm: a device that was in the control arm
//! while the share was small, and is offered the release when it grows, counts in both.

use crate::Timestamp;
use crate::cohort::{Arm, Share};
use crate::guard::{increments, tally_counter, weight_field};
use crate::id::{DeviceId, ProjectId, RolloutId};
use crate::ports::Commit;
use crate::record::{IndexEntry, Kind, Record};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of [`OutcomeReport`]'s written form.
pub const REPORT_FORMAT: u16 = 1;

/// How far an install came. The control arm reports too: its device checks the version that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Progress {
    /// It began: from here on silence is a failure.
    Started,
    /// The health check passed.
    Healthy,
    /// It failed, and the device went back.
    Failed {
        /// The step that failed: `download`, `verify`, `apply`, `health` …
        step: String,
        /// What happened.
        error: String,
    },
    /// Nothing came within the deadline. Written by the rollout stage, never by a device.
    Silent,
}

/// What one install did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its project.
    pub project: ProjectId,
    /// The rollout, as the ticket says.
    pub rollout: RolloutId,
    /// The version that rolls out, as the ticket says.
    pub version: Version,
    /// The device, as the ticket says.
    pub device: DeviceId,
    /// The arm, as the ticket says.
    pub arm: Arm,
    /// How far it came.
    pub progress: Progress,
    /// When we heard of it first.
    pub at: Timestamp,
    /// From the start of the install to its end, milliseconds.
    pub duration_ms: u64,
}

/// The body of `POST /v1/{project}/outcomes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeReport {
    /// [`REPORT_FORMAT`].
    pub format: u16,
    /// The ticket of the offer: says which device, rollout and arm this is about.
    pub ticket: String,
    /// How far it came.
    pub progress: Progress,
    /// Since the install began, milliseconds.
    pub duration_ms: u64,
    /// The system: `platform`, `arch`, `updater`.
    pub system: BTreeMap<String, String>,
}

/// What a report changes about what we know of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// The device is counted as begun.
    Start,
    /// The device had begun; now its end counts.
    End,
    /// Begin and end at once: the report of the beginning was lost or comes later.
    StartAndEnd,
    /// It counts for nothing: we knew already.
    Nothing,
}

impl Progress {
    /// Whether nothing more is to come.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Started => false,
            Self::Healthy | Self::Failed { .. } | Self::Silent => true,
        }
    }
}

/// How a report counts, given what is known. Duplicates and late beginnings count for nothing, so the
/// order of delivery does not matter.
pub fn counts(known: Option<&Progress>, reported: &Progress) -> Counts {
    match (known, reported.is_final()) {
        (None, false) => Counts::Start,
        (None, true) => Counts::StartAndEnd,
        (Some(Progress::Started), true) => Counts::End,
        (
            Some(
                Progress::Started | Progress::Healthy | Progress::Failed { .. } | Progress::Silent,
            ),
            _,
        ) => Counts::Nothing,
    }
}

impl Outcome {
    /// The arm's name in keys and counters.
    fn arm_name(&self) -> &'static str {
        match self.arm {
            Arm::New => "new",
            Arm::Control => "control",
        }
    }

    /// Adds what this outcome counts to its rollout's tally. `share` is the share in force.
    #[must_use]
    pub fn tally(&self, counts: Counts, share: Share, mut commit: Commit) -> Commit {
        let counter = tally_counter(&self.rollout);
        let arm = self.arm_name();
        let (start, end) = match counts {
            Counts::Start => (true, false),
            Counts::End => (false, true),
            Counts::StartAndEnd => (true, true),
            Counts::Nothing => (false, false),
        };
        if start {
            commit = commit.add(self.project, &counter, &format!("{arm}_started"), 1);
        }
        if !end {
            return commit;
        }
        match self.progress {
            Progress::Started => commit,
            Progress::Healthy => commit.add(self.project, &counter, &format!("{arm}_healthy"), 1),
            Progress::Failed { .. } | Progress::Silent => {
                commit = commit.add(self.project, &counter, &format!("{arm}_failed"), 1);
                for (k, units) in increments(self.arm, share).into_iter().enumerate() {
                    commit = commit.add(self.project, &counter, &weight_field(k), units);
                }
                commit
            }
        }
    }
}

impl Record for Outcome {
    const KIND: Kind = Kind::Outcome;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        format!("{}.{}.{}", self.rollout, self.device, self.arm_name())
    }

    fn indexes(&self) -> Vec<IndexEntry> {
        let mut entries = vec![IndexEntry::new("rollout", &self.rollout)];
        if !self.progress.is_final() {
            entries.push(IndexEntry::new("open", &self.rollout));
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_counts_once_whatever_the_order() {
        let failed = Progress::Failed {
            step: "health".into(),
            error: String::new(),
        };
        assert_eq!(counts(None, &Progress::Started), Counts::Start);
        assert_eq!(counts(Some(&Progress::Started), &failed), Counts::End);
        assert_eq!(counts(Some(&failed), &failed), Counts::Nothing);
        assert_eq!(counts(None, &failed), Counts::StartAndEnd);
        assert_eq!(counts(Some(&failed), &Progress::Started), Counts::Nothing);
        assert_eq!(
            counts(Some(&Progress::Silent), &Progress::Healthy),
            Counts::Nothing
        );
    }
}
