//! What would depart at a time, as things stand: the same rules as a departure, and nothing is changed.

use super::open_bundle;
use crate::records;
use kintsugi_domain::Timestamp;
use kintsugi_domain::calendar::Hold;
use kintsugi_domain::fix::Fix;
use kintsugi_domain::id::{FixId, ProjectId};
use kintsugi_domain::issue::Issue;
use kintsugi_domain::ports::{PortError, Ports, Store};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::{IndexEntry, Stored};
use kintsugi_domain::release::Release;
use kintsugi_domain::score::Level;
use kintsugi_domain::train::{self, Outlook, Predicate, Timetable, Train, Waiting};
use semver::Version;
use serde::Serialize;
use std::collections::BTreeMap;

/// Why fixes of a product without a release wait.
pub(super) const NO_RELEASE_YET: &str =
    "fixes wait for the product's first release, which people order";

/// What would depart at a time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The project.
    pub project: ProjectId,
    /// The time.
    pub at: Timestamp,
    /// The train that departs then, if one does.
    pub departs: Option<Train>,
    /// What keeps every train back, whatever the calendar says.
    pub blocked: Option<String>,
    /// Every train that fixes wait for, the fastest first.
    pub trains: Vec<PlannedTrain>,
}

/// A train that fixes wait for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedTrain {
    /// The train.
    pub train: Train,
    /// The version it would arrive at, if it is the next to depart.
    pub version: Option<Version>,
    /// What makes it due.
    pub predicate: Predicate,
    /// Why, in one line.
    pub why: String,
    /// From when on it is due.
    pub due_at: Timestamp,
    /// What holds it at the time of the plan.
    pub held: Option<Hold>,
    /// When it departs, if nothing changes; nothing where the calendar shows no opening.
    pub departs_at: Option<Timestamp>,
    /// Its fixes in the order to apply them.
    pub fixes: Vec<PlannedFix>,
}

/// A fix that waits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedFix {
    /// The fix.
    pub id: FixId,
    /// Its line for commit and changelog.
    pub title: String,
    /// How urgent it is.
    pub level: Level,
    /// Its points (ledger E1).
    pub score: u32,
    /// What they are made of.
    pub reasons: Vec<String>,
    /// Since when it waits.
    pub since: Timestamp,
}

/// The plan of a project for a time. A fix that waits now counts for every later time; for an earlier one, those that waited.
pub async fn plan(ports: &Ports, project: &Project, at: Timestamp) -> Result<Plan, PortError> {
    let store = ports.store.as_ref();
    let mut board = Board::read(store, project).await?;
    if at < ports.now() {
        board.waiting.retain(|waiting| waiting.since <= at);
    }
    let open = open_bundle(store, project.id).await?;
    let blocked = match (&project.repository, open, &board.last_version) {
        (None, ..) => Some("the project names no repository".to_owned()),
        (Some(_), Some(open), _) => Some(format!("bundle {} is under way", open.value.id)),
        (Some(_), None, None) => Some(NO_RELEASE_YET.to_owned()),
        (Some(_), None, Some(_)) => None,
    };
    let trains = board.outlook(project, at);
    let leaving = trains.iter().find(|train| train.departs(at));
    let departs = leaving.filter(|_| blocked.is_none()).map(|it| it.train);
    let from = board.last_version.as_ref();
    Ok(Plan {
        project: project.id,
        at,
        departs,
        blocked,
        trains: trains.iter().map(|train| planned(train, from)).collect(),
    })
}

fn planned(outlook: &Outlook<'_>, from: Option<&Version>) -> PlannedTrain {
    let fixes = outlook.aboard.iter().map(|waiting| PlannedFix {
        id: waiting.fix.id.clone(),
        title: waiting.fix.title.clone(),
        level: waiting.score.level(),
        score: waiting.score.value,
        reasons: waiting.score.reasons.clone(),
        since: waiting.since,
    });
    PlannedTrain {
        train: outlook.train,
        version: from.map(|from| outlook.train.version_after(from)),
        predicate: outlook.predicate,
        why: outlook.why.clone(),
        due_at: outlook.due_at,
        held: outlook.held.clone(),
        departs_at: outlook.departs_at,
        fixes: fixes.collect(),
    }
}

/// What a departure is decided on.
pub(super) struct Board {
    /// Fixes that wait for a train, each with its score.
    pub(super) waiting: Vec<Waiting>,
    /// The highest version that was ever made.
    pub(super) last_version: Option<Version>,
    /// When each train departed last.
    last: BTreeMap<Train, Timestamp>,
}

impl Board {
    pub(super) async fn read(store: &dyn Store, project: &Project) -> Result<Self, PortError> {
        let index = IndexEntry::new("waiting", &"train");
        let fixes = records::all::<Fix>(store, project.id, Some(index)).await?;
        let mut waiting = Vec::new();
        for Stored { value: fix, .. } in fixes {
            let issue: Stored<Issue> = records::need(store, project.id, fix.issue.as_str()).await?;
            let score = train::score(&issue.value, &project.config.trains);
            let since = fix.story.last().map_or(project.added_at, |step| step.at);
            waiting.push(Waiting { fix, score, since });
        }
        let releases = records::all::<Release>(store, project.id, None).await?;
        let mut last = BTreeMap::new();
        for Stored { value: release, .. } in &releases {
            let at = last.entry(release.train).or_insert(release.built_at);
            *at = release.built_at.max(*at);
        }
        let versions = releases.into_iter().map(|release| release.value.version);
        Ok(Self {
            waiting,
            last_version: versions.max(),
            last,
        })
    }

    pub(super) fn outlook(&self, project: &Project, at: Timestamp) -> Vec<Outlook<'_>> {
        let timetable = Timetable {
            rules: &project.config.trains,
            calendar: &project.config.calendar,
            last: &self.last,
        };
        train::outlook(&self.waiting, &timetable, at)
    }
}
