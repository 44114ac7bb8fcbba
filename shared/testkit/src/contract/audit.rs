//! What a store promises to the audit log: that it is one chain, whoever writes to it at once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use kintsugi_domain::Timestamp;
use kintsugi_domain::audit::{Audit, Chain};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{Commit, PortError, Query, Store};
use kintsugi_domain::record::{Kind, Record};
use std::sync::Arc;
use tokio::task::JoinSet;

const PROJECT: ProjectId = ProjectId(1);

/// Lines after a key, the newest first.
async fn lines(store: &dyn Store, after: Option<String>, limit: usize) -> Vec<Audit> {
    let query = Query {
        project: PROJECT,
        kind: Kind::Audit,
        index: None,
        after,
        limit,
    };
    let found = store.list(&query).await.unwrap();
    let read = |raw: &kintsugi_domain::ports::RawRecord| serde_json::from_str(&raw.body).unwrap();
    found.iter().map(read).collect()
}

/// Writes one line, as often as it takes.
async fn write(store: &dyn Store, by: usize) {
    loop {
        let newest = lines(store, None, 1).await;
        let line = Audit {
            by: format!("task {by}"),
            ..Audit::after(newest.first(), PROJECT, Timestamp::UNIX_EPOCH)
        };
        match store.commit(Commit::new().create(&line)).await {
            Ok(()) => return,
            Err(PortError::Conflict { .. }) => {}
            Err(other) => panic!("expected a conflict, got {other:?}"),
        }
    }
}

/// Lines that are written at once get numbers without gaps, none twice, and each holds the one before: **of two that were
/// decided on the same newest line, the store takes one**.
pub async fn lines_written_at_once_are_one_chain(store: Arc<dyn Store>) {
    let mut tasks = JoinSet::new();
    for by in 0..8 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for _ in 0..3 {
                write(&*store, by).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let mut chain = Chain::new(PROJECT, None);
    let mut after = None;
    loop {
        // By pages, as who verifies reads it.
        let page = lines(&*store, after, 10).await;
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.key());
        for line in page {
            chain.line(line);
        }
    }
    let found = chain.finish();
    assert_eq!((found.head.number, found.broken), (24, None));
}
