//! The feature ledger, `docs/features.md`: complete, and true as far as a machine can tell.
//!
//! The rules are pure functions over the ledger's text and the sources, each shown to fail below. Not here: whether a
//! test shows what its row says.

use super::facts::{self, Text};
use super::{assert_none, table};
use std::collections::{BTreeMap, BTreeSet};

/// One row.
struct Row<'a> {
    id: &'a str,
    state: &'a str,
    shown_by: &'a str,
}

/// The four cells of a table's line.
fn cells(line: &str) -> Option<[&str; 4]> {
    let line = line.strip_prefix("| ")?.strip_suffix('|')?;
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    cells.try_into().ok()
}

/// The rows of all tables of the ledger.
fn rows(ledger: &str) -> Vec<Row<'_>> {
    ledger
        .lines()
        .filter_map(cells)
        .filter(|[id, ..]| *id != "id")
        .map(|[id, _, state, shown_by]| Row {
            id,
            state,
            shown_by,
        })
        .collect()
}

/// What stands between backticks and names a test: crate and function.
fn named_tests(shown_by: &str) -> impl Iterator<Item = (&str, &str)> {
    let quoted = shown_by.split('`').skip(1).step_by(2);
    quoted.filter_map(|name| name.split_once("::"))
}

/// Every id is there once, and no other.
fn complete(ledger: &str, sections: &[(char, u32)]) -> Vec<String> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for (section, last) in sections {
        counts.extend((1..=*last).map(|number| (format!("{section}{number}"), 0)));
    }
    let mut problems = Vec::new();
    for row in rows(ledger) {
        match counts.get_mut(row.id) {
            Some(count) => *count += 1,
            None => problems.push(format!("{} is no id of the ledger", row.id)),
        }
    }
    let wrong = counts.into_iter().filter(|(_, count)| *count != 1);
    problems.extend(wrong.map(|(id, count)| format!("{id} is there {count} times")));
    problems
}

/// A row is in one of three states; what claims something names what shows it, and nothing else does.
fn supported(ledger: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for Row {
        id,
        state,
        shown_by,
    } in rows(ledger)
    {
        let claims = state == "works" || state.starts_with("part: ");
        if !claims && state != "not yet" {
            problems.push(format!("{id}: “{state}” is no state"));
        }
        let shows = ["`kintsugi", "`cargo xtask ", "`xtask::"]
            .iter()
            .any(|it| shown_by.contains(it));
        if claims && !shows {
            problems.push(format!("{id} names nothing that shows it"));
        }
        if !claims && !shown_by.is_empty() {
            problems.push(format!("{id} is not there and is shown by something"));
        }
    }
    problems
}

/// Every named test is in a source of the named crate. `folders`: crate → folder.
fn existing(ledger: &str, folders: &BTreeMap<String, String>, sources: &[Text]) -> Vec<String> {
    let mut problems = Vec::new();
    for row in rows(ledger) {
        for (package, test) in named_tests(row.shown_by) {
            let Some(folder) = folders.get(package) else {
                problems.push(format!("{}: there is no crate {package}", row.id));
                continue;
            };
            let function = format!("fn {test}(");
            let inside = |source: &&Text| source.path.starts_with(&format!("{folder}/"));
            let is_there = sources
                .iter()
                .filter(inside)
                .any(|source| is_test(&source.content, &function));
            if !is_there {
                problems.push(format!("{}: {package} has no test {test}", row.id));
            }
        }
    }
    problems
}

/// Whether a source has the function, with a test's attribute somewhere above it.
fn is_test(source: &str, function: &str) -> bool {
    source
        .split_once(function)
        .is_some_and(|(before, _)| before.contains("test]") || before.contains("tokio::test("))
}

#[test]
fn the_ledger_has_every_row_once() {
    assert_none(&complete(&facts::document("features.md"), table::LEDGER));
}

#[test]
fn a_row_that_claims_something_says_what_shows_it() {
    assert_none(&supported(&facts::document("features.md")));
}

#[test]
fn every_test_that_the_ledger_names_exists() {
    let ledger = facts::document("features.md");
    assert_none(&existing(&ledger, &facts::folders(), &facts::sources()));
    let named: BTreeSet<_> = rows(&ledger)
        .into_iter()
        .flat_map(|row| named_tests(row.shown_by))
        .collect();
    assert!(named.len() > 50, "{} tests are named", named.len());
}

const HEAD: &str = "| id | what | state | shown by |\n|---|---|---|---|\n";

#[test]
fn a_missing_a_double_and_an_invented_row_are_found() {
    let ledger =
        format!("{HEAD}| A1 | x | not yet | |\n| A1 | x | not yet | |\n| Z9 | x | not yet | |\n");
    assert_eq!(
        complete(&ledger, &[('A', 2)]),
        [
            "Z9 is no id of the ledger",
            "A1 is there 2 times",
            "A2 is there 0 times"
        ]
    );
}

#[test]
fn a_claim_without_support_and_a_state_that_is_none_are_found() {
    let ledger = format!(
        "{HEAD}| A1 | x | works | |\n| A2 | x | nearly | |\n| A3 | x | not yet | `kintsugi demo` |\n| A4 | x | part: y | `kintsugi demo` |\n"
    );
    assert_eq!(
        supported(&ledger),
        [
            "A1 names nothing that shows it",
            "A2: “nearly” is no state",
            "A3 is not there and is shown by something"
        ]
    );
}

#[test]
fn a_test_that_does_not_exist_is_found() {
    let ledger = format!(
        "{HEAD}| A1 | x | works | `kintsugi-app::it_is`, `kintsugi-app::it_helps`, `kintsugi-app::gone`, `kintsugi-none::it_is` |\n"
    );
    let folders = BTreeMap::from([("kintsugi-app".to_owned(), "shared/app".to_owned())]);
    let sources = [Text {
        path: "shared/app/src/lib.rs".into(),
        content: "fn it_helps() {}\n#[test]\nfn it_is() {}\n".into(),
    }];
    assert_eq!(
        existing(&ledger, &folders, &sources),
        [
            "A1: kintsugi-app has no test it_helps",
            "A1: kintsugi-app has no test gone",
            "A1: there is no crate kintsugi-none"
        ]
    );
}
