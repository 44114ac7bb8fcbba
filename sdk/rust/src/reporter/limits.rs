//! Limits that are nearly used up and work that is too slow, each told once until it is better again.

use super::{Report, ReportKind, Reporter};
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

/// From how many percent of a limit on it is nearly used up.
const NEAR_PERCENT: u128 = 80;
/// Most limits that are remembered.
const NAMES_MAX: usize = 100;

/// What was told and is not better yet.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeSet<String>);

impl Told {
    /// Whether something is to be told: it is near, and was not when it was last looked at.
    pub(super) fn begins(&mut self, name: &str, is_near: bool) -> bool {
        if !is_near {
            self.0.remove(name);
            return false;
        }
        self.0.len() < NAMES_MAX && self.0.insert(name.to_owned())
    }
}

/// Whether so much of a limit is 80 % of it or more.
pub(super) fn is_near(used: u64, limit: u64) -> bool {
    limit > 0 && u128::from(used) * 100 >= u128::from(limit) * NEAR_PERCENT
}

impl Reporter {
    /// Says how much of a limit is used up: of requests to a service, of places in a pool. At 80 % it is reported
    /// ([`ReportKind::RateLimitApproaching`]), once until it was below that again.
    pub fn limit(&self, name: &str, used: u64, limit: u64) {
        let near = is_near(used, limit);
        let told = &self.inner.shared.told;
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = told.begins(name, near);
        drop(told);
        if begins {
            let report = Report::new(ReportKind::RateLimitApproaching);
            self.report(
                report
                    .message(format!("{name}: {used} of {limit}"))
                    .tag("limit", name),
            );
        }
    }

    /// Says how long a query took. One as slow as [`super::Options::slow_query`] is reported ([`ReportKind::SlowQuery`]). `statement` should have
    /// placeholders: of values in it only what is recognised as personal or secret is removed.
    pub fn query(&self, statement: &str, took: Duration) {
        if took >= self.inner.shared.options.slow_query {
            let report = Report::new(ReportKind::SlowQuery);
            let message = format!("{statement}: {} ms", took.as_millis());
            self.report(report.message(message).transaction(statement));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_once_until_it_is_better_again() {
        let mut told = Told::default();
        let mut begins = |used| told.begins("api", is_near(used, 100));
        let seen: Vec<bool> = [79, 80, 99, 120, 79, 80].map(&mut begins).into();
        assert_eq!(seen, [false, true, false, false, false, true]);
        assert!(!is_near(5, 0) && is_near(u64::MAX, u64::MAX));
    }
}
