//! What is wrong and where: causes with their evidence, best first.

use crate::Timestamp;
use crate::event::{Event, Frame};
use crate::id::{IssueId, ProjectId};
use crate::record::{Kind, Record};
use serde::{Deserialize, Serialize};

/// A diagnosis of one issue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The issue.
    pub issue: IssueId,
    /// Its project.
    pub project: ProjectId,
    /// When it was made.
    pub at: Timestamp,
    /// The commit it was made on.
    pub commit: String,
    /// What the pattern library says, if it knows the error.
    pub pattern: Option<Pattern>,
    /// Places in the product where the cause may be, likeliest first.
    pub suspects: Vec<Suspect>,
}

/// A known error pattern (ledger D1): what an exception of this kind usually means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// Its name.
    pub name: String,
    /// What it usually means.
    pub meaning: String,
}

/// A place where the cause may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// The file, relative to the product's root.
    pub file: String,
    /// The function.
    pub function: String,
    /// The line in the reported version.
    pub line: Option<u32>,
    /// 1 for the raising frame, less for each call outwards.
    pub weight: f64,
    /// Why it is suspected.
    pub why: String,
}

/// How much less likely each frame outwards is.
const DECAY: f64 = 0.6;

/// Suspects of an event: product frames from the raising one outwards, each once.
pub fn suspects(event: &Event) -> Vec<Suspect> {
    let Some(raised) = event.raised() else {
        return Vec::new();
    };
    let product: Vec<&Frame> = raised
        .frames
        .iter()
        .rev()
        .filter(|frame| frame.in_app)
        .collect();
    let mut suspects: Vec<Suspect> = Vec::new();
    let mut weight = 1.0;
    for frame in product {
        let known = suspects
            .iter()
            .any(|suspect| suspect.file == frame.file && suspect.function == frame.function);
        if known {
            continue;
        }
        let why = if suspects.is_empty() {
            format!("{} was raised here", raised.kind)
        } else {
            format!("called what raised {}", raised.kind)
        };
        suspects.push(Suspect {
            file: frame.file.clone(),
            function: frame.function.clone(),
            line: frame.line,
            weight,
            why,
        });
        weight *= DECAY;
    }
    suspects
}

/// The known pattern of an exception type, if there is one.
pub fn pattern(kind: &str) -> Option<Pattern> {
    let (name, meaning) = match kind {
        "ZeroDivisionError" => (
            "empty-denominator",
            "a count or a sum that can be zero divides",
        ),
        "KeyError" => (
            "missing-key",
            "a mapping is read at a key that it need not have",
        ),
        "IndexError" => ("short-sequence", "a sequence is read past its end"),
        "AttributeError" | "TypeError" => ("absent-value", "a value is used that can be absent"),
        "UnboundLocalError" => (
            "unset-variable",
            "a variable is read on a path that never set it",
        ),
        "ValueError" => (
            "unexpected-form",
            "a value is parsed that does not have the form",
        ),
        "RecursionError" => (
            "missing-base-case",
            "a recursion does not end for this input",
        ),
        "UnicodeDecodeError" => ("foreign-encoding", "bytes are read in another encoding"),
        _ => return None,
    };
    Some(Pattern {
        name: name.to_owned(),
        meaning: meaning.to_owned(),
    })
}

impl Record for Diagnosis {
    const KIND: Kind = Kind::Diagnosis;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.issue.to_string()
    }
}
