//! What the demo says while it runs: one line per thing that happened, with the time since the start.

use crate::print;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Instant;

/// Tells a person what happens.
#[derive(Debug)]
pub(super) struct Teller {
    started: Instant,
    notes: RefCell<BTreeSet<String>>,
    marks: RefCell<Vec<(&'static str, f64)>>,
}

impl Teller {
    #[expect(
        clippy::disallowed_methods,
        reason = "the demo is a program that measures itself"
    )]
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            notes: RefCell::default(),
            marks: RefCell::default(),
        }
    }

    /// Seconds since the start.
    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// A step of the story begins or has ended.
    pub(super) fn step(&self, text: &str) {
        let (good, seconds) = (print::GOOD, self.seconds());
        print::say(&format_args!("{good}{seconds:6.1} s{good:#}  {text}"));
    }

    /// Remembers when a part of the story ended.
    pub(super) fn mark(&self, what: &'static str) {
        self.marks.borrow_mut().push((what, self.seconds()));
    }

    /// When the parts of the story ended, in one line.
    pub(super) fn timings(&self) -> String {
        let marks = self.marks.borrow();
        let marks = marks.iter().map(|(what, at)| format!("{what} {at:.1} s"));
        marks.collect::<Vec<_>>().join(", ")
    }

    /// Something beside it, once.
    pub(super) fn note(&self, text: &str) {
        if self.notes.borrow_mut().insert(text.to_owned()) {
            print::say(&format_args!("          {text}"));
        }
    }
}
