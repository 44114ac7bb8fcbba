//! An event in the words in which it is kept.

use super::Event;
use crate::envelope::Unreadable;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, Value, to_raw_value};

/// An event as JSON. Who accepts an event writes it once; its message and the batch in which it is kept take it as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Body(Box<RawValue>);

impl Body {
    /// Writes events.
    pub fn all(events: &[Event]) -> Result<Vec<Self>, serde_json::Error> {
        let written = events.iter().map(|event| to_raw_value(event).map(Self));
        written.collect()
    }

    /// Reads the event.
    pub fn event(&self) -> Result<Event, Unreadable> {
        serde_json::from_str(self.json()).map_err(|error| Unreadable::new("an event", &error))
    }

    /// The JSON.
    pub fn json(&self) -> &str {
        self.0.get()
    }

    /// The JSON of a list of them.
    pub fn list<'b>(bodies: impl IntoIterator<Item = &'b Self>) -> String {
        let bodies: Vec<&str> = bodies.into_iter().map(Self::json).collect();
        format!("[{}]", bodies.join(","))
    }

    fn value(&self) -> Option<Value> {
        serde_json::from_str(self.json()).ok()
    }
}

/// Bodies that say the same are the same, however they are set.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}
