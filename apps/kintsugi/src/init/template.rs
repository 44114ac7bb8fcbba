//! The text of a fresh `kintsugi.toml`: every key with its comment, and its default where it may stay
//! away.
//!
//! Values are printed from the types of `kintsugi_domain::config`, so they cannot disagree with what the
//! pipeline does. A line `#key = value` shows a default; prose has a space after the `#`.

use super::guess::Guess;
use kintsugi_domain::calendar::CalendarRules;
use kintsugi_domain::config::{
    AlertChannel, ApprovalRules, Command, Config, FixRules, GateRules, IngestRules, Language,
    PackageRules, Product, RolloutRules, TrainRules, TriageRules,
};
use kintsugi_domain::quota::QuotaRules;
use kintsugi_domain::scrub_rules::ScrubRules;
use kintsugi_domain::sla::SlaRules;
use std::fmt::Write as _;
use toml::{Table, Value};

/// The default of `timeout_seconds`.
const COMMAND_SECONDS: u32 = 120;

/// A table of the file.
struct Section {
    name: &'static str,
    about: &'static str,
    /// Each key, and what it means.
    keys: &'static [(&'static str, &'static str)],
}

const TIMEOUT: (&str, &str) = ("timeout_seconds", "Longer is a failure, seconds.");

const SECTIONS: &[Section] = &[
    Section {
        name: "product",
        about: "Who the product is.",
        keys: &[
            ("name", "1 to 40 of a-z, 0-9 and '-'."),
            ("branch", "The branch that releases are made from."),
            (
                "language",
                "The language that fixes are searched in: \"python\".",
            ),
        ],
    },
    Section {
        name: "test",
        about: "How its tests run, in a sandbox without a network. A fix that fails them is never released.",
        keys: &[
            (
                "command",
                "Program and arguments, run in the product's root.",
            ),
            TIMEOUT,
        ],
    },
    Section {
        name: "build",
        about: "How it is built before packaging, if it needs to be; in the same sandbox.",
        keys: &[("command", "Program and arguments."), TIMEOUT],
    },
    Section {
        name: "gates",
        about: "What a version must pass besides its tests, in the same sandbox: program and arguments each, none if empty.",
        keys: &[
            (
                "audit",
                "Looks for known faults in what the product depends on.",
            ),
            ("static_checks", "Reads the source for faults."),
            ("unit", "Tests of single parts."),
            ("integration", "Tests of parts together."),
            ("e2e", "Tests of the product as a whole."),
            (
                "manifest",
                "A browser extension's manifest.json: a patch may not ask for more than the version before.",
            ),
            TIMEOUT,
        ],
    },
    Section {
        name: "package",
        about: "What devices install.",
        keys: &[
            (
                "include",
                "Files and folders, relative to the product's root.",
            ),
            (
                "version_file",
                "A file that holds the version; written before the tests and the build.",
            ),
            (
                "supported_versions",
                "So many of the newest published versions get a delta to each new one, 1 to 20.",
            ),
            (
                "zip",
                "Whether it is made as a zip file too, for people who unpack it by hand.",
            ),
            (
                "extension",
                "A folder of it that is a browser extension, zipped as stores take it.",
            ),
        ],
    },
    Section {
        name: "health",
        about: "How a device tells that an installed version works: exit code 0. When it fails, the updater goes\n# back to the version before. A check that goes through the product's main parts is worth the most.",
        keys: &[
            (
                "command",
                "Program and arguments, run in the version's folder; {app} stands for that folder.",
            ),
            TIMEOUT,
        ],
    },
    Section {
        name: "triage",
        about: "How issues are ranked. Words are matched in lowercase.",
        keys: &[
            (
                "core_features",
                "Modules or functions that the product cannot do without.",
            ),
            ("critical_words", "Words of critical severity."),
            ("high_words", "Words of high severity."),
            ("security_words", "Words that mean a security impact."),
            ("data_loss_words", "Words that mean a loss of data."),
            ("performance_words", "Words that mean a performance impact."),
            ("blocking_words", "Words that mean that users cannot go on."),
            (
                "fleet",
                "Devices or users of the product, for shares; 0 when unknown.",
            ),
        ],
    },
    Section {
        name: "sla",
        about: "How soon people are owed a response to an issue, and a version without it. 0: nothing is promised.",
        keys: &[
            ("critical", "Of critical issues, hours."),
            ("high", "Of high ones."),
            ("medium", "Of medium ones."),
            ("low", "Of low ones."),
        ],
    },
    Section {
        name: "fix",
        about: "What a fix may do.",
        keys: &[
            (
                "approve",
                "Who lets a proven fix depart: \"required\" (a person, always), or \"automatic\" (nobody, but a\n# person where the fix only hides the defect).",
            ),
            ("lines_max", "Most lines a fix may add and remove."),
            ("protected", "Paths that no fix may touch, as prefixes."),
            ("tests_folder", "Where regression tests go."),
            (
                "candidates_max",
                "Most candidates that are tried for one issue.",
            ),
        ],
    },
    Section {
        name: "approval",
        about: "What one person alone cannot do: it waits a day for a second one. Stopping harm never waits.",
        keys: &[(
            "two_person",
            "Of release.order, rollout.resume, fix.approve, flag.put, project.configure, key.add and key.remove. In\n# production: [\"release.order\", \"rollout.resume\", \"project.configure\"].",
        )],
    },
    Section {
        name: "trains",
        about: "Which fixes depart when. A fix collects points; its points choose its train.",
        keys: &[
            ("frequent", "Points for more than 100 events."),
            ("many_users", "Points for more than 50 users."),
            (
                "no_workaround",
                "Points when users cannot go on, as after a crash.",
            ),
            ("security", "Points for a security impact."),
            ("performance", "Points for a performance impact."),
            ("hotfix_at", "From so many points on a fix departs at once."),
            (
                "patch_at",
                "From so many points on it takes the patch train.",
            ),
            (
                "minor_at",
                "From so many points on it takes the minor train; below, the major train.",
            ),
            (
                "escalate_at",
                "Priority of a critical issue, 0 to 1000, from which its fix departs at once whatever its points.",
            ),
            ("patch_fixes", "So many waiting fixes are a patch."),
            ("patch_days", "A fix that waits so many days is a patch."),
            ("minor_days", "Days between minor releases."),
            ("major_days", "Days between major releases."),
            ("channel", "The channel that trains go to."),
        ],
    },
    Section {
        name: "calendar",
        about: "When trains may depart. A freeze wins, and never stops a rollback. Windows recur by rules of RFC 5545:\n# [[calendar.freeze]] or [[calendar.maintenance]] with name = \"...\", start = \"2026-12-18T18:00\", length = \"P14D\"\n# and perhaps rule = \"FREQ=YEARLY\".",
        keys: &[
            (
                "time_zone",
                "The time zone of holidays, and of windows that name none.",
            ),
            (
                "hotfixes_pass",
                "Whether a hotfix departs in a freeze and on a holiday.",
            ),
            (
                "holidays",
                "Days on which nothing departs: [\"2026-12-25\"].",
            ),
            ("freeze", "Windows in which nothing departs."),
            (
                "maintenance",
                "If there are any, the only windows in which patch, minor and major trains depart.",
            ),
        ],
    },
    Section {
        name: "rollout",
        about: "How a release reaches the fleet.",
        keys: &[
            (
                "steps_percent",
                "The shares, percent, each larger than the one before.",
            ),
            (
                "holdout_percent",
                "The share that stays on the old version until the end, to compare with, percent.",
            ),
            ("soak_seconds", "Least time between steps, seconds."),
            (
                "silence_seconds",
                "An install that has begun and said nothing for so long has failed, seconds.",
            ),
            (
                "gate_installs_min",
                "Results of the new version before a step.",
            ),
            (
                "gate_success_percent",
                "Success of the new version before a step, percent.",
            ),
            (
                "gate_margin_percent",
                "How much worse than the old version the new one may be, percentage points.",
            ),
            (
                "gate_beta_percent",
                "Chance of passing the gate with a version that is worse by the margin, percent.",
            ),
            (
                "guard_alpha_percent",
                "Chance of ever halting a version that is no worse, percent.",
            ),
            (
                "backstop_failed_percent",
                "Whatever the guard says, more failed installs of the new version halt it, percent …",
            ),
            ("backstop_installs_min", "… out of at least so many."),
            (
                "resolve_after_seconds",
                "After everybody has it, a fix is effective when nothing came back for so long, seconds.",
            ),
        ],
    },
    Section {
        name: "scrub",
        about: "What is removed from reports before they are stored, beyond what always is. Try it with: kintsugi scrub",
        keys: &[
            (
                "off",
                "Built-in rules that are switched off, such as \"ip\".",
            ),
            (
                "secret_names",
                "Further names whose values are secret; customer_ref also stands for customerRef.",
            ),
            (
                "safe_names",
                "Names whose values are no secrets although they sound so.",
            ),
            ("allow", "Values that may stay, exactly as written."),
            (
                "patterns",
                "Further things to remove: {name = \"member\", pattern = '\\bM-\\d{6}\\b'} leaves [member].",
            ),
        ],
    },
    Section {
        name: "quota",
        about: "How many items a reporting key may send; what is beyond is refused, counted, and told to the client",
        keys: &[
            (
                "per_minute",
                "Items a minute of each category that is not named below; so many may come at once.",
            ),
            (
                "categories",
                "Items a minute by category, such as {error = 6000, transaction = 600, session = 0}.",
            ),
        ],
    },
    Section {
        name: "ingest",
        about: "What is kept of reports beyond what always is",
        keys: &[(
            "keep_binary_attachments",
            "Whether attachments that are no text are kept, such as screenshots: nobody can scrub them.",
        )],
    },
];

const ALERTS: &[(&str, &str)] = &[
    ("kind", "\"webhook\": a POST with the alert as JSON."),
    ("url", "Where to, http:// or https://."),
];

/// The text for a product.
pub(super) fn text(guess: &Guess) -> String {
    let shown = Table::try_from(example(guess)).unwrap_or_default();
    let mut text = "\
# How Kintsugi takes care of this product. Try it with: kintsugi check
#
# Lines such as #key = value show defaults; take the # away to change them.
"
    .to_owned();
    for section in SECTIONS {
        let mark = if section.name == "build" { "#" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "\n# {}\n{mark}[{}]\n", section.about, section.name);
        let values = shown.get(section.name).and_then(Value::as_table);
        for (key, about) in section.keys {
            let mark = if is_live(guess, section.name, key) {
                ""
            } else {
                "#"
            };
            line(
                &mut text,
                mark,
                key,
                about,
                values.and_then(|it| it.get(*key)),
            );
        }
    }
    text.push_str("\n# Where alerts go; one such table for each place.\n#[[alerts]]\n");
    let first = shown.get("alerts").and_then(Value::as_array);
    let first = first
        .and_then(|list| list.first())
        .and_then(Value::as_table);
    for (key, about) in ALERTS {
        line(
            &mut text,
            "#",
            key,
            about,
            first.and_then(|it| it.get(*key)),
        );
    }
    text
}

fn line(text: &mut String, mark: &str, key: &str, about: &str, value: Option<&Value>) {
    if let Some(value) = value {
        // Writing to a string cannot fail.
        let _ = write!(text, "# {about}\n{mark}{key} = {value}\n");
    }
}

/// Whether a key says something that is no default.
fn is_live(guess: &Guess, section: &str, key: &str) -> bool {
    match (section, key) {
        ("product", _) | ("test" | "health", "command") | ("package", "include") => true,
        ("package", "version_file") => guess.version_file.is_some(),
        ("fix", "tests_folder") => guess.tests_folder != FixRules::default().tests_folder,
        _ => false,
    }
}

/// Every key with a value: the guess, the default, or an example.
fn example(guess: &Guess) -> Config {
    let command = |command: &[String]| Command {
        command: command.to_vec(),
        timeout_seconds: COMMAND_SECONDS,
    };
    let version_file = guess.version_file.as_deref().unwrap_or("VERSION");
    Config {
        product: Product {
            name: guess.name.clone(),
            branch: guess.branch.clone(),
            language: Language::Python,
        },
        test: command(&guess.test),
        build: Some(command(&["make".to_owned()])),
        gates: GateRules::default(),
        package: PackageRules {
            include: guess.include.clone(),
            version_file: Some(version_file.to_owned()),
            supported_versions: 5,
            zip: false,
            extension: String::new(),
            appimage: None,
            windows: None,
        },
        health: command(&guess.health),
        triage: TriageRules::default(),
        sla: SlaRules::default(),
        fix: FixRules {
            tests_folder: guess.tests_folder.clone(),
            ..FixRules::default()
        },
        approval: ApprovalRules::default(),
        trains: TrainRules::default(),
        calendar: CalendarRules::default(),
        rollout: RolloutRules::default(),
        scrub: ScrubRules::default(),
        quota: QuotaRules::default(),
        ingest: IngestRules::default(),
        alerts: vec![AlertChannel::Webhook {
            url: "https://chat.example.com/hooks/releases".to_owned(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess() -> Guess {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect();
        Guess {
            name: "till".to_owned(),
            branch: "trunk".to_owned(),
            has_python: true,
            test: words("python3 -m pytest -q"),
            tests_folder: "tests".to_owned(),
            include: words("till"),
            version_file: None,
            health: words("python3 -m till --help"),
        }
    }

    /// Every key in the form `section.key`.
    fn keys(config: &Config) -> Vec<String> {
        let table = Table::try_from(config).unwrap();
        let mut keys = Vec::new();
        for (section, value) in table {
            let inner = value.as_array().map_or(&value, |list| &list[0]);
            let inner = inner.as_table().unwrap();
            keys.extend(inner.keys().map(|key| format!("{section}.{key}")));
        }
        keys
    }

    #[test]
    fn every_key_of_the_configuration_is_there_with_a_comment() {
        let text = text(&guess());
        let mut section = String::new();
        let mut before = String::new();
        let mut seen = Vec::new();
        for line in text.lines() {
            let bare = line.trim_start_matches('#');
            if bare.starts_with('[') {
                section = bare.trim_matches(['[', ']']).to_owned();
            } else if let Some((key, _)) = bare.split_once(" = ")
                && !line.starts_with("# ")
            {
                assert!(before.starts_with("# "), "{line} has no comment");
                seen.push(format!("{section}.{key}"));
            }
            line.clone_into(&mut before);
        }
        let (mut seen, mut expected) = (seen, keys(&example(&guess())));
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_is_written_means_the_defaults() {
        let config = Config::parse("kintsugi.toml", &text(&guess())).unwrap();
        let mut expected = example(&guess());
        expected.build = None;
        expected.alerts.clear();
        expected.package.version_file = None;
        assert_eq!(config, expected);
    }

    #[test]
    fn the_defaults_that_are_shown_are_the_defaults() {
        let mut all = String::new();
        for line in text(&guess()).lines() {
            let bare = line.strip_prefix('#').filter(|bare| !bare.starts_with(' '));
            all.push_str(bare.unwrap_or(line));
            all.push('\n');
        }
        let config = Config::parse("kintsugi.toml", &all).unwrap();
        assert_eq!(config, example(&guess()));
    }
}
