//! Authenticode signatures of installers (Microsoft's PE format of PKCS #7), by `osslsigncode` and the project's own certificate.
//!
//! `CODE_SIGNING/<project>.crt` is the certificate with the chain that goes along, PEM, and `CODE_SIGNING/<project>.key` its key, PEM; sealed by
//! the passphrase, or readable by nobody else. The tool sees the two files read-only and hears the passphrase on its standard input. **The time
//! of signing is that of the build, so an RSA key gives the same bytes each time** (an elliptic one does not, nor a time stamp).
//!
//! A time stamp (RFC 3161) makes a signature outlast its certificate. It comes from an authority that the configuration names, and the box has no
//! network: **so `osslsigncode add` runs once outside of it, on the file that is signed already, and sees no certificate, no key, no passphrase and
//! no variable of this process.** The authority hears the digest of a signature and nothing else.

use super::{Input, Unmade, absolute, file, title};
use crate::needs::PROGRAM_FOLDERS;
use crate::tree::Tree;
use crate::workshop::{self, Tool};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::PortError;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The stable code of a certificate or key that the tool does not take.
const CODE_SIGNING_FAILED: &str = "CODE_SIGNING_FAILED";
/// The stable code of an authority that gave no time stamp.
const TIME_STAMP_FAILED: &str = "TIME_STAMP_FAILED";
/// How long an authority may take, seconds.
const STAMP_SECONDS: &str = "60";
/// Longest part of the tool's words in an error, characters.
const WORDS_CHARS_MAX: usize = 300;
const STAMPED: &str = "stamped.exe";
const UNSIGNED: &str = "unsigned.exe";
const SIGNED: &str = "signed.exe";

/// Where the certificates and keys lie that installers are signed with, and what opens the keys.
#[derive(Clone)]
pub struct CodeSigning {
    folder: PathBuf,
    passphrase: Option<String>,
}

impl CodeSigning {
    /// A folder with `<project>.crt` and `<project>.key` for each project that signs, by its number.
    pub fn new(folder: PathBuf, passphrase: Option<String>) -> Self {
        Self { folder, passphrase }
    }

    /// The folder of the certificates.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files of a project; the error says what is missing.
    pub(super) fn files(&self, project: ProjectId) -> Result<Files, String> {
        let path = |end: &str| absolute(&self.folder.join(format!("{project}.{end}")));
        let (certificate, key) = (path("crt")?, path("key")?);
        let meta = key.metadata();
        let mode = meta.map_err(|error| format!("{}: {error}", key.display()))?;
        if mode.permissions().mode() & 0o077 != 0 {
            let key = key.display();
            return Err(format!(
                "{key} can be read by others; take their right away (chmod 600)"
            ));
        }
        Ok(Files {
            certificate,
            key,
            passphrase: self.passphrase.clone().unwrap_or_default(),
        })
    }
}

impl fmt::Debug for CodeSigning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("CodeSigning");
        shown.field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// A project's certificate and key.
pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    passphrase: String,
}

/// Signs a program, with a time stamp where the configuration names an authority.
pub(super) fn sign(input: &Input<'_>, files: &Files, program: Vec<u8>) -> Result<Vec<u8>, Unmade> {
    let rules = input.config.package.windows.as_ref();
    let name = rules.map_or("", |rules| rules.name.as_str());
    let mut tree = Tree::default();
    tree.insert(UNSIGNED, file(program, false))?;
    let at = input.order.at.as_second().max(0).to_string();
    let (certificate, key) = (files.certificate.display(), files.key.display());
    let (certificate, key) = (certificate.to_string(), key.to_string());
    let argv = [
        "osslsigncode",
        "sign",
        "-certs",
        &certificate,
        "-key",
        &key,
        "-readpass",
        "/dev/stdin",
        "-h",
        "sha384",
        "-time",
        &at,
        "-n",
        title(input.config, name),
        "-in",
        UNSIGNED,
        "-out",
        SIGNED,
    ];
    let tool = Tool {
        argv: argv.map(str::to_owned).to_vec(),
        read_only: vec![files.certificate.clone(), files.key.clone()],
        stdin: format!("{}\n", files.passphrase).into_bytes(),
        output: SIGNED,
    };
    let (finished, signed) = input.workshop.tool(&tree, tool)?;
    let signed = signed.filter(|_| finished.success()).ok_or_else(|| {
        let why = workshop::explain(&finished);
        let why = format!("{CODE_SIGNING_FAILED}: osslsigncode {why}");
        Unmade::Machine(PortError::broken("package.windows.sign", why))
    })?;
    match rules.map(|rules| rules.timestamp_url.as_str()) {
        None | Some("") => Ok(signed),
        Some(authority) => Ok(stamp(input, authority, &signed)?),
    }
}

/// The signed file with a time stamp. Where there is none, it is the network's fault, and is tried again.
fn stamp(input: &Input<'_>, authority: &str, signed: &[u8]) -> Result<Vec<u8>, PortError> {
    let what = "package.windows.timestamp_url";
    let failed = |why: String| PortError::unavailable(what, format!("{TIME_STAMP_FAILED}: {why}"));
    let broken = |error: io::Error| failed(error.to_string());
    let folder = input.workshop.folder();
    let folder = tempfile::tempdir_in(folder).map_err(broken)?;
    fs::write(folder.path().join(SIGNED), signed).map_err(broken)?;
    // The first program ends the second one in time.
    let done = Command::new("timeout")
        .args(["-k", "5", STAMP_SECONDS, "osslsigncode", "add"])
        .args(["-ts", authority, "-h", "sha384"])
        .args(["-in", SIGNED, "-out", STAMPED])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", PROGRAM_FOLDERS.join(":"))
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(broken)?;
    if done.status.success() {
        return fs::read(folder.path().join(STAMPED)).map_err(broken);
    }
    let words = String::from_utf8_lossy(&done.stderr);
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let words: String = words.chars().take(WORDS_CHARS_MAX).collect();
    Err(failed(format!(
        "{authority}: osslsigncode {}: {words}",
        done.status
    )))
}
