//! The regression test of an event: the crash, replayed.
//!
//! **No text of the event gets into the test** except literals written anew and one cleaned comment;
//! names of modules, functions and parameters come from the product's own source. Where the inputs
//! cannot be rebuilt there is no test, and without a test there is no fix.

use crate::Source;
use crate::call::{self, Call, Expected};
use crate::place;
use crate::syntax::Module;
use crate::values::Classes;
use kintsugi_domain::event::{Event, Frame};
use kintsugi_domain::id::IssueId;
use std::collections::{BTreeMap, BTreeSet};

/// Most calls that are replayed: the innermost, and those around it.
const CALLS_MAX: usize = 3;
/// Longest comment made from an event, characters.
const COMMENT_CHARS_MAX: usize = 100;
/// Widest line of a test before its call is broken up, characters.
const WIDTH_MAX: usize = 100;
/// Exceptions that the environment raises: calls further out would take them for granted.
const ENVIRONMENT: [&str; 12] = [
    "OSError",
    "IOError",
    "FileNotFoundError",
    "FileExistsError",
    "PermissionError",
    "IsADirectoryError",
    "NotADirectoryError",
    "ConnectionError",
    "ConnectionRefusedError",
    "ConnectionResetError",
    "BrokenPipeError",
    "TimeoutError",
];

/// A test that replays a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegressionTest {
    /// Relative to the product's root.
    pub path: String,
    /// Its whole text.
    pub text: String,
    /// Which call is replayed, in a sentence.
    pub what: String,
    /// The module for `python3 -m unittest`: `tests.test_regression_0123abcd`.
    pub argv_module: String,
}

/// Why the inputs of a crash could not be rebuilt. No reproducer, no fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReproducible {
    /// The event has no exception with a product frame.
    #[error("the event has no stack with product code")]
    NoStack,
    /// No product frame could be called again; the reason for each, innermost first.
    #[error("no call could be rebuilt: {0}")]
    NoCall(String),
}

impl NotReproducible {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoStack => "repair.no_stack",
            Self::NoCall(_) => "repair.no_call",
        }
    }
}

/// The regression test of an event: it calls the innermost product function that can be called again
/// with the arguments of the report, and the functions around it as far as they can be called too.
///
/// # Errors
/// Where nothing can be called again.
pub fn regression_test(
    event: &Event,
    issue: &IssueId,
    sources: &[Source],
    tests_folder: &str,
) -> Result<RegressionTest, NotReproducible> {
    let raised = event.raised().ok_or(NotReproducible::NoStack)?;
    let calls = calls(&raised.frames, &raised.kind, sources)?;
    let Some(first) = calls.first() else {
        return Err(NotReproducible::NoStack);
    };
    let short: String = issue
        .as_str()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(8)
        .collect::<String>()
        .to_ascii_lowercase();
    let folder = tests_folder.trim_matches('/');
    let module = format!("test_regression_{short}");
    let kind = cleaned_kind(&raised.kind);
    let what = format!(
        "`{}({})` of {} is called as it was when {kind} was raised",
        first.function,
        clipped(&first.arguments(0, 0, usize::MAX)),
        first.path
    );
    Ok(RegressionTest {
        path: joined(folder, '/', &format!("{module}.py")),
        text: text(&short, &kind, &raised.value, &calls),
        what,
        argv_module: joined(&folder.replace('/', "."), '.', &module),
    })
}

fn joined(folder: &str, by: char, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}{by}{name}")
    }
}

/// The calls to replay, innermost first, without a gap between them.
fn calls(frames: &[Frame], kind: &str, sources: &[Source]) -> Result<Vec<Call>, NotReproducible> {
    let classes = Classes::find(sources);
    let mut calls: Vec<Call> = Vec::new();
    let mut refusals = Vec::new();
    for frame in frames.iter().rev().filter(|frame| place::is_product(frame)) {
        let source = place::source_of(sources, &frame.file, frame.module.as_deref());
        let call = match source.and_then(Module::parse) {
            Some(module) => call::rebuild(frame, &module, &classes),
            None => Err("its file is not in the product".to_owned()),
        };
        match call {
            Ok(call) => {
                if !calls.contains(&call) {
                    calls.push(call);
                }
                if calls.len() == CALLS_MAX || ENVIRONMENT.contains(&kind) {
                    break;
                }
            }
            // A comprehension is part of the function around it, which comes next.
            Err(_) if !calls.is_empty() && frame.function.starts_with('<') => {}
            Err(_) if !calls.is_empty() => break,
            Err(why) => refusals.push(format!("{}: {why}", cleaned(&frame.function))),
        }
    }
    if calls.is_empty() {
        return Err(if refusals.is_empty() {
            NotReproducible::NoStack
        } else {
            NotReproducible::NoCall(refusals.join("; "))
        });
    }
    Ok(calls)
}

/// The text of the test.
fn text(short: &str, kind: &str, value: &str, calls: &[Call]) -> String {
    let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for call in calls {
        let mut import = |module, name| imports.entry(module).or_default().insert(name);
        import(&call.module, &call.function);
        for (module, name) in &call.imports {
            import(module, name);
        }
    }
    let imports: Vec<String> = imports
        .into_iter()
        .map(|(module, names)| {
            let names: Vec<&str> = names.into_iter().collect();
            format!("from {module} import {}\n", names.join(", "))
        })
        .collect();
    let mut text = format!(
        "\"\"\"The crash of issue {short} stays away.\"\"\"\n\nimport unittest\n\n{}\n\n\
         class Regression(unittest.TestCase):\n    \"\"\"The calls that led to {kind}, with the values of the report.\"\"\"\n",
        imports.concat()
    );
    let comment = cleaned(value);
    if !comment.is_empty() {
        text.extend(["\n    # Reported as: ", kind, ": ", &comment, "\n"]);
    }
    for (index, call) in calls.iter().enumerate() {
        text.push_str(&method(kind, index, call));
    }
    text
}

/// One test method. The innermost call must simply work. A call further out may need files or a
/// network that are not here; only that is excused.
fn method(kind: &str, index: usize, call: &Call) -> String {
    let name = match index {
        0 => call.function.clone(),
        _ => format!("{}_{index}_out", call.function),
    };
    let outer = index > 0;
    let (open, close) = if call.generator {
        ("list(", ")")
    } else {
        ("", "")
    };
    let indent = if outer { 12 } else { 8 };
    let lead = "result = ()".len() + open.len() + close.len() + call.function.len();
    let statement = format!(
        "{}result = {open}{}({}){close}\n",
        " ".repeat(indent),
        call.function,
        call.arguments(indent, lead, WIDTH_MAX)
    );
    let statement = match call.result {
        Expected::Anything => statement.replacen("result = ", "", 1),
        Expected::Instance(_) | Expected::Something => statement,
    };
    let statement = if outer {
        format!(
            "        try:\n{statement}        except (OSError, SystemExit) as error:\n            \
             self.skipTest(f\"needs what is not here: {{error!r}}\")\n"
        )
    } else {
        statement
    };
    let check = match call.result {
        Expected::Instance(class) => format!("        self.assertIsInstance(result, {class})\n"),
        Expected::Something => "        self.assertIsNotNone(result)\n".to_owned(),
        Expected::Anything => String::new(),
    };
    let place = if outer {
        "that call came from"
    } else {
        "it was raised in"
    };
    format!(
        "\n    def test_{name}_works(self) -> None:\n        \
         \"\"\"No {kind} for the arguments of the report: {place} this function.\"\"\"\n{statement}{check}"
    )
}

/// The type of an exception, if it looks like one.
fn cleaned_kind(kind: &str) -> String {
    let is_name =
        kind.len() <= 60 && !kind.is_empty() && kind.split('.').all(crate::syntax::is_name);
    if is_name { kind } else { "an exception" }.to_owned()
}

/// Hostile text as the end of a comment: one line of printable ASCII without quotes, of bounded length.
fn cleaned(text: &str) -> String {
    let words: String = text
        .chars()
        .map(|next| match next {
            '"' | '\'' | '\\' | '`' => ' ',
            ' '..='~' => next,
            _ => ' ',
        })
        .collect();
    let words: Vec<&str> = words.split_whitespace().collect();
    words.join(" ").chars().take(COMMENT_CHARS_MAX).collect()
}

fn clipped(text: &str) -> String {
    if text.chars().count() <= COMMENT_CHARS_MAX {
        return text.to_owned();
    }
    let start: String = text.chars().take(COMMENT_CHARS_MAX).collect();
    format!("{start} …")
}
