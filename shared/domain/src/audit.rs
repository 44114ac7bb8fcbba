//! The audit log: who changed what, when and why. One line per action that a person or program took
//! through the admin interface, written in the commit that did it.
//!
//! Not here: what the pipeline decided by itself; that is told in the [`crate::story`] of the record it
//! concerns.
//!
//! **Invariant: a line is created once and never rewritten.**

use crate::Timestamp;
use crate::digest::Digest;
use crate::id::ProjectId;
use crate::record::{Kind, Record};
use serde::{Deserialize, Serialize};

/// The home itself, where a thing belongs to no single project: lines about a whole queue, and the key
/// that signs admin tokens. **No project has this id**: it is not a valid one in an address or a DSN.
pub const HOME: ProjectId = ProjectId(0);

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Its id: the newest line has the smallest, so a list in the order of keys begins with today.
    pub id: String,
    /// The project, or [`HOME`].
    pub project: ProjectId,
    /// When it was done.
    pub at: Timestamp,
    /// Who did it: the subject of the token.
    pub by: String,
    /// The id of the token it was done with.
    pub token: String,
    /// What was done, a stable name: `rollout.pause`, `release.order` …
    pub what: String,
    /// On what it was done: `rollout 3f…`, `queue signing` …
    pub on: String,
    /// Why, as far as they said, and what it amounted to.
    pub why: String,
    /// Who asked for it, where two people were needed; [`Audit::by`] is then who confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
}

impl Audit {
    /// A line. `cause` names the command, so that a command that is decided again writes the same line.
    pub fn new(project: ProjectId, at: Timestamp, cause: &str) -> Self {
        // Lines from before 1970, which a wrong clock may write, all stand at the end.
        let place = i64::MAX.saturating_sub(at.as_microsecond());
        let digest = Digest::of_parts(&[&project.0.to_be_bytes(), cause.as_bytes()]);
        Self {
            id: format!("{place:020}-{}", digest.short(16)),
            project,
            at,
            by: String::new(),
            token: String::new(),
            what: String::new(),
            on: String::new(),
            why: String::new(),
            asked_by: None,
        }
    }
}

impl Record for Audit {
    const KIND: Kind = Kind::Audit;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_line_comes_first() {
        let line = |second| Audit::new(HOME, Timestamp::from_second(second).unwrap(), "c").id;
        assert!(line(2_000_000_000) < line(1_700_000_000));
        assert!(line(1_700_000_000) < line(0));
    }

    #[test]
    fn the_home_is_not_a_project() {
        assert!(HOME.to_string().parse::<ProjectId>().is_err());
    }
}
