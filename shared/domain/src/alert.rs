//! What people are told.

use crate::Timestamp;
use crate::digest::Digest;
use crate::id::{AlertId, ProjectId};
use crate::record::{Kind, Record};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How loud an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Good to know.
    Notice,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Page,
}

impl Urgency {
    /// As it is written in records and shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Page => "page",
        }
    }
}

/// What each code says, without a word about the case in hand: where what reports brought has no place. `docs/run.md` has the same
/// list, with the urgencies.
pub const MEANINGS: &[(&str, &str)] = &[
    ("fix.review", "a proven fix waits for a person"),
    ("request.waiting", "an order waits for a second person"),
    (
        "release.merge_by_hand",
        "a version is published, but its branch could not be moved",
    ),
    (
        "issue.needs_human",
        "the home found no fix that it can prove",
    ),
    (
        "issue.overdue",
        "an issue was not answered, or not fixed, in time",
    ),
    ("issue.regressed", "a fixed issue is back"),
    ("fix.rejected", "a fix did not get through the build"),
    ("bundle.failed", "a version could not be built"),
    (
        "hotfix.late",
        "a hotfix took more than 30 minutes from the report to its first offer",
    ),
    ("rollout.halted", "a rollout was halted"),
    (
        "rollout.rolled_back",
        "a version is revoked, devices go back",
    ),
    (
        "rollout.no_way_back",
        "a version is revoked, and there is nothing to go back to",
    ),
    (
        "root.expires",
        "a root ends soon, and the home cannot sign the next one",
    ),
    (
        "root.signatures_wanted",
        "a new signing key waits for a root that its holders sign",
    ),
    ("root.refused", "a root that was brought is not published"),
    ("message.parked", "a message could not be handled"),
];

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its id, named by what it is about: the same news twice is one alert.
    pub id: AlertId,
    /// Its project.
    pub project: ProjectId,
    /// How loud it is.
    pub urgency: Urgency,
    /// A stable code: `issue.needs_human`, `rollout.halted` …
    pub code: String,
    /// One line for people.
    pub text: String,
    /// When it was raised.
    pub at: Timestamp,
    /// Channels it was delivered to.
    pub delivered: Vec<String>,
}

impl Alert {
    /// An alert about `subject` (an id, with what makes this piece of news different from the last).
    pub fn new(
        project: ProjectId,
        urgency: Urgency,
        code: &str,
        subject: &impl fmt::Display,
        text: impl Into<String>,
        at: Timestamp,
    ) -> Self {
        let digest = Digest::of_parts(&[
            &project.0.to_be_bytes(),
            code.as_bytes(),
            subject.to_string().as_bytes(),
        ]);
        Self {
            id: AlertId::from_digest(digest),
            project,
            urgency,
            code: code.to_owned(),
            text: text.into(),
            at,
            delivered: Vec::new(),
        }
    }
}

impl Alert {
    /// What its code says; of a code that [`MEANINGS`] does not have, the code itself.
    pub fn meaning(&self) -> &str {
        let found = MEANINGS.iter().find(|(code, _)| *code == self.code);
        found.map_or(&self.code, |(_, meaning)| meaning)
    }
}

impl Record for Alert {
    const KIND: Kind = Kind::Alert;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_lists_what_every_code_says_and_no_other() {
        let guide = include_str!("../../../docs/run.md");
        let (_, guide) = guide.split_once("| code | urgency | says |").unwrap();
        let row = |line: &str| {
            let [_, code, _, meaning, _] = line.split('|').collect::<Vec<_>>().try_into().ok()?;
            let code = code.trim().trim_matches('`').to_owned();
            Some((code, meaning.trim().to_owned()))
        };
        let told: Vec<(String, String)> = guide.lines().skip(2).map_while(row).collect();
        let known = MEANINGS.iter();
        let known = known.map(|(code, meaning)| ((*code).to_owned(), (*meaning).to_owned()));
        assert_eq!(told, known.collect::<Vec<_>>());
    }
}
