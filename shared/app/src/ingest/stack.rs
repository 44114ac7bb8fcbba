//! Exceptions and stack frames of a Sentry event.

use super::json::{Json, any_text_of, bounded, items, member, text_of};
use kintsugi_domain::event::{Exception, Frame};
use kintsugi_domain::limits::{EXCEPTIONS_MAX, FRAME_VARS_MAX, FRAMES_MAX};

/// Deepest nesting kept of a local variable.
const VAR_DEPTH_MAX: usize = 6;
/// Most members kept of a local variable.
const VAR_WIDTH_MAX: usize = 100;

/// What in a path makes it a library's, not the product's.
const LIBRARY_PATHS: [&str; 17] = [
    "site-packages",
    "dist-packages",
    "/lib/python",
    "\\lib\\python",
    "node_modules",
    "node:",
    "/rustc/",
    ".cargo/registry",
    "/usr/lib/",
    "/usr/include/",
    "/gems/",
    "vendor/bundle",
    "/go/pkg/mod/",
    "<built-in",
    "<native",
    "[native code]",
    "webpack/bootstrap",
];

/// Beginnings of modules that come with a platform.
const LIBRARY_MODULES: [&str; 12] = [
    "java.",
    "javax.",
    "jdk.",
    "sun.",
    "kotlin.",
    "kotlinx.",
    "android.",
    "androidx.",
    "scala.",
    "System.",
    "Microsoft.",
    "importlib.",
];

/// The exceptions of an event, the one raised last at the end. Frames that stand beside the
/// exceptions (`stacktrace`, `threads`) go to the one that was raised, or make one of the message.
pub(super) fn exceptions<J: Json>(event: &J, message: Option<&str>) -> Vec<Exception> {
    let list = member(event, "exception").or_else(|| member(event, "sentry.interfaces.Exception"));
    let found: Vec<&J> = items(list)
        .into_iter()
        .filter(|item| item.is_object())
        .collect();
    // The newest are at the end and name the event.
    let skip = found.len().saturating_sub(EXCEPTIONS_MAX);
    let mut exceptions: Vec<Exception> = found.into_iter().skip(skip).map(exception).collect();
    if exceptions
        .iter()
        .all(|exception| exception.frames.is_empty())
    {
        let frames = loose_frames(event);
        match exceptions.last_mut() {
            Some(raised) => raised.frames = frames,
            None if frames.is_empty() => {}
            None => exceptions.push(Exception {
                kind: "Message".to_owned(),
                value: message.unwrap_or_default().to_owned(),
                frames,
                ..Exception::default()
            }),
        }
    }
    exceptions
}

fn exception(value: &impl Json) -> Exception {
    let mechanism = value.get("mechanism");
    let stack = member(value, "stacktrace").or_else(|| member(value, "raw_stacktrace"));
    Exception {
        kind: text_of(value, "type")
            .or_else(|| text_of(mechanism?, "type"))
            .unwrap_or_else(|| "Error".to_owned()),
        value: any_text_of(value, "value").unwrap_or_default(),
        module: text_of(value, "module"),
        handled: mechanism.and_then(|mechanism| mechanism.get("handled")?.as_bool()),
        frames: stack.map(frames).unwrap_or_default(),
    }
}

/// Frames outside any exception: of the event, else of the thread that crashed, or is current, or is
/// the only one.
fn loose_frames<J: Json>(event: &J) -> Vec<Frame> {
    let own = member(event, "stacktrace").or_else(|| member(event, "sentry.interfaces.Stacktrace"));
    if let Some(stack) = own {
        return frames(stack);
    }
    let threads = items(event.get("threads"));
    let is = |name: &'static str| {
        move |thread: &&&J| thread.get(name).and_then(Json::as_bool) == Some(true)
    };
    threads
        .iter()
        .find(is("crashed"))
        .or_else(|| threads.iter().find(is("current")))
        .or_else(|| threads.first().filter(|_| threads.len() == 1))
        .and_then(|thread| member(*thread, "stacktrace"))
        .map(frames)
        .unwrap_or_default()
}

/// The frames of a stack. Of a very deep one the outermost and the innermost halves are kept.
fn frames<J: Json>(stack: &J) -> Vec<Frame> {
    let found = member(stack, "frames").unwrap_or(stack);
    let found = found.as_array().unwrap_or_default().iter();
    let found: Vec<&J> = found.filter(|frame| frame.is_object()).collect();
    let (outer, inner) = if found.len() > FRAMES_MAX {
        (FRAMES_MAX / 2, found.len() - FRAMES_MAX.div_ceil(2))
    } else {
        (found.len(), found.len())
    };
    found
        .iter()
        .take(outer)
        .chain(found.iter().skip(inner))
        .map(|found| frame(*found))
        .collect()
}

fn frame(value: &impl Json) -> Frame {
    let path = text_of(value, "abs_path");
    let module = text_of(value, "module");
    let file = text_of(value, "filename")
        .or_else(|| path.clone())
        .or_else(|| text_of(value, "package"))
        .or_else(|| module.clone())
        .unwrap_or_else(|| "<unknown>".to_owned());
    let function = text_of(value, "function")
        .or_else(|| text_of(value, "raw_function"))
        .unwrap_or_else(|| "<unknown>".to_owned());
    let line = text_of(value, "lineno")
        .and_then(|line| line.parse().ok())
        .filter(|line| *line > 0);
    let said = value.get("in_app").and_then(Json::as_bool);
    // The interpreter's own frozen modules are never the product, though SDKs say so.
    let in_app = !file.starts_with("<frozen")
        && said.unwrap_or_else(|| !is_library(&file, path.as_deref(), module.as_deref()));
    let vars = value.get("vars").and_then(Json::members);
    Frame {
        file,
        path,
        function,
        module,
        line,
        source: text_of(value, "context_line"),
        in_app,
        vars: vars
            .into_iter()
            .flatten()
            .take(FRAME_VARS_MAX)
            .map(|(name, var)| (name.to_owned(), bounded(var, VAR_DEPTH_MAX, VAR_WIDTH_MAX)))
            .collect(),
    }
}

fn is_library(file: &str, path: Option<&str>, module: Option<&str>) -> bool {
    let in_path = |text: &str| {
        let text = text.to_ascii_lowercase();
        LIBRARY_PATHS.iter().any(|library| text.contains(library))
    };
    in_path(file)
        || path.is_some_and(in_path)
        || module.is_some_and(|module| {
            LIBRARY_MODULES
                .iter()
                .any(|library| module.starts_with(library))
        })
}
