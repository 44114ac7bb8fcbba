//! Values to put where there is none: documented ones, those the neighbourhood uses, neutral ones.
//!
//! Each carries its factor and its class: a documented value corrects, a value by type or by example
//! guards, `None` suppresses, unless `None` is documented.

use crate::call;
use crate::edit::Crash;
use crate::hint::Hint;
use crate::syntax;
use kintsugi_domain::job::FixClass;
use tree_sitter::Node;

/// A value as source text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Donor {
    /// The text; empty for a bare `return`.
    pub(crate) text: String,
    /// How well it fits, 0 to 1.
    pub(crate) factor: f64,
    /// What using it does.
    pub(crate) class: FixClass,
}

/// The docstring names the value for a condition.
const DOCUMENTED: f64 = 1.0;
/// The function returns it elsewhere.
const OWN: f64 = 0.75;
/// A guard in the same file returns it.
const NEIGHBOUR: f64 = 0.7;
/// It changes nothing, by the annotation.
const NEUTRAL: f64 = 0.65;
/// It changes nothing, by how it is used.
const GUESSED: f64 = 0.5;
/// Nothing at all.
const NOTHING: f64 = 0.04;

/// Values for an early return from the function around a crash, best first.
pub(crate) fn returned(crash: &Crash<'_>) -> Vec<Donor> {
    let Some(function) = crash.function else {
        return Vec::new();
    };
    let mut donors = Donors::default();
    let hint = function
        .child_by_field_name("return_type")
        .map(|node| Hint::read(crash.text(node)));
    let fits = |text: &str| hint.as_ref().is_none_or(|hint| hint.takes(text));
    let gives_nothing = hint.as_ref().is_some_and(|hint| hint.name == "none");
    if call::is_generator(function) || gives_nothing {
        donors.add("", GUESSED, FixClass::Guards);
        return donors.found;
    }
    for text in documented(crash).iter().filter(|text| fits(text)) {
        donors.add(text, DOCUMENTED, FixClass::Corrects);
    }
    let returns = return_values(function);
    if hint.is_none() && returns.is_empty() {
        donors.add("", GUESSED, FixClass::Guards);
        return donors.found;
    }
    let literal = |node: &Node<'_>| is_constant(*node).then(|| crash.text(*node));
    for text in returns.iter().filter_map(literal).filter(|text| fits(text)) {
        let class = if text == "None" {
            FixClass::Suppresses
        } else {
            FixClass::Guards
        };
        donors.add(text, OWN, class);
    }
    for text in neighbours(crash)
        .into_iter()
        .filter(|text| hint.is_some() && fits(text))
    {
        donors.add(text, NEIGHBOUR, FixClass::Guards);
    }
    match hint.as_ref().and_then(Hint::neutral) {
        Some("None") => donors.add("None", GUESSED, FixClass::Guards),
        Some(text) => donors.add(text, NEUTRAL, FixClass::Guards),
        None => {
            for value in &returns {
                if let Some(text) = neutral_of(crash, *value) {
                    donors.add(text, GUESSED, FixClass::Guards);
                }
            }
        }
    }
    donors.add("None", NOTHING, FixClass::Suppresses);
    donors.found
}

/// Values for an expression in place, best first.
pub(crate) fn in_place(crash: &Crash<'_>, node: Node<'_>) -> Vec<Donor> {
    let parent = node.parent();
    if parent.is_some_and(|parent| parent.kind() == "return_statement") {
        return returned(crash)
            .into_iter()
            .filter(|donor| !donor.text.is_empty())
            .collect();
    }
    let mut donors = Donors::default();
    let annotation = parent.and_then(|parent| parent.child_by_field_name("type"));
    let neutral = annotation.and_then(|node| Hint::read(crash.text(node)).neutral());
    if let Some(text) = neutral {
        donors.add(text, NEUTRAL, FixClass::Guards);
    }
    let is_whole = parent.is_none_or(|parent| parent.kind() != "binary_operator");
    for text in documented(crash) {
        let number = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
        if is_whole || number {
            donors.add(&text, 0.9 * DOCUMENTED, FixClass::Guards);
        }
    }
    if let Some(text) = by_use(crash, node).or_else(|| neutral_of(crash, node)) {
        donors.add(text, GUESSED, FixClass::Guards);
    }
    donors.found
}

/// The neutral value for how a value is used: what is added to a number is a number.
pub(crate) fn by_use(crash: &Crash<'_>, node: Node<'_>) -> Option<&'static str> {
    let mut at = node;
    while let Some(parent) = at.parent() {
        match parent.kind() {
            "parenthesized_expression" => at = parent,
            "binary_operator" => {
                let other = syntax::named(parent).into_iter().find(|side| *side != at)?;
                return neutral_of(crash, other).or(Some("0"));
            }
            "augmented_assignment" => {
                let right = parent.child_by_field_name("right")?;
                return neutral_of(crash, right).or(Some("0"));
            }
            "for_statement" | "for_in_clause" | "list_splat" => return Some("()"),
            "comparison_operator" => {
                let other = syntax::named(parent).into_iter().find(|side| *side != at)?;
                return neutral_of(crash, other);
            }
            "interpolation" => return Some("\"\""),
            "attribute" => {
                let attribute = parent.child_by_field_name("attribute")?;
                return by_method(crash.text(attribute));
            }
            "argument_list" => {
                let call = parent.parent()?;
                let function = call.child_by_field_name("function")?;
                return match crash.text(function) {
                    "sum" | "len" | "sorted" | "list" | "tuple" | "set" | "max" | "min" | "any"
                    | "all" | "enumerate" | "zip" | "map" | "filter" | "iter" => Some("()"),
                    "int" | "float" | "abs" | "round" | "range" | "divmod" => Some("0"),
                    "dict" => Some("{}"),
                    text if is_method(text, "join") => Some("()"),
                    _ => None,
                };
            }
            _ => return None,
        }
    }
    None
}

/// Whether the function of a call is a method of this name.
pub(crate) fn is_method(function: &str, name: &str) -> bool {
    function
        .rsplit_once('.')
        .is_some_and(|(_, method)| method == name)
}

/// The neutral value of the type that has a method of this name.
fn by_method(name: &str) -> Option<&'static str> {
    match name {
        "strip" | "lower" | "upper" | "split" | "startswith" | "endswith" | "replace" | "title"
        | "splitlines" | "partition" | "rstrip" | "lstrip" | "format" | "casefold" | "encode"
        | "isdigit" | "join" => Some("\"\""),
        "items" | "keys" | "values" | "get" => Some("{}"),
        "append" | "extend" | "sort" | "insert" => Some("[]"),
        _ => None,
    }
}

/// The neutral value of an expression's own type, as far as its form shows it.
pub(crate) fn neutral_of(crash: &Crash<'_>, node: Node<'_>) -> Option<&'static str> {
    match node.kind() {
        "integer" | "unary_operator" => Some("0"),
        "float" => Some("0.0"),
        "string" | "concatenated_string" => Some("\"\""),
        "list" | "list_comprehension" => Some("[]"),
        "dictionary" | "dictionary_comprehension" => Some("{}"),
        "set" | "set_comprehension" => Some("set()"),
        "tuple" => Some("()"),
        "true" | "false" | "comparison_operator" | "not_operator" => Some("False"),
        "parenthesized_expression" => neutral_of(crash, node.named_child(0)?),
        "binary_operator" => {
            let sides = [
                node.child_by_field_name("left")?,
                node.child_by_field_name("right")?,
            ];
            let known = sides.into_iter().find_map(|side| neutral_of(crash, side));
            let sign = node
                .child_by_field_name("operator")
                .map(|sign| crash.text(sign));
            known.or((sign != Some("+")).then_some("0"))
        }
        "call" => match crash.text(node.child_by_field_name("function")?) {
            "len" | "int" | "sum" | "abs" | "round" => Some("0"),
            "float" => Some("0.0"),
            "str" | "repr" => Some("\"\""),
            "list" | "sorted" => Some("[]"),
            "dict" => Some("{}"),
            "set" => Some("set()"),
            "bool" | "any" | "all" => Some("False"),
            text if is_method(text, "join") || is_method(text, "strip") => Some("\"\""),
            _ => None,
        },
        "identifier" => {
            let leaf = crash.leaf(crash.text(node))?;
            match leaf.chars().next()? {
                '0'..='9' | '-' if leaf.contains('.') => Some("0.0"),
                '0'..='9' | '-' => Some("0"),
                '\'' | '"' => Some("\"\""),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The values that functions return.
fn return_values(function: Node<'_>) -> Vec<Node<'_>> {
    syntax::body_of(function)
        .into_iter()
        .filter(|node| node.kind() == "return_statement")
        .filter_map(|node| node.named_child(0))
        .collect()
}

fn is_constant(node: Node<'_>) -> bool {
    match node.kind() {
        "integer" | "float" | "string" | "true" | "false" | "none" => true,
        "list" | "dictionary" | "tuple" => node.named_child_count() == 0,
        "unary_operator" => node
            .child_by_field_name("argument")
            .is_some_and(is_constant),
        _ => false,
    }
}

/// What guards of other functions in the file return.
fn neighbours<'t>(crash: &Crash<'t>) -> Vec<&'t str> {
    let mut found = Vec::new();
    for node in syntax::descendants(crash.module.root()) {
        if node.kind() != "if_statement" {
            continue;
        }
        let Some(body) = node.child_by_field_name("consequence") else {
            continue;
        };
        let only = syntax::named(body);
        let [statement] = only.as_slice() else {
            continue;
        };
        let value = statement.named_child(0).filter(|value| is_constant(*value));
        if let Some(value) = value.filter(|_| statement.kind() == "return_statement") {
            found.push(crash.text(value));
        }
    }
    found.retain(|text| *text != "None");
    found
}

/// Values that the docstring names for a condition: “0 when nothing was sold”, “otherwise `None`”.
fn documented(crash: &Crash<'_>) -> Vec<String> {
    let text = crash
        .function
        .and_then(|function| crash.module.docstring(function));
    text.map(documented_in).unwrap_or_default()
}

fn documented_in(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let plain = |word: &str| {
        word.trim_matches(|next: char| "`*;,:()".contains(next))
            .trim_end_matches('.')
            .to_ascii_lowercase()
    };
    let mut found: Vec<String> = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let next = words
            .get(index + 1)
            .map(|next| plain(next))
            .unwrap_or_default();
        let before = index.checked_sub(1).and_then(|index| words.get(index));
        let before = before.map(|before| plain(before)).unwrap_or_default();
        let conditional = matches!(
            next.as_str(),
            "when" | "if" | "for" | "without" | "where" | "unless"
        );
        let alternative = matches!(before.as_str(), "otherwise" | "else");
        if !conditional && !alternative {
            continue;
        }
        // Brackets of an empty list are part of the value, so they are kept here.
        let bare = word
            .trim_end_matches(['.', ',', ';', ':'])
            .trim_matches(|next: char| "`*".contains(next));
        if let Some(value) = value_of(bare, &before).filter(|value| !found.contains(value)) {
            found.push(value);
        }
    }
    found
}

/// A word of a docstring as a value.
fn value_of(word: &str, before: &str) -> Option<String> {
    let text = match word {
        "zero" => "0",
        "nothing" | "none" => "None",
        "true" => "True",
        "false" => "False",
        "string" | "text" | "str" if before == "empty" => "\"\"",
        "list" if before == "empty" => "[]",
        "dict" | "dictionary" | "mapping" if before == "empty" => "{}",
        "tuple" if before == "empty" => "()",
        "set" if before == "empty" => "set()",
        word => word,
    };
    if text == "set()" {
        return Some(text.to_owned());
    }
    crate::literal::Literal::parse(text)
        .ok()
        .map(|literal| literal.write())
}

#[derive(Default)]
struct Donors {
    found: Vec<Donor>,
}

impl Donors {
    fn add(&mut self, text: &str, factor: f64, class: FixClass) {
        if !self.found.iter().any(|donor| donor.text == text) {
            self.found.push(Donor {
                text: text.to_owned(),
                factor,
                class,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docstrings_name_values_for_conditions() {
        for (text, values) in [
            (
                "Return the mean, rounded; 0 when nothing was sold.",
                vec!["0"],
            ),
            ("The mean of xs, or ``0.0`` if empty.", vec!["0.0"]),
            ("Find it; an empty list if there is none.", vec!["[]"]),
            ("The name, an empty string when unknown.", vec!["\"\""]),
            ("The size if known, otherwise `None`.", vec!["None"]),
            ("Returns ``'?'`` for unknown codes.", vec!["\"?\""]),
            ("Adds 2 numbers.", vec![]),
            ("Do this when asked.", vec![]),
        ] {
            assert_eq!(documented_in(text), values, "{text}");
        }
    }
}
