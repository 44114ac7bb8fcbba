//! Reads the JSON of events and transactions for little: texts stay in the payload, and what nobody here keeps is passed over. That is
//! lists of modules and libraries, spans, and the source lines around a frame's own, much of what client libraries send.
//!
//! **Invariant: an event that is read this way is the event that is read from all of it.** But what is passed over may be nested deeper
//! than a reader of all of it would follow, and a member whose name is there twice, of which RFC 8259 §4 promises nothing, may count twice.

use super::json::{self, Json};
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use std::borrow::Cow;
use std::fmt;

/// Members of an event that nobody reads.
const EVENT_OUT: [&str; 3] = ["modules", "spans", "debug_meta"];
/// Members of an event with stacks somewhere below.
const EVENT_STACKS: [&str; 5] = [
    "exception",
    "threads",
    "stacktrace",
    "sentry.interfaces.Exception",
    "sentry.interfaces.Stacktrace",
];
/// Members of a frame that nobody reads.
const FRAME_OUT: [&str; 2] = ["pre_context", "post_context"];
/// Members of exceptions and frames that hold what is the product's own, under any name.
const OWN: [&str; 2] = ["value", "vars"];

/// JSON whose texts lie in the payload, but for those with escapes.
#[derive(Debug)]
pub(super) enum Lean<'p> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'p, str>),
    List(Vec<Lean<'p>>),
    /// Its members in their order. Of one that is there twice the last counts, as it does in [`serde_json::Value`].
    Object(Vec<(Cow<'p, str>, Lean<'p>)>),
}

impl Json for Lean<'_> {
    fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        let found = members.iter().rfind(|(found, _)| found == name);
        found.map(|(_, value)| value)
    }

    fn members(&self) -> Option<impl Iterator<Item = (&str, &Self)>> {
        let Self::Object(members) = self else {
            return None;
        };
        Some(members.iter().map(|(name, value)| (name.as_ref(), value)))
    }

    fn as_array(&self) -> Option<&[Self]> {
        let Self::List(items) = self else {
            return None;
        };
        Some(items)
    }

    fn as_str(&self) -> Option<&str> {
        let Self::Text(text) = self else {
            return None;
        };
        Some(text)
    }

    fn as_number(&self) -> Option<&Number> {
        let Self::Number(number) = self else {
            return None;
        };
        Some(number)
    }

    fn as_bool(&self) -> Option<bool> {
        let Self::Bool(truth) = self else {
            return None;
        };
        Some(*truth)
    }
}

/// A payload as JSON, as leniently as [`json::read`]. One that is broken is put right in `mended` first.
pub(super) fn read<'p>(payload: &'p [u8], mended: &'p mut String) -> Option<Lean<'p>> {
    if let Some(value) = std::str::from_utf8(payload).ok().and_then(parsed) {
        return Some(value);
    }
    *mended = json::mended(payload);
    parsed(mended)
}

fn parsed(text: &str) -> Option<Lean<'_>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Part::Event.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(value)
}

/// A part of an event, which says what of its members is passed over.
#[derive(Debug, Clone, Copy)]
enum Part {
    Event,
    /// What lies between an event and what its exceptions and frames say of the product.
    Stacks,
    /// Nothing is passed over.
    Whole,
}

impl Part {
    /// How a member is read; nothing where it is not.
    fn member(self, name: &str) -> Option<Self> {
        match self {
            Self::Event if EVENT_OUT.contains(&name) => None,
            Self::Event if EVENT_STACKS.contains(&name) => Some(Self::Stacks),
            Self::Stacks if FRAME_OUT.contains(&name) => None,
            Self::Stacks if !OWN.contains(&name) => Some(Self::Stacks),
            Self::Event | Self::Stacks | Self::Whole => Some(Self::Whole),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Lean<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Lean<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Lean<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Lean<'de>, E> {
        Ok(Lean::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Lean<'de>, E> {
        Ok(Lean::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Lean<'de>, E> {
        Ok(Lean::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Lean<'de>, E> {
        Ok(Number::from_f64(number).map_or(Lean::Null, Lean::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Lean<'de>, E> {
        Ok(Lean::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Lean<'de>, E> {
        Ok(Lean::Text(Cow::Borrowed(text)))
    }

    fn visit_unit<E>(self) -> Result<Lean<'de>, E> {
        Ok(Lean::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Lean<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Lean::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Lean<'de>, A::Error> {
        let mut kept = Vec::new();
        while let Some(name) = members.next_key_seed(Name)? {
            match self.member(&name) {
                Some(part) => kept.push((name, members.next_value_seed(part)?)),
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Lean::Object(kept))
    }
}

/// The name of a member, which serde would copy.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::sentry::{Frame, event};
    use kintsugi_domain::Timestamp;
    use kintsugi_domain::id::ProjectId;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// What is read, in serde's own form.
    fn whole(payload: &[u8]) -> Option<Value> {
        read(payload, &mut String::new()).map(|value| json::bounded(&value, usize::MAX, usize::MAX))
    }

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
        let sent = event(&frame(lines), lists).to_string();
        let lean = event(&frame(json!({})), json!({}));
        assert_eq!(whole(sent.as_bytes()), Some(lean));
    }

    #[test]
    fn what_an_exception_says_is_read_whole_whatever_its_names() {
        let value = json!({"pre_context": ["a"], "post_context": "b", "modules": [], "spans": 1});
        let exception = json!({"exception": {"values": [{"type": "T", "value": value}]}});
        assert_eq!(whole(exception.to_string().as_bytes()), Some(exception));
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
            let mut mended = String::new();
            let lean = read(text.as_bytes(), &mut mended).unwrap();
            let lean = event(&lean, text.as_bytes(), &frame, str::to_owned);
            let whole = json::read(text.as_bytes()).unwrap();
            prop_assert_eq!(lean, event(&whole, text.as_bytes(), &frame, str::to_owned));
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
            let mut read = json::read(text);
            if let Some(event) = read.as_mut().and_then(Value::as_object_mut) {
                event.remove("modules");
            }
            assert_eq!(whole(text), read, "{}", String::from_utf8_lossy(text));
        }
        let deep = "[".repeat(100_000);
        assert_eq!(whole(format!("{{\"exception\":{deep}").as_bytes()), None);
        assert_eq!(whole(format!("{{\"modules\":{deep}").as_bytes()), None);
    }
}
