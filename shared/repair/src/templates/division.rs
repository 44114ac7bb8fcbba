//! A divisor that is zero.

use crate::edit::{Drafts, Edit};
use crate::guard::{self, Fault};
use crate::rules;
use tree_sitter::Node;

/// Drafts for `ZeroDivisionError`.
pub(super) fn draft(drafts: &mut Drafts<'_>) {
    for node in drafts.crash.nodes() {
        let Some(divisor) = divisor(drafts, node) else {
            continue;
        };
        let Some(factor) = likelihood(drafts, divisor) else {
            continue;
        };
        let bare = bare(divisor);
        let text = drafts.crash.text(bare);
        let (bad, good) = match sequence_of(drafts, bare) {
            Some(sequence) => (format!("not {sequence}"), sequence.to_owned()),
            None if matches!(bare.kind(), "conditional_expression" | "boolean_operator") => {
                (format!("({text}) == 0"), format!("({text}) != 0"))
            }
            None => (format!("{text} == 0"), format!("{text} != 0")),
        };
        guard::guard(
            drafts,
            &Fault {
                node,
                about: bare,
                bad,
                good,
                factor,
            },
        );
        let or_one = Edit::replace(divisor, format!("({text} or 1)"));
        drafts.add(&rules::OR_VALUE, 0.4 * factor, vec![or_one]);
    }
}

/// The divisor of an operation.
fn divisor<'t>(drafts: &Drafts<'t>, node: Node<'t>) -> Option<Node<'t>> {
    match node.kind() {
        "binary_operator" | "augmented_assignment" => {
            let sign = drafts.crash.text(node.child_by_field_name("operator")?);
            let left = node.child_by_field_name("left")?;
            let formats = left.kind() == "string" || left.kind() == "concatenated_string";
            let divides = matches!(sign, "/" | "//" | "%" | "/=" | "//=" | "%=");
            (divides && !formats).then(|| node.child_by_field_name("right"))?
        }
        "call" => {
            let function = node.child_by_field_name("function")?;
            let arguments = node.child_by_field_name("arguments")?;
            (drafts.crash.text(function) == "divmod").then(|| arguments.named_child(1))?
        }
        _ => None,
    }
}

/// How likely a divisor was zero; nothing where it cannot have been.
fn likelihood(drafts: &Drafts<'_>, divisor: Node<'_>) -> Option<f64> {
    let text = drafts.crash.text(divisor);
    match divisor.kind() {
        "integer" | "float" => None,
        "identifier" => match drafts.crash.leaf(text) {
            Some(value) if value.parse() == Ok(0.0) => Some(1.0),
            Some(value) if value.parse::<f64>().is_ok() => None,
            Some(_) | None => Some(0.9),
        },
        _ => Some(0.9),
    }
}

fn bare(node: Node<'_>) -> Node<'_> {
    match node.named_child(0) {
        Some(inner) if node.kind() == "parenthesized_expression" => bare(inner),
        Some(_) | None => node,
    }
}

/// `xs` of `len(xs)`.
fn sequence_of<'t>(drafts: &Drafts<'t>, node: Node<'t>) -> Option<&'t str> {
    let function = node.child_by_field_name("function")?;
    let only = node.child_by_field_name("arguments")?.named_child(0)?;
    let plain = matches!(only.kind(), "identifier" | "attribute" | "subscript");
    (drafts.crash.text(function) == "len" && plain).then(|| drafts.crash.text(only))
}
