//! A JSON document (RFC 8259), scrubbed as it is read: only what changes is written anew.
//!
//! The same rules as for a value in memory, by the same parts; a property compares the two. A document
//! in which a name of a field has to change is read into memory after all, since names must stay
//! distinct. **Time is linear in the length, memory two and a half times the
//! length.**

use crate::blank::says_nothing;
use crate::keys::Promise;
use crate::marks::Marks;
use crate::names::Named;
use crate::rules::Rules;
use crate::scan::{scan, scan_part};
use crate::text::{Hit, Reading};
use crate::value::{
    LABELS, LISTED, Walk, flag_promise, naming_promise, pair_promise, reading_under,
};
use kintsugi_domain::event::Remark;
use kintsugi_domain::limits::TEXT_CHARS_MAX;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Deepest nesting, that of the JSON parser.
const DEPTH_MAX: usize = 127;

/// A text that is no JSON document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not JSON: {expected} expected at byte {at}")]
pub struct NotJson {
    /// What should stand there.
    pub expected: &'static str,
    /// Where, bytes from the start.
    pub at: usize,
}

impl NotJson {
    /// The stable name of this failure.
    pub fn code(&self) -> &'static str {
        "not_json"
    }
}

/// Why reading stopped.
enum Stop {
    Broken(NotJson),
    /// A name of a field has to change, or a field that comes later decides.
    InMemory,
}

/// The document without what must go, and the remarks.
pub(crate) fn scrub(text: &str, rules: &Rules) -> Result<(String, Vec<Remark>), NotJson> {
    let mut stream = Stream {
        text,
        marks: &Marks::of(text),
        at: 0,
        copied: 0,
        out: String::with_capacity(text.len() + 64),
        steps: Vec::new(),
        walk: Walk::at(rules, ""),
    };
    let read = stream.value(Reading::Prose).and_then(|()| stream.end());
    match read {
        Ok(()) => {
            stream
                .out
                .push_str(text.get(stream.copied..).unwrap_or_default());
            Ok((stream.out, stream.walk.into_remarks()))
        }
        Err(Stop::Broken(error)) => Err(error),
        Err(Stop::InMemory) => in_memory(text, rules),
    }
}

fn in_memory(text: &str, rules: &Rules) -> Result<(String, Vec<Remark>), NotJson> {
    let mut value: Value = serde_json::from_str(text).map_err(|error| NotJson {
        expected: "a valid document",
        at: error.column().saturating_sub(1),
    })?;
    let mut walk = Walk::at(rules, "");
    walk.value(&mut value, Reading::Prose);
    Ok((value.to_string(), walk.into_remarks()))
}

/// A step of the way to a value.
#[derive(Clone, Copy)]
enum Step {
    /// The name of a field, by where it stands with its quotes.
    Name(usize, usize),
    Index(usize),
}

/// A string: its content, and where it stands with its quotes.
struct Quoted<'t> {
    content: Cow<'t, str>,
    start: usize,
    end: usize,
}

impl Quoted<'_> {
    /// Whether nothing of it has to be looked at.
    #[inline]
    fn is_plain(&self, marks: &Marks, rules: &Rules) -> bool {
        let is_escaped = matches!(self.content, Cow::Owned(_));
        !is_escaped && !rules.has_own() && marks.part(self.start + 1, self.end - 1).is_plain()
    }

    /// What has to be removed of it.
    fn hits(&self, marks: &Marks, reading: Reading, rules: &Rules) -> Vec<Hit> {
        match &self.content {
            Cow::Borrowed(text) => scan_part(
                text,
                marks.part(self.start + 1, self.end - 1),
                reading,
                rules,
            ),
            Cow::Owned(text) => scan(text, reading, rules),
        }
    }
}

struct Stream<'t, 'r> {
    text: &'t str,
    marks: &'t Marks,
    at: usize,
    /// Up to where the text has been written.
    copied: usize,
    out: String,
    steps: Vec<Step>,
    walk: Walk<'r>,
}

impl<'t> Stream<'t, '_> {
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn broken(&self, expected: &'static str) -> Stop {
        Stop::Broken(NotJson {
            expected,
            at: self.at,
        })
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Stop> {
        self.space();
        if self.peek() != byte {
            return Err(self.broken(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        self.space();
        if self.at < self.text.len() {
            return Err(self.broken("the end of the document"));
        }
        Ok(())
    }

    /// Writes something in the place of a range.
    fn replace(&mut self, start: usize, end: usize, text: &str) {
        self.out
            .push_str(self.text.get(self.copied..start).unwrap_or_default());
        // A text always becomes JSON.
        self.out
            .push_str(&serde_json::to_string(text).unwrap_or_default());
        self.copied = end;
    }

    /// Tells the walk where it is: only when there is something to say of it. **A path can be most of the document**, so it is not
    /// written for more finds than there are remarks.
    fn arrive(&mut self) {
        if self.walk.is_full() {
            return;
        }
        self.walk.path.clear();
        for step in &self.steps {
            let dot = if self.walk.path.is_empty() { "" } else { "." };
            // Writing to a string cannot fail.
            let _ = match *step {
                Step::Name(start, end) => {
                    let name = contained(self.text, start, end).unwrap_or_default();
                    write!(self.walk.path, "{dot}{name}")
                }
                Step::Index(index) => write!(self.walk.path, "{dot}{index}"),
            };
        }
    }

    fn value(&mut self, reading: Reading) -> Result<(), Stop> {
        self.space();
        match self.peek() {
            b'"' => {
                let quoted = self.quoted()?;
                self.string(&quoted, reading);
                Ok(())
            }
            b'{' => self.object(reading),
            b'[' => self.array(reading),
            b'-' | b'0'..=b'9' => {
                let (start, end) = self.number()?;
                let digits = self.text.get(start..end).unwrap_or_default();
                // The shortest number that a rule of ours knows has nine digits; a project's own may look for any.
                if (digits.len() >= 9 || self.walk.rules().has_own())
                    && !scan(digits, reading, self.walk.rules()).is_empty()
                {
                    self.clean(digits, start, end, reading);
                }
                Ok(())
            }
            _ => self.literal(),
        }
    }

    #[inline]
    fn string(&mut self, quoted: &Quoted<'_>, reading: Reading) {
        if quoted.is_plain(self.marks, self.walk.rules()) {
            return;
        }
        let may_be_long = quoted.content.len() > TEXT_CHARS_MAX;
        if may_be_long
            || !quoted
                .hits(self.marks, reading, self.walk.rules())
                .is_empty()
        {
            self.clean(&quoted.content, quoted.start, quoted.end, reading);
        }
    }

    /// Writes what becomes of a text of which something has to go, or may have to.
    fn clean(&mut self, content: &str, start: usize, end: usize, reading: Reading) {
        self.arrive();
        if let Some(cleaned) = self.walk.cleaned(content, reading) {
            self.replace(start, end, &cleaned);
        }
    }

    fn object(&mut self, reading: Reading) -> Result<(), Stop> {
        self.deeper()?;
        self.space();
        if self.peek() == b'}' {
            self.at += 1;
            return Ok(());
        }
        let mut listed = None;
        let mut value_passed = false;
        loop {
            self.space();
            let quoted = self.quoted()?;
            let promise = match self.walk.name(&quoted.content) {
                Named::MustChange => return Err(Stop::InMemory),
                Named::Promises(promise) => Some(promise),
                Named::Nothing => None,
            };
            self.steps.push(Step::Name(quoted.start, quoted.end));
            let name = quoted.content;
            self.expect(b':', "a colon")?;
            if LABELS.contains(&&*name)
                && let Some(promise) = self.label(reading)?
            {
                // Named twice, or after it was passed: that is seen in memory.
                if value_passed || listed.is_some() {
                    return Err(Stop::InMemory);
                }
                listed = Some(promise);
            }
            let is_listed = name == LISTED;
            value_passed |= is_listed;
            let promise = promise.or_else(|| listed.filter(|_| is_listed));
            let reading = reading_under(&name, reading);
            match promise {
                Some(promise) => self.promised(promise)?,
                None => self.value(reading)?,
            }
            self.steps.pop();
            if self.is_last(b'}')? {
                return Ok(());
            }
        }
    }

    /// What the text that follows, if it is one, promises for the field beside it.
    fn label(&mut self, reading: Reading) -> Result<Option<Promise>, Stop> {
        let here = self.at;
        self.space();
        let promise = if self.peek() == b'"' {
            let label = self.quoted()?.content;
            naming_promise(self.walk.rules(), reading, &label)
        } else {
            None
        };
        self.at = here;
        Ok(promise)
    }

    fn array(&mut self, reading: Reading) -> Result<(), Stop> {
        self.deeper()?;
        self.space();
        if self.peek() == b']' {
            self.at += 1;
            return Ok(());
        }
        // `["Authorization", "…"]` is a header, `["--password", "…"]` part of a command line.
        let mut first = None;
        let mut promised = None;
        for index in 0.. {
            self.space();
            let under: Option<Promise> = promised.take();
            self.steps.push(Step::Index(index));
            if self.peek() == b'"' {
                let quoted = self.quoted()?;
                promised = flag_promise(self.walk.rules(), &quoted.content);
                let pair = first.take().and_then(|name: Cow<'t, str>| {
                    pair_promise(self.walk.rules(), reading, &name, &quoted.content)
                });
                if let Some(promise) = under.or(pair) {
                    self.promised_string(promise, &quoted);
                } else {
                    if index == 0 && self.is_pair_from_here()? {
                        first = Some(quoted.content.clone());
                    }
                    self.string(&quoted, reading);
                }
            } else if let Some(promise) = under {
                self.promised(promise)?;
            } else {
                self.value(reading)?;
            }
            self.steps.pop();
            if self.is_last(b']')? {
                break;
            }
        }
        Ok(())
    }

    /// After the first string of a list: whether one more string and the end follow.
    fn is_pair_from_here(&mut self) -> Result<bool, Stop> {
        let here = self.at;
        self.space();
        let mut pair = false;
        if self.peek() == b',' {
            self.at += 1;
            self.space();
            if self.peek() == b'"' {
                self.string_end()?;
                self.space();
                pair = self.peek() == b']';
            }
        }
        self.at = here;
        Ok(pair)
    }

    fn deeper(&mut self) -> Result<(), Stop> {
        if self.steps.len() >= DEPTH_MAX {
            return Err(self.broken("less nesting"));
        }
        self.at += 1;
        Ok(())
    }

    /// After a member: whether the closing bracket follows, rather than a comma.
    fn is_last(&mut self, close: u8) -> Result<bool, Stop> {
        self.space();
        let found = self.peek();
        if found != close && found != b',' {
            return Err(self.broken("a comma or a closing bracket"));
        }
        self.at += 1;
        Ok(found == close)
    }

    /// A value whose name promises a secret.
    fn promised(&mut self, promise: Promise) -> Result<(), Stop> {
        self.space();
        let start = self.at;
        match self.peek() {
            b'"' => {
                let quoted = self.quoted()?;
                self.promised_string(promise, &quoted);
                return Ok(());
            }
            b'{' | b'[' => {
                let close = self.peek() + 2;
                self.at += 1;
                self.space();
                if self.peek() == close {
                    self.at += 1;
                    return Ok(());
                }
                self.at = start;
                self.skip()?;
            }
            b'-' | b'0'..=b'9' => {
                let (start, end) = self.number()?;
                let digits = self.text.get(start..end).unwrap_or_default();
                if says_nothing(self.walk.rules(), digits, promise) {
                    return Ok(());
                }
            }
            _ => return self.literal(),
        }
        let (name, placeholder) = promise.rule.words();
        self.arrive();
        self.walk.remark(name, (0, placeholder.len()));
        self.replace(start, self.at, placeholder);
        Ok(())
    }

    fn promised_string(&mut self, promise: Promise, quoted: &Quoted<'_>) {
        self.arrive();
        let mut text = quoted.content.clone().into_owned();
        self.walk.promised_text(promise, &mut text);
        if text != quoted.content {
            self.replace(quoted.start, quoted.end, &text);
        }
    }

    /// Passes over a value that goes as a whole.
    fn skip(&mut self) -> Result<(), Stop> {
        let mut depth = self.steps.len();
        loop {
            self.space();
            match self.peek() {
                b'{' | b'[' => {
                    depth += 1;
                    if depth > DEPTH_MAX {
                        return Err(self.broken("less nesting"));
                    }
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                b'"' => {
                    self.string_end()?;
                }
                b',' | b':' => self.at += 1,
                b'-' | b'0'..=b'9' => {
                    self.number()?;
                }
                _ => self.literal()?,
            }
            if depth == self.steps.len() {
                return Ok(());
            }
        }
    }

    fn literal(&mut self) -> Result<(), Stop> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = ["true", "false", "null"]
            .into_iter()
            .find(|literal| rest.starts_with(literal))
            .map(str::len)
            .ok_or_else(|| self.broken("a value"))?;
        self.at += length;
        Ok(())
    }

    fn number(&mut self) -> Result<(usize, usize), Stop> {
        let start = self.at;
        while matches!(self.peek(), b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.broken("a number"));
        }
        Ok((start, self.at))
    }

    /// Passes over a string; says whether it has escapes.
    fn string_end(&mut self) -> Result<bool, Stop> {
        if self.peek() != b'"' {
            return Err(self.broken("a string"));
        }
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            let Some(found) = self.marks.next_quote(self.at) else {
                self.at = start;
                return Err(self.broken("the end of a string"));
            };
            self.at = found;
            if self.peek() == b'"' {
                self.at += 1;
                return Ok(escaped);
            }
            escaped = true;
            self.at += 2;
        }
    }

    /// Reads a string.
    #[inline]
    fn quoted(&mut self) -> Result<Quoted<'t>, Stop> {
        let start = self.at;
        let escaped = self.string_end()?;
        let end = self.at;
        let content = if escaped {
            let decoded = contained(self.text, start, end);
            Cow::Owned(decoded.ok_or(Stop::Broken(NotJson {
                expected: "a valid string",
                at: start,
            }))?)
        } else {
            Cow::Borrowed(self.text.get(start + 1..end - 1).unwrap_or_default())
        };
        Ok(Quoted {
            content,
            start,
            end,
        })
    }
}

/// What a string of JSON says, if it is one.
fn contained(text: &str, start: usize, end: usize) -> Option<String> {
    serde_json::from_str(text.get(start..end)?).ok()
}
