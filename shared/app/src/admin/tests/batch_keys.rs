//! Keys of sealed batches.

use super::*;

#[test]
fn keys_of_batches_rotate_and_retire_with_a_line_in_the_audit_log() {
    let home = home();
    let project = home.project();
    let rotate = || Action::RotateBatchKey {
        project,
        reason: "a year is over".into(),
    };
    let retire = |generation| Action::RetireBatchKey {
        project,
        generation,
        reason: String::new(),
    };
    let accepted = || {
        let stored = home.get::<kintsugi_domain::project::Project>("project");
        stored.batch_keys.accepted()
    };
    assert_eq!(home.refused(retire(1)), "batch_key.newest");
    home.take(rotate());
    assert_eq!(accepted(), 1..=2);
    assert_eq!(home.refused(retire(3)), "batch_key.unknown");
    home.take(retire(1));
    assert_eq!(accepted(), 2..=2);
    let lines = home.audit().len();
    home.take(retire(1));
    assert_eq!(home.audit().len(), lines, "nothing changed");
    let refused = home.run_as(Role::Releaser, rotate());
    assert!(matches!(refused, Done::Refused(_)), "{refused:?}");
}
