//! Orders about the signed repository.

use super::*;
use crate::sign::Sign;
use crate::stage::{Stage as _, Wake};
use kintsugi_domain::channel::Head;
use kintsugi_domain::signing::{OnlineRole, Skip};

const TWO: &str = r#"
[approval]
two_person = ["signing_key.rotate"]
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
    home.project();
    home.publish();
    home.take(Action::UpdateConfig {
        project: ProjectId(1),
        config: Box::new(product::config(TWO)),
    });
    let done = home.run_as(Role::Admin, rotate(OnlineRole::Targets, "yearly"));
    assert!(
        matches!(done, Done::Answer(Answer::Asked { .. })),
        "{done:?}"
    );
    assert_eq!(home.get::<Head>("head").signing.targets.ordered, 1);
}

#[test]
fn a_root_that_is_none_is_refused_with_what_is_wrong() {
    let home = home();
    home.project();
    home.publish();
    let key = "tuf/1/metadata/1.root.json";
    let first = block_on(home.admin.ports().blobs.get(key, 1 << 20));
    let first = String::from_utf8(first.unwrap().unwrap()).unwrap();
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
