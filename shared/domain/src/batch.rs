//! Sealed batches of reports, as the home remembers them: which keys open them and which batches came before.
//!
//! Keys have generations, from 1. Apps that are out there hold the public key they were shipped with, so several generations
//! are accepted side by side: a new one is made (rotate), apps are shipped with it, and when nobody uses the older
//! ones any more they are retired. A generation that is retired never comes back.
//!
//! Not here: the form of a batch and its seal (`kintsugi-trust`), opening it (`kintsugi-app`).

use crate::Timestamp;
use crate::id::{BatchId, ProjectId};
use crate::limits::{BATCH_AGE_DAYS_MAX, BATCH_AHEAD_HOURS_MAX, BATCH_KEYS_MAX};
use crate::record::{Kind, Record};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Why keys are left as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchKeysError {
    /// There are as many as may be.
    #[error("{BATCH_KEYS_MAX} generations are accepted already: retire one first")]
    TooMany,
    /// It is the newest one.
    #[error("it is the newest key: rotate first, then retire it")]
    Newest,
    /// It was never made.
    #[error("there is no key of that generation")]
    Unknown,
}

impl BatchKeysError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooMany => "batch_key.too_many",
            Self::Newest => "batch_key.newest",
            Self::Unknown => "batch_key.unknown",
        }
    }
}

/// Which generations of a project's key open batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchKeys {
    /// The newest, which new versions of the product should be shipped with.
    newest: u32,
    /// This one and every older one are retired.
    retired: u32,
}

impl Default for BatchKeys {
    fn default() -> Self {
        Self {
            newest: 1,
            retired: 0,
        }
    }
}

impl BatchKeys {
    /// The newest generation.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// The generations that open batches.
    pub fn accepted(&self) -> RangeInclusive<u32> {
        self.retired.saturating_add(1)..=self.newest
    }

    /// Begins the next generation and says which it is. The older ones stay accepted.
    pub fn rotate(&mut self) -> Result<u32, BatchKeysError> {
        if self.newest.saturating_sub(self.retired) >= BATCH_KEYS_MAX {
            return Err(BatchKeysError::TooMany);
        }
        self.newest = self.newest.checked_add(1).ok_or(BatchKeysError::TooMany)?;
        Ok(self.newest)
    }

    /// Ends a generation, and with it every older one. Batches that are sealed to them are lost.
    pub fn retire(&mut self, generation: u32) -> Result<(), BatchKeysError> {
        if generation == 0 || generation > self.newest {
            return Err(BatchKeysError::Unknown);
        }
        if generation == self.newest {
            return Err(BatchKeysError::Newest);
        }
        self.retired = self.retired.max(generation);
        Ok(())
    }
}

/// How a batch's own time lies to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchAge {
    /// It may be taken.
    Fits,
    /// Older than batches are remembered for: whether it came before cannot be told.
    Stale,
    /// From further ahead than clocks differ.
    Ahead,
}

/// Whether a batch that says it was sealed then may be taken now.
pub fn age(created: Timestamp, now: Timestamp) -> BatchAge {
    let seconds = now.duration_since(created).as_secs();
    if seconds > BATCH_AGE_DAYS_MAX * 24 * 3600 {
        BatchAge::Stale
    } else if seconds < -BATCH_AHEAD_HOURS_MAX * 3600 {
        BatchAge::Ahead
    } else {
        BatchAge::Fits
    }
}

/// A batch that was taken. **It is created in the commit that takes the batch, so a batch is taken once.**
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedBatch {
    /// Its project.
    pub project: ProjectId,
    /// The batch.
    pub id: BatchId,
    /// When it was sealed, by the sender's clock.
    pub created_at: Timestamp,
    /// When it was taken.
    pub received_at: Timestamp,
}

impl Record for ReceivedBatch {
    const KIND: Kind = Kind::Batch;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_overlap_until_they_are_retired_and_never_come_back() {
        let mut keys = BatchKeys::default();
        assert_eq!(keys.accepted(), 1..=1);
        assert_eq!(keys.rotate(), Ok(2));
        assert_eq!(keys.accepted(), 1..=2);
        assert_eq!(keys.retire(2), Err(BatchKeysError::Newest));
        assert_eq!(keys.retire(3), Err(BatchKeysError::Unknown));
        assert_eq!(keys.retire(0), Err(BatchKeysError::Unknown));
        assert_eq!(keys.retire(1), Ok(()));
        assert_eq!(keys.accepted(), 2..=2);
        for _ in 1..BATCH_KEYS_MAX {
            keys.rotate().unwrap();
        }
        assert_eq!(keys.rotate(), Err(BatchKeysError::TooMany));
        assert_eq!(keys.retire(1), Ok(()));
        assert_eq!(*keys.accepted().start(), 2, "an older one stays retired");
    }

    #[test]
    fn batches_are_taken_within_a_window_around_now() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let at = |text: &str| age(text.parse().unwrap(), now);
        assert_eq!(at("2026-11-21T12:00:00Z"), BatchAge::Fits);
        assert_eq!(at("2026-10-22T12:00:00Z"), BatchAge::Fits);
        assert_eq!(at("2026-10-22T11:59:59Z"), BatchAge::Stale);
        assert_eq!(at("2026-11-22T12:00:00Z"), BatchAge::Fits);
        assert_eq!(at("2026-11-22T12:00:01Z"), BatchAge::Ahead);
        assert_eq!(age(Timestamp::MIN, now), BatchAge::Stale);
        assert_eq!(age(Timestamp::MAX, now), BatchAge::Ahead);
    }
}
