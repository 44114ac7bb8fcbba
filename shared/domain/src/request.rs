//! Actions that need two people: one asks, another one confirms.
//!
//! Which actions those are says the project's configuration ([`TwoPerson`]). What stops harm is never among them: to
//! pause, to roll back, to refuse a fix and to turn a flag off takes one person.
//!
//! **Invariants: who asked cannot confirm. A request is confirmed once, before it expires, and only if what it was decided
//! on is still as it was: the second person confirms what the first one saw.** What counts as the same person is the subject
//! of their tokens.
//!
//! Not here: what an action does, and which role it needs (`kintsugi_app::admin`).

use crate::Timestamp;
use crate::config::TwoPerson;
use crate::digest::Digest;
use crate::id::{ProjectId, RequestId};
use crate::record::{IndexEntry, Kind, Record};
use crate::state::IllegalTransition;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// How long a request waits.
pub const REQUEST_LIFE: Duration = Duration::from_hours(24);

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// It waits for a second person.
    Waiting,
    /// A second person confirmed it, and it was done.
    Confirmed,
    /// Somebody refused it, perhaps who asked.
    Refused,
    /// Nobody confirmed it in time.
    Expired,
}

/// What can happen to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestMove {
    /// A second person confirms.
    Confirm,
    /// Somebody refuses, or who asked takes it back.
    Refuse,
    /// Its time is over.
    Expire,
}

impl RequestState {
    /// The state after a move, or a refusal.
    pub fn next(self, event: RequestMove) -> Result<Self, IllegalTransition> {
        match (self, event) {
            (Self::Waiting, RequestMove::Confirm) => Ok(Self::Confirmed),
            (Self::Waiting, RequestMove::Refuse) => Ok(Self::Refused),
            (Self::Waiting, RequestMove::Expire) => Ok(Self::Expired),
            (
                Self::Confirmed | Self::Refused | Self::Expired,
                RequestMove::Confirm | RequestMove::Refuse | RequestMove::Expire,
            ) => Err(IllegalTransition::new("request", &self, &event)),
        }
    }
}

/// Why a request was not confirmed or refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It has ended already.
    #[error(transparent)]
    Ended(#[from] IllegalTransition),
    /// Its time is over.
    #[error("it expired at {at}: ask again")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Who asked wants to confirm.
    #[error("{by} asked for it: somebody else must confirm")]
    SamePerson {
        /// Who.
        by: String,
    },
    /// What it was decided on has changed.
    #[error("what it is about was changed since it was asked for: look again, and ask again")]
    Changed,
}

impl RequestError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ended(_) => "request.ended",
            Self::Expired { .. } => "request.expired",
            Self::SamePerson { .. } => "request.same_person",
            Self::Changed => "request.changed",
        }
    }
}

/// An action that waits for a second person, or waited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// Its project.
    pub project: ProjectId,
    /// Where it stands.
    pub state: RequestState,
    /// What kind of action it is.
    pub what: TwoPerson,
    /// The action itself, as the admin stage writes it.
    pub action: Value,
    /// On what it would be done, as the audit log will say.
    pub on: String,
    /// Why, and what it amounts to.
    pub why: String,
    /// Names the records, with their versions, that it was decided on.
    pub basis: Digest,
    /// Who asked: the subject of the token.
    pub asked_by: String,
    /// When.
    pub asked_at: Timestamp,
    /// When it stops waiting.
    pub expires_at: Timestamp,
    /// Who ended it.
    #[serde(default)]
    pub ended_by: Option<String>,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// Why it was refused.
    #[serde(default)]
    pub ended_why: String,
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The project.
    pub project: ProjectId,
    /// What kind of action it is.
    pub what: TwoPerson,
    /// The action itself.
    pub action: Value,
    /// On what it would be done.
    pub on: String,
    /// Why.
    pub why: String,
    /// What it was decided on.
    pub basis: Digest,
}

impl Request {
    /// A request that waits from now on.
    pub fn new(asked: Asked, by: &str, now: Timestamp) -> Self {
        let digest = Digest::of_parts(&[
            &asked.project.0.to_be_bytes(),
            asked.action.to_string().as_bytes(),
            by.as_bytes(),
            now.to_string().as_bytes(),
        ]);
        Self {
            id: RequestId::from_digest(digest),
            project: asked.project,
            state: RequestState::Waiting,
            what: asked.what,
            action: asked.action,
            on: asked.on,
            why: asked.why,
            basis: asked.basis,
            asked_by: by.to_owned(),
            asked_at: now,
            expires_at: now.checked_add(REQUEST_LIFE).unwrap_or(Timestamp::MAX),
            ended_by: None,
            ended_at: None,
            ended_why: String::new(),
        }
    }

    /// Whether it waits, and its time is not over.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.state == RequestState::Waiting && now < self.expires_at
    }

    /// Whether that person may confirm it now, if nothing has changed.
    pub fn may_confirm(&self, by: &str, now: Timestamp) -> Result<(), RequestError> {
        self.state.next(RequestMove::Confirm)?;
        if now >= self.expires_at {
            return Err(RequestError::Expired {
                at: self.expires_at,
            });
        }
        if same_person(by, &self.asked_by) {
            return Err(RequestError::SamePerson { by: by.to_owned() });
        }
        Ok(())
    }

    /// A second person confirms what would be decided on `basis` now.
    pub fn confirm(&mut self, by: &str, now: Timestamp, basis: Digest) -> Result<(), RequestError> {
        self.may_confirm(by, now)?;
        if basis != self.basis {
            return Err(RequestError::Changed);
        }
        self.end(RequestMove::Confirm, Some(by), now, "")
    }

    /// Somebody refuses it, or who asked takes it back.
    pub fn refuse(&mut self, by: &str, now: Timestamp, why: &str) -> Result<(), RequestError> {
        self.end(RequestMove::Refuse, Some(by), now, why)
    }

    /// Notes that its time is over, if it is. Says whether that changed it.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        now >= self.expires_at && self.end(RequestMove::Expire, None, now, "").is_ok()
    }

    fn end(
        &mut self,
        event: RequestMove,
        by: Option<&str>,
        now: Timestamp,
        why: &str,
    ) -> Result<(), RequestError> {
        self.state = self.state.next(event)?;
        self.ended_by = by.map(str::to_owned);
        self.ended_at = Some(now);
        why.clone_into(&mut self.ended_why);
        Ok(())
    }
}

/// Names that people take for the same are the same person.
fn same_person(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

impl Record for Request {
    const KIND: Kind = Kind::Request;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn indexes(&self) -> Vec<IndexEntry> {
        match self.state {
            RequestState::Waiting => vec![IndexEntry::new("waiting", &"second")],
            RequestState::Confirmed | RequestState::Refused | RequestState::Expired => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn request() -> Request {
        let asked = Asked {
            project: ProjectId(1),
            what: TwoPerson::ReleaseOrder,
            action: Value::Null,
            on: "bundle b".into(),
            why: String::new(),
            basis: Digest::of(b"as it was"),
        };
        Request::new(asked, "ada", at(0))
    }

    #[test]
    fn who_asked_cannot_confirm_however_they_write_their_name() {
        for name in ["ada", "Ada", " ADA "] {
            let mut request = request();
            let error = request.confirm(name, at(1), request.basis).unwrap_err();
            assert_eq!(error.code(), "request.same_person");
            assert!(request.is_open(at(1)));
        }
    }

    #[test]
    fn a_second_person_confirms_once_and_only_what_the_first_one_saw() {
        let mut request = request();
        let other = Digest::of(b"changed");
        assert_eq!(
            request.confirm("bob", at(1), other),
            Err(RequestError::Changed)
        );
        let basis = request.basis;
        request.confirm("bob", at(1), basis).unwrap();
        assert_eq!(request.ended_by.as_deref(), Some("bob"));
        let again = request.confirm("eve", at(2), basis).unwrap_err();
        assert_eq!(again.code(), "request.ended");
        assert!(request.refuse("eve", at(2), "no").is_err());
    }

    #[test]
    fn a_request_ends_after_its_day_and_not_before() {
        let mut request = request();
        let (last, over) = (at(24 * 3_600 - 1), at(24 * 3_600));
        assert!(request.may_confirm("bob", last).is_ok() && !request.expire(last));
        let error = request.may_confirm("bob", over).unwrap_err();
        assert_eq!(error.code(), "request.expired");
        assert!(request.expire(over) && !request.expire(over));
        assert_eq!(request.state, RequestState::Expired);
    }

    #[test]
    fn who_asked_may_take_it_back() {
        let mut request = request();
        request.refuse("ada", at(1), "a mistake").unwrap();
        assert_eq!(request.state, RequestState::Refused);
        assert!(request.indexes().is_empty());
    }
}
