//! The few messages of OTLP that we need, read from protobuf's wire format (four wire types; protobuf.dev, "Encoding").
//!
//! **Fields that are not known are passed over, as the format demands; a length beyond the message ends the reading.** Values nest no
//! deeper than [`DEPTH_MAX`].
//!
//! A message inside another has a length, so one that cannot be read ends alone and the reading goes on behind it. A record, a scope or a
//! group counts as one broken record then; of scopes and groups the records before the break stay, and a resource keeps the attributes
//! that can be read. Only where the request itself breaks off does nobody know where its next group would begin: that counts as one
//! too, and the groups before it stay.
//!
//! **What is kept of a request is made of at most [`VALUES_MAX`] values**, as it is in JSON: two bytes may become 72 of memory. A record
//! with more than are left cannot be read.

use super::super::json::VALUES_MAX;
use super::{Attributes, Record, Records, Resource, Signal, severity, short};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Deepest nesting of a value.
const DEPTH_MAX: usize = 8;
/// Most attributes kept of one record or resource.
const ATTRIBUTES_MAX: usize = 256;

/// One field of a message.
enum Field<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

impl<'b> Field<'b> {
    fn bytes(&self) -> &'b [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(_) => &[],
        }
    }

    fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Bytes(_) => 0,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    fn hex(&self) -> String {
        // Trace ids have 16 bytes, span ids 8.
        let bytes = self.bytes().get(..16).unwrap_or(self.bytes());
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        let digits = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16));
        digits.collect()
    }
}

/// The fields of a message, in order; ends with an error where it cannot be read on.
struct Fields<'b> {
    rest: &'b [u8],
}

/// A message that cannot be read.
struct Broken;

fn varint(rest: &mut &[u8]) -> Result<u64, Broken> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(Broken)?;
        *rest = after;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Broken)
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Result<&'b [u8], Broken> {
    let (taken, after) = rest.split_at_checked(length).ok_or(Broken)?;
    *rest = after;
    Ok(taken)
}

/// A little-endian number of four or eight bytes.
fn fixed(bytes: &[u8]) -> u64 {
    let bytes = bytes.iter().rev();
    bytes.fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u64, Field<'b>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let found = field(&mut self.rest);
        if found.is_err() {
            self.rest = &[];
        }
        Some(found)
    }
}

fn field<'b>(rest: &mut &'b [u8]) -> Result<(u64, Field<'b>), Broken> {
    let tag = varint(rest)?;
    let value = match tag & 7 {
        0 => Field::Number(varint(rest)?),
        1 => Field::Number(fixed(take(rest, 8)?)),
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| Broken)?;
            Field::Bytes(take(rest, length)?)
        }
        5 => Field::Number(fixed(take(rest, 4)?)),
        _ => return Err(Broken),
    };
    Ok((tag >> 3, value))
}

fn fields(bytes: &[u8]) -> Fields<'_> {
    Fields { rest: bytes }
}

/// `ExportLogsServiceRequest` or `ExportTraceServiceRequest`; nothing where it is neither, which is so where it breaks off before any
/// group.
pub(super) fn read(signal: Signal, body: &[u8]) -> Option<Records> {
    let mut records = Records::new();
    let mut has_group = false;
    for field in fields(body) {
        match field {
            Ok((1, group)) => {
                has_group = true;
                let read = of_resource(signal, group.bytes(), &mut records);
                records.note(&read);
            }
            Ok(_) => {}
            Err(Broken) if has_group => records.broken += 1,
            Err(Broken) => return None,
        }
    }
    Some(records)
}

/// `ResourceLogs` or `ResourceSpans`.
fn of_resource(signal: Signal, bytes: &[u8], records: &mut Records) -> Result<(), Broken> {
    // Its lists become short texts at once.
    let mut left = VALUES_MAX;
    let mut attributes = Attributes::new();
    let mut whole = Ok(());
    for (number, message) in fields(bytes).flatten() {
        if number == 1 {
            whole = whole.and(resource(message.bytes(), &mut attributes, &mut left));
        }
    }
    let resource = Arc::new(Resource::new(attributes));
    for field in fields(bytes) {
        if let (2, scope) = field? {
            let read = of_scope(signal, scope.bytes(), &resource, records);
            records.note(&read);
        }
    }
    whole
}

/// `Resource`: those of its attributes that can be read.
fn resource(bytes: &[u8], attributes: &mut Attributes, left: &mut usize) -> Result<(), Broken> {
    let mut whole = Ok(());
    for field in fields(bytes) {
        if let (1, pair) = field? {
            whole = whole.and(attribute(pair.bytes(), attributes, left));
        }
    }
    whole
}

/// `ScopeLogs` or `ScopeSpans`.
fn of_scope(
    signal: Signal,
    bytes: &[u8],
    resource: &Arc<Resource>,
    records: &mut Records,
) -> Result<(), Broken> {
    for field in fields(bytes) {
        if let (2, item) = field? {
            let read = match signal {
                Signal::Logs => log(item.bytes(), resource, records),
                Signal::Traces => span(item.bytes(), resource, records),
            };
            records.note(&read);
        }
    }
    Ok(())
}

impl Records {
    /// One that cannot be read loses no other.
    fn note(&mut self, read: &Result<(), Broken>) {
        self.broken += usize::from(read.is_err());
    }
}

/// `LogRecord`
fn log(bytes: &[u8], resource: &Arc<Resource>, records: &mut Records) -> Result<(), Broken> {
    let mut record = Record {
        resource: Arc::clone(resource),
        ..Record::default()
    };
    let mut severity_text = String::new();
    let mut left = records.values_left;
    for field in fields(bytes) {
        match field? {
            (1, time) if time.number() > 0 => record.time_ns = time.number(),
            (11, time) if record.time_ns == 0 => record.time_ns = time.number(),
            (2, severity) => record.severity = severity.number(),
            (3, text) => severity_text = text.text(),
            (5, body) => record.body = value(body.bytes(), 0, &mut left)?.map(text),
            (6, pair) => attribute(pair.bytes(), &mut record.attributes, &mut left)?,
            (9, id) => record.trace_id = id.hex(),
            (10, id) => record.span_id = id.hex(),
            _ => {}
        }
    }
    if record.severity == 0 {
        record.severity = severity(&severity_text);
    }
    if records.add(record) {
        records.values_left = left;
    }
    Ok(())
}

/// `Span`: its events that are exceptions. A span without one counts once.
fn span(bytes: &[u8], resource: &Arc<Resource>, records: &mut Records) -> Result<(), Broken> {
    let (mut trace_id, mut span_id, mut name) = (String::new(), String::new(), None);
    for field in fields(bytes) {
        match field? {
            (1, id) => trace_id = id.hex(),
            (2, id) => span_id = id.hex(),
            (5, found) => name = Some(Arc::from(short(found.text()))),
            _ => {}
        }
    }
    let mut has_exception = false;
    for field in fields(bytes) {
        let (11, event) = field? else {
            continue;
        };
        let mut left = records.values_left;
        let mut record = Record {
            resource: Arc::clone(resource),
            transaction: name.clone(),
            trace_id: trace_id.clone(),
            span_id: span_id.clone(),
            ..Record::default()
        };
        let mut is_exception = false;
        for field in fields(event.bytes()) {
            match field? {
                (1, time) => record.time_ns = time.number(),
                (2, name) => is_exception = name.bytes() == b"exception",
                (3, pair) => attribute(pair.bytes(), &mut record.attributes, &mut left)?,
                _ => {}
            }
        }
        if is_exception {
            has_exception = true;
            if records.add(record) {
                records.values_left = left;
            }
        }
    }
    records.without += usize::from(!has_exception);
    Ok(())
}

/// `KeyValue`
fn attribute(bytes: &[u8], attributes: &mut Attributes, left: &mut usize) -> Result<(), Broken> {
    let (name, found) = pair(bytes, 0, left)?;
    if attributes.len() < ATTRIBUTES_MAX {
        attributes.extend(found.map(|found| (name, found)));
    }
    Ok(())
}

fn pair(bytes: &[u8], depth: usize, left: &mut usize) -> Result<(String, Option<Value>), Broken> {
    let (mut name, mut found) = (String::new(), None);
    for field in fields(bytes) {
        match field? {
            (1, text) => name = text.text(),
            (2, message) => found = value(message.bytes(), depth, left)?,
            _ => {}
        }
    }
    Ok((name, found))
}

/// `AnyValue`, and how many more there may be.
fn value(bytes: &[u8], depth: usize, left: &mut usize) -> Result<Option<Value>, Broken> {
    *left = left.checked_sub(1).ok_or(Broken)?;
    let mut found = None;
    for field in fields(bytes) {
        found = match field? {
            (1, text) => Some(Value::from(text.text())),
            (2, truth) => Some(Value::from(truth.number() != 0)),
            (3, number) => Some(Value::from(number.number().cast_signed())),
            (4, number) => Some(Value::from(f64::from_bits(number.number()))),
            (5 | 6, _) if depth >= DEPTH_MAX => Some(Value::from("…")),
            (5, list) => {
                let mut items = Vec::new();
                for field in fields(list.bytes()) {
                    if let (1, item) = field? {
                        items.extend(value(item.bytes(), depth + 1, left)?);
                    }
                }
                Some(Value::from(items))
            }
            (6, map) => {
                let mut members = Map::new();
                for field in fields(map.bytes()) {
                    if let (1, member) = field? {
                        let (name, found) = pair(member.bytes(), depth + 1, left)?;
                        members.insert(name, found.unwrap_or_default());
                    }
                }
                Some(Value::from(members))
            }
            (7, bytes) => Some(Value::from(format!("{} bytes", bytes.bytes().len()))),
            _ => found,
        };
    }
    Ok(found)
}

/// A value as text.
pub(super) fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

fn put_varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push((number & 0x7f) as u8);
}

fn put_bytes(into: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    into.push((tag << 3) | 2);
    put_varint(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

/// A response whose partial success counts what was rejected; logs and traces have it in the same fields.
pub(super) fn partial_success(rejected: u64, why: &str) -> Vec<u8> {
    let mut partial = vec![1 << 3];
    put_varint(&mut partial, rejected);
    put_bytes(&mut partial, 2, why.as_bytes());
    let mut response = Vec::new();
    put_bytes(&mut response, 1, &partial);
    response
}

/// `google.rpc.Status` with its message.
pub(super) fn status(why: &str) -> Vec<u8> {
    let mut status = Vec::new();
    put_bytes(&mut status, 2, why.as_bytes());
    status
}
