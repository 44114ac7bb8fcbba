//! Which fixes depart when, and on which train (ledger E1, E2).
//!
//! A fix collects points from its issue, and its points choose its train; a train is due by one of the [`Predicate`]s and departs when
//! the [`crate::calendar`] lets it. Fixes that are approved after a train was cut wait for the next one.

use crate::Timestamp;
use crate::calendar::{CalendarRules, Hold};
use crate::config::TrainRules;
use crate::fix::Fix;
use crate::issue::Issue;
use crate::score;
use jiff::SignedDuration;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A train, named for the release it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Train {
    /// Departs at once.
    Hotfix,
    /// Departs weekly, or when enough fixes wait.
    Patch,
    /// Departs every few weeks.
    Minor,
    /// Departs every few months.
    Major,
}

impl Train {
    /// All trains, the fastest first.
    pub const ALL: [Self; 4] = [Self::Hotfix, Self::Patch, Self::Minor, Self::Major];

    /// The version a train from `version` arrives at.
    pub fn version_after(self, version: &Version) -> Version {
        match self {
            Self::Hotfix | Self::Patch => {
                Version::new(version.major, version.minor, version.patch + 1)
            }
            Self::Minor => Version::new(version.major, version.minor + 1, 0),
            Self::Major => Version::new(version.major + 1, 0, 0),
        }
    }

    /// The train that a step between two versions would have taken.
    pub fn between(from: &Version, to: &Version) -> Self {
        if from.major != to.major {
            Self::Major
        } else if from.minor != to.minor {
            Self::Minor
        } else {
            Self::Patch
        }
    }
}

/// How urgently a fix should depart, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixScore {
    /// The sum of the terms.
    pub value: u32,
    /// One line per term.
    pub reasons: Vec<String>,
    /// The train that a score of this size takes.
    pub train: Train,
}

impl FixScore {
    /// The level that a score of this size is (ledger E1): critical departs at once, high, medium and low take the patch, minor
    /// and major train.
    pub fn level(&self) -> score::Level {
        match self.train {
            Train::Hotfix => score::Level::Critical,
            Train::Patch => score::Level::High,
            Train::Minor => score::Level::Medium,
            Train::Major => score::Level::Low,
        }
    }
}

/// The score of a fix (ledger E1), from the issue it ends.
pub fn score(issue: &Issue, rules: &TrainRules) -> FixScore {
    let security = issue
        .score
        .reasons
        .iter()
        .any(|reason| reason.starts_with("impact security"));
    let performance = issue
        .score
        .reasons
        .iter()
        .any(|reason| reason.starts_with("impact performance"));
    let users = issue.users.len();
    let terms = [
        (
            issue.events > 100,
            rules.frequent,
            format!("{} events", issue.events),
        ),
        (users > 50, rules.many_users, format!("{users} users")),
        (
            !issue.handled,
            rules.no_workaround,
            "the program ends: no workaround".to_owned(),
        ),
        (security, rules.security, "security".to_owned()),
        (performance, rules.performance, "performance".to_owned()),
    ];
    let mut value = 0;
    let mut reasons = Vec::new();
    for (holds, points, why) in terms {
        if holds {
            value += points;
            reasons.push(format!("{why}: + {points}"));
        }
    }
    let auto = issue.level == score::Level::Critical && issue.score.value >= rules.escalate_at;
    let train = if value >= rules.hotfix_at || auto {
        Train::Hotfix
    } else if value >= rules.patch_at {
        Train::Patch
    } else if value >= rules.minor_at {
        Train::Minor
    } else {
        Train::Major
    };
    if auto {
        reasons.push(format!(
            "critical, priority {} ≥ {}",
            issue.score.value, rules.escalate_at
        ));
    }
    FixScore {
        value,
        reasons,
        train,
    }
}

/// A fix that waits, with what a train asks of it.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The fix.
    pub fix: Fix,
    /// Its score.
    pub score: FixScore,
    /// Since when it waits.
    pub since: Timestamp,
}

/// What makes a train depart (ledger E2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// A critical fix waits: at once.
    Immediate,
    /// Enough fixes wait.
    EnoughFixes,
    /// The oldest fix has waited for long enough.
    OldestWaits,
    /// The last minor or major release is long enough ago.
    MinorCadence,
    /// The last major release is long enough ago.
    MajorCadence,
}

impl Predicate {
    /// Its name in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::EnoughFixes => "enough fixes",
            Self::OldestWaits => "the oldest waits",
            Self::MinorCadence => "minor cadence",
            Self::MajorCadence => "major cadence",
        }
    }
}

/// What trains go by.
#[derive(Debug, Clone, Copy)]
pub struct Timetable<'a> {
    /// When a train is due.
    pub rules: &'a TrainRules,
    /// When it may depart.
    pub calendar: &'a CalendarRules,
    /// When each train departed last.
    pub last: &'a BTreeMap<Train, Timestamp>,
}

/// A train that fixes wait for.
#[derive(Debug, Clone)]
pub struct Outlook<'a> {
    /// The train.
    pub train: Train,
    /// Its fixes in the order to apply them, highest score first.
    pub aboard: Vec<&'a Waiting>,
    /// What makes it due.
    pub predicate: Predicate,
    /// Why, in one line.
    pub why: String,
    /// From when on it is due.
    pub due_at: Timestamp,
    /// What holds it now.
    pub held: Option<Hold>,
    /// When it departs, if nothing changes; nothing where the calendar shows no opening.
    pub departs_at: Option<Timestamp>,
}

impl Outlook<'_> {
    /// Whether it departs at a time, the one that it was made for.
    pub fn departs(&self, now: Timestamp) -> bool {
        self.due_at <= now && self.held.is_none()
    }
}

/// Every train that fixes wait for, the fastest first. A fix may take every train that is not faster than its own; the first
/// that departs takes it along.
pub fn outlook<'a>(
    waiting: &'a [Waiting],
    timetable: &Timetable<'_>,
    now: Timestamp,
) -> Vec<Outlook<'a>> {
    let mut trains = Vec::new();
    for train in Train::ALL {
        let mut aboard: Vec<&Waiting> = waiting
            .iter()
            .filter(|waiting| waiting.score.train <= train)
            .collect();
        let Some((predicate, due_at, why)) = due(train, &aboard, timetable) else {
            continue;
        };
        aboard.sort_by(|a, b| {
            b.score
                .value
                .cmp(&a.score.value)
                .then(a.since.cmp(&b.since))
                .then(a.fix.id.cmp(&b.fix.id))
        });
        aboard.truncate(crate::limits::BUNDLE_FIXES_MAX);
        trains.push(Outlook {
            train,
            aboard,
            predicate,
            why,
            due_at,
            held: timetable.calendar.hold(train, now),
            departs_at: timetable.calendar.opens(train, due_at.max(now)),
        });
    }
    trains
}

/// The first predicate that makes a train due, when, and why; nothing where no fix waits for it.
fn due(
    train: Train,
    aboard: &[&Waiting],
    timetable: &Timetable<'_>,
) -> Option<(Predicate, Timestamp, String)> {
    let rules = timetable.rules;
    let mut since: Vec<Timestamp> = aboard.iter().map(|waiting| waiting.since).collect();
    since.sort_unstable();
    let oldest = *since.first()?;
    let cadence = |predicate, days: u32, what: &str| {
        // A release that changes more is also the last of those that change less.
        let last = timetable.last.iter().filter(|(kind, _)| **kind >= train);
        if let Some(last) = last.map(|(_, at)| *at).max() {
            let why = format!("{days} days after the last {what} release");
            // A fix that came after the train was due makes it due when it comes.
            (predicate, after(last, days).max(oldest), why)
        } else {
            let why = format!("{days} days after the oldest fix: no {what} release yet");
            (predicate, after(oldest, days), why)
        }
    };
    Some(match train {
        Train::Hotfix => {
            let why = "critical: departs at once".to_owned();
            (Predicate::Immediate, oldest, why)
        }
        Train::Patch => {
            let days = rules.patch_days;
            let waits = after(oldest, days);
            match since.get(rules.patch_fixes.saturating_sub(1)) {
                Some(enough) if *enough <= waits => {
                    let (count, fixes) = (since.len(), rules.patch_fixes);
                    let why = format!("{count} fixes wait, {fixes} are enough");
                    (Predicate::EnoughFixes, *enough, why)
                }
                Some(_) | None => {
                    let why = format!("the oldest fix waits for {days} days");
                    (Predicate::OldestWaits, waits, why)
                }
            }
        }
        Train::Minor => cadence(Predicate::MinorCadence, rules.minor_days, "minor or major"),
        Train::Major => cadence(Predicate::MajorCadence, rules.major_days, "major"),
    })
}

/// Some days later, or the end of time.
fn after(at: Timestamp, days: u32) -> Timestamp {
    let length = SignedDuration::from_hours(24 * i64::from(days));
    at.checked_add(length).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
