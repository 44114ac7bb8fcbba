//! Sessions and numbers of a reporter, as the home is told of them.

#![expect(clippy::unwrap_used, reason = "test code")]

use crate::reports::{Home, LONG, honest, nowhere, options, waiting};
use kintsugi_domain::Timestamp;
use kintsugi_domain::ports::Clock;
use kintsugi_sdk::reporter::{Consent, Level, Options, Report, ReportKind, Reporter};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn with_sessions(url: &str, folder: Option<&Path>) -> Options {
    let mut options = options(url, folder);
    options.sessions = true;
    options
}

fn start(options: Options) -> Reporter {
    Reporter::start(options, Consent::Given).unwrap()
}

/// Everything that the home was told so far.
fn told(home: &Home) -> Vec<Value> {
    home.taken.try_iter().flatten().collect()
}

/// What was told of sessions: how each is going, with its errors.
fn sessions(lines: &[Value]) -> Vec<(&str, &str, u64)> {
    let told = lines.iter().filter(|line| line["status"].is_string());
    let shown = told.map(|line| {
        let text = |name: &str| line[name].as_str().unwrap();
        (
            text("kind"),
            text("status"),
            line["errors"].as_u64().unwrap(),
        )
    });
    shown.collect()
}

fn marks(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.split('.').next_back() == Some("session"))
        .count()
}

#[test]
fn a_session_begins_and_ends_with_the_reporter_and_its_errors_name_it() {
    let home = honest();
    let reporter = start(with_sessions(&home.url, None));
    assert!(reporter.flush(LONG));
    let lines = told(&home);
    assert_eq!(sessions(&lines), [("session_start", "ok", 0)]);
    let sid = lines[0]["sid"].clone();
    assert_eq!(lines[0]["release"], "till@1.0.0");
    assert_eq!(lines[0]["did"].as_str().unwrap().len(), 32);
    reporter.report(Report::error("E", "stuck"));
    reporter.report(Report::error("E", "only slow").level(Level::Warning));
    drop(reporter);
    let lines = told(&home);
    assert_eq!(sessions(&lines), [("session_end", "exited", 1)]);
    let of: Vec<&Value> = lines.iter().map(|line| &line["sid"]).collect();
    assert_eq!(of, [&sid, &sid, &sid]);
    assert!(lines[2]["duration"].as_f64().unwrap() >= 0.0);
}

#[test]
fn a_session_that_is_begun_and_ended_by_hand_is_told_once_where_it_ended() {
    let home = honest();
    let reporter = start(options(&home.url, None));
    reporter.start_session();
    reporter.start_session();
    reporter.end_session();
    reporter.end_session();
    reporter.report(Report::new(ReportKind::SessionStart));
    reporter.report(Report::new(ReportKind::SessionEnd));
    assert!(reporter.flush(LONG));
    let lines = told(&home);
    let exited = ("session_end", "exited", 0);
    assert_eq!(sessions(&lines), [exited, exited]);
    assert_ne!(lines[0]["sid"], lines[1]["sid"]);
    assert_eq!(reporter.metrics().by_kind["session_start"], 2);
}

#[test]
fn a_panic_that_ends_the_product_is_a_crash_and_one_that_was_caught_an_error() {
    for (is_caught, expected) in [(true, "exited"), (false, "crashed")] {
        let home = honest();
        let reporter = start(with_sessions(&home.url, None));
        reporter.install_panic_hook();
        let owner = (!is_caught).then(|| reporter.clone());
        let ended = std::thread::spawn(move || {
            let _owner = owner;
            panic!("the drawer is stuck")
        });
        if is_caught {
            assert!(ended.join().is_err());
            drop(reporter);
        } else {
            // The thread that panics is the last that has a reporter.
            drop(reporter);
            assert!(ended.join().is_err());
        }
        let lines = told(&home);
        let last = sessions(&lines).pop().unwrap();
        let errors = last.2;
        if is_caught {
            assert_eq!(last, ("session_end", expected, 1));
        } else {
            assert!(last.0 == "session_end" && errors <= 1, "{last:?}");
        }
    }
}

/// A mark of a process that is no more.
fn mark(folder: &Path, name: &str, started: &str, more: &str) {
    let word =
        json!({"sid": name, "started": started, "release": "till@0.9.0", "environment": null});
    fs::write(
        folder.join(format!("{name}.session")),
        format!("{word}\n{more}"),
    )
    .unwrap();
}

#[test]
fn the_next_start_tells_how_the_sessions_before_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    mark(path, "killed", "2023-11-14T10:00:00Z", "");
    mark(path, "panicked", "2023-11-14T11:00:00Z", "panicked\n");
    mark(path, "segfault", "2023-11-14T22:00:00Z", "");
    mark(path, "later", "2023-11-14T23:00:00Z", "");
    fs::write(path.join("torn.session"), "{\"sid\":").unwrap();
    mark(path, "alive", "2023-11-14T12:00:00Z", "");
    let alive = File::open(path.join("alive.session")).unwrap();
    alive.lock().unwrap();
    // Saved at 22:13:20: the session that had begun last before that.
    let header = json!({"format": 1, "at": 1_700_000_000_000_u64, "release": "till@0.9.0"});
    let crash = path.join("1700000000000-7.crash");
    fs::write(crash, format!("{header}\nMDMP\nstack")).unwrap();
    let home = honest();
    let reporter = start(options(&home.url, Some(path)));
    assert!(reporter.flush(LONG));
    let lines = told(&home);
    let mut ends: Vec<(&str, &str)> = lines
        .iter()
        .filter(|line| line["kind"] == "session_end")
        .map(|line| {
            (
                line["sid"].as_str().unwrap(),
                line["status"].as_str().unwrap(),
            )
        })
        .collect();
    ends.sort_unstable();
    assert_eq!(
        ends,
        [
            ("killed", "abnormal"),
            ("later", "abnormal"),
            ("panicked", "crashed"),
            ("segfault", "crashed"),
        ]
    );
    assert_eq!(marks(path), 1, "that of the process that lives");
    drop(reporter);
    drop(alive);
    // Told once.
    let reporter = start(options(&home.url, Some(path)));
    assert!(reporter.flush(LONG));
    let lines = told(&home);
    assert_eq!(sessions(&lines), [("session_end", "abnormal", 0)]);
}

#[test]
fn a_mark_stands_for_a_session_that_goes_on_and_goes_with_consent() {
    let folder = tempfile::tempdir().unwrap();
    let refused = with_sessions(&nowhere(), Some(folder.path()));
    let reporter = Reporter::start(refused, Consent::Refused).unwrap();
    assert_eq!(marks(folder.path()), 0);
    reporter.set_consent(Consent::Given);
    assert_eq!(marks(folder.path()), 1);
    // Another process that starts meanwhile leaves it alone.
    drop(start(options(&nowhere(), Some(folder.path()))));
    assert_eq!(marks(folder.path()), 1);
    reporter.set_consent(Consent::Refused);
    assert_eq!((marks(folder.path()), waiting(folder.path()).len()), (0, 0));
    reporter.set_consent(Consent::Given);
    drop(reporter);
    assert_eq!(marks(folder.path()), 0);
    assert_eq!(waiting(folder.path()).len(), 1);
}

#[derive(Debug, Clone)]
pub(crate) struct Hands(pub(crate) Arc<Mutex<Timestamp>>);

impl Hands {
    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(by).unwrap();
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

#[test]
fn actions_features_and_settings_become_numbers_in_one_line() {
    let home = honest();
    let reporter = start(options(&home.url, None));
    for number in 0..1_000 {
        reporter.action("save", Duration::from_millis(20), number % 4 != 0);
    }
    let failed: Result<(), &str> = reporter.timed("mail alice@example.org", || Err("no"));
    assert!(failed.is_err());
    reporter.report(Report::feature("export"));
    reporter.report(Report::feature("export"));
    reporter.report(Report::setting("theme"));
    assert!(reporter.flush(LONG));
    let lines = told(&home);
    let [line] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert_eq!(line["release"], "till@1.0.0");
    let metrics = line["metrics"].as_array().unwrap();
    let of = |kind: &str, name: &str| {
        let mut found = metrics.iter();
        found
            .find(|it| it["type"] == kind && it["name"] == name)
            .unwrap()
    };
    let save = of("duration", "save");
    assert_eq!(
        (&save["values"], &save["failed"]),
        (&json!([[20.0, 1_000]]), &json!(250))
    );
    assert_eq!(of("duration", "mail [email]")["failed"], 1);
    assert_eq!(of("feature", "export")["count"], 2);
    assert_eq!(of("setting", "theme")["count"], 1);
    let counted = reporter.metrics();
    assert_eq!((counted.actions, counted.actions_failed), (1_001, 251));
    assert!(reporter.flush(LONG));
    assert_eq!(told(&home), [] as [Value; 0], "told once");
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_measured_each_minute_and_told_of_when_it_runs_low() {
    let home = honest();
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    let clock = Hands(Arc::new(Mutex::new(now)));
    let mut options = options(&home.url, None);
    options.memory = true;
    options.memory_bytes_max = Some(1024);
    let hands = Arc::new(clock.clone());
    let reporter = Reporter::start_with_clock(options, Consent::Given, hands).unwrap();
    for _ in 0..3 {
        // The second is answered when what was due at the first is done.
        assert!(reporter.flush(LONG));
        assert!(reporter.flush(LONG));
        clock.advance(Duration::from_mins(1));
    }
    assert!(reporter.flush(LONG));
    assert!(reporter.flush(LONG));
    let lines = told(&home);
    let values = lines
        .iter()
        .filter_map(|line| line["metrics"].as_array())
        .flatten();
    let values = values.filter(|it| it["type"] == "memory");
    let values: Vec<u64> = values
        .flat_map(|it| it["values"].as_array().unwrap())
        .map(|value| value[1].as_u64().unwrap())
        .collect();
    assert_eq!(values.iter().sum::<u64>(), 3, "{lines:?}");
    let pressure = lines.iter().filter(|it| it["kind"] == "memory_pressure");
    assert_eq!(pressure.count(), 1, "told once while it lasts");
    let counted = reporter.metrics();
    assert!(counted.memory_bytes > 100_000 && counted.memory_bytes_most >= counted.memory_bytes);
}

#[test]
fn limits_that_are_nearly_used_up_and_slow_queries_are_reported() {
    let home = honest();
    let reporter = start(options(&home.url, None));
    for used in [10, 80, 90, 20, 85] {
        reporter.limit("search", used, 100);
    }
    reporter.query(
        "SELECT name FROM till WHERE id = ?",
        Duration::from_millis(999),
    );
    reporter.query(
        "SELECT total FROM sale WHERE id = ?",
        Duration::from_secs(3),
    );
    assert!(reporter.flush(LONG));
    let lines = told(&home);
    let shown: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| {
            (
                line["kind"].as_str().unwrap(),
                line["message"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("rate_limit_approaching", "search: 80 of 100"),
            ("rate_limit_approaching", "search: 85 of 100"),
            ("slow_query", "SELECT total FROM sale WHERE id = ?: 3000 ms"),
        ]
    );
    assert_eq!(lines[0]["level"], "warning");
}

#[test]
fn sessions_and_numbers_that_are_lost_are_told_by_their_category() {
    let folder = tempfile::tempdir().unwrap();
    let mut small = with_sessions(&nowhere(), Some(folder.path()));
    small.outbox_bytes_max = 10;
    let reporter = start(small);
    reporter.action("save", Duration::from_millis(1), true);
    reporter.report(Report::error("E", "x"));
    assert!(reporter.flush(LONG));
    assert_eq!(reporter.metrics().discarded["cache_overflow"], 3);
    drop(reporter);
    // A batch that the home refuses for good is counted by what its name says.
    let home = crate::reports::home(Box::new({
        let mut refusals = vec![(422, json!({"code": "UNKNOWN_KEY"}))];
        move |_| refusals.pop()
    }));
    let reporter = start(with_sessions(&home.url, Some(folder.path())));
    reporter.action("save", Duration::from_millis(1), true);
    reporter.action("print", Duration::from_millis(1), true);
    reporter.report(Report::error("E", "x"));
    assert!(reporter.flush(LONG));
    reporter.report(Report::error("E", "y"));
    assert!(reporter.flush(LONG));
    let lines = told(&home);
    let discards = lines
        .iter()
        .find_map(|line| line["discarded_events"].as_array());
    let mut discards: Vec<(&str, u64)> = discards
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["category"].as_str().unwrap(),
                it["quantity"].as_u64().unwrap(),
            )
        })
        .collect();
    discards.sort_unstable();
    assert_eq!(
        discards,
        [("error", 1), ("metric_bucket", 2), ("session", 1)]
    );
}
