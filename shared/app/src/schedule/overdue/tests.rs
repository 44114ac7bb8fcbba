//! From a report to the news that nobody did anything about it: triage starts the clocks, the schedule's tick tells.

use super::*;
use crate::schedule::Schedule;
use crate::stage::{Done, Stage, Wake};
use crate::triage::Triage;
use futures::executor::block_on;
use kintsugi_domain::Timestamp;
use kintsugi_domain::envelope::{Envelope, Message, Queue};
use kintsugi_domain::event::{Body, Event};
use kintsugi_domain::issue::IssueMove;
use kintsugi_domain::ports::Store;
use kintsugi_domain::project::Project;
use kintsugi_testkit::memory::{FixedClock, MemoryHome};
use serde_json::json;
use std::time::Duration;

const PROJECT: ProjectId = ProjectId(1);
const MINUTE: Duration = Duration::from_mins(1);

struct World {
    ports: Ports,
    clock: FixedClock,
    start: Timestamp,
}

fn world() -> World {
    let home = MemoryHome::new(1);
    let project: Project = serde_json::from_value(json!({
        "id": PROJECT,
        "config": {
            "product": {"name": "till", "language": "python"}, "test": {"command": ["t"]},
            "package": {"include": ["till"]}, "health": {"command": ["h"]},
        },
        "keys": [], "repository": null, "added_at": "2026-01-01T00:00:00Z",
    }))
    .unwrap();
    block_on(home.store.commit(Commit::new().create(&project))).unwrap();
    let (ports, clock) = (home.ports(), home.clock);
    let start = ports.now();
    World {
        ports,
        clock,
        start,
    }
}

impl World {
    /// A report of `text`, from a release if one is named.
    fn report(&self, id: u64, text: &str, release: Option<&str>) {
        let at = self.ports.now();
        let event: Event = serde_json::from_value(json!({
            "id": format!("{id:032x}"), "project": PROJECT, "occurred_at": at, "received_at": at, "level": "error",
            "platform": "python", "message": text, "release": release, "exceptions": [], "breadcrumbs": [],
            "fingerprint": [], "tags": {}, "system": {}, "remarks": [],
        }))
        .unwrap();
        let events = Body::all(&[event]).unwrap();
        let envelope = Envelope::new(id.to_string(), PROJECT, Message::Reported { events });
        let done = block_on(Triage::new(self.ports.clone()).run_all(&[&envelope]));
        assert!(matches!(done.as_slice(), [Ok(Done::Did(_))]), "{done:?}");
    }

    fn tick(&self) -> Done {
        block_on(Schedule::new(self.ports.clone()).run(Wake::Tick)).unwrap()
    }

    fn at_hour(&self, hour: u64) -> &Self {
        self.clock.set(self.start + Duration::from_hours(hour));
        self
    }

    /// What people were told, oldest first.
    fn told(&self) -> Vec<(Urgency, String)> {
        let alerts = records::all::<Alert>(self.ports.store.as_ref(), PROJECT, None);
        let mut alerts: Vec<Alert> = block_on(alerts)
            .unwrap()
            .into_iter()
            .map(|it| it.value)
            .collect();
        alerts.retain(|alert| alert.code == "issue.overdue");
        alerts.sort_by_key(|alert| alert.at);
        alerts.into_iter().map(|it| (it.urgency, it.text)).collect()
    }

    fn issue(&self) -> Stored<Issue> {
        let issues = records::all::<Issue>(self.ports.store.as_ref(), PROJECT, None);
        block_on(issues).unwrap().pop().unwrap()
    }

    fn store(&self, issue: &Stored<Issue>) {
        block_on(self.ports.store.commit(Commit::new().update(issue))).unwrap();
    }
}

#[test]
fn what_nobody_answers_is_told_when_its_time_runs_out_and_once() {
    let world = world();
    world.report(1, "injection in the search", None);
    world
        .clock
        .set(world.start + Duration::from_hours(2) - MINUTE);
    assert_eq!(
        world.tick(),
        Done::nothing("no train is due, and no issue overdue")
    );
    let told = Done::did("0 trains departed, 1 issues are overdue");
    assert_eq!(world.at_hour(2).tick(), told);
    let unanswered = "An issue is overdue: “injection in the search” (critical): nothing was done about it within 2 h";
    assert_eq!(world.told(), [(Urgency::Page, unanswered.to_owned())]);
    assert!(matches!(world.at_hour(3).tick(), Done::Nothing(_)));
    assert_eq!(world.at_hour(4).tick(), told);
    let unfixed = "An issue is overdue: “injection in the search” (critical): no version without it within 4 h";
    assert_eq!(world.told()[1], (Urgency::Page, unfixed.to_owned()));
    assert!(matches!(world.at_hour(900).tick(), Done::Nothing(_)));
    assert_eq!(
        block_on(world.ports.queues.receive(Queue::Alerts, 10, MINUTE))
            .unwrap()
            .len(),
        0
    );
    assert_eq!(block_on(world.ports.store.outbox(10)).unwrap().len(), 2);
    assert_eq!(world.issue().value.clocks.missed.len(), 2);
}

#[test]
fn a_release_stops_the_clocks_and_what_comes_back_starts_them() {
    let world = world();
    world.report(1, "unauthorized", None);
    let mut issue = world.issue();
    let at = world.start;
    for event in [
        IssueMove::Diagnose,
        IssueMove::StartFix,
        IssueMove::Prove,
        IssueMove::Release,
    ] {
        issue.value.step(event, at, "a test", "").unwrap();
    }
    issue.value.fixed_in = Some("1.0.1".parse().unwrap());
    world.store(&issue);
    assert!(matches!(world.at_hour(100).tick(), Done::Nothing(_)));
    world.report(2, "unauthorized", Some("till@1.0.1"));
    assert!(matches!(world.at_hour(101).tick(), Done::Nothing(_)));
    assert!(matches!(world.at_hour(102).tick(), Done::Did(_)));
    assert_eq!(world.told().len(), 1);
}

#[test]
fn a_named_cause_is_an_answer_but_no_version() {
    let world = world();
    world.report(1, "unauthorized", None);
    let mut issue = world.issue();
    issue
        .value
        .step(IssueMove::Diagnose, world.start, "a test", "")
        .unwrap();
    world.store(&issue);
    assert!(matches!(world.at_hour(3).tick(), Done::Nothing(_)));
    assert!(matches!(world.at_hour(4).tick(), Done::Did(_)));
}

#[test]
fn what_is_overdue_together_is_told_together_worst_first() {
    let world = world();
    let texts = ["odd", "timeout", "security", "slow", "late", "torn", "lost"];
    for (id, text) in (1..).zip(texts) {
        world.report(id, text, None);
    }
    let told = Done::did("0 trains departed, 7 issues are overdue");
    assert_eq!(world.at_hour(200).tick(), told);
    let alerts = world.told();
    let [(urgency, text)] = alerts.as_slice() else {
        panic!("{alerts:?}")
    };
    assert_eq!(*urgency, Urgency::Page);
    let first = "7 issues are overdue: “security” (critical): no version without it within 4 h; “timeout” (high): no version without it within 48 h;";
    assert!(text.starts_with(first), "{text}");
    assert!(text.ends_with("and 2 more"), "{text}");
    assert!(matches!(world.tick(), Done::Nothing(_)));
}
