//! Private keys in sealed files.
//!
//! Each key is a file of its own, sealed with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) under one master key; the name of the key is
//! authenticated with it, so files cannot be swapped. The master key comes from a passphrase by Argon2id (RFC 9106) with
//! a salt and costs stored beside the keys, or, without a passphrase, from the file [`MASTER_FILE`], readable by its owner
//! only. **Without a passphrase, the seal protects only copies of the folder that lack that file.**
//!
//! Keys and secrets are made on first use from the system's generator and never overwritten.
//!
//! Not here: what is signed (`kintsugi-trust` says how, the stages say what), and keys that are kept offline.

use crate::files::{blocking, io_error};
use crate::signer::seal::{Master, Sealing};
use crate::whole::{create_whole, make_folder};
use async_trait::async_trait;
use kintsugi_domain::ports::{KeyName, PortError, Signer};
use kintsugi_trust::key::SecretKey;
use rand_core::{OsRng, RngCore};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

mod seal;

/// The file that holds the master key when there is no passphrase.
pub const MASTER_FILE: &str = "home.key";
/// The file that says how the master key is made.
pub const SEALING_FILE: &str = "sealing.json";

/// Private keys in sealed files. Clones share the folder and the keys that were opened.
#[derive(Clone)]
pub struct KeyFiles {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    master: Master,
    /// Keys that were opened or made. The lock is held while one is made, so first uses at once make one key.
    opened: Mutex<BTreeMap<String, Opened>>,
}

#[derive(Clone)]
enum Opened {
    Key(SecretKey),
    Secret([u8; 32]),
}

/// What a file holds; part of its name and of what is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Key,
    Secret,
}

impl fmt::Debug for KeyFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFiles")
            .field("folder", &self.inner.folder)
            .finish_non_exhaustive()
    }
}

impl KeyFiles {
    /// Opens a folder of keys; makes it on first use, sealed with the passphrase if there is one.
    ///
    /// Deriving the master key takes a fraction of a second and 19 MiB of memory, by intent. Refuses a wrong passphrase,
    /// a missing one, and a folder whose master key file is gone.
    pub fn open(folder: &Path, passphrase: Option<&str>) -> Result<Self, PortError> {
        let what = format!("keys in {}", folder.display());
        make_folder(folder).map_err(|error| io_error(&what, &error))?;
        let sealing = Sealing::load_or_make(folder, passphrase.is_some())?;
        let master = sealing.master(folder, passphrase)?;
        Ok(Self {
            inner: Arc::new(Inner {
                folder: folder.to_owned(),
                master,
                opened: Mutex::default(),
            }),
        })
    }

    async fn with<T: Send + 'static>(
        &self,
        name: &KeyName,
        content: Content,
        act: impl FnOnce(Opened) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let inner = Arc::clone(&self.inner);
        let name = name.to_string();
        blocking("keys", move || act(inner.opened(&name, content)?)).await
    }
}

impl Content {
    fn suffix(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Secret => "secret",
        }
    }

    /// Fresh content as it is sealed.
    fn draw(self) -> Result<Vec<u8>, PortError> {
        match self {
            Self::Secret => {
                let mut secret = [0; 32];
                OsRng.fill_bytes(&mut secret);
                Ok(secret.to_vec())
            }
            Self::Key => {
                let failed =
                    |error: kintsugi_trust::key::KeyError| PortError::broken("make a key", error);
                loop {
                    let mut random = [0; 48];
                    OsRng.fill_bytes(&mut random);
                    // Fewer than one draw in 2^190 is outside the curve's order.
                    if let Ok(key) = SecretKey::from_random(&random) {
                        return Ok(key.to_pkcs8_der().map_err(failed)?.as_bytes().to_vec());
                    }
                }
            }
        }
    }

    fn read(self, what: &str, plain: &[u8]) -> Result<Opened, PortError> {
        let damaged = || PortError::broken(what, "its content is not a key");
        match self {
            Self::Key => SecretKey::from_pkcs8_der(plain)
                .map(Opened::Key)
                .map_err(|error| PortError::broken(what, error)),
            Self::Secret => plain.try_into().map(Opened::Secret).map_err(|_| damaged()),
        }
    }
}

impl Inner {
    /// The key or secret of that name; made when there is none.
    fn opened(&self, name: &str, content: Content) -> Result<Opened, PortError> {
        // Names are `<project>/<use>`: digits, letters and `-`.
        let file = format!("{name}.{}", content.suffix());
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = opened.get(&file) {
            return Ok(found.clone());
        }
        let path = self.folder.join(&file);
        let what = format!("key file {}", path.display());
        let failed = |error: io::Error| io_error(&what, &error);
        let sealed = match fs::read_to_string(&path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let sealed = self.master.seal(&file, &content.draw()?)?;
                make_folder(path.parent().unwrap_or(&self.folder)).map_err(failed)?;
                let made = create_whole(&path, &self.folder, sealed.as_bytes()).map_err(failed)?;
                if !made {
                    return Err(PortError::unavailable(
                        what,
                        "another process made it just now",
                    ));
                }
                sealed
            }
            Err(error) => return Err(failed(error)),
        };
        let found = content.read(&what, &self.master.open(&what, &file, &sealed)?)?;
        opened.insert(file, found.clone());
        Ok(found)
    }
}

fn wrong_content(name: &KeyName) -> PortError {
    PortError::broken(
        name,
        "asked for a key where a secret is, or the other way round",
    )
}

#[async_trait]
impl Signer for KeyFiles {
    async fn sign(&self, key: &KeyName, message: &[u8]) -> Result<Vec<u8>, PortError> {
        let (name, message) = (key.clone(), message.to_vec());
        let sign = self.with(key, Content::Key, move |opened| match opened {
            Opened::Key(key) => key
                .sign(&message)
                .map_err(|error| PortError::broken(&name, error)),
            Opened::Secret(_) => Err(wrong_content(&name)),
        });
        sign.await
    }

    async fn public_key(&self, key: &KeyName) -> Result<String, PortError> {
        let name = key.clone();
        let public = self.with(key, Content::Key, move |opened| match opened {
            Opened::Key(key) => key
                .public_key()
                .map(|public| public.pem().to_owned())
                .map_err(|error| PortError::broken(&name, error)),
            Opened::Secret(_) => Err(wrong_content(&name)),
        });
        public.await
    }

    async fn secret(&self, key: &KeyName) -> Result<[u8; 32], PortError> {
        let name = key.clone();
        let secret = self.with(key, Content::Secret, move |opened| match opened {
            Opened::Secret(secret) => Ok(secret),
            Opened::Key(_) => Err(wrong_content(&name)),
        });
        secret.await
    }
}
