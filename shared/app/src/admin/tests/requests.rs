//! Actions that need two people.

use super::ordering::rollout;
use super::*;
use kintsugi_domain::id::RequestId;
use kintsugi_domain::request::{Request, RequestState};
use kintsugi_testkit::fault::{Crashing, Faults};
use serde_json::json;

const TWO: &str = r#"
[approval]
two_person = ["release.order", "rollout.resume", "project.configure", "flag.put", "fix.approve"]
"#;

fn careful() -> Box<Config> {
    Box::new(product::config(TWO))
}

fn order(version: &str) -> Action {
    Action::OrderRelease {
        project: ProjectId(1),
        from: "main".into(),
        version: version.parse().unwrap(),
        notes: String::new(),
    }
}

pub(super) fn confirm(request: &RequestId) -> Action {
    Action::Confirm {
        project: ProjectId(1),
        request: request.clone(),
    }
}

fn resume(rollout: &RolloutId) -> Action {
    Action::ResumeRollout {
        project: ProjectId(1),
        rollout: rollout.clone(),
        reason: "looked at it".into(),
    }
}

impl Home {
    /// A project whose configuration asks for two people.
    fn careful(&self) {
        self.project();
        self.take(Action::UpdateConfig {
            project: ProjectId(1),
            config: careful(),
        });
    }

    pub(super) fn by(&self, name: &str, role: Role, action: Action) -> Done {
        self.clock.advance(Duration::from_secs(1));
        let actor = Token {
            sub: name.into(),
            jti: format!("token of {name}"),
            ..actor(role)
        };
        block_on(self.admin.run(Command { actor, action })).unwrap()
    }

    pub(super) fn ask(&self, action: Action) -> RequestId {
        let done = self.by("ada", Role::Admin, action);
        let Done::Answer(Answer::Asked { request, .. }) = done else {
            panic!("{done:?}");
        };
        request
    }

    pub(super) fn code(&self, name: &str, role: Role, action: Action) -> &'static str {
        match self.by(name, role, action) {
            Done::Refused(refusal) => refusal.code,
            Done::Answer(answer) => panic!("{answer:?}"),
        }
    }

    pub(super) fn request(&self, id: &RequestId) -> Request {
        self.get(id.as_str())
    }
}

#[test]
fn a_listed_action_is_done_when_a_second_person_confirms_and_both_are_in_the_audit_log() {
    let home = home();
    home.careful();
    let request = home.ask(order("1.0.0"));
    assert!(
        home.waiting(Queue::Bundles).is_empty(),
        "nothing happens yet"
    );
    let done = home.by("bob", Role::Releaser, confirm(&request));
    assert!(
        matches!(done, Done::Answer(Answer::Bundle { .. })),
        "{done:?}"
    );
    assert_eq!(home.waiting(Queue::Bundles).len(), 1);
    assert_eq!(home.request(&request).state, RequestState::Confirmed);
    let audit = home.audit();
    let lines: Vec<_> = audit
        .iter()
        .take(2)
        .map(|line| {
            (
                line.what.as_str(),
                line.by.as_str(),
                line.asked_by.as_deref(),
            )
        })
        .collect();
    let wanted = [
        ("release.order", "bob", Some("ada")),
        ("request.ask", "ada", None),
    ];
    assert_eq!(lines, wanted);
    let bundles = home.store.records(Kind::Bundle);
    let body = &bundles.first().unwrap().body;
    assert!(body.contains("ada and bob"), "the story names both: {body}");
    assert_eq!(
        home.waiting(Queue::Alerts).len(),
        1,
        "people are told that it waits"
    );
}

#[test]
fn the_same_person_cannot_confirm_and_a_smaller_role_cannot_either() {
    let home = home();
    home.careful();
    let request = home.ask(order("1.0.0"));
    let same = home.code("ada", Role::Admin, confirm(&request));
    assert_eq!(same, "request.same_person");
    // Another token of the same subject, written otherwise.
    assert_eq!(
        home.code("Ada", Role::Admin, confirm(&request)),
        "request.same_person"
    );
    assert_eq!(
        home.code("bob", Role::Triager, confirm(&request)),
        "token.role"
    );
    assert_eq!(
        home.code("bob", Role::Viewer, confirm(&request)),
        "token.role"
    );
    assert!(home.waiting(Queue::Bundles).is_empty());
    assert_eq!(home.request(&request).state, RequestState::Waiting);
    let unknown = "nothing".parse().unwrap();
    assert_eq!(
        home.code("bob", Role::Admin, confirm(&unknown)),
        "request.unknown"
    );
}

#[test]
fn what_was_asked_for_is_not_done_once_it_would_be_something_else() {
    let home = home();
    home.careful();
    let request = home.ask(order("1.0.0"));
    home.forge
        .push("/src/till", "main", &[("till/a.py", "a = 2\n")]);
    let code = home.code("bob", Role::Releaser, confirm(&request));
    assert_eq!(code, "request.changed", "the branch has another commit now");

    let paused = rollout(&home, RolloutState::Paused);
    let request = home.ask(resume(&paused));
    let mut moved: Rollout = home.get(paused.as_str());
    moved.share_since = home.admin.ports.now();
    let stored = kintsugi_domain::record::Stored {
        value: moved,
        version: 1,
    };
    block_on(home.admin.ports.store.commit(Commit::new().update(&stored))).unwrap();
    assert_eq!(
        home.code("bob", Role::Releaser, confirm(&request)),
        "request.changed"
    );
    assert!(home.waiting(Queue::Bundles).is_empty());
}

#[test]
fn a_request_waits_a_day() {
    let home = home();
    home.careful();
    let first = home.ask(order("1.0.0"));
    home.clock.advance(Duration::from_hours(24));
    assert_eq!(
        home.code("bob", Role::Releaser, confirm(&first)),
        "request.expired"
    );
    let second = home.ask(order("1.0.0"));
    assert_ne!(first, second);
    assert_eq!(
        home.request(&first).state,
        RequestState::Expired,
        "noted with the next"
    );
    let views = home.admin.views(&actor(Role::Viewer)).unwrap();
    let project = block_on(views.project(ProjectId(1))).unwrap().unwrap();
    let needs = block_on(project.needs()).unwrap().requests;
    assert_eq!(needs.len(), 1);
    assert!(
        needs
            .iter()
            .all(|it| it.id == second && it.action.is_none())
    );
}

#[test]
fn the_same_action_asked_for_again_is_the_same_request() {
    let home = home();
    home.careful();
    let first = home.ask(order("1.0.0"));
    assert_eq!(home.ask(order("1.0.0")), first);
    assert_ne!(home.ask(order("1.0.1")), first);
}

#[test]
fn a_refused_request_is_over_and_who_asked_may_take_it_back() {
    let home = home();
    home.careful();
    for name in ["bob", "ada"] {
        let request = home.ask(order("1.0.0"));
        let refuse = Action::Refuse {
            project: ProjectId(1),
            request: request.clone(),
            reason: "not on a Friday".into(),
        };
        let done = home.by(name, Role::Releaser, refuse);
        assert!(
            matches!(done, Done::Answer(Answer::Changed { .. })),
            "{done:?}"
        );
        assert_eq!(
            home.code("eve", Role::Releaser, confirm(&request)),
            "request.ended"
        );
        let line = home.audit().into_iter().next().unwrap();
        assert_eq!(
            (line.what.as_str(), line.by.as_str()),
            ("request.refuse", name)
        );
        assert!(line.why.contains("not on a Friday"), "{line:?}");
    }
    assert!(home.waiting(Queue::Bundles).is_empty());
}

#[test]
fn of_two_confirmations_at_once_one_does_it() {
    let home = home();
    home.careful();
    let request = home.ask(order("1.0.0"));
    // Each lets the other go first around every effect, so both read before either commits.
    let process = |name: &str| {
        let faults = Faults::interleaved();
        let ports = Ports {
            store: Arc::new(Crashing::new(home.admin.ports.store.clone(), &faults)),
            ..home.admin.ports.clone()
        };
        let actor = Token {
            sub: name.into(),
            ..actor(Role::Releaser)
        };
        let action = confirm(&request);
        async move {
            Admin::new(ports)
                .run(Command { actor, action })
                .await
                .unwrap()
        }
    };
    let (bob, eve) = block_on(futures::future::join(process("bob"), process("eve")));
    let ended: Vec<&str> = [bob, eve]
        .iter()
        .map(|done| match done {
            Done::Refused(refusal) => refusal.code,
            Done::Answer(Answer::Bundle { .. }) => "done",
            Done::Answer(answer) => panic!("{answer:?}"),
        })
        .collect();
    assert!(
        ended.contains(&"done") && ended.contains(&"request.ended"),
        "{ended:?}"
    );
    assert_eq!(home.waiting(Queue::Bundles).len(), 1);
}

#[test]
fn nothing_that_stops_harm_waits_for_a_second_person() {
    let home = home();
    home.careful();
    let rollout = rollout(&home, RolloutState::Ramping);
    home.put(&fix(FixState::Validated));
    let off = |enabled, percent| Flag {
        project: ProjectId(1),
        key: "new-tax".into(),
        enabled,
        share: Share::from_percent(percent),
    };
    let project = ProjectId(1);
    let reason = || "it freezes".to_owned();
    for action in [
        Action::PauseRollout {
            project,
            rollout: rollout.clone(),
            reason: reason(),
        },
        Action::RollBack {
            project,
            rollout: rollout.clone(),
            reason: reason(),
        },
        Action::ReviewFix {
            project,
            fix: "fix1".parse().unwrap(),
            approved: false,
            reason: reason(),
        },
        Action::PutFlag {
            flag: off(false, 100),
        },
        Action::PutFlag { flag: off(true, 0) },
    ] {
        let done = home.by("ada", Role::Releaser, action);
        let is_done = matches!(
            done,
            Done::Answer(Answer::Changed { .. } | Answer::Ordered { .. })
        );
        assert!(is_done, "{done:?}");
    }
    home.ask(Action::PutFlag { flag: off(true, 5) });
    home.ask(resume(&rollout));
    // A configuration cannot say otherwise.
    for name in [
        "rollout.pause",
        "rollout.roll_back",
        "fix.refuse",
        "issue.mute",
    ] {
        let text = format!("{}[approval]\ntwo_person = [\"{name}\"]\n", product::CONFIG);
        let error = Config::parse("kintsugi.toml", &text).unwrap_err();
        assert!(error.expected.contains("unknown variant"), "{error}");
    }
}

#[test]
fn the_rules_themselves_are_changed_by_two_people_where_they_say_so() {
    let home = home();
    home.careful();
    let relax = || Action::UpdateConfig {
        project: ProjectId(1),
        config: config(),
    };
    let request = home.ask(relax());
    assert_eq!(
        home.code("bob", Role::Releaser, confirm(&request)),
        "token.role"
    );
    // The same by another way.
    let again = Action::AddProject {
        config: config(),
        repository: Some("/src/till".into()),
    };
    assert_ne!(home.ask(again), request);
    let view = |role| {
        let views = home.admin.views(&actor(role)).unwrap();
        let project = block_on(views.project(ProjectId(1))).unwrap().unwrap();
        block_on(project.request(&request)).unwrap().unwrap()
    };
    assert!(
        view(Role::Releaser).action.is_none(),
        "a configuration holds secrets"
    );
    let action = view(Role::Admin).action.unwrap();
    assert_eq!(action.get("action"), Some(&json!("update_config")));
    home.by("bob", Role::Admin, confirm(&request));
    let done = home.by("ada", Role::Admin, order("1.0.0"));
    assert!(
        matches!(done, Done::Answer(Answer::Bundle { .. })),
        "{done:?}"
    );
}

#[test]
fn every_action_is_read_back_as_it_was_written() {
    for action in [
        order("1.0.0"),
        resume(&"r".parse().unwrap()),
        Action::UpdateConfig {
            project: ProjectId(1),
            config: careful(),
        },
    ] {
        let text = serde_json::to_value(&action).unwrap();
        assert_eq!(serde_json::from_value::<Action>(text).unwrap(), action);
    }
}
