//! Which parts of an event are scrubbed: every text that a client chose.

use crate::rules::Rules;
use crate::text::Reading;
use crate::value::Walk;
use kintsugi_domain::event::{Event, Exception, Frame};
use std::collections::BTreeMap;

/// Scrubs an event and appends the remarks.
pub(crate) fn scrub(event: &mut Event, rules: &Rules) {
    let mut walk = Walk::after(rules, "", event.remarks.len());
    let mut optional = |name: &str, text: &mut Option<String>, reading| {
        if let Some(text) = text {
            walk.within(name, |walk| walk.text(text, reading));
        }
    };
    optional("release", &mut event.release, Reading::Release);
    optional("environment", &mut event.environment, Reading::Prose);
    optional("transaction", &mut event.transaction, Reading::Prose);
    optional("message", &mut event.message, Reading::Prose);
    optional("sdk", &mut event.sdk, Reading::Release);
    walk.within("platform", |walk| {
        walk.text(&mut event.platform, Reading::Prose);
    });
    walk.within("exceptions", |walk| {
        for (index, exception) in event.exceptions.iter_mut().enumerate() {
            walk.within(index, |walk| scrub_exception(walk, exception));
        }
    });
    walk.within("breadcrumbs", |walk| {
        for (index, crumb) in event.breadcrumbs.iter_mut().enumerate() {
            walk.within(index, |walk| {
                walk.within("category", |walk| {
                    walk.text(&mut crumb.category, Reading::Prose);
                });
                walk.within("message", |walk| {
                    walk.text(&mut crumb.message, Reading::Prose);
                });
            });
        }
    });
    walk.within("fingerprint", |walk| {
        for (index, part) in event.fingerprint.iter_mut().enumerate() {
            walk.within(index, |walk| walk.text(part, Reading::Prose));
        }
    });
    walk.within("tags", |walk| scrub_labels(walk, &mut event.tags));
    walk.within("system", |walk| scrub_labels(walk, &mut event.system));
    walk.within("details", |walk| {
        for (name, value) in &mut event.details {
            walk.within(name, |walk| walk.named(name, value, Reading::Prose));
        }
    });
    event.remarks.append(&mut walk.into_remarks());
}

fn scrub_exception(walk: &mut Walk<'_>, exception: &mut Exception) {
    walk.within("kind", |walk| {
        walk.text(&mut exception.kind, Reading::Prose);
    });
    walk.within("value", |walk| {
        walk.text(&mut exception.value, Reading::Prose);
    });
    if let Some(module) = &mut exception.module {
        walk.within("module", |walk| walk.text(module, Reading::Prose));
    }
    walk.within("frames", |walk| {
        for (index, frame) in exception.frames.iter_mut().enumerate() {
            walk.within(index, |walk| scrub_frame(walk, frame));
        }
    });
}

fn scrub_frame(walk: &mut Walk<'_>, frame: &mut Frame) {
    walk.within("file", |walk| walk.text(&mut frame.file, Reading::Prose));
    walk.within("function", |walk| {
        walk.text(&mut frame.function, Reading::Prose);
    });
    if let Some(path) = &mut frame.path {
        walk.within("path", |walk| walk.text(path, Reading::Prose));
    }
    if let Some(module) = &mut frame.module {
        walk.within("module", |walk| walk.text(module, Reading::Prose));
    }
    if let Some(source) = &mut frame.source {
        walk.within("source", |walk| walk.text(source, Reading::Source));
    }
    walk.within("vars", |walk| {
        scrub_names(walk, &mut frame.vars);
        for (name, value) in &mut frame.vars {
            walk.within(name, |walk| walk.named(name, value, Reading::Prose));
        }
    });
}

/// Scrubs labels and their names.
fn scrub_labels(walk: &mut Walk<'_>, labels: &mut BTreeMap<String, String>) {
    scrub_names(walk, labels);
    for (name, value) in labels.iter_mut() {
        walk.within(name, |walk| walk.named_text(name, value));
    }
}

/// Scrubs the names of a map. Two that become the same are told apart by a number.
fn scrub_names<V>(walk: &mut Walk<'_>, map: &mut BTreeMap<String, V>) {
    let found: Vec<String> = map
        .keys()
        .filter(|name| walk.must_rename(name))
        .cloned()
        .collect();
    let mut same = 1_usize;
    for mut name in found {
        let Some(value) = map.remove(&name) else {
            continue;
        };
        walk.text(&mut name, Reading::Prose);
        let base = name.clone();
        while map.contains_key(&name) {
            same += 1;
            name = format!("{base} {same}");
        }
        map.insert(name, value);
    }
}
