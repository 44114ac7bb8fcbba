//! Stack traces that come as text, read into exceptions and frames: Python, Java, JavaScript, .NET, Go and Rust.
//!
//! Logs and spans of OpenTelemetry carry `exception.stacktrace` as the language prints it, and a backtrace of Rust is a text too.
//! [`parse`] takes the language where it is known and otherwise finds it by the form of the first frames.
//!
//! **Invariants: time is linear in the text, and what is kept is bounded** ([`FRAMES_MAX`], [`EXCEPTIONS_MAX`], long lines are
//! cut). A line that is no frame is passed over, so a cut or mixed text gives what can be read of it.
//!
//! Not here: source maps and symbols: what the text does not say is not made up.

mod dotnet;
mod go;
mod java;
mod javascript;
mod python;
mod rust;

use crate::event::{Exception, Frame};
use crate::limits::{EXCEPTIONS_MAX, FRAMES_MAX};

/// Longest line that is looked at, bytes; the rest of a longer one is passed over.
const LINE_BYTES_MAX: usize = 4_096;
/// Most lines that are looked at.
const LINES_MAX: usize = 20_000;

/// A language whose traces are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// `File "a.py", line 3, in f`
    Python,
    /// `at com.acme.A.b(A.java:3)`, Kotlin and Scala too.
    Java,
    /// `at f (/app/a.js:3:1)`, or `f@a.js:3:1`.
    JavaScript,
    /// `at A.B.C(String s) in a.cs:line 3`
    DotNet,
    /// `main.f(0x1)` and the place on the line below.
    Go,
    /// `0: app::f` and the place on the line below.
    Rust,
}

impl Language {
    /// Every language, in the order in which forms are tried.
    pub const ALL: [Self; 6] = [
        Self::Python,
        Self::Rust,
        Self::Go,
        Self::Java,
        Self::DotNet,
        Self::JavaScript,
    ];

    /// The language by what OpenTelemetry (`telemetry.sdk.language`) or Sentry (`platform`) calls it.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "python" => Some(Self::Python),
            "java" | "kotlin" | "scala" => Some(Self::Java),
            "nodejs" | "node" | "webjs" | "javascript" => Some(Self::JavaScript),
            "dotnet" | "csharp" => Some(Self::DotNet),
            "go" => Some(Self::Go),
            "rust" | "native" => Some(Self::Rust),
            _ => None,
        }
    }

    /// The platform that events of it have, as Sentry names it.
    pub fn platform(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Java => "java",
            Self::JavaScript => "javascript",
            Self::DotNet => "csharp",
            Self::Go => "go",
            Self::Rust => "native",
        }
    }

    fn read(self, text: &str) -> Vec<Exception> {
        match self {
            Self::Python => python::read(text),
            Self::Java => java::read(text),
            Self::JavaScript => javascript::read(text),
            Self::DotNet => dotnet::read(text),
            Self::Go => go::read(text),
            Self::Rust => rust::read(text),
        }
    }
}

/// What a text says.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The language it is of.
    pub language: Language,
    /// The exceptions of the chain, the one that was raised last at the end. Type and message may be empty.
    pub exceptions: Vec<Exception>,
}

/// Reads a trace. Nothing when no frame of a known language is in it.
pub fn parse(text: &str, language: Option<Language>) -> Option<Trace> {
    let has_frames = |exceptions: &Vec<Exception>| {
        exceptions
            .iter()
            .any(|exception| !exception.frames.is_empty())
    };
    let read = |language: Language| {
        let mut exceptions = language.read(text);
        if !has_frames(&exceptions) {
            return None;
        }
        bound_chain(&mut exceptions);
        for exception in &mut exceptions {
            bound(&mut exception.frames);
        }
        Some(Trace {
            language,
            exceptions,
        })
    };
    language
        .and_then(read)
        .or_else(|| Language::ALL.into_iter().find_map(read))
}

/// Of a chain that is too long, exceptions without frames go first, but for the one that was raised last, and then the oldest.
fn bound_chain(exceptions: &mut Vec<Exception>) {
    if exceptions.len() <= EXCEPTIONS_MAX {
        return;
    }
    let raised = exceptions.pop();
    exceptions.retain(|exception| !exception.frames.is_empty());
    exceptions.extend(raised);
    let skip = exceptions.len().saturating_sub(EXCEPTIONS_MAX);
    exceptions.drain(..skip);
}

/// The frames of a backtrace as the standard library of Rust prints it, outermost first.
pub fn rust_backtrace(text: &str) -> Vec<Frame> {
    let mut frames = rust::frames(text);
    bound(&mut frames);
    frames
}

/// Of a very deep stack the outermost and the innermost halves are kept.
fn bound(frames: &mut Vec<Frame>) {
    if frames.len() > FRAMES_MAX {
        let inner = frames.len().saturating_sub(FRAMES_MAX / 2);
        frames.drain(FRAMES_MAX.div_ceil(2)..inner);
    }
}

/// The lines of a text, cut to their bound.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take(LINES_MAX).map(cut)
}

fn cut(line: &str) -> &str {
    let mut end = line.len().min(LINE_BYTES_MAX);
    while !line.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    line.get(..end).unwrap_or_default()
}

/// `Type: message` taken apart; a line without a colon is a type alone.
fn title(line: &str) -> (String, String) {
    match line.split_once(':') {
        Some((kind, value)) => (kind.trim().to_owned(), value.trim().to_owned()),
        None => (line.trim().to_owned(), String::new()),
    }
}

/// Whether a text can be the name of a type: letters, digits and what joins them.
fn is_type(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|letter| letter.is_alphanumeric() || "._$/`+[]<>,".contains(letter))
        && text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

/// A number of a line; zero is none.
fn line_number(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|line| *line > 0)
}

#[cfg(test)]
mod tests;
