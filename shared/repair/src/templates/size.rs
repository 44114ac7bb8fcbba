//! Loops and recursions that do not end as they should.

use crate::edit::{Drafts, Edit};
use crate::rules;
use crate::syntax;
use tree_sitter::Node;

/// Drafts for `RuntimeError: dictionary changed size during iteration`.
pub(super) fn draft_changed(drafts: &mut Drafts<'_>) {
    let crash = drafts.crash;
    if !crash.message.contains("changed size during iteration") {
        return;
    }
    let mut loops: Vec<Node<'_>> = vec![crash.statement];
    loops.extend(syntax::loops_of(crash.statement));
    for round in loops {
        let clauses = syntax::own(round)
            .into_iter()
            .filter(|node| matches!(node.kind(), "for_statement" | "for_in_clause"));
        for right in clauses.filter_map(|clause| clause.child_by_field_name("right")) {
            let text = crash.text(right);
            if !text.starts_with("list(") {
                let edit = Edit::replace(right, format!("list({text})"));
                drafts.add(&rules::COPY, 1.0, vec![edit]);
            }
        }
    }
}

/// Drafts for `RecursionError`: a base case that this input steps over.
pub(super) fn draft_endless(drafts: &mut Drafts<'_>) {
    let crash = drafts.crash;
    let Some(function) = crash.function else {
        return;
    };
    for node in syntax::body_of(function) {
        let Some(sign) = syntax::operator(node).filter(|_| node.kind() == "comparison_operator")
        else {
            continue;
        };
        let wider: &[&str] = match crash.text(sign) {
            "==" => &["<=", ">="],
            "<" => &["<="],
            ">" => &[">="],
            _ => &[],
        };
        for text in wider {
            drafts.add(&rules::BASE_CASE, 1.0, vec![Edit::replace(sign, *text)]);
        }
    }
}

/// Drafts for `StopIteration`: `next` with a default.
pub(super) fn draft_exhausted(drafts: &mut Drafts<'_>) {
    let crash = drafts.crash;
    for node in crash.nodes() {
        let is_next = node
            .child_by_field_name("function")
            .is_some_and(|function| crash.text(function) == "next");
        let Some(arguments) = node.child_by_field_name("arguments").filter(|_| is_next) else {
            continue;
        };
        for donor in crate::donors::in_place(&crash, node) {
            let edit = crate::guard::one_more(drafts, arguments, &donor.text);
            if let Some(edit) = edit.filter(|_| syntax::named(arguments).len() != 2) {
                drafts.add_as(
                    &rules::DEFAULT_ARGUMENT,
                    donor.factor,
                    donor.class,
                    vec![edit],
                );
            }
        }
    }
}
