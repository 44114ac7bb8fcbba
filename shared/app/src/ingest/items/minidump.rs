//! Minidumps: what a dump says of a crash completes an event. The dump itself is not kept.

use crate::ingest::envelope::Item;
use crate::ingest::multipart::EVENT;
use kintsugi_minidump::{Crash, NotADump};
use serde_json::{Value, json};

/// The dump as a Sentry event, on top of what its sender said. What the sender said of exceptions gives way.
pub(super) fn as_event(item: &Item<'_>) -> Result<Value, NotADump> {
    completed(item.payload, item.header.get(EVENT))
}

/// What a dump says, on top of what was said of it.
pub(in crate::ingest) fn completed(dump: &[u8], said: Option<&Value>) -> Result<Value, NotADump> {
    let crash = kintsugi_minidump::read(dump)?;
    let said = said.filter(|said| said.is_object());
    let mut event = said.cloned().unwrap_or_else(|| json!({}));
    if let Some(fields) = event.as_object_mut() {
        for name in ["threads", "stacktrace"] {
            fields.remove(name);
        }
        let contexts = fields.entry("contexts").or_insert(json!({}));
        if let Some(contexts) = contexts.as_object_mut() {
            contexts
                .entry("os")
                .or_insert(json!({"name": crash.system}));
            contexts
                .entry("device")
                .or_insert(json!({"arch": crash.processor}));
            // Sentry's protocol has it as the exception's `thread_id`, which an event of ours has no field for.
            if let Some(thread) = crash.thread {
                contexts.entry("crash").or_insert(json!({"thread": thread}));
            }
        }
        fields.insert("platform".to_owned(), json!("native"));
        fields.insert("level".to_owned(), json!("fatal"));
        fields.insert("exception".to_owned(), exception(&crash));
    }
    Ok(event)
}

fn exception(crash: &Crash) -> Value {
    let frames: Vec<Value> = crash
        .frames
        .iter()
        // The protocol has the one that crashed at the end.
        .rev()
        .map(|frame| {
            let file = frame.module.rsplit(['/', '\\']).next().unwrap_or_default();
            json!({
                "filename": if file.is_empty() { "<unknown>" } else { file },
                "abs_path": frame.module,
                "function": format!("{file}+{:#x}", frame.offset),
                "in_app": frame.is_program,
                "vars": {"build": frame.build, "trust": frame.trust},
            })
        })
        .collect();
    json!([{
        "type": crash.reason.as_deref().unwrap_or("Dump"),
        "value": crash.detail,
        "mechanism": {"type": "minidump", "handled": crash.reason.is_none()},
        "stacktrace": {"frames": frames},
    }])
}
