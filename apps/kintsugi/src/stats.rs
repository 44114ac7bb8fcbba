//! `kintsugi project`: what a home knows of its projects, over its admin API. `stats` is what became of everything that clients sent;
//! `batch-keys` is in a module of its own.

use crate::batch_keys::{self, BatchKeys};
use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::login::HomeArgs;
use crate::print;
use clap::{Args, Subcommand};
use kintsugi_app::admin::StatsView;
use kintsugi_domain::accounting::Row;
use kintsugi_domain::id::ProjectId;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Debug, Args)]
pub(crate) struct Projects {
    #[command(flatten)]
    home: HomeArgs,
    #[command(subcommand)]
    asked: Asked,
}

#[derive(Debug, Subcommand)]
enum Asked {
    /// What became of every item that clients sent: accepted, refused, dropped, thrown away by the client itself, and why.
    Stats {
        /// The project's number; without it, every project, and what came for none of them.
        #[arg(long, value_name = "NUMBER")]
        project: Option<ProjectId>,
    },
    /// The public keys that reporters seal their batches to: print them, begin a new one, end an older one.
    BatchKeys(BatchKeys),
}

/// A project, as far as its name goes.
#[derive(Debug, Deserialize)]
struct Named {
    id: ProjectId,
    name: String,
}

pub(crate) fn run(asked: &Projects, context: &Context, json: bool) -> Result<Exit, Error> {
    let client = asked.home.client(context)?;
    match &asked.asked {
        Asked::Stats { project } => show_stats(&client, *project, json),
        Asked::BatchKeys(asked) => batch_keys::run(asked, &client, json),
    }
}

/// The accounts of a home.
struct Found {
    projects: Vec<(Named, StatsView)>,
    /// What came for no project of this home, where every account was asked for.
    no_project: Option<StatsView>,
}

fn show_stats(client: &Client, project: Option<ProjectId>, json: bool) -> Result<Exit, Error> {
    let found = crate::wait_for(stats(client, project))?;
    if json {
        let projects: Vec<_> = found
            .projects
            .iter()
            .map(|(named, stats)| {
                let (id, name) = (named.id, &named.name);
                json!({"id": id, "name": name, "stats": stats})
            })
            .collect();
        print::object(&json!({"projects": projects, "no_project": found.no_project}));
        return Ok(ended(&found));
    }
    for (named, stats) in &found.projects {
        // Debug, so that no name commands the terminal.
        print::out(&format_args!("project {} {:?}", named.id, named.name));
        show(stats);
    }
    let came = |stats: &&StatsView| !stats.account.categories.is_empty();
    if let Some(stats) = found.no_project.as_ref().filter(came) {
        print::out(&"no project of this home");
        show(stats);
    }
    Ok(ended(&found))
}

fn ended(found: &Found) -> Exit {
    let of_projects = found.projects.iter().map(|(_, stats)| stats);
    if of_projects.chain(&found.no_project).all(|it| it.adds_up) {
        Exit::Done
    } else {
        Exit::No
    }
}

async fn stats(client: &Client, project: Option<ProjectId>) -> Result<Found, Error> {
    let (named, no_project): (Vec<Named>, _) = match project {
        Some(project) => (
            vec![client.get(&format!("projects/{project}")).await?],
            None,
        ),
        None => (
            client.get("projects").await?,
            Some(client.get("stats").await?),
        ),
    };
    let mut projects = Vec::with_capacity(named.len());
    for named in named {
        let stats = client.get(&format!("projects/{}/stats", named.id)).await?;
        projects.push((named, stats));
    }
    Ok(Found {
        projects,
        no_project,
    })
}

fn show(stats: &StatsView) {
    for (category, row) in &stats.account.categories {
        show_row(category, row);
    }
    if !stats.adds_up {
        print::out(&"  the account does not add up: report this as a defect of kintsugi");
    }
}

fn show_row(category: &str, row: &Row) {
    let Row {
        received, accepted, ..
    } = row;
    print::out(&format_args!(
        "  {category}: {received} received = {accepted} accepted + {} refused + {} dropped",
        sum(&row.refused),
        sum(&row.dropped),
    ));
    for (fate, reasons) in [
        ("refused", &row.refused),
        ("dropped", &row.dropped),
        ("discarded by the client", &row.client_discarded),
    ] {
        for (reason, count) in reasons {
            print::out(&format_args!("    {fate}: {count} {reason}"));
        }
    }
}

fn sum(reasons: &BTreeMap<String, i64>) -> i64 {
    reasons.values().fold(0, |sum, by| sum.saturating_add(*by))
}
