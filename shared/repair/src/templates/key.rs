//! A key that a mapping does not have.

use crate::donors;
use crate::edit::{Drafts, Edit};
use crate::guard::{self, Fault};
use crate::literal::Literal;
use crate::rules;
use crate::syntax;
use kintsugi_domain::job::FixClass;
use serde_json::Value;
use tree_sitter::Node;

/// A way to write a text: the source of it, and what it does.
type Form = (&'static str, fn(&str) -> String);

/// Ways to write a text.
const FORMS: [Form; 6] = [
    (".strip()", |text| text.trim().to_owned()),
    (".lower()", str::to_lowercase),
    (".upper()", str::to_uppercase),
    (".strip().lower()", |text| text.trim().to_lowercase()),
    (".strip().upper()", |text| text.trim().to_uppercase()),
    (".capitalize()", |text| {
        let mut characters = text.chars();
        let first = characters
            .next()
            .map(|first| first.to_uppercase().to_string());
        first.unwrap_or_default() + &characters.as_str().to_lowercase()
    }),
];
/// Keys under which mappings keep the entry for all others.
const OTHERS: [&str; 7] = [
    "default", "other", "others", "unknown", "*", "misc", "fallback",
];

/// Drafts for `KeyError`.
pub(super) fn draft(drafts: &mut Drafts<'_>) {
    for node in drafts.crash.nodes() {
        match node.kind() {
            "subscript" => subscript(drafts, node),
            "call" => removal(drafts, node),
            _ => {}
        }
    }
}

fn subscript(drafts: &mut Drafts<'_>, node: Node<'_>) {
    let crash = drafts.crash;
    let (Some(mapping), Some(key)) = (
        node.child_by_field_name("value"),
        node.child_by_field_name("subscript"),
    ) else {
        return;
    };
    let Some(factor) = likelihood(drafts, key).filter(|_| key.kind() != "slice") else {
        return;
    };
    let (map, name) = (crash.text(mapping), crash.text(key));
    let entries = entries_of(drafts, mapping);
    forms(drafts, key, &entries, factor);
    start(drafts, node, map, name, factor);
    let deleted = node
        .parent()
        .filter(|parent| parent.kind() == "delete_statement");
    if let Some(statement) = deleted.filter(|parent| parent.named_child_count() == 1) {
        let edit = Edit::replace(statement, format!("{map}.pop({name}, None)"));
        drafts.add(&rules::KEY_REMOVE, factor, vec![edit]);
    }
    if !guard::is_target(node) {
        for entry in entries
            .iter()
            .filter(|entry| OTHERS.contains(&entry.as_str()))
        {
            let other = crate::literal::quoted(entry);
            let edit = Edit::replace(node, format!("{map}.get({name}, {map}[{other}])"));
            drafts.add(&rules::KEY_OTHER, factor, vec![edit]);
        }
        for donor in donors::in_place(&crash, node) {
            let edit = Edit::replace(node, format!("{map}.get({name}, {})", donor.text));
            drafts.add_as(
                &rules::KEY_GET,
                factor * donor.factor,
                donor.class,
                vec![edit],
            );
        }
        let edit = Edit::replace(node, format!("{map}.get({name})"));
        drafts.add_as(
            &rules::KEY_GET,
            factor * 0.15,
            FixClass::Suppresses,
            vec![edit],
        );
    }
    let fault = Fault {
        node,
        about: node,
        bad: format!("{name} not in {map}"),
        good: format!("{name} in {map}"),
        factor: 0.7 * factor,
    };
    guard::guard(drafts, &fault);
}

/// How likely a key was the missing one; nothing where the report says it was another.
fn likelihood(drafts: &Drafts<'_>, key: Node<'_>) -> Option<f64> {
    let text = drafts.crash.text(key);
    let known = match key.kind() {
        "string" | "integer" => Some(text),
        "identifier" => drafts.crash.leaf(text),
        _ => None,
    };
    let missing = Literal::parse(drafts.crash.message);
    match (known.map(Literal::parse), missing) {
        (Some(Ok(known)), Ok(missing)) => (known == missing).then_some(1.0),
        _ => Some(0.8),
    }
}

/// The keys that a mapping has, as text: as reported, or as the file writes them.
fn entries_of(drafts: &Drafts<'_>, mapping: Node<'_>) -> Vec<String> {
    let name = drafts.crash.text(mapping);
    if let Some(Value::Object(members)) = drafts.crash.vars.get(name) {
        return members.keys().cloned().collect();
    }
    let assigned = syntax::named(drafts.crash.module.root())
        .into_iter()
        .filter_map(|statement| statement.named_child(0))
        .filter(|inner| inner.kind() == "assignment")
        .find(|inner| {
            inner
                .child_by_field_name("left")
                .is_some_and(|left| drafts.crash.text(left) == name)
        });
    let Some(literal) = assigned.and_then(|inner| inner.child_by_field_name("right")) else {
        return Vec::new();
    };
    syntax::named(literal)
        .into_iter()
        .filter_map(|pair| pair.child_by_field_name("key"))
        .filter_map(|key| match Literal::parse(drafts.crash.text(key)) {
            Ok(Literal::Str(text) | Literal::Int(text)) => Some(text),
            _ => None,
        })
        .collect()
}

/// The key in the form that the mapping has it in. Where the mapping's keys are known, only forms that
/// are among them; a report prints all keys as text, so a key that is there after all has another type.
fn forms(drafts: &mut Drafts<'_>, key: Node<'_>, entries: &[String], factor: f64) {
    let crash = drafts.crash;
    if !matches!(
        key.kind(),
        "identifier" | "attribute" | "subscript" | "call"
    ) {
        return;
    }
    let text = crash.text(key);
    let mut add = |form: String, factor: f64| {
        drafts.add(&rules::KEY_FORM, factor, vec![Edit::replace(key, form)]);
    };
    match Literal::parse(crash.message) {
        Ok(Literal::Str(missing)) => {
            let is_there = |key: &str| entries.iter().any(|entry| entry == key);
            if is_there(&missing) {
                add(format!("int({text})"), factor);
            }
            for (form, apply) in FORMS {
                let changed = apply(&missing);
                if changed != missing && (entries.is_empty() || is_there(&changed)) {
                    let known = if entries.is_empty() { 0.3 } else { 1.0 };
                    add(format!("{text}{form}"), factor * known);
                }
            }
        }
        Ok(Literal::Int(missing)) if entries.contains(&missing) => {
            add(format!("str({text})"), factor);
        }
        Ok(_) | Err(_) => {}
    }
}

/// An entry that begins with the neutral element of what is done to it.
fn start(drafts: &mut Drafts<'_>, node: Node<'_>, map: &str, name: &str, factor: f64) {
    let crash = drafts.crash;
    let Some(parent) = node.parent() else {
        return;
    };
    let field = |field: &str| {
        parent
            .child_by_field_name(field)
            .map(|child| crash.text(child))
    };
    match parent.kind() {
        "augmented_assignment" if guard::is_target(node) => {
            let (Some(sign), Some(right)) =
                (field("operator"), parent.child_by_field_name("right"))
            else {
                return;
            };
            let sign = sign.trim_end_matches('=');
            let neutral = match (sign, donors::neutral_of(&crash, right)) {
                ("+", known) => known.unwrap_or("0"),
                ("-", _) => "0",
                ("|", _) => "set()",
                ("*", _) => "1",
                _ => return,
            };
            let text = format!(
                "{map}[{name}] = {map}.get({name}, {neutral}) {sign} {}",
                crash.text(right)
            );
            drafts.add(&rules::KEY_START, factor, vec![Edit::replace(parent, text)]);
        }
        "attribute" => {
            let first = match field("attribute") {
                Some("append" | "extend" | "insert") => "[]",
                Some("add" | "discard") => "set()",
                Some("update" | "setdefault") => "{}",
                Some(_) | None => return,
            };
            let edit = Edit::replace(node, format!("{map}.setdefault({name}, {first})"));
            drafts.add(&rules::KEY_START, factor, vec![edit]);
        }
        "subscript" if guard::is_target(parent) => {
            let edit = Edit::replace(node, format!("{map}.setdefault({name}, {{}})"));
            drafts.add(&rules::KEY_START, factor, vec![edit]);
        }
        _ => {}
    }
}

/// `remove` of a set and `pop` of a mapping.
fn removal(drafts: &mut Drafts<'_>, node: Node<'_>) {
    let crash = drafts.crash;
    let parts = node
        .child_by_field_name("function")
        .zip(node.child_by_field_name("arguments"));
    let Some((function, arguments)) = parts.filter(|(function, _)| function.kind() == "attribute")
    else {
        return;
    };
    let only = syntax::named(arguments);
    let (Some(method), [key]) = (function.child_by_field_name("attribute"), only.as_slice()) else {
        return;
    };
    let Some(factor) = likelihood(drafts, *key) else {
        return;
    };
    match crash.text(method) {
        "remove" => {
            let edit = Edit::replace(method, "discard");
            drafts.add(&rules::KEY_REMOVE, factor, vec![edit]);
        }
        "pop" => {
            let unused = node
                .parent()
                .is_some_and(|parent| parent.kind() == "expression_statement");
            let donors = donors::in_place(&crash, node);
            let known = donors
                .iter()
                .map(|donor| (donor.text.as_str(), donor.factor));
            let none = ("None", if unused { 1.0 } else { 0.3 });
            for (value, fit) in known.chain([none]) {
                let edit = Edit::insert(key.end_byte(), format!(", {value}"));
                drafts.add(&rules::KEY_REMOVE, factor * fit, vec![edit]);
            }
        }
        _ => {}
    }
}
