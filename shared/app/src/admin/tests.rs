//! The stage over memory ports: who may do what, what is written, what is refused.

use super::*;
use crate::records;
use futures::executor::block_on;
use kintsugi_domain::cohort::Share;
use kintsugi_domain::config::{Config, RolloutRules};
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::fix::{Fix, FixState};
use kintsugi_domain::flag::Flag;
use kintsugi_domain::id::{DsnKey, RolloutId};
use kintsugi_domain::issue::{Issue, IssueState};
use kintsugi_domain::job::FixClass;
use kintsugi_domain::record::{Kind, Record};
use kintsugi_domain::rollout::{Rollout, RolloutState};
use kintsugi_testkit::memory::{
    FixedClock, MemoryForge, MemoryHome, MemoryQueues, MemorySigner, MemoryStore,
};
use kintsugi_testkit::product;
use kintsugi_trust::token::TokenError;
use semver::Version;
use std::sync::Arc;
use std::time::Duration;

mod batch_keys;
mod identity;
mod ordering;
mod requests;
mod signing;

struct Home {
    admin: Admin,
    clock: FixedClock,
    store: MemoryStore,
    queues: MemoryQueues,
    forge: MemoryForge,
}

fn home() -> Home {
    let home = MemoryHome::new(1);
    Home {
        admin: Admin::new(home.ports()),
        clock: home.clock,
        store: home.store,
        queues: home.queues,
        forge: home.forge,
    }
}

fn config() -> Box<Config> {
    Box::new(product::config(""))
}

fn actor(role: Role) -> Token {
    Token {
        iss: "kintsugi".into(),
        aud: AUDIENCE.into(),
        sub: "ada".into(),
        role,
        iat: 0,
        exp: i64::MAX,
        jti: "t1".into(),
    }
}

impl Home {
    fn run_as(&self, role: Role, action: Action) -> Done {
        self.clock.advance(Duration::from_secs(1));
        let actor = actor(role);
        block_on(self.admin.run(Command { actor, action })).unwrap()
    }

    fn take(&self, action: Action) -> Answer {
        match self.run_as(Role::Admin, action) {
            Done::Answer(answer) => answer,
            Done::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    fn refused(&self, action: Action) -> &'static str {
        match self.run_as(Role::Admin, action) {
            Done::Refused(refusal) => refusal.code,
            Done::Answer(answer) => panic!("{answer:?}"),
        }
    }

    /// The product, with its source.
    fn project(&self) -> ProjectId {
        self.forge
            .push("/src/till", "main", &[("till/a.py", "a = 1\n")]);
        let action = Action::AddProject {
            config: config(),
            repository: Some("/src/till".into()),
        };
        let Answer::Project { project } = self.take(action) else {
            panic!("not a project");
        };
        project.id
    }

    fn put<T: Record>(&self, record: &T) {
        block_on(self.admin.ports.store.commit(Commit::new().create(record))).unwrap();
    }

    fn get<T: Record>(&self, key: &str) -> T {
        let store = self.admin.ports.store.as_ref();
        block_on(records::need::<T>(store, ProjectId(1), key))
            .unwrap()
            .value
    }

    /// Messages that wait in a queue.
    fn waiting(&self, queue: Queue) -> Vec<Message> {
        use kintsugi_domain::ports::Queues as _;
        block_on(crate::outbox::relay(&self.admin.ports)).unwrap();
        let received = block_on(self.queues.receive(queue, 100, Duration::from_secs(1))).unwrap();
        let messages = received
            .into_iter()
            .map(|delivery| delivery.envelope.message);
        messages.collect()
    }

    fn audit(&self) -> Vec<Audit> {
        let lines = self.store.records(Kind::Audit);
        lines
            .iter()
            .map(|raw| serde_json::from_str(&raw.body).unwrap())
            .collect()
    }
}

fn fix(state: FixState) -> Fix {
    Fix {
        id: "fix1".parse().unwrap(),
        project: ProjectId(1),
        issue: "issue1".parse().unwrap(),
        state,
        title: "guard the division".into(),
        rule: "guard".into(),
        class: FixClass::Guards,
        base: "0".repeat(40),
        files: vec![],
        diff: "--- a\n+++ b\n".into(),
        gates: vec![],
        branch: None,
        commit: None,
        priority: None,
        bundle: None,
        story: kintsugi_domain::story::Story::default(),
    }
}

#[test]
fn a_project_gets_a_number_a_key_a_publication_and_a_line_in_the_audit_log() {
    let home = home();
    let id = home.project();
    assert_eq!(id, ProjectId(1));
    let project = home.get::<kintsugi_domain::project::Project>("project");
    let key = project.keys.first().unwrap().as_str();
    assert!(
        key.len() == 32
            && key
                .bytes()
                .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
    );
    let publish = Message::Publish {
        channel: "stable".into(),
    };
    assert_eq!(home.waiting(Queue::Signing), [publish]);
    let audit = home.audit();
    let line = audit.first().unwrap();
    assert_eq!((audit.len(), line.project), (1, id));
    assert_eq!((line.by.as_str(), line.token.as_str()), ("ada", "t1"));
    assert_eq!(
        (line.what.as_str(), line.on.as_str()),
        ("project.add", "project 1")
    );
    assert_eq!(line.at, home.admin.ports.now());
}

#[test]
fn a_project_added_twice_is_one_project_with_the_newer_configuration() {
    let home = home();
    let first = home.project();
    assert_eq!(home.project(), first);
    assert_eq!(home.audit().len(), 1, "nothing changed, so nothing is told");
    let mut newer = config();
    newer.fix.lines_max = 7;
    let add = |repository: &str, config| Action::AddProject {
        config,
        repository: Some(repository.into()),
    };
    home.take(add("/src/till", newer.clone()));
    let project = home.get::<kintsugi_domain::project::Project>("project");
    assert_eq!((project.config, project.keys.len()), (*newer, 1));
    assert_eq!(home.audit().len(), 2);
    home.take(add("/src/other", config()));
    let projects = home.admin.views(&actor(Role::Viewer)).unwrap();
    assert_eq!(block_on(projects.projects()).unwrap().len(), 2);
}

#[test]
fn every_action_needs_its_role_and_a_refusal_changes_nothing() {
    let home = home();
    let project = home.project();
    let rollout: RolloutId = "r".parse().unwrap();
    let reason = || "because".to_owned();
    let actions = [
        (Role::Releaser, Action::AddKey { project }),
        (
            Role::Releaser,
            Action::Redrive {
                queue: Queue::Signing,
                reason: reason(),
            },
        ),
        (
            Role::Triager,
            Action::RollBack {
                project,
                rollout,
                reason: reason(),
            },
        ),
        (
            Role::Viewer,
            Action::ReviewFix {
                project,
                fix: "fix1".parse().unwrap(),
                approved: true,
                reason: reason(),
            },
        ),
    ];
    home.waiting(Queue::Signing);
    for (role, action) in actions {
        let name = action.name();
        let Done::Refused(refusal) = home.run_as(role, action) else {
            panic!("{role} did {name}");
        };
        assert_eq!(
            (refusal.kind, refusal.code),
            (RefusalKind::Forbidden, "token.role")
        );
    }
    assert_eq!(home.audit().len(), 1);
}

#[test]
fn only_tokens_of_this_home_that_are_in_force_are_taken() {
    let home = home();
    let ports = &home.admin.ports;
    let hour = Duration::from_hours(1);
    let token = block_on(issue_token(ports, "ada", Role::Releaser, hour)).unwrap();
    let known = block_on(authenticate(ports, &token)).unwrap();
    assert_eq!((known.sub.as_str(), known.role), ("ada", Role::Releaser));

    let other = Ports {
        signer: Arc::new(MemorySigner::new(2)),
        ..ports.clone()
    };
    let foreign = block_on(issue_token(&other, "eve", Role::Admin, hour)).unwrap();
    let code = |token: &str| match block_on(authenticate(ports, token)) {
        Err(AuthError::Token(error)) => error.code(),
        other => panic!("{other:?}"),
    };
    assert_eq!(code(&foreign), "jws.unknown_key");
    let (claims, _) = token.rsplit_once('.').unwrap();
    let (_, signature) = foreign.rsplit_once('.').unwrap();
    assert_eq!(code(&format!("{claims}.{signature}")), "jws.signature");
    assert_eq!(code("rubbish"), "jws.malformed");

    home.clock.advance(hour + Duration::from_secs(59));
    assert!(
        block_on(authenticate(ports, &token)).is_ok(),
        "clocks may differ by a minute"
    );
    home.clock.advance(Duration::from_secs(1));
    assert_eq!(code(&token), TokenError::Expired.code());
}

#[test]
fn the_last_key_stays_and_others_come_and_go() {
    let home = home();
    let project = home.project();
    let keys = || {
        home.get::<kintsugi_domain::project::Project>("project")
            .keys
    };
    let first = keys().first().unwrap().clone();
    let remove = |key: &DsnKey| Action::RemoveKey {
        project,
        key: key.clone(),
    };
    assert_eq!(home.refused(remove(&first)), "key.last");
    home.take(Action::AddKey { project });
    assert_eq!(
        home.refused(remove(&"nobody".parse().unwrap())),
        "key.unknown"
    );
    home.take(remove(&first));
    assert!(keys().len() == 1 && !keys().contains(&first));
    assert_eq!(home.audit().len(), 3);
}

#[test]
fn a_review_is_ordered_from_the_fix_stage_and_only_where_it_can_be_followed() {
    let home = home();
    let project = home.project();
    let review = |approved| Action::ReviewFix {
        project,
        fix: "fix1".parse().unwrap(),
        approved,
        reason: "reads well".into(),
    };
    assert_eq!(home.refused(review(true)), "fix.unknown");
    home.put(&fix(FixState::Validated));
    let views = home.admin.views(&actor(Role::Viewer)).unwrap();
    let views = block_on(views.project(project)).unwrap().unwrap();
    assert_eq!(block_on(views.needs()).unwrap().fixes_to_review.len(), 1);
    home.take(review(true));
    let reviewed = Message::FixReviewed {
        fix: "fix1".parse().unwrap(),
        approved: true,
        by: "ada".into(),
    };
    assert_eq!(home.waiting(Queue::Fixes), [reviewed]);
    let audit = home.audit();
    let line = audit.first().unwrap();
    assert_eq!(
        (line.what.as_str(), line.why.as_str()),
        ("fix.approve", "reads well")
    );
}

#[test]
fn a_fix_on_a_train_cannot_be_refused_nor_approved_again() {
    let home = home();
    let project = home.project();
    home.put(&fix(FixState::Bundled));
    let review = |approved| Action::ReviewFix {
        project,
        fix: "fix1".parse().unwrap(),
        approved,
        reason: String::new(),
    };
    assert_eq!(home.refused(review(false)), "fix.departed");
    assert_eq!(home.refused(review(true)), "state.refused");
    assert!(home.waiting(Queue::Fixes).is_empty());
}

#[test]
fn a_muted_issue_is_silent_until_it_is_unmuted_and_then_diagnosed() {
    let home = home();
    let project = home.project();
    let mut issue: Issue = serde_json::from_value(serde_json::json!({
        "id": "issue1", "project": 1, "state": "triaged", "title": "t", "culprit": null,
        "fingerprint": {"rule": "message", "parts": ["t"]}, "level": "high",
        "score": {"value": 1, "reasons": []}, "sample": "e1", "events": 1,
        "first_seen": "2026-01-01T00:00:00Z", "last_seen": "2026-01-01T00:00:00Z",
        "users": [], "releases": [], "handled": false, "fix": null, "fixed_in": null, "story": [],
    }))
    .unwrap();
    issue.state = IssueState::NeedsHuman;
    home.put(&issue);
    let id = issue.id.clone();
    let unmute = || Action::UnmuteIssue {
        project,
        issue: id.clone(),
        reason: String::new(),
    };
    assert_eq!(home.refused(unmute()), "issue.not_muted");
    home.take(Action::MuteIssue {
        project,
        issue: id.clone(),
        reason: "known".into(),
    });
    let muted = home.get::<Issue>("issue1");
    assert_eq!(muted.state, IssueState::Muted);
    assert_eq!(muted.story.last().unwrap().why, "known");
    home.take(unmute());
    let heard = home.get::<Issue>("issue1");
    assert_eq!(heard.state, IssueState::Triaged);
    assert!(heard.clocks.is_running(), "an answer is owed again");
    assert_eq!(
        home.waiting(Queue::Diagnoses),
        [Message::Diagnose { issue: id }]
    );
}

#[test]
fn only_admins_see_where_alerts_go() {
    let home = home();
    let project = home.project();
    for (role, sees) in [(Role::Releaser, false), (Role::Admin, true)] {
        let views = home.admin.views(&actor(role)).unwrap();
        let views = block_on(views.project(project)).unwrap().unwrap();
        assert_eq!(views.project().config.is_some(), sees, "{role}");
    }
}
