//! .NET: innermost call first; causes stand inside of what they caused (`--->`), each with its frames before the outer ones'.

use super::{is_type, line_number, lines, title};
use crate::event::{Exception, Frame};

/// Deepest chain of causes.
const DEPTH_MAX: usize = 64;

pub(super) fn read(text: &str) -> Vec<Exception> {
    // The innermost cause is the last that was opened, and the first whose frames come.
    let mut open: Vec<Exception> = Vec::new();
    let mut done: Vec<Exception> = Vec::new();
    for line in lines(text) {
        // `<---` ends a cause that stands beside the first one of an `AggregateException`.
        let (trimmed, is_last) = match line.trim().strip_suffix("<---") {
            Some(rest) => (rest.trim_end(), true),
            None => (line.trim(), false),
        };
        if let Some(frame) = trimmed.strip_prefix("at ").and_then(frame) {
            if open.is_empty() {
                open.push(Exception::default());
            }
            if let Some(exception) = open.last_mut() {
                exception.frames.push(frame);
            }
        } else if trimmed.starts_with("--- End of inner exception") {
            if open.len() > 1 {
                done.extend(open.pop());
            }
        } else {
            let is_first = open.is_empty() && done.is_empty();
            let has_arrow = trimmed.contains("---> ");
            if !is_first && !has_arrow || trimmed.starts_with("--- ") {
                continue;
            }
            let head = trimmed
                .strip_prefix("Unhandled exception. ")
                .unwrap_or(trimmed);
            for part in head.split("---> ").take(DEPTH_MAX) {
                let (kind, value) = title(beside(part));
                let kind = without_code(&kind);
                if is_type(kind) && open.len() < DEPTH_MAX {
                    open.push(Exception {
                        kind: kind.to_owned(),
                        value,
                        ..Exception::default()
                    });
                }
            }
        }
        if is_last && open.len() > 1 {
            done.extend(open.pop());
        }
    }
    while let Some(exception) = open.pop() {
        done.push(exception);
    }
    for exception in &mut done {
        exception.frames.reverse();
        exception.module = exception
            .kind
            .rsplit_once('.')
            .map(|(module, _)| module.to_owned());
    }
    done
}

/// `(Inner Exception #1) System.FormatException: b` without its number.
fn beside(part: &str) -> &str {
    part.strip_prefix("(Inner Exception #")
        .and_then(|rest| rest.split_once(") "))
        .map_or(part, |(_, head)| head)
}

/// `System.Net.Sockets.SocketException (111)` without the number of its error.
fn without_code(kind: &str) -> &str {
    kind.strip_suffix(')')
        .and_then(|rest| rest.rsplit_once(" ("))
        .map_or(kind, |(name, _)| name)
}

/// `Acme.Shop.Cart.Total(Int32 count) in /src/Cart.cs:line 12`
fn frame(line: &str) -> Option<Frame> {
    let (call, rest) = line.split_once('(')?;
    let (_, after) = rest.split_once(')')?;
    // `Cart..ctor` is the method `.ctor` of `Cart`.
    let (class, method) = match call.rsplit_once("..") {
        Some((class, _)) => call.split_at_checked(class.len() + 1)?,
        None => call.rsplit_once('.')?,
    };
    let class = class.trim_end_matches('.');
    if class.is_empty() || class.contains(['/', '\\', ':']) || call.contains(char::is_whitespace) {
        return None;
    }
    let place = match after.trim().strip_prefix("in ") {
        Some(place) => place,
        None if after.trim().is_empty() => "",
        None => return None,
    };
    let (path, number) = match place.rsplit_once(":line ") {
        Some((path, number)) => (path, line_number(number)),
        None => (place, None),
    };
    let file = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let library = ["System.", "Microsoft.", "Interop.", "Internal."];
    Some(Frame {
        file: if file.is_empty() { class } else { file }.to_owned(),
        path: (!path.is_empty()).then(|| path.to_owned()),
        function: method.to_owned(),
        module: Some(class.to_owned()),
        line: number,
        in_app: !library.iter().any(|part| class.starts_with(part)),
        ..Frame::default()
    })
}
