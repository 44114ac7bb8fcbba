//! The reporter against a small home on loopback that opens what it is sent.

#![expect(clippy::unwrap_used, reason = "test code")]

use kintsugi_sdk::reporter::{
    BatchKey, Consent, Level, Options, Report, ReportKind, Reporter, StartError,
};
use kintsugi_trust::batch::{BatchSecret, SealedBatch};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

pub(crate) const LONG: Duration = Duration::from_mins(1);

/// What the home answers instead of taking a batch.
pub(crate) type Lie = Box<dyn FnMut(&str) -> Option<(u16, Value)> + Send>;

pub(crate) struct Home {
    pub(crate) url: String,
    pub(crate) taken: Receiver<Vec<Value>>,
    pub(crate) bodies: Receiver<Vec<u8>>,
}

pub(crate) fn secret() -> BatchSecret {
    BatchSecret::derive(&[7; 32])
}

pub(crate) fn home(lie: Lie) -> Home {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let ((lines, taken), (raw, bodies)) = (channel(), channel());
    std::thread::spawn(move || {
        let mut lie = lie;
        for stream in listener.incoming() {
            let _ = serve(&stream.unwrap(), &mut lie, &lines, &raw);
        }
    });
    Home { url, taken, bodies }
}

pub(crate) fn honest() -> Home {
    home(Box::new(|_| None))
}

fn serve(
    stream: &TcpStream,
    lie: &mut Lie,
    lines: &Sender<Vec<Value>>,
    raw: &Sender<Vec<u8>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut length, mut key) = (0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        } else if let Some(value) = line.strip_prefix("authorization: ") {
            value.clone_into(&mut key);
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    assert_eq!(key, "bearer 0123abcd");
    let sealed = SealedBatch::read(&body);
    let (status, answer) = sealed.as_ref().map_or_else(
        |_| (400, json!({"code": "INVALID_CHECKSUM"})),
        |sealed| {
            let id = sealed.header().batch.to_string();
            lie(&id).unwrap_or_else(|| (200, json!({"batch": id, "events": 1})))
        },
    );
    let _ = raw.send(body.clone());
    if let Ok(sealed) = sealed.as_ref()
        && status == 200
    {
        let content = sealed.open(&secret()).unwrap();
        let content = zstd::decode_all(content.as_slice()).unwrap();
        let content = String::from_utf8(content).unwrap();
        let found = content
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let _ = lines.send(found.collect());
    }
    let after = answer.get("retry_after").and_then(Value::as_u64);
    let after = after.map_or_else(String::new, |seconds| format!("retry-after: {seconds}\r\n"));
    let answer = answer.to_string();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nconnection: close\r\n{after}content-length: {}\r\n\r\n{answer}",
        answer.len()
    )
}

pub(crate) fn options(url: &str, folder: Option<&Path>) -> Options {
    let key: BatchKey = secret().public().clone();
    let mut options = Options::new(url, "1".parse().unwrap(), "0123abcd".parse().unwrap(), key);
    options.folder = folder.map(Path::to_owned);
    options.release = Some("till@1.0.0".to_owned());
    options
}

pub(crate) fn start(url: &str, folder: Option<&Path>, consent: Consent) -> Reporter {
    Reporter::start(options(url, folder), consent).unwrap()
}

/// Names of the sealed batches in a folder.
pub(crate) fn waiting(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names
        .filter(|name| name.split('.').next_back() == Some("batch"))
        .collect()
}

/// An address where nobody answers.
pub(crate) fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn reports_arrive_sealed_scrubbed_and_whole() {
    let home = honest();
    let folder = tempfile::tempdir().unwrap();
    let reporter = start(&home.url, Some(folder.path()), Consent::Given);
    reporter.breadcrumb("http", "GET https://bob:hunter2@example.org/ [500]");
    let report = Report::error(
        "SaveError",
        "mail to alice@example.org failed: network error",
    )
    .user("alice")
    .tag("apiKey", "abc123secret")
    .tag("drawer", "3")
    .tag("long", "x".repeat(20_000))
    .with_backtrace();
    reporter.report(report);
    assert!(reporter.flush(LONG));
    let lines = home.taken.recv_timeout(LONG).unwrap();
    let [line] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    let body = String::from_utf8_lossy(&home.bodies.recv().unwrap()).into_owned();
    let text = line.to_string();
    for secret in ["alice", "hunter2", "abc123secret"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(!body.contains("SaveError"));
    assert_eq!(line["kind"], "error");
    assert_eq!(line["tags"]["severity"], "high");
    assert_eq!(line["tags"]["drawer"], "3");
    assert_eq!(line["release"], "till@1.0.0");
    let exception = &line["exception"]["values"][0];
    assert_eq!(exception["type"], "SaveError");
    assert_eq!(exception["value"], "mail to [email] failed: network error");
    let frames = exception["stacktrace"]["frames"].as_array().unwrap();
    let raised = frames.last().unwrap()["function"].as_str().unwrap();
    assert!(raised.contains("reports_arrive_sealed"), "{raised}");
    assert_eq!(line["user"]["id"].as_str().unwrap().len(), 32);
    assert_eq!(line["breadcrumbs"]["values"].as_array().unwrap().len(), 1);
    let long = line["tags"]["long"].as_str().unwrap();
    assert!(long.chars().count() <= 10_000 && long.ends_with("…[cut]"));
    assert_eq!(reporter.metrics().sent, 1);
    assert_eq!(waiting(folder.path()), [] as [String; 0]);
}

#[test]
fn without_consent_nothing_leaves_and_nothing_is_written_but_it_is_counted() {
    let home = honest();
    let folder = tempfile::tempdir().unwrap();
    let reporter = start(&home.url, Some(folder.path()), Consent::Refused);
    reporter.install_panic_hook();
    reporter.report(Report::error("E", "x").level(Level::Fatal));
    reporter.report(Report::feature("export"));
    assert!(
        std::thread::spawn(|| panic!("without consent"))
            .join()
            .is_err()
    );
    assert!(reporter.flush(LONG));
    let metrics = reporter.metrics();
    assert_eq!((metrics.reported, metrics.queued, metrics.sent), (3, 0, 0));
    assert_eq!(metrics.by_kind["feature_usage"], 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(home.bodies.try_recv().is_err());
    // From now on it may.
    reporter.set_consent(Consent::Given);
    reporter.report(Report::error("E", "now"));
    assert!(reporter.flush(LONG));
    assert_eq!(home.taken.recv_timeout(LONG).unwrap().len(), 1);
}

#[test]
fn withdrawn_consent_deletes_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let reporter = start(&nowhere(), Some(folder.path()), Consent::Given);
    reporter.report(Report::error("E", "x"));
    assert!(reporter.flush(LONG));
    assert_eq!(waiting(folder.path()).len(), 1);
    reporter.report(Report::error("E", "queued"));
    reporter.set_consent(Consent::Refused);
    reporter.set_consent(Consent::Given);
    assert!(reporter.flush(LONG));
    assert_eq!(waiting(folder.path()), [] as [String; 0]);
    assert_eq!(reporter.metrics().discarded["consent"], 1);
}

#[test]
fn what_the_home_did_not_take_is_sent_at_the_next_start_and_the_install_keeps_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let away = start(&nowhere(), Some(folder.path()), Consent::Given);
    away.report(Report::error("E", "while away"));
    drop(away);
    assert_eq!(waiting(folder.path()).len(), 1);
    let home = honest();
    let reporter = start(&home.url, Some(folder.path()), Consent::Given);
    let first = home.taken.recv_timeout(LONG).unwrap().remove(0);
    reporter.report(Report::error("E", "back again"));
    assert!(reporter.flush(LONG));
    let second = home.taken.recv_timeout(LONG).unwrap().remove(0);
    assert_eq!(first["exception"]["values"][0]["value"], "while away");
    assert_eq!(first["user"], second["user"]);
    assert_eq!(waiting(folder.path()), [] as [String; 0]);
}

#[test]
fn what_is_critical_is_sent_at_once_and_the_rest_in_batches_of_a_hundred() {
    let home = honest();
    let reporter = start(&home.url, None, Consent::Given);
    // Nobody flushes, and 30 seconds are not over.
    reporter.report(Report::error("E", "SQL injection in login"));
    assert_eq!(home.taken.recv_timeout(LONG).unwrap().len(), 1);
    reporter.report(Report::new(ReportKind::UnhandledException).message("ended"));
    let line = home.taken.recv_timeout(LONG).unwrap().remove(0);
    assert_eq!(line["level"], "fatal");
    for number in 0..150 {
        reporter.report(Report::error("E", format!("number {number}")));
    }
    assert_eq!(home.taken.recv_timeout(LONG).unwrap().len(), 100);
    drop(reporter);
    assert_eq!(home.taken.recv_timeout(LONG).unwrap().len(), 50);
}

#[test]
fn an_ordinary_report_is_sent_when_its_time_is_over() {
    let home = honest();
    let mut options = options(&home.url, None);
    options.batch_every = Duration::from_millis(200);
    let reporter = Reporter::start(options, Consent::Given).unwrap();
    for text in ["one", "two"] {
        reporter.report(Report::error("E", text));
        // Sooner than the worker would look around by itself.
        let lines = home.taken.recv_timeout(LONG / 2).unwrap();
        assert_eq!(lines[0]["exception"]["values"][0]["value"], text);
    }
}

#[test]
fn a_full_queue_never_holds_the_caller_up_and_what_is_lost_is_told() {
    let (go, wait) = channel::<()>();
    let home = home(Box::new(move |_| {
        let _ = wait.recv();
        None
    }));
    let mut options = options(&home.url, None);
    options.queue_max = 2;
    let reporter = Reporter::start(options, Consent::Given).unwrap();
    // The worker waits for the home's answer, and two more find a place.
    for _ in 0..20 {
        reporter.report(Report::error("E", "crash"));
    }
    let lost = reporter.metrics().discarded["queue_overflow"];
    assert!(lost >= 17, "{lost}");
    for _ in 0..20 {
        let _ = go.send(());
    }
    assert!(reporter.flush(LONG));
    let lines: Vec<Value> = home.taken.try_iter().flatten().collect();
    let told = lines
        .iter()
        .filter_map(|line| line["discarded_events"][0]["quantity"].as_u64());
    assert_eq!(told.sum::<u64>(), lost);
    assert_eq!(reporter.metrics().sent + lost, 20);
}

#[test]
fn the_folder_is_bounded_and_the_oldest_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(&nowhere(), Some(folder.path()));
    options.outbox_bytes_max = 4_000;
    let reporter = Reporter::start(options, Consent::Given).unwrap();
    for number in 0..10 {
        reporter.report(Report::error("E", format!("number {number}")));
        assert!(reporter.flush(LONG));
    }
    let names = waiting(folder.path());
    let length = |name: &String| fs::metadata(folder.path().join(name)).unwrap().len();
    assert!(names.iter().map(length).sum::<u64>() <= 4_000);
    let lost = reporter.metrics().discarded["cache_overflow"];
    assert!(
        !names.is_empty() && names.len() as u64 + lost == 10,
        "{names:?} {lost}"
    );
}

#[test]
fn a_portal_that_answers_for_the_home_loses_nothing_and_a_refusal_ends_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let mut answers = vec![
        (422, json!({"code": "UNKNOWN_KEY"})),
        (503, json!({"code": "home.unavailable"})),
        (404, json!("sign in first")),
    ];
    let home = home(Box::new(move |_| answers.pop()));
    let reporter = start(&home.url, Some(folder.path()), Consent::Given);
    reporter.report(Report::error("E", "x"));
    for _ in 0..2 {
        assert!(reporter.flush(LONG));
        assert_eq!(waiting(folder.path()).len(), 1);
    }
    assert!(reporter.flush(LONG));
    assert_eq!(waiting(folder.path()), [] as [String; 0]);
    let metrics = reporter.metrics();
    assert_eq!((metrics.retries, metrics.discarded["send_error"]), (2, 1));
}

#[test]
fn a_panic_is_saved_before_anything_else_and_sent_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let away = start(&nowhere(), Some(folder.path()), Consent::Given);
    let dir = folder.path().to_owned();
    // The hook that was there before ours runs after it: by then the report is on disk.
    let (seen, saved) = channel();
    std::panic::set_hook(Box::new(move |_| {
        let _ = seen.send(waiting(&dir).len());
    }));
    away.install_panic_hook();
    let crash = std::thread::Builder::new().name("till".into());
    let crash = crash.spawn(|| panic!("drawer {} is stuck", 3)).unwrap();
    assert!(crash.join().is_err());
    assert_eq!(saved.recv_timeout(LONG), Ok(1));
    drop(away);
    let home = honest();
    let _reporter = start(&home.url, Some(folder.path()), Consent::Given);
    let line = home.taken.recv_timeout(LONG).unwrap().remove(0);
    assert_eq!(line["kind"], "unhandled_exception");
    assert_eq!(line["level"], "fatal");
    assert_eq!(line["tags"]["thread"], "till");
    let exception = &line["exception"]["values"][0];
    assert_eq!(exception["value"], "drawer 3 is stuck");
    assert_eq!(exception["mechanism"]["handled"], false);
    let frames = exception["stacktrace"]["frames"].as_array().unwrap();
    let raised = frames.last().unwrap()["function"].as_str().unwrap();
    assert!(raised.contains("a_panic_is_saved"), "{raised}");
}

#[test]
fn a_saved_native_crash_is_sealed_at_the_next_start_with_the_release_that_crashed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("000001700000000-7.crash");
    let header = json!({"format": 1, "at": 1_700_000_000_000_u64, "release": "till@0.9.0"});
    fs::write(&path, format!("{header}\nMDMP\nstack")).unwrap();
    fs::write(folder.path().join("000001700000001-7.crash"), "no crash").unwrap();
    let home = honest();
    // Without consent it stays where it is.
    drop(start(&home.url, Some(folder.path()), Consent::Refused));
    assert!(path.exists());
    let reporter = start(&home.url, Some(folder.path()), Consent::Given);
    let line = home.taken.recv_timeout(LONG).unwrap().remove(0);
    assert_eq!(line["minidump"], "TURNUApzdGFjaw==");
    assert_eq!(line["release"], "till@0.9.0");
    assert_eq!(line["kind"], "unhandled_exception");
    assert_eq!(line["timestamp"], "2023-11-14T22:13:20Z");
    assert!(reporter.flush(LONG));
    assert_eq!(reporter.metrics().sent, 1);
    let left = fs::read_dir(folder.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["device"]);
    // What is saved from here on goes with consent.
    fs::write(&path, format!("{header}\nMDMP")).unwrap();
    reporter.set_consent(Consent::Refused);
    assert!(!path.exists());
}

#[test]
fn options_that_cannot_be_right_are_refused() {
    let mut bad = options("ftp://example.org", None);
    let refused = |options: &Options| Reporter::start(options.clone(), Consent::Given).err();
    assert!(matches!(
        refused(&bad),
        Some(StartError::Option { what: "home", .. })
    ));
    bad.home = "http://127.0.0.1:1".into();
    bad.batch_max = 0;
    assert!(matches!(
        refused(&bad),
        Some(StartError::Option {
            what: "batch_max",
            ..
        })
    ));
    bad.batch_max = 1;
    bad.folder = Some("/dev/null/x".into());
    assert_eq!(refused(&bad).unwrap().code(), "reporter.folder");
}
