//! `kintsugi trains`: which fixes depart when, over a home's admin API.
//!
//! Not here: the rules (`kintsugi_domain::train`, `kintsugi_domain::calendar`).

use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::login::HomeArgs;
use crate::print;
use clap::{Args, Subcommand};
use kintsugi_domain::Timestamp;
use kintsugi_domain::calendar::Hold;
use kintsugi_domain::train::{Predicate, Train};
use serde::Deserialize;
use serde_json::Value;

/// What is asked about trains.
#[derive(Debug, Args)]
pub(crate) struct Trains {
    #[command(flatten)]
    home: HomeArgs,
    #[command(subcommand)]
    asked: Asked,
}

#[derive(Debug, Subcommand)]
enum Asked {
    /// Show what would depart at a time: when, by which predicate, and what holds it. Nothing is changed.
    Plan {
        /// The time, such as 2026-12-24T09:00:00Z; now if absent.
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
        /// The number of a project; every project if absent.
        #[arg(long, value_name = "NUMBER")]
        project: Option<u32>,
    },
}

/// A plan, as a home tells of it.
#[derive(Debug, Deserialize)]
struct Plan {
    project: u32,
    at: Timestamp,
    departs: Option<Train>,
    blocked: Option<String>,
    trains: Vec<Planned>,
}

#[derive(Debug, Deserialize)]
struct Planned {
    train: Train,
    version: Option<String>,
    predicate: Predicate,
    why: String,
    due_at: Timestamp,
    held: Option<Hold>,
    departs_at: Option<Timestamp>,
    fixes: Vec<Fix>,
}

#[derive(Debug, Deserialize)]
struct Fix {
    id: String,
    title: String,
    level: kintsugi_domain::score::Level,
    score: u32,
    reasons: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Project {
    id: u32,
}

/// Answers what was asked.
pub(crate) fn run(trains: &Trains, context: &Context, json: bool) -> Result<Exit, Error> {
    let client: Client = trains.home.client(context)?;
    let Asked::Plan { at, project } = &trains.asked;
    crate::wait_for(async {
        let projects = if let Some(project) = project {
            vec![*project]
        } else {
            let all: Vec<Project> = client.get("projects").await?;
            all.into_iter().map(|project| project.id).collect()
        };
        let at = at.map(|at| format!("?at={at}")).unwrap_or_default();
        for project in projects {
            let path = format!("projects/{project}/trains{at}");
            let plan: Value = client.get(&path).await?;
            if json {
                print::object(&plan);
            } else {
                let read = serde_json::from_value(plan);
                tell(&read.map_err(|error| Error::unexpected("read the plan", &error))?);
            }
        }
        Ok(Exit::Done)
    })
}

/// A plan for people. What others wrote is shown as Debug, so that it is no more than its line, nor commands the terminal.
fn tell(plan: &Plan) {
    let ends = match (&plan.blocked, plan.departs) {
        (Some(why), _) => format!("nothing departs: {why:?}"),
        (None, Some(train)) => format!("the {} train departs", name(train)),
        (None, None) if plan.trains.is_empty() => "no fix waits".to_owned(),
        (None, None) => "nothing departs".to_owned(),
    };
    print::out(&format_args!(
        "project {} at {}: {ends}",
        plan.project, plan.at
    ));
    for train in &plan.trains {
        let version = train.version.as_deref().unwrap_or("its first release");
        let predicate = train.predicate.name();
        print::out(&format_args!(
            "  {} to {version:?}  {predicate} ({})  due {}",
            name(train.train),
            train.why,
            train.due_at
        ));
        if let Some(hold) = &train.held {
            let until = hold.until.map(|until| format!(" until {until}"));
            let until = until.unwrap_or_default();
            print::out(&format_args!("    held: {:?}{until}", hold.why));
        }
        match train.departs_at {
            Some(at) => print::out(&format_args!("    departs {at}")),
            None => print::out("    departs: no opening in sight"),
        }
        for fix in &train.fixes {
            let (level, reasons) = (&fix.level, fix.reasons.join("; "));
            print::out(&format_args!(
                "    {}  {:?}  {level:?}, {} points: {reasons:?}",
                fix.id, fix.title, fix.score
            ));
        }
    }
}

fn name(train: Train) -> &'static str {
    match train {
        Train::Hotfix => "hotfix",
        Train::Patch => "patch",
        Train::Minor => "minor",
        Train::Major => "major",
    }
}
