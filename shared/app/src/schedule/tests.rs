//! The schedule over memory ports: what departs, what is held, what waits for the next train.

use super::*;
use crate::rollback::Rollback;
use futures::executor::block_on;
use kintsugi_domain::config::{Config, RolloutRules};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::issue::Issue;
use kintsugi_domain::job::{Artifact, Built, Content, FixClass};
use kintsugi_domain::ports::Ports;
use kintsugi_domain::record::Record;
use kintsugi_domain::rollout::{Rollout, RolloutState};
use kintsugi_domain::score::Level;
use kintsugi_domain::story::Story;
use kintsugi_domain::train::{Predicate, Train};
use kintsugi_testkit::memory::{FixedClock, MemoryHome};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

const CONFIG: &str = r#"
[product]
name = "till"
language = "python"
[test]
command = ["python3", "-m", "unittest"]
[package]
include = ["till"]
[health]
command = ["python3", "-m", "till", "health"]
"#;

/// From two days before the clock's start, a Monday morning, until noon of that week's Friday.
const FREEZE: &str = r#"
[[calendar.freeze]]
name = "fair"
start = "2026-01-03"
length = "P6DT12H"
"#;

struct Home {
    ports: Ports,
    clock: FixedClock,
}

/// A home whose product has a release, 1.0.0, and a calendar.
fn home(calendar: &str) -> Home {
    let home = MemoryHome::new(1);
    let commit = home
        .forge
        .push("/src/till", "main", &[("till/a.py", "a = 1\n")]);
    let (ports, clock) = (home.ports(), home.clock);
    let config = Config::parse("kintsugi.toml", &format!("{CONFIG}{calendar}")).unwrap();
    let project = Project {
        id: ProjectId(1),
        config,
        keys: vec![],
        batch_keys: kintsugi_domain::batch::BatchKeys::default(),
        repository: Some("/src/till".to_owned()),
        added_at: ports.now(),
    };
    let home = Home { ports, clock };
    home.put(&project);
    home.put(&release("1.0.0", &commit, home.ports.now()));
    home
}

fn release(version: &str, commit: &str, at: Timestamp) -> Release {
    let version: Version = version.parse().unwrap();
    let full = Artifact {
        blob: format!("tuf/1/targets/{}.till.tar.zst", Digest::of(b"x")),
        digest: Digest::of(b"x"),
        length: 1,
    };
    Release {
        id: Release::id_of(ProjectId(1), &version),
        project: ProjectId(1),
        version,
        build: 0,
        channel: "stable".to_owned(),
        state: ReleaseState::Published,
        train: Train::Major,
        bundle: "bundle0".parse().unwrap(),
        fixes: vec![],
        issues: vec![],
        previous: None,
        built: Built {
            commit: commit.to_owned(),
            full,
            content: Content {
                digest: Digest::of(b"y"),
                length: 1,
            },
            deltas: vec![],
            zips: vec![],
            platforms: vec![],
            inputs: vec![],
            builder: String::new(),
        },
        notes: String::new(),
        statement: None,
        provenance: None,
        required_actions: vec![],
        hotfix: None,
        built_at: at,
        story: Story::default(),
    }
}

impl Home {
    fn put<T: Record>(&self, record: &T) {
        block_on(self.ports.store.commit(Commit::new().create(record))).unwrap();
    }

    /// A fix of an issue of its own that waits from now on, with so many points for security.
    fn approve(&self, name: &str, users: usize, events: u64) -> Fix {
        let issue: Issue = serde_json::from_value(json!({
            "id": format!("issue-{name}"), "project": 1, "state": "fixed", "title": name, "culprit": null,
            "fingerprint": {"rule": "message", "parts": []}, "level": "high",
            "score": {"value": 1, "reasons": []}, "sample": "event1", "events": events,
            "first_seen": self.ports.now(), "last_seen": self.ports.now(),
            "users": (0..users).map(|user| format!("user {user}")).collect::<Vec<_>>(),
            "releases": [], "handled": false, "fix": null, "fixed_in": null, "story": Story::default(),
        }))
        .unwrap();
        let mut fix = Fix {
            id: name.parse().unwrap(),
            project: ProjectId(1),
            issue: issue.id.clone(),
            state: FixState::Validated,
            title: format!("Mend {name}"),
            rule: "guard".to_owned(),
            class: FixClass::Guards,
            base: String::new(),
            files: vec![],
            diff: String::new(),
            gates: vec![],
            branch: None,
            commit: None,
            priority: None,
            bundle: None,
            story: Story::default(),
        };
        fix.step(FixMove::Approve, self.ports.now(), "ada", "read it")
            .unwrap();
        self.put(&issue);
        self.put(&fix);
        fix
    }

    fn tick(&self) -> Done {
        block_on(Schedule::new(self.ports.clone()).depart("a test", ProjectId(1))).unwrap()
    }

    fn plan(&self, at: Timestamp) -> Plan {
        let found = block_on(records::project(self.ports.store.as_ref(), ProjectId(1)));
        let project = found.unwrap().unwrap().value;
        block_on(plan(&self.ports, &project, at)).unwrap()
    }

    fn open(&self) -> Option<Bundle> {
        let open = block_on(open_bundle(self.ports.store.as_ref(), ProjectId(1)));
        open.unwrap().map(|stored| stored.value)
    }
}

#[test]
fn a_train_departs_by_its_predicate_which_is_recorded_and_shown() {
    let home = home("");
    // 20 points for a crash and 30 for being frequent: the patch train.
    for name in ["a", "b", "c", "d"] {
        home.approve(name, 1, 101);
    }
    assert_eq!(
        home.tick(),
        Done::nothing("fixes wait, and no train is due")
    );
    home.approve("e", 1, 101);
    let why = "5 fixes wait, 5 are enough";
    let told = format!("Patch train departs as 1.0.1 with 5 fixes: {why}");
    assert_eq!(home.tick(), Done::did(told));
    let bundle = home.open().unwrap();
    assert_eq!(bundle.predicate, Some(Predicate::EnoughFixes));
    assert_eq!(bundle.story.last().unwrap().why, format!("Patch: {why}"));
    let fix = block_on(records::need::<Fix>(
        home.ports.store.as_ref(),
        ProjectId(1),
        "a",
    ));
    let priority = fix.unwrap().value.priority.unwrap();
    assert_eq!((priority.value, priority.level()), (50, Level::High));
    assert_eq!(
        priority.reasons,
        ["101 events: + 30", "the program ends: no workaround: + 20"]
    );
}

#[test]
fn a_fix_that_is_approved_after_the_cut_waits_for_the_next_train() {
    let home = home("");
    home.approve("early", 51, 101);
    assert!(matches!(home.tick(), Done::Did(_)));
    let cut = home.open().unwrap();
    home.approve("late", 51, 101);
    let wait = Done::nothing(format!("bundle {} is under way", cut.id));
    assert_eq!(home.tick(), wait);
    let plan = home.plan(home.ports.now());
    assert_eq!(plan.departs, None);
    assert_eq!(
        plan.blocked,
        Some(format!("bundle {} is under way", cut.id))
    );
    let waiting: Vec<&str> = plan.trains[0]
        .fixes
        .iter()
        .map(|fix| fix.id.as_str())
        .collect();
    assert_eq!(waiting, ["late"], "what departed does not wait");
    assert_eq!(home.open().unwrap().fixes, ["early".parse().unwrap()]);
}

#[test]
fn a_freeze_holds_a_due_train_even_a_hotfix_and_the_clock_lets_it_go() {
    let home = home(FREEZE);
    home.approve("urgent", 51, 101);
    let held = "the Hotfix train is due (critical: departs at once) and held: freeze “fair” until 2026-01-09T12:00:00Z";
    assert_eq!(home.tick(), Done::nothing(held));
    let opens: Timestamp = "2026-01-09T12:00:00Z".parse().unwrap();
    let plan = home.plan(home.ports.now());
    let hotfix = &plan.trains[0];
    assert_eq!((plan.departs, plan.blocked), (None, None));
    assert_eq!(
        (hotfix.train, hotfix.departs_at),
        (Train::Hotfix, Some(opens))
    );
    assert_eq!(hotfix.held.as_ref().unwrap().why, "freeze “fair”");
    assert_eq!(home.plan(opens).departs, Some(Train::Hotfix));
    home.clock.set(opens);
    assert!(matches!(home.tick(), Done::Did(_)));
}

#[test]
fn a_hotfix_departs_in_a_freeze_where_the_project_says_so() {
    let home = home(&format!("[calendar]\nhotfixes_pass = true\n{FREEZE}"));
    home.approve("urgent", 51, 101);
    assert!(matches!(home.tick(), Done::Did(_)));
    assert_eq!(home.open().unwrap().predicate, Some(Predicate::Immediate));
}

#[test]
fn a_plan_is_what_the_clock_then_does_and_changes_nothing() {
    for (name, users, events) in [("high", 1, 101), ("medium", 1, 1), ("critical", 51, 101)] {
        let home = home(FREEZE);
        home.approve(name, users, events);
        let start = home.ports.now();
        let planned: Vec<Option<Train>> = (0..130)
            .map(|day| home.plan(start + Duration::from_hours(24 * day)).departs)
            .collect();
        let before = home.plan(start);
        let mut departed = None;
        for (day, planned) in planned.iter().enumerate() {
            if let Done::Did(_) = home.tick() {
                departed = Some((day, home.open().unwrap().train));
                assert_eq!(
                    *planned,
                    Some(home.open().unwrap().train),
                    "{name}, day {day}"
                );
                break;
            }
            assert_eq!(*planned, None, "{name}, day {day}");
            home.clock.advance(DAY);
        }
        let (day, train) = departed.unwrap();
        let told = before.trains.iter().find(|it| it.train == train).unwrap();
        let at = told.departs_at.unwrap();
        let day = u32::try_from(day).unwrap();
        assert!(
            at <= start + DAY * day && at > start + DAY * day - DAY,
            "{name}: {at}"
        );
    }
}

#[test]
fn a_freeze_never_stops_a_rollback() {
    let home = home(FREEZE);
    let now = home.ports.now();
    let (old, new) = (release("1.0.0", "0", now), release("1.0.1", "1", now));
    let rules = RolloutRules::default();
    let rollout = |release: &Release, state| {
        let previous = Some(Version::new(1, 0, 0));
        let version = release.version.clone();
        let mut rollout = Rollout::new(
            ProjectId(1),
            &release.id,
            version,
            previous,
            "stable",
            &rules,
            now,
        );
        rollout.state = state;
        rollout
    };
    let (before, bad) = (
        rollout(&old, RolloutState::Finalised),
        rollout(&new, RolloutState::Canary),
    );
    home.put(&new);
    home.put(&before);
    home.put(&bad);
    let message = Message::RollBack {
        rollout: bad.id.clone(),
        reason: "it crashes".to_owned(),
        by: "ada".to_owned(),
    };
    let envelope = Envelope::new("a test", ProjectId(1), message);
    let wake = Wake::Message(Arc::new(envelope));
    let done = block_on(Rollback::new(home.ports.clone()).run(wake)).unwrap();
    assert_eq!(done, Done::did("version 1.0.1 goes back to 1.0.0"));
}

#[test]
fn builds_are_counted_up_whatever_their_versions() {
    let home = home("");
    let store = home.ports.store.as_ref();
    let next = || block_on(next_build(store, ProjectId(1))).unwrap();
    assert_eq!(next(), 1);
    // 20 points for a crash and 50 for security: at once.
    for name in ["a", "b"] {
        home.approve(name, 51, 101);
        assert!(matches!(home.tick(), Done::Did(_)));
        let mut bundle = block_on(open_bundle(store, ProjectId(1))).unwrap().unwrap();
        assert_eq!(bundle.value.build, next() - 1);
        bundle.value.state = kintsugi_domain::bundle::BundleState::Failed;
        block_on(store.commit(Commit::new().update(&bundle))).unwrap();
    }
    assert_eq!(next(), 3, "a build that failed has its number for itself");
}
