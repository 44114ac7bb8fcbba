//! Rust: `std::backtrace::Backtrace` as it is printed, with or without the panic's own lines before it; innermost call first.

use super::{line_number, lines};
use crate::event::{Exception, Frame};

pub(super) fn read(text: &str) -> Vec<Exception> {
    let frames = frames(text);
    let mut kind = String::new();
    let mut value = String::new();
    let mut wants_message = false;
    for line in lines(text) {
        if wants_message && value.is_empty() {
            line.trim().clone_into(&mut value);
            break;
        }
        // `thread 'main' (4242) panicked at src/main.rs:4:5:` with the message below, or as it was before Rust 1.73 with the message in
        // it: `thread 'main' panicked at 'boom', src/main.rs:4:5`.
        let thread = line.strip_prefix("thread '");
        if let Some((_, said)) = thread.and_then(|rest| rest.split_once(" panicked at ")) {
            "panic".clone_into(&mut kind);
            let quoted = said.strip_prefix('\'').and_then(|it| it.rsplit_once("', "));
            match quoted {
                Some((message, _)) => message.clone_into(&mut value),
                None => wants_message = true,
            }
        }
    }
    vec![Exception {
        kind,
        value,
        frames,
        ..Exception::default()
    }]
}

/// The frames, outermost first.
pub(super) fn frames(text: &str) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut is_begun = false;
    for line in lines(text) {
        let trimmed = line.trim_start();
        if trimmed.eq_ignore_ascii_case("stack backtrace:") {
            // A second one is of a panic while panicking.
            if is_begun {
                break;
            }
            // Numbered lines above were causes, as `anyhow` lists them.
            is_begun = true;
            frames.clear();
        } else if let Some(function) = numbered(trimmed) {
            frames.push(frame(function));
        } else if let Some(place) = trimmed.strip_prefix("at ") {
            // The place belongs to the frame above; a second one would be of a macro.
            if let Some(last) = frames.last_mut().filter(|last| last.line.is_none()) {
                at(last, place);
            }
        }
    }
    frames.reverse();
    frames
}

/// `  3: app::run`
fn numbered(line: &str) -> Option<&str> {
    let (number, function) = line.split_once(": ")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !function.trim().is_empty()).then(|| function.trim())
}

fn frame(function: &str) -> Frame {
    // Old builds name an address first: `0x55d0 - app::run`.
    let function = match function.split_once(" - ") {
        Some((address, name)) if address.starts_with("0x") => name,
        Some(_) | None => function,
    };
    // `::h0123456789abcdef` tells builds apart and nothing else.
    let function = match function.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            name
        }
        Some(_) | None => function,
    };
    let plain = function.trim_start_matches('<');
    let std = [
        "std::", "core::", "alloc::", "__rust", "rust_", "test::", "_start", "__libc",
    ];
    let module = plain.rsplit_once("::").map(|(module, _)| module.to_owned());
    Frame {
        file: "<unknown>".to_owned(),
        function: function.to_owned(),
        module,
        in_app: !std.iter().any(|part| plain.starts_with(part)),
        ..Frame::default()
    }
}

/// `./src/main.rs:3:5`
fn at(frame: &mut Frame, place: &str) {
    let (rest, last) = match place.trim().rsplit_once(':') {
        Some((rest, last)) => (rest, line_number(last)),
        None => return,
    };
    let (file, line) = match rest.rsplit_once(':') {
        Some((file, line)) if line_number(line).is_some() => (file, line_number(line)),
        Some(_) | None => (rest, last),
    };
    file.clone_into(&mut frame.file);
    frame.line = line;
    let library = [
        "/rustc/",
        ".cargo/registry",
        "/rustlib/",
        "\\.cargo\\registry",
    ];
    frame.in_app = frame.in_app && !library.iter().any(|part| file.contains(part));
}
