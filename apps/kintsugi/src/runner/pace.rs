//! How long a runner waits: never all runners of a home at once.

use kintsugi_adapters_local::RandomIds;
use kintsugi_domain::ports::Ids as _;
use std::time::Duration;
use tokio::time::sleep;

/// How long a runner waits when there is no job.
const IDLE: Duration = Duration::from_secs(2);
/// The first wait after a failure; each further one doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait after failures.
const LONGEST: Duration = Duration::from_mins(1);

/// Waits with jitter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace;

impl Pace {
    /// Waits until it is time to ask for a job again.
    pub(super) async fn idle(self) {
        sleep(between_half_and_whole(IDLE)).await;
    }

    /// Waits after the n-th failure in a row, 1 for the first.
    pub(super) async fn back_off(self, failures: u32) {
        sleep(between_half_and_whole(longest_wait(failures))).await;
    }
}

fn longest_wait(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    FIRST.saturating_mul(doubled).min(LONGEST)
}

fn between_half_and_whole(time: Duration) -> Duration {
    // The top 32 bits are as many steps between the two.
    let part = RandomIds.fresh().leading_u64() >> 32;
    let half = time / 2;
    let more = half.as_nanos().saturating_mul(part.into()) >> 32;
    half.saturating_add(Duration::from_nanos(u64::try_from(more).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_are_never_the_same_for_all() {
        let waits: Vec<u64> = (1..9).map(|n| longest_wait(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(longest_wait(u32::MAX), LONGEST);
        let drawn: Vec<Duration> = (0..100).map(|_| between_half_and_whole(LONGEST)).collect();
        assert!(drawn.iter().all(|it| (LONGEST / 2..=LONGEST).contains(it)));
        assert!(drawn.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
