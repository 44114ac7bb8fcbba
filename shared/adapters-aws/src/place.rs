//! Places in a line: texts whose order is the order in which they were drawn.

use kintsugi_domain::ports::Clock;
use rand_core::{OsRng, RngCore};
use std::sync::{Arc, Mutex, PoisonError};

/// Draws places. Within one process they follow each other strictly; between processes as well as their clocks agree.
#[derive(Clone)]
pub(crate) struct Places {
    clock: Arc<dyn Clock>,
    /// Microseconds of the place drawn last.
    last: Arc<Mutex<i64>>,
}

impl Places {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            last: Arc::default(),
        }
    }

    /// A place after every one drawn here before.
    pub(crate) fn draw(&self) -> String {
        let now = self.clock.now().as_microsecond();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = now.max(last.saturating_add(1));
        let random = OsRng.next_u32();
        Self::at(*last, &format!("{random:08x}"))
    }

    /// The place of a moment, told apart from others of that moment by `end`.
    pub(crate) fn at(microsecond: i64, end: &str) -> String {
        format!("{microsecond:020}-{end}")
    }

    /// So many days from now, in the form of the table's time to live: seconds since 1970.
    pub(crate) fn days_from_now(&self, days: i64) -> i64 {
        let now = self.clock.now().as_second();
        now.saturating_add(days.saturating_mul(86_400))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kintsugi_testkit::memory::FixedClock;

    #[test]
    fn places_are_ordered_as_they_were_drawn_while_the_clock_stands_still() {
        let places = Places::new(Arc::new(FixedClock::default()));
        let drawn: Vec<String> = (0..100).map(|_| places.draw()).collect();
        assert!(drawn.is_sorted());
    }
}
