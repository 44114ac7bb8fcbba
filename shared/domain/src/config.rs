//! `kintsugi.toml`: what a product tells the pipeline about itself. Parsed and checked as a whole;
//! errors name line, key and what was expected.

mod alerts;
mod approval;
mod gates;
mod ingest;
mod package;
mod triage;

pub use alerts::AlertChannel;
pub use approval::{ApprovalRules, TwoPerson};
pub use gates::{GateCommand, GateRules, SCAN_FAILURE, TEST_FAILURE};
pub use ingest::IngestRules;
pub use package::{AppImageRules, Arch, PackageRules, WindowsRules};
pub use triage::TriageRules;

use crate::calendar::CalendarRules;
use crate::quota::QuotaRules;
use crate::scrub_rules::ScrubRules;
use crate::sla::SlaRules;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path};

/// A product's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who it is.
    pub product: Product,
    /// How its tests run.
    pub test: Command,
    /// How it is built before packaging, if it needs to be.
    #[serde(default)]
    pub build: Option<Command>,
    /// What a version must pass besides its tests.
    #[serde(default)]
    pub gates: GateRules,
    /// What goes into a package.
    pub package: PackageRules,
    /// How a device tells that an installed version works.
    pub health: Command,
    /// How issues are ranked.
    #[serde(default)]
    pub triage: TriageRules,
    /// How soon people are owed what of an issue.
    #[serde(default)]
    pub sla: SlaRules,
    /// What a fix may do.
    #[serde(default)]
    pub fix: FixRules,
    /// What one person alone cannot do.
    #[serde(default)]
    pub approval: ApprovalRules,
    /// Which fixes depart when.
    #[serde(default)]
    pub trains: TrainRules,
    /// When trains may depart.
    #[serde(default)]
    pub calendar: CalendarRules,
    /// How a release reaches the fleet.
    #[serde(default)]
    pub rollout: RolloutRules,
    /// What is removed from reports, beyond what always is.
    #[serde(default)]
    pub scrub: ScrubRules,
    /// How many items of each category a reporting key may send.
    #[serde(default)]
    pub quota: QuotaRules,
    /// What is kept of reports that cannot be scrubbed.
    #[serde(default)]
    pub ingest: IngestRules,
    /// Where alerts go.
    #[serde(default)]
    pub alerts: Vec<AlertChannel>,
}

/// Who a product is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Its name: letters, digits and `-`.
    pub name: String,
    /// The branch that releases are made from.
    #[serde(default = "main_branch")]
    pub branch: String,
    /// The language that fixes are searched in.
    pub language: Language,
}

/// A language that fixes can be searched in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Python 3.
    Python,
}

/// A command and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Program and arguments. `python3` is the machine's Python; `{app}` is the version's folder.
    pub command: Vec<String>,
    /// Longer is a failure, seconds.
    #[serde(default = "command_seconds")]
    pub timeout_seconds: u32,
}

/// What a fix may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FixRules {
    /// Who lets a proven fix depart.
    pub approve: Approval,
    /// Most lines a fix may add and remove.
    pub lines_max: usize,
    /// Paths that no fix may touch, as prefixes.
    pub protected: Vec<String>,
    /// Where regression tests go.
    pub tests_folder: String,
    /// Most candidates that are tried.
    pub candidates_max: usize,
}

/// Who lets a proven fix depart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// A person, always.
    Required,
    /// Nobody, where the fix corrects or guards; a person where it suppresses.
    Automatic,
}

/// Which fixes depart when (ledger E1, E2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainRules {
    /// Points for more than 100 events.
    pub frequent: u32,
    /// Points for more than 50 users.
    pub many_users: u32,
    /// Points when users cannot go on.
    pub no_workaround: u32,
    /// Points for security.
    pub security: u32,
    /// Points for performance.
    pub performance: u32,
    /// From here on a fix is critical and departs at once.
    pub hotfix_at: u32,
    /// From here on a fix is high and takes the patch train.
    pub patch_at: u32,
    /// From here on a fix is medium and takes the minor train; below, the major train.
    pub minor_at: u32,
    /// Priority of a critical issue from which its fix departs at once, whatever its own score.
    pub escalate_at: u32,
    /// So many waiting fixes are a patch.
    pub patch_fixes: usize,
    /// A fix that waits so many days is a patch.
    pub patch_days: u32,
    /// Days between minor releases.
    pub minor_days: u32,
    /// Days between major releases.
    pub major_days: u32,
    /// The channel that trains go to.
    pub channel: String,
}

/// How a release reaches the fleet (ledger G2, G3, I1, I2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutRules {
    /// The shares, in percent, each larger than the one before.
    pub steps_percent: Vec<u32>,
    /// The share that stays on the old version until the rollout is finalised, percent.
    pub holdout_percent: u32,
    /// Least time between steps, seconds.
    pub soak_seconds: u64,
    /// An install that has begun and said nothing for so long has failed, seconds.
    pub silence_seconds: u64,
    /// Results of the new version before a step.
    pub gate_installs_min: u64,
    /// Success of the new version before a step, percent.
    pub gate_success_percent: f64,
    /// How much worse than the old version the new one may be, percentage points.
    pub gate_margin_percent: f64,
    /// Chance of passing the gate with a version that is worse by the margin, percent.
    pub gate_beta_percent: f64,
    /// Chance of ever halting a version that is no worse, percent.
    pub guard_alpha_percent: f64,
    /// Halts whatever the guard says when more of the new version's installs failed, percent.
    pub backstop_failed_percent: f64,
    /// … out of at least so many.
    pub backstop_installs_min: u64,
    /// After everybody has it, a fix is effective when so long nothing came back, seconds.
    pub resolve_after_seconds: u64,
}

fn main_branch() -> String {
    "main".to_owned()
}

fn command_seconds() -> u32 {
    120
}

fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Default for FixRules {
    fn default() -> Self {
        Self {
            approve: Approval::Required,
            lines_max: 20,
            protected: list(&[".github/", ".gitlab/", "kintsugi.toml"]),
            tests_folder: "tests".to_owned(),
            candidates_max: 60,
        }
    }
}

impl Default for TrainRules {
    fn default() -> Self {
        Self {
            frequent: 30,
            many_users: 25,
            no_workaround: 20,
            security: 50,
            performance: 15,
            hotfix_at: 70,
            patch_at: 40,
            minor_at: 20,
            escalate_at: 800,
            patch_fixes: 5,
            patch_days: 7,
            minor_days: 21,
            major_days: 120,
            channel: "stable".to_owned(),
        }
    }
}

impl Default for RolloutRules {
    fn default() -> Self {
        Self {
            steps_percent: vec![1, 5, 25, 50, 95],
            holdout_percent: 5,
            soak_seconds: 3_600,
            silence_seconds: 900,
            gate_installs_min: 100,
            gate_success_percent: 98.0,
            gate_margin_percent: 2.0,
            gate_beta_percent: 5.0,
            guard_alpha_percent: 1.0,
            backstop_failed_percent: 10.0,
            backstop_installs_min: 20,
            resolve_after_seconds: 7 * 24 * 3_600,
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {key}: {expected}")]
pub struct ConfigError {
    /// The file, as the caller names it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The key, dotted; empty when the text is not TOML.
    pub key: String,
    /// What was expected, and what was found.
    pub expected: String,
}

impl Config {
    /// Reads and checks a configuration. `file` is only for the error.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            ConfigError {
                file: file.to_owned(),
                line: line_at(text, start),
                key: key_at(text, start),
                expected: error.message().trim().replace('\n', "; "),
            }
        })?;
        match config.check() {
            Ok(()) => Ok(config),
            Err((key, expected)) => Err(ConfigError {
                file: file.to_owned(),
                line: line_of(text, key),
                key: key.to_owned(),
                expected,
            }),
        }
    }

    /// What no type can say. Answers with the key and what was expected.
    fn check(&self) -> Result<(), (&'static str, String)> {
        // Both become parts of file names and addresses.
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        for (key, name) in [
            ("product.name", &self.product.name),
            ("trains.channel", &self.trains.channel),
        ] {
            if name.is_empty() || name.len() > 40 || !name.bytes().all(fits) {
                let found = format!("expected 1 to 40 of a-z, 0-9 and '-', found “{name}”");
                return Err((key, found));
            }
        }
        for (key, command) in [
            ("test.command", &self.test),
            ("health.command", &self.health),
        ] {
            if command.command.is_empty() {
                return Err((
                    key,
                    "expected a program and its arguments, found nothing".into(),
                ));
            }
        }
        self.package.check()?;
        let manifest = Some(&self.gates.manifest).filter(|it| !it.is_empty());
        if let Some(path) = manifest.filter(|path| !is_inside(path)) {
            let found = format!("expected a path inside the product, found “{path}”");
            return Err(("gates.manifest", found));
        }
        self.scrub.check()?;
        self.calendar.check()?;
        self.sla.check()?;
        self.check_rollout()
    }

    fn check_rollout(&self) -> Result<(), (&'static str, String)> {
        let rules = &self.rollout;
        let rising = rules
            .steps_percent
            .windows(2)
            .all(|pair| pair.first() < pair.last());
        let within = rules
            .steps_percent
            .iter()
            .all(|percent| (1..=100).contains(percent));
        if rules.steps_percent.is_empty() || !rising || !within {
            let found = &rules.steps_percent;
            return Err((
                "rollout.steps_percent",
                format!("expected rising percentages from 1 to 100, found {found:?}"),
            ));
        }
        if rules.holdout_percent > 50 {
            let found = rules.holdout_percent;
            return Err((
                "rollout.holdout_percent",
                format!("expected 0 to 50, found {found}"),
            ));
        }
        let percentages = [
            ("rollout.gate_success_percent", rules.gate_success_percent),
            ("rollout.gate_margin_percent", rules.gate_margin_percent),
            ("rollout.gate_beta_percent", rules.gate_beta_percent),
            ("rollout.guard_alpha_percent", rules.guard_alpha_percent),
            (
                "rollout.backstop_failed_percent",
                rules.backstop_failed_percent,
            ),
        ];
        for (key, percent) in percentages {
            if !(percent > 0.0 && percent <= 100.0) {
                return Err((
                    key,
                    format!("expected more than 0, at most 100, found {percent}"),
                ));
            }
        }
        Ok(())
    }
}

/// Whether a path stays inside the folder it is relative to.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// The line of a byte, from 1.
pub(crate) fn line_at(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
}

/// The dotted key whose value stands at a byte, as far as the text tells.
pub(crate) fn key_at(text: &str, byte: usize) -> String {
    let line = line_at(text, byte);
    let mut table = String::new();
    for (number, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if let Some(name) = content.strip_prefix('[') {
            name.trim_matches(|c| c == '[' || c == ']')
                .clone_into(&mut table);
        }
        if number == line {
            let key = content.split('=').next().unwrap_or_default().trim();
            return match (table.is_empty(), content.starts_with('[')) {
                (_, true) => table,
                (true, false) => key.to_owned(),
                (false, false) => format!("{table}.{key}"),
            };
        }
    }
    table
}

/// The line where a dotted key is set, or that of its table, or 1.
pub(crate) fn line_of(text: &str, key: &str) -> usize {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    let mut inside = table.is_empty();
    let mut found = 1;
    for (number, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if let Some(header) = content.strip_prefix('[') {
            inside = header.trim_matches(|c| c == '[' || c == ']') == table;
            if inside {
                found = number;
            }
        } else if inside && content.split('=').next().map(str::trim) == Some(name) {
            return number;
        }
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::limits::SUPPORTED_VERSIONS_MAX;

    pub(crate) const GOOD: &str = r#"
[product]
name = "till"
language = "python"

[test]
command = ["python3", "-m", "unittest"]

[package]
include = ["till"]

[health]
command = ["python3", "-m", "till", "health"]

[rollout]
steps_percent = [10, 50]
"#;

    #[test]
    fn a_short_configuration_is_enough() {
        let config = Config::parse("kintsugi.toml", GOOD).unwrap();
        assert_eq!(config.product.branch, "main");
        assert_eq!(config.rollout.steps_percent, [10, 50]);
        assert_eq!(config.trains, TrainRules::default());
    }

    #[test]
    fn errors_name_file_line_key_and_what_was_expected() {
        for (find, replace, message) in [
            (
                "[10, 50]",
                "[50, 10]",
                "k.toml:16: rollout.steps_percent: expected rising percentages from 1 to 100, found [50, 10]",
            ),
            (
                "[10, 50]",
                "7",
                "k.toml:16: rollout.steps_percent: invalid type: integer `7`, expected a sequence",
            ),
            (
                "language = \"python\"",
                "language = \"cobol\"",
                "k.toml:4: product.language: unknown variant `cobol`, expected `python`",
            ),
            (
                "include = [\"till\"]",
                "include = [\"../up\"]",
                "k.toml:10: package.include: expected a path inside the product, found “../up”",
            ),
            (
                "name = \"till\"",
                "name = \"Till!\"",
                "k.toml:3: product.name: expected 1 to 40 of a-z, 0-9 and '-', found “Till!”",
            ),
        ] {
            let text = GOOD.replace(find, replace);
            let error = Config::parse("k.toml", &text).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_project_supports_five_versions_or_as_many_as_a_channel_lists() {
        let config = Config::parse("k.toml", GOOD).unwrap();
        assert_eq!(config.package.supported_versions, 5);
        let with = |count: &str| {
            let line = format!("include = [\"till\"]\nsupported_versions = {count}");
            let config = Config::parse("k.toml", &GOOD.replace("include = [\"till\"]", &line));
            config.map(|it| it.package.supported_versions)
        };
        for count in [1, SUPPORTED_VERSIONS_MAX] {
            assert_eq!(with(&count.to_string()), Ok(count));
        }
        for (count, found) in [
            ("0", "expected 1 to 20, as many as a channel lists, found 0"),
            (
                "21",
                "expected 1 to 20, as many as a channel lists, found 21",
            ),
            ("-1", "invalid value: integer `-1`, expected usize"),
            ("\"all\"", "invalid type: string \"all\", expected usize"),
        ] {
            let message = format!("k.toml:11: package.supported_versions: {found}");
            assert_eq!(with(count).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let text = GOOD.replace("[rollout]", "[rollout]\nsteps = 3");
        let error = Config::parse("k.toml", &text).unwrap_err();
        assert_eq!((error.line, error.key.as_str()), (16, "rollout.steps"));
        assert!(
            error.expected.starts_with("unknown field `steps`"),
            "{error}"
        );
    }
}
