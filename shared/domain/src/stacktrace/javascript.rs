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
            let head = head.strip_prefix("(in promise) ").unwrap_or(head);
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
    frame(function, made_by(place).unwrap_or(place))
}

/// Where the code is that made this code: `eval at f (eval at g (/app/a.js:3:1), <anonymous>:1:1), <anonymous>:2:1`. Its own place is
/// none that anybody could look up.
fn made_by(place: &str) -> Option<&str> {
    let (_, innermost) = place.strip_prefix("eval at ")?.rsplit_once('(')?;
    Some(innermost.split_once(')')?.0)
}

/// `f@https://example.org/a.js:3:1`; before the name may stand how it came to be called: `async*f`, `setTimeout handler*f`.
fn at_sign(line: &str) -> Option<Frame> {
    let (function, place) = line.split_once('@')?;
    let function = function.rsplit('*').next().unwrap_or_default();
    let function = function.strip_prefix("async ").unwrap_or(function);
    // `get total` and `global code` are names of two words; a sentence with an address in it has more.
    let words = function.split(' ').count();
    let is_address = place.contains("://") || place == "[native code]";
    if words > 2 || words == 2 && !is_address {
        return None;
    }
    frame(function, place)
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
    // `a.js line 12 > eval` is code that line 12 of `a.js` made.
    let (file, line) = match file.split_once(" line ") {
        Some((maker, rest)) if rest.contains(" > ") => {
            let made = rest.split(' ').next().and_then(line_number);
            (maker, made.unwrap_or(line))
        }
        Some(_) | None => (file, line),
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
