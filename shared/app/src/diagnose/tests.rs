//! An issue that is reported while it is worked on: every look into the repository takes as long as the
//! next report does to arrive.

use crate::diagnose::Diagnose;
use crate::ingest::sentry;
use crate::records;
use crate::stage::{Done, Stage, Wake};
use crate::testing::{PROJECT, all};
use crate::triage::Triage;
use async_trait::async_trait;
use futures::executor::block_on;
use kintsugi_domain::Timestamp;
use kintsugi_domain::diagnosis::Diagnosis;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::event::{Body, Event};
use kintsugi_domain::issue::{Issue, IssueState};
use kintsugi_domain::ports::{Commit, Forge, PortError, Ports, Proposal};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::Stored;
use kintsugi_testkit::memory::{
    FixedClock, MemoryBlobs, MemoryForge, MemoryNotifier, MemoryQueues, MemorySigner, MemoryStore,
    MemoryWeb, SeededIds,
};
use kintsugi_testkit::product;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const CRASH: &str = include_str!("../../../../samples/till/sample-event.json");

/// The sample's crash, as its own report.
fn crash(number: u64) -> Event {
    let mut value: serde_json::Value = serde_json::from_str(CRASH).unwrap();
    value["event_id"] = format!("{number:032x}").into();
    let text = value.to_string();
    let frame = sentry::Frame {
        project: PROJECT,
        received_at: Timestamp::UNIX_EPOCH,
        header: None,
    };
    sentry::event(&value, text.as_bytes(), &frame, str::to_owned).unwrap()
}

/// Files one more report of the crash, as triage does.
async fn report(ports: &Ports, number: u64) {
    let events = Body::all(&[crash(number)]).unwrap();
    let message = Message::Reported { events };
    let envelope = Envelope::new(format!("report {number}"), PROJECT, message);
    let wake = Wake::Message(Arc::new(envelope));
    Triage::new(ports.clone()).run(wake).await.unwrap();
}

/// A forge during whose every answer a report arrives.
struct Busy {
    forge: MemoryForge,
    ports: Ports,
    reports: AtomicU64,
}

impl Busy {
    async fn meanwhile(&self) {
        let number = 1 + self.reports.fetch_add(1, Ordering::Relaxed);
        report(&self.ports, number).await;
    }
}

#[async_trait]
impl Forge for Busy {
    async fn head(&self, repository: &str, branch: &str) -> Result<String, PortError> {
        self.meanwhile().await;
        self.forge.head(repository, branch).await
    }

    async fn file(
        &self,
        repository: &str,
        commit: &str,
        path: &str,
    ) -> Result<Option<String>, PortError> {
        self.meanwhile().await;
        self.forge.file(repository, commit, path).await
    }

    async fn propose(&self, proposal: &Proposal) -> Result<String, PortError> {
        self.meanwhile().await;
        self.forge.propose(proposal).await
    }

    async fn land(
        &self,
        repository: &str,
        branch: &str,
        commit: &str,
        tag: &str,
    ) -> Result<bool, PortError> {
        self.meanwhile().await;
        self.forge.land(repository, branch, commit, tag).await
    }
}

/// A home with one issue, and with a forge during whose answers reports arrive.
fn busy_home() -> (Ports, Issue) {
    let clock = Arc::new(FixedClock::default());
    let forge = MemoryForge::new();
    forge.push("/src/till", "main", &[("till/totals.py", "x = 1\n")]);
    let mut ports = Ports {
        store: Arc::new(MemoryStore::new()),
        queues: Arc::new(MemoryQueues::new(clock.clone())),
        blobs: Arc::new(MemoryBlobs::new()),
        signer: Arc::new(MemorySigner::new(1)),
        forge: Arc::new(forge.clone()),
        notifier: Arc::new(MemoryNotifier::new()),
        web: Arc::new(MemoryWeb::new()),
        clock,
        ids: Arc::new(SeededIds::new(1)),
    };
    let project = Project {
        repository: Some("/src/till".to_owned()),
        ..product::project(PROJECT, product::config(""))
    };
    block_on(ports.store.commit(Commit::new().create(&project))).unwrap();
    block_on(report(&ports, 0));
    let issue = all::<Issue>(ports.store.as_ref()).remove(0);
    ports.forge = Arc::new(Busy {
        forge,
        ports: ports.clone(),
        reports: AtomicU64::new(0),
    });
    (ports, issue)
}

#[test]
fn an_issue_that_is_reported_all_the_time_is_diagnosed_at_once() {
    let (ports, issue) = busy_home();
    let id = issue.id.clone();
    let message = Message::Diagnose { issue: id.clone() };
    let wake = Wake::Message(Arc::new(Envelope::new("test", PROJECT, message)));
    let done = block_on(Diagnose::new(ports.clone()).run(wake)).unwrap();
    assert!(matches!(done, Done::Did(_)), "{done:?}");
    let store = ports.store.as_ref();
    let stored: Stored<Issue> = block_on(records::need(store, PROJECT, id.as_str())).unwrap();
    assert_eq!(stored.value.state, IssueState::Diagnosed);
    assert!(stored.value.events > issue.events, "reports are kept");
    let known = block_on(records::get::<Diagnosis>(store, PROJECT, id.as_str())).unwrap();
    assert!(known.is_some());
}
