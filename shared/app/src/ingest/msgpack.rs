//! The format of msgpack.org ("Specification") as JSON: what `sentry-native` writes beside a minidump.
//!
//! **Values nest no deeper than [`DEPTH_MAX`], and a length beyond the content ends the reading**, so what is made of a content is
//! bounded by it.

use serde_json::{Map, Value};

/// Deepest nesting of a value.
const DEPTH_MAX: usize = 32;

/// Every value of a content, one after the other; nothing where one of them cannot be read.
pub(super) fn read(content: &[u8]) -> Option<Vec<Value>> {
    let mut rest = content;
    let mut values = Vec::new();
    while !rest.is_empty() {
        values.push(value(&mut rest, DEPTH_MAX)?);
    }
    Some(values)
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// A big-endian number of so many bytes.
fn number(rest: &mut &[u8], bytes: usize) -> Option<u64> {
    let taken = take(rest, bytes)?;
    let add = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
    Some(taken.iter().fold(0, add))
}

/// The same with a sign.
fn signed(rest: &mut &[u8], bytes: usize) -> Option<Value> {
    let shift = 64 - 8 * u32::try_from(bytes).ok()?;
    Some(Value::from(
        (number(rest, bytes)? << shift).cast_signed() >> shift,
    ))
}

fn length(rest: &mut &[u8], bytes: usize) -> Option<usize> {
    usize::try_from(number(rest, bytes)?).ok()
}

fn value(rest: &mut &[u8], depth: usize) -> Option<Value> {
    let [kind] = *take(rest, 1)?.first_chunk()?;
    Some(match kind {
        0x00..=0x7f => Value::from(kind),
        0x80..=0x8f => map(rest, usize::from(kind & 0x0f), depth)?,
        0x90..=0x9f => list(rest, usize::from(kind & 0x0f), depth)?,
        0xa0..=0xbf => text(rest, usize::from(kind & 0x1f))?,
        0xc2 | 0xc3 => Value::from(kind == 0xc3),
        // Bytes and extensions have no form in JSON.
        0xc4..=0xc6 => {
            let bytes = length(rest, 1 << (kind - 0xc4))?;
            skip(rest, bytes)?
        }
        0xc7..=0xc9 => {
            let bytes = length(rest, 1 << (kind - 0xc7))?;
            skip(rest, bytes.checked_add(1)?)?
        }
        0xca => {
            let bits = u32::try_from(number(rest, 4)?).ok()?;
            Value::from(f32::from_bits(bits))
        }
        0xcb => Value::from(f64::from_bits(number(rest, 8)?)),
        0xcc..=0xcf => Value::from(number(rest, 1 << (kind - 0xcc))?),
        0xd0..=0xd3 => signed(rest, 1 << (kind - 0xd0))?,
        0xd4..=0xd8 => skip(rest, (1 << (kind - 0xd4)) + 1)?,
        0xd9..=0xdb => {
            let bytes = length(rest, 1 << (kind - 0xd9))?;
            text(rest, bytes)?
        }
        0xdc | 0xdd => {
            let items = length(rest, 2 << (kind - 0xdc))?;
            list(rest, items, depth)?
        }
        0xde | 0xdf => {
            let members = length(rest, 2 << (kind - 0xde))?;
            map(rest, members, depth)?
        }
        0xe0..=0xff => Value::from(kind.cast_signed()),
        // 0xc1 is never used.
        0xc0 | 0xc1 => Value::Null,
    })
}

fn skip(rest: &mut &[u8], bytes: usize) -> Option<Value> {
    take(rest, bytes).map(|_| Value::Null)
}

fn text(rest: &mut &[u8], bytes: usize) -> Option<Value> {
    let text = String::from_utf8_lossy(take(rest, bytes)?);
    Some(Value::from(text.into_owned()))
}

fn list(rest: &mut &[u8], items: usize, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let mut list = Vec::new();
    for _ in 0..items {
        list.push(value(rest, depth)?);
    }
    Some(Value::from(list))
}

fn map(rest: &mut &[u8], members: usize, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let mut map = Map::new();
    for _ in 0..members {
        let name = value(rest, depth)?;
        let value = value(rest, depth)?;
        if let Value::String(name) = name {
            map.insert(name, value);
        }
    }
    Some(Value::from(map))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn every_form_is_read() {
        for (content, expected) in [
            (&[0xc0][..], json!(null)),
            (&[0xc2, 0xc3], json!(false)),
            (&[0x07], json!(7)),
            (&[0xe0], json!(-32)),
            (&[0xcc, 200], json!(200)),
            (&[0xcd, 1, 0], json!(256)),
            (
                &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255],
                json!(u64::MAX),
            ),
            (&[0xd0, 0x80], json!(-128)),
            (&[0xd1, 0xff, 0xfe], json!(-2)),
            (&[0xd3, 255, 255, 255, 255, 255, 255, 255, 255], json!(-1)),
            (&[0xca, 0x3f, 0xc0, 0, 0], json!(1.5)),
            (&[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], json!(1.5)),
            (&[0xa2, b'h', b'i'], json!("hi")),
            (&[0xd9, 1, b'x'], json!("x")),
            (&[0xda, 0, 1, b'x'], json!("x")),
            (&[0xdb, 0, 0, 0, 1, 0xff], json!("\u{fffd}")),
            (&[0xc4, 2, 1, 2], json!(null)),
            (&[0xd4, 1, 2], json!(null)),
            (&[0xc7, 1, 9, 2], json!(null)),
            (&[0x92, 1, 0x90], json!([1, []])),
            (&[0xdc, 0, 1, 5], json!([5])),
            (&[0x82, 0xa1, b'a', 1, 5, 6], json!({"a": 1})),
            (&[0xde, 0, 1, 0xa1, b'a', 0x80], json!({"a": {}})),
        ] {
            let found = read(content);
            assert_eq!(found.unwrap()[0], expected, "{content:?}");
        }
        assert_eq!(read(&[1, 2]), Some(vec![json!(1), json!(2)]));
        assert_eq!(read(b""), Some(vec![]));
    }

    #[test]
    fn what_is_cut_off_too_long_or_too_deep_is_not_read() {
        for content in [
            &[0xa5, b'x'][..],
            &[0xdf, 255, 255, 255, 255],
            &[0xdd, 255, 255, 255, 255, 1],
            &[0xdb, 255, 255, 255, 255],
            &[0xc9, 255, 255, 255, 255],
            &[0xcf, 1],
        ] {
            assert_eq!(read(content), None, "{content:?}");
        }
        assert_eq!(read(&[0x91; 100]), None);
    }

    proptest! {
        #[test]
        fn any_content_ends(content in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&content);
        }
    }
}
