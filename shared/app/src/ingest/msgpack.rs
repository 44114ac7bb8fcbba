//! `MessagePack` (msgpack.org, "Specification") as JSON: what `sentry-native` writes beside a minidump.
//!
//! **Values nest no deeper than [`DEPTH_MAX`], a content is made of at most [`VALUES_MAX`], and a length beyond it ends the reading**, so
//! what is made of a content is bounded by it.

use rmpv::decode::read_value_with_max_depth;
use serde_json::Value;

/// Deepest nesting of a value.
const DEPTH_MAX: usize = 32;
/// Most values one after the other, far more than breadcrumbs are kept of an event.
const VALUES_MAX: usize = 1_000;

/// Every value of a content, one after the other; nothing where one of them cannot be read, or they are too many.
pub(super) fn read(content: &[u8]) -> Option<Vec<Value>> {
    let mut rest = content;
    let mut values = Vec::new();
    while !rest.is_empty() {
        if values.len() == VALUES_MAX {
            return None;
        }
        values.push(json(read_value_with_max_depth(&mut rest, DEPTH_MAX).ok()?));
    }
    Some(values)
}

/// Bytes and extensions have no form in JSON, nor have names that are no texts.
fn json(value: rmpv::Value) -> Value {
    match value {
        rmpv::Value::Nil | rmpv::Value::Binary(_) | rmpv::Value::Ext(..) => Value::Null,
        rmpv::Value::Boolean(truth) => Value::from(truth),
        rmpv::Value::Integer(number) => match number.as_i64() {
            Some(number) => Value::from(number),
            None => Value::from(number.as_u64()),
        },
        rmpv::Value::F32(number) => Value::from(number),
        rmpv::Value::F64(number) => Value::from(number),
        rmpv::Value::String(text) => Value::from(String::from_utf8_lossy(text.as_bytes())),
        rmpv::Value::Array(values) => values.into_iter().map(json).collect(),
        rmpv::Value::Map(members) => members
            .into_iter()
            .filter_map(|(name, value)| Some((name.as_str()?.to_owned(), json(value))))
            .collect(),
    }
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
        assert_eq!(read(&[0xc0; VALUES_MAX]).unwrap().len(), VALUES_MAX);
        assert_eq!(read(&[0xc0; VALUES_MAX + 1]), None);
    }

    proptest! {
        #[test]
        fn any_content_ends(content in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&content);
        }
    }
}
