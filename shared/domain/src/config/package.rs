//! `[package]`: what goes into a package, and which other forms it is made in (ledger E9). How they are made is in the build engine.

use super::is_inside;
use crate::digest::Digest;
use crate::limits::SUPPORTED_VERSIONS_MAX;
use crate::platform::PlatformKind;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Longest name, publisher or category, characters.
const TEXT_CHARS_MAX: usize = 80;

/// What goes into a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageRules {
    /// Files and folders, relative to the product's root.
    pub include: Vec<String>,
    /// A file that holds the version: written before the tests and the build.
    #[serde(default)]
    pub version_file: Option<String>,
    /// So many of the newest published versions of a channel are supported, 1 to [`SUPPORTED_VERSIONS_MAX`]: a delta is made from each of them.
    #[serde(default = "supported_versions")]
    pub supported_versions: usize,
    /// Whether the package is made as a zip file too, for people who unpack it by hand.
    #[serde(default)]
    pub zip: bool,
    /// A folder of the package that is a browser extension, zipped as stores take it. Empty: none.
    #[serde(default)]
    pub extension: String,
    /// How the package is made as an `AppImage` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appimage: Option<AppImageRules>,
    /// How the package is made as an installer for Windows too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<WindowsRules>,
}

/// A processor that an `AppImage` is for, by the names that `AppImage` files have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// 64 bits of Intel and AMD.
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64 bits of Arm.
    Aarch64,
}

impl Arch {
    /// Its name in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Its number in ELF files (`e_machine` of the System V ABI).
    pub fn elf_machine(self) -> u16 {
        match self {
            Self::X86_64 => 62,
            Self::Aarch64 => 183,
        }
    }
}

/// An `AppImage`: one file that people make executable and start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppImageRules {
    /// The type-2 runtime in the product: the program that comes first in the file and mounts the rest.
    pub runtime: String,
    /// The digest that the runtime must have.
    pub runtime_sha256: Digest,
    /// Program and arguments that are started; `{app}` is the folder of the package's files.
    pub command: Vec<String>,
    /// The icon in the product, PNG or SVG.
    pub icon: String,
    /// What people call the product; its name when it is not set.
    #[serde(default)]
    pub name: String,
    /// What menus sort it under: names of the Desktop Menu Specification.
    #[serde(default = "utility")]
    pub categories: Vec<String>,
    /// Whether it needs a terminal.
    #[serde(default)]
    pub terminal: bool,
    /// The processor that it is for.
    #[serde(default)]
    pub arch: Arch,
}

/// An installer for Windows, for one user, made by NSIS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowsRules {
    /// The program of the package that the start menu starts.
    pub program: String,
    /// Who publishes it.
    pub publisher: String,
    /// What people call the product; its name when it is not set.
    #[serde(default)]
    pub name: String,
    /// An icon in the product (`.ico`). Empty: that of NSIS.
    #[serde(default)]
    pub icon: String,
    /// Whether it is signed (Authenticode). Then there is none without the project's certificate.
    #[serde(default = "yes")]
    pub sign: bool,
    /// The address of a time-stamping authority (RFC 3161), so that signatures outlast the certificate. Empty: none.
    #[serde(default)]
    pub timestamp_url: String,
}

fn supported_versions() -> usize {
    5
}

fn utility() -> Vec<String> {
    vec!["Utility".to_owned()]
}

fn yes() -> bool {
    true
}

impl PackageRules {
    /// The forms besides the package that are for one platform.
    pub fn platforms(&self) -> Vec<PlatformKind> {
        let appimage = self.appimage.as_ref();
        let appimage = appimage.map(|rules| PlatformKind::AppImage { arch: rules.arch });
        let windows = self
            .windows
            .as_ref()
            .map(|_| PlatformKind::WindowsInstaller);
        appimage.into_iter().chain(windows).collect()
    }

    /// What no type can say. Answers with the key and what was expected.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.include.is_empty() {
            let found = "expected at least one path, found none";
            return Err(("package.include", found.into()));
        }
        if !(1..=SUPPORTED_VERSIONS_MAX).contains(&self.supported_versions) {
            let found = format!(
                "expected 1 to {SUPPORTED_VERSIONS_MAX}, as many as a channel lists, found {}",
                self.supported_versions
            );
            return Err(("package.supported_versions", found));
        }
        let one = |key, path| std::iter::once((key, path));
        let extension = (!self.extension.is_empty()).then_some(&self.extension);
        let mut paths: Vec<(&'static str, &String)> = Vec::new();
        paths.extend(self.include.iter().map(|path| ("package.include", path)));
        paths.extend(
            self.version_file
                .iter()
                .map(|path| ("package.version_file", path)),
        );
        paths.extend(extension.map(|path| ("package.extension", path)));
        if let Some(rules) = &self.appimage {
            paths.extend(one("package.appimage.runtime", &rules.runtime));
            paths.extend(one("package.appimage.icon", &rules.icon));
        }
        if let Some(rules) = &self.windows {
            paths.extend(one("package.windows.program", &rules.program));
            paths.extend((!rules.icon.is_empty()).then_some(("package.windows.icon", &rules.icon)));
        }
        for (key, path) in paths {
            if !is_inside(path) {
                let found = format!("expected a path inside the product, found “{path}”");
                return Err((key, found));
            }
        }
        self.appimage
            .as_ref()
            .map_or(Ok(()), AppImageRules::check)?;
        self.windows.as_ref().map_or(Ok(()), WindowsRules::check)
    }
}

impl AppImageRules {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let ends = |end: &str| self.icon.to_ascii_lowercase().ends_with(end);
        if !ends(".png") && !ends(".svg") {
            let found = format!("expected a .png or .svg file, found “{}”", self.icon);
            return Err(("package.appimage.icon", found));
        }
        if self.command.first().is_none_or(String::is_empty)
            || self
                .command
                .iter()
                .any(|word| word.contains(char::is_control))
        {
            let found = "expected a program and its arguments without control characters";
            return Err(("package.appimage.command", found.into()));
        }
        let is_category = |it: &String| {
            !it.is_empty()
                && it.len() <= TEXT_CHARS_MAX
                && it.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if let Some(bad) = self.categories.iter().find(|it| !is_category(it)) {
            let found = format!("expected names of letters, digits and '-', found “{bad}”");
            return Err(("package.appimage.categories", found));
        }
        is_line("package.appimage.name", &self.name)
    }
}

impl WindowsRules {
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.publisher.is_empty() {
            return Err((
                "package.windows.publisher",
                "expected a name, found nothing".into(),
            ));
        }
        let icon = Path::new(&self.icon).extension();
        if !self.icon.is_empty() && icon.is_none_or(|end| !end.eq_ignore_ascii_case("ico")) {
            let found = format!("expected an .ico file, found “{}”", self.icon);
            return Err(("package.windows.icon", found));
        }
        if !self.timestamp_url.is_empty() {
            // Most authorities speak no TLS: what they answer is signed.
            let rest = self.timestamp_url.split_once("://");
            let rest = rest.filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
            let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\');
            let is_address = rest.is_some_and(|(_, rest)| {
                !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(fits)
            });
            if !is_address || !self.sign {
                let url = &self.timestamp_url;
                let found = format!(
                    "expected an http or https address, and package.windows.sign, found “{url}”"
                );
                return Err(("package.windows.timestamp_url", found));
            }
        }
        is_line("package.windows.publisher", &self.publisher)?;
        is_line("package.windows.name", &self.name)
    }
}

/// Text that stands in desktop entries, scripts and registries as it is.
fn is_line(key: &'static str, text: &str) -> Result<(), (&'static str, String)> {
    let unfit = |c: char| {
        c.is_control()
            || matches!(
                c,
                '"' | '`' | '$' | '\\' | '/' | ':' | '*' | '?' | '<' | '>' | '|'
            )
    };
    if text.chars().count() <= TEXT_CHARS_MAX && !text.contains(unfit) && text.trim() == text {
        return Ok(());
    }
    let found = format!(
        "expected at most {TEXT_CHARS_MAX} characters that file names have on every system, found “{text}”"
    );
    Err((key, found))
}

/// The name of a version's package for a platform.
impl PlatformKind {
    /// The file name of a version's package of this kind.
    pub fn file_name(self, app: &str, version: &Version) -> String {
        format!("{app}-{version}{}", self.suffix())
    }

    /// The file name of the delta from one version's package of this kind to another's.
    pub fn delta_name(self, app: &str, from: &Version, version: &Version) -> String {
        format!("{app}-{from}-{version}{}.delta", self.suffix())
    }

    fn suffix(self) -> String {
        match self {
            Self::AppImage { arch } => format!("-{}.AppImage", arch.name()),
            Self::WindowsInstaller => "-setup.exe".to_owned(),
        }
    }
}
