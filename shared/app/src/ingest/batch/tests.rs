//! Sealed batches over memory ports: what is taken, what is refused, what is counted.

use super::super::tests::{Home, KEY, PROJECT, at, forms, home, project};
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use futures::executor::block_on;
use kintsugi_domain::accounting::Account;
use kintsugi_domain::health::{ReleaseHealth, Session};
use kintsugi_domain::limits::EVENT_BYTES_MAX;
use kintsugi_domain::ports::{Ports, Store as _};
use kintsugi_domain::project::Project;
use kintsugi_domain::series::{Measure, Series};
use kintsugi_testkit::fault::{Crashing, Faults};
use kintsugi_trust::batch::{BATCH_FORMAT, Compression, seal};
use serde_json::Value;
use serde_json::json;
use std::io::Write as _;

mod quotas;

const KEYS: &str = "kintsugi batch tests";

fn keys(home: &Home) -> Vec<PublishedKey> {
    block_on(home.ingest.batch_keys(PROJECT, at(0)))
        .unwrap()
        .unwrap()
}

fn newest(home: &Home) -> BatchKey {
    keys(home)[0].key.parse().unwrap()
}

fn header(key: &BatchKey, id: &str) -> BatchHeader {
    BatchHeader {
        format: BATCH_FORMAT,
        project: PROJECT,
        key: key.id().to_owned(),
        batch: id.parse().unwrap(),
        created: at(0),
        compression: Compression::Zstd,
    }
}

fn random(id: &str) -> [u8; 48] {
    let (one, two) = (Digest::of(id.as_bytes()), Digest::of(KEYS.as_bytes()));
    let bytes: Vec<u8> = [*one.as_bytes(), *two.as_bytes()].concat();
    bytes[..48].try_into().unwrap()
}

fn sealed(header: &BatchHeader, key: &BatchKey, content: &[u8]) -> Vec<u8> {
    let compressed = zstd::encode_all(content, 3).unwrap();
    seal(header, &compressed, key, random(header.batch.as_str())).unwrap()
}

fn lines(reports: &[Value]) -> Vec<u8> {
    let lines: Vec<String> = reports.iter().map(ToString::to_string).collect();
    lines.join("\n").into_bytes()
}

fn event(message: &str) -> Value {
    json!({"kind": "error", "message": message, "platform": "native"})
}

fn request(body: Vec<u8>) -> Request {
    Request {
        project: PROJECT,
        query: None,
        headers: vec![("Authorization".into(), format!("Bearer {KEY}"))],
        body,
        at: at(0),
    }
}

fn take(home: &Home, request: Request) -> Result<Receipt, Refusal> {
    match block_on(home.ingest.take_batch(request)).unwrap() {
        Done::Accepted(receipt) => Ok(receipt),
        Done::Refused(refusal) => Err(refusal),
    }
}

fn batch(home: &Home, id: &str, reports: &[Value]) -> Request {
    let key = newest(home);
    request(sealed(&header(&key, id), &key, &lines(reports)))
}

#[test]
fn a_sealed_batch_becomes_scrubbed_events_and_counts() {
    let home = home();
    let reports = [
        json!({"kind": "unhandled_exception", "level": "fatal", "release": "till@1.0.0",
            "exception": {"values": [{"type": "Panic", "value": "mail to alice@example.org",
                "stacktrace": {"frames": [{"function": "main", "filename": "main.rs", "lineno": 3}]}}]}}),
        json!({"kind": "feature_usage"}),
        json!({"kind": "slow_query", "message": "took 12 s", "tags": {"query": "sales"}}),
        json!({"discarded_events": [{"reason": "queue_overflow", "category": "error", "quantity": 4}]}),
    ];
    let receipt = take(&home, batch(&home, "b1", &reports)).unwrap();
    assert_eq!(
        (receipt.events, receipt.counted, receipt.dropped),
        (2, 1, 0)
    );
    let events = home.events();
    assert_eq!(events[0].title(), "Panic: mail to [email]");
    assert_eq!(events[0].tags["kind"], "unhandled_exception");
    assert_eq!(events[1].tags["kind"], "slow_query");
    let expected = [
        ("accepted/default", 1),
        ("accepted/error", 2),
        ("accepted/internal", 1),
        ("client_discarded/error/queue_overflow", 4),
        ("received/default", 1),
        ("received/error", 2),
        ("received/internal", 1),
        ("usage/feature_usage", 1),
    ];
    let expected: BTreeMap<String, i64> = expected.map(|(name, by)| (name.into(), by)).into();
    assert_eq!(home.counters(PROJECT), expected);
}

#[test]
fn a_session_and_what_was_used_become_numbers_of_the_release() {
    let home = home();
    let told = |kind: &str, more: &Value| {
        let mut line = json!({"kind": kind, "release": "till@1.0.0", "environment": "production"});
        for (name, value) in more.as_object().unwrap() {
            line[name] = value.clone();
        }
        line
    };
    let session = |kind: &str, sid: &str, status: &str| {
        let started = "2027-01-15T07:59:00Z";
        told(
            kind,
            &json!({"sid": sid, "status": status, "started": started, "did": "d1"}),
        )
    };
    let first = [
        session("session_start", "s1", "ok"),
        session("session_end", "s0", "abnormal"),
        told("feature_usage", &json!({"tags": {"feature": "export"}})),
        told(
            "configuration_change",
            &json!({"tags": {"setting": "theme"}}),
        ),
        json!({"release": "till@1.0.0", "environment": "production", "metrics": [
            {"type": "memory", "values": [50_000_000]}, {"type": "feature", "name": "export", "count": 4}, {"type": "?"}]}),
        told("error", &json!({"sid": "s1", "message": "stuck"})),
    ];
    let receipt = take(&home, batch(&home, "b1", &first)).unwrap();
    assert_eq!(
        (receipt.events, receipt.counted, receipt.dropped),
        (1, 6, 1)
    );
    let events = home.events();
    let second = [session("session_end", "s1", "crashed")];
    assert!(take(&home, batch(&home, "b2", &second)).is_ok());
    let sessions: Vec<Session> = home.all();
    assert_eq!(sessions.len(), 2);
    assert!(
        sessions
            .iter()
            .any(|session| session.id == events[0].tags["run"])
    );
    let all: Vec<Series> = home.all();
    let numbers = |measure, operation: &str| {
        let mut found = all.iter();
        let found = found.find(|it| it.measure == measure && it.operation == operation);
        home.numbers(found.unwrap())
    };
    let health = ReleaseHealth::of(&numbers(Measure::Health, ""));
    assert_eq!(
        (health.sessions, health.crashed, health.abnormal),
        (2, 1, 1)
    );
    assert_eq!((health.users, health.errored), (1, 0));
    assert_eq!(numbers(Measure::Usage, "feature")["count"], 5);
    assert_eq!(numbers(Measure::Usage, "setting")["count"], 1);
    assert_eq!(numbers(Measure::Memory, "")["bytes"], 50_000_000);
    assert_eq!(all.len(), 4, "one for each measure of the release: {all:?}");
    assert!(Account::of(&home.counters(PROJECT)).adds_up());
}

#[test]
fn numbers_of_a_batch_are_counted_once_though_its_sender_hears_nothing() {
    let home = home();
    let ports = home.memory.ports();
    let numbers = json!({"metrics": [{"type": "feature", "name": "export"}]});
    let request = batch(&home, "b1", &[numbers, event("beside")]);
    let mut kills = 0;
    for effect in 1.. {
        let faults = Faults::new();
        faults.crash_after(effect);
        let ingest = Ingest::new(&Ports {
            store: Arc::new(Crashing::new(ports.store.clone(), &faults)),
            queues: Arc::new(Crashing::new(ports.queues.clone(), &faults)),
            ..ports.clone()
        });
        match block_on(ingest.take_batch(request.clone())) {
            Err(_) => kills += 1,
            Ok(_) => break,
        }
    }
    assert!(kills > 1, "{kills}");
    assert_eq!(take(&home, request), Err(Refusal::Replayed));
    let all: Vec<Series> = home.all();
    let [series] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!(home.numbers(series)["count"], 1);
}

#[test]
fn a_line_that_cannot_be_read_loses_no_other() {
    let home = home();
    let mut content = lines(&[event("first")]);
    content.extend_from_slice(b"\n{\"kind\": \"err\n\n[1]\nnot json\xff\n");
    content.extend(lines(&[
        json!({"message": "x".repeat(EVENT_BYTES_MAX)}),
        event("last"),
    ]));
    let key = newest(&home);
    let body = sealed(&header(&key, "b1"), &key, &content);
    let receipt = take(&home, request(body)).unwrap();
    assert_eq!((receipt.events, receipt.dropped), (2, 4));
    let messages: Vec<_> = home
        .events()
        .into_iter()
        .map(|event| event.message)
        .collect();
    assert_eq!(
        messages,
        [Some("first".to_owned()), Some("last".to_owned())]
    );
    assert_eq!(home.counters(PROJECT)["dropped/error/event_broken"], 3);
    assert_eq!(home.counters(PROJECT)["dropped/error/event_too_large"], 1);
}

#[test]
fn a_line_with_a_minidump_becomes_the_event_of_a_crash_and_the_dump_is_not_kept() {
    let home = home();
    let line = |dump: &[u8], members: &str| {
        let dump = STANDARD.encode(dump);
        format!("{{\"minidump\":\"{dump}\",{members}}}")
    };
    let dump = forms::dump();
    let long = "x".repeat(EVENT_BYTES_MAX);
    let content = [
        line(
            &dump,
            r#""release":"till@1.0.0","level":"info","tags":{"severity":"medium"}"#,
        ),
        line(b"MDMP and no more", r#""release":"till@1.0.0""#),
        line(&dump, "not json"),
        "{\"minidump\":\"cut off".to_owned(),
        "{\"minidump\":\"-_-\",\"a\":1}".to_owned(),
        line(&dump, &format!("\"message\":\"{long}\"")),
    ];
    let key = newest(&home);
    let body = sealed(&header(&key, "b1"), &key, content.join("\n").as_bytes());
    let receipt = take(&home, request(body)).unwrap();
    assert_eq!((receipt.events, receipt.dropped), (1, 5));
    forms::crash(&home);
    let event = home.events().remove(0);
    assert_eq!(event.release.as_deref(), Some("till@1.0.0"));
    assert_eq!(event.tags["kind"], "unhandled_exception");
    assert_eq!(home.counters(PROJECT)["dropped/error/event_broken"], 4);
    assert_eq!(home.counters(PROJECT)["dropped/error/event_too_large"], 1);
}

#[test]
fn a_batch_is_taken_once_and_another_with_the_same_reports_is_another() {
    let home = home();
    let request = batch(&home, "b1", &[event("once")]);
    assert!(take(&home, request.clone()).is_ok());
    assert_eq!(take(&home, request), Err(Refusal::Replayed));
    // The same id around other content is refused as well: the id is what is remembered.
    let other = batch(&home, "b1", &[event("other")]);
    assert_eq!(take(&home, other), Err(Refusal::Replayed));
    assert!(take(&home, batch(&home, "b2", &[event("once")])).is_ok());
    // The same report in another batch is the same event.
    assert_eq!(home.messages().len(), 2);
    assert_eq!(home.counters(PROJECT)["accepted/error"], 1);
    assert_eq!(home.counters(PROJECT)["refused/request/REPLAYED"], 2);
}

#[test]
fn of_two_senders_at_once_one_is_told_that_it_was_taken() {
    let home = home();
    let faults = Faults::interleaved();
    let ports = home.memory.ports();
    let ingest = Ingest::new(&Ports {
        store: Arc::new(Crashing::new(ports.store.clone(), &faults)),
        queues: Arc::new(Crashing::new(ports.queues.clone(), &faults)),
        ..ports
    });
    let request = batch(&home, "b1", &[event("once")]);
    let both = futures::future::join(
        ingest.take_batch(request.clone()),
        ingest.take_batch(request),
    );
    let (one, two) = block_on(both);
    let done = [one.unwrap(), two.unwrap()];
    let replayed = Done::Refused(Refusal::Replayed);
    assert_eq!(
        done.iter().filter(|done| **done == replayed).count(),
        1,
        "{done:?}"
    );
    assert_eq!(home.events().len(), 1);
    assert_eq!(home.counters(PROJECT)["accepted/error"], 1);
}

#[test]
fn a_batch_whose_answer_was_lost_is_not_lost_and_not_doubled() {
    let home = home();
    let faults = Faults::new();
    let ports = home.memory.ports();
    let ingest = Ingest::new(&Ports {
        store: Arc::new(Crashing::new(ports.store.clone(), &faults)),
        queues: Arc::new(Crashing::new(ports.queues.clone(), &faults)),
        ..ports
    });
    let request = batch(&home, "b1", &[event("once")]);
    // The project, the look for the batch, the quota and its lease, the message, the commit.
    faults.crash_after(6);
    assert!(block_on(ingest.take_batch(request.clone())).is_err());
    assert_eq!(take(&home, request), Err(Refusal::Replayed));
    assert_eq!(home.events().len(), 1);
    assert_eq!(home.counters(PROJECT)["accepted/error"], 1);
}

#[test]
fn old_and_future_batches_are_refused() {
    let home = home();
    let key = newest(&home);
    for (seconds, expected) in [
        (BATCH_AGE_DAYS_MAX * 86_400 + 1, Refusal::Stale),
        (-BATCH_AHEAD_HOURS_MAX * 3_600 - 1, Refusal::Ahead),
    ] {
        let header = BatchHeader {
            created: at(-seconds),
            ..header(&key, "b1")
        };
        let body = sealed(&header, &key, &lines(&[event("late")]));
        assert_eq!(take(&home, request(body)), Err(expected));
    }
    assert!(home.messages().is_empty());
}

#[test]
fn keys_rotate_with_overlap_and_are_refused_once_they_are_retired() {
    let home = home();
    let old = newest(&home);
    let change = |act: &dyn Fn(&mut Project)| {
        let mut stored = block_on(crate::records::project(&home.memory.store, PROJECT))
            .unwrap()
            .unwrap();
        act(&mut stored.value);
        block_on(home.memory.store.commit(Commit::new().update(&stored))).unwrap();
    };
    let later = super::super::PROJECT_CACHE_SECONDS;
    let send = |key: &BatchKey, id: &str, seconds: i64| {
        let mut request = request(sealed(&header(key, id), key, &lines(&[event(id)])));
        request.at = at(seconds);
        take(&home, request)
    };
    change(&|project| assert_eq!(project.batch_keys.rotate(), Ok(2)));
    let known = block_on(home.ingest.batch_keys(PROJECT, at(later)))
        .unwrap()
        .unwrap();
    let generations: Vec<u32> = known.iter().map(|key| key.generation).collect();
    assert_eq!(generations, [2, 1]);
    let new: BatchKey = known[0].key.parse().unwrap();
    assert_ne!(new, old);
    assert!(send(&old, "b1", later).is_ok());
    assert!(send(&new, "b2", later).is_ok());
    change(&|project| project.batch_keys.retire(1).unwrap());
    assert_eq!(send(&old, "b3", 2 * later), Err(Refusal::UnknownKey));
    assert!(send(&new, "b4", 2 * later).is_ok());
}

#[test]
fn a_key_that_has_just_begun_is_shown_at_once_and_heard_within_seconds() {
    let home = home();
    let old = newest(&home);
    let rotate = || {
        let stored = block_on(crate::records::project(&home.memory.store, PROJECT));
        let mut stored = stored.unwrap().unwrap();
        stored.value.batch_keys.rotate().unwrap();
        block_on(home.memory.store.commit(Commit::new().update(&stored))).unwrap();
    };
    let send = |key: &BatchKey, id: &str, seconds: i64| {
        let mut request = request(sealed(&header(key, id), key, &lines(&[event(id)])));
        request.at = at(seconds);
        take(&home, request)
    };
    send(&old, "b1", 0).unwrap();
    rotate();
    let shown: Vec<u32> = keys(&home).iter().map(|key| key.generation).collect();
    assert_eq!(shown, [2, 1]);
    // Another process answered the list: this one knows the project as it was.
    rotate();
    let third = block_on(home.ingest.batch_secrets.get(PROJECT, 3)).unwrap();
    assert_eq!(send(third.public(), "b2", 1), Err(Refusal::UnknownKey));
    send(third.public(), "b3", 2).unwrap();
}

#[test]
fn a_batch_for_another_project_or_key_does_not_open() {
    let home = home();
    let key = newest(&home);
    let foreign = BatchSecret::derive(&[7; 32]).public().clone();
    let claims = BatchHeader {
        key: key.id().to_owned(),
        ..header(&foreign, "b1")
    };
    let content = lines(&[event("x")]);
    for (body, expected) in [
        (
            sealed(&header(&foreign, "b1"), &foreign, &content),
            Refusal::UnknownKey,
        ),
        (sealed(&claims, &foreign, &content), Refusal::NotOpened),
    ] {
        assert_eq!(take(&home, request(body)), Err(expected));
    }
    let elsewhere = BatchHeader {
        project: ProjectId(2),
        ..header(&key, "b1")
    };
    let refused = take(&home, request(sealed(&elsewhere, &key, &content)));
    assert!(matches!(refused, Err(Refusal::Malformed(_))), "{refused:?}");
}

#[test]
fn damage_and_bombs_are_refused_with_their_own_codes() {
    let home = home();
    let key = newest(&home);
    let mut damaged = sealed(&header(&key, "b1"), &key, b"{}");
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(take(&home, request(damaged)), Err(Refusal::InvalidChecksum));
    let not_zstd = seal(&header(&key, "b1"), b"plain", &key, [1; 48]).unwrap();
    assert_eq!(take(&home, request(not_zstd)), Err(Refusal::Damaged));
    let bomb = sealed(
        &header(&key, "b1"),
        &key,
        &vec![b' '; REQUEST_DECODED_BYTES_MAX + 1],
    );
    assert!(bomb.len() < 10_000);
    assert_eq!(take(&home, request(bomb)), Err(Refusal::TooLarge));
    let large = request(vec![0; REQUEST_BYTES_MAX + 1]);
    assert_eq!(take(&home, large), Err(Refusal::TooLarge));
    assert_eq!(
        home.counters(PROJECT)["refused/request/INVALID_CHECKSUM"],
        1
    );
    assert!(home.messages().is_empty());
}

#[test]
fn gzip_is_taken_too() {
    let home = home();
    let key = newest(&home);
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(&lines(&[event("packed")])).unwrap();
    let header = BatchHeader {
        compression: Compression::Gzip,
        ..header(&key, "b1")
    };
    let body = seal(&header, &encoder.finish().unwrap(), &key, [2; 48]).unwrap();
    assert_eq!(take(&home, request(body)).unwrap().events, 1);
}

#[test]
fn strangers_are_told_nothing_and_counted() {
    let home = home();
    let good = batch(&home, "b1", &[event("x")]);
    for authorization in ["", "Bearer wrong", "Bearer", "Basic"] {
        let mut request = good.clone();
        request.headers = vec![("Authorization".into(), authorization.into())];
        assert_eq!(take(&home, request), Err(Refusal::WrongKey));
    }
    let mut elsewhere = good;
    elsewhere.project = ProjectId(99);
    assert_eq!(take(&home, elsewhere), Err(Refusal::WrongKey));
    assert_eq!(home.counters(PROJECT)["refused/request/WRONG_KEY"], 4);
    assert_eq!(home.counters(ProjectId(0))["refused/request/WRONG_KEY"], 1);
    assert_eq!(
        block_on(home.ingest.batch_keys(ProjectId(99), at(0))).unwrap(),
        None
    );
    // Each project has keys of its own.
    let other = project(ProjectId(2), KEY);
    block_on(home.memory.store.commit(Commit::new().create(&other))).unwrap();
    let later = at(super::super::PROJECT_CACHE_SECONDS);
    let others = block_on(home.ingest.batch_keys(ProjectId(2), later))
        .unwrap()
        .unwrap();
    assert_ne!(others[0].id, keys(&home)[0].id);
}
