//! A clock that stands until it is moved.

use super::locked;
use kintsugi_domain::Timestamp;
use kintsugi_domain::ports::Clock;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A clock that shows what it was set to. Clones show the same time.
#[derive(Debug, Clone)]
pub struct FixedClock {
    now: Arc<Mutex<Timestamp>>,
}

impl FixedClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now: Arc::new(Mutex::new(now)),
        }
    }

    /// Moves the clock to `now`, forward or back.
    pub fn set(&self, now: Timestamp) {
        *locked(&self.now) = now;
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let mut now = locked(&self.now);
        *now = now.saturating_add(by).unwrap_or(Timestamp::MAX);
    }
}

impl Default for FixedClock {
    /// Shows 2026-01-05 09:00:00 UTC, a Monday morning.
    fn default() -> Self {
        Self::at(Timestamp::from_second(1_767_603_600).unwrap_or(Timestamp::UNIX_EPOCH))
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *locked(&self.now)
    }
}
