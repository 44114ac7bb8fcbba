//! What should happen: first installs, deltas, ways back, comparisons, reports.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::home::{Home, Reply, built, with_health};
use kintsugi_domain::cohort::Share;
use kintsugi_sdk::updater::{Outcome, Settings, Source, State, Summary, UpdateError, Updater};
use semver::Version;
use std::path::Path;
use std::sync::Arc;

pub(crate) const V100: Version = Version::new(1, 0, 0);
pub(crate) const V101: Version = Version::new(1, 0, 1);
pub(crate) const V110: Version = Version::new(1, 1, 0);

/// One run of the updater on a device.
pub(crate) fn run(home: &Home, settings: &Settings) -> Result<Summary, UpdateError> {
    let clock = Arc::new(home.clock.clone());
    Updater::open_with_clock(settings.clone(), clock)?.run_once()
}

/// What `current/VERSION` says.
pub(crate) fn running(dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(dir.join("current/VERSION")).ok()?;
    Some(text.trim().to_owned())
}

/// A home with 1.0.0, and a device that has it.
pub(crate) fn installed() -> (Home, tempfile::TempDir, Settings) {
    let mut home = Home::start();
    home.release(&built(V100, true), &[]);
    home.rollout(&V100).finalised = true;
    home.publish();
    let dir = tempfile::tempdir().unwrap();
    let settings = home.device(dir.path(), "d1");
    run(&home, &settings).unwrap();
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.0"));
    (home, dir, settings)
}

pub(crate) fn state(dir: &Path) -> State {
    Updater::look(dir).unwrap()
}

#[test]
fn a_first_install_takes_the_full_package_and_a_second_run_stays() {
    let mut home = Home::start();
    let first = built(V100, true);
    home.release(&first, &[]);
    home.publish();
    let dir = tempfile::tempdir().unwrap();
    let settings = home.device(dir.path(), "d1");
    let summary = run(&home, &settings).unwrap();
    assert_eq!((summary.before, summary.installed), (None, Some(V100)));
    let full_bytes = first.full.len() as u64;
    assert!(
        matches!(summary.outcome, Outcome::Installed { source: Source::Full, downloaded_bytes, .. }
            if downloaded_bytes == full_bytes)
    );
    assert_eq!(summary.metadata.map(|metadata| metadata.targets), Some(1));
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.0"));
    let new = "rollout-1-0-0/New";
    assert_eq!(
        home.reported(),
        [format!("{new} started"), format!("{new} healthy")]
    );
    let summary = run(&home, &settings).unwrap();
    assert!(
        matches!(summary.outcome, Outcome::Stayed { healthy: None, .. }),
        "{summary:?}"
    );
    assert_eq!(home.reported().len(), 2);
}

#[test]
fn an_update_takes_the_delta_and_keeps_the_version_before() {
    let (mut home, dir, settings) = installed();
    let next = built(V101, true);
    home.release(&next, &[&built(V100, true)]);
    home.publish();
    let summary = run(&home, &settings).unwrap();
    let Outcome::Installed {
        source,
        delta_refused,
        downloaded_bytes,
        ..
    } = summary.outcome
    else {
        panic!("{summary:?}")
    };
    assert_eq!((source, delta_refused), (Source::Delta, None));
    assert!(
        downloaded_bytes * 10 < next.full.len() as u64,
        "{downloaded_bytes}"
    );
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.1"));
    assert_eq!(
        state(dir.path()).previous.map(|one| one.version),
        Some(V100)
    );
    assert!(dir.path().join("versions/1.0.0/VERSION").exists());
}

#[test]
fn only_the_running_version_and_the_one_before_are_kept() {
    let (mut home, dir, settings) = installed();
    for version in [V101, V110] {
        home.release(&built(version, true), &[]);
        home.publish();
        run(&home, &settings).unwrap();
    }
    let names = |folder: &str| {
        let mut names: Vec<_> = std::fs::read_dir(dir.path().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("versions"), ["1.0.1", "1.1.0"]);
    assert_eq!(names("content"), ["1.0.1.tar", "1.1.0.tar"]);
    assert!(names("downloads").is_empty());
}

#[test]
fn a_delta_that_fails_gives_way_to_the_full_package_and_the_summary_says_so() {
    let (mut home, dir, settings) = installed();
    home.release(&built(V101, true), &[&built(V100, true)]);
    home.publish();
    let delta = home.served(".delta");
    *home
        .shelf()
        .files
        .get_mut(&delta)
        .unwrap()
        .last_mut()
        .unwrap() ^= 1;
    let summary = run(&home, &settings).unwrap();
    let Outcome::Installed {
        source,
        delta_refused,
        ..
    } = summary.outcome
    else {
        panic!("{summary:?}")
    };
    assert_eq!(source, Source::Full);
    assert!(delta_refused.unwrap().starts_with("file_tampered"));
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.1"));
}

#[test]
fn a_base_that_was_changed_on_the_device_gives_way_to_the_full_package() {
    let (mut home, dir, settings) = installed();
    home.release(&built(V101, true), &[&built(V100, true)]);
    home.publish();
    let base = dir.path().join("content/1.0.0.tar");
    let mut bytes = std::fs::read(&base).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&base, bytes).unwrap();
    let summary = run(&home, &settings).unwrap();
    assert!(matches!(
        summary.outcome,
        Outcome::Installed {
            source: Source::Full,
            ..
        }
    ));
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.1"));
}

#[test]
fn a_version_that_is_not_healthy_goes_back_and_is_not_tried_again() {
    let (mut home, dir, settings) = installed();
    home.release(&built(V110, false), &[&built(V100, true)]);
    home.publish();
    let summary = run(&home, &settings).unwrap();
    let Outcome::WentBack {
        version,
        step,
        reason,
        previous_healthy,
    } = summary.outcome
    else {
        panic!("{summary:?}")
    };
    assert_eq!(
        (version, step.as_str(), previous_healthy),
        (V110, "health", Some(true))
    );
    assert_eq!(reason, "exit status: 3: tax_number is missing");
    assert_eq!(summary.installed, Some(V100));
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.0"));
    assert!(!dir.path().join("versions/1.1.0").exists());
    let new = "rollout-1-1-0/New";
    assert_eq!(
        home.reported(),
        [format!("{new} started"), format!("{new} failed health")]
    );
    let again = run(&home, &settings).unwrap();
    let Outcome::Stayed { declined, .. } = again.outcome else {
        panic!("{again:?}")
    };
    assert_eq!(declined, Some(V110));
    assert_eq!(home.reported().len(), 2);
}

#[test]
fn a_first_install_that_is_not_healthy_leaves_nothing_installed() {
    let mut home = Home::start();
    home.release(&built(V100, false), &[]);
    home.publish();
    let dir = tempfile::tempdir().unwrap();
    let settings = home.device(dir.path(), "d1");
    let summary = run(&home, &settings).unwrap();
    assert!(
        matches!(
            summary.outcome,
            Outcome::WentBack {
                previous_healthy: None,
                ..
            }
        ),
        "{summary:?}"
    );
    assert_eq!(summary.installed, None);
    assert!(dir.path().join("current").symlink_metadata().is_err());
}

#[test]
fn a_revoked_version_goes_back_by_a_signed_grant_without_loading_anything() {
    let (mut home, dir, settings) = installed();
    home.release(&built(V110, true), &[]);
    home.publish();
    run(&home, &settings).unwrap();
    assert_eq!(running(dir.path()).as_deref(), Some("1.1.0"));
    home.document.revoked = vec![V110];
    home.document.grants = vec![home.grant(&V110, &V100, home.targets_key)];
    home.publish();
    let summary = run(&home, &settings).unwrap();
    assert!(
        matches!(
            summary.outcome,
            Outcome::Installed {
                source: Source::Kept,
                downloaded_bytes: 0,
                ..
            }
        ),
        "{summary:?}"
    );
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.0"));
    run(&home, &settings).unwrap();
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.0"));
}

#[test]
fn a_device_that_never_had_the_version_before_loads_its_full_package_to_go_back() {
    let mut home = Home::start();
    let before = built(V100, true);
    home.release(&before, &[]);
    home.release(&built(V110, true), &[]);
    home.publish();
    let dir = tempfile::tempdir().unwrap();
    let settings = home.device(dir.path(), "d1");
    run(&home, &settings).unwrap();
    assert_eq!(running(dir.path()).as_deref(), Some("1.1.0"));
    assert!(!dir.path().join("versions/1.0.0").exists());
    home.document.revoked = vec![V110];
    home.document.grants = vec![home.grant(&V110, &V100, home.targets_key)];
    home.publish();
    let summary = run(&home, &settings).unwrap();
    let full_bytes = before.full.len() as u64;
    assert!(
        matches!(summary.outcome, Outcome::Installed { source: Source::Full, downloaded_bytes, .. }
            if downloaded_bytes == full_bytes),
        "{summary:?}"
    );
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.0"));
}

#[test]
fn the_control_arm_checks_what_it_has_and_reports_once() {
    let (mut home, _dir, settings) = installed();
    home.release(&built(V110, true), &[]);
    home.rollout(&V110).share = Share::NONE;
    home.publish();
    let summary = run(&home, &settings).unwrap();
    assert!(
        matches!(
            summary.outcome,
            Outcome::Stayed {
                healthy: Some(true),
                ..
            }
        ),
        "{summary:?}"
    );
    run(&home, &settings).unwrap();
    let control = "rollout-1-1-0/Control";
    assert_eq!(
        home.reported(),
        [format!("{control} started"), format!("{control} healthy")]
    );
}

#[test]
fn a_control_device_that_is_not_well_says_so() {
    let (mut home, dir, settings) = installed();
    let script = dir.path().join("versions/1.0.0/bin/health");
    std::fs::write(script, "exit 1\n").unwrap();
    home.release(&built(V110, true), &[]);
    home.rollout(&V110).share = Share::NONE;
    home.publish();
    let summary = run(&home, &settings).unwrap();
    assert!(matches!(
        summary.outcome,
        Outcome::Stayed {
            healthy: Some(false),
            ..
        }
    ));
    assert_eq!(
        home.reported().last().unwrap(),
        "rollout-1-1-0/Control failed health"
    );
}

#[test]
fn a_download_that_was_broken_off_goes_on_where_it_stopped() {
    let mut home = Home::start();
    let first = built(V100, true);
    home.release(&first, &[]);
    home.publish();
    let (full, bytes) = (home.served(".tar.zst"), first.full.clone());
    home.shelf().lie = Some(Box::new(move |path| {
        path.ends_with(&full).then(|| Reply {
            status: 200,
            body: bytes.clone(),
            cut_at: Some(20_000),
        })
    }));
    let dir = tempfile::tempdir().unwrap();
    let settings = home.device(dir.path(), "d1");
    assert_eq!(run(&home, &settings).unwrap_err().code(), "unreachable");
    home.shelf().lie = None;
    let summary = run(&home, &settings).unwrap();
    let left = first.full.len() as u64 - 20_000;
    assert!(
        matches!(summary.outcome, Outcome::Installed { downloaded_bytes, .. } if downloaded_bytes == left),
        "{summary:?}"
    );
    let resumed = |path: &String| path.ends_with("bytes=20000-");
    assert!(home.shelf().asked.iter().any(resumed));
}

#[test]
fn a_broken_off_download_of_other_bytes_begins_again() {
    let mut home = Home::start();
    let first = built(V100, true);
    home.release(&first, &[]);
    home.publish();
    let dir = tempfile::tempdir().unwrap();
    let settings = home.device(dir.path(), "d1");
    std::fs::create_dir_all(dir.path().join("downloads")).unwrap();
    let part = dir
        .path()
        .join("downloads")
        .join(kintsugi_domain::digest::Digest::of(&first.full).to_string());
    std::fs::write(&part, vec![7; first.full.len()]).unwrap();
    run(&home, &settings).unwrap();
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.0"));
}

#[test]
fn reports_wait_while_the_home_does_not_take_them() {
    let mut home = Home::start();
    home.release(&built(V100, true), &[]);
    home.publish();
    home.shelf().takes_outcomes = false;
    let dir = tempfile::tempdir().unwrap();
    let settings = home.device(dir.path(), "d1");
    assert_eq!(run(&home, &settings).unwrap().reports_waiting, 2);
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.0"));
    home.shelf().takes_outcomes = true;
    assert_eq!(run(&home, &settings).unwrap().reports_waiting, 0);
    let new = "rollout-1-0-0/New";
    assert_eq!(
        home.reported(),
        [format!("{new} started"), format!("{new} healthy")]
    );
}

#[test]
fn a_new_root_is_followed_and_its_keys_are_the_ones_that_count() {
    let (mut home, dir, settings) = installed();
    home.targets_key = 12;
    let second = home.sign_root(2, &[1]);
    home.shelf()
        .files
        .insert("metadata/2.root.json".into(), second);
    // The statements so far are by a key that does not count any more.
    home.document.releases.clear();
    home.document.rollouts.clear();
    home.release(&built(V101, true), &[]);
    home.publish();
    let summary = run(&home, &settings).unwrap();
    assert_eq!(summary.metadata.map(|metadata| metadata.root), Some(2));
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.1"));
}

#[test]
fn a_health_check_that_hangs_is_a_failure() {
    let (mut home, dir, settings) = installed();
    home.release(&with_health(V110, "sleep 1000"), &[]);
    for release in &mut home.document.releases {
        release.health.timeout_seconds = 1;
    }
    home.publish();
    let summary = run(&home, &settings).unwrap();
    assert!(
        matches!(summary.outcome, Outcome::WentBack { .. }),
        "{summary:?}"
    );
    assert_eq!(running(dir.path()).as_deref(), Some("1.0.0"));
}
