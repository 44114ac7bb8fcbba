//! The path of a hotfix: from the report that made an issue critical to the first offer of the version that mends it (ledger E8: under 30
//! minutes).
//!
//! The times are those that the records' own stories tell. Not here: who is offered it ([`crate::rollout`]).

use crate::Timestamp;
use crate::bundle::Bundle;
use crate::fix::Fix;
use crate::issue::Issue;
use crate::release::Release;
use crate::story::Story;
use serde::{Deserialize, Serialize};

/// The longest time from the report to the offer, seconds.
pub const HOTFIX_SECONDS_MAX: i64 = 30 * 60;

/// A point on the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// What came about: `reported`, `diagnosed`, `proven`, `approved`, `cut`, `built`, `published`, `offered`.
    pub what: String,
    /// When.
    pub at: Timestamp,
}

/// How long a hotfix took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotfixPath {
    /// Every point, in order; what had come about before the issue was critical is left out.
    pub points: Vec<Point>,
    /// From the first to the last, seconds.
    pub seconds: i64,
    /// Whether that is longer than [`HOTFIX_SECONDS_MAX`].
    pub late: bool,
}

impl HotfixPath {
    /// The path of a release that is offered from `offered_at` on, by the issue of its fixes that was critical first; nothing where none was.
    pub fn of(
        release: &Release,
        bundle: &Bundle,
        fixes: &[Fix],
        issues: &[Issue],
        offered_at: Timestamp,
    ) -> Option<Self> {
        let critical = issues
            .iter()
            .filter_map(|issue| Some((issue.critical_since?, issue)));
        let (start, issue) = critical.min_by_key(|(since, issue)| (*since, issue.id.clone()))?;
        let fix = fixes.iter().find(|fix| fix.issue == issue.id);
        let story = fix.map(|fix| &fix.story);
        let told = |story: Option<&Story>, what: &str| {
            let mut steps = story?.steps().iter();
            steps
                .find(|step| step.what == what && step.at >= start)
                .map(|step| step.at)
        };
        let points = [
            ("reported", Some(start)),
            ("diagnosed", told(Some(&issue.story), "Diagnosed")),
            ("proven", told(story, "Validated")),
            ("approved", told(story, "Approved")),
            ("cut", Some(bundle.cut_at)),
            ("built", told(Some(&bundle.story), "Packaged")),
            ("published", told(Some(&release.story), "Published")),
            ("offered", Some(offered_at)),
        ];
        let points = points.into_iter().filter_map(|(what, at)| {
            let what = what.to_owned();
            Some(Point { what, at: at? })
        });
        let seconds = offered_at.duration_since(start).as_secs();
        Some(Self {
            points: points.collect(),
            seconds,
            late: seconds > HOTFIX_SECONDS_MAX,
        })
    }

    /// The longest stretch: what it ended with, and how long it was in seconds.
    pub fn slowest(&self) -> Option<(&str, i64)> {
        let pairs = self.points.windows(2).filter_map(|pair| {
            let (before, after) = (pair.first()?, pair.last()?);
            let seconds = after.at.duration_since(before.at).as_secs();
            Some((after.what.as_str(), seconds))
        });
        // The first of equals: what came later may have waited for it.
        pairs.fold(None, |longest: Option<(&str, i64)>, next| match longest {
            Some(longest) if longest.1 >= next.1 => Some(longest),
            Some(_) | None => Some(next),
        })
    }
}
