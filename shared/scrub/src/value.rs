//! Walks texts and JSON values, and collects the remarks.

use crate::REMARKS_MAX;
use crate::keys::{self, Promise};
use crate::pairs::says_nothing;
use crate::rewrite::clean;
use crate::text::{Reading, is_placeholder};
use kintsugi_domain::event::Remark;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Deepest nesting that is walked; what lies deeper is removed. The JSON parser stops at 128.
const DEPTH_MAX: usize = 130;

/// A walk over parts of an event.
pub(crate) struct Walk {
    path: String,
    depth: usize,
    remarks: Vec<Remark>,
    kept: usize,
}

impl Walk {
    pub(crate) fn at(path: &str) -> Self {
        Self::after(path, 0)
    }

    /// A walk over something that has remarks already.
    pub(crate) fn after(path: &str, remarks: usize) -> Self {
        Self {
            path: path.to_owned(),
            depth: 0,
            remarks: Vec::new(),
            kept: remarks,
        }
    }

    pub(crate) fn into_remarks(self) -> Vec<Remark> {
        self.remarks
    }

    /// Does something one step deeper in the path.
    pub(crate) fn within(&mut self, step: impl std::fmt::Display, act: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        let dot = if self.path.is_empty() { "" } else { "." };
        // Writing to a string cannot fail.
        let _ = write!(self.path, "{dot}{step}");
        self.depth += 1;
        act(self);
        self.depth -= 1;
        self.path.truncate(length);
    }

    fn remark(&mut self, rule: &str, range: (usize, usize)) {
        let count = self.kept + self.remarks.len();
        if count >= REMARKS_MAX {
            return;
        }
        let last = count + 1 == REMARKS_MAX;
        self.remarks.push(Remark {
            rule: if last { "more" } else { rule }.to_owned(),
            path: if last {
                String::new()
            } else {
                self.path.clone()
            },
            range: if last { (0, 0) } else { range },
        });
    }

    /// Scrubs a text in place.
    pub(crate) fn text(&mut self, text: &mut String, reading: Reading) {
        let Some((cleaned, marks)) = clean(text, reading) else {
            return;
        };
        for mark in marks {
            self.remark(mark.rule, mark.range);
        }
        *text = cleaned;
    }

    /// Scrubs a text that stands under a name.
    pub(crate) fn named_text(&mut self, name: &str, text: &mut String) {
        match keys::promise(name) {
            Some(promise) => self.promised_text(promise, text),
            None => self.text(text, Reading::Prose),
        }
    }

    /// Scrubs a JSON value in place.
    pub(crate) fn value(&mut self, value: &mut Value) {
        if self.depth > DEPTH_MAX {
            self.replace(value, "depth", crate::text::REMOVED);
            return;
        }
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                // A card number needs no quotes.
                if let Some((cleaned, marks)) = clean(&number.to_string(), Reading::Prose) {
                    for mark in marks {
                        self.remark(mark.rule, mark.range);
                    }
                    *value = Value::String(cleaned);
                }
            }
            Value::String(text) => self.text(text, Reading::Prose),
            Value::Array(items) => self.items(items),
            Value::Object(fields) => self.fields(fields),
        }
    }

    fn items(&mut self, items: &mut [Value]) {
        // `["Authorization", "…"]` is a header, `["--password", "…"]` part of a command line.
        let header = match &*items {
            [Value::String(name), Value::String(_)] => header_promise(name),
            _ => None,
        };
        let mut promised = None;
        for (index, item) in items.iter_mut().enumerate() {
            let under = promised.take().or(header.filter(|_| index == 1));
            if let Value::String(text) = &*item {
                promised = flag_promise(text);
            }
            self.within(index, |walk| match under {
                Some(promise) => walk.promised(promise, item),
                None => walk.value(item),
            });
        }
    }

    fn fields(&mut self, fields: &mut Map<String, Value>) {
        if fields
            .keys()
            .any(|name| clean(name, Reading::Prose).is_some())
        {
            self.names(fields);
        }
        for (name, value) in fields.iter_mut() {
            self.within(name, |walk| walk.named(name, value));
        }
    }

    /// Scrubs a value that stands under a name.
    pub(crate) fn named(&mut self, name: &str, value: &mut Value) {
        match keys::promise(name) {
            Some(promise) => self.promised(promise, value),
            None => self.value(value),
        }
    }

    /// Scrubs the names themselves: maps are keyed by e-mail addresses, too.
    fn names(&mut self, fields: &mut Map<String, Value>) {
        let mut same = 1_usize;
        let mut cleaned = Map::with_capacity(fields.len());
        for (mut name, value) in std::mem::take(fields) {
            self.text(&mut name, Reading::Prose);
            let base = name.clone();
            while cleaned.contains_key(&name) {
                same += 1;
                name = format!("{base} {same}");
            }
            cleaned.insert(name, value);
        }
        *fields = cleaned;
    }

    /// Removes a value whose name promises a secret, unless it says nothing.
    fn promised(&mut self, promise: Promise, value: &mut Value) {
        let placeholder = promise.rule.placeholder();
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::String(text) => self.promised_text(promise, text),
            Value::Number(number) => {
                if !says_nothing(&number.to_string(), promise) {
                    self.replace(value, promise.rule.name(), placeholder);
                }
            }
            Value::Array(items) if items.is_empty() => {}
            Value::Object(fields) if fields.is_empty() => {}
            Value::Array(_) | Value::Object(_) => {
                self.replace(value, promise.rule.name(), placeholder);
            }
        }
    }

    fn promised_text(&mut self, promise: Promise, text: &mut String) {
        // Python's SDK sends `repr`: the quotes stay, so that the text still reads as a literal.
        let quote = ['\'', '"']
            .into_iter()
            .find(|quote| text.len() >= 2 && text.starts_with(*quote) && text.ends_with(*quote));
        let inner = quote.map_or(text.as_str(), |quote| text.trim_matches(quote));
        if says_nothing(inner, promise) {
            if !is_placeholder(inner) {
                self.text(text, Reading::Prose);
            }
            return;
        }
        let quote = quote.map(String::from).unwrap_or_default();
        *text = format!("{quote}{}{quote}", promise.rule.placeholder());
        self.remark(promise.rule.name(), (quote.len(), text.len() - quote.len()));
    }

    fn replace(&mut self, value: &mut Value, rule: &'static str, placeholder: &str) {
        self.remark(rule, (0, placeholder.len()));
        *value = Value::String(placeholder.to_owned());
    }
}

fn header_promise(name: &str) -> Option<Promise> {
    let known = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
    ];
    known
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
        .then(|| keys::promise(name))
        .flatten()
}

fn flag_promise(text: &str) -> Option<Promise> {
    let name = text.trim_matches('\'').strip_prefix("--")?;
    let is_flag = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    is_flag.then(|| keys::promise(name)).flatten()
}
