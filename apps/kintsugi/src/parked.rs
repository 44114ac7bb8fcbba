//! `kintsugi parked` and `redrive`: messages that nobody could handle, over a home's admin API.

use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::login::HomeArgs;
use crate::print;
use clap::Args;
use kintsugi_domain::envelope::Queue;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(crate) struct Redrive {
    #[command(flatten)]
    home: HomeArgs,
    /// The queue, as kintsugi parked shows it: events, signing and so on.
    #[arg(value_parser = queue)]
    queue: Queue,
    /// Why, for the audit log.
    #[arg(long, default_value = "")]
    reason: String,
}

/// A parked message, as a home tells of it.
#[derive(Debug, Serialize, Deserialize)]
struct Parked {
    id: String,
    queue: String,
    /// Nothing for what is no message.
    project: Option<u32>,
    kind: String,
    cause: String,
}

fn queue(text: &str) -> Result<Queue, String> {
    Queue::named(text).ok_or_else(|| {
        let names: Vec<&str> = Queue::ALL.iter().map(|queue| queue.name()).collect();
        format!("it is one of {}", names.join(", "))
    })
}

/// Lists what is parked, of every queue and project.
pub(crate) fn list(home: &HomeArgs, context: &Context, json: bool) -> Result<Exit, Error> {
    let client: Client = home.client(context)?;
    let parked: Vec<Parked> = crate::wait_for(client.get("parked"))?;
    if json {
        print::object(&json!({ "parked": parked }));
        return Ok(Exit::Done);
    }
    for Parked {
        id,
        queue,
        project,
        kind,
        cause,
    } in &parked
    {
        let project = match project {
            Some(project) => format!("project {project}"),
            None => "no project".to_owned(),
        };
        // Debug, so that no cause is more than its line, nor commands the terminal.
        print::out(&format_args!(
            "{queue}  {project}  {kind:?}  {id:?}  {cause:?}"
        ));
    }
    Ok(Exit::Done)
}

/// Puts the parked messages of a queue back, for every project.
pub(crate) fn redrive(redrive: &Redrive, context: &Context, json: bool) -> Result<Exit, Error> {
    let client = redrive.home.client(context)?;
    let (queue, reason) = (redrive.queue.name(), &redrive.reason);
    let body = json!({"queue": queue, "reason": reason});
    let answer: Value = crate::wait_for(client.post("redrive", &body))?;
    if json {
        print::object(&answer);
        return Ok(Exit::Done);
    }
    let count = answer.get("messages").and_then(Value::as_u64);
    print::out(&format_args!(
        "{queue}: {} put back",
        count.unwrap_or_default()
    ));
    Ok(Exit::Done)
}
