//! Quotas: what is let in, what is told, and that one process is not alone.

use super::{Home, KEY, PROJECT, at, envelope_of, home, project, request};
use crate::ingest::quotas::Quotas;
use crate::ingest::{Done, Endpoint, Ingest, Limit, answer};
use crate::stage::Stage as _;
use async_trait::async_trait;
use futures::executor::block_on;
use futures::future::join_all;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::envelope::Envelope;
use kintsugi_domain::id::{MessageId, ProjectId};
use kintsugi_domain::ports::{Commit, PortError, Query, RawRecord, RecordKey, Store};
use kintsugi_domain::quota::QuotaRules;
use kintsugi_domain::record::{Kind, Stored};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

/// A home whose project has these quotas.
pub(in crate::ingest) fn limited(quota: &serde_json::Value) -> Home {
    let home = home();
    let mut value = project(PROJECT, KEY);
    value.config.quota = serde_json::from_value(quota.clone()).unwrap();
    let stored = Stored { value, version: 1 };
    block_on(home.memory.store.commit(Commit::new().update(&stored))).unwrap();
    home
}

/// Another process of the same home.
fn beside(home: &Home) -> Ingest {
    Ingest::new(&home.memory.ports())
}

fn event(number: usize) -> (&'static str, String) {
    ("event", json!({"message": format!("{number}")}).to_string())
}

#[test]
fn a_used_up_quota_is_told_on_200_and_on_429_for_its_category_only() {
    let home = limited(&json!({"categories": {"error": 3, "session": 0}}));
    let events: Vec<_> = (0..5).map(event).collect();
    let done = home.run(request(envelope_of(&events)));
    let limits = vec![Limit {
        category: Category::Error,
        seconds: 20,
    }];
    let Done::Accepted {
        events: 3,
        items_skipped: 2,
        limits: told,
        ..
    } = &done
    else {
        panic!("{done:?}");
    };
    assert_eq!(*told, limits);
    let told = answer(&done);
    assert_eq!(told.status, 200);
    assert!(
        told.headers
            .contains(&("X-Sentry-Rate-Limits", "20:error:key:quota".into()))
    );

    let mut later = request(envelope_of(&[
        event(9),
        ("session", "{\"sid\":\"a\"}".into()),
    ]));
    later.at = at(5);
    let told = answer(&home.run(later));
    assert_eq!(told.status, 429);
    let header = (
        "X-Sentry-Rate-Limits",
        "15:error:key:quota, 60:session:key:quota".to_owned(),
    );
    assert!(told.headers.contains(&header), "{:?}", told.headers);
    assert!(told.headers.contains(&("Retry-After", "60".into())));
    let mut store = request(json!({"message": "x"}).to_string());
    store.endpoint = Endpoint::Store;
    assert_eq!(home.refused(store), (429, "rate_limited"));

    // Another category of the same key is not concerned.
    let other = json!({"transaction": "a", "start_timestamp": 1, "timestamp": 2}).to_string();
    let done = home.run(request(envelope_of(&[("transaction", other)])));
    assert!(
        matches!(
            done,
            Done::Accepted {
                items_skipped: 0,
                ..
            }
        ),
        "{done:?}"
    );
    let account = home.account();
    assert!(account.adds_up());
    let error = &account.categories["error"];
    assert_eq!((error.accepted, error.refused["rate_limited"]), (3, 4));

    // One flows in each 20 seconds.
    let mut much_later = request(envelope_of(&[event(10)]));
    much_later.at = at(20);
    assert!(matches!(
        home.run(much_later),
        Done::Accepted { events: 1, .. }
    ));
}

#[test]
fn many_processes_together_let_in_no_more_than_the_quota() {
    let home = limited(&json!({"per_minute": 500}));
    let processes: Vec<Ingest> = (0..7).map(|_| beside(&home)).collect();
    let mut let_in = 0;
    for round in 0..100 {
        for (number, process) in processes.iter().enumerate() {
            let request = request(envelope_of(&[event(round * 7 + number)]));
            if let Done::Accepted { events, .. } = block_on(process.run(request)).unwrap() {
                let_in += events;
            }
        }
    }
    // 700 came. A lease is 5 of 500, and nobody was left with one: all of them went on until the end.
    assert_eq!(let_in, 500);
    assert!(home.account().adds_up());
}

/// A store that has to be waited for, so that others go on meanwhile.
struct Slow(Arc<dyn Store>);

impl Slow {
    async fn pause(&self) {
        let mut is_first = true;
        std::future::poll_fn(move |context| {
            if !std::mem::take(&mut is_first) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

#[async_trait]
impl Store for Slow {
    async fn get(&self, key: &RecordKey) -> Result<Option<RawRecord>, PortError> {
        self.pause().await;
        self.0.get(key).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<RawRecord>, PortError> {
        self.0.list(query).await
    }

    async fn counter(
        &self,
        project: ProjectId,
        name: &str,
    ) -> Result<BTreeMap<String, i64>, PortError> {
        self.0.counter(project, name).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), PortError> {
        self.pause().await;
        self.0.commit(commit).await
    }

    async fn projects(&self) -> Result<Vec<ProjectId>, PortError> {
        self.0.projects().await
    }

    async fn outbox(&self, limit: usize) -> Result<Vec<Envelope>, PortError> {
        self.0.outbox(limit).await
    }

    async fn sent(&self, ids: &[MessageId]) -> Result<(), PortError> {
        self.0.sent(ids).await
    }
}

/// How many of `requests` are let in that processes ask for at the same time, each for one item.
fn let_in_at_once(per_minute: u32, processes: usize, requests: usize) -> u64 {
    let memory = home().memory;
    let store = Arc::new(Slow(Arc::new(memory.store)));
    let processes: Vec<Quotas> = (0..processes).map(|_| Quotas::new(store.clone())).collect();
    let rules = QuotaRules {
        per_minute,
        ..QuotaRules::default()
    };
    let wanted = BTreeMap::from([(Category::Error, 1)]);
    let key = KEY.parse().unwrap();
    let asked = (0..requests).map(|number| {
        let process = &processes[number % processes.len()];
        process.grant((PROJECT, &key), &rules, &wanted, at(0))
    });
    let granted = block_on(join_all(asked)).into_iter();
    let granted = granted.map(|grants| u64::from(grants.unwrap().spend(Category::Error)));
    granted.sum()
}

#[test]
fn requests_at_the_same_time_are_let_in_no_more_than_the_quota() {
    assert_eq!(let_in_at_once(10, 1, 300), 10);
    assert_eq!(let_in_at_once(500, 3, 2_000), 500);
    assert_eq!(let_in_at_once(0, 40, 200), 0);
    // Forty processes, of which one gets a lease at a time, lose nine others each to get their own without; none where the bucket is empty.
    let let_in = let_in_at_once(20, 40, 4_000);
    assert!((20..=20 + 3 * 40).contains(&let_in), "{let_in}");
}

#[test]
fn what_a_quota_let_in_of_a_request_that_is_sent_again_is_not_lost_behind_what_it_let_in_before() {
    let home = limited(&json!({"categories": {"error": 2}}));
    home.run(request(envelope_of(&[event(0)])));
    let both = request(envelope_of(&[event(1), event(2)]));
    for (wait, let_in) in [(0, 1), (60, 2)] {
        let mut sent = both.clone();
        sent.at = at(wait);
        let done = home.run(sent);
        assert!(
            matches!(done, Done::Accepted { events, .. } if events == let_in),
            "{done:?}"
        );
    }
    let row = &home.account().categories["error"];
    assert_eq!((row.accepted, row.refused["rate_limited"]), (3, 1));
}

#[test]
fn in_the_common_case_a_report_pays_for_no_write_of_its_quota() {
    let home = home();
    for number in 0..300 {
        home.run(request(envelope_of(&[event(number)])));
    }
    let written = home.memory.store.records(Kind::Quota);
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].version, 1, "one lease for 300 reports");
    let closed = limited(&json!({"per_minute": 0}));
    closed.run(request(envelope_of(&[event(0)])));
    let written = closed.memory.store.records(Kind::Quota);
    assert!(written.is_empty(), "nothing was taken: {written:?}");
}

#[test]
fn what_a_client_says_of_its_logs_and_reports_is_not_what_its_quota_is_asked_for() {
    let home = limited(&json!({"categories": {"log_item": 5, "security": 3}}));
    let items: Vec<_> = (0..9).map(|at| json!({"body": format!("{at}")})).collect();
    let items = json!({ "items": items });
    for header in [
        json!({"type": "log", "item_count": 1}),
        json!({"type": "log"}),
    ] {
        home.run(request(format!("{{}}\n{header}\n{items}")));
    }
    let report = |at| json!({"type": "csp-violation", "body": {"blockedURL": format!("https://{at}.example")}});
    let reports: Vec<_> = (0..8).map(report).collect();
    let mut delivery = request(json!(reports).to_string());
    delivery.endpoint = Endpoint::Security;
    home.run(delivery);
    let account = home.account();
    assert!(account.adds_up());
    let row = &account.categories["log_item"];
    assert_eq!(
        (row.received, row.accepted, row.refused["rate_limited"]),
        (18, 5, 13)
    );
    let row = &account.categories["security"];
    assert_eq!((row.received, row.refused["rate_limited"]), (8, 5));
}

#[test]
fn of_a_container_of_logs_as_many_entries_come_in_as_there_is_a_quota_for() {
    let home = limited(&json!({"categories": {"log_item": 5}}));
    let send = |entries: usize| {
        let items: Vec<_> = (0..entries)
            .map(|at| json!({"body": format!("{entries} {at}")}))
            .collect();
        let header = json!({"type": "log", "item_count": entries});
        home.run(request(format!(
            "{{}}\n{header}\n{}",
            json!({"items": items})
        )))
    };
    for (entries, let_in) in [(3, 3), (9, 2)] {
        let done = send(entries);
        assert!(
            matches!(done, Done::Accepted { kept, .. } if kept == let_in),
            "{done:?}"
        );
    }
    assert!(matches!(send(4), Done::Refused { status: 429, .. }));
    let account = home.account();
    assert!(account.adds_up());
    let row = &account.categories["log_item"];
    assert_eq!(
        (row.received, row.accepted, row.refused["rate_limited"]),
        (16, 5, 11)
    );
}
