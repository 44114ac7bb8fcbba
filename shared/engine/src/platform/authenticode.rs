//! Authenticode signatures of installers (Microsoft's PE format of PKCS #7), by `osslsigncode` and the project's own certificate.
//!
//! `CODE_SIGNING/<project>.crt` is the certificate with the chain that goes along, PEM, and `CODE_SIGNING/<project>.key` its key, PEM; sealed by
//! the passphrase, or readable by nobody else. The tool sees the two files read-only and hears the passphrase on its standard input. **The time
//! of signing is that of the build, so an RSA key gives the same bytes each time** (an elliptic one does not). Not here: time stamps, which need a
//! network; without one a signature holds as long as its certificate.

use super::{Input, Unmade, absolute, file, title};
use crate::tree::Tree;
use crate::workshop::{self, Tool};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::PortError;
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// The stable code of a certificate or key that the tool does not take.
const CODE_SIGNING_FAILED: &str = "CODE_SIGNING_FAILED";
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

/// Signs a program.
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
    signed.filter(|_| finished.success()).ok_or_else(|| {
        let why = workshop::explain(&finished);
        let why = format!("{CODE_SIGNING_FAILED}: osslsigncode {why}");
        Unmade::Machine(PortError::broken("package.windows.sign", why))
    })
}
