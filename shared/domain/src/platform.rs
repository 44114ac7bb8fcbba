//! Packages that are for one platform: what people download and start, where the package of [`crate::job::Built::full`] is what the updater
//! installs (ledger E9). Not here: how they are made, and how a product asks for them ([`crate::config::PackageRules`]).

use crate::config::Arch;
use crate::job::{Artifact, Delta};
use semver::Version;
use serde::{Deserialize, Serialize};

/// A kind of package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PlatformKind {
    /// One file for Linux that starts the product.
    AppImage {
        /// The processor.
        arch: Arch,
    },
    /// An installer for Windows, for one user.
    WindowsInstaller,
}

/// A version's package for a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformPackage {
    /// What it is.
    pub kind: PlatformKind,
    /// The file.
    pub artifact: Artifact,
    /// Deltas from the same kind of older versions, that save a fifth at least; each was applied and compared.
    pub deltas: Vec<Delta>,
}

/// An older version's package for a platform, to make a delta from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformBase {
    /// Its version.
    pub version: Version,
    /// What it is.
    pub kind: PlatformKind,
    /// Its blob key.
    pub blob: String,
}

impl PlatformPackage {
    /// Every file of it that is stored.
    pub fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        let deltas = self.deltas.iter().map(|delta| &delta.artifact);
        std::iter::once(&self.artifact).chain(deltas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, PackageRules};

    const TEXT: &str = r#"
[product]
name = "till"
language = "python"
[test]
command = ["true"]
[health]
command = ["true"]
[package]
include = ["till"]
[package.appimage]
runtime = "packaging/runtime"
runtime_sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
command = ["python3", "-m", "till"]
icon = "packaging/till.png"
arch = "aarch64"
[package.windows]
program = "till/till.exe"
publisher = "Till GmbH"
"#;

    fn package(find: &str, replace: &str) -> Result<PackageRules, String> {
        assert!(TEXT.contains(find), "{find}");
        let config = Config::parse("k.toml", &TEXT.replace(find, replace));
        let config = config.map_err(|error| error.to_string())?;
        Ok(config.package)
    }

    #[test]
    fn each_platform_has_files_of_its_own() {
        let rules = package("till", "till").unwrap();
        let (from, version) = (Version::new(1, 0, 0), Version::new(1, 0, 1));
        let names = rules.platforms().into_iter().map(|kind| {
            let name = kind.file_name("till", &version);
            (name, kind.delta_name("till", &from, &version))
        });
        let [appimage, installer] = ["-aarch64.AppImage", "-setup.exe"].map(|end| {
            let name = format!("till-1.0.1{end}");
            (name, format!("till-1.0.0-1.0.1{end}.delta"))
        });
        assert_eq!(names.collect::<Vec<_>>(), [appimage, installer]);
        assert!(rules.windows.unwrap().sign, "unsigned only by order");
        let stamped = package(
            "GmbH\"",
            "GmbH\"\ntimestamp_url = \"http://clock.example/a?b\"",
        );
        let windows = stamped.unwrap().windows.unwrap();
        assert_eq!(windows.timestamp_url, "http://clock.example/a?b");
    }

    #[test]
    fn what_cannot_stand_in_an_entry_or_a_script_is_refused_with_its_key() {
        for (find, replace, expected) in [
            (
                "till.png",
                "till.ico",
                "k.toml:15: package.appimage.icon: expected a .png or .svg file",
            ),
            (
                "packaging/runtime",
                "../runtime",
                "k.toml:12: package.appimage.runtime: expected a path inside",
            ),
            (
                "[\"python3\", \"-m\", \"till\"]",
                "[]",
                "k.toml:14: package.appimage.command: expected a program",
            ),
            (
                "\"00000000",
                "\"0000000",
                "k.toml:13: package.appimage.runtime_sha256: ",
            ),
            (
                "Till GmbH",
                "Till $0",
                "k.toml:19: package.windows.publisher: expected at most 80 characters that",
            ),
            (
                "Till GmbH",
                "",
                "k.toml:19: package.windows.publisher: expected a name, found nothing",
            ),
            (
                "GmbH\"",
                "GmbH\"\ntimestamp_url = \"ftp://clock.example\"",
                "k.toml:20: package.windows.timestamp_url: expected an http or https address",
            ),
            (
                "GmbH\"",
                "GmbH\"\ntimestamp_url = \"http://a b\"",
                "k.toml:20: package.windows.timestamp_url: expected an http or https address",
            ),
            (
                "GmbH\"",
                "GmbH\"\nsign = false\ntimestamp_url = \"http://clock.example\"",
                "k.toml:21: package.windows.timestamp_url: expected an http or https address, and package.windows.sign",
            ),
            (
                "arch = \"aarch64\"",
                "categories = [\"A;B\"]",
                "k.toml:16: package.appimage.categories: expected names",
            ),
            (
                "arch = \"aarch64\"",
                "name = \"A\\nExec=b\"",
                "k.toml:16: package.appimage.name: expected at most 80",
            ),
        ] {
            let error = package(find, replace).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
