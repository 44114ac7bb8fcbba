//! What [`Store`] promises.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use super::message;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::{COMMIT_WRITES_MAX, PAGE_RECORDS_MAX};
use kintsugi_domain::ports::{Commit, PortError, Query, RecordKey, Store, Write};
use kintsugi_domain::record::{IndexEntry, Kind};
use std::sync::Arc;
use tokio::task::JoinSet;

const PROJECT: ProjectId = ProjectId(1);

/// Every promise, each on a fresh port.
pub async fn all(fresh: impl AsyncFn() -> Arc<dyn Store>) {
    what_was_written_is_read(&*fresh().await).await;
    many_records_are_read_in_the_order_of_their_names(&*fresh().await).await;
    a_stale_write_conflicts_and_changes_nothing(&*fresh().await).await;
    a_record_is_created_only_once(&*fresh().await).await;
    a_commit_that_cannot_be_right_is_refused(&*fresh().await).await;
    a_line_of_the_audit_log_is_never_written_again(&*fresh().await).await;
    a_large_commit_is_all_or_nothing(&*fresh().await).await;
    lists_go_in_key_order_page_by_page(&*fresh().await).await;
    lists_keep_projects_and_kinds_apart(&*fresh().await).await;
    a_write_replaces_the_indexes(&*fresh().await).await;
    counters_add_up_in_any_order(&*fresh().await).await;
    a_sum_that_does_not_fit_is_refused(&*fresh().await).await;
    projects_are_those_with_a_project_record(&*fresh().await).await;
    the_outbox_gives_the_oldest_first(&*fresh().await).await;
    what_a_process_commits_is_its_own_until_it_is_sent(&*fresh().await).await;
    a_message_is_put_once_even_after_it_was_sent(&*fresh().await).await;
    increments_at_once_lose_nothing(fresh().await).await;
    creations_at_once_have_one_winner(fresh().await).await;
    commits_at_once_are_each_all_or_nothing(fresh().await).await;
    super::audit::lines_written_at_once_are_one_chain(fresh().await).await;
}

fn key(kind: Kind, key: &str) -> RecordKey {
    RecordKey {
        project: PROJECT,
        kind,
        key: key.to_owned(),
    }
}

fn write(name: &str, expected: u64, body: &str) -> Write {
    Write {
        key: key(Kind::Issue, name),
        expected,
        format: 3,
        body: format!("{{\"text\":\"{body}\"}}"),
        indexes: Vec::new(),
    }
}

/// The audit log only grows, whoever commits.
pub async fn a_line_of_the_audit_log_is_never_written_again(store: &dyn Store) {
    let line = |expected, body| Write {
        key: key(Kind::Audit, "line"),
        ..write("line", expected, body)
    };
    let first = writes(vec![line(0, "as it was")]);
    store.commit(first).await.unwrap();
    let again = writes(vec![write("beside", 0, "x"), line(1, "as it suits")]);
    let refused = store.commit(again).await.unwrap_err();
    assert!(!refused.is_transient(), "{refused}");
    let found = store.get(&key(Kind::Audit, "line")).await.unwrap().unwrap();
    assert!(found.body.contains("as it was"), "{}", found.body);
    let beside = store.get(&key(Kind::Issue, "beside")).await.unwrap();
    assert_eq!(beside, None, "a refused commit changes nothing");
}

fn writes(writes: Vec<Write>) -> Commit {
    Commit {
        writes,
        ..Commit::default()
    }
}

fn query(after: Option<&str>, limit: usize) -> Query {
    Query {
        project: PROJECT,
        kind: Kind::Issue,
        index: None,
        after: after.map(str::to_owned),
        limit,
    }
}

async fn version(store: &dyn Store, name: &str) -> u64 {
    let found = store.get(&key(Kind::Issue, name)).await.unwrap();
    found.map_or(0, |record| record.version)
}

async fn listed(store: &dyn Store, query: &Query) -> Vec<String> {
    let page = store.list(query).await.unwrap();
    page.into_iter().map(|record| record.key.key).collect()
}

async fn count(store: &dyn Store, counter: &str, field: &str) -> i64 {
    let fields = store.counter(PROJECT, counter).await.unwrap();
    fields.get(field).copied().unwrap_or(0)
}

fn conflict(answer: &Result<(), PortError>) -> bool {
    matches!(answer, Err(PortError::Conflict { .. }))
}

fn refused(answer: &Result<(), PortError>) -> bool {
    matches!(answer, Err(PortError::Broken { .. }))
}

/// A record comes back as it was written, with a version that grows by one; before that it is nothing.
pub async fn what_was_written_is_read(store: &dyn Store) {
    let name = key(Kind::Issue, "ü/'\"%_ ☃");
    assert_eq!(store.get(&name).await.unwrap(), None);
    for expected in 0..3 {
        let body = format!("{{\"n\":{expected},\"t\":\"ünï\\n\"}}");
        let write = Write {
            key: name.clone(),
            expected,
            format: 7,
            body: body.clone(),
            indexes: Vec::new(),
        };
        store.commit(writes(vec![write])).await.unwrap();
        let found = store.get(&name).await.unwrap().unwrap();
        assert_eq!(found.version, expected + 1);
        assert_eq!(
            (found.key, found.format, found.body),
            (name.clone(), 7, body)
        );
    }
    store.commit(Commit::new()).await.unwrap();
}

/// Records that are asked for together come in the order of their names, and nothing for those that are not there.
pub async fn many_records_are_read_in_the_order_of_their_names(store: &dyn Store) {
    let all = [write("b", 0, "1"), write("a", 0, "2"), write("c", 0, "3")];
    store.commit(writes(all.to_vec())).await.unwrap();
    store
        .commit(writes(vec![write("b", 1, "4")]))
        .await
        .unwrap();
    let keys: Vec<RecordKey> = ["c", "none", "b", "a", "b"]
        .iter()
        .map(|name| key(Kind::Issue, name))
        .collect();
    let found = store.get_all(&keys).await.unwrap();
    let mut each = Vec::new();
    for key in &keys {
        each.push(store.get(key).await.unwrap());
    }
    assert_eq!(found, each);
    let versions = found.into_iter().map(|raw| Some(raw?.version));
    let versions: Vec<Option<u64>> = versions.collect();
    assert_eq!(versions, [Some(1), None, Some(2), Some(1), Some(2)]);
    assert_eq!(store.get_all(&[]).await.unwrap(), []);
}

/// A stale write is a conflict; nothing else of that commit happens: no write, no addition, no message.
pub async fn a_stale_write_conflicts_and_changes_nothing(store: &dyn Store) {
    store
        .commit(writes(vec![write("a", 0, "1")]))
        .await
        .unwrap();
    store
        .commit(writes(vec![write("a", 1, "2")]))
        .await
        .unwrap();
    for stale in [0, 1, 3] {
        let mut commit = writes(vec![
            write("b", 0, "x"),
            write("a", stale, "stale"),
            write("c", 0, "x"),
        ]);
        commit = commit.add(PROJECT, "tally", "n", 5).send(message(1));
        let answer = store.commit(commit).await;
        assert!(conflict(&answer), "expected version {stale}: {answer:?}");
    }
    // A record that does not exist has no version to replace.
    assert!(conflict(
        &store.commit(writes(vec![write("d", 1, "x")])).await
    ));
    let a = store.get(&key(Kind::Issue, "a")).await.unwrap().unwrap();
    assert_eq!((a.version, a.body.as_str()), (2, "{\"text\":\"2\"}"));
    for name in ["b", "c", "d"] {
        assert_eq!(version(store, name).await, 0, "{name} was written");
    }
    assert_eq!(count(store, "tally", "n").await, 0);
    assert!(store.outbox(10).await.unwrap().is_empty());
    // The message of a refused commit was never put: it can still be.
    store.commit(Commit::new().send(message(1))).await.unwrap();
    assert_eq!(store.outbox(10).await.unwrap(), [message(1)]);
}

/// Version 0 means that the record must not exist; the first one stays.
pub async fn a_record_is_created_only_once(store: &dyn Store) {
    store
        .commit(writes(vec![write("a", 0, "first")]))
        .await
        .unwrap();
    assert!(conflict(
        &store.commit(writes(vec![write("a", 0, "second")])).await
    ));
    let found = store.get(&key(Kind::Issue, "a")).await.unwrap().unwrap();
    assert_eq!(found.body, "{\"text\":\"first\"}");
}

/// One record twice, or too many records, in one commit is refused for good and changes nothing.
pub async fn a_commit_that_cannot_be_right_is_refused(store: &dyn Store) {
    let twice = writes(vec![write("a", 0, "1"), write("a", 0, "2")]);
    assert!(refused(&store.commit(twice).await));
    let twice = writes(vec![write("a", 0, "1"), write("a", 1, "2")]);
    assert!(refused(&store.commit(twice).await));
    let many = (0..=COMMIT_WRITES_MAX).map(|n| write(&format!("m{n}"), 0, "x"));
    assert!(refused(&store.commit(writes(many.collect())).await));
    assert!(listed(store, &query(None, 10)).await.is_empty());
}

/// As many records as one commit may write are written together, or not at all when the last is stale.
pub async fn a_large_commit_is_all_or_nothing(store: &dyn Store) {
    store
        .commit(writes(vec![write("z", 0, "there")]))
        .await
        .unwrap();
    let mut many: Vec<Write> = (1..COMMIT_WRITES_MAX)
        .map(|n| write(&format!("m{n:03}"), 0, "x"))
        .collect();
    many.push(write("z", 0, "stale"));
    assert!(conflict(&store.commit(writes(many.clone())).await));
    assert_eq!(listed(store, &query(None, 500)).await, ["z"]);
    many.pop();
    many.push(write("z", 1, "fresh"));
    store.commit(writes(many)).await.unwrap();
    assert_eq!(
        listed(store, &query(None, 500)).await.len(),
        COMMIT_WRITES_MAX
    );
}

/// Lists go in the order of the keys' bytes, page by page, without gap or repetition.
pub async fn lists_go_in_key_order_page_by_page(store: &dyn Store) {
    let mut names: Vec<String> = (0..25).map(|n| format!("k{}", n * 7 % 25)).collect();
    names.extend(["A", "a", "ä", "Z", "k", "k1-"].map(str::to_owned));
    for name in &names {
        store
            .commit(writes(vec![write(name, 0, name)]))
            .await
            .unwrap();
    }
    names.sort();
    assert_eq!(listed(store, &query(None, 500)).await, names);
    let mut paged = Vec::new();
    loop {
        let page = listed(store, &query(paged.last().map(String::as_str), 4)).await;
        assert!(page.len() <= 4);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, names);
    assert!(listed(store, &query(None, 0)).await.is_empty());
    assert_eq!(listed(store, &query(Some("k10"), 1)).await, ["k11"]);
    assert_eq!(
        listed(store, &query(Some("k10!"), 1)).await,
        ["k11"],
        "after a key that is not there"
    );
    // More than a page is asked for and a page is given.
    for chunk in 0..=PAGE_RECORDS_MAX / COMMIT_WRITES_MAX {
        let many = (0..COMMIT_WRITES_MAX).map(|n| write(&format!("m{chunk}-{n}"), 0, "x"));
        store.commit(writes(many.collect())).await.unwrap();
    }
    assert_eq!(
        listed(store, &query(None, usize::MAX)).await.len(),
        PAGE_RECORDS_MAX
    );
}

/// A list has the records of one project and one kind only, also by index.
pub async fn lists_keep_projects_and_kinds_apart(store: &dyn Store) {
    let places = [
        (1, Kind::Issue),
        (1, Kind::Fix),
        (2, Kind::Issue),
        (11, Kind::Issue),
    ];
    for (project, kind) in places {
        let write = Write {
            key: RecordKey {
                project: ProjectId(project),
                kind,
                key: format!("{kind}-{project}"),
            },
            indexes: vec![IndexEntry::new("state", &"new")],
            ..write("", 0, "x")
        };
        store.commit(writes(vec![write])).await.unwrap();
    }
    let by_state = Query {
        index: Some(IndexEntry::new("state", &"new")),
        ..query(None, 10)
    };
    assert_eq!(listed(store, &query(None, 10)).await, ["issue-1"]);
    assert_eq!(listed(store, &by_state).await, ["issue-1"]);
}

/// A record is found by the indexes of its last write and by no others.
pub async fn a_write_replaces_the_indexes(store: &dyn Store) {
    let indexed = |name: &str, expected, entries: &[(&'static str, &str)]| Write {
        indexes: entries
            .iter()
            .map(|(index, value)| IndexEntry::new(index, value))
            .collect(),
        ..write(name, expected, "x")
    };
    let by = |index: &'static str, value: &str, after: Option<&str>, limit| Query {
        index: Some(IndexEntry::new(index, &value)),
        ..query(after, limit)
    };
    let first = vec![
        indexed("c", 0, &[("state", "new"), ("team", "red")]),
        indexed("a", 0, &[("state", "new"), ("state", "loud")]),
        indexed("b", 0, &[("state", "new")]),
        indexed("d", 0, &[("team", "new")]),
    ];
    store.commit(writes(first)).await.unwrap();
    assert_eq!(
        listed(store, &by("state", "new", None, 10)).await,
        ["a", "b", "c"]
    );
    assert_eq!(
        listed(store, &by("state", "new", None, 2)).await,
        ["a", "b"]
    );
    assert_eq!(
        listed(store, &by("state", "new", Some("b"), 2)).await,
        ["c"]
    );
    assert_eq!(listed(store, &by("state", "loud", None, 10)).await, ["a"]);
    assert_eq!(listed(store, &by("state", "ne", None, 10)).await, [""; 0]);
    let second = vec![indexed("a", 1, &[("state", "done")]), indexed("b", 1, &[])];
    store.commit(writes(second)).await.unwrap();
    assert_eq!(listed(store, &by("state", "new", None, 10)).await, ["c"]);
    assert_eq!(listed(store, &by("state", "done", None, 10)).await, ["a"]);
    assert_eq!(listed(store, &by("state", "loud", None, 10)).await, [""; 0]);
    assert_eq!(listed(store, &by("team", "red", None, 10)).await, ["c"]);
    // A conflict leaves the indexes alone, too.
    let stale = writes(vec![indexed("c", 9, &[("state", "done")])]);
    assert!(conflict(&store.commit(stale).await));
    assert_eq!(listed(store, &by("state", "done", None, 10)).await, ["a"]);
}

/// Additions of both signs add up, in one commit and over many, per project, counter and field.
pub async fn counters_add_up_in_any_order(store: &dyn Store) {
    assert!(store.counter(PROJECT, "tally").await.unwrap().is_empty());
    let commit = Commit::new()
        .add(PROJECT, "tally", "up", 5)
        .add(PROJECT, "tally", "up", -7)
        .add(PROJECT, "tally", "down", -1)
        .add(PROJECT, "tally/2", "up", 40)
        .add(ProjectId(2), "tally", "up", 100);
    store.commit(commit).await.unwrap();
    store
        .commit(Commit::new().add(PROJECT, "tally", "up", 3))
        .await
        .unwrap();
    let fields = store.counter(PROJECT, "tally").await.unwrap();
    let fields: Vec<(&str, i64)> = fields
        .iter()
        .map(|(field, n)| (field.as_str(), *n))
        .collect();
    assert_eq!(fields, [("down", -1), ("up", 1)]);
    assert_eq!(count(store, "tally/2", "up").await, 40);
}

/// A sum beyond 64 bits is refused for good and changes nothing.
pub async fn a_sum_that_does_not_fit_is_refused(store: &dyn Store) {
    store
        .commit(Commit::new().add(PROJECT, "tally", "n", i64::MAX))
        .await
        .unwrap();
    let mut commit = writes(vec![write("a", 0, "x")]);
    commit = commit
        .add(PROJECT, "tally", "m", 1)
        .add(PROJECT, "tally", "n", 1);
    let answer = store.commit(commit).await;
    assert!(refused(&answer), "{answer:?}");
    assert_eq!(count(store, "tally", "n").await, i64::MAX);
    assert_eq!(count(store, "tally", "m").await, 0);
    assert_eq!(version(store, "a").await, 0);
}

/// The projects are those that have a record of kind `project`, in order.
pub async fn projects_are_those_with_a_project_record(store: &dyn Store) {
    assert!(store.projects().await.unwrap().is_empty());
    for (project, kind) in [(30, Kind::Project), (4, Kind::Project), (5, Kind::Issue)] {
        let write = Write {
            key: RecordKey {
                project: ProjectId(project),
                kind,
                key: "project".to_owned(),
            },
            ..write("", 0, "x")
        };
        store.commit(writes(vec![write])).await.unwrap();
    }
    assert_eq!(
        store.projects().await.unwrap(),
        [ProjectId(4), ProjectId(30)]
    );
}

/// Messages come out of the outbox in the order they were put, until they are marked as sent.
pub async fn the_outbox_gives_the_oldest_first(store: &dyn Store) {
    store
        .commit(Commit::new().send(message(5)).send(message(2)))
        .await
        .unwrap();
    store.commit(Commit::new().send(message(9))).await.unwrap();
    store.commit(Commit::new().send(message(1))).await.unwrap();
    assert_eq!(store.outbox(2).await.unwrap(), [message(5), message(2)]);
    assert_eq!(
        store.outbox(2).await.unwrap(),
        [message(5), message(2)],
        "reading changes nothing"
    );
    // Unknown ids are ignored, and so are ids that were marked before.
    store
        .sent(&[message(77).id, message(2).id, message(9).id])
        .await
        .unwrap();
    store.sent(&[message(2).id]).await.unwrap();
    store.sent(&[]).await.unwrap();
    assert_eq!(store.outbox(10).await.unwrap(), [message(5), message(1)]);
}

/// A process finds what it committed, and nothing any more once that is sent.
pub async fn what_a_process_commits_is_its_own_until_it_is_sent(store: &dyn Store) {
    let own = async |limit| {
        let mut own = store.own_outbox(limit).await.unwrap();
        own.sort_by(|one, other| one.id.as_str().cmp(other.id.as_str()));
        own
    };
    let mut all = [message(5), message(2), message(9)];
    all.sort_by(|one, other| one.id.as_str().cmp(other.id.as_str()));
    assert!(own(10).await.is_empty());
    let commit = Commit::new().send(message(5)).send(message(2));
    store.commit(commit).await.unwrap();
    store.commit(Commit::new().send(message(9))).await.unwrap();
    assert_eq!(own(10).await, all);
    assert!(!own(1).await.is_empty(), "a limit never leaves nothing");
    store.sent(&[message(5).id]).await.unwrap();
    let left = own(10).await;
    assert!(left.contains(&message(2)) && left.contains(&message(9)));
    store.sent(&[message(2).id, message(9).id]).await.unwrap();
    assert!(own(10).await.is_empty());
    let lost = writes(vec![write("once", 0, "x")]).send(message(7));
    store.commit(lost.clone()).await.unwrap();
    store.sent(&[message(7).id]).await.unwrap();
    // A commit that fails hands nothing on.
    store.commit(lost.send(message(8))).await.unwrap_err();
    assert!(own(10).await.is_empty());
}

/// The same message is put once: twice in a commit, again while it waits, and again after it was sent.
pub async fn a_message_is_put_once_even_after_it_was_sent(store: &dyn Store) {
    store
        .commit(Commit::new().send(message(1)).send(message(1)))
        .await
        .unwrap();
    store.commit(Commit::new().send(message(1))).await.unwrap();
    assert_eq!(store.outbox(10).await.unwrap(), [message(1)]);
    store.sent(&[message(1).id]).await.unwrap();
    let again = Commit::new()
        .send(message(1))
        .send(message(2))
        .add(PROJECT, "tally", "n", 1);
    store.commit(again).await.unwrap();
    assert_eq!(store.outbox(10).await.unwrap(), [message(2)]);
    assert_eq!(
        count(store, "tally", "n").await,
        1,
        "the rest of the commit happens"
    );
}

/// Tasks that read, add one and write the same record, deciding again on conflict, lose no increment.
pub async fn increments_at_once_lose_nothing(store: Arc<dyn Store>) {
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut won = 0_u64;
            while won < 10 {
                let read = version(&*store, "shared").await;
                let commit = writes(vec![write("shared", read, "x")]).add(PROJECT, "won", "n", 1);
                match store.commit(commit).await {
                    Ok(()) => won += 1,
                    Err(PortError::Conflict { .. }) => tokio::task::yield_now().await,
                    Err(other) => panic!("expected a conflict, got {other:?}"),
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!(version(&*store, "shared").await, 80);
    assert_eq!(count(&*store, "won", "n").await, 80);
}

/// Of many tasks that create the same record at once, one wins and the others see a conflict.
pub async fn creations_at_once_have_one_winner(store: Arc<dyn Store>) {
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let commit = writes(vec![write("only", 0, &format!("{task}"))]).send(message(task));
            (task, store.commit(commit).await)
        });
    }
    let mut winners = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let (task, answer) = ended.unwrap();
        match answer {
            Ok(()) => winners.push(task),
            Err(PortError::Conflict { .. }) => {}
            Err(other) => panic!("expected a conflict, got {other:?}"),
        }
    }
    assert_eq!(winners.len(), 1, "winners: {winners:?}");
    let sent: Vec<_> = winners.iter().map(|task| message(*task)).collect();
    assert_eq!(store.outbox(100).await.unwrap(), sent);
}

/// Commits at once, of which every third is stale: each good one is there as a whole, each bad one not at all.
pub async fn commits_at_once_are_each_all_or_nothing(store: Arc<dyn Store>) {
    store
        .commit(writes(vec![write("taken", 0, "x")]))
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    for task in 0..30 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let bad = task % 3 == 0;
            let mut both = vec![
                write(&format!("{task}-a"), 0, "x"),
                write(&format!("{task}-b"), 0, "x"),
            ];
            if bad {
                both.push(write("taken", 0, "stale"));
            }
            let commit = writes(both)
                .add(PROJECT, "good", "n", 1)
                .send(message(task));
            let answer = store.commit(commit).await;
            assert_eq!(conflict(&answer), bad, "task {task}: {answer:?}");
            assert_eq!(answer.is_ok(), !bad, "task {task}: {answer:?}");
            // MUST be seen by every read that starts after the commit returned.
            let seen = version(&*store, &format!("{task}-b")).await;
            assert_eq!(seen, u64::from(!bad), "task {task}");
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!(listed(&*store, &query(None, 500)).await.len(), 41);
    assert_eq!(count(&*store, "good", "n").await, 20);
    assert_eq!(store.outbox(100).await.unwrap().len(), 20);
}
