//! JavaScript: V8's form, and that of Firefox and Safari; innermost call first.

use super::{is_type, line_number, lines, title};
use crate::event::{Exception, Frame};

pub(super) fn read(text: &str) -> Vec<Exception> {
    let mut exception = Exception::default();
    for line in lines(text) {
        let trimmed = line.trim();
        let found = match trimmed.strip_prefix("at ") {
            Some(rest) => v8(rest),
            None => at_sign(trimmed),
        };
        if let Some(frame) = found {
            exception.frames.push(frame);
        } else if exception.frames.is_empty() && exception.kind.is_empty() {
            let head = trimmed.strip_prefix("Uncaught ").unwrap_or(trimmed);
            let (kind, value) = title(head);
            if is_type(&kind) {
                exception.kind = kind;
                exception.value = value;
            }
        }
    }
    exception.frames.reverse();
    vec![exception]
}

/// `f (/app/a.js:3:1)`, `async f (…)`, `new F (…)`, `f [as g] (…)`, or the place alone.
fn v8(line: &str) -> Option<Frame> {
    let (function, place) = match line
        .strip_suffix(')')
        .and_then(|rest| rest.split_once(" ("))
    {
        Some((function, place)) => (function, place),
        None => ("", line.strip_prefix("async ").unwrap_or(line)),
    };
    let function = function.strip_prefix("async ").unwrap_or(function);
    let function = function.split(" [as ").next().unwrap_or_default();
    // Code that was made by `eval` names its own place last.
    let place = place.rsplit(", ").next().unwrap_or(place);
    frame(function, place)
}

/// `f@https://example.org/a.js:3:1`
fn at_sign(line: &str) -> Option<Frame> {
    let (function, place) = line.split_once('@')?;
    if function.contains(' ') {
        return None;
    }
    frame(function.trim_start_matches("async*"), place)
}

fn frame(function: &str, place: &str) -> Option<Frame> {
    if place == "native" || place == "<anonymous>" || place == "[native code]" {
        return Some(Frame {
            file: format!("<{}>", place.trim_matches(['<', '>', '[', ']'])),
            function: named(function),
            ..Frame::default()
        });
    }
    let (rest, last) = place.rsplit_once(':')?;
    let last = line_number(last)?;
    let (file, line) = match rest.rsplit_once(':') {
        Some((file, line)) => match line_number(line) {
            Some(line) => (file, line),
            None => (rest, last),
        },
        None => (rest, last),
    };
    let looks_like_a_place = file.contains(['/', '\\', '.']) || file.starts_with("node:");
    if file.is_empty() || !looks_like_a_place || file.contains(' ') && !file.contains(['/', '\\']) {
        return None;
    }
    let library = ["node_modules", "node:", "webpack/bootstrap", "internal/"];
    Some(Frame {
        file: file.strip_prefix("file://").unwrap_or(file).to_owned(),
        function: named(function),
        line: Some(line),
        in_app: !library.iter().any(|part| file.contains(part)),
        ..Frame::default()
    })
}

fn named(function: &str) -> String {
    match function.trim() {
        "" => "<anonymous>".to_owned(),
        name => name.to_owned(),
    }
}
