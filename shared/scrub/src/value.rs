//! Walks texts and JSON values, and collects the remarks.

use crate::blank::{is_made_up, says_nothing};
use crate::keys::{self, Promise};
use crate::names::{Named, Names};
use crate::rewrite::{clean, is_long};
use crate::rules::Rules;
use crate::scan::scan;
use crate::text::{REMOVED, Reading};
use crate::{REMARK_PATH_BYTES_MAX, REMARKS_MAX};
use kintsugi_domain::event::Remark;
use kintsugi_domain::limits::TEXT_CHARS_MAX;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Deepest nesting that is walked; what lies deeper is removed. The JSON parser stops at 128.
const DEPTH_MAX: usize = 130;

/// A walk over parts of an event.
pub(crate) struct Walk<'r> {
    /// Where it is now, dotted.
    pub(crate) path: String,
    rules: &'r Rules,
    chars_max: usize,
    depth: usize,
    remarks: Vec<Remark>,
    kept: usize,
    names: Names,
}

/// How the value under a name is read, when the values around it are read like `around`.
pub(crate) fn reading_under(name: &str, around: Reading) -> Reading {
    let [first, .., last] = name.as_bytes() else {
        return around;
    };
    // The ends and the length tell most names off without a comparison.
    let (known, reading) = match (name.len(), first, last) {
        (12, b'c', b'e') => ("context_line", Reading::Source),
        (11, b'p', b't') => ("pre_context", Reading::Source),
        (12, b'p', b't') => ("post_context", Reading::Source),
        (4, b'd', b't') => ("dist", Reading::Release),
        (5, b'b', b'd') => ("build", Reading::Release),
        (7, b'm', b's') => ("modules", Reading::Release),
        (7, b'r', b'e') => ("release", Reading::Release),
        (7, b'v', b'n') => ("version", Reading::Release),
        (8, b'p', b's') => ("packages", Reading::Release),
        (11, b'a', b'n') => ("app_version", Reading::Release),
        (11, b's', b'n') => ("sdk_version", Reading::Release),
        (14, b'c', b'n') => ("client_version", Reading::Release),
        (14, b'k', b'n') => ("kernel_version", Reading::Release),
        (15, b'p', b'n') => ("product_version", Reading::Release),
        _ => return around,
    };
    if name == known { reading } else { around }
}

impl<'r> Walk<'r> {
    pub(crate) fn at(rules: &'r Rules, path: &str) -> Self {
        Self::after(rules, path, 0)
    }

    /// A walk over something that has remarks already.
    pub(crate) fn after(rules: &'r Rules, path: &str, remarks: usize) -> Self {
        Self {
            path: path.to_owned(),
            rules,
            chars_max: TEXT_CHARS_MAX,
            depth: 0,
            remarks: Vec::new(),
            kept: remarks,
            names: Names::default(),
        }
    }

    /// The same walk over texts of any length, which are not cut.
    pub(crate) fn uncut(mut self) -> Self {
        self.chars_max = usize::MAX;
        self
    }

    pub(crate) fn rules(&self) -> &'r Rules {
        self.rules
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

    /// Whether no more remarks are kept, so that nobody asks where the walk is.
    pub(crate) fn is_full(&self) -> bool {
        self.kept + self.remarks.len() >= REMARKS_MAX
    }

    /// Notes that a rule left something in this range of the text that the walk is at.
    pub(crate) fn remark(&mut self, rule: &str, range: (usize, usize)) {
        if self.is_full() {
            return;
        }
        let count = self.kept + self.remarks.len();
        let last = count + 1 == REMARKS_MAX;
        self.remarks.push(Remark {
            rule: if last { "more" } else { rule }.to_owned(),
            path: if last {
                String::new()
            } else {
                end_of(&self.path)
            },
            range: if last { (0, 0) } else { range },
        });
    }

    /// Scrubs a text in place.
    pub(crate) fn text(&mut self, text: &mut String, reading: Reading) {
        if let Some(cleaned) = self.cleaned(text, reading) {
            *text = cleaned;
        }
    }

    /// What becomes of a text, when something has to go; the remarks are noted.
    pub(crate) fn cleaned(&mut self, text: &str, reading: Reading) -> Option<String> {
        let (cleaned, marks) = clean(text, reading, self.rules, self.chars_max)?;
        for mark in marks {
            self.remark(self.rules.name(mark.rule), mark.range);
        }
        Some(cleaned)
    }

    /// Scrubs a text that stands under a name.
    pub(crate) fn named_text(&mut self, name: &str, text: &mut String) {
        let reading = reading_under(name, Reading::Prose);
        match self.promise(name) {
            Some(promise) => self.promised_text(promise, text),
            None => self.text(text, reading),
        }
    }

    /// Scrubs a JSON value in place.
    pub(crate) fn value(&mut self, value: &mut Value, reading: Reading) {
        if self.depth > DEPTH_MAX {
            self.replace(value, "depth", REMOVED);
            return;
        }
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                // A card number needs no quotes.
                if let Some(cleaned) = self.cleaned(&number.to_string(), reading) {
                    *value = Value::String(cleaned);
                }
            }
            Value::String(text) => self.text(text, reading),
            Value::Array(items) => self.items(items, reading),
            Value::Object(fields) => self.fields(fields, reading),
        }
    }

    fn items(&mut self, items: &mut [Value], reading: Reading) {
        // `["Authorization", "…"]` is a header, `["--password", "…"]` part of a command line.
        let pair = match &*items {
            [Value::String(name), Value::String(text)] => {
                pair_promise(self.rules, reading, name, text)
            }
            _ => None,
        };
        let mut promised = None;
        for (index, item) in items.iter_mut().enumerate() {
            let under = promised.take().or(pair.filter(|_| index == 1));
            if let Value::String(text) = &*item {
                promised = flag_promise(self.rules, text);
            }
            self.within(index, |walk| match under {
                Some(promise) => walk.promised(promise, item),
                None => walk.value(item, reading),
            });
        }
    }

    fn fields(&mut self, fields: &mut Map<String, Value>, reading: Reading) {
        if fields.keys().any(|name| self.must_rename(name)) {
            self.names(fields);
        }
        let listed = self.listed(fields, reading);
        for (name, value) in fields.iter_mut() {
            let reading = reading_under(name, reading);
            let under = self
                .promise(name)
                .or_else(|| listed.filter(|_| name == LISTED));
            self.within(name, |walk| match under {
                Some(promise) => walk.promised(promise, value),
                None => walk.value(value, reading),
            });
        }
    }

    /// What `{"name": "…", "value": …}` promises for its value.
    fn listed(&self, fields: &Map<String, Value>, reading: Reading) -> Option<Promise> {
        if !fields.contains_key(LISTED) {
            return None;
        }
        LABELS
            .iter()
            .find_map(|label| naming_promise(self.rules, reading, fields.get(*label)?.as_str()?))
    }

    /// What a name of a field says.
    #[inline]
    pub(crate) fn name(&mut self, name: &str) -> Named {
        if let Some(says) = self.names.get(name) {
            return says;
        }
        let must_change =
            is_long(name, self.chars_max) || !scan(name, Reading::Prose, self.rules).is_empty();
        let says = if must_change {
            Named::MustChange
        } else {
            keys::promise(self.rules, name).map_or(Named::Nothing, Named::Promises)
        };
        self.names.put(name, says);
        says
    }

    /// Whether a name itself has something to remove.
    pub(crate) fn must_rename(&mut self, name: &str) -> bool {
        self.name(name) == Named::MustChange
    }

    fn promise(&mut self, name: &str) -> Option<Promise> {
        match self.name(name) {
            Named::Promises(promise) => Some(promise),
            Named::Nothing => None,
            // It has gone as far as it could, and what is left may promise something.
            Named::MustChange => keys::promise(self.rules, name),
        }
    }

    /// Scrubs a value that stands under a name.
    pub(crate) fn named(&mut self, name: &str, value: &mut Value, reading: Reading) {
        match self.promise(name) {
            Some(promise) => self.promised(promise, value),
            None => self.value(value, reading),
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
                name = self.numbered(&base, same);
            }
            cleaned.insert(name, value);
        }
        *fields = cleaned;
    }

    /// A name that has become the same as another, with a number. **It stands inside of a placeholder, where no rule looks**: anywhere else
    /// a project's own pattern could find it, and the name would be another each time that it is scrubbed.
    fn numbered(&mut self, name: &str, number: usize) -> String {
        let numbered = with_number(name, number).filter(|name| !self.must_rename(name));
        // A name that was cut, or that is too long with a number: whatever it said, there is another that says the same.
        numbered.unwrap_or_else(|| format!("{}-{number}]", REMOVED.trim_end_matches(']')))
    }

    /// Removes a value whose name promises a secret, unless it says nothing.
    fn promised(&mut self, promise: Promise, value: &mut Value) {
        let (name, placeholder) = promise.rule.words();
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::String(text) => self.promised_text(promise, text),
            Value::Number(number) => {
                if !says_nothing(self.rules, &number.to_string(), promise) {
                    self.replace(value, name, placeholder);
                }
            }
            Value::Array(items) if items.is_empty() => {}
            Value::Object(fields) if fields.is_empty() => {}
            Value::Array(_) | Value::Object(_) => {
                self.replace(value, name, placeholder);
            }
        }
    }

    /// Removes a text whose name promises a secret, unless it says nothing.
    pub(crate) fn promised_text(&mut self, promise: Promise, text: &mut String) {
        // Python's SDK sends `repr`: the quotes stay, so that the text still reads as a literal.
        let quote = ['\'', '"']
            .into_iter()
            .find(|quote| text.len() >= 2 && text.starts_with(*quote) && text.ends_with(*quote));
        let inner = quote.map_or(text.as_str(), |quote| text.trim_matches(quote));
        if says_nothing(self.rules, inner, promise) {
            if !self.rules.is_placeholder(inner) {
                self.text(text, Reading::Prose);
            }
            return;
        }
        let (name, placeholder) = promise.rule.words();
        let quote = quote.map(String::from).unwrap_or_default();
        *text = format!("{quote}{placeholder}{quote}");
        self.remark(name, (quote.len(), text.len() - quote.len()));
    }

    fn replace(&mut self, value: &mut Value, rule: &'static str, placeholder: &str) {
        self.remark(rule, (0, placeholder.len()));
        *value = Value::String(placeholder.to_owned());
    }
}

/// A text with a number in its last placeholder; nothing where it has none.
fn with_number(text: &str, number: usize) -> Option<String> {
    let end = text.rfind(']')?;
    let (head, tail) = (text.get(..end)?, text.get(end..)?);
    Some(format!("{head}-{number}{tail}"))
}

/// As much of a path as a remark keeps: the end, which says most.
fn end_of(path: &str) -> String {
    let start = path.len().saturating_sub(REMARK_PATH_BYTES_MAX);
    if start == 0 {
        return path.to_owned();
    }
    let start = path.ceil_char_boundary(start + '…'.len_utf8());
    format!("…{}", path.get(start..).unwrap_or_default())
}

/// Fields that name the value in the field [`LISTED`] of the same map.
pub(crate) const LABELS: [&str; 2] = ["name", "key"];

/// The field of a value that another field names.
pub(crate) const LISTED: &str = "value";

/// What the first of two texts in a list promises for the second: the name of an HTTP header anything, another name that the second is a
/// secret if it looks like one. Lists are of names, too: `["password", "email"]`.
pub(crate) fn pair_promise(
    rules: &Rules,
    reading: Reading,
    name: &str,
    text: &str,
) -> Option<Promise> {
    header_promise(rules, name).or_else(|| {
        naming_promise(rules, reading, name).filter(|promise| {
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            let number = promise.numeric() || digits == text.len();
            is_made_up(rules, text) || (number && digits >= PAIR_DIGITS_MIN)
        })
    })
}

/// What a text promises that names another one, **as it is when it is scrubbed**: what stands in its place may promise more, and a second
/// time nothing else is to be found.
pub(crate) fn naming_promise(rules: &Rules, reading: Reading, name: &str) -> Option<Promise> {
    let cleaned = clean(name, reading, rules, TEXT_CHARS_MAX);
    keys::promise(rules, cleaned.as_ref().map_or(name, |(cleaned, _)| cleaned))
}

/// Fewest digits of a number in a pair that is a secret.
const PAIR_DIGITS_MIN: usize = 4;

/// What the name of an HTTP header promises for the text beside it.
fn header_promise(rules: &Rules, name: &str) -> Option<Promise> {
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
        .then(|| keys::promise(rules, name))
        .flatten()
}

/// What a flag of a command line promises for the next word.
#[inline]
pub(crate) fn flag_promise(rules: &Rules, text: &str) -> Option<Promise> {
    // Most texts are none, and are told by their first byte.
    if !text.starts_with(['-', '\'']) {
        return None;
    }
    let name = text.trim_matches('\'').strip_prefix("--")?;
    let is_flag = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    is_flag.then(|| keys::promise(rules, name)).flatten()
}
