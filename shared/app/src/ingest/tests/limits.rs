//! Quotas: what is let in, what is told, and that one process is not alone.

use super::{Home, KEY, PROJECT, at, envelope_of, home, project, request};
use crate::ingest::{Done, Endpoint, Ingest, Limit, answer};
use crate::stage::Stage as _;
use futures::executor::block_on;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::ports::{Commit, Store as _};
use kintsugi_domain::record::{Kind, Stored};
use serde_json::json;

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

#[test]
fn in_the_common_case_a_report_pays_for_no_write_of_its_quota() {
    let home = home();
    for number in 0..300 {
        home.run(request(envelope_of(&[event(number)])));
    }
    let written = home.memory.store.records(Kind::Quota);
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].version, 1, "one lease for 300 reports");
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
