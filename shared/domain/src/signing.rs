//! The online keys of a project's signed repository, and what people ordered of them.
//!
//! Each role's key has generations, from 1. The root says which of them devices believe (*in force*); a higher one that was
//! *ordered* is on its way: the repository is signed with both until a root that names it is there. **A generation never comes back.**
//!
//! Not here: the keys themselves ([`crate::ports::Signer`]), and how a root is written and taken (`kintsugi-app`, stage `sign`).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Most generations of one key: more can only be a mistake or a misuse.
pub const GENERATIONS_MAX: u32 = 1_000;

/// A role whose key the home holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnlineRole {
    /// Targets, release statements, permissions to go back, provenance.
    Targets,
    /// Snapshots.
    Snapshot,
    /// Timestamps.
    Timestamp,
}

impl OnlineRole {
    /// Every such role.
    pub const ALL: [Self; 3] = [Self::Targets, Self::Snapshot, Self::Timestamp];

    /// Its name, as in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }
}

impl fmt::Display for OnlineRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OnlineRole {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or("expected targets, snapshot or timestamp")
    }
}

/// The generations of one role's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generations {
    /// The one that the root names.
    pub in_force: u32,
    /// The one that it shall name.
    pub ordered: u32,
}

impl Default for Generations {
    fn default() -> Self {
        Self {
            in_force: 1,
            ordered: 1,
        }
    }
}

impl Generations {
    /// Whether the root does not name the ordered one yet.
    pub fn is_changing(self) -> bool {
        self.in_force != self.ordered
    }

    /// The generations that sign now: the one in force, then the one that is on its way.
    pub fn signing(self) -> impl Iterator<Item = u32> {
        let next = self.is_changing().then_some(self.ordered);
        std::iter::once(self.in_force).chain(next)
    }
}

/// Why no new key is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The one before is not in force yet.
    #[error(
        "generation {ordered} of this key is ordered already and waits for a root that names it"
    )]
    UnderWay {
        /// The generation.
        ordered: u32,
    },
    /// There were as many as may be.
    #[error("a key has at most {GENERATIONS_MAX} generations")]
    TooMany,
}

impl RotationError {
    /// A stable name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnderWay { .. } => "signing_key.under_way",
            Self::TooMany => "signing_key.too_many",
        }
    }
}

/// Numbers that the repository must stay above, because clients may have seen them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// The highest version of timestamp, snapshot or targets that may have been seen, as far as people know.
    pub above: u64,
    /// The highest version of the root that may have been seen, where it is known.
    pub root: u64,
}

/// How a project's repository is signed, and what was ordered of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// The key of targets.
    pub targets: Generations,
    /// The key of snapshots.
    pub snapshot: Generations,
    /// The key of timestamps.
    pub timestamp: Generations,
    /// The next root, unsigned, where those who hold the root keys must sign it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_root: Option<String>,
    /// A root that was brought and is not published yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought_root: Option<String>,
    /// Numbers to stay above, until that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<Skip>,
    /// Why a root that was brought was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_root: Option<String>,
}

impl Signing {
    /// The generations of a role's key.
    pub fn of(&self, role: OnlineRole) -> Generations {
        match role {
            OnlineRole::Targets => self.targets,
            OnlineRole::Snapshot => self.snapshot,
            OnlineRole::Timestamp => self.timestamp,
        }
    }

    /// The generations of a role's key, to change.
    pub fn of_mut(&mut self, role: OnlineRole) -> &mut Generations {
        match role {
            OnlineRole::Targets => &mut self.targets,
            OnlineRole::Snapshot => &mut self.snapshot,
            OnlineRole::Timestamp => &mut self.timestamp,
        }
    }

    /// Whether any key is on its way.
    pub fn is_changing(&self) -> bool {
        OnlineRole::ALL
            .into_iter()
            .any(|role| self.of(role).is_changing())
    }

    /// Begins the next generation of a role's key and says which it is.
    pub fn rotate(&mut self, role: OnlineRole) -> Result<u32, RotationError> {
        let generations = self.of_mut(role);
        if generations.is_changing() {
            let ordered = generations.ordered;
            return Err(RotationError::UnderWay { ordered });
        }
        if generations.ordered >= GENERATIONS_MAX {
            return Err(RotationError::TooMany);
        }
        generations.ordered += 1;
        Ok(generations.ordered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_generation_after_the_other_and_each_waits_for_its_root() {
        let mut signing = Signing::default();
        let role = OnlineRole::Timestamp;
        assert_eq!(signing.of(role).signing().collect::<Vec<_>>(), [1]);
        assert_eq!(signing.rotate(role), Ok(2));
        assert!(signing.is_changing());
        assert_eq!(signing.of(role).signing().collect::<Vec<_>>(), [1, 2]);
        let waits = RotationError::UnderWay { ordered: 2 };
        assert_eq!(signing.rotate(role), Err(waits));
        signing.of_mut(role).in_force = 2;
        assert_eq!(signing.of(role).signing().collect::<Vec<_>>(), [2]);
        assert_eq!(signing.rotate(OnlineRole::Targets), Ok(2));
        signing.of_mut(role).ordered = GENERATIONS_MAX;
        signing.of_mut(role).in_force = GENERATIONS_MAX;
        assert_eq!(signing.rotate(role), Err(RotationError::TooMany));
    }

    #[test]
    fn roles_have_the_names_of_metadata() {
        for role in OnlineRole::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert!("root".parse::<OnlineRole>().is_err());
    }
}
