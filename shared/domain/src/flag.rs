//! Feature flags with a share per flag: deterministic, and off unless said otherwise.

use crate::cohort::{Arm, Share, arm};
use crate::id::{DeviceId, ProjectId};
use crate::record::{Kind, Record};
use serde::{Deserialize, Serialize};

/// A boolean flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flag {
    /// Its project.
    pub project: ProjectId,
    /// Its key.
    pub key: String,
    /// Whether it is in force at all.
    pub enabled: bool,
    /// The share of users it is on for.
    pub share: Share,
}

/// What a flag is for someone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluation {
    /// Not in force: off for all.
    Disabled,
    /// On or off for all.
    Static(bool),
    /// On or off by the user's place on the line.
    Split(bool),
    /// Depends on who asks, and nobody was named.
    KeyMissing,
}

impl Flag {
    /// The flag for a user, or for nobody in particular.
    pub fn evaluate(&self, user: Option<&DeviceId>) -> Evaluation {
        match (self.enabled, self.share, user) {
            (false, ..) => Evaluation::Disabled,
            (true, Share::NONE, _) => Evaluation::Static(false),
            (true, Share::ALL, _) => Evaluation::Static(true),
            (true, _, None) => Evaluation::KeyMissing,
            (true, share, Some(user)) => {
                Evaluation::Split(arm(&self.key, user, share, Share::NONE) == Arm::New)
            }
        }
    }
}

impl Record for Flag {
    const KIND: Kind = Kind::Flag;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.key.clone()
    }
}
