//! What is delivered together: filed together where it can be, and never worse off than alone.

use super::*;
use crate::events;
use crate::ingest::COUNTER;
use async_trait::async_trait;
use futures::executor::block_on;
use kintsugi_domain::event::{Body, FiledEvent};
use kintsugi_domain::issue::Issue;
use kintsugi_domain::ports::{Commit, Query, RawRecord, RecordKey, Store};
use kintsugi_domain::project::Project;
use kintsugi_domain::trace::TraceId;
use kintsugi_testkit::memory::{MemoryHome, MemoryStore};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

const PROJECT: ProjectId = ProjectId(1);

/// The event that no commit may write.
const REFUSED: u64 = 9_999;

/// A store that counts its commits, loses the first `lost` of them against somebody else, and refuses [`REFUSED`] for good.
struct Counted {
    store: MemoryStore,
    commits: AtomicUsize,
    lost: AtomicUsize,
    /// Commits that were begun and have not ended, and the most of these there ever were.
    open: AtomicUsize,
    open_max: AtomicUsize,
}

/// Lets others go on once, as a store does that has to be waited for.
async fn others_first() {
    let mut is_first = true;
    std::future::poll_fn(move |context| {
        if !std::mem::take(&mut is_first) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[async_trait]
impl Store for Counted {
    async fn get(&self, key: &RecordKey) -> Result<Option<RawRecord>, PortError> {
        self.store.get(key).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<RawRecord>, PortError> {
        self.store.list(query).await
    }

    async fn counter(
        &self,
        project: ProjectId,
        counter: &str,
    ) -> Result<BTreeMap<String, i64>, PortError> {
        self.store.counter(project, counter).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), PortError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.open_max.fetch_max(open, Ordering::Relaxed);
        others_first().await;
        self.open.fetch_sub(1, Ordering::Relaxed);
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 {
            self.lost.store(lost - 1, Ordering::Relaxed);
            let what = "an issue".to_owned();
            return Err(PortError::Conflict { what });
        }
        let refused = event(REFUSED, "").id.to_string();
        if commit.writes.iter().any(|write| write.key.key == refused) {
            return Err(PortError::broken("commit", "it does not fit"));
        }
        self.store.commit(commit).await
    }

    async fn projects(&self) -> Result<Vec<ProjectId>, PortError> {
        self.store.projects().await
    }

    async fn outbox(&self, limit: usize) -> Result<Vec<Envelope>, PortError> {
        self.store.outbox(limit).await
    }

    async fn sent(&self, ids: &[kintsugi_domain::id::MessageId]) -> Result<(), PortError> {
        self.store.sent(ids).await
    }
}

struct World {
    home: MemoryHome,
    store: Arc<Counted>,
    triage: Triage,
}

fn world(lost: usize) -> World {
    let home = MemoryHome::new(1);
    let project: Project = serde_json::from_value(json!({
        "id": PROJECT,
        "config": {
            "product": {"name": "till", "language": "python"},
            "test": {"command": ["t"]},
            "package": {"include": ["till"]},
            "health": {"command": ["h"]},
        },
        "keys": [],
        "repository": "/till",
        "added_at": "2026-01-01T00:00:00Z",
    }))
    .unwrap();
    block_on(home.store.commit(Commit::new().create(&project))).unwrap();
    let store = Arc::new(Counted {
        store: home.store.clone(),
        commits: AtomicUsize::new(0),
        lost: AtomicUsize::new(lost),
        open: AtomicUsize::new(0),
        open_max: AtomicUsize::new(0),
    });
    let ports = Ports {
        store: store.clone(),
        ..home.ports()
    };
    World {
        home,
        store,
        triage: Triage::new(ports),
    }
}

/// An event that says `text`: one issue for each text.
fn event(id: u64, text: &str) -> Event {
    let at = "2026-01-05T08:00:00Z";
    serde_json::from_value(json!({
        "id": format!("{id:032x}"), "project": PROJECT, "occurred_at": at, "received_at": at, "level": "error",
        "platform": "python", "message": text, "exceptions": [], "breadcrumbs": [], "fingerprint": [],
        "tags": {}, "system": {}, "remarks": [],
    }))
    .unwrap()
}

fn reported(events: &[Event]) -> Envelope {
    let cause = format!("{:?}", events.iter().map(|it| &it.id).collect::<Vec<_>>());
    let events = Body::all(events).unwrap();
    Envelope::new(cause, PROJECT, Message::Reported { events })
}

impl World {
    fn run(&self, messages: &[Envelope]) -> Vec<Result<Done, PortError>> {
        block_on(self.triage.run_all(&messages.iter().collect::<Vec<_>>()))
    }

    fn issues(&self) -> Vec<Issue> {
        let issues = records::all::<Issue>(&self.home.store, PROJECT, None);
        let issues = block_on(issues).unwrap().into_iter();
        issues.map(|stored| stored.value).collect()
    }

    fn commits(&self) -> usize {
        self.store.commits.load(Ordering::Relaxed)
    }

    fn accepted(&self) -> i64 {
        let counted = self.home.store.counter(PROJECT, COUNTER);
        block_on(counted).unwrap()["accepted/error"]
    }
}

#[test]
fn reports_of_one_issue_that_come_together_are_one_commit() {
    let world = world(0);
    let messages: Vec<Envelope> = (0..50).map(|id| reported(&[event(id, "late")])).collect();
    let answers = world.run(&messages);
    assert!(
        answers.iter().all(|it| matches!(it, Ok(Done::Did(_)))),
        "{answers:?}"
    );
    assert_eq!(world.commits(), 1);
    let issues = world.issues();
    assert_eq!(
        (issues.len(), issues[0].events, world.accepted()),
        (1, 50, 50)
    );
    // Their bodies lie together, and each is found.
    assert_eq!(world.home.blobs.keys().len(), 1);
    let ports = world.home.ports();
    for id in 0..50 {
        let id = event(id, "").id;
        let found = block_on(events::filed(&ports, PROJECT, &id)).unwrap();
        assert_eq!(found.unwrap().id, id);
    }
}

#[test]
fn what_does_not_fit_into_one_commit_is_filed_in_several() {
    let world = world(0);
    // Every other of an issue of its own: each is four writes.
    let text = |id| {
        if id % 2 == 0 {
            "late".to_owned()
        } else {
            format!("{}x", "y".repeat(id))
        }
    };
    let ids: Vec<u64> = (0..200).collect();
    let message = |id: &u64| reported(&[event(*id, &text(usize::try_from(*id).unwrap()))]);
    let messages: Vec<Envelope> = ids.iter().map(message).collect();
    let answers = world.run(&messages);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!((world.issues().len(), world.accepted()), (101, 200));
    // 87 + 13 of the one issue, and 100 others: the 13 and 18 others in one commit, then 22 in each. None is lost to another.
    assert_eq!(world.commits(), 6);
    assert_eq!(
        world.home.blobs.keys().len(),
        1,
        "their bodies lie together"
    );
    assert_eq!(world.store.open_max.load(Ordering::Relaxed), 5);
}

#[test]
fn commits_that_write_the_same_issue_are_one_after_the_other() {
    let world = world(0);
    let events: Vec<Event> = (0..200).map(|id| event(id, "late")).collect();
    assert!(world.run(&[reported(&events)])[0].is_ok());
    assert_eq!((world.issues()[0].events, world.accepted()), (200, 200));
    assert_eq!(world.commits(), 3, "a commit that lost was made again");
    assert_eq!(world.store.open_max.load(Ordering::Relaxed), 1);
}

#[test]
fn an_event_that_comes_twice_is_filed_once_whether_together_or_later() {
    let world = world(0);
    let twice = [
        reported(&[event(1, "late")]),
        reported(&[event(1, "late"), event(2, "late")]),
    ];
    assert!(world.run(&twice).iter().all(Result::is_ok));
    let again = world.run(&twice);
    assert!(
        again.iter().all(|it| matches!(it, Ok(Done::Nothing(_)))),
        "{again:?}"
    );
    assert_eq!(
        (world.issues()[0].events, world.accepted(), world.commits()),
        (2, 2, 1)
    );
}

#[test]
fn of_two_that_say_to_be_the_same_event_the_first_counts_with_its_own_body() {
    for (first, second) in [("late", "gone"), ("gone", "late")] {
        let world = world(0);
        let both = [reported(&[event(1, first)]), reported(&[event(1, second)])];
        assert!(world.run(&both).iter().all(Result::is_ok));
        let titles: Vec<String> = world.issues().into_iter().map(|it| it.title).collect();
        assert_eq!(titles, [first]);
        let kept = block_on(events::filed(
            &world.home.ports(),
            PROJECT,
            &event(1, "").id,
        ));
        let said = kept.unwrap().and_then(|event| event.message);
        assert_eq!(said.as_deref(), Some(first));
        assert_eq!((world.accepted(), world.commits()), (1, 1));
    }
}

#[test]
fn a_message_that_cannot_be_filed_fails_alone() {
    let world = world(0);
    let blob = "events/1/gone.json.zst".to_owned();
    let gone = Envelope::new("gone", PROJECT, Message::ReportedBatch { blob });
    // The store refuses it, and with it every commit that it is in.
    let refused = reported(&[event(REFUSED, "late")]);
    let wrong = Envelope::new(
        "x",
        PROJECT,
        Message::Publish {
            channel: "stable".into(),
        },
    );
    let events = serde_json::from_value(json!([{"message": "a secret"}])).unwrap();
    let unreadable = Envelope::new("y", PROJECT, Message::Reported { events });
    let messages = [
        reported(&[event(1, "late")]),
        gone,
        refused,
        wrong,
        unreadable,
        reported(&[event(3, "late")]),
    ];
    let answers = world.run(&messages);
    let told: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(
        told,
        [true, false, false, false, false, true],
        "{answers:?}"
    );
    let why = answers[4].as_ref().unwrap_err().to_string();
    assert!(
        why.contains("not an event") && !why.contains("secret"),
        "{why}"
    );
    let why = answers[1].as_ref().unwrap_err().to_string();
    assert!(why.contains("events/1/gone.json.zst"), "{why}");
    assert_eq!((world.accepted(), world.issues()[0].events), (2, 2));
}

#[test]
fn a_commit_that_lost_is_decided_again_for_all() {
    let world = world(3);
    let messages = [reported(&[event(1, "late")]), reported(&[event(2, "late")])];
    let answers = world.run(&messages);
    assert!(
        answers.iter().all(|it| matches!(it, Ok(Done::Did(_)))),
        "{answers:?}"
    );
    assert_eq!((world.commits(), world.accepted()), (4, 2));
}

#[test]
fn what_is_handed_on_is_in_the_trace_of_the_report_that_brought_it_about() {
    let world = world(0);
    let trace = |digit: u8| format!("{digit:032x}").parse::<TraceId>().ok();
    let mut messages = [
        reported(&[event(1, "late")]),
        reported(&[event(2, "gone")]),
        reported(&[event(3, "late")]),
    ];
    for (message, digit) in messages.iter_mut().zip(1..) {
        message.trace = trace(digit);
    }
    assert!(world.run(&messages).iter().all(Result::is_ok));
    let mut traces: Vec<_> = block_on(world.home.store.outbox(10))
        .unwrap()
        .into_iter()
        .map(|envelope| envelope.trace)
        .collect();
    traces.sort();
    assert_eq!(traces, [trace(1), trace(2)]);
}

#[test]
fn an_event_record_names_the_batch_that_came_with_the_message() {
    let world = world(0);
    let json = serde_json::to_vec(&[event(1, "late"), event(2, "late")]).unwrap();
    let blob = block_on(events::keep(&world.home.blobs, PROJECT, &json)).unwrap();
    let message = Message::ReportedBatch { blob: blob.clone() };
    let message = Envelope::new("batch", PROJECT, message);
    assert!(world.run(&[message]).iter().all(Result::is_ok));
    let filed = records::all::<FiledEvent>(&world.home.store, PROJECT, None);
    let filed = block_on(filed).unwrap();
    assert_eq!(filed.len(), 2);
    assert!(filed.iter().all(|it| it.value.batch == blob));
    assert_eq!(world.home.blobs.keys(), [blob]);
}

#[test]
fn an_issue_is_critical_from_the_report_on_that_makes_its_fix_depart_at_once() {
    let world = world(0);
    let at = |minute: i64| {
        let start: jiff::Timestamp = "2026-01-05T08:00:00Z".parse().unwrap();
        start + jiff::SignedDuration::from_mins(minute)
    };
    // 50 points for security; 25 for the fifty-first user are enough.
    let seen = |user: u64, minute: i64| {
        let mut event = event(user, "a security hole");
        event.user = Some(format!("user {user}"));
        event.received_at = at(minute);
        event
    };
    let first: Vec<Event> = (0..50).map(|user| seen(user, 0)).collect();
    world.run(&[reported(&first)]);
    assert_eq!(world.issues()[0].critical_since, None);
    world.run(&[reported(&[seen(50, 7)])]);
    assert_eq!(world.issues()[0].critical_since, Some(at(7)));
    world.run(&[reported(&[seen(51, 9)])]);
    assert_eq!(
        world.issues()[0].critical_since,
        Some(at(7)),
        "the first such report"
    );
}
