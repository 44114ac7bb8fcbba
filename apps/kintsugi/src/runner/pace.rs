//! How long a runner waits: never all runners of a home at once.

use kintsugi_adapters_local::RandomIds;
use kintsugi_domain::ports::Ids as _;
use std::time::Duration;
use tokio::time::sleep;

/// The first wait; each further one in a row doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait for a job. In AWS each question costs a request, and each job waits for the next question.
const LONGEST_IDLE: Duration = Duration::from_secs(8);
/// The longest wait after failures.
const LONGEST: Duration = Duration::from_mins(1);

/// Waits with jitter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace;

impl Pace {
    /// Waits until it is time to ask for a job again, after the n-th answer in a row that there is none.
    pub(super) async fn idle(self, answers: u32) {
        sleep(between_half_and_whole(doubled(answers).min(LONGEST_IDLE))).await;
    }

    /// Waits after the n-th failure in a row, 1 for the first.
    pub(super) async fn back_off(self, failures: u32) {
        sleep(between_half_and_whole(doubled(failures).min(LONGEST))).await;
    }
}

/// 1, 2, 4 … seconds for the first, second, third … time.
fn doubled(times: u32) -> Duration {
    FIRST.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1)))
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
    fn waits_grow_and_are_never_the_same_for_all() {
        let waits: Vec<u64> = (1..8).map(|n| doubled(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64]);
        assert!(doubled(u32::MAX) > LONGEST);
        let drawn: Vec<Duration> = (0..100).map(|_| between_half_and_whole(LONGEST)).collect();
        assert!(drawn.iter().all(|it| (LONGEST / 2..=LONGEST).contains(it)));
        assert!(drawn.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
