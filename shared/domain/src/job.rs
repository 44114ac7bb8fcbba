//! Orders to the build engine and what it answers. The engine runs product code in a sandbox, in the
//! same process tree (local home), in a runner, or in `CodeBuild`; the stages that ordered the job
//! judge the answer.

use crate::Timestamp;
use crate::change::{self, Change};
use crate::config::Config;
use crate::digest::Digest;
use crate::event::Event;
use crate::id::{BundleId, FixId, IssueId, JobId, ProjectId};
use crate::platform::{PlatformBase, PlatformPackage};
use crate::record::{Kind, Record};
use crate::state::IllegalTransition;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id, named by what is ordered.
    pub id: JobId,
    /// Its project.
    pub project: ProjectId,
    /// Where the product's source lives, as [`crate::project::Project::repository`] has it.
    pub repository: String,
    /// What to do.
    pub order: Order,
    /// The product's configuration, as it was when the job was ordered.
    pub config: Config,
    /// Where it stands.
    pub state: JobState,
    /// When it was ordered.
    pub ordered_at: Timestamp,
    /// The answer, once there is one.
    pub report: Option<Report>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits, or is being done.
    Ordered,
    /// Has its report.
    Done,
}

/// What can happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobMove {
    /// The engine answered.
    Report,
}

impl JobState {
    /// The state after a move.
    pub fn next(self, event: JobMove) -> Result<Self, IllegalTransition> {
        match (self, event) {
            (Self::Ordered, JobMove::Report) => Ok(Self::Done),
            (Self::Done, JobMove::Report) => Err(IllegalTransition::new("job", &self, &event)),
        }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Order {
    /// Search for fixes and put each through the gates.
    Search(Box<SearchOrder>),
    /// Build a version of the product.
    Build(Box<BuildOrder>),
}

/// A search for fixes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchOrder {
    /// The issue to end.
    pub issue: IssueId,
    /// The commit to fix.
    pub commit: String,
    /// The event to reproduce.
    pub event: Event,
    /// Where to look, likeliest first.
    pub suspects: Vec<crate::diagnosis::Suspect>,
}

/// A build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildOrder {
    /// The bundle it is for.
    pub bundle: BundleId,
    /// The commit to start from.
    pub commit: String,
    /// Fixes to apply, in the order to apply them.
    pub fixes: Vec<PatchToApply>,
    /// The version to build.
    pub version: Version,
    /// The date of the build; part of what is built, so that the same order gives the same bytes.
    pub at: Timestamp,
    /// Full packages of every supported version, the newest first, to build deltas from: version and blob key.
    pub delta_bases: Vec<(Version, String)>,
    /// Packages for platforms of the same versions, to build deltas from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platform_bases: Vec<PlatformBase>,
    /// What people ordered the version for; empty for a train.
    pub notes: String,
    /// The commit of the release before: what came after it goes into the notes. Nothing for a first release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The build number; 0 for orders of before it was counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub build: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl BuildOrder {
    /// The changelog section of the version with these fixes in it: what people wrote, then the fixes and what commits say, grouped
    /// (the form of Keep a Changelog 1.1.0).
    pub fn notes_with(&self, applied: &[FixId], changes: &[Change]) -> String {
        let fixes = self.fixes.iter();
        let titles = fixes
            .filter(|patch| applied.contains(&patch.fix))
            .map(|patch| patch.title.lines().next().unwrap_or_default());
        change::notes(&self.notes, &titles.collect::<Vec<_>>(), changes)
    }
}

/// The file name of a version's full package.
pub fn package_name(app: &str, version: &Version) -> String {
    format!("{app}-{version}.tar.zst")
}

/// The file names of a version's zip files: the package itself, and the browser extension in it.
pub fn zip_names(app: &str, version: &Version) -> [String; 2] {
    [
        format!("{app}-{version}.zip"),
        format!("{app}-{version}-extension.zip"),
    ]
}

/// The file name of the delta from one version to another.
pub fn delta_name(app: &str, from: &Version, version: &Version) -> String {
    format!("{app}-{from}-{version}.delta")
}

/// The blob key of an artifact: among the targets of its project's repository, named by its content, as TUF's consistent
/// snapshots do.
pub fn artifact_key(project: ProjectId, digest: &Digest, name: &str) -> String {
    format!("tuf/{project}/targets/{digest}.{name}")
}

/// A fix to apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchToApply {
    /// The fix.
    pub fix: FixId,
    /// Its commit in the product's repository.
    pub commit: String,
    /// The line for the changelog.
    pub title: String,
}

/// What the engine answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "a job has one report, which is moved a few times"
)]
pub enum Report {
    /// To a search.
    Search(SearchReport),
    /// To a build.
    Build(BuildReport),
}

/// One gate that was passed or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Its name: `lint`, `syntax`, `regression_before`, `regression_after`, `suite`, `coverage` …
    pub name: String,
    /// Whether it was passed.
    pub passed: bool,
    /// What was seen, cut to a readable length.
    pub detail: String,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchReport {
    /// The regression test made from the event, if its inputs could be rebuilt.
    pub regression_test: Option<SourceFile>,
    /// Gates on the base: the suite passes, the regression test fails.
    pub base: Vec<Gate>,
    /// Every candidate that was tried, best first.
    pub candidates: Vec<CandidateReport>,
    /// Why there are no candidates, where there are none.
    pub refused: Option<String>,
}

/// A file of source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Relative to the product's root.
    pub path: String,
    /// Its whole text.
    pub content: String,
}

/// What a change does to the fault (`research/repair.md` calls it the class).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixClass {
    /// Hides the symptom: swallows, returns early without a value.
    Suppresses,
    /// Keeps the bad case out.
    Guards,
    /// Gives the right answer.
    Corrects,
}

/// One candidate and how far it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateReport {
    /// The rule that made it.
    pub rule: String,
    /// What kind of change it is.
    pub class: FixClass,
    /// The rule's weight before any test, 0 to 1.
    pub prior: f64,
    /// The changed files, whole; the regression test not among them.
    pub files: Vec<SourceFile>,
    /// The change as a unified diff.
    pub diff: String,
    /// Lines added plus lines removed.
    pub size: usize,
    /// The gates, in the order they were tried; the search stops at the first that fails.
    pub gates: Vec<Gate>,
}

impl CandidateReport {
    /// Whether it passed all gates (and at least one).
    pub fn is_proven(&self) -> bool {
        !self.gates.is_empty() && self.gates.iter().all(|gate| gate.passed)
    }
}

/// What a build gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildReport {
    /// Fixes that are in it.
    pub applied: Vec<FixId>,
    /// Fixes that were set aside, with the reason: a conflict, or `TEST_FAILURE`.
    pub set_aside: BTreeMap<FixId, String>,
    /// The gates of the build as a whole.
    pub gates: Vec<Gate>,
    /// What the commits since the release before say, and what fixes ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// What was built, or the code and reason why nothing was (`TEST_FAILURE`, `BUILD_FAILURE`).
    pub built: Result<Built, Failure>,
}

/// Why a build or a signing failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code.
    pub code: String,
    /// What happened.
    pub why: String,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The commit of the release in the product's repository.
    pub commit: String,
    /// The full package.
    pub full: Artifact,
    /// The package's content: what a device has after unpacking the full package or applying a delta.
    pub content: Content,
    /// Deltas that are smaller than the full package, each applied and compared by the engine.
    pub deltas: Vec<Delta>,
    /// The same as zip files, where the product asks for them. No device takes one by itself.
    #[serde(default)]
    pub zips: Vec<Artifact>,
    /// The same for single platforms, where the product asks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<PlatformPackage>,
    /// The lock files of the commit: what else the product was made from.
    #[serde(default)]
    pub inputs: Vec<Input>,
    /// What built it: the engine with its version and machine. Empty for builds of before it was told.
    #[serde(default)]
    pub builder: String,
}

/// A file of the source that names what else a product is made from, with exact versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Relative to the product's root.
    pub path: String,
    /// The digest of its content.
    pub digest: Digest,
}

/// A stored file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its blob key, which ends in its file name.
    pub blob: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub length: u64,
}

/// An archive after decompression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The digest of the archive.
    pub digest: Digest,
    /// Its length in bytes.
    pub length: u64,
}

/// A delta from one version to the built one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// The version it starts from.
    pub from: Version,
    /// The digest of that version's content.
    pub base: Digest,
    /// The delta itself.
    pub artifact: Artifact,
}

impl Job {
    /// The digest that a blob's content must have, if an artifact of this job may be stored under that key.
    pub fn artifact_digest(&self, key: &str) -> Option<Digest> {
        let Order::Build(order) = &self.order else {
            return None;
        };
        let file = key.rsplit('/').next()?;
        let (digest, name) = file.split_once('.')?;
        let digest: Digest = digest.parse().ok()?;
        let (app, version) = (&self.config.product.name, &order.version);
        let is_delta = |(from, _): &(Version, String)| name == delta_name(app, from, version);
        let is_ours = name == package_name(app, version)
            || zip_names(app, version).iter().any(|zip| zip == name)
            || order.delta_bases.iter().any(is_delta)
            || self.is_of_platform(order, name);
        // The whole key again, so that it is written in the one way it is written by the engine.
        (is_ours && key == artifact_key(self.project, &digest, name)).then_some(digest)
    }

    /// Whether the job needs to read the blob of that key.
    pub fn reads(&self, key: &str) -> bool {
        match &self.order {
            Order::Search(_) => false,
            Order::Build(order) => {
                order.delta_bases.iter().any(|(_, base)| base == key)
                    || order.platform_bases.iter().any(|base| base.blob == key)
            }
        }
    }

    /// Whether a file name is that of a package for a platform that the job makes, or of a delta to it.
    fn is_of_platform(&self, order: &BuildOrder, name: &str) -> bool {
        let (app, version) = (&self.config.product.name, &order.version);
        self.config.package.platforms().into_iter().any(|kind| {
            let bases = order.platform_bases.iter();
            let bases = bases.filter(|base| base.kind == kind);
            let mut deltas = bases.map(|base| kind.delta_name(app, &base.version, version));
            name == kind.file_name(app, version) || deltas.any(|delta| name == delta)
        })
    }

    /// Whether a report answers this kind of order.
    pub fn is_answered_by(&self, report: &Report) -> bool {
        match (&self.order, report) {
            (Order::Search(_), Report::Search(_)) | (Order::Build(_), Report::Build(_)) => true,
            (Order::Search(_), Report::Build(_)) | (Order::Build(_), Report::Search(_)) => false,
        }
    }

    /// A new order.
    pub fn order(
        project: ProjectId,
        repository: String,
        order: Order,
        config: Config,
        at: Timestamp,
    ) -> Self {
        // Orders are made of strings, numbers and maps with string keys: they serialise.
        let text = serde_json::to_vec(&order).unwrap_or_default();
        let digest = Digest::of_parts(&[&project.0.to_be_bytes(), &text]);
        let id = JobId::from_digest(digest);
        Self {
            id,
            project,
            repository,
            order,
            config,
            state: JobState::Ordered,
            ordered_at: at,
            report: None,
        }
    }
}

impl Built {
    /// Every file of it that is stored.
    pub fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        let deltas = self.deltas.iter().map(|delta| &delta.artifact);
        let platforms = self.platforms.iter().flat_map(PlatformPackage::artifacts);
        std::iter::once(&self.full)
            .chain(deltas)
            .chain(&self.zips)
            .chain(platforms)
    }
}

impl Record for Job {
    const KIND: Kind = Kind::Job;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SUPPORTED_VERSIONS_MAX;
    use crate::platform::PlatformKind;

    fn order_of(version: Version) -> BuildOrder {
        BuildOrder {
            bundle: "b".parse().unwrap(),
            commit: String::new(),
            fixes: vec![],
            version,
            at: Timestamp::UNIX_EPOCH,
            delta_bases: vec![],
            platform_bases: vec![],
            notes: String::new(),
            since: None,
            build: 0,
        }
    }

    #[test]
    fn notes_name_what_is_in_the_version_and_nothing_else() {
        let patch = |name: &str| PatchToApply {
            fix: name.parse().unwrap(),
            commit: String::new(),
            title: format!("Fix {name}"),
        };
        let mut order = BuildOrder {
            fixes: vec![patch("a"), patch("b"), patch("c")],
            ..order_of(Version::new(1, 0, 1))
        };
        let applied = ["a", "c"].map(|id| id.parse().unwrap());
        let fixed = "### Fixed\n\n- Fix a\n- Fix c";
        assert_eq!(order.notes_with(&applied, &[]), fixed);
        "Adds taxes.".clone_into(&mut order.notes);
        assert_eq!(
            order.notes_with(&applied, &[]),
            format!("Adds taxes.\n\n{fixed}")
        );
        assert_eq!(order.notes_with(&[], &[]), "Adds taxes.");
    }

    /// A delta, its names as long as they get: of a project with the longest name and number.
    fn delta(app: &str, from: &Version, version: &Version, name: &str) -> Delta {
        let digest = Digest::of(name.as_bytes());
        assert!(name.starts_with(&format!("{app}-{from}-{version}")));
        Delta {
            from: from.clone(),
            base: digest,
            artifact: Artifact {
                blob: artifact_key(ProjectId(u32::MAX), &digest, name),
                digest,
                length: u64::MAX,
            },
        }
    }

    #[test]
    fn a_build_of_every_supported_version_and_platform_is_far_below_what_is_taken() {
        let app = "x".repeat(40);
        let version = Version::new(1_000_000, 1_000_000, 1_000_000);
        let older = (0..SUPPORTED_VERSIONS_MAX as u64)
            .map(|it| Version::new(1_000_000, 999_999, 999_979 + it));
        let older: Vec<Version> = older.collect();
        let kinds = [
            PlatformKind::AppImage {
                arch: crate::config::Arch::X86_64,
            },
            PlatformKind::WindowsInstaller,
        ];
        let key = |name: &str| artifact_key(ProjectId(u32::MAX), &Digest::of(b"x"), name);
        let of_kind = |kind: PlatformKind| {
            let app = &app;
            older.iter().map(move |from| PlatformBase {
                version: from.clone(),
                kind,
                blob: key(&kind.file_name(app, from)),
            })
        };
        let bases = older.iter();
        let order = BuildOrder {
            delta_bases: bases
                .map(|from| (from.clone(), key(&package_name(&app, from))))
                .collect(),
            platform_bases: kinds.into_iter().flat_map(of_kind).collect(),
            ..order_of(version.clone())
        };
        let length = |value: Vec<u8>| value.len();
        // The record of a job in DynamoDB has 400 KB, with its configuration, its fixes and its report.
        let bytes = length(serde_json::to_vec(&order).unwrap());
        assert!(bytes < 16 * 1024, "{bytes}");
        let of_platform = |kind: PlatformKind| PlatformPackage {
            kind,
            artifact: delta(
                &app,
                &version,
                &version,
                &format!("{app}-{version}-{version}"),
            )
            .artifact,
            deltas: older
                .iter()
                .map(|from| delta(&app, from, &version, &kind.delta_name(&app, from, &version)))
                .collect(),
        };
        let deltas = older.iter();
        let deltas =
            deltas.map(|from| delta(&app, from, &version, &delta_name(&app, from, &version)));
        let built = (deltas.collect::<Vec<_>>(), kinds.map(of_platform));
        let bytes = length(serde_json::to_vec(&built).unwrap());
        assert!(bytes < 40 * 1024, "{bytes}");
    }
}
