//! What a home is asked and ordered about its signed repository.
//!
//! **A root is checked here as a device checks it before it is sent**, by the roots that the home serves; the home checks it again.

use super::args::HomePlace;
use super::show::show;
use super::{draft, read, refused_file, write};
use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print;
use kintsugi_domain::Timestamp;
use kintsugi_domain::signing::OnlineRole;
use kintsugi_trust::tuf::{Root, Trusted};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// How a home signs, as it says.
#[derive(Debug, Deserialize, Serialize)]
struct Signing {
    root: u64,
    root_expires: Timestamp,
    timestamp: u64,
    timestamp_expires: Option<Timestamp>,
    claimed: u64,
    keys: Vec<Key>,
    wanted_root: Option<String>,
    brought: bool,
    refused_root: Option<String>,
    skips: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct Key {
    role: OnlineRole,
    in_force: u32,
    ordered: u32,
}

fn signing(client: &Client, place: &HomePlace) -> Result<Signing, Error> {
    let path = format!("projects/{}/signing", place.project);
    crate::wait_for(client.get(&path))
}

/// A file of the repository's metadata, as devices load it.
fn metadata(client: &Client, place: &HomePlace, name: &str) -> Result<Vec<u8>, Error> {
    let path = format!("tuf/{}/metadata/{name}", place.project);
    crate::wait_for(client.public(&path))
}

/// The root that a home has in force.
fn root_in_force(
    client: &Client,
    place: &HomePlace,
    version: u64,
) -> Result<(Vec<u8>, Trusted), Error> {
    let name = format!("{version}.root.json");
    let text = metadata(client, place, &name)?;
    let trusted = Trusted::new(&text);
    let trusted = trusted.map_err(|error| refused_file(Path::new(&name), error.code(), &error))?;
    Ok((text, trusted))
}

pub(super) fn status(place: &HomePlace, context: &Context, json: bool) -> Result<Exit, Error> {
    let found = signing(&place.home.client(context)?, place)?;
    if json {
        let shown = serde_json::to_value(&found);
        print::object(&shown.map_err(|error| Error::unexpected("write JSON", &error))?);
        return Ok(Exit::Done);
    }
    print::out(&format_args!(
        "root {}, until {}",
        found.root, found.root_expires
    ));
    print::out(&published(&found));
    for Key {
        role,
        in_force,
        ordered,
    } in &found.keys
    {
        let next = if in_force == ordered {
            String::new()
        } else {
            format!(", {ordered} is ordered and signs beside it")
        };
        print::out(&format_args!("  {role}: key {in_force}{next}"));
    }
    if found.wanted_root.is_some() {
        print::out("waits for a root that those who hold the root keys sign: kintsugi tuf wanted");
    }
    if found.brought {
        print::out("a root was brought and is published next");
    }
    if let Some(why) = &found.refused_root {
        print::out(&format_args!(
            "the last root that was brought is not taken: {why}"
        ));
    }
    if found.skips {
        print::out("goes on under higher numbers next");
    }
    Ok(Exit::Done)
}

/// What is published, in a line.
fn published(found: &Signing) -> String {
    let newest = match found.timestamp_expires {
        Some(until) => format!("timestamp {}, until {until}", found.timestamp),
        None => "nothing is published yet".to_owned(),
    };
    format!("{newest}; numbers up to {} are taken", found.claimed)
}

pub(super) fn order(
    role: OnlineRole,
    place: &HomePlace,
    reason: &str,
    context: &Context,
    json: bool,
) -> Result<Exit, Error> {
    let body = json!({"role": role, "reason": reason});
    post(place, "rotate", &body, context, json)
}

pub(super) fn skip(
    place: &HomePlace,
    (above, root): (u64, u64),
    reason: &str,
    context: &Context,
    json: bool,
) -> Result<Exit, Error> {
    let body = json!({"above": above, "root": root, "reason": reason});
    post(place, "skip", &body, context, json)
}

pub(super) fn wanted(
    out: &Path,
    place: &HomePlace,
    context: &Context,
    json: bool,
) -> Result<Exit, Error> {
    let client = place.home.client(context)?;
    let found = signing(&client, place)?;
    let Some(text) = found.wanted_root else {
        return Err(Error::Refused {
            code: "root.not_wanted".to_owned(),
            why: "the home waits for no root".to_owned(),
        });
    };
    let (former, trusted) = root_in_force(&client, place, found.root)?;
    let beside = out.with_file_name(format!("{}.root.json", found.root));
    let former = String::from_utf8(former).map_err(|error| Error::read(&beside, &error))?;
    write(&beside, &former)?;
    write(out, &text)?;
    let before: &Root = trusted.root();
    show(out, &draft(out, Some(before))?, Some(before), json);
    Ok(Exit::Done)
}

pub(super) fn bring(
    file: &Path,
    place: &HomePlace,
    reason: &str,
    context: &Context,
    json: bool,
) -> Result<Exit, Error> {
    let client = place.home.client(context)?;
    let found = signing(&client, place)?;
    let text = read(file)?;
    let (_, mut trusted) = root_in_force(&client, place, found.root)?;
    let taken = trusted.update_root(&text);
    taken.map_err(|error| refused_file(file, error.code(), &error))?;
    let text = String::from_utf8(text).map_err(|error| Error::read(file, &error))?;
    let body = json!({"root": text, "reason": reason});
    post(place, "root", &body, context, json)
}

/// Orders something, and says what came of it.
fn post(
    place: &HomePlace,
    what: &str,
    body: &Value,
    context: &Context,
    json: bool,
) -> Result<Exit, Error> {
    let client = place.home.client(context)?;
    let path = format!("projects/{}/signing/{what}", place.project);
    let answer: Value = crate::wait_for(client.post(&path, body))?;
    if json {
        print::object(&answer);
        return Ok(Exit::Done);
    }
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("type") {
        "asked" => print::out(&format_args!(
            "{}: waits for a second person, request {}",
            text("on"),
            text("request")
        )),
        _ => print::out(&format_args!("{}: ordered", text("on"))),
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_the_first_publication_no_end_is_shown() {
        let mut found: Signing = serde_json::from_value(json!({
            "root": 1, "root_expires": "2027-11-22T00:00:00Z", "timestamp": 0, "timestamp_expires": null,
            "claimed": 0, "keys": [], "wanted_root": null, "brought": false, "refused_root": null, "skips": false,
        }))
        .unwrap();
        let expected = "nothing is published yet; numbers up to 0 are taken";
        assert_eq!(published(&found), expected);
        (found.timestamp, found.claimed) = (3, 4);
        found.timestamp_expires = Some(found.root_expires);
        let expected = "timestamp 3, until 2027-11-22T00:00:00Z; numbers up to 4 are taken";
        assert_eq!(published(&found), expected);
    }
}
