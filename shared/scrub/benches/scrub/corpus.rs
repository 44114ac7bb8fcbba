//! The labelled corpus: values made by generators, put where reports have text.
//!
//! Half of the cases hold exactly one thing that must go; the others hold only what looks like it.
//! **No real person's data: everything is made from a seed.**

use crate::dice::Dice;
use crate::made::{Fits, Made, unmarked};
use crate::{lookalikes, personal, secrets};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Cases in the corpus.
pub(crate) const CASES: usize = 12_000;

/// A case: a small event, where its text stands, and what of it must go.
pub(crate) struct Case {
    /// The rule, or what the look-alike is.
    pub(crate) kind: &'static str,
    /// The event, as a client would send it.
    pub(crate) event: Value,
    /// The way to the text.
    pub(crate) path: Vec<&'static str>,
    /// The text.
    pub(crate) text: String,
    /// Byte ranges of what must go; empty for a look-alike.
    pub(crate) secrets: Vec<(usize, usize)>,
}

type Maker = fn(&mut Dice) -> Made;

/// Every rule, the same number of times each.
const MAKERS: [Maker; 16] = [
    personal::card,
    personal::iban,
    personal::ssn,
    personal::email,
    personal::ip,
    personal::mac,
    personal::phone,
    personal::user_path,
    secrets::url_credentials,
    secrets::bearer,
    secrets::jwt,
    secrets::pem,
    secrets::vendor_key,
    secrets::cookie,
    secrets::connection,
    secrets::named,
];

/// The whole corpus, the same in every run with the same seed.
pub(crate) fn corpus(seed: u64) -> Vec<Case> {
    let mut dice = Dice::new(seed);
    (0..CASES)
        .map(|number| {
            let turn = number / 2;
            let made = match number % 2 {
                0 if turn % 17 == 16 => secrets::named_number(&mut dice),
                0 => MAKERS[turn % 17](&mut dice),
                _ => lookalikes::harmless(&mut dice),
            };
            case(&made, &mut dice)
        })
        .collect()
}

/// Sentences around a value, which stands for the `@`.
const SENTENCES: [&str; 14] = [
    "value was @",
    "ValueError: cannot handle '@' here",
    "failed for @, giving up",
    "(@)",
    "@",
    "line one\nline two: @\nline three",
    "could not process @: upstream closed the connection",
    "duplicate entry \"@\" for index customers_idx",
    "retry 3 of 5 [@]",
    "HTTP 422: {\"detail\": \"bad value @\", \"status\": 422}",
    "assert x == '@'",
    "lookup of @ took 31 ms",
    "a=1 b=@ c=3",
    "<b>@</b> was refused.",
];

fn case(made: &Made, dice: &mut Dice) -> Case {
    let (marked, place) = match made.fits {
        Fits::Field(name) => (made.text.clone(), field_place(name, dice)),
        Fits::Alone => (made.text.clone(), text_place(dice)),
        Fits::Anywhere => anywhere(&made.text, dice),
    };
    let (text, secrets) = unmarked(&marked);
    let (event, path) = place(&text);
    Case {
        kind: made.kind,
        event,
        path,
        text,
        secrets,
    }
}

type Place = Box<dyn Fn(&str) -> (Value, Vec<&'static str>)>;

/// A value inside a sentence, a printed variable, a query or a body.
fn anywhere(value: &str, dice: &mut Dice) -> (String, Place) {
    match dice.below(10) {
        0 => {
            // Python's SDK sends `repr`.
            let printed = value.replace('\\', "\\\\").replace('\n', "\\n");
            (
                format!("'{printed}'"),
                at(&[
                    "exception",
                    "values",
                    "0",
                    "stacktrace",
                    "frames",
                    "0",
                    "vars",
                    "value",
                ]),
            )
        }
        1 => {
            let body = format!("note={}&page=2", form_encoded(value, dice.chance(50)));
            (body, at(&["request", "data"]))
        }
        2 => {
            let quoted = json!(value).to_string();
            (
                format!("{{\"id\": 7, \"note\": {quoted}}}"),
                at(&["request", "data"]),
            )
        }
        3 => (
            value.to_owned(),
            at(&["request", "data", "customer", "note"]),
        ),
        4 if !value.contains(['\n', ' ']) => {
            let path = format!(
                "GET /api/v1/find?q={}&limit=10 HTTP/1.1",
                form_encoded(value, false)
            );
            (path, text_place(dice))
        }
        _ => (dice.one(&SENTENCES).replace('@', value), text_place(dice)),
    }
}

/// `application/x-www-form-urlencoded`; the marks stay.
fn form_encoded(text: &str, plus: bool) -> String {
    let mut encoded = String::new();
    for character in text.chars() {
        match character {
            '⟦' | '⟧' => encoded.push(character),
            ' ' if plus => encoded.push('+'),
            other if other.is_ascii_alphanumeric() || "-._~".contains(other) => encoded.push(other),
            other => {
                let mut buffer = [0; 4];
                for byte in other.encode_utf8(&mut buffer).bytes() {
                    // Writing to a string cannot fail.
                    let _ = write!(encoded, "%{byte:02X}");
                }
            }
        }
    }
    encoded
}

/// Where a report has free text.
fn text_place(dice: &mut Dice) -> Place {
    at(dice.one(&[
        &["exception", "values", "0", "value"],
        &["logentry", "formatted"],
        &["breadcrumbs", "values", "0", "message"],
        &["breadcrumbs", "values", "0", "data", "detail"],
        &["extra", "detail"],
        &["extra", "context", "inner"],
        &["contexts", "state", "detail"],
        &[
            "exception",
            "values",
            "0",
            "stacktrace",
            "frames",
            "0",
            "vars",
            "text",
        ],
    ]))
}

/// Where a report has fields with names.
fn field_place(name: &'static str, dice: &mut Dice) -> Place {
    if name.chars().next().is_some_and(char::is_uppercase)
        && name.contains(|c: char| c == '-' || c.is_lowercase())
    {
        return at(&["request", "headers", name]);
    }
    match dice.below(4) {
        0 => at(&["extra", name]),
        1 => at(&["request", "data", name]),
        2 => at(&[
            "exception",
            "values",
            "0",
            "stacktrace",
            "frames",
            "0",
            "vars",
            name,
        ]),
        _ => at(&["contexts", "settings", name]),
    }
}

fn at(path: &[&'static str]) -> Place {
    let path = path.to_vec();
    Box::new(move |text| {
        let inner = path.iter().rev().fold(json!(text), |inner, step| {
            if step.bytes().all(|byte| byte.is_ascii_digit()) {
                json!([inner])
            } else {
                json!({*step: inner})
            }
        });
        let mut event = json!({"event_id": "6b696e74737567696b696e7473756769", "platform": "python", "level": "error"});
        for (name, value) in inner.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        if let Some(exception) = event.pointer_mut("/exception/values/0") {
            exception["type"] = json!("ValueError");
        }
        (event, path.clone())
    })
}
