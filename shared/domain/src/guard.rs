//! The guard: is the new version worse than the old one, judged continuously without false alarms
//! piling up.
//!
//! The failure-origin e-process: given that some device failed and devices are assigned by chance, the
//! arm of the failure is a coin with a known bias. Under "the new version fails at most as often as the
//! old one" the product of the bets below is a supermartingale, so by Ville's inequality it ever exceeds
//! 1/α with probability at most α, however often one looks. Kin: Lindon & Malek, *Anytime-valid
//! inference for multinomial count data* (`NeurIPS` 2022); Netflix, *Sequential A/B testing keeps the world
//! streaming*; Ramdas et al., *Game-theoretic statistics and safe anytime-valid inference* (2023).
//!
//! The state is a list of integers that only ever have constants added to them, which depend on nothing
//! but the arm and the share: the order of outcomes does not matter, and a store can add them without
//! reading.

use crate::cohort::{Arm, Share};
use std::collections::BTreeMap;

/// Ratios of failure rates that are bet on, spread evenly in logarithm from 1.5 to 40.
const RATIOS: usize = 16;
const RATIO_MIN: f64 = 1.5;
const RATIO_MAX: f64 = 40.0;
/// Log-weights are stored in billionths of a nat, rounded towards less evidence.
const UNIT: f64 = 1e9;

/// The ratios bet on.
fn ratios() -> impl Iterator<Item = f64> {
    let (low, high) = (RATIO_MIN.ln(), RATIO_MAX.ln());
    // 16 steps: no precision is lost.
    #[expect(clippy::cast_precision_loss, reason = "0 to 15")]
    (0..RATIOS).map(move |k| (low + (high - low) * k as f64 / (RATIOS - 1) as f64).exp())
}

/// What one failure adds to each log-weight, in billionths of a nat.
///
/// `share` is the share of the new arm that was in force when the failure came; a share larger than the
/// true one only makes the guard slower, never wrong.
pub fn increments(arm: Arm, share: Share) -> [i64; RATIOS] {
    let share = share.fraction();
    let mut out = [0; RATIOS];
    for (slot, ratio) in out.iter_mut().zip(ratios()) {
        let bet = match arm {
            Arm::New => ratio.ln(),
            Arm::Control => 0.0,
        };
        // Below 2^53 for any number of failures a fleet can have.
        #[expect(clippy::cast_possible_truncation, reason = "a few nats in billionths")]
        let units = ((bet - (share * ratio + 1.0 - share).ln()) * UNIT).floor() as i64;
        *slot = units;
    }
    out
}

/// The name of a log-weight's counter field.
pub fn weight_field(k: usize) -> String {
    format!("weight_{k:02}")
}

/// What is known of a rollout: counts per arm and the guard's log-weights. Read from a counter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Devices of the new arm that began.
    pub new_started: u64,
    /// … that ended healthy.
    pub new_healthy: u64,
    /// … that failed, fell silent included.
    pub new_failed: u64,
    /// Devices of the control arm that began.
    pub control_started: u64,
    /// … that were healthy.
    pub control_healthy: u64,
    /// … that failed, fell silent included.
    pub control_failed: u64,
    /// The log-weights, in billionths of a nat.
    pub weights: [i64; RATIOS],
}

/// The counter that holds a rollout's tally.
pub fn tally_counter(rollout: &crate::id::RolloutId) -> String {
    format!("tally/{rollout}")
}

impl Tally {
    /// The tally in a counter's fields.
    pub fn from_fields(fields: &BTreeMap<String, i64>) -> Self {
        let count = |name: &str| {
            fields
                .get(name)
                .copied()
                .unwrap_or(0)
                .try_into()
                .unwrap_or(0)
        };
        let mut weights = [0; RATIOS];
        for (k, slot) in weights.iter_mut().enumerate() {
            *slot = fields.get(&weight_field(k)).copied().unwrap_or(0);
        }
        Self {
            new_started: count("new_started"),
            new_healthy: count("new_healthy"),
            new_failed: count("new_failed"),
            control_started: count("control_started"),
            control_healthy: count("control_healthy"),
            control_failed: count("control_failed"),
            weights,
        }
    }

    /// The evidence that the new version fails more often: 1 is none, 100 is what α = 1 % asks for.
    pub fn evidence(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "nats, a few decimals matter")]
        let sum: f64 = self
            .weights
            .iter()
            .map(|units| (*units as f64 / UNIT).exp())
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "16")]
        let count = RATIOS as f64;
        sum / count
    }

    /// Results of the new arm.
    pub fn new_results(&self) -> u64 {
        self.new_healthy + self.new_failed
    }

    /// The share of the new arm's results that were failures; 0 without results.
    pub fn new_failure_rate(&self) -> f64 {
        rate(self.new_failed, self.new_results())
    }

    /// The share of the control arm's results that were failures; 0 without results.
    pub fn control_failure_rate(&self) -> f64 {
        rate(
            self.control_failed,
            self.control_healthy + self.control_failed,
        )
    }

    /// The evidence that the new version's failure rate is below the control's plus `margin`: the
    /// likelihood ratio of "as the control" to "margin worse". 1 / β of it lets a rollout widen.
    ///
    /// The control's rate is an estimate with a floor of half a percent, which makes this approximate
    /// where the control is small.
    pub fn confidence(&self, margin: f64) -> f64 {
        let base = self.control_failure_rate().max(0.005);
        let worse = (base + margin).min(0.999);
        #[expect(clippy::cast_precision_loss, reason = "counts of devices")]
        let (failed, healthy) = (self.new_failed as f64, self.new_healthy as f64);
        (failed * (base / worse).ln() + healthy * ((1.0 - base) / (1.0 - worse)).ln()).exp()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of devices")]
fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tally(failures: &[(Arm, u32)], share: Share) -> Tally {
        let mut tally = Tally::default();
        for (arm, count) in failures {
            for _ in 0..*count {
                for (slot, add) in tally.weights.iter_mut().zip(increments(*arm, share)) {
                    *slot += add;
                }
            }
        }
        tally
    }

    #[test]
    fn no_failure_is_no_evidence() {
        assert!((Tally::default().evidence() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn one_failure_has_expected_evidence_of_at_most_one_when_nothing_is_wrong() {
        for percent in [1, 5, 20, 25, 50, 90] {
            let share = Share::from_percent(percent);
            let w = share.fraction();
            let expected = w * tally(&[(Arm::New, 1)], share).evidence()
                + (1.0 - w) * tally(&[(Arm::Control, 1)], share).evidence();
            assert!(expected <= 1.0 + 1e-9, "{percent} %: {expected}");
        }
    }

    #[test]
    fn a_canary_that_always_fails_is_convicted_within_a_handful() {
        let share = Share::from_percent(25);
        let needed = (1..100)
            .find(|n| tally(&[(Arm::New, *n)], share).evidence() >= 100.0)
            .unwrap();
        assert!((4..=6).contains(&needed), "{needed}");
    }

    #[test]
    fn an_outage_that_hits_both_arms_convicts_nobody() {
        let share = Share::from_percent(20);
        let both = tally(&[(Arm::New, 20), (Arm::Control, 80)], share);
        assert!(both.evidence() < 1.0, "{}", both.evidence());
    }

    #[test]
    fn few_good_installs_cannot_exclude_a_small_margin() {
        let tally = Tally {
            new_healthy: 10,
            ..Tally::default()
        };
        assert!(tally.confidence(0.02) < 20.0);
        assert!(tally.confidence(0.40) > 20.0);
    }

    proptest! {
        #[test]
        fn the_order_of_failures_does_not_matter(arms in proptest::collection::vec(any::<bool>(), 0..60)) {
            let share = Share::from_percent(10);
            let list = |order: Vec<bool>| {
                let failures: Vec<(Arm, u32)> = order
                    .into_iter()
                    .map(|new| (if new { Arm::New } else { Arm::Control }, 1))
                    .collect();
                tally(&failures, share)
            };
            let forwards = list(arms.clone());
            let backwards = list(arms.into_iter().rev().collect());
            prop_assert_eq!(forwards, backwards);
        }
    }
}
