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
    let mut is_suppressed = false;
    for line in lines(text) {
        let trimmed = line.trim();
        if let Some(frame) = trimmed.strip_prefix("at ").and_then(frame) {
            if !is_suppressed {
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
            Some(head) => head,
            None if trimmed.starts_with("Suppressed: ") => {
                is_suppressed = true;
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
            is_suppressed = false;
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
    let is_unknown = ["Native Method", "Unknown Source", "SourceFile"].contains(&file);
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
