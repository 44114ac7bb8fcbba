//! Bodies of forms (`multipart/form-data`, RFC 7578), as crash reporters send a minidump and what goes with it.
//!
//! | part | becomes |
//! |---|---|
//! | `upload_file_minidump` | the dump |
//! | `sentry`, `sentry___name` | the event that the dump completes, JSON |
//! | `sentry__1`, `sentry__2` … | the same in pieces, because Crashpad has a bound for each field |
//! | `__sentry-event`, `__sentry-breadcrumb1`, `__sentry-breadcrumb2` | files with the same and its breadcrumbs ([`msgpack`]), of `sentry-native` with Crashpad |
//! | `sentry[release]`, `sentry[tags][a]` | fields of that event |
//! | any other file | an attachment |
//! | any other field | a tag |
//!
//! A body that is a dump itself needs no form. **Parts are slices of the body, and at most [`PARTS_MAX`] of them. All that is said of the
//! event together has at most [`SAID_BYTES_MAX`]**, since read it takes many times that.

use super::envelope::{Item, Parts};
use super::json;
use super::msgpack;
use kintsugi_domain::limits::EVENT_BYTES_MAX;
use serde_json::map::Entry;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Most parts that are read; those beyond are counted.
const PARTS_MAX: usize = 100;
/// Most that is read of what parts say of the event, bytes: as much as an event that comes as JSON may have.
const SAID_BYTES_MAX: usize = EVENT_BYTES_MAX;
/// Longest field kept, bytes; a dump is no field.
const FIELD_BYTES_MAX: usize = 10_000;
/// Most steps in the name of a field.
const STEPS_MAX: usize = 4;
/// What a minidump begins with.
const SIGNATURE: &[u8] = b"MDMP";

/// The name of the item that a dump becomes.
pub(super) const MINIDUMP: &str = "minidump";
/// The field of its header that has the event.
pub(super) const EVENT: &str = "event";

/// The body is no form with a minidump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is neither a minidump nor a form with a file upload_file_minidump")]
pub(super) struct NoMinidump;

/// One part of a form.
struct Part<'b> {
    name: String,
    file: Option<String>,
    content: &'b [u8],
}

/// Takes the body of `/minidump/` apart.
pub(super) fn parse<'b>(
    content_type: Option<&str>,
    body: &'b [u8],
) -> Result<Parts<'b>, NoMinidump> {
    if body.starts_with(SIGNATURE) {
        return Ok(Parts::one(MINIDUMP, body));
    }
    let boundary = content_type.and_then(boundary).ok_or(NoMinidump)?;
    let (mut event, mut items, mut dump, mut more) = (Value::Object(Map::new()), vec![], None, 0);
    let mut room = SAID_BYTES_MAX;
    let mut pieces = BTreeMap::new();
    let mut crumbs = Vec::new();
    for (place, part) in FormParts::new(body, &boundary).enumerate() {
        if place >= PARTS_MAX {
            more += 1;
        } else if part.name == "upload_file_minidump" && dump.is_none() {
            dump = Some(part.content);
        } else if let Some(values) = packed(&part, &mut room) {
            if part.name == "__sentry-event" {
                for said in values {
                    merge(&mut event, said);
                }
            } else {
                crumbs.extend(values);
            }
        } else if let Some(place) = piece(&part) {
            pieces.insert(place, part.content);
        } else if let Some(file) = part.file {
            let mut header = Map::new();
            header.insert("filename".to_owned(), Value::String(file));
            items.push(Item {
                kind: "attachment".to_owned(),
                header,
                payload: part.content,
            });
        } else {
            field(&mut event, &part, &mut room);
        }
    }
    let whole: Vec<u8> = pieces.into_values().flatten().copied().collect();
    said(&mut event, &whole, &mut room);
    if !crumbs.is_empty() {
        // Two files are written in turn, so the second may hold the older ones.
        crumbs.sort_by_cached_key(|crumb| json::text_of(crumb, "timestamp"));
        set(&mut event, &["breadcrumbs"], Value::Array(crumbs));
    }
    let mut item = Item {
        kind: MINIDUMP.to_owned(),
        header: Map::new(),
        payload: dump.ok_or(NoMinidump)?,
    };
    let id = event.get("event_id").cloned();
    item.header.insert(EVENT.to_owned(), event);
    items.insert(0, item);
    Ok(Parts {
        header: id
            .map(|id| ("event_id".to_owned(), id))
            .into_iter()
            .collect(),
        items,
        broken: 0,
        more,
    })
}

/// Puts a field where its name says: `sentry[tags][a]` to the tag `a`.
fn field(event: &mut Value, part: &Part<'_>, room: &mut usize) {
    if part.name == "sentry" || part.name.starts_with("sentry___") {
        return said(event, part.content, room);
    }
    let short = part.content.get(..FIELD_BYTES_MAX).unwrap_or(part.content);
    let text = String::from_utf8_lossy(short);
    let value = Value::String(text.trim().to_owned());
    match part.name.strip_prefix("sentry[") {
        Some(rest) => {
            let steps: Vec<&str> = rest
                .trim_end_matches(']')
                .split("][")
                .take(STEPS_MAX)
                .collect();
            set(event, &steps, value);
        }
        None => set(event, &["tags", &part.name], value),
    }
}

/// Adds what JSON says of the event, where there is room for it.
fn said(event: &mut Value, content: &[u8], room: &mut usize) {
    if takes(room, content) {
        merge(event, json::read(content).unwrap_or_default());
    }
}

/// Which piece of the event a field is: `sentry__2`.
fn piece(part: &Part<'_>) -> Option<usize> {
    let place = part.name.strip_prefix("sentry__")?;
    place.parse().ok().filter(|_| part.file.is_none())
}

/// Whether there is room for a content, which it takes then.
fn takes(room: &mut usize, content: &[u8]) -> bool {
    let left = room.checked_sub(content.len());
    *room = left.unwrap_or(*room);
    left.is_some()
}

/// What a file of `sentry-native` says, if it is one and can be read.
fn packed(part: &Part<'_>, room: &mut usize) -> Option<Vec<Value>> {
    let names = [
        "__sentry-event",
        "__sentry-breadcrumb1",
        "__sentry-breadcrumb2",
    ];
    let fits = names.contains(&part.name.as_str()) && takes(room, part.content);
    fits.then(|| msgpack::read(part.content)).flatten()
}

/// Adds the members of one object to another; what is there already stays.
fn merge(into: &mut Value, said: Value) {
    let (Value::Object(into), Value::Object(said)) = (into, said) else {
        return;
    };
    for (name, value) in said {
        match into.entry(name) {
            Entry::Vacant(free) => {
                free.insert(value);
            }
            Entry::Occupied(mut there) => merge(there.get_mut(), value),
        }
    }
}

/// Sets a member of an object, and makes the objects on the way; what is there already stays.
fn set(object: &mut Value, steps: &[&str], value: Value) {
    let Some(((step, rest), fields)) = steps.split_first().zip(object.as_object_mut()) else {
        return;
    };
    if rest.is_empty() {
        fields.entry(*step).or_insert(value);
    } else {
        set(fields.entry(*step).or_insert(json!({})), rest, value);
    }
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameter(parameters, "boundary").filter(|found| (1..=200).contains(&found.len()))
}

/// A parameter of a header: `name=value` or `name="value"`.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    parameters.split(';').find_map(|parameter| {
        let (found, value) = parameter.split_once('=')?;
        let fits = found.trim().eq_ignore_ascii_case(name);
        fits.then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The parts of a form, one after the other.
struct FormParts<'b> {
    delimiter: Vec<u8>,
    rest: &'b [u8],
}

impl<'b> FormParts<'b> {
    fn new(body: &'b [u8], boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first delimiter stands at the beginning, or after something to be left out.
        let first = delimiter.get(2..).unwrap_or_default();
        let rest = match find(body, first) {
            Some(at) => body.get(at + first.len()..).unwrap_or_default(),
            None => &[],
        };
        Self { delimiter, rest }
    }
}

impl<'b> Iterator for FormParts<'b> {
    type Item = Part<'b>;

    fn next(&mut self) -> Option<Part<'b>> {
        loop {
            if self.rest.is_empty() || self.rest.starts_with(b"--") {
                return None;
            }
            // A part that is cut off ends with the body.
            let end = find(self.rest, &self.delimiter).unwrap_or(self.rest.len());
            let (part, after) = self.rest.split_at(end);
            self.rest = after.get(self.delimiter.len()..).unwrap_or_default();
            if let Some(part) = read(part) {
                return Some(part);
            }
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, needle)
}

fn read(part: &[u8]) -> Option<Part<'_>> {
    let split = find(part, b"\r\n\r\n")?;
    let (head, content) = part.split_at(split);
    let head = String::from_utf8_lossy(head);
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let fits = name.trim().eq_ignore_ascii_case("content-disposition");
        fits.then(|| value.to_owned())
    })?;
    Some(Part {
        name: parameter(&disposition, "name")?,
        file: parameter(&disposition, "filename"),
        content: content.get(4..).unwrap_or_default(),
    })
}
