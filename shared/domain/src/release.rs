//! One version of one product: what was built, what it changes, and whether it may be offered.

use crate::Timestamp;
use crate::digest::Digest;
use crate::hotfix::HotfixPath;
use crate::id::{BundleId, FixId, IssueId, ProjectId, ReleaseId};
use crate::job::{Artifact, Built};
use crate::record::{IndexEntry, Kind, Record};
use crate::state::IllegalTransition;
use crate::story::Story;
use crate::train::Train;
use semver::Version;
use serde::{Deserialize, Serialize};

/// Where a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// Packaged, not signed.
    Draft,
    /// Signed; its rollout decides who is offered it.
    Published,
    /// Never to be offered or installed again.
    Revoked,
}

/// What can happen to a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseMove {
    /// It was signed.
    Publish,
    /// It was called back.
    Revoke,
}

impl ReleaseState {
    /// The state after a move, or why there is none.
    pub fn next(self, event: ReleaseMove) -> Result<Self, IllegalTransition> {
        use ReleaseMove as M;
        use ReleaseState as S;
        match (self, event) {
            (S::Draft, M::Publish) => Ok(S::Published),
            (S::Draft | S::Published, M::Revoke) => Ok(S::Revoked),
            (S::Published, M::Publish) | (S::Revoked, M::Publish | M::Revoke) => {
                Err(IllegalTransition::new("release", &self, &event))
            }
        }
    }
}

/// What a device must do besides replacing files (ledger E5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequiredAction {
    /// Start the product anew.
    Restart,
    /// Run a schema migration.
    Migration,
    /// Run a data migration.
    DataMigration,
    /// Switch a feature flag.
    FeatureFlag,
}

/// A signed statement about a release: compact JWS, ES384.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The statement.
    pub jws: String,
    /// When it stops to count; signed anew before.
    pub expires: Timestamp,
}

/// One version of one product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its id, named by project and version.
    pub id: ReleaseId,
    /// Its project.
    pub project: ProjectId,
    /// The version.
    pub version: Version,
    /// Its build number: higher than that of every build before it, whatever their versions. 0 for releases of before it was counted.
    #[serde(default)]
    pub build: u64,
    /// The channel it goes to.
    pub channel: String,
    /// Where it stands.
    pub state: ReleaseState,
    /// What kind of step it is.
    pub train: Train,
    /// The bundle it was made from.
    pub bundle: BundleId,
    /// The fixes in it.
    pub fixes: Vec<FixId>,
    /// The issues they end.
    pub issues: Vec<IssueId>,
    /// The version that devices come from and can go back to: the rollback package.
    pub previous: Option<Version>,
    /// What was built.
    pub built: Built,
    /// The changelog section of this version.
    pub notes: String,
    /// The release statement for plain clients, once signed.
    pub statement: Option<Statement>,
    /// The signed provenance, once signed (`kintsugi_trust::attestation`); nothing for releases of before it was made.
    #[serde(default)]
    pub provenance: Option<Artifact>,
    /// What a device must do besides.
    pub required_actions: Vec<RequiredAction>,
    /// How long the way from the report to the offer was, where it is a hotfix that was offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<HotfixPath>,
    /// When its build was cut.
    pub built_at: Timestamp,
    /// What happened to it.
    pub story: Story,
}

impl Release {
    /// The id of a version of a project.
    pub fn id_of(project: ProjectId, version: &Version) -> ReleaseId {
        let digest = Digest::of_parts(&[&project.0.to_be_bytes(), version.to_string().as_bytes()]);
        ReleaseId::from_digest(digest)
    }

    /// Makes a move and tells it.
    pub fn step(
        &mut self,
        event: ReleaseMove,
        at: Timestamp,
        by: &str,
        why: impl Into<String>,
    ) -> Result<(), IllegalTransition> {
        self.state = self.state.next(event)?;
        self.story.tell(at, by, format!("{:?}", self.state), why);
        Ok(())
    }
}

impl Record for Release {
    const KIND: Kind = Kind::Release;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn indexes(&self) -> Vec<IndexEntry> {
        vec![IndexEntry::new("channel", &self.channel)]
    }
}
