//! What a commit says that it changes: Conventional Commits 1.0.0, sorted as Keep a Changelog 1.1.0 sorts (ledger E6), and what a device must do
//! for it (ledger E5).
//!
//! A commit of another form, or one that people who use the product do not notice (`docs`, `test`, `chore` …), says nothing here, unless it breaks
//! something or asks for an action. Trailers `Requires: migration | data-migration | feature-flag | restart`, with words after it that say
//! which, ask for one. **Commit messages are hostile: control characters go, and every length has a limit.** Not here: reading commits.

use crate::release::RequiredAction;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest line that is taken from a message, characters.
const LINE_CHARS_MAX: usize = 200;
/// Most actions of one commit.
const REQUIREMENTS_MAX: usize = 8;
/// Most commits since a release that are read, the newest.
pub const COMMITS_MAX: usize = 500;

/// Where a change stands in a changelog, in the order of Keep a Changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// New features.
    Added,
    /// Changes in what there was.
    Changed,
    /// What will be removed.
    Deprecated,
    /// What was removed.
    Removed,
    /// Defects that are mended.
    Fixed,
    /// Weaknesses that are closed.
    Security,
}

impl Group {
    /// Its heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "Added",
            Self::Changed => "Changed",
            Self::Deprecated => "Deprecated",
            Self::Removed => "Removed",
            Self::Fixed => "Fixed",
            Self::Security => "Security",
        }
    }
}

/// An action that a change asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// What must be done.
    pub action: RequiredAction,
    /// Which migration or flag; empty where nothing was said.
    pub detail: String,
}

/// What a commit changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Where it stands; nothing where only its actions count, as with a fix that has its own line.
    pub group: Option<Group>,
    /// The line, with the scope before it.
    pub text: String,
    /// Whether it breaks what there was.
    pub breaking: bool,
    /// What it asks for.
    pub requires: Vec<Requirement>,
}

impl Change {
    /// What a commit message says; nothing where it says nothing that belongs in a changelog.
    pub fn read(message: &str) -> Option<Self> {
        let requires = requirements(message);
        let footer = message.lines().skip(1).any(|line| {
            line.starts_with("BREAKING CHANGE: ") || line.starts_with("BREAKING-CHANGE: ")
        });
        let (head, text) = message.lines().next()?.split_once(": ")?;
        let (head, marked) = match head.strip_suffix('!') {
            Some(head) => (head, true),
            None => (head, false),
        };
        let (kind, scope) = match head.split_once('(') {
            Some((kind, rest)) => (kind, Some(rest.strip_suffix(')')?)),
            None => (head, None),
        };
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !is_word(kind) {
            return None;
        }
        let breaking = marked || footer;
        let group = match kind.to_ascii_lowercase().as_str() {
            "feat" | "add" => Group::Added,
            "fix" => Group::Fixed,
            "perf" | "refactor" | "change" | "revert" => Group::Changed,
            "deprecate" => Group::Deprecated,
            "remove" => Group::Removed,
            "security" | "sec" => Group::Security,
            _ if breaking || !requires.is_empty() => Group::Changed,
            _ => return None,
        };
        let text = match scope {
            Some(scope) => line(&format!("{scope}: {text}")),
            None => line(text),
        };
        (!text.is_empty()).then_some(Self {
            group: Some(group),
            text,
            breaking,
            requires,
        })
    }

    /// What the message of a fix asks for; its line is its title.
    pub fn of_fix(message: &str) -> Option<Self> {
        let requires = requirements(message);
        (!requires.is_empty()).then(|| Self {
            group: None,
            text: String::new(),
            breaking: false,
            requires,
        })
    }
}

/// The actions in the last paragraph of a message, where git keeps trailers.
fn requirements(message: &str) -> Vec<Requirement> {
    let last = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let mut found = Vec::new();
    for words in last
        .lines()
        .filter_map(|line| line.strip_prefix("Requires: "))
    {
        let words = words.trim();
        let (action, detail) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
        let action = match action.to_ascii_lowercase().as_str() {
            "restart" => RequiredAction::Restart,
            "migration" => RequiredAction::Migration,
            "data-migration" => RequiredAction::DataMigration,
            "feature-flag" => RequiredAction::FeatureFlag,
            _ => continue,
        };
        let detail = line(detail);
        if found.len() < REQUIREMENTS_MAX {
            found.push(Requirement { action, detail });
        }
    }
    found
}

fn line(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    let cut: String = plain.take(LINE_CHARS_MAX).collect();
    cut.trim().to_owned()
}

/// Every action that changes ask for, each once, and a restart.
pub fn required_actions(changes: &[Change]) -> Vec<RequiredAction> {
    let asked = changes.iter().flat_map(|change| &change.requires);
    let mut actions: Vec<_> = asked.map(|it| it.action).collect();
    actions.push(RequiredAction::Restart);
    actions.sort_unstable();
    actions.dedup();
    actions
}

/// The text of a changelog section: what people wrote, then each group with its lines, then the actions that were asked for by name. `fixed` are
/// the titles of fixes; a commit that says the same as one of them stands there once.
pub fn notes(written: &str, fixed: &[&str], changes: &[Change]) -> String {
    let mut groups: BTreeMap<Group, Vec<String>> = BTreeMap::new();
    if !fixed.is_empty() {
        let lines = fixed.iter().map(|title| (*title).to_owned());
        groups.insert(Group::Fixed, lines.collect());
    }
    for change in changes {
        let Some(group) = change.group else {
            continue;
        };
        let text = if change.breaking {
            format!("**Breaking:** {}", change.text)
        } else {
            change.text.clone()
        };
        let lines = groups.entry(group).or_default();
        let has = |known: &String| *known == text || known.strip_prefix("fix: ") == Some(&text);
        if !lines.iter().any(has) {
            lines.push(text);
        }
    }
    let mut actions = Vec::new();
    for requirement in changes.iter().flat_map(|change| &change.requires) {
        let name = match requirement.action {
            RequiredAction::Restart => "Restart",
            RequiredAction::Migration => "Migration",
            RequiredAction::DataMigration => "Data migration",
            RequiredAction::FeatureFlag => "Feature flag",
        };
        let line = match requirement.detail.as_str() {
            "" => name.to_owned(),
            detail => format!("{name}: {detail}"),
        };
        if !actions.contains(&line) {
            actions.push(line);
        }
    }
    let sections = groups
        .into_iter()
        .map(|(group, lines)| (group.name(), lines));
    let sections = sections.chain((!actions.is_empty()).then_some(("Required actions", actions)));
    let mut parts = vec![written.trim().to_owned()];
    parts.extend(sections.map(|(name, lines)| format!("### {name}\n\n- {}", lines.join("\n- "))));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use RequiredAction as A;
    use proptest::prelude::*;

    #[test]
    fn conventional_commits_are_sorted_as_a_changelog_sorts() {
        for (message, expected) in [
            ("feat: taxes", Some((Group::Added, "taxes", false))),
            (
                "fix(till): round up\n\nwhy",
                Some((Group::Fixed, "till: round up", false)),
            ),
            ("perf: faster", Some((Group::Changed, "faster", false))),
            ("Security: a hole", Some((Group::Security, "a hole", false))),
            (
                "remove: the old one",
                Some((Group::Removed, "the old one", false)),
            ),
            (
                "deprecate: the old one",
                Some((Group::Deprecated, "the old one", false)),
            ),
            (
                "chore!: new minimum",
                Some((Group::Changed, "new minimum", true)),
            ),
            (
                "feat: x\n\nBREAKING CHANGE: y",
                Some((Group::Added, "x", true)),
            ),
            ("docs: a word", None),
            ("release: till 1.0.1", None),
            ("Merge branch 'a: b'", None),
            ("fix till: it", None),
            ("fix(till: it", None),
            ("fix:", None),
            ("", None),
        ] {
            let found = Change::read(message);
            let found = found
                .as_ref()
                .map(|it| (it.group.unwrap(), it.text.as_str(), it.breaking));
            assert_eq!(found, expected, "{message}");
        }
    }

    #[test]
    fn trailers_ask_for_actions_and_words_elsewhere_do_not() {
        let change = Change::read(
            "chore: new table\n\nRequires: migration not here\n\nIssue: 7\nRequires: migration add table takings\n\
             Requires: feature-flag new_totals\nRequires: luck\n",
        );
        let change = change.unwrap();
        let fix = Change::of_fix("fix: it\n\nRequires: data-migration\n").unwrap();
        let all = [change, fix];
        assert_eq!(
            required_actions(&all),
            [A::Restart, A::Migration, A::DataMigration, A::FeatureFlag]
        );
        assert_eq!(required_actions(&[]), [A::Restart]);
        assert_eq!(
            notes("By hand.", &["fix: it"], &all),
            "By hand.\n\n### Changed\n\n- new table\n\n### Fixed\n\n- fix: it\n\n### Required actions\n\n\
             - Migration: add table takings\n- Feature flag: new_totals\n- Data migration"
        );
    }

    #[test]
    fn a_fix_that_is_also_a_commit_stands_there_once() {
        let changes = ["feat!: b", "fix: a", "fix: c"].map(|it| Change::read(it).unwrap());
        assert_eq!(
            notes("", &["fix: a"], &changes),
            "### Added\n\n- **Breaking:** b\n\n### Fixed\n\n- fix: a\n- c"
        );
    }

    proptest! {
        #[test]
        fn no_message_is_too_strange(message in "(?s)[a-z!():\u{1b}\r é]{0,40}\n{0,3}(Requires: )?.{0,300}") {
            if let Some(change) = Change::read(&message) {
                prop_assert!(change.text.chars().count() <= LINE_CHARS_MAX);
                prop_assert!(!change.text.contains(char::is_control));
            }
        }
    }
}
