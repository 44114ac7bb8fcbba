//! `kintsugi audit verify`: reads a home's audit log over its admin API and says whether it still is what was written.
//!
//! **The digests are computed here, from the lines**: what the home says of its log is not believed. What it proves, and what not, is in
//! `docs/threat-model.md`.

use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::login::HomeArgs;
use crate::print;
use clap::{Args, Subcommand};
use kintsugi_app::admin::Page;
use kintsugi_domain::audit::{Audit, BrokenLink, Chain, ChainHead, Chained, HOME};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::PAGE_RECORDS_MAX;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct AuditLog {
    #[command(flatten)]
    home: HomeArgs,
    #[command(subcommand)]
    asked: Asked,
}

#[derive(Debug, Subcommand)]
enum Asked {
    /// Read the whole log, of the home and of every project, and say where it was changed, if it was.
    Verify {
        /// What this command printed before, with --json: the log must still have those ends.
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
}

/// What one log turned out to be.
#[derive(Debug, Serialize, Deserialize)]
struct Log {
    /// Whose; 0 is the home itself.
    project: u32,
    head: ChainHead,
    #[serde(default)]
    unchained: u64,
    #[serde(default, skip_deserializing)]
    broken: Option<BrokenLink>,
}

/// What is printed, and read again by `--against`.
#[derive(Debug, Deserialize)]
struct Verified {
    logs: Vec<Log>,
}

/// A project, as far as this command needs it.
#[derive(Debug, Deserialize)]
struct Named {
    id: ProjectId,
}

pub(crate) fn run(asked: &AuditLog, context: &Context, json: bool) -> Result<Exit, Error> {
    let Asked::Verify { against } = &asked.asked;
    let seen = match against {
        Some(file) => read(file)?.logs,
        None => Vec::new(),
    };
    let client = asked.home.client(context)?;
    let verified = crate::wait_for(verify(&client, seen))?;
    let holds = verified.logs.iter().all(|log| log.broken.is_none());
    if json {
        print::object(&json!({ "logs": verified.logs }));
    } else {
        for log in &verified.logs {
            show(log);
        }
    }
    Ok(if holds { Exit::Done } else { Exit::No })
}

fn read(file: &Path) -> Result<Verified, Error> {
    let text = fs::read(file).map_err(|error| Error::read(file, &error))?;
    serde_json::from_slice(&text).map_err(|error| Error::read(file, &error))
}

async fn verify(client: &Client, seen: Vec<Log>) -> Result<Verified, Error> {
    let projects: Vec<Named> = client.get("projects").await?;
    let mut ids: Vec<u32> = projects.iter().map(|project| project.id.0).collect();
    ids.push(HOME.0);
    // A project that is gone has lost its log with it.
    ids.extend(seen.iter().map(|log| log.project));
    ids.sort_unstable();
    ids.dedup();
    let mut logs = Vec::with_capacity(ids.len());
    for id in ids {
        let head = seen.iter().find(|log| log.project == id);
        let head = head.map(|log| log.head.clone());
        let Chained {
            head,
            unchained,
            broken,
        } = chain(client, ProjectId(id), head).await?;
        logs.push(Log {
            project: id,
            head,
            unchained,
            broken,
        });
    }
    Ok(Verified { logs })
}

/// Reads one log, page by page, the newest line first.
async fn chain(
    client: &Client,
    project: ProjectId,
    seen: Option<ChainHead>,
) -> Result<Chained, Error> {
    let path = if project == HOME {
        "audit".to_owned()
    } else {
        format!("projects/{project}/audit")
    };
    let mut chain = Chain::new(project, seen);
    let mut after = String::new();
    loop {
        let page = format!("{path}?limit={PAGE_RECORDS_MAX}{after}");
        let Some(page) = client.find::<Page<Audit>>(&page).await? else {
            return Ok(chain.finish());
        };
        for line in page.items {
            chain.line(line);
        }
        match page.next {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(chain.finish()),
        }
    }
}

fn show(log: &Log) {
    let whose = if log.project == HOME.0 {
        "home".to_owned()
    } else {
        format!("project {}", log.project)
    };
    let ChainHead { number, digest } = &log.head;
    match &log.broken {
        Some(broken) => print::out(&format_args!("{whose}: BROKEN: {broken}")),
        None => print::out(&format_args!("{whose}: {number} lines hold, {digest}")),
    }
    if log.unchained > 0 {
        let lines = log.unchained;
        print::out(&format_args!(
            "  {lines} older lines are from before the chain"
        ));
    }
}
