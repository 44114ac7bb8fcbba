//! Releases, rollouts, flags and parked messages.

use super::*;
use kintsugi_domain::bundle::{Bundle, BundleState};
use kintsugi_domain::id::BundleId;
use kintsugi_domain::ports::Queues as _;
use kintsugi_domain::record::Stored;
use kintsugi_domain::release::Release;
use kintsugi_domain::train::Train;

fn order(project: ProjectId, from: &str, version: &str) -> Action {
    Action::OrderRelease {
        project,
        from: from.into(),
        version: version.parse().unwrap(),
        notes: "the first one".into(),
    }
}

fn bundle(answer: Answer) -> BundleId {
    let Answer::Bundle { bundle, .. } = answer else {
        panic!("{answer:?}");
    };
    bundle
}

fn release(version: &str) -> Release {
    let version: Version = version.parse().unwrap();
    serde_json::from_value(serde_json::json!({
        "id": Release::id_of(ProjectId(1), &version), "project": 1, "version": version,
        "channel": "stable", "state": "published", "train": "minor", "bundle": "b", "fixes": [],
        "issues": [], "previous": null, "built": {
            "commit": "c", "deltas": [],
            "full": {"blob": "x", "digest": "0".repeat(64), "length": 1},
            "content": {"digest": "0".repeat(64), "length": 1},
        },
        "notes": "", "statement": null, "required_actions": [],
        "built_at": "2026-01-01T00:00:00Z", "story": [],
    }))
    .unwrap()
}

#[test]
fn an_order_cuts_a_bundle_from_the_tip_of_a_branch() {
    let home = home();
    let project = home.project();
    let tip = home.forge.push("/src/till", "main", &[("till/b.py", "")]);
    let id = bundle(home.take(order(project, "main", "1.0.0")));
    let cut = home.get::<Bundle>(id.as_str());
    assert_eq!(
        (cut.commit.as_str(), cut.train),
        (tip.as_str(), Train::Minor)
    );
    assert_eq!(
        (cut.notes.as_str(), cut.channel.as_str()),
        ("the first one", "stable")
    );
    assert_eq!(
        home.waiting(Queue::Bundles),
        [Message::BuildBundle { bundle: id }]
    );
}

#[test]
fn an_order_is_refused_where_it_does_not_fit() {
    let home = home();
    let project = home.project();
    home.put(&release("1.2.0"));
    for (from, version, code) in [
        ("main", "1.2.0", "release.exists"),
        ("main", "1.1.9", "release.not_above"),
        ("nowhere", "1.3.0", "ref.unknown"),
        ("--upload-pack=x", "1.3.0", "ref.unknown"),
        (&"f".repeat(40), "1.3.0", "ref.unknown"),
    ] {
        assert_eq!(
            home.refused(order(project, from, version)),
            code,
            "{from} {version}"
        );
    }
    assert_eq!(
        home.refused(order(ProjectId(9), "main", "2.0.0")),
        "project.unknown"
    );
    let tip = home.forge.push("/src/till", "main", &[("till/c.py", "")]);
    let id = bundle(home.take(order(project, &tip, "2.0.0")));
    assert_eq!(home.get::<Bundle>(id.as_str()).train, Train::Major);
    assert_eq!(home.refused(order(project, "main", "2.0.1")), "bundle.open");
    let mut failed = home.get::<Bundle>(id.as_str());
    failed.state = BundleState::Failed;
    let failed = Stored {
        value: failed,
        version: 1,
    };
    block_on(home.admin.ports.store.commit(Commit::new().update(&failed))).unwrap();
    assert_eq!(home.refused(order(project, &tip, "2.0.0")), "bundle.exists");
    home.take(order(project, &tip, "2.0.1"));
}

#[test]
fn an_order_rewrites_the_project_so_that_two_cuts_at_once_cannot_both_hold() {
    let home = home();
    let project = home.project();
    let version = |home: &Home| home.store.records(Kind::Project).first().unwrap().version;
    let before = version(&home);
    home.take(order(project, "main", "1.0.0"));
    assert_eq!(version(&home), before + 1);
}

pub(super) fn rollout(home: &Home, state: RolloutState) -> RolloutId {
    let mut rollout = Rollout::new(
        ProjectId(1),
        &"release1".parse().unwrap(),
        Version::new(1, 0, 1),
        Some(Version::new(1, 0, 0)),
        "stable",
        &RolloutRules::default(),
        home.admin.ports.now(),
    );
    rollout.state = state;
    rollout.share = Share::from_percent(5);
    home.put(&rollout);
    rollout.id
}

#[test]
fn a_rollout_is_paused_and_resumed_with_its_share_and_its_reasons() {
    let home = home();
    let project = home.project();
    let id = rollout(&home, RolloutState::Canary);
    home.waiting(Queue::Signing);
    home.clock.advance(Duration::from_mins(1));
    let pause = |reason: &str| Action::PauseRollout {
        project,
        rollout: id.clone(),
        reason: reason.into(),
    };
    assert_eq!(home.refused(pause("  ")), "reason.missing");
    home.take(pause("complaints"));
    assert_eq!(home.get::<Rollout>(id.as_str()).state, RolloutState::Paused);
    assert_eq!(home.refused(pause("again")), "state.refused");
    home.take(Action::ResumeRollout {
        project,
        rollout: id.clone(),
        reason: "false alarm".into(),
    });
    let resumed = home.get::<Rollout>(id.as_str());
    assert_eq!(
        (resumed.state, resumed.share, resumed.share_since),
        (
            RolloutState::Ramping,
            Share::from_percent(5),
            home.admin.ports.now()
        )
    );
    let published = home.waiting(Queue::Signing);
    let publications = published
        .iter()
        .filter(|m| matches!(m, Message::Publish { .. }));
    assert!(publications.count() >= 2, "{published:?}");
}

#[test]
fn a_rollback_is_ordered_with_its_reason_and_who_wants_it() {
    let home = home();
    let project = home.project();
    let id = rollout(&home, RolloutState::Finalised);
    home.take(Action::RollBack {
        project,
        rollout: id.clone(),
        reason: "tills freeze".into(),
    });
    let ordered = Message::RollBack {
        rollout: id.clone(),
        reason: "tills freeze".into(),
        by: "ada".into(),
    };
    assert_eq!(home.waiting(Queue::Rollbacks), [ordered]);
}

#[test]
fn what_is_rolled_back_is_not_rolled_back_again() {
    let home = home();
    let project = home.project();
    let rollout = rollout(&home, RolloutState::RolledBack);
    let again = Action::RollBack {
        project,
        rollout,
        reason: "again".into(),
    };
    assert_eq!(home.refused(again), "state.refused");
}

#[test]
fn a_flag_is_made_changed_and_left_alone() {
    let home = home();
    let project = home.project();
    let flag = |key: &str, percent| Action::PutFlag {
        flag: Flag {
            project,
            key: key.into(),
            enabled: true,
            share: Share::from_percent(percent),
        },
    };
    home.take(flag("new-tax", 5));
    home.take(flag("new-tax", 10));
    home.take(flag("new-tax", 10));
    assert_eq!(home.get::<Flag>("new-tax").share, Share::from_percent(10));
    assert_eq!(home.audit().len(), 3);
    assert_eq!(home.refused(flag("<b>", 1)), "flag.key");
}

#[test]
fn parked_messages_are_shown_without_their_content_and_go_back_on_order() {
    let home = home();
    let project = home.project();
    block_on(crate::outbox::relay(&home.admin.ports)).unwrap();
    let delivery = block_on(
        home.queues
            .receive(Queue::Signing, 1, Duration::from_mins(1)),
    );
    let delivery = delivery.unwrap().remove(0);
    block_on(home.queues.park(&delivery, "no key")).unwrap();
    let views = home.admin.views(&actor(Role::Viewer)).unwrap();
    let parked = block_on(views.parked()).unwrap();
    let first = parked.first().unwrap();
    assert_eq!(
        (first.kind.as_str(), first.cause.as_str()),
        ("publish", "no key")
    );
    assert_eq!(first.project, Some(project));
    let redrive = || Action::Redrive {
        queue: Queue::Signing,
        reason: "key made".into(),
    };
    let redriven = |messages| Answer::Redriven {
        queue: Queue::Signing,
        messages,
    };
    assert_eq!(home.take(redrive()), redriven(1));
    assert_eq!(home.take(redrive()), redriven(0));
    assert_eq!(home.waiting(Queue::Signing).len(), 1);
    let page = block_on(views.audit(&Part::default())).unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items.first().unwrap().why, "1 messages: key made");
}
