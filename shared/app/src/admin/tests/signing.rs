//! Orders about the signed repository.

use super::requests::confirm;
use super::*;
use crate::sign::Sign;
use crate::stage::{Stage as _, Wake};
use kintsugi_domain::channel::Head;
use kintsugi_domain::signing::{OnlineRole, Skip};

const TWO: &str = r#"
[approval]
two_person = ["signing_key.rotate", "root.bring", "versions.skip"]
"#;

fn rotate(role: OnlineRole, reason: &str) -> Action {
    Action::RotateSigningKey {
        project: ProjectId(1),
        role,
        reason: reason.into(),
    }
}

fn bring(root: &str) -> Action {
    Action::BringRoot {
        project: ProjectId(1),
        root: root.into(),
        reason: String::new(),
    }
}

fn skip(above: u64, root: u64) -> Action {
    Action::SkipVersions {
        project: ProjectId(1),
        above,
        root,
        reason: "restored".into(),
    }
}

impl Home {
    fn publish(&self) {
        let sign = Sign::new(self.admin.ports().clone());
        block_on(sign.run(Wake::Tick)).unwrap();
    }

    /// A published project that asks for two people.
    fn guarded(&self) {
        self.project();
        self.publish();
        self.take(Action::UpdateConfig {
            project: ProjectId(1),
            config: Box::new(product::config(TWO)),
        });
    }

    /// Publishes again, because the timestamp is past half of its life.
    fn publish_later(&self) {
        let before: Head = self.get("head");
        self.clock.advance(Duration::from_hours(13));
        self.publish();
        let after: Head = self.get("head");
        assert!(after.timestamp > before.timestamp);
    }

    fn first_root(&self) -> String {
        let key = "tuf/1/metadata/1.root.json";
        let first = block_on(self.admin.ports().blobs.get(key, 1 << 20));
        String::from_utf8(first.unwrap().unwrap()).unwrap()
    }
}

#[test]
fn a_signing_key_is_ordered_by_an_admin_with_a_reason_and_a_line_in_the_audit_log() {
    let home = home();
    home.project();
    let order = || rotate(OnlineRole::Timestamp, "it leaked");
    assert_eq!(home.refused(order()), "repository.none");
    home.publish();
    assert_eq!(
        home.refused(rotate(OnlineRole::Timestamp, " ")),
        "reason.missing"
    );
    let small = home.run_as(Role::Releaser, order());
    assert!(matches!(small, Done::Refused(_)), "{small:?}");
    home.take(order());
    let line = home.audit().remove(0);
    assert_eq!(
        (line.what.as_str(), line.on.as_str(), line.why.as_str()),
        ("signing_key.rotate", "timestamp key 2", "it leaked")
    );
    let published = home.waiting(Queue::Signing);
    assert!(matches!(published.last(), Some(Message::Publish { .. })));
    assert_eq!(home.refused(order()), "signing_key.under_way");
    home.publish();
    let views = home.admin.views(&actor(Role::Viewer)).unwrap();
    let views = block_on(views.project(ProjectId(1))).unwrap().unwrap();
    let signing = block_on(views.signing()).unwrap().unwrap();
    let key = signing
        .keys
        .iter()
        .find(|it| it.role == OnlineRole::Timestamp);
    assert_eq!(key.unwrap().in_force, 2);
    assert_eq!((signing.root, signing.wanted_root), (2, None));
}

#[test]
fn a_signing_key_waits_for_a_second_person_where_the_project_asks_for_one() {
    let home = home();
    home.guarded();
    let done = home.run_as(Role::Admin, rotate(OnlineRole::Targets, "yearly"));
    assert!(
        matches!(done, Done::Answer(Answer::Asked { .. })),
        "{done:?}"
    );
    assert_eq!(home.get::<Head>("head").signing.targets.ordered, 1);
}

#[test]
fn a_request_for_a_new_key_outlives_what_is_published_meanwhile() {
    let home = home();
    home.guarded();
    let request = home.ask(rotate(OnlineRole::Targets, "yearly"));
    home.publish_later();
    // The same order again is the same request.
    assert_eq!(home.ask(rotate(OnlineRole::Targets, "yearly")), request);
    // Another role's key has nothing to do with it either.
    let other = home.ask(rotate(OnlineRole::Snapshot, "yearly"));
    home.by("bob", Role::Admin, confirm(&other));
    home.publish();
    let done = home.by("bob", Role::Admin, confirm(&request));
    assert!(
        matches!(done, Done::Answer(Answer::Ordered { .. })),
        "{done:?}"
    );
    let signing = home.get::<Head>("head").signing;
    assert_eq!((signing.targets.ordered, signing.snapshot.in_force), (2, 2));
}

#[test]
fn a_request_for_a_new_key_is_over_once_that_key_was_replaced() {
    let home = home();
    home.guarded();
    let first = home.ask(rotate(OnlineRole::Targets, "yearly"));
    let second = home.ask(rotate(OnlineRole::Targets, "it leaked"));
    assert_ne!(first, second);
    home.by("bob", Role::Admin, confirm(&first));
    assert_eq!(
        home.code("bob", Role::Admin, confirm(&second)),
        "signing_key.under_way"
    );
    home.publish();
    assert_eq!(home.get::<Head>("head").signing.targets.in_force, 2);
    assert_eq!(
        home.code("bob", Role::Admin, confirm(&second)),
        "request.changed",
        "the key that leaked is not the one in force any more"
    );
    assert_eq!(home.get::<Head>("head").signing.targets.ordered, 2);
}

#[test]
fn requests_for_a_root_and_for_higher_numbers_outlive_what_is_published_meanwhile() {
    let home = home();
    home.guarded();
    let next = home.first_root().replace("\"version\":1", "\"version\":2");
    let root = home.ask(bring(&next));
    let higher = home.ask(skip(90, 0));
    home.publish_later();
    for request in [&root, &higher] {
        let done = home.by("bob", Role::Admin, confirm(request));
        assert!(
            matches!(done, Done::Answer(Answer::Ordered { .. })),
            "{done:?}"
        );
    }
    let signing = home.get::<Head>("head").signing;
    assert_eq!(signing.brought_root, Some(next.clone()));
    assert_eq!(signing.skip, Some(Skip { above: 90, root: 0 }));
    // The home's own root 2 is first: the one that was asked for is none any more.
    home.publish();
    let late = home.ask(bring(&next));
    let key = home.ask(rotate(OnlineRole::Timestamp, "yearly"));
    home.by("bob", Role::Admin, confirm(&key));
    home.publish();
    assert_eq!(home.get::<Head>("head").root, 2);
    assert_eq!(
        home.code("bob", Role::Admin, confirm(&late)),
        "root.version"
    );
}

#[test]
fn an_order_of_lower_numbers_takes_nothing_from_a_higher_one_that_waits() {
    let home = home();
    home.project();
    home.publish();
    home.take(skip(90, 1));
    home.take(skip(40, 2));
    let ordered = home.get::<Head>("head").signing.skip;
    assert_eq!(ordered, Some(Skip { above: 90, root: 2 }));
}

#[test]
fn a_root_that_is_none_is_refused_with_what_is_wrong() {
    let home = home();
    home.project();
    home.publish();
    let first = home.first_root();
    for (root, code) in [
        ("", "root.malformed"),
        ("{}", "root.malformed"),
        (
            first.replace("ecdsa-sha2-nistp384", "rsa").as_str(),
            "root.malformed",
        ),
        (first.as_str(), "root.version"),
        (" ".repeat(70_000).as_str(), "root.too_long"),
    ] {
        assert_eq!(home.refused(bring(root)), code, "{root}");
    }
    let next = first.replace("\"version\":1", "\"version\":2");
    assert_ne!(next, first);
    home.take(bring(&next));
    home.publish();
    let signing = home.get::<Head>("head").signing;
    let why = signing.refused_root.unwrap();
    assert_eq!(why, "root: 0 valid signatures of 2 needed", "as devices do");
}

#[test]
fn numbers_that_no_client_could_follow_are_not_skipped_to() {
    let home = home();
    home.project();
    home.publish();
    assert_eq!(home.refused(skip(1 << 53, 0)), "version.too_high");
    assert_eq!(home.refused(skip(0, 500)), "root.too_high");
    home.take(skip(40, 0));
    let ordered = home.get::<Head>("head").signing.skip;
    assert_eq!(ordered, Some(Skip { above: 40, root: 0 }));
    home.publish();
    assert!(home.get::<Head>("head").timestamp > 1_040);
}
