//! Two versions side by side: which one is higher, and what kind of update leads from one to the other (ledger E5).
//!
//! The order is that of Semantic Versioning 2.0.0, §11: build metadata does not count, and a version with a pre-release is below
//! the same version without. **What does not parse is refused; nothing is guessed.** Not here: which version a train arrives at
//! ([`crate::train::Train::version_after`]).

use semver::Version;
use serde::Serialize;
use std::cmp::Ordering;

/// Longest version that is read, bytes.
pub const VERSION_BYTES_MAX: usize = 256;

/// The word in build metadata by which numbers say that a step is a hotfix: `1.2.4+hotfix`.
const HOTFIX: &str = "hotfix";

/// What kind of step leads from one version to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateType {
    /// Down: only a signed rollback goes there.
    Downgrade,
    /// Neither is higher.
    Same,
    /// From one pre-release to the next of the same version.
    PreRelease,
    /// A patch whose build metadata says that it departed at once. Numbers alone cannot tell a hotfix from a patch.
    Hotfix,
    /// The third number.
    Patch,
    /// The second number.
    Minor,
    /// The first number.
    Major,
}

impl UpdateType {
    /// Its name in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Downgrade => "downgrade",
            Self::Same => "same",
            Self::PreRelease => "pre-release",
            Self::Hotfix => "hotfix",
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

/// A version that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("version “{text}”: {why}")]
pub struct InvalidVersion {
    /// What was given, cut to a readable length.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl InvalidVersion {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        "version.invalid"
    }
}

/// Two versions compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The version to start from.
    pub from: Version,
    /// The version to arrive at.
    pub to: Version,
    /// What kind of step it is.
    pub update: UpdateType,
    /// Whether the version to start from is a pre-release.
    pub from_pre_release: bool,
    /// Whether the version to arrive at is a pre-release.
    pub to_pre_release: bool,
    /// Why it is that kind, in one line.
    pub why: String,
}

/// Reads a version.
pub fn parse(text: &str) -> Result<Version, InvalidVersion> {
    let refuse = |why: String| InvalidVersion {
        text: text.chars().take(80).collect(),
        why,
    };
    if text.len() > VERSION_BYTES_MAX {
        let length = text.len();
        return Err(refuse(format!(
            "{length} bytes long, at most {VERSION_BYTES_MAX} are read"
        )));
    }
    let after_v = text.strip_prefix(['v', 'V']);
    if after_v.is_some_and(|rest| Version::parse(rest).is_ok()) {
        let why = "it begins with a “v”, which is the name of a tag and not of a version";
        return Err(refuse(why.to_owned()));
    }
    Version::parse(text).map_err(|error| refuse(error.to_string()))
}

/// Compares two versions.
pub fn compare(from: &Version, to: &Version) -> Comparison {
    let (update, why) = kind(from, to);
    Comparison {
        from: from.clone(),
        to: to.clone(),
        update,
        from_pre_release: !from.pre.is_empty(),
        to_pre_release: !to.pre.is_empty(),
        why,
    }
}

fn kind(from: &Version, to: &Version) -> (UpdateType, String) {
    let same_numbers = (from.major, from.minor, from.patch) == (to.major, to.minor, to.patch);
    match from.cmp_precedence(to) {
        Ordering::Equal if from.build == to.build => {
            (UpdateType::Same, "they are the same".to_owned())
        }
        Ordering::Equal => (
            UpdateType::Same,
            "they differ in build metadata only, which does not count".to_owned(),
        ),
        Ordering::Greater if same_numbers && from.pre.is_empty() => (
            UpdateType::Downgrade,
            format!("a pre-release ({}) is below its own version", to.pre),
        ),
        Ordering::Greater => (UpdateType::Downgrade, format!("{to} is below {from}")),
        Ordering::Less if same_numbers && !to.pre.is_empty() => (
            UpdateType::PreRelease,
            format!("from pre-release {} to {}", from.pre, to.pre),
        ),
        Ordering::Less => upward(from, to, same_numbers),
    }
}

/// A step up that changes numbers, or that ends the pre-releases of a version.
fn upward(from: &Version, to: &Version, same_numbers: bool) -> (UpdateType, String) {
    let base = if same_numbers {
        format!("version {to} ends its pre-releases")
    } else if to.pre.is_empty() {
        String::new()
    } else {
        format!("a pre-release ({})", to.pre)
    };
    let with = |what: &str| match (base.is_empty(), what.is_empty()) {
        (true, _) => what.to_owned(),
        (false, true) => base.clone(),
        (false, false) => format!("{what}; {base}"),
    };
    let changed =
        |first: u64, second: u64, name: &str| format!("{name} goes from {first} to {second}");
    // Between a pre-release and its version no number changes: the version's own numbers say what it is.
    let ends = |lower: &[u64]| same_numbers && lower.iter().all(|number| *number == 0);
    if from.major != to.major {
        (
            UpdateType::Major,
            with(&changed(from.major, to.major, "major")),
        )
    } else if ends(&[to.minor, to.patch]) {
        (UpdateType::Major, with(""))
    } else if from.minor != to.minor {
        (
            UpdateType::Minor,
            with(&changed(from.minor, to.minor, "minor")),
        )
    } else if ends(&[to.patch]) {
        (UpdateType::Minor, with(""))
    } else {
        let what = if same_numbers {
            String::new()
        } else {
            changed(from.patch, to.patch, "patch")
        };
        if to.build.split('.').any(|word| word == HOTFIX) {
            let said = format!("build metadata says {HOTFIX}");
            let what = if what.is_empty() {
                said
            } else {
                format!("{what}; {said}")
            };
            (UpdateType::Hotfix, with(&what))
        } else {
            (UpdateType::Patch, with(&what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn step(from: &str, to: &str) -> (UpdateType, String) {
        let found = compare(&parse(from).unwrap(), &parse(to).unwrap());
        (found.update, found.why)
    }

    #[test]
    fn every_kind_of_step_is_named_with_its_reason() {
        use UpdateType as U;
        for (from, to, update, why) in [
            ("1.2.3", "1.2.3", U::Same, "they are the same"),
            (
                "1.2.3",
                "1.2.3+7",
                U::Same,
                "they differ in build metadata only, which does not count",
            ),
            ("1.2.3", "1.2.4", U::Patch, "patch goes from 3 to 4"),
            (
                "1.2.3",
                "1.2.4+hotfix.2",
                U::Hotfix,
                "patch goes from 3 to 4; build metadata says hotfix",
            ),
            ("1.2.3", "1.3.0", U::Minor, "minor goes from 2 to 3"),
            ("1.2.3", "2.0.0", U::Major, "major goes from 1 to 2"),
            ("1.10.0", "1.9.9", U::Downgrade, "1.9.9 is below 1.10.0"),
            (
                "1.2.3",
                "1.2.3-rc.1",
                U::Downgrade,
                "a pre-release (rc.1) is below its own version",
            ),
            (
                "1.2.3-rc.2",
                "1.2.3-rc.10",
                U::PreRelease,
                "from pre-release rc.2 to rc.10",
            ),
            (
                "1.2.3-rc.2",
                "1.2.3",
                U::Patch,
                "version 1.2.3 ends its pre-releases",
            ),
            (
                "1.3.0-rc.2",
                "1.3.0",
                U::Minor,
                "version 1.3.0 ends its pre-releases",
            ),
            (
                "2.0.0-rc.2",
                "2.0.0",
                U::Major,
                "version 2.0.0 ends its pre-releases",
            ),
            (
                "1.2.3",
                "2.0.0-beta.1",
                U::Major,
                "major goes from 1 to 2; a pre-release (beta.1)",
            ),
        ] {
            assert_eq!(step(from, to), (update, why.to_owned()), "{from} → {to}");
        }
    }

    #[test]
    fn what_does_not_parse_is_refused_with_the_exact_reason() {
        let long = "1.0.0-".to_owned() + &"a".repeat(300);
        for (text, why) in [
            ("", "empty string, expected a semver version"),
            (
                "1.2",
                "unexpected end of input while parsing minor version number",
            ),
            (
                "1.2.x",
                "unexpected character 'x' while parsing patch version number",
            ),
            ("01.2.3", "invalid leading zero in major version number"),
            ("1.2.3-01", "invalid leading zero in pre-release identifier"),
            (
                "1.2.3-",
                "empty identifier segment in pre-release identifier",
            ),
            (
                "18446744073709551616.0.0",
                "value of major version number exceeds u64::MAX",
            ),
            (
                "1.2.3 ",
                "unexpected character ' ' after patch version number",
            ),
            (
                "v1.2.3",
                "it begins with a “v”, which is the name of a tag and not of a version",
            ),
            (
                "vé",
                "unexpected character 'v' while parsing major version number",
            ),
            (long.as_str(), "306 bytes long, at most 256 are read"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.why, why, "{text}");
        }
    }

    fn any_version() -> impl Strategy<Value = String> {
        let pre = prop_oneof![
            Just(""),
            Just("-a"),
            Just("-a.1"),
            Just("-rc.2"),
            Just("-1")
        ];
        let build = prop_oneof![Just(""), Just("+hotfix"), Just("+7")];
        (0..3u64, 0..3u64, 0..3u64, pre, build)
            .prop_map(|(a, b, c, pre, build)| format!("{a}.{b}.{c}{pre}{build}"))
    }

    proptest! {
        #[test]
        fn a_step_goes_up_exactly_when_its_way_back_goes_down(a in any_version(), b in any_version()) {
            let (there, back) = (step(&a, &b).0, step(&b, &a).0);
            prop_assert_eq!(there == UpdateType::Same, back == UpdateType::Same);
            if there != UpdateType::Same {
                prop_assert_ne!(there == UpdateType::Downgrade, back == UpdateType::Downgrade);
            }
        }

        #[test]
        fn nothing_that_is_given_panics(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
