//! The shape of the repository, checked: who may depend on whom, what a function consists of, how
//! long a file may be, what no file may hold. The rules are pure functions over plain data
//! (`rules`), so each has a test that shows it fails on a made-up violation; the tests here apply
//! them to the repository as it is.

mod configuration;
mod deployed;
mod facts;
mod features;
mod licences;
mod made_up;
mod rules;
mod table;
mod wasm;

/// Fails with one problem a line.
#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}

#[test]
fn our_crates_depend_only_in_the_directions_of_the_table() {
    assert_none(&rules::directions(&facts::packages(), table::DIRECTIONS));
}

#[test]
fn foreign_crates_stay_in_the_crates_that_exist_for_them() {
    assert_none(&rules::third_parties(&facts::packages(), table::HOMES));
}

#[test]
fn pure_crates_name_no_crate_that_does_input_or_output() {
    assert_none(&rules::purity(
        &facts::packages(),
        table::PURE,
        table::IMPURE,
    ));
}

#[test]
fn every_crate_takes_the_lints_and_the_versions_of_the_workspace() {
    assert_none(&rules::manifests(&facts::manifests()));
}

#[test]
fn every_function_has_the_same_three_files_and_a_sample_trigger() {
    let functions = facts::functions();
    assert_none(&rules::functions(&functions));
    assert_none(&rules::stages(&functions, table::STAGES));
}

#[test]
fn no_source_file_is_longer_than_a_reader_can_hold() {
    assert_none(&rules::lengths(&facts::sources(), table::SOURCE_LINES_MAX));
}

#[test]
fn no_file_holds_a_secret_or_a_path_of_one_machine() {
    assert_none(&rules::secrets(&facts::texts(), &facts::machine_paths()));
}
