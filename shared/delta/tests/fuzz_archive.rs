//! A moment of fuzzing; `docs/fuzzing.md` has the long runs.

#[path = "fuzz/target.rs"]
mod target;

#[test]
fn damaged_archives_are_refused_without_panic() {
    match target::run(20_000, 1) {
        Ok(outcomes) => assert!(outcomes.len() >= 8, "{outcomes:?}"),
        Err(why) => panic!("{why}"),
    }
}
