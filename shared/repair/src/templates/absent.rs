//! A value that is absent (`None`), or of another type than its use asks for.

use crate::call;
use crate::donors;
use crate::edit::{Drafts, Edit};
use crate::guard::{self, Fault};
use crate::hint::Hint;
use crate::rules;
use crate::syntax;
use tree_sitter::Node;

/// Drafts for `AttributeError` and `TypeError`.
pub(super) fn draft(drafts: &mut Drafts<'_>) {
    let message = drafts.crash.message;
    if message.contains("NoneType") {
        let mut seen = Vec::new();
        for node in drafts.crash.nodes() {
            for (object, expression, factor) in users(drafts, node) {
                if !seen.contains(&(object.id(), expression.id())) {
                    seen.push((object.id(), expression.id()));
                    absent(drafts, object, expression, factor);
                }
            }
        }
        return;
    }
    if drafts.crash.kind == "AttributeError" {
        attribute(drafts);
    } else {
        convert(drafts);
    }
}

/// The expressions that a node uses in a way that `None` does not stand, each with what fails then.
fn users<'t>(drafts: &Drafts<'t>, node: Node<'t>) -> Vec<(Node<'t>, Node<'t>, f64)> {
    let crash = drafts.crash;
    let message = crash.message;
    let field = |name: &str| node.child_by_field_name(name);
    let mut found: Vec<(Option<Node<'t>>, Node<'t>)> = Vec::new();
    match node.kind() {
        "attribute" if message.contains("has no attribute") => {
            let named = super::quoted_in(message).last().copied();
            if field("attribute").map(|name| crash.text(name)) == named {
                // The call of the method fails with the method.
                let whole = node.parent().filter(|parent| parent.kind() == "call");
                found.push((field("object"), whole.unwrap_or(node)));
            }
        }
        "subscript" if message.contains("subscriptable") || message.contains("item assignment") => {
            found.push((field("value"), node));
        }
        "binary_operator" | "augmented_assignment"
            if message.contains("operand") || message.contains("concatenate") =>
        {
            found.push((field("left"), node));
            found.push((field("right"), node));
        }
        "comparison_operator"
            if message.contains("not supported") || message.contains("iterable") =>
        {
            found.extend(
                syntax::named(node)
                    .into_iter()
                    .map(|side| (Some(side), node)),
            );
        }
        "for_statement" | "for_in_clause" if message.contains("iterable") => {
            found.extend(field("right").map(|right| (Some(right), right)));
        }
        "call" => {
            let takes = message.contains("argument")
                || message.contains("has no len")
                || message.contains("iterable")
                || message.contains("expected");
            if let Some(arguments) = field("arguments").filter(|_| takes) {
                found.extend(
                    syntax::named(arguments)
                        .into_iter()
                        .map(|given| (Some(given), node)),
                );
            }
        }
        _ => {}
    }
    found
        .into_iter()
        .filter_map(|(object, expression)| {
            let object = object?;
            let plain = matches!(
                object.kind(),
                "identifier" | "attribute" | "subscript" | "call"
            );
            let factor = match crash.is_none(crash.text(object)) {
                Some(true) => 1.0,
                Some(false) => return None,
                None => 0.8,
            };
            plain.then_some((object, expression, factor))
        })
        .collect()
}

/// The fixes for one absent value.
fn absent(drafts: &mut Drafts<'_>, object: Node<'_>, node: Node<'_>, factor: f64) {
    let crash = drafts.crash;
    let text = crash.text(object);
    let neutral = donors::by_use(&crash, object).filter(|neutral| *neutral != "None");
    let fault = Fault {
        node,
        about: object,
        bad: format!("{text} is None"),
        good: format!("{text} is not None"),
        factor,
    };
    guard::guard(drafts, &fault);
    parameter(drafts, text, neutral, factor);
    let Some(neutral) = neutral else {
        return;
    };
    if !guard::is_target(object) {
        let edit = Edit::replace(
            object,
            guard::bracketed(object, &format!("{text} or {neutral}")),
        );
        drafts.add(&rules::OR_VALUE, factor, vec![edit]);
    }
    let given = object.child_by_field_name("arguments").map(syntax::named);
    let function = object.child_by_field_name("function");
    let gets = function.is_some_and(|function| donors::is_method(crash.text(function), "get"));
    if let Some([key]) = given.as_deref().filter(|_| gets) {
        let edit = Edit::insert(key.end_byte(), format!(", {neutral}"));
        drafts.add(&rules::GET_VALUE, factor, vec![edit]);
    }
}

/// `if p is None: p = value` as the first statement, for a parameter.
fn parameter(drafts: &mut Drafts<'_>, name: &str, neutral: Option<&str>, factor: f64) {
    let crash = drafts.crash;
    let Some(function) = crash.function else {
        return;
    };
    let parameters = call::parameters(crash.module, function).unwrap_or_default();
    let Some(parameter) = parameters
        .into_iter()
        .find(|parameter| parameter.name == name)
    else {
        return;
    };
    let hint = Hint::read(&parameter.hint);
    let value = hint.neutral().filter(|value| *value != "None").or(neutral);
    let body = function
        .child_by_field_name("body")
        .map(syntax::named)
        .unwrap_or_default();
    let documented = crash.module.docstring(function).is_some();
    let first = body.get(usize::from(documented));
    if let (Some(value), Some(first)) = (value, first) {
        let head = format!("if {name} is None:");
        if let Some(edit) = crash.before(*first, &head, &format!("{name} = {value}")) {
            drafts.add(&rules::PARAMETER_DEFAULT, factor, vec![edit]);
        }
    }
}

/// Another attribute of the file with almost the same name.
fn attribute(drafts: &mut Drafts<'_>) {
    let crash = drafts.crash;
    let quoted = super::quoted_in(crash.message);
    let Some(missing) = quoted.last().copied() else {
        return;
    };
    let known: Vec<&str> = syntax::descendants(crash.module.root())
        .into_iter()
        .filter_map(|node| match node.kind() {
            "attribute" => node.child_by_field_name("attribute"),
            "function_definition" => node.child_by_field_name("name"),
            _ => None,
        })
        .map(|node| crash.text(node))
        .chain([
            "append", "add", "items", "strip", "extend", "update", "lower", "split",
        ])
        .filter(|name| *name != missing)
        .collect();
    for node in crash.nodes() {
        let Some(name) = node.child_by_field_name("attribute") else {
            continue;
        };
        if crash.text(name) != missing {
            continue;
        }
        let mut tried: Vec<&str> = Vec::new();
        for other in &known {
            let distance = distance(missing, other);
            let swaps = matches!((missing, *other), ("add", "append") | ("append", "add"));
            if (distance <= 2 && missing.len() > 3 || swaps) && !tried.contains(other) {
                tried.push(other);
                let factor = if distance <= 1 { 1.0 } else { 0.8 };
                drafts.add(&rules::ATTRIBUTE, factor, vec![Edit::replace(name, *other)]);
            }
        }
        let Some(object) = node
            .child_by_field_name("object")
            .map(|object| crash.text(object))
        else {
            continue;
        };
        if quoted.first() == Some(&"dict") {
            let edit = Edit::replace(node, format!("{object}[\"{}\"]", crash.text(name)));
            drafts.add(&rules::ATTRIBUTE, 1.2, vec![edit]);
        }
    }
}

/// `str(x)`, `int(x)`, `float(x)` where text and numbers meet.
fn convert(drafts: &mut Drafts<'_>) {
    let crash = drafts.crash;
    let meets = [
        "concatenate",
        "operand",
        "not supported",
        "sequence item",
        "interpreted as",
    ];
    if !meets.iter().any(|part| crash.message.contains(part)) {
        return;
    }
    for node in crash.nodes() {
        let sides = match node.kind() {
            "binary_operator" | "augmented_assignment" => {
                let sides = [
                    node.child_by_field_name("left"),
                    node.child_by_field_name("right"),
                ];
                sides.into_iter().flatten().collect()
            }
            "comparison_operator" | "argument_list" => syntax::named(node),
            _ => continue,
        };
        for side in sides {
            let text = crash.text(side);
            let plain = matches!(
                side.kind(),
                "identifier" | "attribute" | "subscript" | "call"
            );
            if !plain {
                continue;
            }
            // In an augmented assignment the left side is where the result goes.
            let target = guard::is_target(side);
            let reported = crash.leaf(text).and_then(|leaf| leaf.chars().next());
            let is_text = reported.map(|first| first == '\'' || first == '"');
            for (function, of_text) in [("str", false), ("int", true), ("float", true)] {
                let fits = is_text.is_none_or(|is_text| is_text == of_text);
                if fits && !target {
                    let factor = match (is_text, function) {
                        (Some(_), "str" | "int") => 1.0,
                        (Some(_), _) => 0.6,
                        (None, _) => 0.5,
                    };
                    let edit = Edit::replace(side, format!("{function}({text})"));
                    drafts.add(&rules::CONVERT, factor, vec![edit]);
                }
            }
        }
        if node.kind() == "argument_list"
            && crash.message.contains("sequence item")
            && let [only] = syntax::named(node).as_slice()
        {
            let edit = Edit::replace(*only, format!("map(str, {})", crash.text(*only)));
            drafts.add(&rules::CONVERT, 1.2, vec![edit]);
        }
    }
}

/// How many letters differ, at most 3 (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut next = vec![line + 1];
        for (index, known) in other.iter().enumerate() {
            let above = row.get(index + 1).copied().unwrap_or(3);
            let diagonal = row.get(index).copied().unwrap_or(3);
            let left = next.last().copied().unwrap_or(3);
            let change = diagonal + usize::from(*known != letter);
            next.push(change.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(3).min(3)
}
