//! A moment of fuzzing; `docs/fuzzing.md` has the long runs.

#[path = "fuzz/target.rs"]
mod target;

#[test]
fn damaged_metadata_is_refused_without_panic() {
    match target::run(4_000, 1) {
        Ok(outcomes) => {
            assert!(outcomes.len() >= 8, "{outcomes:?}");
            assert!(
                outcomes.contains_key("read, and written as the same"),
                "{outcomes:?}"
            );
        }
        Err(why) => panic!("{why}"),
    }
}
