//! Which fixes depart when, and on which train (ledger E1, E2).

use crate::Timestamp;
use crate::config::TrainRules;
use crate::fix::Fix;
use crate::issue::Issue;
use crate::score;
use jiff::SignedDuration;
use semver::Version;
use serde::{Deserialize, Serialize};

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

/// The train that departs now, if one does: its fixes in the order to apply them (highest score first),
/// and the predicate that fired.
pub fn departure<'a>(
    waiting: &'a [Waiting],
    rules: &TrainRules,
    last_departure: Option<Timestamp>,
    now: Timestamp,
) -> Option<(Train, Vec<&'a Waiting>, String)> {
    for train in Train::ALL {
        let mut aboard: Vec<&Waiting> = waiting
            .iter()
            .filter(|waiting| waiting.score.train <= train)
            .collect();
        aboard.sort_by(|a, b| {
            b.score
                .value
                .cmp(&a.score.value)
                .then(a.since.cmp(&b.since))
                .then(a.fix.id.cmp(&b.fix.id))
        });
        aboard.truncate(crate::limits::BUNDLE_FIXES_MAX);
        let Some(oldest) = aboard.iter().map(|waiting| waiting.since).min() else {
            continue;
        };
        let age = now.duration_since(last_departure.map_or(oldest, |last| last.max(oldest)));
        let days = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
        let waited = now.duration_since(oldest);
        let why = match train {
            Train::Hotfix => Some("critical: departs at once".to_owned()),
            Train::Patch if aboard.len() >= rules.patch_fixes => Some(format!(
                "{} fixes wait, {} are enough",
                aboard.len(),
                rules.patch_fixes
            )),
            Train::Patch if waited >= days(rules.patch_days) => Some(format!(
                "the oldest fix waits for {} days or more",
                rules.patch_days
            )),
            Train::Minor if age >= days(rules.minor_days) => Some(format!(
                "{} days since the last departure",
                rules.minor_days
            )),
            Train::Major if age >= days(rules.major_days) => Some(format!(
                "{} days since the last departure",
                rules.major_days
            )),
            Train::Patch | Train::Minor | Train::Major => None,
        };
        if let Some(why) = why {
            return Some((train, aboard, why));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_the_train() {
        let from = Version::new(1, 2, 3);
        assert_eq!(Train::Hotfix.version_after(&from), Version::new(1, 2, 4));
        assert_eq!(Train::Minor.version_after(&from), Version::new(1, 3, 0));
        assert_eq!(Train::Major.version_after(&from), Version::new(2, 0, 0));
        for train in [Train::Patch, Train::Minor, Train::Major] {
            assert_eq!(Train::between(&from, &train.version_after(&from)), train);
        }
    }
}
