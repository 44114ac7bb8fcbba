//! The story of a record: what was decided, when, by whom and why. Stored with the record, shown in
//! the console, and never rewritten.

use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// One step of a story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When it was decided.
    pub at: Timestamp,
    /// What happened, as a state or a verb: `triaged`, `widened to 25 %`.
    pub what: String,
    /// The reason, with the numbers it rests on.
    pub why: String,
    /// A stage, or a person by the subject of their token.
    pub by: String,
}

/// The steps of one record, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Story(Vec<Step>);

impl Story {
    /// Adds a step.
    pub fn tell(
        &mut self,
        at: Timestamp,
        by: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
    ) {
        self.0.push(Step {
            at,
            what: what.into(),
            why: why.into(),
            by: by.into(),
        });
    }

    /// The steps, oldest first.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The last step, if there is one.
    pub fn last(&self) -> Option<&Step> {
        self.0.last()
    }
}
