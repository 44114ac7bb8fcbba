//! Edit search: small blind edits of the suspect lines, for when no template knows the fault.
//!
//! Bounded by design: only the reported statement and the conditions of its function are edited, each
//! operator gives a handful of drafts, and their priors stand below those of the templates.

use crate::call;
use crate::edit::{Crash, Draft, Drafts, Edit};
use crate::guard;
use crate::rules;
use crate::syntax;
use std::collections::BTreeSet;
use tree_sitter::Node;

/// Most variables that one name is replaced by.
const VARIABLES_MAX: usize = 6;
/// Most expressions that one expression is replaced by.
const DONORS_MAX: usize = 4;
/// How much less likely a line of the function is than the reported one.
const ELSEWHERE: f64 = 0.5;

/// The drafts of all operators for one place.
pub(crate) fn drafts(crash: Crash<'_>) -> Vec<Draft> {
    let mut drafts = Drafts::new(crash, "edit");
    let names = names_of(&crash, crash.statement);
    for node in crash.nodes() {
        operators(&mut drafts, node, 1.0, &names);
        arguments(&mut drafts, node);
        bounds(&mut drafts, node);
        variables(&mut drafts, node);
        other_expressions(&mut drafts, node);
    }
    if let Some(function) = crash.function.filter(|_| crash.raising) {
        for node in syntax::body_of(function) {
            if !syntax::within(node, crash.statement) {
                operators(&mut drafts, node, ELSEWHERE, &names);
            }
        }
    }
    drafts.found
}

/// The variables that a node speaks of.
fn names_of<'t>(crash: &Crash<'t>, node: Node<'t>) -> BTreeSet<&'t str> {
    syntax::own(node)
        .into_iter()
        .filter(|node| node.kind() == "identifier")
        .map(|node| crash.text(node))
        .collect()
}

/// Comparisons, operators, conditions and constants.
fn operators(drafts: &mut Drafts<'_>, node: Node<'_>, factor: f64, names: &BTreeSet<&str>) {
    let crash = drafts.crash;
    match node.kind() {
        "comparison_operator" => comparison(drafts, node, factor, names),
        "binary_operator" | "augmented_assignment" => {
            let Some(sign) = syntax::operator(node) else {
                return;
            };
            for text in other_operators(crash.text(sign)) {
                drafts.add(&rules::OPERATOR, factor, vec![Edit::replace(sign, *text)]);
            }
        }
        "boolean_operator" => {
            let Some(sign) = syntax::operator(node) else {
                return;
            };
            let other = if crash.text(sign) == "and" {
                "or"
            } else {
                "and"
            };
            drafts.add(&rules::OPERATOR, factor, vec![Edit::replace(sign, other)]);
        }
        "not_operator" => {
            if let Some(argument) = node.child_by_field_name("argument") {
                let edit = Edit::replace(node, format!("({})", crash.text(argument)));
                drafts.add(&rules::NEGATE, factor, vec![edit]);
            }
        }
        "if_statement" | "elif_clause" | "while_statement" => {
            let Some(condition) = node.child_by_field_name("condition") else {
                return;
            };
            let text = crash.text(condition);
            if node.kind() != "while_statement" {
                let edit = Edit::replace(condition, format!("not ({text})"));
                drafts.add(&rules::NEGATE, factor, vec![edit]);
            }
            longer_conditions(drafts, condition, factor);
        }
        "integer" => {
            if let Ok(number) = crash.text(node).parse::<i64>() {
                for near in [number.checked_sub(1), number.checked_add(1)]
                    .into_iter()
                    .flatten()
                {
                    let edit = Edit::replace(node, near.to_string());
                    drafts.add(&rules::CONSTANT, factor, vec![edit]);
                }
            }
        }
        _ => {}
    }
}

/// Another sign; a boundary that speaks of the same variables as the crash comes first.
fn comparison(drafts: &mut Drafts<'_>, node: Node<'_>, factor: f64, names: &BTreeSet<&str>) {
    let crash = drafts.crash;
    let Some(sign) = syntax::operator(node) else {
        return;
    };
    let related = syntax::descendants(node)
        .into_iter()
        .any(|node| node.kind() == "identifier" && names.contains(crash.text(node)));
    let (boundary, others): (Option<&str>, &[&str]) = match crash.text(sign) {
        "<" => (Some("<="), &[">", ">="]),
        "<=" => (Some("<"), &[">=", ">"]),
        ">" => (Some(">="), &["<", "<="]),
        ">=" => (Some(">"), &["<=", "<"]),
        "==" => (None, &["!=", "<=", ">="]),
        "!=" => (None, &["==", ">", "<"]),
        "is" => (None, &["is not"]),
        "is not" => (None, &["is"]),
        "in" => (None, &["not in"]),
        "not in" => (None, &["in"]),
        _ => return,
    };
    if let Some(text) = boundary {
        let edit = vec![Edit::replace(sign, text)];
        if related && crash.raising {
            drafts.add(&rules::BOUNDARY, factor.max(0.9), edit);
        } else {
            drafts.add(&rules::COMPARISON, factor, edit);
        }
    }
    for text in others {
        drafts.add(
            &rules::COMPARISON,
            0.6 * factor,
            vec![Edit::replace(sign, *text)],
        );
    }
}

fn other_operators(sign: &str) -> &'static [&'static str] {
    match sign {
        "+" => &["-"],
        "-" => &["+"],
        "*" => &["/", "+", "//"],
        "/" => &["//", "*"],
        "//" => &["/", "%"],
        "%" => &["//"],
        "+=" => &["-=", "="],
        "-=" | "*=" => &["+="],
        "/=" => &["//="],
        "&" => &["|"],
        "|" => &["&"],
        "^" => &["&", "|"],
        "^=" => &["&=", "|="],
        "<<" => &[">>"],
        ">>" => &["<<"],
        _ => &[],
    }
}

/// A condition with one more part: a parameter that is there, or is not.
fn longer_conditions(drafts: &mut Drafts<'_>, condition: Node<'_>, factor: f64) {
    let crash = drafts.crash;
    let Some(function) = crash.function else {
        return;
    };
    let text = crash.text(condition);
    for parameter in call::parameters(crash.module, function).unwrap_or_default() {
        let name = parameter.name;
        let empty = crash
            .leaf(&name)
            .is_some_and(|leaf| matches!(leaf, "None" | "0" | "''"));
        let fit = if empty { 1.0 } else { 0.5 };
        let or = Edit::replace(condition, format!("not {name} or {text}"));
        drafts.add(&rules::CONDITION, factor * fit, vec![or]);
        let and = Edit::replace(condition, format!("{name} and ({text})"));
        drafts.add(&rules::CONDITION, factor * fit, vec![and]);
    }
}

/// Two neighbouring arguments swapped.
fn arguments(drafts: &mut Drafts<'_>, node: Node<'_>) {
    if node.kind() != "argument_list" {
        return;
    }
    let by_place: Vec<Node<'_>> = syntax::named(node)
        .into_iter()
        .filter(|given| {
            !matches!(
                given.kind(),
                "keyword_argument" | "list_splat" | "dictionary_splat"
            )
        })
        .collect();
    for pair in by_place.windows(2) {
        if let [one, other] = pair {
            let edits = vec![
                Edit::replace(*one, drafts.crash.text(*other)),
                Edit::replace(*other, drafts.crash.text(*one)),
            ];
            drafts.add(&rules::SWAP_ARGUMENTS, 1.0, edits);
        }
    }
}

/// Indices and bounds one lower or higher.
fn bounds(drafts: &mut Drafts<'_>, node: Node<'_>) {
    let bounds: Vec<Node<'_>> = match node.kind() {
        "subscript" => syntax::named(node).into_iter().skip(1).collect(),
        "slice" => syntax::named(node),
        _ => return,
    };
    for bound in bounds {
        if !matches!(
            bound.kind(),
            "identifier" | "binary_operator" | "call" | "attribute"
        ) {
            continue;
        }
        let text = drafts.crash.text(bound);
        for (sign, fit) in [("-", 1.0), ("+", 0.8)] {
            let edit = Edit::replace(bound, format!("{text} {sign} 1"));
            drafts.add(&rules::OFF_BY_ONE, 0.3 * fit, vec![edit]);
        }
    }
}

/// Another variable of the function.
fn variables(drafts: &mut Drafts<'_>, node: Node<'_>) {
    let crash = drafts.crash;
    let Some(function) = crash.function.filter(|_| is_read(node)) else {
        return;
    };
    let name = crash.text(node);
    let mut others: Vec<&str> = Vec::new();
    for bound in syntax::descendants(function) {
        let earlier = bound.end_byte() <= crash.statement.start_byte();
        let known = others.contains(&crash.text(bound)) || crash.text(bound) == name;
        if bound.kind() == "identifier" && earlier && !known && is_variable(bound) {
            others.push(crash.text(bound));
        }
    }
    let like = crash.leaf(name).map(kind_of_leaf);
    others.sort_by_key(|other| crash.leaf(other).map(kind_of_leaf) != like);
    for other in others.into_iter().take(VARIABLES_MAX) {
        let same = crash.leaf(other).map(kind_of_leaf) == like;
        let edit = Edit::replace(node, other);
        drafts.add(&rules::VARIABLE, if same { 1.0 } else { 0.4 }, vec![edit]);
    }
}

/// Whether an identifier is read as a variable here.
fn is_read(node: Node<'_>) -> bool {
    node.kind() == "identifier" && is_variable(node) && !guard::is_target(node)
}

/// Whether an identifier names a variable, not an attribute, a keyword, a function or a type.
fn is_variable(node: Node<'_>) -> bool {
    let Some(parent) = node.parent() else {
        return false;
    };
    match parent.kind() {
        "attribute" => parent.child_by_field_name("attribute") != Some(node),
        "keyword_argument" => parent.child_by_field_name("name") != Some(node),
        "call" => parent.child_by_field_name("function") != Some(node),
        "function_definition"
        | "class_definition"
        | "type"
        | "generic_type"
        | "dotted_name"
        | "global_statement"
        | "nonlocal_statement" => false,
        _ => true,
    }
}

/// The kind of a reported leaf: the first letter says number, text, list or object.
fn kind_of_leaf(leaf: &str) -> char {
    match leaf.chars().next() {
        Some('0'..='9' | '-') => '0',
        Some('"' | '\'') => '"',
        Some(first) => first,
        None => ' ',
    }
}

/// Another call or index expression of the same function.
fn other_expressions(drafts: &mut Drafts<'_>, node: Node<'_>) {
    let crash = drafts.crash;
    let expression = matches!(node.kind(), "call" | "subscript" | "attribute");
    let Some(function) = crash
        .function
        .filter(|_| expression && !guard::is_target(node))
    else {
        return;
    };
    if node
        .parent()
        .is_some_and(|parent| matches!(parent.kind(), "call" | "attribute"))
    {
        return;
    }
    let text = crash.text(node);
    let mut tried: Vec<&str> = Vec::new();
    for other in syntax::body_of(function) {
        let donor = crash.text(other);
        let fits = other.kind() == node.kind()
            && donor != text
            && !tried.contains(&donor)
            && !syntax::within(other, node)
            && !syntax::within(node, other)
            && guard::is_repeatable(drafts, other);
        if fits && tried.len() < DONORS_MAX {
            tried.push(donor);
            drafts.add(&rules::DONOR, 1.0, vec![Edit::replace(node, donor)]);
        }
    }
}
