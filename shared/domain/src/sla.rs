//! How soon people are owed an answer to an issue, and a version without it (ledger C4).
//!
//! An issue gets two clocks when it is filed, and again when it comes back: one until somebody or something **responded** (its
//! cause is named, or a person decided about it), one until a fix is **deployed**. A clock that runs out is told once.
//!
//! **Clocks run on the wall**, nights, weekends and holidays included, at every level: a project's calendar says when trains
//! depart, not when people work. Not here: who is told ([`crate::alert`]), and how urgent an issue is ([`crate::score`]).

use crate::Timestamp;
use crate::issue::IssueMove;
use crate::score::Level;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Longest time that may be promised, hours: a year.
const HOURS_MAX: u32 = 24 * 366;

/// What is promised of issues, level by level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlaRules {
    /// Of critical ones.
    pub critical: Promise,
    /// Of high ones.
    pub high: Promise,
    /// Of medium ones.
    pub medium: Promise,
    /// Of low ones.
    pub low: Promise,
}

/// How soon, from when the issue was filed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// Hours until somebody or something responded; 0: nothing is promised.
    pub response_hours: u32,
    /// Hours until a version without it is out; 0: nothing is promised.
    pub deployment_hours: u32,
}

impl Default for SlaRules {
    fn default() -> Self {
        let promise = |response_hours, deployment_hours| Promise {
            response_hours,
            deployment_hours,
        };
        Self {
            critical: promise(2, 4),
            high: promise(24, 48),
            medium: promise(72, 72),
            low: promise(72, 72),
        }
    }
}

impl SlaRules {
    /// What is promised of an issue of that level.
    pub fn promise(&self, level: Level) -> Promise {
        match level {
            Level::Critical => self.critical,
            Level::High => self.high,
            Level::Medium => self.medium,
            Level::Low => self.low,
        }
    }

    /// What no type can say. Answers with the key and what was expected.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        for (key, promise) in [
            ("sla.critical", self.critical),
            ("sla.high", self.high),
            ("sla.medium", self.medium),
            ("sla.low", self.low),
        ] {
            let found = promise.response_hours.max(promise.deployment_hours);
            if found > HOURS_MAX {
                return Err((
                    key,
                    format!("expected at most {HOURS_MAX} hours, found {found}"),
                ));
            }
        }
        Ok(())
    }
}

/// What is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// That somebody or something responded.
    Response,
    /// A version without the issue.
    Deployment,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Response => "response",
            Self::Deployment => "deployment",
        })
    }
}

/// The clocks of one issue. One that is not there was met, was missed, or was never promised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Clocks {
    /// Since when they run.
    pub since: Option<Timestamp>,
    /// When a response is due.
    pub response: Option<Timestamp>,
    /// When a deployment is due.
    pub deployment: Option<Timestamp>,
    /// What was due, did not happen in time, and was told.
    pub missed: BTreeSet<Target>,
}

impl Clocks {
    /// The clocks of an issue that was filed, or came back, at that time.
    pub fn start(promise: Promise, at: Timestamp) -> Self {
        let due = |hours: u32| match hours {
            0 => None,
            // Too far in the future to be a time: never.
            hours => at
                .checked_add(SignedDuration::from_hours(hours.into()))
                .ok(),
        };
        Self {
            since: Some(at),
            response: due(promise.response_hours),
            deployment: due(promise.deployment_hours),
            missed: BTreeSet::new(),
        }
    }

    /// The issue is worse than it was: what is still owed may be owed sooner, and never later.
    pub fn hasten(&mut self, promise: Promise) {
        let Some(since) = self.since else {
            return;
        };
        let sooner = Self::start(promise, since);
        for (owed, due) in [
            (&mut self.response, sooner.response),
            (&mut self.deployment, sooner.deployment),
        ] {
            if let (Some(owed), Some(due)) = (owed, due) {
                *owed = (*owed).min(due);
            }
        }
    }

    /// What a move of the issue settles.
    pub fn note(&mut self, event: IssueMove) {
        match event {
            IssueMove::Diagnose | IssueMove::StartFix | IssueMove::Prove => self.response = None,
            IssueMove::Release | IssueMove::Resolve | IssueMove::Mute => {
                (self.response, self.deployment) = (None, None);
            }
            IssueMove::Triage
            | IssueMove::Recur
            | IssueMove::Escalate
            | IssueMove::Unmute
            | IssueMove::GiveUp => {}
        }
    }

    /// Whether anything is owed.
    pub fn is_running(&self) -> bool {
        self.response.is_some() || self.deployment.is_some()
    }

    /// What was due by then. It is no longer owed afterwards: whoever asks tells it.
    pub fn run_out(&mut self, now: Timestamp) -> Vec<Target> {
        let mut late = Vec::new();
        for (target, owed) in [
            (Target::Response, &mut self.response),
            (Target::Deployment, &mut self.deployment),
        ] {
            if owed.is_some_and(|due| due <= now) {
                late.push(target);
                self.missed.insert(target);
                *owed = None;
            }
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3_600).unwrap()
    }

    #[test]
    fn each_level_is_owed_what_the_ledger_says() {
        let rules = SlaRules::default();
        for (level, response, deployment) in [
            (Level::Critical, 2, 4),
            (Level::High, 24, 48),
            (Level::Medium, 72, 72),
            (Level::Low, 72, 72),
        ] {
            let clocks = Clocks::start(rules.promise(level), at(10));
            assert_eq!(clocks.response, Some(at(10 + response)), "{level:?}");
            assert_eq!(clocks.deployment, Some(at(10 + deployment)), "{level:?}");
        }
    }

    #[test]
    fn a_clock_runs_out_at_its_time_and_once() {
        let mut clocks = Clocks::start(SlaRules::default().critical, at(0));
        let just_before = Timestamp::from_second(2 * 3_600 - 1).unwrap();
        assert_eq!(clocks.run_out(just_before), []);
        assert_eq!(clocks.run_out(at(2)), [Target::Response]);
        assert_eq!(clocks.run_out(at(3)), []);
        assert!(clocks.is_running());
        assert_eq!(clocks.run_out(at(9)), [Target::Deployment]);
        assert!(!clocks.is_running());
    }

    #[test]
    fn both_are_told_where_nobody_looked_for_long() {
        let mut clocks = Clocks::start(SlaRules::default().low, at(0));
        let late = [Target::Response, Target::Deployment];
        assert_eq!(clocks.run_out(at(100)), late);
        assert_eq!(clocks.missed, BTreeSet::from(late));
        clocks.note(IssueMove::Release);
        assert_eq!(clocks.missed.len(), 2, "what was missed stays known");
    }

    #[test]
    fn a_named_cause_is_a_response_and_only_a_release_or_a_person_ends_the_rest() {
        let fresh = Clocks::start(SlaRules::default().high, at(0));
        for event in [IssueMove::Triage, IssueMove::Escalate, IssueMove::GiveUp] {
            let mut clocks = fresh.clone();
            clocks.note(event);
            assert_eq!(clocks, fresh, "{event:?}");
        }
        let mut clocks = fresh.clone();
        clocks.note(IssueMove::Diagnose);
        assert_eq!(
            (clocks.response, clocks.deployment),
            (None, fresh.deployment)
        );
        for event in [IssueMove::Release, IssueMove::Resolve, IssueMove::Mute] {
            let mut clocks = fresh.clone();
            clocks.note(event);
            assert!(!clocks.is_running(), "{event:?}");
        }
    }

    #[test]
    fn what_gets_worse_is_owed_sooner_and_what_was_met_stays_met() {
        let rules = SlaRules::default();
        let mut clocks = Clocks::start(rules.low, at(0));
        clocks.note(IssueMove::Diagnose);
        clocks.hasten(rules.critical);
        assert_eq!((clocks.response, clocks.deployment), (None, Some(at(4))));
        clocks.hasten(rules.low);
        assert_eq!(clocks.deployment, Some(at(4)));
    }

    #[test]
    fn nothing_is_owed_where_nothing_is_promised() {
        let none = Promise {
            response_hours: 0,
            deployment_hours: 0,
        };
        assert!(!Clocks::start(none, at(0)).is_running());
        // The end of time is no reason to fail.
        let year = Promise {
            response_hours: HOURS_MAX,
            deployment_hours: HOURS_MAX,
        };
        assert!(!Clocks::start(year, Timestamp::MAX).is_running());
    }
}
