//! The gate `lint`: what a change may not do, whoever made it.
//!
//! It looks at texts only, so it holds for candidates from anywhere: templates, edit search, models.

use crate::candidate::unified;
use crate::syntax;
use crate::{Candidate, Source};
use kintsugi_domain::config::FixRules;
use tree_sitter::Node;

/// Exceptions so wide that catching them catches defects too.
const WIDE: [&str; 2] = ["Exception", "BaseException"];

/// Whether a candidate stays within the rules: the lines it changes, the files it may touch, nothing
/// that checks is taken away, no `except` is widened, the syntax is whole. Says what was seen.
///
/// # Errors
/// The first rule that it breaks, in a sentence.
pub fn lint(candidate: &Candidate, original: &Source, rules: &FixRules) -> Result<String, String> {
    let path = &candidate.path;
    if *path != original.path {
        return Err(format!("it changes {path}, not {}", original.path));
    }
    if let Some(prefix) = rules
        .protected
        .iter()
        .find(|prefix| path.starts_with(prefix.as_str()))
    {
        return Err(format!("it changes {path}: {prefix} is protected"));
    }
    if is_test(path, &rules.tests_folder) {
        return Err(format!("it changes a test: {path}"));
    }
    let (_, lines) = unified(path, &original.text, &candidate.new_text);
    if lines == 0 {
        return Err("it changes nothing".to_owned());
    }
    if lines > rules.lines_max {
        return Err(format!(
            "it changes {lines} lines, {} are allowed",
            rules.lines_max
        ));
    }
    if crate::language_of(path).is_some() {
        python(&original.text, &candidate.new_text)?;
    }
    Ok(format!(
        "{lines} lines of {path}; nothing that checks is taken away"
    ))
}

/// Whether a path is that of a test.
fn is_test(path: &str, tests_folder: &str) -> bool {
    let folder = tests_folder.trim_matches('/');
    let in_folder = !folder.is_empty() && path.starts_with(&format!("{folder}/"));
    let name = path.rsplit('/').next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    in_folder
        || name.starts_with("test_")
        || name.ends_with("_test.py")
        || name == "conftest.py"
        || parts
            .iter()
            .rev()
            .skip(1)
            .any(|part| matches!(*part, "tests" | "test"))
}

/// The rules of Python files.
fn python(old: &str, new: &str) -> Result<(), String> {
    let (Some(old_tree), Some(new_tree)) = (syntax::parse(old), syntax::parse(new)) else {
        return Err("it cannot be parsed".to_owned());
    };
    if new_tree.root_node().has_error() {
        return Err("its syntax is broken".to_owned());
    }
    let (old_counts, new_counts) = (
        Counts::of(old_tree.root_node(), old),
        Counts::of(new_tree.root_node(), new),
    );
    if new_counts.asserts < old_counts.asserts {
        return Err("it takes an assert away".to_owned());
    }
    if new_counts.raises < old_counts.raises {
        return Err("it takes a raise away".to_owned());
    }
    if new_counts.wide > old_counts.wide {
        return Err("it catches everything".to_owned());
    }
    // Each handler that is not as it was must be a new one: the old ones may not have changed.
    let missing = old_counts
        .caught
        .iter()
        .find(|caught| count(&new_counts.caught, caught) < count(&old_counts.caught, caught));
    if let Some(caught) = missing {
        return Err(format!("it changes what is caught: {caught}"));
    }
    Ok(())
}

fn count(all: &[String], one: &str) -> usize {
    all.iter().filter(|known| *known == one).count()
}

/// What checks in a file.
struct Counts {
    asserts: usize,
    raises: usize,
    wide: usize,
    caught: Vec<String>,
}

impl Counts {
    fn of(root: Node<'_>, text: &str) -> Self {
        let mut counts = Self {
            asserts: 0,
            raises: 0,
            wide: 0,
            caught: Vec::new(),
        };
        for node in syntax::descendants(root) {
            match node.kind() {
                "assert_statement" => counts.asserts += 1,
                "raise_statement" => counts.raises += 1,
                "except_clause" | "except_group_clause" => {
                    let caught: Vec<&str> = syntax::named(node)
                        .into_iter()
                        .filter(|child| child.kind() != "block")
                        .map(|child| text.get(child.byte_range()).unwrap_or_default())
                        .collect();
                    let names = syntax::descendants_where(node, |node| node.kind() != "block");
                    let is_wide = caught.is_empty()
                        || names.into_iter().any(|node| {
                            let name = text.get(node.byte_range()).unwrap_or_default();
                            node.kind() == "identifier" && WIDE.contains(&name)
                        });
                    counts.wide += usize::from(is_wide);
                    counts.caught.push(caught.join(", "));
                }
                _ => {}
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kintsugi_domain::job::FixClass;

    const OLD: &str = "def f(x):\n    assert x\n    try:\n        g(x)\n    except KeyError:\n        raise ValueError(x)\n    return 1\n";

    fn judged(path: &str, new: &str) -> Result<String, String> {
        let original = Source {
            path: path.into(),
            text: OLD.into(),
        };
        let candidate = Candidate {
            rule: "any".into(),
            class: FixClass::Corrects,
            prior: 0.5,
            path: path.into(),
            new_text: new.into(),
            diff: String::new(),
            size: 1,
        };
        let rules = FixRules {
            lines_max: 6,
            ..FixRules::default()
        };
        lint(&candidate, &original, &rules)
    }

    #[test]
    fn a_small_change_of_a_product_file_passes() {
        assert!(judged("a/b.py", &OLD.replace("return 1", "return 2")).is_ok());
    }

    #[test]
    fn what_breaks_a_rule_is_refused_with_the_rule() {
        let fine = OLD.replace("return 1", "return 2");
        let narrow = OLD.replace(
            "    return 1",
            "    try:\n        h()\n    except OSError:\n        return 1",
        );
        for (path, new, why) in [
            ("tests/b.py", fine.clone(), "a test"),
            ("a/tests/b.py", fine.clone(), "a test"),
            ("a/test_b.py", fine.clone(), "a test"),
            (".github/x.py", fine, "protected"),
            ("a.py", OLD.to_owned(), "changes nothing"),
            ("a.py", format!("{OLD}{}", "\nx = 1\n".repeat(4)), "lines"),
            ("a.py", OLD.replace("    assert x\n", ""), "assert"),
            ("a.py", OLD.replace("raise ValueError(x)", "pass"), "raise"),
            (
                "a.py",
                OLD.replace("except KeyError:", "except (KeyError, OSError):"),
                "caught",
            ),
            (
                "a.py",
                OLD.replace("except KeyError:", "except Exception:"),
                "everything",
            ),
            (
                "a.py",
                OLD.replace("except KeyError:", "except:"),
                "everything",
            ),
            ("a.py", OLD.replace("return 1", "return ("), "syntax"),
        ] {
            let judged = judged(path, &new);
            assert!(
                judged.as_ref().is_err_and(|text| text.contains(why)),
                "{why}: {judged:?}"
            );
        }
        assert!(
            judged("a.py", &narrow).is_ok(),
            "a new narrow handler is not a widened one"
        );
    }
}
