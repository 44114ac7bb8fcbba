//! A sequence that is shorter than the index.

use crate::edit::{Drafts, Edit};
use crate::guard::{self, Fault};
use crate::rules;
use crate::syntax;
use serde_json::Value;
use tree_sitter::Node;

/// Drafts for `IndexError`.
pub(super) fn draft(drafts: &mut Drafts<'_>) {
    for node in drafts.crash.nodes() {
        match node.kind() {
            "subscript" => subscript(drafts, node),
            "call" => pop(drafts, node),
            _ => {}
        }
    }
    bounds(drafts);
}

fn subscript(drafts: &mut Drafts<'_>, node: Node<'_>) {
    let crash = drafts.crash;
    let (Some(sequence), Some(index)) = (
        node.child_by_field_name("value"),
        node.child_by_field_name("subscript"),
    ) else {
        return;
    };
    if !matches!(
        index.kind(),
        "integer" | "unary_operator" | "identifier" | "binary_operator"
    ) {
        return;
    }
    let (items, place) = (crash.text(sequence), crash.text(index));
    let Some(factor) = likelihood(drafts, items, place) else {
        return;
    };
    let (bad, good) = match place.parse::<i64>() {
        Ok(0 | -1) => (format!("not {items}"), items.to_owned()),
        Ok(number) if number > 0 => (
            format!("len({items}) <= {number}"),
            format!("len({items}) > {number}"),
        ),
        Ok(number) => {
            let least = number.unsigned_abs();
            (
                format!("len({items}) < {least}"),
                format!("len({items}) >= {least}"),
            )
        }
        Err(_) => (
            format!("{place} >= len({items})"),
            format!("{place} < len({items})"),
        ),
    };
    let fault = Fault {
        node,
        about: node,
        bad,
        good,
        factor,
    };
    guard::guard(drafts, &fault);
    if index.kind() != "integer" && index.kind() != "unary_operator" {
        let edit = Edit::replace(index, format!("{place} - 1"));
        drafts.add(&rules::OFF_BY_ONE, factor, vec![edit]);
    }
    if let (Ok(number), "integer") = (place.parse::<i64>(), index.kind()) {
        let edit = Edit::replace(index, (number - 1).to_string());
        drafts.add(&rules::OFF_BY_ONE, 0.4 * factor, vec![edit]);
    }
}

/// How likely an index was past the end; nothing where the report says it was not.
fn likelihood(drafts: &Drafts<'_>, items: &str, place: &str) -> Option<f64> {
    let Some(Value::Array(known)) = drafts.crash.vars.get(items) else {
        return Some(0.9);
    };
    let number: Option<i64> = place
        .parse()
        .ok()
        .or_else(|| drafts.crash.leaf(place)?.parse().ok());
    let Some(number) = number else {
        return Some(0.9);
    };
    let length = i64::try_from(known.len()).ok()?;
    // Ten members may be the rest of more.
    (number >= length || number < -length || length >= 10).then_some(1.0)
}

/// `pop` from an empty list.
fn pop(drafts: &mut Drafts<'_>, node: Node<'_>) {
    let parts = node
        .child_by_field_name("function")
        .filter(|function| function.kind() == "attribute")
        .and_then(|function| {
            function
                .child_by_field_name("object")
                .zip(function.child_by_field_name("attribute"))
        });
    let Some((items, method)) = parts else {
        return;
    };
    if matches!(drafts.crash.text(method), "pop" | "popleft") {
        let text = drafts.crash.text(items);
        let fault = Fault {
            node,
            about: items,
            bad: format!("not {text}"),
            good: text.to_owned(),
            factor: 0.9,
        };
        guard::guard(drafts, &fault);
    }
}

/// The bounds of loops around the crash: `range(n)` that runs one too far.
fn bounds(drafts: &mut Drafts<'_>) {
    let crash = drafts.crash;
    let mut headers: Vec<Node<'_>> = syntax::loops_of(crash.statement);
    headers.push(crash.statement);
    for node in headers.into_iter().flat_map(syntax::own) {
        let Some(function) = node.child_by_field_name("function") else {
            continue;
        };
        let Some(arguments) = node.child_by_field_name("arguments") else {
            continue;
        };
        if crash.text(function) != "range" {
            continue;
        }
        let given = syntax::named(arguments);
        let last = match given.as_slice() {
            [only] => *only,
            [_, stop] | [_, stop, _] => *stop,
            _ => continue,
        };
        let text = crash.text(last);
        let shorter = match text.strip_suffix("+ 1") {
            Some(rest) => rest.trim_end().to_owned(),
            None => format!("{text} - 1"),
        };
        let factor = if text.ends_with("+ 1") { 1.3 } else { 1.0 };
        drafts.add(
            &rules::OFF_BY_ONE,
            factor,
            vec![Edit::replace(last, shorter)],
        );
    }
}
