//! Fixes that depart together, and what becomes of the build.

use crate::Timestamp;
use crate::id::{BundleId, FixId, JobId, ProjectId, ReleaseId};
use crate::job::Failure;
use crate::record::{IndexEntry, Kind, Record};
use crate::state::IllegalTransition;
use crate::story::Story;
use crate::train::{Predicate, Train};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a bundle stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleState {
    /// Its fixes are chosen.
    Collecting,
    /// The engine builds it.
    Building,
    /// The product is built and its suite passes.
    Built,
    /// Package, deltas and changelog are there.
    Packaged,
    /// Its release is signed.
    Signed,
    /// It ended without a release.
    Failed,
}

/// What can happen to a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleMove {
    /// The build was ordered.
    Order,
    /// The build passed.
    Build,
    /// The packages are stored.
    Package,
    /// The release was signed.
    Sign,
    /// It failed.
    Fail,
}

impl BundleState {
    /// The state after a move, or why there is none.
    pub fn next(self, event: BundleMove) -> Result<Self, IllegalTransition> {
        use BundleMove as M;
        use BundleState as S;
        match (self, event) {
            (S::Collecting, M::Order) => Ok(S::Building),
            (S::Building, M::Build) => Ok(S::Built),
            (S::Built, M::Package) => Ok(S::Packaged),
            (S::Packaged, M::Sign) => Ok(S::Signed),
            (S::Collecting | S::Building | S::Built | S::Packaged, M::Fail) => Ok(S::Failed),
            (S::Collecting, M::Build | M::Package | M::Sign)
            | (S::Building, M::Order | M::Package | M::Sign)
            | (S::Built, M::Order | M::Build | M::Sign)
            | (S::Packaged, M::Order | M::Build | M::Package)
            | (S::Signed | S::Failed, M::Order | M::Build | M::Package | M::Sign | M::Fail) => {
                Err(IllegalTransition::new("bundle", &self, &event))
            }
        }
    }
}

/// Fixes that depart together. A release that people order from a commit is a bundle without fixes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// Its id, named by project, commit, version and fixes.
    pub id: BundleId,
    /// Its project.
    pub project: ProjectId,
    /// The train.
    pub train: Train,
    /// What made the train depart; nothing where people ordered the release.
    #[serde(default)]
    pub predicate: Option<Predicate>,
    /// Its number: how many bundles its project has cut with it, so that a later build has a higher one. 0 for those of before it was counted.
    #[serde(default)]
    pub build: u64,
    /// The channel its release goes to.
    pub channel: String,
    /// Where it stands.
    pub state: BundleState,
    /// The commit it starts from.
    pub commit: String,
    /// The version it makes.
    pub version: Version,
    /// Its fixes, in the order to apply them.
    pub fixes: Vec<FixId>,
    /// Fixes that were set aside while building, with the reason.
    pub set_aside: BTreeMap<FixId, String>,
    /// The build job, once ordered.
    pub job: Option<JobId>,
    /// The release, once packaged.
    pub release: Option<ReleaseId>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// What people ordered it for; empty for a train, whose fixes say it.
    pub notes: String,
    /// When it was cut.
    pub cut_at: Timestamp,
    /// What happened to it.
    pub story: Story,
}

impl Bundle {
    /// A new bundle.
    pub fn cut(
        project: ProjectId,
        train: Train,
        channel: &str,
        commit: String,
        version: Version,
        fixes: Vec<FixId>,
        at: Timestamp,
    ) -> Self {
        let number = project.0.to_be_bytes();
        let name = version.to_string();
        let mut parts: Vec<&[u8]> = vec![
            &number,
            channel.as_bytes(),
            commit.as_bytes(),
            name.as_bytes(),
        ];
        parts.extend(fixes.iter().map(|fix| fix.as_str().as_bytes()));
        let id = BundleId::from_digest(crate::digest::Digest::of_parts(&parts));
        Self {
            id,
            project,
            train,
            predicate: None,
            build: 0,
            channel: channel.to_owned(),
            state: BundleState::Collecting,
            commit,
            version,
            fixes,
            set_aside: BTreeMap::new(),
            job: None,
            release: None,
            failure: None,
            notes: String::new(),
            cut_at: at,
            story: Story::default(),
        }
    }

    /// Whether it may still become a release.
    pub fn is_open(&self) -> bool {
        match self.state {
            BundleState::Collecting
            | BundleState::Building
            | BundleState::Built
            | BundleState::Packaged => true,
            BundleState::Signed | BundleState::Failed => false,
        }
    }

    /// Makes a move and tells it.
    pub fn step(
        &mut self,
        event: BundleMove,
        at: Timestamp,
        by: &str,
        why: impl Into<String>,
    ) -> Result<(), IllegalTransition> {
        self.state = self.state.next(event)?;
        self.story.tell(at, by, format!("{:?}", self.state), why);
        Ok(())
    }
}

impl Record for Bundle {
    const KIND: Kind = Kind::Bundle;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn indexes(&self) -> Vec<IndexEntry> {
        if self.is_open() {
            vec![IndexEntry::new("open", &"bundle")]
        } else {
            Vec::new()
        }
    }
}
