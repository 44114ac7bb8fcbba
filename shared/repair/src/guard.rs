//! Keeping one bad case away from one expression: the shapes that every template shares.

use crate::donors::{self, Donor};
use crate::edit::{Drafts, Edit};
use crate::rules;
use crate::syntax;
use kintsugi_domain::job::FixClass;
use std::collections::BTreeSet;
use tree_sitter::Node;

/// Parents that need no brackets around an expression.
const OPEN_PARENTS: [&str; 6] = [
    "return_statement",
    "argument_list",
    "keyword_argument",
    "assignment",
    "parenthesized_expression",
    "expression_statement",
];
/// Calls that may be made twice: they only look.
const LOOKING: [&str; 27] = [
    "len",
    "str",
    "int",
    "abs",
    "min",
    "max",
    "sum",
    "sorted",
    "list",
    "set",
    "tuple",
    "get",
    "keys",
    "values",
    "items",
    "strip",
    "lower",
    "upper",
    "split",
    "rstrip",
    "lstrip",
    "splitlines",
    "startswith",
    "endswith",
    "rsplit",
    "casefold",
    "isinstance",
];

/// An expression that raised, and the condition under which it does.
#[derive(Debug, Clone)]
pub(crate) struct Fault<'t> {
    /// The expression that raises.
    pub(crate) node: Node<'t>,
    /// What the condition speaks of.
    pub(crate) about: Node<'t>,
    /// Holds when it raises.
    pub(crate) bad: String,
    /// Holds when it does not.
    pub(crate) good: String,
    /// How sure it is that this expression raised, 0 to 1.
    pub(crate) factor: f64,
}

/// Whether an expression may be written a second time: nothing in it changes anything.
pub(crate) fn is_repeatable(drafts: &Drafts<'_>, node: Node<'_>) -> bool {
    syntax::descendants(node)
        .into_iter()
        .all(|node| match node.kind() {
            "await" | "yield" | "named_expression" | "lambda" => false,
            "call" => node
                .child_by_field_name("function")
                .is_some_and(|function| {
                    let text = drafts.crash.text(function);
                    LOOKING.contains(&text.rsplit('.').next().unwrap_or_default())
                }),
            _ => true,
        })
}

/// Whether a value is written here, not read.
pub(crate) fn is_target(node: Node<'_>) -> bool {
    let Some(parent) = node.parent() else {
        return false;
    };
    match parent.kind() {
        "assignment" | "augmented_assignment" | "for_statement" | "for_in_clause" => {
            parent.child_by_field_name("left") == Some(node)
        }
        "delete_statement" => true,
        "pattern_list" | "tuple_pattern" | "list_pattern" => is_target(parent),
        _ => false,
    }
}

/// All shapes of a guard.
pub(crate) fn guard(drafts: &mut Drafts<'_>, fault: &Fault<'_>) {
    if !is_repeatable(drafts, fault.about) {
        return;
    }
    let before = can_stand_before(drafts, fault);
    if before {
        return_early(drafts, fault);
        skip(drafts, fault);
    }
    extend_condition(drafts, fault);
    in_place(drafts, fault, before);
}

/// Whether a statement before this one can speak of what the condition speaks of, and be in time.
fn can_stand_before(drafts: &Drafts<'_>, fault: &Fault<'_>) -> bool {
    let statement = drafts.crash.statement;
    let late = matches!(statement.kind(), "while_statement" | "function_definition")
        || syntax::ancestors(fault.node)
            .take_while(|node| *node != statement)
            .any(|node| node.kind() == "elif_clause");
    let names: BTreeSet<&str> = syntax::descendants(fault.about)
        .into_iter()
        .filter(|node| node.kind() == "identifier")
        .map(|node| drafts.crash.text(node))
        .collect();
    let bound_inside = syntax::ancestors(fault.node)
        .take_while(|node| *node != statement)
        .filter(|node| syntax::INNER_SCOPES.contains(&node.kind()))
        .flat_map(syntax::descendants)
        .filter_map(|node| match node.kind() {
            "for_in_clause" => node.child_by_field_name("left"),
            "lambda_parameters" => Some(node),
            _ => None,
        })
        .flat_map(syntax::descendants)
        .any(|node| names.contains(drafts.crash.text(node)));
    !late && !bound_inside && !fault.bad.contains('\n')
}

/// `if bad: return value`, and `if bad: continue` in a loop over a sequence.
fn return_early(drafts: &mut Drafts<'_>, fault: &Fault<'_>) {
    let crash = drafts.crash;
    let head = format!("if {}:", fault.bad);
    for donor in donors::returned(&crash) {
        let exit = format!("return {}", donor.text);
        if let Some(edit) = crash.before(crash.statement, &head, exit.trim_end()) {
            // Inside a loop an early return also drops the rest of the loop.
            let in_loop = if syntax::loops_of(crash.statement).is_empty() {
                1.0
            } else {
                0.4
            };
            let factor = fault.factor * donor.factor * in_loop;
            drafts.add_as(&rules::GUARD_RETURN, factor, donor.class, vec![edit]);
        }
    }
    let round = syntax::loops_of(crash.statement).first().copied();
    if round.is_some_and(|round| round.kind() == "for_statement") {
        let edit = crash.before(crash.statement, &head, "continue");
        if let Some(edit) = edit {
            drafts.add(&rules::GUARD_CONTINUE, fault.factor, vec![edit]);
        }
    }
}

/// `if good:` around a statement that gives nothing a value.
fn skip(drafts: &mut Drafts<'_>, fault: &Fault<'_>) {
    let crash = drafts.crash;
    let inner = crash.statement.named_child(0);
    let for_effect = match crash.statement.kind() {
        "delete_statement" => true,
        "expression_statement" => {
            inner.is_some_and(|inner| matches!(inner.kind(), "call" | "augmented_assignment"))
        }
        _ => false,
    };
    let one_row = crash.statement.start_position().row == crash.statement.end_position().row;
    let Some(indent) = crash
        .indentation(crash.statement)
        .filter(|_| for_effect && one_row)
    else {
        return;
    };
    let text = format!(
        "if {}:{}{indent}{}",
        fault.good,
        crash.newline(),
        crash.step()
    );
    let edit = Edit::insert(crash.statement.start_byte(), text);
    drafts.add(&rules::GUARD_SKIP, fault.factor, vec![edit]);
}

/// `good and condition`, where the expression is part of a condition.
fn extend_condition(drafts: &mut Drafts<'_>, fault: &Fault<'_>) {
    let Some(part) = condition_part(drafts.crash.statement, fault.node) else {
        return;
    };
    let text = drafts.crash.text(part);
    let negated = part
        .parent()
        .is_some_and(|parent| parent.kind() == "not_operator");
    let own = if matches!(
        part.kind(),
        "conditional_expression" | "lambda" | "named_expression"
    ) {
        format!("({text})")
    } else {
        text.to_owned()
    };
    let (open, close) = if negated { ("(", ")") } else { ("", "") };
    let and = format!("{open}{} and {own}{close}", fault.good);
    drafts.add(
        &rules::GUARD_CONDITION,
        fault.factor,
        vec![Edit::replace(part, and)],
    );
    let or = format!("({} or {own})", fault.bad);
    drafts.add(
        &rules::GUARD_CONDITION,
        fault.factor * 0.4,
        vec![Edit::replace(part, or)],
    );
}

/// The part of a condition that holds a node and no `and`, `or`, `not` above it.
fn condition_part<'t>(statement: Node<'t>, node: Node<'t>) -> Option<Node<'t>> {
    let mut at = node;
    loop {
        let parent = at.parent()?;
        let is_condition = match parent.kind() {
            "if_statement" | "elif_clause" | "while_statement" => {
                parent.child_by_field_name("condition") == Some(at)
            }
            "if_clause" | "boolean_operator" | "not_operator" | "assert_statement" => true,
            "conditional_expression" => parent.named_child(1) == Some(at),
            _ => false,
        };
        if is_condition {
            return Some(at);
        }
        if parent == statement || parent.kind() == "block" {
            return None;
        }
        at = parent;
    }
}

/// `expression if good else value`. Where a guard before the statement does the same, it is left out.
fn in_place(drafts: &mut Drafts<'_>, fault: &Fault<'_>, before: bool) {
    let crash = drafts.crash;
    let parent = fault.node.parent();
    let returns = parent.is_some_and(|parent| parent.kind() == "return_statement");
    let statement = matches!(
        fault.node.kind(),
        "augmented_assignment" | "delete_statement"
    );
    if is_target(fault.node) || statement || (returns && before) {
        return;
    }
    for donor in donors::in_place(&crash, fault.node) {
        let edit = instead(drafts, fault.node, &fault.good, &donor);
        drafts.add_as(
            &rules::GUARD_INLINE,
            fault.factor * donor.factor,
            donor.class,
            vec![edit],
        );
    }
}

fn instead(drafts: &Drafts<'_>, node: Node<'_>, good: &str, donor: &Donor) -> Edit {
    let text = format!("{} if {good} else {}", drafts.crash.text(node), donor.text);
    Edit::replace(node, bracketed(node, &text))
}

/// A text that takes the place of a node, in brackets where its surroundings ask for them.
pub(crate) fn bracketed(node: Node<'_>, text: &str) -> String {
    let open = node
        .parent()
        .is_some_and(|parent| OPEN_PARENTS.contains(&parent.kind()));
    if open {
        text.to_owned()
    } else {
        format!("({text})")
    }
}

/// One more argument at the end of a call.
pub(crate) fn one_more(drafts: &Drafts<'_>, arguments: Node<'_>, text: &str) -> Option<Edit> {
    if arguments.kind() == "generator_expression" {
        // A generator that shares the brackets of the call needs its own beside a neighbour.
        let own = drafts.crash.text(arguments);
        return Some(Edit::replace(arguments, format!("({own}, {text})")));
    }
    let last = syntax::named(arguments).last().copied()?;
    Some(Edit::insert(last.end_byte(), format!(", {text}")))
}

/// `try` with the raised exception around the statement, for exceptions that Python itself defines.
pub(crate) fn catch(drafts: &mut Drafts<'_>, kind: &str) {
    let crash = drafts.crash;
    let simple = matches!(
        crash.statement.kind(),
        "expression_statement" | "return_statement" | "delete_statement"
    );
    let Some(indent) = crash.indentation(crash.statement).filter(|_| simple) else {
        return;
    };
    let (step, newline) = (crash.step(), crash.newline());
    let start = Edit::insert(
        crash.statement.start_byte(),
        format!("try:{newline}{indent}{step}"),
    );
    let end = |exit: &str| {
        let text = format!("{newline}{indent}except {kind}:{newline}{indent}{step}{exit}");
        Edit::insert(crash.statement.end_byte(), text)
    };
    let in_loop = !syntax::loops_of(crash.statement).is_empty();
    for donor in donors::returned(&crash).into_iter().filter(|_| !in_loop) {
        let exit = format!("return {}", donor.text);
        let class = donor.class.min(FixClass::Guards);
        let edits = vec![start.clone(), end(exit.trim_end())];
        drafts.add_as(&rules::CATCH, donor.factor, class, edits);
    }
    let round = syntax::loops_of(crash.statement).first().copied();
    if round.is_some_and(|round| round.kind() == "for_statement") {
        drafts.add_as(
            &rules::CATCH,
            0.5,
            FixClass::Suppresses,
            vec![start.clone(), end("continue")],
        );
    }
    let assigns = crash
        .statement
        .named_child(0)
        .filter(|inner| inner.kind() == "assignment");
    match assigns.and_then(|inner| Some((inner, inner.child_by_field_name("right")?))) {
        Some((inner, right)) => {
            let left = inner
                .child_by_field_name("left")
                .map(|left| crash.text(left));
            for donor in donors::in_place(&crash, right) {
                let exit = format!("{} = {}", left.unwrap_or_default(), donor.text);
                let edits = vec![start.clone(), end(&exit)];
                drafts.add_as(&rules::CATCH, donor.factor, donor.class, edits);
            }
        }
        None => drafts.add(&rules::SWALLOW, 1.0, vec![start, end("pass")]),
    }
}
