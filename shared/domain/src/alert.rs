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

impl Record for Alert {
    const KIND: Kind = Kind::Alert;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.to_string()
    }
}
