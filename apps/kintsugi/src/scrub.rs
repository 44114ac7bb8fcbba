//! `kintsugi scrub`: what ingestion would remove from an event, for anyone to try.
//!
//! Not here: what ingestion does not keep anyway, such as who the user is; that is shown as it came,
//! scrubbed like the rest.

use crate::error::Error;
use crate::exit::Exit;
use crate::print;
use kintsugi_domain::event::Remark;
use kintsugi_domain::scrub_rules::ScrubRules;
use kintsugi_scrub::Scrubber;
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::Path;

/// A larger event is refused, bytes.
const INPUT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Prints the scrubbed event and the remarks.
pub(crate) fn run(rules: Option<&Path>, json: bool) -> Result<Exit, Error> {
    let rules = rules.map(read_rules).transpose()?.unwrap_or_default();
    // No user is hashed here, so the salt does not matter.
    let scrubber = Scrubber::with_rules(b"", &rules).map_err(|error| Error::Refused {
        code: error.code().to_owned(),
        why: error.to_string(),
    })?;
    let refused = |error: &dyn std::fmt::Display| Error::Refused {
        code: "not_json".to_owned(),
        why: format!("standard input: {error}"),
    };
    let (text, remarks) = scrubber
        .scrub_json(&input()?)
        .map_err(|error| refused(&error))?;
    let event: Value = serde_json::from_str(&text).map_err(|error| refused(&error))?;
    if json {
        print::object(&json!({"event": event, "remarks": remarks}));
    } else {
        print::out(&format_args!("{event:#}\n"));
        if remarks.is_empty() {
            print::out("nothing was removed");
        }
        for remark in &remarks {
            print::out(&line(remark));
        }
    }
    Ok(Exit::Done)
}

/// The rule, and where its placeholder stands.
fn line(remark: &Remark) -> String {
    let Remark { rule, path, range } = remark;
    let (start, end) = range;
    format!("{rule:<18} {path} {start}..{end}")
}

fn read_rules(file: &Path) -> Result<ScrubRules, Error> {
    let text = std::fs::read_to_string(file).map_err(|error| Error::read(file, &error))?;
    Ok(ScrubRules::parse(&file.display().to_string(), &text)?)
}

fn input() -> Result<String, Error> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(INPUT_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| Error::read(Path::new("standard input"), &error))?;
    if text.len() as u64 > INPUT_BYTES_MAX {
        return Err(Error::Refused {
            code: "input_too_large".to_owned(),
            why: format!("standard input has more than {INPUT_BYTES_MAX} bytes"),
        });
    }
    Ok(text)
}
