//! Puts the notes of a version into a changelog of the form of Keep a Changelog 1.1.0.
//!
//! Not here: writing the notes.

/// Inserts a version below `## [Unreleased]`, or above the newest version, or at the end. What stood
/// under `Unreleased` goes out with this version and so comes to stand under it. A changelog that has
/// the version already stays as it is.
pub(crate) fn insert(text: &str, version: &str, date: &str, notes: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let heading = format!("## [{version}]");
    if lines.iter().any(|line| line.starts_with(&heading)) {
        return text.to_owned();
    }
    let is_unreleased = |line: &&str| line.trim().eq_ignore_ascii_case("## [unreleased]");
    let at = match lines.iter().position(is_unreleased) {
        Some(unreleased) => unreleased + 1,
        None => lines
            .iter()
            .position(|line| line.starts_with("## "))
            .unwrap_or(lines.len()),
    };
    let (before, after) = lines.split_at_checked(at).unwrap_or((&lines, &[]));
    let after = after.iter().skip_while(|line| line.trim().is_empty());
    let section = format!("{heading} - {date}\n\n{}", notes.trim());
    let mut parts = vec![
        before.join("\n").trim_end().to_owned(),
        section.trim_end().to_owned(),
    ];
    parts.push(after.copied().collect::<Vec<_>>().join("\n"));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "# Changelog\n\n## [Unreleased]\n\n## [1.0.0] - 2025-05-12\n\n- first\n";

    #[test]
    fn a_version_goes_between_unreleased_and_the_last_one() {
        assert_eq!(
            insert(OLD, "1.0.1", "2026-11-21", "### Fixed\n\n- it\n"),
            "# Changelog\n\n## [Unreleased]\n\n## [1.0.1] - 2026-11-21\n\n### Fixed\n\n- it\n\n\
             ## [1.0.0] - 2025-05-12\n\n- first\n"
        );
    }

    #[test]
    fn what_was_unreleased_comes_under_the_version() {
        let old = OLD.replace("[Unreleased]\n", "[Unreleased]\n\n### Added\n\n- by hand\n");
        let new = insert(&old, "1.0.1", "2026-11-21", "- it");
        assert!(new.contains("## [Unreleased]\n\n## [1.0.1] - 2026-11-21\n\n- it\n\n### Added\n\n- by hand\n\n## [1.0.0]"), "{new}");
    }

    #[test]
    fn without_unreleased_it_goes_above_the_newest_and_else_to_the_end() {
        let old = OLD.replace("## [Unreleased]\n\n", "");
        let new = insert(&old, "1.0.1", "2026-11-21", "- it");
        assert!(
            new.starts_with("# Changelog\n\n## [1.0.1] - 2026-11-21\n\n- it\n\n## [1.0.0]"),
            "{new}"
        );
        assert_eq!(
            insert("", "1.0.0", "2026-11-21", "- it"),
            "## [1.0.0] - 2026-11-21\n\n- it\n"
        );
        assert_eq!(
            insert("# C\n", "1.0.0", "2026-11-21", ""),
            "# C\n\n## [1.0.0] - 2026-11-21\n"
        );
    }

    #[test]
    fn the_same_version_is_inserted_once() {
        let once = insert(OLD, "1.0.1", "2026-11-21", "- it");
        assert_eq!(insert(&once, "1.0.1", "2026-11-22", "- again"), once);
    }
}
