//! Edits of a text, and the drafts they add up to.

use crate::rules::Rule;
use crate::syntax::Module;
use kintsugi_domain::job::FixClass;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use tree_sitter::Node;

/// A replacement of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    range: Range<usize>,
    text: String,
}

impl Edit {
    /// Puts `text` in the place of a node.
    pub(crate) fn replace(node: Node<'_>, text: impl Into<String>) -> Self {
        Self {
            range: node.byte_range(),
            text: text.into(),
        }
    }

    /// Puts `text` at a place.
    pub(crate) fn insert(at: usize, text: impl Into<String>) -> Self {
        Self {
            range: at..at,
            text: text.into(),
        }
    }
}

/// The text with all edits made; nothing if two of them meet.
pub(crate) fn apply(text: &str, edits: &[Edit]) -> Option<String> {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let (mut out, mut at) = (String::new(), 0);
    for edit in edits {
        out.push_str(text.get(at..edit.range.start)?);
        out.push_str(&edit.text);
        at = edit.range.end;
    }
    out.push_str(text.get(at..)?);
    Some(out)
}

/// A place where a fix is searched, with what the report says about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crash<'t> {
    /// The file.
    pub(crate) module: &'t Module<'t>,
    /// The function around the line.
    pub(crate) function: Option<Node<'t>>,
    /// The innermost statement of the line.
    pub(crate) statement: Node<'t>,
    /// The line, from 0.
    pub(crate) row: usize,
    /// The variables of the frame as reported.
    pub(crate) vars: &'t BTreeMap<String, Value>,
    /// How likely the cause is here, 0 to 1.
    pub(crate) weight: f64,
    /// Whether the exception was raised here, not further in.
    pub(crate) raising: bool,
    /// The exception's type.
    pub(crate) kind: &'t str,
    /// The exception's message.
    pub(crate) message: &'t str,
}

impl<'t> Crash<'t> {
    /// The text of a node.
    pub(crate) fn text(&self, node: Node<'_>) -> &'t str {
        self.module.text(node)
    }

    /// What the statement evaluates itself; nodes of the reported line first.
    pub(crate) fn nodes(&self) -> Vec<Node<'t>> {
        let mut nodes = crate::syntax::own(self.statement);
        nodes.sort_by_key(|node| {
            let here = node.start_position().row <= self.row && self.row <= node.end_position().row;
            usize::from(!here)
        });
        nodes
    }

    /// A reported variable: `repr` of a leaf.
    pub(crate) fn leaf(&self, name: &str) -> Option<&'t str> {
        self.vars.get(name).and_then(Value::as_str)
    }

    /// Whether the report says that an expression is `None`; nothing where it does not say.
    pub(crate) fn is_none(&self, expression: &str) -> Option<bool> {
        match self.vars.get(expression)? {
            Value::String(text) => Some(text == "None"),
            Value::Null => Some(true),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(false),
        }
    }

    /// The indentation of a statement, if nothing else stands before it on its line.
    pub(crate) fn indentation(&self, statement: Node<'_>) -> Option<&'t str> {
        let start = statement.start_byte();
        let column = statement.start_position().column;
        let before = self
            .module
            .source
            .text
            .get(start.checked_sub(column)?..start)?;
        before
            .chars()
            .all(|next| next == ' ' || next == '\t')
            .then_some(before)
    }

    /// One step of indentation, as the file has it.
    pub(crate) fn step(&self) -> &'t str {
        let indented = self.module.source.text.lines().find_map(|line| {
            let rest = line.trim_start_matches([' ', '\t']);
            let indent = line.strip_suffix(rest)?;
            (!indent.is_empty() && !rest.is_empty()).then_some(indent)
        });
        match indented {
            Some(indent) if indent.starts_with('\t') => "\t",
            Some("  ") => "  ",
            Some(_) | None => "    ",
        }
    }

    /// The end of a line, as the file has it.
    pub(crate) fn newline(&self) -> &'static str {
        if self.module.source.text.contains("\r\n") {
            "\r\n"
        } else {
            "\n"
        }
    }

    /// Lines put before a statement, with its indentation; the second is one step further in.
    pub(crate) fn before(&self, statement: Node<'_>, head: &str, inner: &str) -> Option<Edit> {
        let indent = self.indentation(statement)?;
        let (step, newline) = (self.step(), self.newline());
        let text = format!("{head}{newline}{indent}{step}{inner}{newline}{indent}");
        Some(Edit::insert(statement.start_byte(), text))
    }
}

/// A drafted change of one file.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// The rule, after its family: `zero-division.guard-return`.
    pub(crate) rule: String,
    /// What kind of change it is.
    pub(crate) class: FixClass,
    /// How promising it is.
    pub(crate) prior: f64,
    /// The edits.
    pub(crate) edits: Vec<Edit>,
}

/// The drafts for one place.
#[derive(Debug)]
pub(crate) struct Drafts<'t> {
    /// The place.
    pub(crate) crash: Crash<'t>,
    /// The family of the fault.
    family: &'static str,
    /// What was drafted.
    pub(crate) found: Vec<Draft>,
}

impl<'t> Drafts<'t> {
    /// No drafts yet.
    pub(crate) fn new(crash: Crash<'t>, family: &'static str) -> Self {
        Self {
            crash,
            family,
            found: Vec::new(),
        }
    }

    /// Adds a draft of a rule, with a factor for how well it fits here.
    pub(crate) fn add(&mut self, rule: &Rule, factor: f64, edits: Vec<Edit>) {
        self.add_as(rule, factor, rule.class, edits);
    }

    /// Adds a draft whose class is that of the value it puts in, and never better than its rule's.
    pub(crate) fn add_as(&mut self, rule: &Rule, factor: f64, class: FixClass, edits: Vec<Edit>) {
        self.found.push(Draft {
            rule: format!("{}.{}", self.family, rule.name),
            class: class.min(rule.class),
            prior: rule.prior * factor * self.crash.weight,
            edits,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(range: Range<usize>, text: &str) -> Edit {
        let text = text.to_owned();
        Edit { range, text }
    }

    #[test]
    fn edits_are_made_from_left_to_right_and_must_not_meet() {
        let edits = [span(4..5, "Y"), Edit::insert(0, ">"), span(0..1, "X")];
        assert_eq!(apply("abcdef", &edits).as_deref(), Some(">XbcdYf"));
        assert_eq!(apply("abcdef", &[span(0..3, ""), span(2..4, "")]), None);
    }
}
