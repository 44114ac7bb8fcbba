//! A variable that no path has set yet, or that nobody knows.

use crate::donors;
use crate::edit::{Drafts, Edit};
use crate::rules;
use crate::syntax;
use tree_sitter::Node;

/// Modules of the standard library whose import is forgotten most.
const MODULES: [&str; 16] = [
    "collections",
    "copy",
    "csv",
    "datetime",
    "functools",
    "itertools",
    "json",
    "logging",
    "math",
    "os",
    "random",
    "re",
    "statistics",
    "string",
    "sys",
    "time",
];

/// Drafts for `UnboundLocalError`.
pub(super) fn draft_unset(drafts: &mut Drafts<'_>) {
    let crash = drafts.crash;
    let quoted = super::quoted_in(crash.message);
    let (Some(name), Some(function)) = (quoted.first(), crash.function) else {
        return;
    };
    let bindings: Vec<Node<'_>> = syntax::body_of(function)
        .into_iter()
        .filter(|node| crate::call::binds(crash.module, *node, name))
        .collect();
    let body = function
        .child_by_field_name("body")
        .map(syntax::named)
        .unwrap_or_default();
    let first = body.get(usize::from(crash.module.docstring(function).is_some()));
    // The name is one of the source's own from here on.
    let Some(own) = bindings
        .iter()
        .find_map(|node| target_named(drafts, *node, name))
    else {
        return;
    };
    let setter = bindings.iter().find_map(|node| {
        let chain: Vec<Node<'_>> = syntax::ancestors(*node).collect();
        body.iter()
            .copied()
            .find(|statement| *statement == *node || chain.contains(statement))
    });
    let places: Vec<Node<'_>> = setter.into_iter().chain(first.copied()).collect();
    for (value, factor) in values(drafts, &bindings) {
        for (index, place) in places.iter().enumerate() {
            let Some(indent) = crash.indentation(*place) else {
                continue;
            };
            let text = format!("{own} = {value}{}{indent}", crash.newline());
            let near = if index == 0 { 1.0 } else { 0.8 };
            let edit = Edit::insert(place.start_byte(), text);
            drafts.add(&rules::INITIALISE, factor * near, vec![edit]);
        }
    }
    let shared = syntax::named(crash.module.root())
        .into_iter()
        .filter_map(|statement| statement.named_child(0))
        .any(|inner| {
            inner.kind() == "assignment"
                && inner
                    .child_by_field_name("left")
                    .map(|left| crash.text(left))
                    == Some(own)
        });
    if let Some((first, indent)) = first
        .filter(|_| shared)
        .and_then(|first| Some((*first, crash.indentation(*first)?)))
    {
        let text = format!("global {own}{}{indent}", crash.newline());
        drafts.add(
            &rules::GLOBAL,
            1.0,
            vec![Edit::insert(first.start_byte(), text)],
        );
    }
}

/// The identifier in a binding that has the name.
fn target_named<'t>(drafts: &Drafts<'t>, binding: Node<'t>, name: &str) -> Option<&'t str> {
    syntax::descendants(binding)
        .into_iter()
        .filter(|node| node.kind() == "identifier")
        .map(|node| drafts.crash.text(node))
        .find(|text| *text == name)
}

/// Values to begin with, by what is assigned and how it is used.
fn values<'t>(drafts: &Drafts<'t>, bindings: &[Node<'t>]) -> Vec<(&'t str, f64)> {
    let crash = drafts.crash;
    let mut found: Vec<(&'t str, f64)> = Vec::new();
    let mut add = |text: &'t str, factor: f64| {
        if !found.iter().any(|(known, _)| *known == text) {
            found.push((text, factor));
        }
    };
    for node in bindings {
        let right = node.child_by_field_name("right");
        if node.kind() == "for_statement" {
            continue;
        }
        if let Some(neutral) = right.and_then(|right| donors::neutral_of(&crash, right)) {
            add(neutral, 1.0);
        }
    }
    for donor in donors::returned(&crash)
        .into_iter()
        .filter(|donor| !donor.text.is_empty())
    {
        let known = ["0", "0.0", "\"\"", "[]", "{}", "()", "False", "None"];
        if let Some(text) = known.into_iter().find(|text| *text == donor.text) {
            add(text, if donor.factor > 0.1 { 0.8 } else { 0.3 });
        }
    }
    add("None", 0.4);
    found
}

/// Drafts for `NameError`.
pub(super) fn draft_unknown(drafts: &mut Drafts<'_>) {
    let crash = drafts.crash;
    let Some(name) = super::quoted_in(crash.message).first().copied() else {
        return;
    };
    if let Some(module) = MODULES.into_iter().find(|module| *module == name) {
        let imports = syntax::named(crash.module.root()).into_iter().find(|node| {
            node.kind() == "import_statement" || node.kind() == "import_from_statement"
        });
        if let Some(first) = imports {
            let text = format!("import {module}{}", crash.newline());
            let edit = Edit::insert(first.start_byte(), text);
            drafts.add(&rules::GLOBAL, 1.4, vec![edit]);
        }
    }
}
