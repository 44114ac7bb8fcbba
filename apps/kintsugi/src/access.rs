//! `kintsugi keys` and `kintsugi tokens`: who may use a home, over its admin API.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::login::HomeArgs;
use crate::print;
use clap::{Args, Subcommand, ValueEnum};
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
}

#[derive(Debug, Args)]
pub(crate) struct Tokens {
    #[command(flatten)]
    home: HomeArgs,
    #[command(subcommand)]
    command: TokensCommand,
}

#[derive(Debug, Subcommand)]
enum TokensCommand {
    /// Make a token for somebody, and print it this once.
    Issue {
        /// Whom it names in the audit log.
        subject: String,
        /// What it allows.
        #[arg(long)]
        role: RoleName,
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
        /// The token's id, as tokens issue and the audit log show it.
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

/// A role, each with the rights of those before it.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Viewer,
    Triager,
    Releaser,
    Admin,
}

impl RoleName {
    fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Triager => "triager",
            Self::Releaser => "releaser",
            Self::Admin => "admin",
        }
    }
}

/// Runs `kintsugi keys`.
pub(crate) fn keys(keys: &Keys, context: &Context, json: bool) -> Result<Exit, Error> {
    let client = keys.home.client(context)?;
    match &keys.command {
        KeysCommand::List => {
            let access: Value = crate::wait_for(client.get("access"))?;
            let older = access.get("older").and_then(Value::as_array);
            let all = access.get("current").into_iter();
            let all: Vec<&Value> = all.chain(older.into_iter().flatten()).collect();
            if json {
                print::object(&json!({ "keys": all }));
            } else {
                for key in all {
                    let until = key.get("until").and_then(Value::as_str);
                    let state =
                        until.map_or("current".to_owned(), |until| format!("until {until}"));
                    print::out(&format_args!("{}  {state}", text(key, "kid")));
                }
            }
        }
        KeysCommand::Rotate { reason } => {
            let path = "keys/rotate";
            let answer: Value = crate::wait_for(client.post(path, &json!({ "reason": reason })))?;
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
            let answer: Value = crate::wait_for(client.post(&path, &json!({ "reason": reason })))?;
            tell(&answer, &format!("{kid}  retired"), json);
        }
    }
    Ok(Exit::Done)
}

/// Runs `kintsugi tokens`.
pub(crate) fn tokens(tokens: &Tokens, context: &Context, json: bool) -> Result<Exit, Error> {
    let client = tokens.home.client(context)?;
    match &tokens.command {
        TokensCommand::Issue {
            subject,
            role,
            hours,
            reason,
        } => {
            let body = json!({
                "subject": subject, "role": role.name(), "hours": hours, "reason": reason,
            });
            let answer: Value = crate::wait_for(client.post("tokens", &body))?;
            if !json {
                let (id, until) = (text(&answer, "id"), text(&answer, "expires_at"));
                // Beside the token, which alone goes to standard output and from there to a file.
                print::say(&format_args!("token {id} for {subject}, until {until}"));
            }
            tell(&answer, text(&answer, "token"), json);
        }
        TokensCommand::Revoke {
            id,
            subject,
            reason,
        } => {
            let mut body = json!({ "reason": reason });
            for (name, value) in [("id", id), ("subject", subject)] {
                if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
                    body.insert(name.to_owned(), json!(value));
                }
            }
            let answer: Value = crate::wait_for(client.post("tokens/revoke", &body))?;
            let line = format!("{}: {}", text(&answer, "on"), text(&answer, "now"));
            tell(&answer, &line, json);
        }
        TokensCommand::Revoked => {
            let access: Value = crate::wait_for(client.get("access"))?;
            let list = |name: &str| access.get(name).cloned().unwrap_or_default();
            let (tokens, subjects) = (list("tokens"), list("subjects"));
            if json {
                print::object(&json!({"tokens": tokens, "subjects": subjects}));
            } else {
                for token in tokens.as_array().into_iter().flatten() {
                    print::out(&format_args!("token {}", text(token, "id")));
                }
                for subject in subjects.as_array().into_iter().flatten() {
                    let (name, up_to) = (text(subject, "subject"), text(subject, "up_to"));
                    print::out(&format_args!("subject {name}, made up to {up_to}"));
                }
            }
        }
    }
    Ok(Exit::Done)
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
