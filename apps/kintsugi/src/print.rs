//! What people and programs get to read: results on standard output, failures on standard error.
//!
//! With `--json` standard output holds JSON objects, one a line, and nothing else; a failure is the
//! object `{code, message, help}` there, and the same sentence on standard error. Colour only where a
//! terminal is. A reader that went away is no reason to stop, so nothing here fails.

use crate::error::Error;
use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::Write as _;

/// A style of the words that matter.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const CARE: Style = AnsiColor::Yellow.on_default().bold();

/// A line on standard output.
pub(crate) fn out(text: &(impl Display + ?Sized)) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

/// A JSON object on standard output, in one line.
pub(crate) fn object(value: &Value) {
    out(value);
}

/// A line on standard error.
pub(crate) fn say(text: &(impl Display + ?Sized)) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Something a person should know although it goes on.
pub(crate) fn warning(sentence: &str, json: bool) {
    say(&format_args!("{CARE}warning:{CARE:#} {sentence}"));
    if json {
        object(&json!({"event": "warning", "message": sentence}));
    }
}

/// What went wrong and what to do.
pub(crate) fn failure(error: &Error, json: bool) {
    let (code, help) = (error.code(), error.help());
    say(&format_args!(
        "{BAD}failed:{BAD:#} {error}; {help} [{code}]"
    ));
    if json {
        failure_object(code, &error.to_string(), &help);
    }
}

/// The same for programs.
pub(crate) fn failure_object(code: &str, message: &str, help: &str) {
    object(&json!({"code": code, "message": message, "help": help}));
}
