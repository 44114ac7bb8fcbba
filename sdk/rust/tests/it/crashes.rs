//! The process ends between any two effects: the next start finds its way to a version that works.
//!
//! The end is a panic in the observer of steps, which drops everything on the way out as the end of a
//! process does; the command's tests do the same with a real kill.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::home::{Home, built};
use crate::installs::{V100, V101, V110, installed, run, running, state};
use kintsugi_sdk::updater::{Settings, Step, Updater};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Runs until a step, and ends there. Whether it came so far.
fn ends_at(home: &Home, settings: &Settings, end: Step) -> bool {
    let clock = Arc::new(home.clock.clone());
    let mut updater = Updater::open_with_clock(settings.clone(), clock).unwrap();
    updater.watch(move |step| {
        if step == end {
            std::panic::resume_unwind(Box::new("the end"));
        }
    });
    catch_unwind(AssertUnwindSafe(move || updater.run_once().map(|_| ()))).is_err()
}

/// Whatever instant it was: `current` is a whole version whose health check passes.
fn assert_works(settings: &Settings, expected: &[&str]) {
    let version = running(&settings.dir).unwrap();
    assert!(expected.contains(&version.as_str()), "{version}");
    let status = std::process::Command::new("sh")
        .arg(settings.dir.join("current/bin/health"))
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn an_update_that_ends_at_any_step_is_finished_by_the_next_run() {
    for end in [
        Step::Refreshed,
        Step::Offered,
        Step::Verified,
        Step::Unpacked,
        Step::Placed,
        Step::Journaled,
        Step::Swapped,
        Step::Checked,
        Step::Confirmed,
        Step::Reported,
    ] {
        let (mut home, _dir, settings) = installed();
        home.release(&built(V101, true), &[&built(V100, true)]);
        home.publish();
        assert!(ends_at(&home, &settings, end), "{end:?} was not reached");
        // At no instant is there anything but a whole version.
        assert_works(&settings, &["1.0.0", "1.0.1"]);
        let clock = Arc::new(home.clock.clone());
        let recovered = Updater::open_with_clock(settings.clone(), clock).unwrap();
        let confirmed = end >= Step::Confirmed;
        let version = if confirmed { V101 } else { V100 };
        assert_eq!(recovered.state().version(), version, "{end:?}");
        assert_works(&settings, &[&version.to_string()]);
        assert!(!settings.dir.join("journal.json").exists());
        drop(recovered);
        run(&home, &settings).unwrap();
        assert_works(&settings, &["1.0.1"]);
        let healthy = "rollout-1-0-1/New healthy".to_owned();
        assert!(
            home.reported().contains(&healthy),
            "{end:?}: {:?}",
            home.reported()
        );
    }
}

#[test]
fn a_way_back_that_ends_at_any_step_is_finished_by_the_next_run() {
    for end in [
        Step::Swapped,
        Step::Checked,
        Step::GoingBack,
        Step::SwappedBack,
        Step::Quarantined,
        Step::Reported,
    ] {
        let (mut home, _dir, settings) = installed();
        home.release(&built(V110, false), &[]);
        home.publish();
        assert!(ends_at(&home, &settings, end), "{end:?} was not reached");
        let clock = Arc::new(home.clock.clone());
        drop(Updater::open_with_clock(settings.clone(), clock).unwrap());
        assert_works(&settings, &["1.0.0"]);
        run(&home, &settings).unwrap();
        assert_works(&settings, &["1.0.0"]);
        assert!(
            state(&settings.dir).quarantined.contains_key(&V110),
            "{end:?}"
        );
        let failed = "rollout-1-1-0/New failed health".to_owned();
        assert!(
            home.reported().contains(&failed),
            "{end:?}: {:?}",
            home.reported()
        );
    }
}

#[test]
fn a_first_install_that_is_cut_off_leaves_nothing_or_the_whole_version() {
    for end in [
        Step::Unpacked,
        Step::Placed,
        Step::Journaled,
        Step::Swapped,
        Step::Checked,
    ] {
        let mut home = Home::start();
        home.release(&built(V100, true), &[]);
        home.publish();
        let dir = tempfile::tempdir().unwrap();
        let settings = home.device(dir.path(), "d1");
        assert!(ends_at(&home, &settings, end));
        let clock = Arc::new(home.clock.clone());
        drop(Updater::open_with_clock(settings.clone(), clock).unwrap());
        assert_eq!(running(dir.path()), None, "{end:?}");
        run(&home, &settings).unwrap();
        assert_works(&settings, &["1.0.0"]);
    }
}

#[test]
fn a_version_whose_trial_is_cut_off_again_and_again_is_given_up() {
    let (mut home, dir, settings) = installed();
    home.release(&built(V101, true), &[]);
    home.publish();
    for _ in 0..3 {
        assert!(ends_at(&home, &settings, Step::Swapped));
    }
    run(&home, &settings).unwrap();
    assert_works(&settings, &["1.0.0"]);
    assert_eq!(
        state(dir.path()).quarantined.get(&V101).unwrap().step,
        "interrupted"
    );
    assert_eq!(
        home.reported().last().unwrap(),
        "rollout-1-0-1/New failed interrupted"
    );
}

#[test]
fn a_deleted_tree_is_noticed_and_the_version_before_runs_again() {
    let (mut home, dir, settings) = installed();
    home.release(&built(V101, true), &[]);
    home.publish();
    run(&home, &settings).unwrap();
    std::fs::remove_dir_all(dir.path().join("versions/1.0.1")).unwrap();
    let clock = Arc::new(home.clock.clone());
    drop(Updater::open_with_clock(settings.clone(), clock).unwrap());
    assert_works(&settings, &["1.0.0"]);
    run(&home, &settings).unwrap();
    assert_works(&settings, &["1.0.1"]);
}
