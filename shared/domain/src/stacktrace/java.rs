//! Java and what runs beside it: innermost call first, causes after what they caused.

use super::{is_type, line_number, lines, title};
use crate::event::{Exception, Frame};

/// Beginnings of classes that come with a platform.
const LIBRARY: [&str; 10] = [
    "java.",
    "javax.",
    "jdk.",
    "sun.",
    "com.sun.",
    "kotlin.",
    "kotlinx.",
    "scala.",
    "android.",
    "androidx.",
];

pub(super) fn read(text: &str) -> Vec<Exception> {
    let mut exceptions: Vec<Exception> = Vec::new();
    // How far in the suppressed exception stands whose lines these are.
    let mut suppressed: Option<usize> = None;
    for line in lines(text) {
        let trimmed = line.trim();
        let indent = line.len() - line.trim_start().len();
        if let Some(frame) = trimmed.strip_prefix("at ").and_then(frame) {
            if suppressed.is_none() {
                if exceptions.is_empty() {
                    exceptions.push(Exception::default());
                }
                if let Some(exception) = exceptions.last_mut() {
                    exception.frames.push(frame);
                }
            }
            continue;
        }
        let head = match trimmed.strip_prefix("Caused by: ") {
            // A cause of what was suppressed stands as far in as that, a cause of ours further out.
            Some(_) if suppressed.is_some_and(|from| from > 0 && indent >= from) => continue,
            Some(head) => head,
            None if trimmed.starts_with("Suppressed: ") => {
                suppressed.get_or_insert(indent);
                continue;
            }
            None if exceptions.is_empty() => {
                let thread = trimmed.strip_prefix("Exception in thread \"");
                thread
                    .and_then(|rest| rest.split_once("\" "))
                    .map_or(trimmed, |(_, head)| head)
            }
            None => continue,
        };
        let (kind, value) = title(head);
        if is_type(&kind) {
            suppressed = None;
            let (module, name) = match kind.rsplit_once('.') {
                Some((module, name)) => (Some(module.to_owned()), name.to_owned()),
                None => (None, kind),
            };
            exceptions.push(Exception {
                kind: name,
                value,
                module,
                ..Exception::default()
            });
        }
    }
    for exception in &mut exceptions {
        exception.frames.reverse();
    }
    exceptions.reverse();
    exceptions
}

/// `com.acme.A.b(A.java:3)`, with the loader and module in front: `app//java.base@17/java.lang.Thread.run(Thread.java:1)`.
fn frame(line: &str) -> Option<Frame> {
    let (call, rest) = line.split_once('(')?;
    let place = rest.split(')').next()?;
    let call = call.rsplit('/').next()?;
    let (class, method) = call.rsplit_once('.')?;
    // Frames of JavaScript have spaces or paths where a class would be.
    if !is_type(class) || method.contains(char::is_whitespace) || place.contains(['/', '\\']) {
        return None;
    }
    let (file, number) = match place.rsplit_once(':') {
        Some((file, number)) => (file, line_number(number)),
        None => (place, None),
    };
    let is_file = [".java", ".kt", ".scala", ".groovy", ".clj"]
        .iter()
        .any(|ending| file.ends_with(ending));
    let is_unknown = [
        "Native Method",
        "Unknown Source",
        "SourceFile",
        "<generated>",
    ]
    .contains(&file);
    if !is_file && !is_unknown {
        return None;
    }
    Some(Frame {
        file: file.to_owned(),
        function: method.to_owned(),
        module: Some(class.to_owned()),
        line: number,
        in_app: !LIBRARY.iter().any(|library| class.starts_with(library)),
        ..Frame::default()
    })
}
