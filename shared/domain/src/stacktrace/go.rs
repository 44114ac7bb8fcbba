//! Go: the call, and its place on the line below; innermost call first. Of several goroutines the first counts, which is
//! the one that panicked.

use super::{line_number, lines};
use crate::event::{Exception, Frame};

pub(super) fn read(text: &str) -> Vec<Exception> {
    let mut exception = Exception::default();
    let mut call: Option<&str> = None;
    let mut goroutines = 0;
    for line in lines(text) {
        let trimmed = line.trim();
        if trimmed.starts_with("goroutine ") && trimmed.ends_with(':') {
            goroutines += 1;
            if goroutines > 1 && !exception.frames.is_empty() {
                break;
            }
            continue;
        }
        for head in ["panic: ", "fatal error: "] {
            if let Some(value) = trimmed.strip_prefix(head)
                && exception.value.is_empty()
            {
                let kind = head.trim_end_matches([' ', ':']);
                kind.clone_into(&mut exception.kind);
                let value = value.split(" [recovered]").next().unwrap_or(value);
                value.clone_into(&mut exception.value);
            }
        }
        let place = line
            .starts_with(['\t', ' '])
            .then(|| place(trimmed))
            .flatten();
        match (place, call.take()) {
            (Some((file, number)), Some(call)) => {
                exception.frames.extend(frame(call, file, number));
            }
            (Some(_), None) => {}
            (None, _) => call = Some(trimmed),
        }
    }
    exception.frames.reverse();
    vec![exception]
}

/// `/app/main.go:12 +0x1d`
fn place(line: &str) -> Option<(&str, u32)> {
    let (file, number) = line.split(" +0x").next()?.rsplit_once(':')?;
    let ending = file.rsplit_once('.').map(|(_, ending)| ending);
    let is_source = ending.is_some_and(|ending| ["go", "s", "c"].contains(&ending));
    Some((file, line_number(number)?)).filter(|_| is_source)
}

/// `main.(*Server).handle(0xc000010000, {0x1, 0x2})`, or `created by main.main in goroutine 1`.
fn frame(call: &str, file: &str, line: u32) -> Option<Frame> {
    let call = call.strip_prefix("created by ").unwrap_or(call);
    let call = call.split(" in goroutine ").next()?;
    // The arguments are the last parentheses; `(*Server)` is part of the name.
    let name = match call.rsplit_once('(') {
        Some((name, rest)) if !rest.contains(").") => name,
        Some(_) | None => call,
    };
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = name.get(start..)?.find('.')? + start;
    let (module, function) = name.split_at_checked(dot)?;
    let library = ["/go/src/", "/go/pkg/mod/", "/usr/lib/go", "/libexec/src/"];
    let is_runtime = module == "runtime" || module.starts_with("runtime/") || module == "panic";
    Some(Frame {
        file: file.to_owned(),
        function: function.trim_start_matches('.').to_owned(),
        module: Some(module.to_owned()),
        line: Some(line),
        in_app: !is_runtime && !library.iter().any(|part| file.contains(part)),
        ..Frame::default()
    })
}
