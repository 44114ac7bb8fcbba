//! `docs/configuration.md` names every key that has a default, with the default that the code has.
//!
//! Not here: keys without one, and what a key means.

#![expect(clippy::unwrap_used, reason = "test code")]

use super::{assert_none, facts};
use kintsugi_testkit::product;

/// The lines of the document that are missing or say something else.
fn missing(document: &str, defaults: &toml::Table) -> Vec<String> {
    let mut problems = Vec::new();
    for (section, keys) in defaults {
        let start = document.find(&format!("\n## `[{section}]`"));
        let text = start.map(|start| document.split_at(start + 1).1);
        let text = text.map(|text| text.split("\n## ").next().unwrap_or_default());
        let Some(text) = text else {
            problems.push(format!("[{section}] has no section"));
            continue;
        };
        for (key, value) in keys.as_table().into_iter().flatten() {
            let line = format!("| `{key}` | `{value}` |");
            if !text.contains(&line) {
                problems.push(format!("[{section}] lacks {line}"));
            }
        }
    }
    problems
}

fn defaults() -> toml::Table {
    let config = product::config("");
    let mut table = toml::Table::try_from(config).unwrap();
    // The others hold what the least configuration has to say.
    table.retain(|section, _| matches!(section, "triage" | "fix" | "trains" | "rollout" | "scrub"));
    assert_eq!(table.len(), 5);
    table
}

#[test]
fn every_default_stands_in_the_document_as_it_is() {
    assert_none(&missing(&facts::document("configuration.md"), &defaults()));
}

#[test]
fn a_default_that_is_told_wrongly_and_a_lost_section_are_found() {
    let document = facts::document("configuration.md")
        .replace("| `lines_max` | `20` |", "| `lines_max` | `30` |")
        .replace("## `[rollout]`", "## Rollouts");
    assert_eq!(
        missing(&document, &defaults()),
        [
            "[fix] lacks | `lines_max` | `20` |",
            "[rollout] has no section"
        ]
    );
}
