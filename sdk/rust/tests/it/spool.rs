//! What waits in the reporter's folder, and what is thrown away there.

#![expect(clippy::unwrap_used, reason = "test code")]

use super::quotas::clock;
use super::reports::{Home, LONG, home, honest, nowhere, options, start, waiting};
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_sdk::reporter::{Consent, Report, Reporter};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Fewer bytes than a hundred reports sealed together, more than a few of them.
const BYTES_MAX: u64 = 4_000;

fn small(url: &str, folder: &Path) -> Reporter {
    let mut options = options(url, Some(folder));
    options.outbox_bytes_max = BYTES_MAX;
    options.batch_max = 1_000;
    Reporter::start(options, Consent::Given).unwrap()
}

/// Leaves a native crash whose dump does not compress.
fn crash(folder: &Path, number: u8, bytes: usize) {
    let dump = (0_u32..).flat_map(|n| {
        let seed = [n.to_be_bytes().as_slice(), &[number]].concat();
        *Digest::of(&seed).as_bytes()
    });
    let header = json!({"format": 1, "at": 1_700_000_000_000_u64}).to_string();
    let header = header.into_bytes().into_iter().chain(*b"\n");
    let content: Vec<u8> = header.chain(dump.take(bytes)).collect();
    fs::write(
        folder.join(format!("00170000000000{number}-7.crash")),
        content,
    )
    .unwrap();
}

/// Everything that the home took so far.
fn taken(home: &Home) -> Vec<Value> {
    home.taken.try_iter().flatten().collect()
}

#[test]
fn a_batch_that_can_never_fit_is_lost_alone() {
    let folder = tempfile::tempdir().unwrap();
    let reporter = small(&nowhere(), folder.path());
    for text in ["one", "two"] {
        reporter.report(Report::error("E", text));
        assert!(reporter.flush(LONG));
    }
    let before = BTreeSet::from_iter(waiting(folder.path()));
    assert_eq!(before.len(), 2);
    for number in 0_u32..300 {
        let text = Digest::of(&number.to_be_bytes()).to_string();
        reporter.report(Report::error("E", text));
    }
    assert!(reporter.flush(LONG));
    assert_eq!(BTreeSet::from_iter(waiting(folder.path())), before);
    let lost = BTreeMap::from([("cache_overflow", 300)]);
    assert_eq!(reporter.metrics().discarded, lost);
    // The home learns of it with the next batch.
    reporter.report(Report::error("E", "three"));
    drop(reporter);
    let home = honest();
    let reporter = small(&home.url, folder.path());
    assert!(reporter.flush(LONG));
    let lines = taken(&home);
    let told = lines
        .iter()
        .filter_map(|line| line["discarded_events"].get(0));
    let told: Vec<&Value> = told.map(|told| &told["quantity"]).collect();
    assert_eq!((told, lines.len()), (vec![&json!(300)], 4));
}

#[test]
fn a_crash_that_can_never_fit_is_lost_alone() {
    let folder = tempfile::tempdir().unwrap();
    let away = start(&nowhere(), Some(folder.path()), Consent::Given);
    away.report(Report::error("E", "x"));
    drop(away);
    let before = waiting(folder.path());
    assert_eq!(before.len(), 1);
    crash(folder.path(), 0, 5_000);
    let reporter = small(&nowhere(), folder.path());
    assert!(reporter.flush(LONG));
    assert_eq!(waiting(folder.path()), before);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        2,
        "and the name"
    );
    let lost = BTreeMap::from([("cache_overflow", 1)]);
    assert_eq!(reporter.metrics().discarded, lost);
}

#[test]
fn crashes_take_no_room_from_each_other_while_the_home_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    let away = start(&nowhere(), Some(folder.path()), Consent::Given);
    away.report(Report::error("E", "x"));
    drop(away);
    // Any two of them are too many bytes.
    for number in 0..8 {
        crash(folder.path(), number, 2_500);
    }
    let home = honest();
    let reporter = small(&home.url, folder.path());
    assert!(reporter.flush(LONG));
    let lines = taken(&home);
    let dumps = lines.iter().filter(|line| line["minidump"].is_string());
    assert_eq!((dumps.count(), lines.len()), (8, 9));
    assert_eq!(reporter.metrics().discarded, BTreeMap::new());
}

/// A home that finds the first few batches damaged.
fn finds_damage(mut times: u32) -> Home {
    home(Box::new(move |_| {
        let left = times;
        times = times.saturating_sub(1);
        (left > 0).then(|| (400, json!({"code": "INVALID_CHECKSUM"})))
    }))
}

#[test]
fn a_batch_that_was_damaged_on_the_way_is_sent_again_after_pauses() {
    let home = finds_damage(2);
    let folder = tempfile::tempdir().unwrap();
    let reporter = start(&home.url, Some(folder.path()), Consent::Given);
    // Nobody flushes: the reporter comes back by itself.
    reporter.report(Report::error("E", "crash"));
    let first = home.bodies.recv_timeout(LONG).unwrap();
    assert_eq!(home.taken.recv_timeout(LONG).unwrap().len(), 1);
    assert!(home.bodies.try_iter().all(|again| again == first));
    assert!(reporter.flush(LONG));
    let metrics = reporter.metrics();
    assert_eq!((metrics.sent, metrics.retries), (1, 2));
    assert_eq!(metrics.discarded, BTreeMap::new());
}

#[test]
fn a_batch_that_the_home_always_finds_damaged_is_not_sent_for_ever() {
    let home = finds_damage(5);
    let folder = tempfile::tempdir().unwrap();
    let options = options(&home.url, Some(folder.path()));
    let reporter = Reporter::start_with_clock(options, Consent::Given, Arc::new(clock())).unwrap();
    reporter.report(Report::error("E", "one"));
    for _ in 0..4 {
        assert!(reporter.flush(LONG));
        assert_eq!(waiting(folder.path()).len(), 1);
    }
    assert!(reporter.flush(LONG));
    assert_eq!(waiting(folder.path()), [] as [String; 0]);
    let metrics = reporter.metrics();
    assert_eq!((metrics.sent, metrics.retries), (0, 4));
    assert_eq!(metrics.discarded, BTreeMap::from([("send_error", 1)]));
    reporter.report(Report::error("E", "two"));
    assert!(reporter.flush(LONG));
    assert_eq!(reporter.metrics().sent, 1);
}

#[test]
fn a_batch_that_was_damaged_on_the_disk_is_given_up_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let away = start(&nowhere(), Some(folder.path()), Consent::Given);
    away.report(Report::error("E", "damaged"));
    assert!(away.flush(LONG));
    let damaged = folder.path().join(&waiting(folder.path())[0]);
    let mut body = fs::read(&damaged).unwrap();
    *body.last_mut().unwrap() ^= 1;
    fs::write(&damaged, body).unwrap();
    away.report(Report::error("E", "whole"));
    drop(away);
    let home = honest();
    let reporter = start(&home.url, Some(folder.path()), Consent::Given);
    let line = home.taken.recv_timeout(LONG).unwrap().remove(0);
    assert_eq!(line["exception"]["values"][0]["value"], "whole");
    assert!(reporter.flush(LONG));
    assert_eq!(waiting(folder.path()), [] as [String; 0]);
    let metrics = reporter.metrics();
    assert_eq!((metrics.sent, metrics.retries), (1, 0));
    assert_eq!(metrics.discarded, BTreeMap::from([("send_error", 1)]));
}

#[test]
fn what_a_killed_process_left_half_written_goes_and_what_is_being_written_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, minutes: i64| {
        let path = folder.path().join(name);
        let file = fs::File::create(&path).unwrap();
        let now = "2026-11-21T12:00:00Z".parse::<Timestamp>().unwrap();
        let at = Timestamp::from_second(now.as_second() + 60 * minutes).unwrap();
        file.set_modified(at.into()).unwrap();
        path
    };
    let left = [
        file("1-1.0.0-a.new", -61),
        file("device.new", -61),
        // Of a session and of a native crash.
        file("a.part", -61),
        file("1-7.part", -61),
        // Of a time when the clock was wrong.
        file("1-1.0.0-b.new", 61),
    ];
    let stay = [
        file("1-1.0.0-c.new", -59),
        file("b.part", 59),
        file("film.part", -61),
    ];
    let options = options(&nowhere(), Some(folder.path()));
    let reporter = Reporter::start_with_clock(options, Consent::Given, Arc::new(clock())).unwrap();
    assert!(reporter.flush(LONG));
    assert!(left.iter().all(|path| !path.exists()));
    assert!(stay.iter().all(|path| path.exists()));
    // Without consent nothing is finished that was begun.
    reporter.set_consent(Consent::Refused);
    assert_eq!(stay.map(|path| path.exists()), [false, false, true]);
}
