//! `kintsugi project batch-keys`: the public keys that reporters of a project seal their batches to (ADR 0021).
//!
//! **The key for the next release alone goes to standard output**, so that a build can take it into a file or a variable.

use crate::client::Client;
use crate::error::Error;
use crate::exit::Exit;
use crate::print;
use clap::{Args, Subcommand};
use kintsugi_domain::id::ProjectId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(crate) struct BatchKeys {
    /// The project's number.
    #[arg(long, global = true, value_name = "NUMBER", default_value_t = ProjectId(1))]
    project: ProjectId,
    #[command(subcommand)]
    order: Option<Order>,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Begin a new generation. Build its key into your next release; the older ones are still accepted.
    Rotate {
        /// Why, for the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Accept an older generation no longer: batches that are sealed to it are refused.
    Retire {
        /// The generation, as batch-keys shows it.
        generation: u32,
        /// Why, for the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// A key as the home publishes it.
#[derive(Debug, Deserialize, Serialize)]
struct Published {
    generation: u32,
    id: String,
    key: String,
}

#[derive(Debug, Deserialize)]
struct List {
    keys: Vec<Published>,
}

/// Runs `kintsugi project batch-keys`.
pub(crate) fn run(asked: &BatchKeys, client: &Client, json: bool) -> Result<Exit, Error> {
    let (project, path) = (
        asked.project,
        format!("projects/{}/batch-keys", asked.project),
    );
    let order = match &asked.order {
        None => None,
        Some(Order::Rotate { reason }) => Some((format!("{path}/rotate"), reason)),
        Some(Order::Retire { generation, reason }) => {
            Some((format!("{path}/{generation}/retire"), reason))
        }
    };
    if let Some((path, reason)) = order {
        let _: Value = crate::wait_for(client.post(&path, &json!({ "reason": reason })))?;
    }
    let answer = crate::wait_for(client.public(&format!("v1/{project}/batch-keys")))?;
    let List { keys } = serde_json::from_slice(&answer)
        .map_err(|error| Error::unexpected("read the project's keys", &error))?;
    if json {
        print::object(&json!({"project": project, "keys": keys}));
        return Ok(Exit::Done);
    }
    for (place, key) in keys.iter().enumerate() {
        let (generation, id) = (key.generation, &key.id);
        let older = if place == 0 { "" } else { ", still accepted" };
        print::say(&format_args!("generation {generation}, id {id}{older}"));
    }
    if let Some(newest) = keys.first() {
        print::out(&newest.key);
    }
    Ok(Exit::Done)
}
