//! Where a report was made: addresses are taken on the caller's thread, their names are found on the worker's.
//!
//! **The caller pays for the unwinding alone**: the standard library's own backtrace also looks up the function around each address, twice,
//! and keeps six words of each. One lock of the `backtrace` crate is held while a stack is unwound and while a name is looked up, so
//! each name is looked up once and remembered.

use backtrace::Symbol;
use kintsugi_domain::limits::FRAMES_MAX;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ptr::without_provenance_mut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Addresses for which there is room before any is taken.
const USUAL: usize = 64;
/// Most addresses whose names are remembered; a few hundred bytes each.
const NAMES_MAX: usize = 4_096;

/// The addresses of a stack, innermost first. Of a very deep one the innermost are kept.
#[derive(Debug)]
pub(super) struct Trace(Vec<usize>);

impl Trace {
    /// The stack of whoever calls this. Its own name is what tells the reporter's frames from the product's, so it has one always.
    #[inline(never)]
    pub(super) fn here() -> Self {
        let mut addresses = Vec::with_capacity(USUAL);
        backtrace::trace(|frame| {
            addresses.push(frame.ip().addr());
            addresses.len() < FRAMES_MAX
        });
        Self(addresses)
    }
}

/// What addresses are called.
#[derive(Default)]
pub(super) struct Names(Mutex<BTreeMap<usize, Arc<str>>>);

impl Names {
    /// A trace as the standard library prints it.
    pub(super) fn text(&self, trace: &Trace) -> String {
        let mut text = String::new();
        for address in &trace.0 {
            text.push_str(&self.of(*address));
        }
        text
    }

    fn of(&self, address: usize) -> Arc<str> {
        if let Some(known) = self.known().get(&address) {
            return Arc::clone(known);
        }
        // The lock is not held meanwhile: this reads the program's own file at first.
        let mut lines = String::new();
        backtrace::resolve(without_provenance_mut(address), |symbol| {
            write(&mut lines, symbol);
        });
        let lines: Arc<str> = lines.into();
        let mut known = self.known();
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        known.insert(address, Arc::clone(&lines));
        lines
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<str>>> {
        // Nothing in here can be left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One function, and its place in the source where that is known. Several are at one address where one was put into another.
fn write(lines: &mut String, symbol: &Symbol) {
    let Some(name) = symbol.name() else {
        return;
    };
    // Writing to a string cannot fail. Nobody reads the number.
    let _ = writeln!(lines, "0: {name:#}");
    if let (Some(file), Some(line)) = (symbol.filename(), symbol.lineno()) {
        let column = symbol.colno().unwrap_or(0);
        let _ = writeln!(lines, "at {}:{line}:{column}", file.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kintsugi_domain::stacktrace::rust_backtrace;

    #[inline(never)]
    fn deep(frames: usize) -> Trace {
        let trace = if frames == 0 {
            Trace::here()
        } else {
            deep(frames - 1)
        };
        std::hint::black_box(trace)
    }

    #[test]
    fn names_are_found_later_and_on_another_thread_and_once() {
        let trace = deep(3);
        let names = Names::default();
        let found = std::thread::scope(|scope| {
            let text = scope.spawn(|| names.text(&trace));
            text.join().unwrap()
        });
        let frames = rust_backtrace(&found);
        let own = frames.iter().filter(|it| it.function.ends_with("::deep"));
        let own: Vec<_> = own.collect();
        assert_eq!(own.len(), 4, "{found}");
        assert!(
            own.iter()
                .all(|frame| frame.file.ends_with("trace.rs") && frame.line.is_some())
        );
        // What tells the reporter's own frames from the product's.
        assert!(
            frames
                .iter()
                .any(|it| it.function.contains("kintsugi_sdk::reporter::trace"))
        );
        let known = names.known().len();
        assert!(known > 4);
        assert_eq!(names.text(&trace), found);
        assert_eq!(names.known().len(), known);
    }

    #[test]
    fn of_a_very_deep_stack_the_innermost_frames_are_kept() {
        let trace = deep(5_000);
        assert_eq!(trace.0.len(), FRAMES_MAX);
        let frames = rust_backtrace(&Names::default().text(&trace));
        let own = frames.iter().filter(|it| it.function.ends_with("::deep"));
        assert!(own.count() > FRAMES_MAX - 10);
    }
}
