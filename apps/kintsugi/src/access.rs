//! `kintsugi keys`: who may use a home, over its admin API: tokens, and the keys that sign them.

use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::login::HomeArgs;
use crate::print;
use clap::{Args, Subcommand};
use kintsugi_trust::token::Role;
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    home: HomeArgs,
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// List the keys that verify admin tokens; the current one signs.
    List,
    /// Sign with a new key from now on. Older tokens stay good until they end.
    Rotate {
        /// Why, for the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// End an older key at once, and every token that it signed.
    Retire {
        /// The key's id, as keys list shows it.
        kid: String,
        /// Why, for the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Make a token for somebody, and print it this once.
    Issue {
        /// Whom it names in the audit log.
        #[arg(long)]
        subject: String,
        /// What it allows.
        #[arg(long, value_parser = role)]
        role: Role,
        /// How long it lives, hours, at most 2160.
        #[arg(long, default_value_t = 12)]
        hours: u32,
        /// Why, for the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Take back one token, or all of a subject that were made until now.
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Revoke {
        /// The token's id, as keys issue and the audit log show it.
        #[arg(long, group = "which")]
        id: Option<String>,
        /// Whom the tokens name.
        #[arg(long, group = "which")]
        subject: Option<String>,
        /// Why, for the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// List what was taken back.
    Revoked,
}

/// A role as it is written, by the one type that knows them all.
fn role(text: &str) -> Result<Role, String> {
    serde_json::from_value(json!(text)).map_err(|error| error.to_string())
}

/// Runs `kintsugi keys`.
pub(crate) fn keys(keys: &Keys, context: &Context, json: bool) -> Result<Exit, Error> {
    let client = keys.home.client(context)?;
    match &keys.command {
        KeysCommand::List => list(&client, json)?,
        KeysCommand::Rotate { reason } => {
            let answer = post(&client, "keys/rotate", &json!({ "reason": reason }))?;
            let kid = answer.pointer("/key/kid").and_then(Value::as_str);
            let line = format!("{}  current", kid.unwrap_or_default());
            tell(&answer, &line, json);
        }
        KeysCommand::Retire { kid, reason } => {
            // A key id is hex digits; anything else names no key, and must not name another path either.
            let is_hex = kid.bytes().all(|byte| byte.is_ascii_hexdigit());
            if kid.is_empty() || !is_hex {
                return Err(Error::Refused {
                    code: "token_key.unknown".to_owned(),
                    why: "that is not the id of a key: kintsugi keys list shows them".to_owned(),
                });
            }
            let path = format!("keys/{kid}/retire");
            let answer = post(&client, &path, &json!({ "reason": reason }))?;
            tell(&answer, &format!("{kid}  retired"), json);
        }
        KeysCommand::Issue {
            subject,
            role,
            hours,
            reason,
        } => {
            let body = json!({
                "subject": subject, "role": role, "hours": hours, "reason": reason,
            });
            let answer = post(&client, "tokens", &body)?;
            if !json {
                let (id, until) = (text(&answer, "id"), text(&answer, "expires_at"));
                // Beside the token, which alone goes to standard output and from there to a file.
                print::say(&format_args!("token {id} for {subject}, until {until}"));
            }
            tell(&answer, text(&answer, "token"), json);
        }
        KeysCommand::Revoke {
            id,
            subject,
            reason,
        } => {
            let body = match (id, subject) {
                (Some(id), _) => json!({"id": id, "reason": reason}),
                (None, subject) => json!({"subject": subject, "reason": reason}),
            };
            let answer = post(&client, "tokens/revoke", &body)?;
            let line = format!("{}: {}", text(&answer, "on"), text(&answer, "now"));
            tell(&answer, &line, json);
        }
        KeysCommand::Revoked => revoked(&client, json)?,
    }
    Ok(Exit::Done)
}

fn post(client: &Client, path: &str, body: &Value) -> Result<Value, Error> {
    crate::wait_for(client.post(path, body))
}

/// The keys that verify, the current one first.
fn list(client: &Client, json: bool) -> Result<(), Error> {
    let access: Value = crate::wait_for(client.get("access"))?;
    let older = access.get("older").and_then(Value::as_array);
    let all = access.get("current").into_iter();
    let all: Vec<&Value> = all.chain(older.into_iter().flatten()).collect();
    if json {
        print::object(&json!({ "keys": all }));
        return Ok(());
    }
    for key in all {
        let until = key.get("until").and_then(Value::as_str);
        let state = until.map_or("current".to_owned(), |until| format!("until {until}"));
        print::out(&format_args!("{}  {state}", text(key, "kid")));
    }
    Ok(())
}

/// What was taken back.
fn revoked(client: &Client, json: bool) -> Result<(), Error> {
    let access: Value = crate::wait_for(client.get("access"))?;
    let list = |name: &str| access.get(name).cloned().unwrap_or_default();
    let (tokens, subjects) = (list("tokens"), list("subjects"));
    if json {
        print::object(&json!({"tokens": tokens, "subjects": subjects}));
        return Ok(());
    }
    for token in tokens.as_array().into_iter().flatten() {
        print::out(&format_args!("token {}", text(token, "id")));
    }
    for subject in subjects.as_array().into_iter().flatten() {
        let (name, up_to) = (text(subject, "subject"), text(subject, "up_to"));
        print::out(&format_args!("subject {name}, made up to {up_to}"));
    }
    Ok(())
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn tell(answer: &Value, line: &str, json: bool) {
    if json {
        print::object(answer);
    } else {
        print::out(line);
    }
}
