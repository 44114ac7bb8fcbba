//! One folder, one process; what was answered is there after any death.

#![expect(clippy::unwrap_used, reason = "test code")]

use kintsugi_adapters_local::database::DATABASE_FILE;
use kintsugi_adapters_local::store::SENT_DAYS;
use kintsugi_adapters_local::{Database, Home, SqliteQueues, SqliteStore};
use kintsugi_domain::envelope::{Envelope, Message, Queue};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::{COMMIT_WRITES_MAX, REPORT_DAYS};
use kintsugi_domain::ports::{
    Blobs, Clock, Commit, PortError, Query, Queues, RecordKey, Store, Write,
};
use kintsugi_domain::record::{IndexEntry, Kind};
use kintsugi_testkit::memory::FixedClock;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const PROJECT: ProjectId = ProjectId(1);
const LEASE: Duration = Duration::from_hours(1);

fn message(number: usize) -> Envelope {
    let channel = format!("channel-{number}");
    Envelope::new(
        format!("cause-{number}"),
        PROJECT,
        Message::Publish { channel },
    )
}

fn write(key: String) -> Write {
    Write {
        key: RecordKey {
            project: PROJECT,
            kind: Kind::Issue,
            key,
        },
        expected: 0,
        format: 1,
        body: "{}".to_owned(),
        indexes: Vec::new(),
    }
}

fn store(folder: &Path) -> SqliteStore {
    let database = Database::open(folder).unwrap();
    SqliteStore::new(&database, Arc::new(FixedClock::default()))
}

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_has_closed_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = Home::open(folder.path(), None).await.unwrap();
    let refusal = Home::open(folder.path(), None)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refusal.contains("another Kintsugi works with it"),
        "{refusal}"
    );
    drop(first);
    assert!(Home::open(folder.path(), None).await.is_ok());
}

#[tokio::test]
async fn what_was_committed_is_there_after_closing_and_opening() {
    let folder = tempfile::tempdir().unwrap();
    let commit = Commit {
        writes: vec![write("a".to_owned())],
        ..Commit::new().add(PROJECT, "tally", "n", 3).send(message(1))
    };
    store(folder.path()).commit(commit).await.unwrap();
    let again = store(folder.path());
    assert!(
        again
            .get(&write("a".to_owned()).key)
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        again.counter(PROJECT, "tally").await.unwrap().get("n"),
        Some(&3)
    );
    assert_eq!(again.outbox(10).await.unwrap(), [message(1)]);
}

#[tokio::test]
async fn leases_of_a_dead_process_are_released_and_delays_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::default());
    let open = || SqliteQueues::new(&Database::open(folder.path()).unwrap(), clock.clone());
    let queues = open();
    queues.send(&[message(1), message(2)]).await.unwrap();
    let held = queues.receive(Queue::Signing, 2, LEASE).await.unwrap();
    let delayed = held.first().unwrap();
    queues.retry(&delayed.receipt, LEASE).await.unwrap();
    drop(queues);
    let queues = open();
    assert!(
        queues
            .receive(Queue::Signing, 2, LEASE)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(queues.release_leases().await.unwrap(), 1);
    let shown = queues.receive(Queue::Signing, 2, LEASE).await.unwrap();
    let shown: Vec<_> = shown
        .iter()
        .map(|d| (d.envelope.id.clone(), d.attempt))
        .collect();
    assert_eq!(
        shown,
        [(message(2).id, 2)],
        "the death counts as an attempt"
    );
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_parked_and_its_neighbours_are_handed_out() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let database = Database::open(folder.path()).unwrap();
        SqliteQueues::new(&database, Arc::new(FixedClock::default()))
    };
    let ids = |envelopes: &[Envelope]| -> Vec<String> {
        envelopes.iter().map(|it| it.id.to_string()).collect()
    };
    let sent: Vec<_> = (1..=4).map(message).collect();
    open().send(&sent).await.unwrap();
    let by_hand = |sql: &str, id: &str| {
        let database = rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
        assert_eq!(database.execute(sql, [id]).unwrap(), 1);
    };
    // From a newer program, and damaged: a byte that is no UTF-8.
    by_hand(
        "UPDATE messages SET body = json_set(body, '$.message.type', 'secret') WHERE message = ?1",
        sent[0].id.as_str(),
    );
    by_hand(
        "UPDATE messages SET body = CAST(x'7bff7d' AS TEXT) WHERE message = ?1",
        sent[2].id.as_str(),
    );
    let queues = open();
    let held = queues.receive(Queue::Signing, 64, LEASE).await.unwrap();
    let held: Vec<_> = held.into_iter().map(|it| it.envelope).collect();
    assert_eq!(ids(&held), ids(&[message(2), message(4)]));
    let parked = queues.parked(Queue::Signing).await.unwrap();
    let listed: Vec<_> = parked.iter().map(|it| it.id.clone()).collect();
    assert_eq!(listed, ids(&[message(1), message(3)]));
    for parked in &parked {
        assert_eq!(parked.envelope, None);
        assert!(parked.cause.starts_with("not an envelope: "), "{parked:?}");
        assert!(!parked.cause.contains("secret"), "{parked:?}");
    }
    assert_eq!(queues.depth(Queue::Signing).await.unwrap(), 2);
    assert_eq!(queues.redrive(Queue::Signing).await.unwrap(), 0);
    drop(queues);
    // The newer program is back.
    by_hand(
        "UPDATE messages SET body = json_set(body, '$.message.type', 'publish') WHERE message = ?1",
        sent[0].id.as_str(),
    );
    let queues = open();
    assert_eq!(queues.redrive(Queue::Signing).await.unwrap(), 1);
    let back = queues.receive(Queue::Signing, 64, LEASE).await.unwrap();
    assert_eq!((back[0].envelope.clone(), back[0].attempt), (message(1), 1));
}

#[tokio::test]
async fn what_was_reported_is_removed_after_its_days_and_what_follows_from_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let clock = FixedClock::default();
    let database = Database::open(folder.path()).unwrap();
    let store = SqliteStore::new(&database, Arc::new(clock.clone()));
    let written = async |kind: Kind, keys: &[String], expected: u64| {
        for keys in keys.chunks(COMMIT_WRITES_MAX) {
            let writes = keys.iter().map(|key| {
                let mut write = write(key.clone());
                write.key.kind = kind;
                write.indexes = vec![IndexEntry::new("by", &"anybody")];
                Write { expected, ..write }
            });
            let writes = writes.collect();
            let commit = Commit {
                writes,
                ..Commit::new()
            };
            store.commit(commit).await.unwrap();
        }
    };
    let left = async |kind| {
        let query = Query {
            project: PROJECT,
            kind,
            index: Some(IndexEntry::new("by", &"anybody")),
            after: None,
            limit: 10,
        };
        let left = store.list(&query).await.unwrap();
        left.into_iter().map(|it| it.key.key).collect::<Vec<_>>()
    };
    let many: Vec<String> = (0..1_001).map(|number| format!("old-{number}")).collect();
    let again = ["again".to_owned()];
    written(Kind::Event, &many, 0).await;
    written(Kind::Event, &again, 0).await;
    written(Kind::Issue, &again, 0).await;
    clock.advance(Duration::from_hours(24));
    written(Kind::Event, &again, 1).await;
    let rest = u32::try_from(REPORT_DAYS - 1).unwrap();
    clock.advance(Duration::from_hours(24) * rest);
    assert_eq!(store.forget().await.unwrap(), 0, "before its days are over");
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.forget().await.unwrap(), many.len());
    assert_eq!(left(Kind::Event).await, again);
    clock.advance(Duration::from_hours(24 * 365));
    assert_eq!(store.forget().await.unwrap(), 1);
    assert_eq!(left(Kind::Event).await, [""; 0]);
    assert_eq!(left(Kind::Issue).await, again);
}

#[tokio::test]
async fn content_of_reports_is_removed_after_its_days_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path(), None).await.unwrap();
    let now = SystemTime::from(home.clock.now());
    let day = Duration::from_hours(24);
    let days = u32::try_from(REPORT_DAYS).unwrap();
    let keys = ["events/prj-1/a", "events/prj-1/attachments/b", "releases/c"];
    let age = |key: &str, age: Duration| {
        let file = File::options()
            .write(true)
            .open(folder.path().join("blobs").join(key));
        file.unwrap()
            .set_modified(now.checked_sub(age).unwrap())
            .unwrap();
    };
    assert_eq!(home.forget().await.unwrap(), (0, 0), "there is nothing yet");
    for key in keys {
        home.blobs.put(key, b"x".to_vec()).await.unwrap();
        age(key, day * (days + 1));
    }
    age(keys[1], day * (days - 1));
    assert_eq!(home.forget().await.unwrap(), (0, 1));
    let mut left = Vec::new();
    for key in keys {
        left.push(home.blobs.length(key).await.unwrap());
    }
    assert_eq!(left, [None, Some(1), Some(1)]);
    // What is stored again is as new.
    age(keys[1], day * (days + 1));
    home.blobs.put(keys[1], b"x".to_vec()).await.unwrap();
    assert_eq!(home.forget().await.unwrap(), (0, 0));
}

#[tokio::test]
async fn ids_of_sent_messages_are_forgotten_only_after_their_time() {
    let folder = tempfile::tempdir().unwrap();
    let clock = FixedClock::default();
    let database = Database::open(folder.path()).unwrap();
    let store = SqliteStore::new(&database, Arc::new(clock.clone()));
    let day = Duration::from_hours(24);
    store.commit(Commit::new().send(message(1))).await.unwrap();
    store.sent(&[message(1).id]).await.unwrap();
    clock.advance(day * u32::try_from(SENT_DAYS - 1).unwrap());
    store.sent(&[message(99).id]).await.unwrap();
    store.commit(Commit::new().send(message(1))).await.unwrap();
    assert!(store.outbox(10).await.unwrap().is_empty());
    clock.advance(day * 2);
    store.sent(&[message(99).id]).await.unwrap();
    store.commit(Commit::new().send(message(1))).await.unwrap();
    assert_eq!(store.outbox(10).await.unwrap(), [message(1)]);
}

#[test]
fn a_file_that_is_no_database_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join(DATABASE_FILE),
        "not a database".repeat(100),
    )
    .unwrap();
    let refusal = Database::open(folder.path()).unwrap_err();
    assert!(matches!(refusal, PortError::Broken { .. }), "{refusal:?}");
    assert!(
        refusal.to_string().contains("use another data folder"),
        "{refusal}"
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let refusal = Database::open(&folder.path().join("file/below"))
        .unwrap_err()
        .to_string();
    assert!(refusal.contains("file/below"), "{refusal}");
}

/// What the child of [`a_killed_process_loses_no_answered_commit_and_keeps_no_part_of_one`] does: commits from
/// eight tasks and prints the number of each commit that was answered, until it is killed.
#[expect(clippy::print_stdout, reason = "how the child tells its parent")]
async fn commit_until_killed(folder: &Path) {
    let store = Arc::new(store(folder));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8_usize {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for round in 0.. {
                let number = round * 8 + task;
                let commit = Commit {
                    writes: ["a", "b", "c"]
                        .map(|part| write(format!("{number:09}-{part}")))
                        .into(),
                    ..Commit::new()
                        .add(PROJECT, "tally", "n", 1)
                        .send(message(number))
                };
                store.commit(commit).await.unwrap();
                println!("answered {number}");
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// Set for the child, which is this same test run again: the folder to write to.
const CHILD: &str = "KINTSUGI_TEST_CHILD_FOLDER";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_process_loses_no_answered_commit_and_keeps_no_part_of_one() {
    if let Some(folder) = std::env::var_os(CHILD) {
        commit_until_killed(Path::new(&folder)).await;
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for kill in 1..=3_usize {
        let fresh = folder.path().join(kill.to_string());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("a_killed_process_loses_no_answered_commit_and_keeps_no_part_of_one")
            .env(CHILD, &fresh)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut answered = Vec::new();
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("answered ") {
                answered.push(number.parse::<usize>().unwrap());
            }
            if answered.len() == kill * 97 {
                // SIGKILL while the other tasks are in the middle of their commits; the pipe is read to its end.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(answered.len() >= kill * 97);
        all_or_nothing(&fresh, &answered).await;
    }
}

async fn all_or_nothing(folder: &Path, answered: &[usize]) {
    let store = store(folder);
    let mut keys = Vec::new();
    loop {
        let page = Query {
            project: PROJECT,
            kind: Kind::Issue,
            index: None,
            after: keys.last().cloned(),
            limit: 500,
        };
        let page = store.list(&page).await.unwrap();
        if page.is_empty() {
            break;
        }
        keys.extend(page.into_iter().map(|record| record.key.key));
    }
    let commits = keys.len() / 3;
    for chunk in keys.chunks(3) {
        let number = chunk.first().unwrap().split('-').next().unwrap();
        let parts = ["a", "b", "c"].map(|part| format!("{number}-{part}"));
        assert_eq!(chunk, parts, "a part of a commit");
    }
    for number in answered {
        assert!(
            keys.contains(&format!("{number:09}-a")),
            "commit {number} was answered and is lost"
        );
    }
    let tally = store.counter(PROJECT, "tally").await.unwrap();
    assert_eq!(tally.get("n"), Some(&i64::try_from(commits).unwrap()));
    assert_eq!(store.outbox(usize::MAX).await.unwrap().len(), commits);
}
