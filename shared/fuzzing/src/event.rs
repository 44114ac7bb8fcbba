//! What holds for every event that ingestion hands on, whatever it came from.

use kintsugi_domain::event::{Event, Exception, Frame};
use kintsugi_domain::limits::{
    BREADCRUMBS_MAX, EXCEPTIONS_MAX, FRAME_VARS_MAX, FRAMES_MAX, TEXT_CHARS_MAX,
};
use kintsugi_scrub::{REMARK_PATH_BYTES_MAX, REMARKS_MAX, Scrubber};
use serde_json::Value;

/// Most tags: those of the event, and what we say ourselves.
const TAGS_MAX: usize = 200 + 4;
/// Most parts of a fingerprint.
const FINGERPRINT_MAX: usize = 32;

/// Checks one event: its bounds, that it is scrubbed to the end, and that it is read as it was written.
pub(crate) fn check(event: &Event) {
    bounds(event);
    let mut again = event.clone();
    Scrubber::new(b"").scrub_event(&mut again);
    assert_eq!(again, *event, "scrubbing it again changes it");
    let written = serde_json::to_string(event).unwrap();
    let read: Event = serde_json::from_str(&written).unwrap();
    assert_eq!(comparable(&read), comparable(event), "{written}");
}

fn bounds(event: &Event) {
    let texts = [
        &event.release,
        &event.environment,
        &event.transaction,
        &event.message,
        &event.sdk,
    ];
    let texts = texts.into_iter().flatten();
    for text in texts.chain(&event.fingerprint).chain([&event.platform]) {
        short(text);
    }
    assert!(event.exceptions.len() <= EXCEPTIONS_MAX);
    assert!(event.breadcrumbs.len() <= BREADCRUMBS_MAX);
    assert!(event.fingerprint.len() <= FINGERPRINT_MAX);
    assert!(event.tags.len() <= TAGS_MAX);
    assert!(event.remarks.len() <= REMARKS_MAX);
    for remark in &event.remarks {
        assert!(remark.path.len() <= REMARK_PATH_BYTES_MAX, "{remark:?}");
    }
    for (name, value) in event.tags.iter().chain(&event.system) {
        short(name);
        short(value);
    }
    for crumb in &event.breadcrumbs {
        short(&crumb.category);
        short(&crumb.message);
    }
    for exception in &event.exceptions {
        exception_bounds(exception);
    }
    for (name, value) in &event.details {
        short(name);
        value_bounds(value);
    }
}

fn exception_bounds(exception: &Exception) {
    short(&exception.kind);
    short(&exception.value);
    exception.module.iter().for_each(|text| short(text));
    assert!(exception.frames.len() <= FRAMES_MAX);
    for Frame {
        file,
        path,
        function,
        module,
        source,
        vars,
        line: _,
        in_app: _,
    } in &exception.frames
    {
        let more = [path, module, source].into_iter().flatten();
        for text in [file, function].into_iter().chain(more) {
            short(text);
        }
        assert!(vars.len() <= FRAME_VARS_MAX);
        for (name, value) in vars {
            short(name);
            value_bounds(value);
        }
    }
}

fn value_bounds(value: &Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => short(text),
        Value::Array(items) => items.iter().for_each(value_bounds),
        Value::Object(fields) => {
            for (name, value) in fields {
                short(name);
                value_bounds(value);
            }
        }
    }
}

/// Names that became the same are told apart by a number behind them, so a text may be a little longer than the bound.
fn short(text: &str) {
    let length = text.chars().count();
    assert!(length <= TEXT_CHARS_MAX + 20, "a text of {length}");
}

/// An event as JSON without its fractions: they are read to the nearest but one.
fn comparable(event: &Event) -> Value {
    let mut value = serde_json::to_value(event).unwrap();
    without_fractions(&mut value);
    value
}

pub(crate) fn without_fractions(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => *value = Value::Null,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        Value::Array(items) => items.iter_mut().for_each(without_fractions),
        Value::Object(fields) => fields.values_mut().for_each(without_fractions),
    }
}
