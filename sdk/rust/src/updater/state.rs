//! What is installed, what must not be, and the install under way.
//!
//! `state.json` is the truth; `current` follows it. `journal.json` exists from the moment an install
//! may change what runs until that is settled, so the recovery knows which way to finish.
//!
//! **Invariant: whatever instant the process ends at, [`recover`] leaves a version that was confirmed,
//! or nothing where nothing was.**

use super::error::UpdateError;
use super::folder::{Folder, read_json, remove_file, write_json};
use kintsugi_domain::Timestamp;
use kintsugi_domain::channel::HealthCheck;
use kintsugi_domain::id::RolloutId;
use kintsugi_domain::job::Content;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The version of `state.json` and `journal.json`.
const STATE_FORMAT: u16 = 1;
/// Installs of one version that may be cut off before it counts as the version's fault.
const CUT_OFF_MAX: u32 = 3;
/// Rollouts and quarantined versions that are remembered.
const REMEMBERED_MAX: usize = 100;

/// An installed version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// The version.
    pub version: Version,
    /// Its archive: the base of the next delta.
    pub content: Content,
    /// How to tell that it works.
    pub health: HealthCheck,
    /// When it was confirmed.
    pub at: Timestamp,
}

/// Why a version is never tried again on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    /// The step that failed.
    pub step: String,
    /// What happened.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The format version.
    pub format: u16,
    /// What runs.
    pub installed: Option<Installed>,
    /// What ran before: the restore point.
    pub previous: Option<Installed>,
    /// Versions that failed here.
    pub quarantined: BTreeMap<Version, Quarantine>,
    /// Installs that were cut off, by version.
    pub cut_off: BTreeMap<Version, u32>,
    /// Rollouts whose question this device has answered, oldest first.
    pub answered: Vec<RolloutId>,
}

impl Default for State {
    /// Nothing installed.
    fn default() -> Self {
        Self {
            format: STATE_FORMAT,
            installed: None,
            previous: None,
            quarantined: BTreeMap::new(),
            cut_off: BTreeMap::new(),
            answered: Vec::new(),
        }
    }
}

/// How far an install has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Phase {
    /// The new version is on trial: it may or may not be the one that runs.
    Trial,
    /// It failed, and the old one is being put back.
    GoingBack {
        /// The step that failed.
        step: String,
        /// What happened.
        reason: String,
    },
}

/// `journal.json`: an install under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    format: u16,
    /// What ran before.
    pub(super) from: Option<Version>,
    /// What is being installed.
    pub(super) to: Installed,
    /// How far it has come.
    pub(super) phase: Phase,
    /// The ticket to report with.
    pub(super) ticket: Option<String>,
    /// The comparison the install is part of.
    pub(super) rollout: Option<RolloutId>,
    /// When it began.
    pub(super) started_at: Timestamp,
}

/// What the recovery found to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recovered {
    /// Nothing, or only leftovers.
    Clean,
    /// An install had been confirmed, but perhaps not reported.
    Confirmed(Journal),
    /// An install had been cut off; the version before runs again.
    CutOff(Journal),
    /// An install had failed, or had been cut off too often; the version before runs again and the
    /// new one is quarantined.
    WentBack(Journal, Quarantine),
}

impl State {
    /// The state of a folder; a new folder has nothing installed.
    pub(super) fn load(folder: &Folder) -> Result<Self, UpdateError> {
        Self::load_from(folder.dir())
    }

    pub(super) fn load_from(dir: &Path) -> Result<Self, UpdateError> {
        let path = dir.join("state.json");
        let state: Self = read_json(&path)?.unwrap_or_default();
        if state.format == STATE_FORMAT {
            Ok(state)
        } else {
            Err(UpdateError::Damaged {
                path,
                why: format!("format {} is not {STATE_FORMAT}", state.format),
            })
        }
    }

    pub(super) fn save(&self, folder: &Folder) -> Result<(), UpdateError> {
        write_json(&folder.file("state.json"), self)
    }

    /// The installed version; 0.0.0 for none.
    pub fn version(&self) -> Version {
        self.installed
            .as_ref()
            .map_or(Version::new(0, 0, 0), |installed| installed.version.clone())
    }

    /// Versions whose files are kept.
    fn kept(&self) -> Vec<&Version> {
        [&self.installed, &self.previous]
            .into_iter()
            .flatten()
            .map(|installed| &installed.version)
            .collect()
    }

    /// Deletes every version but the running one and the one before.
    pub(super) fn tidy(&self, folder: &Folder) -> Result<(), UpdateError> {
        folder.tidy(&self.kept())
    }

    /// The new version is confirmed; what ran before becomes the restore point.
    pub(super) fn confirm(&mut self, to: Installed) {
        self.cut_off.remove(&to.version);
        let before = self.installed.replace(to);
        let same = |one: &Installed| Some(&one.version) == before.as_ref().map(|b| &b.version);
        if !self.installed.as_ref().is_some_and(same) {
            self.previous = before;
        }
    }

    /// A version is not tried again.
    pub(super) fn quarantine(&mut self, version: Version, why: Quarantine) {
        self.cut_off.remove(&version);
        if self
            .previous
            .as_ref()
            .is_some_and(|one| one.version == version)
        {
            self.previous = None;
        }
        self.quarantined.insert(version, why);
        while self.quarantined.len() > REMEMBERED_MAX {
            self.quarantined.pop_first();
        }
    }

    /// Remembers that a rollout's question is answered.
    pub(super) fn answer(&mut self, rollout: &RolloutId) {
        if !self.answered.contains(rollout) {
            self.answered.push(rollout.clone());
        }
        if self.answered.len() > REMEMBERED_MAX {
            self.answered.remove(0);
        }
    }
}

impl Journal {
    pub(super) fn trial(
        from: Option<Version>,
        to: Installed,
        ticket: Option<String>,
        rollout: Option<RolloutId>,
        started_at: Timestamp,
    ) -> Self {
        Self {
            format: STATE_FORMAT,
            from,
            to,
            phase: Phase::Trial,
            ticket,
            rollout,
            started_at,
        }
    }

    pub(super) fn save(&self, folder: &Folder) -> Result<(), UpdateError> {
        write_json(&folder.file("journal.json"), self)
    }

    pub(super) fn clear(folder: &Folder) -> Result<(), UpdateError> {
        remove_file(&folder.file("journal.json"))
    }
}

/// Puts a folder in order after any end of the process: finishes or undoes the install under way, lets
/// `current` point at what `state.json` says, deletes leftovers. The journal stays until the caller has
/// stored what is to be reported; reading it twice gives the same.
pub(super) fn recover(
    folder: &Folder,
    state: &mut State,
    now: Timestamp,
) -> Result<Recovered, UpdateError> {
    let journal: Option<Journal> = read_json(&folder.file("journal.json"))?;
    let confirmed = |journal: &Journal| journal.to.version == state.version();
    let recovered = match journal {
        None => Recovered::Clean,
        Some(journal) if confirmed(&journal) => Recovered::Confirmed(journal),
        Some(journal) => settle(state, journal, now),
    };
    drop_missing(folder, state);
    // The state first: if this ends here too, the journal is read again and says the same.
    state.save(folder)?;
    let installed = state.installed.as_ref().map(|one| one.version.clone());
    if folder.current() != installed {
        folder.point_at(installed.as_ref())?;
    }
    state.tidy(folder)?;
    Ok(recovered)
}

/// Decides what a journal of an unconfirmed install means.
fn settle(state: &mut State, journal: Journal, now: Timestamp) -> Recovered {
    let version = journal.to.version.clone();
    let why = match &journal.phase {
        Phase::GoingBack { step, reason } => Quarantine {
            step: step.clone(),
            reason: reason.clone(),
            at: now,
        },
        Phase::Trial => {
            let times = state.cut_off.entry(version.clone()).or_default();
            *times += 1;
            if *times < CUT_OFF_MAX {
                return Recovered::CutOff(journal);
            }
            Quarantine {
                step: "interrupted".to_owned(),
                reason: format!("the install was cut off {times} times"),
                at: now,
            }
        }
    };
    state.quarantine(version, why.clone());
    Recovered::WentBack(journal, why)
}

/// Somebody deleted a tree: what is not there cannot run, and the version before may still do.
fn drop_missing(folder: &Folder, state: &mut State) {
    // A tree that stepped aside for a fresh one is still there, under its other name.
    let is_there = |one: &Installed| {
        folder.version(&one.version).is_dir() || folder.version_old(&one.version).is_dir()
    };
    if state.previous.as_ref().is_some_and(|one| !is_there(one)) {
        state.previous = None;
    }
    if state.installed.as_ref().is_some_and(|one| !is_there(one)) {
        state.installed = state.previous.take();
    }
}
