//! A value that does not have the form that is taken apart or parsed.

use crate::donors;
use crate::edit::{Drafts, Edit};
use crate::guard::{self, Fault};
use crate::literal::Literal;
use crate::rules;
use crate::syntax;
use tree_sitter::Node;

/// Drafts for `ValueError` and its kin.
pub(super) fn draft(drafts: &mut Drafts<'_>) {
    let message = drafts.crash.message;
    let unpacks = message.contains("values to unpack");
    let parses = message.contains("invalid literal for int")
        || message.contains("could not convert string to float");
    let is_empty = message.contains("empty") || message.contains("at least one");
    let misses = message.contains("not in list") || message.contains("not found");
    for node in drafts.crash.nodes() {
        match node.kind() {
            "assignment" | "for_statement" if unpacks => unpack(drafts, node),
            "call" if parses => parse(drafts, node),
            "call" if is_empty => empty(drafts, node),
            "call" if misses => missing(drafts, node),
            "call" if message.contains("math domain") => domain(drafts, node),
            _ => {}
        }
    }
}

/// The arguments of a call, if it is of a function or method of this name.
fn arguments<'t>(drafts: &Drafts<'t>, call: Node<'t>, names: &[&str]) -> Option<Vec<Node<'t>>> {
    let function = call.child_by_field_name("function")?;
    let arguments = call.child_by_field_name("arguments")?;
    let name = drafts.crash.text(function).rsplit('.').next()?;
    (names.contains(&name) && arguments.kind() == "argument_list").then(|| syntax::named(arguments))
}

/// `a, b = text.split(sep)` with another number of parts.
fn unpack(drafts: &mut Drafts<'_>, node: Node<'_>) {
    let crash = drafts.crash;
    let (Some(left), Some(right)) = (
        node.child_by_field_name("left"),
        node.child_by_field_name("right"),
    ) else {
        return;
    };
    let parts = syntax::named(left).len();
    if !matches!(left.kind(), "pattern_list" | "tuple_pattern") || parts < 2 {
        return;
    }
    let (items, count) = (crash.text(right), format!("{parts}"));
    if node.kind() == "assignment" {
        let fault = Fault {
            node: right,
            about: right,
            bad: format!("len({items}) != {count}"),
            good: format!("len({items}) == {count}"),
            factor: 0.8,
        };
        guard::guard(drafts, &fault);
    }
    let Some(given) = arguments(drafts, right, &["split", "rsplit"]) else {
        return;
    };
    let many = crash.message.contains("too many");
    if let [separator] = given.as_slice() {
        let limit = format!(", {}", parts - 1);
        let edit = Edit::insert(separator.end_byte(), limit);
        drafts.add(
            &rules::SPLIT_LIMIT,
            if many { 1.0 } else { 0.1 },
            vec![edit.clone()],
        );
        let method = right
            .child_by_field_name("function")
            .and_then(|function| function.child_by_field_name("attribute"));
        if let Some(method) = method {
            let from_the_end = Edit::replace(method, "rsplit");
            let edits = vec![edit, from_the_end];
            drafts.add(&rules::SPLIT_LIMIT, if many { 0.8 } else { 0.1 }, edits);
            if parts == 2 {
                let edits = vec![
                    Edit::replace(method, "partition"),
                    Edit::insert(right.end_byte(), "[::2]"),
                ];
                drafts.add(&rules::PARTITION, if many { 0.5 } else { 1.0 }, edits);
            }
        }
    }
}

/// `int(text)` and `float(text)` of a text in another form.
fn parse(drafts: &mut Drafts<'_>, node: Node<'_>) {
    let crash = drafts.crash;
    let Some(given) = arguments(drafts, node, &["int", "float"]) else {
        return;
    };
    let [text] = given.as_slice() else {
        return;
    };
    let value = crash
        .message
        .split_once(": ")
        .map(|(_, value)| Literal::parse(value));
    let Some(Ok(Literal::Str(value))) = value else {
        return;
    };
    let name = crash.text(*text);
    let leaf = crash.leaf(name).and_then(|leaf| Literal::parse(leaf).ok());
    let factor = match leaf {
        Some(leaf) if leaf == Literal::Str(value.clone()) => 1.0,
        Some(_) => return,
        None => 0.9,
    };
    let plain = value.trim();
    if plain.is_empty() {
        let fault = Fault {
            node,
            about: *text,
            bad: format!("not {name}.strip()"),
            good: format!("{name}.strip()"),
            factor,
        };
        guard::guard(drafts, &fault);
    }
    let is_number = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
    let mut add = |form: String, factor: f64| {
        drafts.add(&rules::PARSE_FORM, factor, vec![Edit::replace(*text, form)]);
    };
    for mark in [",", "_", " ", "$", "€", "%", "£"] {
        let plain = plain.replace(mark, "");
        if value.contains(mark) && is_number(plain.trim()) {
            add(format!("{name}.replace(\"{mark}\", \"\")"), factor);
        }
    }
    if is_number(&plain.replace(',', ".")) && value.contains(',') {
        add(format!("{name}.replace(\",\", \".\")"), 0.9 * factor);
    }
    if is_number(plain) && plain.contains(['.', 'e']) {
        add(format!("float({name})"), factor);
    }
    for mark in ["#", ";", "/", "-"] {
        let first = plain.split(mark).next().unwrap_or_default();
        if value.contains(mark) && !first.is_empty() && is_number(first.trim()) {
            add(format!("{name}.split(\"{mark}\")[0]"), 0.6 * factor);
        }
    }
}

/// `max`, `min`, `mean` of nothing.
fn empty(drafts: &mut Drafts<'_>, node: Node<'_>) {
    let crash = drafts.crash;
    let function = node
        .child_by_field_name("function")
        .map_or("", |node| crash.text(node));
    let Some(given) = node.child_by_field_name("arguments") else {
        return;
    };
    if matches!(function, "max" | "min") {
        for donor in donors::in_place(&crash, node) {
            let default = format!("default={}", donor.text);
            if let Some(edit) = guard::one_more(drafts, given, &default) {
                drafts.add_as(
                    &rules::DEFAULT_ARGUMENT,
                    donor.factor,
                    donor.class,
                    vec![edit],
                );
            }
        }
    }
    let names = ["max", "min", "mean", "median", "fmean", "mode", "choice"];
    let Some(items) = arguments(drafts, node, &names).and_then(|given| given.first().copied())
    else {
        return;
    };
    let text = crash.text(items);
    let fault = Fault {
        node,
        about: items,
        bad: format!("not {text}"),
        good: text.to_owned(),
        factor: 0.9,
    };
    guard::guard(drafts, &fault);
}

/// `remove` and `index` of what is not there.
fn missing(drafts: &mut Drafts<'_>, node: Node<'_>) {
    let crash = drafts.crash;
    let Some(given) = arguments(drafts, node, &["remove", "index", "rindex"]) else {
        return;
    };
    let function = node.child_by_field_name("function");
    let object = function.and_then(|function| function.child_by_field_name("object"));
    let method = function.and_then(|function| function.child_by_field_name("attribute"));
    let (Some(item), Some(object), Some(method)) = (given.first(), object, method) else {
        return;
    };
    let (item, items) = (crash.text(*item), crash.text(object));
    let fault = Fault {
        node,
        about: node,
        bad: format!("{item} not in {items}"),
        good: format!("{item} in {items}"),
        factor: 0.9,
    };
    // The guard asks only whether it is there, so the removing call itself is not repeated.
    let fault = Fault {
        about: object,
        ..fault
    };
    guard::guard(drafts, &fault);
    if crash.message.contains("not found") {
        let name = crash.text(method).replace("index", "find");
        drafts.add(&rules::FIND, 1.0, vec![Edit::replace(method, name)]);
    }
}

/// `sqrt` and `log` of what has none.
fn domain(drafts: &mut Drafts<'_>, node: Node<'_>) {
    let crash = drafts.crash;
    let Some(given) = arguments(drafts, node, &["sqrt", "log", "log10", "log2"]) else {
        return;
    };
    let Some(number) = given.first() else {
        return;
    };
    let function = node
        .child_by_field_name("function")
        .map_or("", |node| crash.text(node));
    let text = crash.text(*number);
    let (bad, good) = if function.ends_with("sqrt") {
        ("<", ">=")
    } else {
        ("<=", ">")
    };
    let fault = Fault {
        node,
        about: *number,
        bad: format!("{text} {bad} 0"),
        good: format!("{text} {good} 0"),
        factor: 0.9,
    };
    guard::guard(drafts, &fault);
}
