//! Python: outermost call first, causes before what they caused.

use super::{is_type, line_number, lines, title};
use crate::event::{Exception, Frame};

const HEAD: &str = "Traceback (most recent call last):";

pub(super) fn read(text: &str) -> Vec<Exception> {
    let mut exceptions = Vec::new();
    let mut frames: Vec<Frame> = Vec::new();
    let mut wants_source = false;
    for line in lines(text) {
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
        if trimmed == HEAD || trimmed.is_empty() || frames.is_empty() {
            continue;
        }
        let (kind, value) = title(trimmed);
        if is_type(&kind) {
            let module = kind.rsplit_once('.').map(|(module, _)| module.to_owned());
            exceptions.push(Exception {
                kind: kind.rsplit('.').next().unwrap_or_default().to_owned(),
                value,
                module,
                handled: None,
                frames: std::mem::take(&mut frames),
            });
        }
    }
    if !frames.is_empty() {
        exceptions.push(Exception {
            frames,
            ..Exception::default()
        });
    }
    exceptions
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
