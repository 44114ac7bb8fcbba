//! Reads and writes [`Message`], whose form is derived beside it.
//!
//! A form that is told by a member (`"type"`) is read twice by what is derived for it: into a tree, since the member may stand anywhere,
//! and from there. Reports are large and come by the thousand, so theirs are read once, where the type stands first as it is
//! written here. Everything else goes the derived way.

use super::Message;
use crate::event::Body;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::fmt;

const TYPE: &str = "type";
const REPORTED: &str = "reported";
const EVENTS: &str = "events";

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Message, A::Error> {
        let mut tree = Map::new();
        if let Some((name, value)) = members.next_entry::<String, Value>()? {
            if name == TYPE && value == REPORTED {
                return reported(members);
            }
            tree.insert(name, value);
        }
        while let Some((name, value)) = members.next_entry()? {
            tree.insert(name, value);
        }
        if tree.get(TYPE).and_then(Value::as_str) == Some(REPORTED) {
            let events = tree.remove(EVENTS);
            let events = events.ok_or_else(|| A::Error::missing_field(EVENTS))?;
            let events = serde_json::from_value(events).map_err(A::Error::custom)?;
            return Ok(Message::Reported { events });
        }
        Message::deserialize(Value::Object(tree)).map_err(A::Error::custom)
    }
}

/// What follows the type of a message of reports.
fn reported<'de, A: MapAccess<'de>>(mut members: A) -> Result<Message, A::Error> {
    let mut found: Option<Vec<Body>> = None;
    while let Some(name) = members.next_key::<String>()? {
        if name != EVENTS {
            members.next_value::<IgnoredAny>()?;
        } else if found.replace(members.next_value()?).is_some() {
            return Err(A::Error::duplicate_field(EVENTS));
        }
    }
    let events = found.ok_or_else(|| A::Error::missing_field(EVENTS))?;
    Ok(Message::Reported { events })
}
