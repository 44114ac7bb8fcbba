//! Packages for platforms: an `AppImage` for Linux and an installer for Windows, from the files of the package (ledger E9).
//!
//! The tools are programs of the machine (`mksquashfs`, `makensis`, `osslsigncode`); they run in the box as product code does, because they
//! read what the product made. **Invariants: the same files, order and tools give the same bytes; every delta that is reported was applied
//! and gave exactly the file; one older file is in memory at a time; no key and no passphrase is an argument, a variable or a word of any report.** What the machine lacks is an
//! error of the machine and blames no product. Not here: the package that the updater installs ([`crate::package`]).

mod appimage;
mod authenticode;
mod windows;

pub use authenticode::CodeSigning;

use crate::build::OrFailure;
use crate::depot::Depot;
use crate::needs::PROGRAM_FOLDERS;
use crate::package::{self, Blob, Files};
use crate::tree::{Node, Tree};
use crate::workshop::Workshop;
use kintsugi_domain::config::Config;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::job::{BuildOrder, Delta, Failure, Gate, Job};
use kintsugi_domain::platform::{PlatformKind, PlatformPackage};
use kintsugi_domain::ports::PortError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The stable code of a program that the machine lacks.
const TOOL_MISSING: &str = "TOOL_MISSING";
/// The stable code of a project without the certificate that its configuration asks for.
const CODE_SIGNING_MISSING: &str = "CODE_SIGNING_MISSING";

/// Everything for platforms that is stored.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) packages: Vec<PlatformPackage>,
    /// What became of each delta.
    pub(crate) gates: Vec<Gate>,
    pub(crate) blobs: Vec<Blob>,
}

/// What a package is made from.
pub(crate) struct Input<'a> {
    pub(crate) workshop: &'a Workshop<'a>,
    /// What the build left.
    pub(crate) product: &'a Tree,
    /// The files of the package.
    pub(crate) files: &'a Files,
    pub(crate) config: &'a Config,
    pub(crate) order: &'a BuildOrder,
}

/// Why there is no package.
pub(crate) enum Unmade {
    /// The product's fault.
    Product(String),
    /// The machine's.
    Machine(PortError),
}

impl From<PortError> for Unmade {
    fn from(error: PortError) -> Self {
        Self::Machine(error)
    }
}

/// The programs that a product's packages need: the key that asks, the program, the Debian package that has it.
pub(crate) fn tools(
    config: &Config,
) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let package = &config.package;
    let appimage = package.appimage.is_some();
    let windows = package.windows.as_ref();
    let tools = [
        (
            appimage,
            ("package.appimage", "mksquashfs", "squashfs-tools"),
        ),
        (windows.is_some(), ("package.windows", "makensis", "nsis")),
        (
            windows.is_some_and(|rules| rules.sign),
            ("package.windows", "osslsigncode", "osslsigncode"),
        ),
    ];
    tools
        .into_iter()
        .filter_map(|(is_asked_for, tool)| is_asked_for.then_some(tool))
}

/// Whether this machine can make what a job asks for; before anything else is done, because a build is long.
pub(crate) fn check(job: &Job, signing: Option<&CodeSigning>) -> Result<(), PortError> {
    for (key, program, package) in tools(&job.config) {
        need(key, program, package)?;
    }
    let windows = job.config.package.windows.as_ref();
    if windows.is_some_and(|rules| rules.sign) {
        certificate(job.project, signing)?;
    }
    Ok(())
}

fn need(key: &str, program: &str, package: &str) -> Result<(), PortError> {
    let mut folders = PROGRAM_FOLDERS.iter();
    if folders.any(|folder| Path::new(folder).join(program).is_file()) {
        return Ok(());
    }
    let why = format!(
        "{TOOL_MISSING}: the program {program} is missing on this machine; install the Debian package {package}"
    );
    Err(PortError::broken(key, why))
}

/// The files of a project's certificate and key.
fn certificate(
    project: ProjectId,
    signing: Option<&CodeSigning>,
) -> Result<authenticode::Files, PortError> {
    let files = match signing {
        Some(signing) => signing.files(project),
        None => Err("KINTSUGI_CODE_SIGNING names no folder".to_owned()),
    };
    files.map_err(|why| {
        let why = format!(
            "{CODE_SIGNING_MISSING}: {why}; give the certificate, or set package.windows.sign to false"
        );
        PortError::broken("package.windows.sign", why)
    })
}

/// Makes every package that the configuration asks for.
pub(crate) fn make(
    input: &Input<'_>,
    project: ProjectId,
    signing: Option<&CodeSigning>,
    depot: &Depot,
) -> OrFailure<Made> {
    let mut made = Made::default();
    for kind in input.config.package.platforms() {
        let (key, content) = match kind {
            PlatformKind::AppImage { .. } => ("package.appimage", appimage::make(input)),
            PlatformKind::WindowsInstaller => {
                let files = sign(input).then(|| certificate(project, signing));
                let files = files.transpose()?;
                let signed = files
                    .as_ref()
                    .map(|files| |program: Vec<u8>| authenticode::sign(input, files, program));
                let signed = signed.as_ref().map(|sign| sign as windows::Signing<'_>);
                let installer = windows::make(input, signed);
                ("package.windows", installer)
            }
        };
        let content = match content {
            Ok(content) => content,
            Err(Unmade::Machine(error)) => return Err(error),
            Err(Unmade::Product(why)) => {
                return Ok(Err(Failure {
                    code: "BUILD_FAILURE".to_owned(),
                    why: format!("{key}: {why}"),
                }));
            }
        };
        made.add(input, project, kind, content, depot)?;
    }
    Ok(Ok(made))
}

fn sign(input: &Input<'_>) -> bool {
    let rules = input.config.package.windows.as_ref();
    rules.is_some_and(|rules| rules.sign)
}

impl Made {
    /// Takes a package, with the deltas that are worth it.
    fn add(
        &mut self,
        input: &Input<'_>,
        project: ProjectId,
        kind: PlatformKind,
        content: Vec<u8>,
        depot: &Depot,
    ) -> Result<(), PortError> {
        let (app, version) = (&input.config.product.name, &input.order.version);
        let mut deltas = Vec::new();
        for base in &input.order.platform_bases {
            if base.kind != kind || base.version == *version {
                continue;
            }
            let name = kind.delta_name(app, &base.version, version);
            let made = match depot.fetch(&base.blob)? {
                None => Err("the package of that version is not stored".to_owned()),
                Some(bytes) => package::delta(&bytes, &content, content.len())?,
            };
            let detail = match made {
                Err(why) => format!("none: {why}"),
                Ok((from, delta)) => {
                    let detail = format!("{} bytes, the file {}", delta.len(), content.len());
                    let (artifact, blob) = package::store(project, &name, delta);
                    self.blobs.push(blob);
                    deltas.push(Delta {
                        from: base.version.clone(),
                        base: from,
                        artifact,
                    });
                    detail
                }
            };
            self.gates.push(Gate {
                name: format!("delta {name}"),
                passed: true,
                detail,
            });
        }
        let (artifact, blob) = package::store(project, &kind.file_name(app, version), content);
        self.blobs.push(blob);
        self.packages.push(PlatformPackage {
            kind,
            artifact,
            deltas,
        });
        Ok(())
    }
}

/// A regular file of a tree that a tool reads.
fn file(content: impl Into<Vec<u8>>, executable: bool) -> Node {
    Node::File {
        content: Arc::new(content.into()),
        executable,
    }
}

/// The content of a file that the configuration names.
fn named<'t>(product: &'t Tree, path: &str) -> Result<&'t [u8], Unmade> {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    let path = parts.collect::<Vec<_>>().join("/");
    match product.get(&path) {
        Some(Node::File { content, .. }) => Ok(content),
        Some(Node::Link(_)) => Err(Unmade::Product(format!("{path} is a symbolic link"))),
        None => Err(Unmade::Product(format!("there is no file {path}"))),
    }
}

/// What people call the product.
fn title<'a>(config: &'a Config, name: &'a str) -> &'a str {
    if name.is_empty() {
        &config.product.name
    } else {
        name
    }
}

/// A path of the machine, as an absolute one.
fn absolute(path: &Path) -> Result<PathBuf, String> {
    path.canonicalize()
        .map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_debian_package() {
        let error = need(
            "package.appimage",
            "mksquashfs-of-no-machine",
            "squashfs-tools",
        );
        let expected = "package.appimage: TOOL_MISSING: the program mksquashfs-of-no-machine is missing \
                        on this machine; install the Debian package squashfs-tools";
        assert_eq!(error.unwrap_err().to_string(), expected);
        need("tests", "git", "git").unwrap();
    }
}
