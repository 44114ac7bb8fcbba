//! Sessions: how a release does in the field, as shares of sessions and of users without a crash.
//!
//! A session is told of several times, in any order and perhaps twice. **Joining what is known with what comes is commutative and
//! idempotent**, and counters get the difference that it makes, so a session counts once and where it ended up.
//!
//! Not here: what a rollout makes of it.

use crate::Timestamp;
use crate::id::ProjectId;
use crate::record::{Kind, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a session is going or ended, the better first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// It goes on.
    Ok,
    /// It ended in order.
    Exited,
    /// It ended without a word: killed, hung, switched off.
    Abnormal,
    /// An error ended it.
    Crashed,
}

/// What a session counts as: exactly one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// Nothing happened.
    Healthy,
    /// Errors were reported, and it went on.
    Errored,
    /// It ended without a word.
    Abnormal,
    /// It crashed.
    Crashed,
}

impl Ending {
    /// The field of the counter; a healthy session has none of its own.
    pub fn field(self) -> Option<&'static str> {
        match self {
            Self::Healthy => None,
            Self::Errored => Some("errored"),
            Self::Abnormal => Some("abnormal"),
            Self::Crashed => Some("crashed"),
        }
    }
}

/// The field of the counter for all sessions.
pub const SESSIONS: &str = "sessions";
/// The field of the counter for users.
pub const USERS: &str = "users";
/// The field of the counter for users with a crash.
pub const USERS_CRASHED: &str = "users_crashed";

/// One session of one user with one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id, 32 hex digits.
    pub id: String,
    /// The project.
    pub project: ProjectId,
    /// The series of its release.
    pub series: String,
    /// How it is going.
    pub status: SessionStatus,
    /// Errors that it reported.
    pub errors: u32,
    /// Hash of the user's id, salted per project.
    pub user: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// Its length in milliseconds, when it ended.
    pub duration_ms: Option<u64>,
}

impl Session {
    /// What it counts as.
    pub fn ending(&self) -> Ending {
        match self.status {
            SessionStatus::Crashed => Ending::Crashed,
            SessionStatus::Abnormal => Ending::Abnormal,
            SessionStatus::Ok | SessionStatus::Exited if self.errors > 0 => Ending::Errored,
            SessionStatus::Ok | SessionStatus::Exited => Ending::Healthy,
        }
    }

    /// Takes in what else was told of it.
    pub fn join(&mut self, told: &Self) {
        self.status = self.status.max(told.status);
        self.errors = self.errors.max(told.errors);
        self.started = self.started.min(told.started);
        self.duration_ms = self.duration_ms.max(told.duration_ms);
        // Two users in one session are a mistake of the client; one of them, whatever came first.
        self.user = match (self.user.take(), &told.user) {
            (Some(known), Some(told)) => Some(known.min(told.clone())),
            (known, told) => known.or_else(|| told.clone()),
        };
    }
}

impl Record for Session {
    const KIND: Kind = Kind::Session;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.clone()
    }
}

/// Somebody who used a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// The project.
    pub project: ProjectId,
    /// The series of the release.
    pub series: String,
    /// Hash of the user's id, salted per project.
    pub user: String,
    /// Whether it ever crashed for them.
    pub crashed: bool,
}

impl Record for Visitor {
    const KIND: Kind = Kind::Visitor;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        Self::name(&self.series, &self.user)
    }
}

impl Visitor {
    /// The key of its record.
    pub fn name(series: &str, user: &str) -> String {
        format!("{series}-{user}")
    }
}

/// How a release does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseHealth {
    /// Sessions.
    pub sessions: i64,
    /// Sessions with errors that went on.
    pub errored: i64,
    /// Sessions that ended without a word.
    pub abnormal: i64,
    /// Sessions that crashed.
    pub crashed: i64,
    /// Share of sessions without a crash, percent; none without sessions.
    pub crash_free_sessions: Option<f64>,
    /// Users that clients named.
    pub users: i64,
    /// Share of users without a crash, percent; none without users.
    pub crash_free_users: Option<f64>,
}

impl ReleaseHealth {
    /// Reads the counter of a series.
    pub fn of(fields: &BTreeMap<String, i64>) -> Self {
        let get = |field: &str| fields.get(field).copied().unwrap_or(0);
        let crashed = get("crashed");
        Self {
            sessions: get(SESSIONS),
            errored: get("errored"),
            abnormal: get("abnormal"),
            crashed,
            crash_free_sessions: free_percent(get(SESSIONS), crashed),
            users: get(USERS),
            crash_free_users: free_percent(get(USERS), get(USERS_CRASHED)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn free_percent(all: i64, crashed: i64) -> Option<f64> {
    (all > 0).then(|| 100.0 * (1.0 - crashed as f64 / all as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told() -> impl Strategy<Value = Session> {
        let status = prop::sample::select(vec![
            SessionStatus::Ok,
            SessionStatus::Exited,
            SessionStatus::Abnormal,
            SessionStatus::Crashed,
        ]);
        let user = prop::option::of(prop::sample::select(vec!["a".to_owned(), "b".to_owned()]));
        (status, 0_u32..3, user, 0_i64..9, prop::option::of(0_u64..9)).prop_map(
            |(status, errors, user, started, duration_ms)| Session {
                id: "s".into(),
                project: ProjectId(1),
                series: "r".into(),
                status,
                errors,
                user,
                started: Timestamp::from_second(started).unwrap(),
                duration_ms,
            },
        )
    }

    proptest! {
        #[test]
        fn a_session_ends_up_the_same_in_whatever_order_and_however_often_it_is_told_of(
            told in prop::collection::vec(told(), 1..6),
            again in 0_usize..6,
        ) {
            let joined = |told: &[Session]| {
                let mut session = told[0].clone();
                for more in &told[1..] {
                    session.join(more);
                }
                session
            };
            let mut other: Vec<Session> = told.iter().rev().cloned().collect();
            other.push(told[again % told.len()].clone());
            prop_assert_eq!(joined(&told), joined(&other));
        }
    }

    #[test]
    fn shares_are_of_what_was_seen() {
        let fields = BTreeMap::from([("sessions".to_owned(), 200), ("crashed".to_owned(), 3)]);
        let health = ReleaseHealth::of(&fields);
        assert_eq!(health.crash_free_sessions, Some(98.5));
        assert_eq!(health.crash_free_users, None);
    }
}
