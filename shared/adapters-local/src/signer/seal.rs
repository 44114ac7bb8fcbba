//! The master key and what it seals.

use super::{MASTER_FILE, SEALING_FILE};
use crate::files::io_error;
use crate::whole::create_whole;
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use kintsugi_domain::ports::PortError;
use rand_core::{OsRng, RngCore};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

/// What is authenticated beside the probe that tells a wrong passphrase.
const PROBE: &str = "probe";

/// How the master key is made: the content of [`SEALING_FILE`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealing {
    format: u16,
    source: Source,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Source {
    /// From a passphrase by Argon2id.
    Passphrase {
        salt: String,
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    },
    /// From [`MASTER_FILE`].
    File,
}

/// A sealed file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    format: u16,
    nonce: String,
    content: String,
}

/// The key that seals the others.
pub(super) struct Master(XChaCha20Poly1305);

impl Sealing {
    /// What the folder says, or, for a new folder, the choice the caller made.
    pub(super) fn load_or_make(folder: &Path, passphrase: bool) -> Result<Self, PortError> {
        let path = folder.join(SEALING_FILE);
        let what = format!("keys in {}", folder.display());
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| PortError::broken(format!("{what}, {SEALING_FILE}"), error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::make(folder, passphrase).map_err(|error| io_error(&what, &error))
            }
            Err(error) => Err(io_error(&what, &error)),
        }
    }

    fn make(folder: &Path, passphrase: bool) -> io::Result<Self> {
        let source = if passphrase {
            let mut salt = [0; 16];
            OsRng.fill_bytes(&mut salt);
            Source::Passphrase {
                salt: hex::encode(salt),
                memory_kib: Params::DEFAULT_M_COST,
                passes: Params::DEFAULT_T_COST,
                lanes: Params::DEFAULT_P_COST,
            }
        } else {
            let mut key = [0; 32];
            OsRng.fill_bytes(&mut key);
            // A file that is there already was left by a process that died before its next step: it is as good.
            create_whole(
                &folder.join(MASTER_FILE),
                folder,
                hex::encode(key).as_bytes(),
            )?;
            Source::File
        };
        let sealing = Self { format: 1, source };
        let text = serde_json::to_vec_pretty(&sealing)?;
        create_whole(&folder.join(SEALING_FILE), folder, &text)?;
        Ok(sealing)
    }

    /// The master key, checked against the probe in the folder (written on first use).
    pub(super) fn master(
        &self,
        folder: &Path,
        passphrase: Option<&str>,
    ) -> Result<Master, PortError> {
        let what = format!("keys in {}", folder.display());
        let key = self.key(&what, folder, passphrase)?;
        let master = Master(XChaCha20Poly1305::new(&Key::from(key)));
        let path = folder.join(format!("{PROBE}.sealed"));
        match fs::read_to_string(&path) {
            Ok(sealed) => {
                let right = master.open(&what, PROBE, &sealed).is_ok();
                if right {
                    return Ok(master);
                }
                let why = match self.source {
                    Source::Passphrase { .. } => "the passphrase is wrong".to_owned(),
                    Source::File => format!("{MASTER_FILE} does not belong to these keys"),
                };
                Err(PortError::broken(what, why))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let sealed = master.seal(PROBE, PROBE.as_bytes())?;
                create_whole(&path, folder, sealed.as_bytes())
                    .map_err(|error| io_error(&what, &error))?;
                Ok(master)
            }
            Err(error) => Err(io_error(&what, &error)),
        }
    }

    fn key(
        &self,
        what: &str,
        folder: &Path,
        passphrase: Option<&str>,
    ) -> Result<[u8; 32], PortError> {
        let mut key = [0; 32];
        match (&self.source, passphrase) {
            (Source::File, None) => {
                let text = fs::read_to_string(folder.join(MASTER_FILE)).map_err(|error| {
                    let why =
                        format!("cannot read {MASTER_FILE} ({error}); put it back from a backup");
                    PortError::broken(what, why)
                })?;
                hex::decode_to_slice(text.trim(), &mut key)
                    .map_err(|_| PortError::broken(what, format!("{MASTER_FILE} is damaged")))?;
            }
            (
                Source::Passphrase {
                    salt,
                    memory_kib,
                    passes,
                    lanes,
                },
                Some(passphrase),
            ) => {
                let damaged = || PortError::broken(what, format!("{SEALING_FILE} is damaged"));
                let params =
                    Params::new((*memory_kib).min(1 << 20), *passes, *lanes, Some(key.len()))
                        .map_err(|_| damaged())?;
                let salt = hex::decode(salt).map_err(|_| damaged())?;
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(passphrase.as_bytes(), &salt, &mut key)
                    .map_err(|error| PortError::broken(what, error))?;
            }
            (Source::Passphrase { .. }, None) => {
                let why = "they are sealed with a passphrase; give it";
                return Err(PortError::broken(what, why));
            }
            (Source::File, Some(_)) => {
                let why =
                    format!("they are sealed with {MASTER_FILE}, not with a passphrase; give none");
                return Err(PortError::broken(what, why));
            }
        }
        Ok(key)
    }
}

impl Master {
    /// Seals content under a name.
    pub(super) fn seal(&self, name: &str, plain: &[u8]) -> Result<String, PortError> {
        let mut nonce = [0; 24];
        OsRng.fill_bytes(&mut nonce);
        let payload = Payload {
            msg: plain,
            aad: name.as_bytes(),
        };
        let sealed = self
            .0
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| PortError::broken(format!("seal {name}"), "the content is too long"))?;
        let sealed = Sealed {
            format: 1,
            nonce: hex::encode(nonce),
            content: hex::encode(sealed),
        };
        serde_json::to_string(&sealed)
            .map_err(|error| PortError::broken(format!("seal {name}"), error))
    }

    /// Opens what was sealed under that name.
    pub(super) fn open(&self, what: &str, name: &str, text: &str) -> Result<Vec<u8>, PortError> {
        let damaged =
            || PortError::broken(what, "it is damaged, or sealed under another name or key");
        let sealed: Sealed = serde_json::from_str(text).map_err(|_| damaged())?;
        let mut nonce = [0; 24];
        hex::decode_to_slice(&sealed.nonce, &mut nonce).map_err(|_| damaged())?;
        let content = hex::decode(&sealed.content).map_err(|_| damaged())?;
        let payload = Payload {
            msg: &content,
            aad: name.as_bytes(),
        };
        self.0
            .decrypt(&XNonce::from(nonce), payload)
            .map_err(|_| damaged())
    }
}
