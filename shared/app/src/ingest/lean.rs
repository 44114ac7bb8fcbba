//! Reads the JSON of events and transactions without what nobody here keeps of it: lists of modules and libraries, spans, and the
//! source lines around a frame's own. That is much of what client libraries send, and it is passed over instead of read.
//!
//! **Invariant: an event that is read this way is the event that is read from all of it.**

use super::json;
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Members of an event that nobody reads.
const EVENT_OUT: [&str; 3] = ["modules", "spans", "debug_meta"];
/// Members of an event with stacks somewhere below.
const EVENT_STACKS: [&str; 6] = [
    "exception",
    "threads",
    "stacktrace",
    "sentry.interfaces.Exception",
    "sentry.interfaces.Stacktrace",
    "raw_stacktrace",
];
/// Members of a frame that nobody reads.
const FRAME_OUT: [&str; 2] = ["pre_context", "post_context"];
/// Members of exceptions and frames that hold what is the product's own, under any name.
const OWN: [&str; 2] = ["value", "vars"];

/// A payload as JSON; as [`json::read`] otherwise.
pub(super) fn read(payload: &[u8]) -> Option<Value> {
    json::read_as(payload, Part::Event)
}

/// A part of an event in which some members are passed over.
#[derive(Debug, Clone, Copy)]
enum Part {
    Event,
    /// What lies between an event and what its exceptions and frames say of the product.
    Stacks,
}

/// What becomes of a member.
enum Member {
    PassedOver,
    Whole,
    In(Part),
}

impl Part {
    fn member(self, name: &str) -> Member {
        match self {
            Self::Event if EVENT_OUT.contains(&name) => Member::PassedOver,
            Self::Event if EVENT_STACKS.contains(&name) => Member::In(Self::Stacks),
            Self::Stacks if FRAME_OUT.contains(&name) => Member::PassedOver,
            Self::Stacks if !OWN.contains(&name) => Member::In(Self::Stacks),
            Self::Event | Self::Stacks => Member::Whole,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = match self.member(&name) {
                Member::PassedOver => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
                Member::Whole => members.next_value()?,
                Member::In(part) => members.next_value_seed(part)?,
            };
            kept.insert(name, value);
        }
        Ok(Value::Object(kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::sentry::{Frame, event};
    use kintsugi_domain::Timestamp;
    use kintsugi_domain::id::ProjectId;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_nobody_keeps_is_passed_over_and_nothing_else() {
        let frame = |source: Value| {
            let mut frame = json!({"function": "f", "context_line": "x()",
                "vars": {"pre_context": ["mine"], "modules": {"a": [1, -2, 0.5, true, null]}}});
            frame
                .as_object_mut()
                .unwrap()
                .extend(source.as_object().unwrap().clone());
            frame
        };
        let event = |frame: &Value, out: Value| {
            let stack = json!({"frames": [frame, null, 3]});
            let mut event = json!({
                "message": "m", "level": "error",
                "exception": {"values": [{"type": "T", "stacktrace": stack, "mechanism": {"handled": false}}]},
                "threads": [{"id": 1, "stacktrace": stack}],
                "stacktrace": stack,
                "extra": {"pre_context": [1], "frames": [{"post_context": ["e"]}], "modules": ["e"], "spans": 2},
                "contexts": {"trace": {"spans": []}},
                "breadcrumbs": {"values": [{"data": {"post_context": "b"}}]},
            });
            let out = out.as_object().unwrap().clone();
            event.as_object_mut().unwrap().extend(out);
            event
        };
        let lines = json!({"pre_context": ["a", "\u{e9}\n"], "post_context": ["b", {"c": []}]});
        let lists =
            json!({"modules": {"m": "1"}, "spans": [{"op": "db"}], "debug_meta": {"images": [{}]}});
        let whole = event(&frame(lines), lists).to_string();
        let lean = event(&frame(json!({})), json!({}));
        assert_eq!(read(whole.as_bytes()), Some(lean));
    }

    /// JSON made of the names that mean something in an event.
    fn tree() -> impl Strategy<Value = Value> {
        let name = proptest::sample::select(vec![
            "exception",
            "threads",
            "stacktrace",
            "raw_stacktrace",
            "values",
            "frames",
            "vars",
            "value",
            "pre_context",
            "post_context",
            "context_line",
            "modules",
            "spans",
            "debug_meta",
            "type",
            "message",
            "extra",
            "contexts",
            "mechanism",
            "function",
            "breadcrumbs",
            "data",
            "request",
            "crashed",
        ]);
        let leaf = proptest::sample::select(vec![json!("t"), json!(1), json!(true), Value::Null]);
        leaf.prop_recursive(6, 48, 5, move |inner| {
            let members = proptest::collection::vec((name.clone(), inner.clone()), 1..5);
            prop_oneof![
                proptest::collection::vec(inner, 1..4).prop_map(Value::Array),
                members.prop_map(|members| {
                    let members = members.into_iter();
                    Value::Object(
                        members
                            .map(|(name, value)| (name.to_owned(), value))
                            .collect(),
                    )
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_event_is_what_it_is_when_all_of_it_is_read(
            parts in (tree(), tree(), tree(), tree()),
            is_bare in any::<bool>(),
        ) {
            let (value, frame, beside, root) = parts;
            let exception = json!({"type": "T", "value": value, "stacktrace": {"frames": [frame]}, "mechanism": beside});
            let mut said = if is_bare { json!({}) } else { json!({"exception": [exception]}) };
            if let (Value::Object(said), Value::Object(root)) = (&mut said, root) {
                said.extend(root);
            }
            let text = said.to_string();
            let frame = Frame {
                project: ProjectId(1),
                received_at: Timestamp::UNIX_EPOCH,
                header: None,
            };
            let of = |read: Option<Value>| event(&read.unwrap(), text.as_bytes(), &frame, str::to_owned);
            prop_assert_eq!(of(read(text.as_bytes())), of(json::read(text.as_bytes())));
        }
    }

    #[test]
    fn it_is_otherwise_as_lenient_and_as_strict_as_reading_everything() {
        for text in [
            &b"[1,\"a\",[true,null]]"[..],
            b"{\"message\":\"a\\ud800\",\"modules\":\"\\ud800\"}",
            b"{\"message\":\"\xff\"}",
            b"{\"a\":1,\"a\":2}",
            b"{\"n\":[1e400]}",
            b"{\"n\":[18446744073709551615,-9223372036854775808,1e300]}",
            b"{} {}",
            b"{\"modules\":}",
            b"{\"modules\":[}",
            b"",
        ] {
            let mut whole = json::read(text);
            if let Some(event) = whole.as_mut().and_then(Value::as_object_mut) {
                event.remove("modules");
            }
            assert_eq!(read(text), whole, "{}", String::from_utf8_lossy(text));
        }
        let deep = "[".repeat(100_000);
        assert_eq!(read(format!("{{\"exception\":{deep}").as_bytes()), None);
        assert_eq!(read(format!("{{\"modules\":{deep}").as_bytes()), None);
    }
}
