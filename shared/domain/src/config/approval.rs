//! `[approval]`: what one person alone cannot do. The rule itself is [`crate::request`].

use serde::{Deserialize, Serialize};

/// What one person alone cannot do (ledger L3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalRules {
    /// Actions that wait until a second person confirms them.
    pub two_person: Vec<TwoPerson>,
}

/// An action that can be made to need two people. **What stops harm is not among them**: to pause, to roll back, to refuse
/// a fix, to mute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TwoPerson {
    /// Build and publish a version without a train.
    #[serde(rename = "release.order")]
    ReleaseOrder,
    /// Go on with a paused rollout.
    #[serde(rename = "rollout.resume")]
    RolloutResume,
    /// Let a proven fix depart.
    #[serde(rename = "fix.approve")]
    FixApprove,
    /// Turn a flag on, or change for whom; not to turn it off.
    #[serde(rename = "flag.put")]
    FlagPut,
    /// Replace the project's configuration, these rules among it.
    #[serde(rename = "project.configure")]
    ProjectConfigure,
    /// Make one more reporting key.
    #[serde(rename = "key.add")]
    KeyAdd,
    /// Take a reporting key away.
    #[serde(rename = "key.remove")]
    KeyRemove,
    /// Begin a new key of the signed repository.
    #[serde(rename = "signing_key.rotate")]
    SigningKeyRotate,
    /// Bring a root that was signed elsewhere.
    #[serde(rename = "root.bring")]
    RootBring,
    /// Go on under higher version numbers, after a restore.
    #[serde(rename = "versions.skip")]
    VersionsSkip,
}

impl TwoPerson {
    /// The action's name, as in the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReleaseOrder => "release.order",
            Self::RolloutResume => "rollout.resume",
            Self::FixApprove => "fix.approve",
            Self::FlagPut => "flag.put",
            Self::ProjectConfigure => "project.configure",
            Self::KeyAdd => "key.add",
            Self::KeyRemove => "key.remove",
            Self::SigningKeyRotate => "signing_key.rotate",
            Self::RootBring => "root.bring",
            Self::VersionsSkip => "versions.skip",
        }
    }
}
