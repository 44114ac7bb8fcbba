//! Attachments: texts, scrubbed. What is no text cannot be scrubbed, so it is dropped as `not_text` unless the project keeps such
//! (`[ingest] keep_binary_attachments`); then it is opaque evidence, as it came.

use super::Origin;
use crate::ingest::envelope::Item;
use crate::ingest::keep::Kept;
use crate::ingest::sentry::sentry_id;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::event::Remark;
use kintsugi_domain::kept::Attachment;
use kintsugi_domain::limits::REPORTS_FOLDER;
use serde_json::Value;

/// Longest name kept, characters.
const NAME_CHARS_MAX: usize = 250;

/// What is kept of an attachment, or why nothing is.
pub(super) fn read(item: &Item<'_>, origin: &Origin<'_>) -> Result<Kept, &'static str> {
    let text = std::str::from_utf8(item.payload).ok();
    let text = text.filter(|text| !text.contains('\0'));
    let (content, remarks) = match text {
        Some(text) => scrubbed(text, origin),
        None if origin.rules.keep_binary_attachments => (item.payload.to_vec(), Vec::new()),
        None => return Err("not_text"),
    };
    let said = |name: &str| {
        let text = item.header.get(name).and_then(Value::as_str)?;
        let short: String = text.chars().take(NAME_CHARS_MAX).collect();
        Some(origin.scrubber.scrub_text("name", &short).0)
    };
    let digest = Digest::of(&content);
    let project = origin.frame.project;
    let header = origin.frame.header;
    let attachment = Attachment {
        project,
        event: sentry_id(header.and_then(|header| header.get("event_id"))),
        name: said("filename").unwrap_or_else(|| "attachment".to_owned()),
        content_type: said("content_type"),
        is_binary: text.is_none(),
        blob: format!("{REPORTS_FOLDER}/{project}/attachments/{digest}"),
        digest,
        bytes: content.len() as u64,
        at: origin.frame.received_at,
        remarks,
    };
    Ok(Kept::Attachment(attachment, content))
}

fn scrubbed(text: &str, origin: &Origin<'_>) -> (Vec<u8>, Vec<Remark>) {
    // What is JSON has names for its values, and they say more than the text does.
    let looks_like_json = text.trim_start().starts_with(['{', '[']);
    let json = looks_like_json
        .then(|| origin.scrubber.scrub_json(text).ok())
        .flatten();
    let (content, remarks) = json.unwrap_or_else(|| origin.scrubber.scrub_long_text("", text));
    (content.into_bytes(), remarks)
}
