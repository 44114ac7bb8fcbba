//! The sample product's configuration does what the demonstration needs of it.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::support::sample;
use kintsugi::project;
use kintsugi_domain::cohort::{Arm, Share};
use kintsugi_domain::config::RolloutRules;
use kintsugi_domain::guard::{Tally, increments};

fn rules() -> RolloutRules {
    project::read(&sample()).unwrap().config.rollout
}

fn canary_share() -> Share {
    Share::from_percent(*rules().steps_percent.first().unwrap())
}

fn all_failed(count: u64) -> Tally {
    let mut tally = Tally {
        new_failed: count,
        ..Tally::default()
    };
    for _ in 0..count {
        for (slot, add) in tally
            .weights
            .iter_mut()
            .zip(increments(Arm::New, canary_share()))
        {
            *slot += add;
        }
    }
    tally
}

#[test]
fn the_gate_opens_at_six_healthy_installs_and_not_before() {
    let rules = rules();
    let needed = 100.0 / rules.gate_beta_percent;
    let confidence = |new_healthy| {
        let tally = Tally {
            new_healthy,
            ..Tally::default()
        };
        tally.confidence(rules.gate_margin_percent / 100.0)
    };
    assert_eq!(rules.gate_installs_min, 6);
    assert!(confidence(5) < needed, "{}", confidence(5));
    assert!(confidence(6) >= needed, "{}", confidence(6));
}

#[test]
fn the_guard_halts_a_release_that_fails_everywhere_with_half_of_the_canaries() {
    let bound = 100.0 / rules().guard_alpha_percent;
    let needed = (1..=13).find(|count| all_failed(*count).evidence() >= bound);
    assert!(needed.is_some_and(|count| count <= 6), "{needed:?}");
    // One canary that fails is no proof.
    assert!(all_failed(1).evidence() < bound);
}

#[test]
fn a_crash_is_enough_for_a_hotfix() {
    let trains = project::read(&sample()).unwrap().config.trains;
    assert!(trains.no_workaround >= trains.hotfix_at);
}
