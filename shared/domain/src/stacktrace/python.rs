//! Python: outermost call first, causes before what they caused, members of an exception group after it and further in.

use super::{is_type, line_number, lines, title};
use crate::event::{Exception, Frame};
use std::cmp::Reverse;

/// How far in the margin of a group stands that is no member of another.
const MARGIN: usize = 2;
const HEAD: &str = "Traceback (most recent call last):";
const GROUP_HEAD: &str = "+ Exception Group Traceback (most recent call last):";

pub(super) fn read(text: &str) -> Vec<Exception> {
    let mut exceptions: Vec<(usize, Exception)> = Vec::new();
    let mut frames: Vec<Frame> = Vec::new();
    let mut wants_source = false;
    let mut in_group = false;
    let mut is_member = false;
    for line in lines(text) {
        in_group = (in_group || line.trim() == GROUP_HEAD) && line != HEAD;
        let (depth, line) = if in_group { margin(line) } else { (0, line) };
        // `+---------------- 1 ----------------` begins a member, which need not have frames.
        let begins = in_group && line.starts_with('+');
        let may_be_bare = std::mem::replace(&mut is_member, begins);
        if begins {
            continue;
        }
        let trimmed = line.trim();
        if let Some(frame) = frame(trimmed) {
            frames.push(frame);
            wants_source = true;
            continue;
        }
        let is_indented = line.starts_with([' ', '\t']);
        if is_indented {
            // The first line below a frame is its source, the next may be marks.
            if let Some(frame) = frames.last_mut().filter(|_| wants_source) {
                frame.source = Some(trimmed.to_owned());
            }
            wants_source = false;
            continue;
        }
        if trimmed == HEAD || trimmed.is_empty() || frames.is_empty() && !may_be_bare {
            continue;
        }
        let (kind, value) = title(trimmed);
        if is_type(&kind) {
            let module = kind.rsplit_once('.').map(|(module, _)| module.to_owned());
            let exception = Exception {
                kind: kind.rsplit('.').next().unwrap_or_default().to_owned(),
                value,
                module,
                handled: None,
                frames: std::mem::take(&mut frames),
            };
            exceptions.push((depth, exception));
        }
    }
    if !frames.is_empty() {
        let exception = Exception {
            frames,
            ..Exception::default()
        };
        exceptions.push((0, exception));
    }
    // The group was raised last; what has no margin and what has the first one are of one chain.
    exceptions.sort_by_key(|(depth, _)| Reverse((*depth).max(MARGIN)));
    exceptions.into_iter().map(|(_, found)| found).collect()
}

/// A line of an exception group without its margin (`  | `), and how far in that stands.
fn margin(line: &str) -> (usize, &str) {
    let rest = line.trim_start();
    let depth = line.len() - rest.len();
    match rest.strip_prefix('|') {
        Some(inner) => (depth, inner.strip_prefix(' ').unwrap_or(inner)),
        None if rest.starts_with('+') => (depth, rest),
        None => (0, line),
    }
}

/// `File "till/totals.py", line 99, in average_sale`
fn frame(line: &str) -> Option<Frame> {
    let (file, rest) = line.strip_prefix("File \"")?.rsplit_once("\", line ")?;
    let (number, function) = match rest.split_once(", in ") {
        Some((number, function)) => (number, function),
        None => (rest, "<module>"),
    };
    let library = [
        "site-packages",
        "dist-packages",
        "/lib/python",
        "<frozen",
        "\\lib\\",
    ];
    Some(Frame {
        file: file.to_owned(),
        function: function.trim().to_owned(),
        line: line_number(number),
        in_app: !library.iter().any(|part| file.contains(part)),
        ..Frame::default()
    })
}
