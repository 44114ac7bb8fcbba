//! `kintsugi tuf`: roots that go from hand to hand until enough keys have signed them, and the orders that a home takes for them.
//!
//! Ceremonies ask no home and no network; only what [`home`] has does. Private keys lie in folders sealed with a passphrase, as those of a
//! local home do, so the same command signs with a key from a drawer and with one of a home. **What is
//! signed is read, understood and shown first; a key that the root does not name, nor the one before it, signs
//! nothing.** `docs/runbooks.md` has the order of things.

mod args;
mod home;
mod show;

pub(crate) use args::Tuf;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::whole::write_whole;
use crate::{print, wait_for};
use args::{Init, KeyPlace, Life, Name, Rotate, Sign};
use kintsugi_adapters_local::clock::SystemClock;
use kintsugi_adapters_local::signer::{KeyFiles, SEALING_FILE};
use kintsugi_domain::Timestamp;
use kintsugi_domain::ports::{Clock as _, PortError, Signer as _};
use kintsugi_trust::key::{KeyId, PublicKey};
use kintsugi_trust::tuf::{
    CeremonyError, KeyChange, Role, RoleKeys, Roles, Root, RootDraft, Trusted, TufError,
};
use serde_json::json;
use show::show;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest file of a ceremony that is read, bytes: those of roots are bounded again where they are read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// Does what was asked.
pub(crate) fn run(asked: &Tuf, context: &Context, json: bool) -> Result<Exit, Error> {
    match asked {
        Tuf::Key { key, pem } => make_key(key, pem.as_deref(), context, json),
        Tuf::Init(asked) => init(asked, json),
        Tuf::Rotate(asked) => rotate(asked, json),
        Tuf::Refresh { old, out, life } => {
            let before = trusted(old)?;
            begin(out, before.next(end(life)?), Some(&before), json)
        }
        Tuf::Sign(asked) => add_signature(asked, context, json),
        Tuf::Status { place } => home::status(place, context, json),
        Tuf::Order {
            role,
            place,
            reason,
        } => home::order(*role, place, reason, context, json),
        Tuf::Wanted { out, place } => home::wanted(out, place, context, json),
        Tuf::Bring {
            file,
            place,
            reason,
        } => home::bring(file, place, reason, context, json),
        Tuf::Skip {
            place,
            above,
            root,
            reason,
        } => home::skip(place, (*above, *root), reason, context, json),
        Tuf::Show { file, after } => {
            let before = after.as_deref().map(trusted).transpose()?;
            let draft = draft(file, before.as_ref())?;
            Ok(if show(file, &draft, before.as_ref(), json) {
                Exit::Done
            } else {
                Exit::No
            })
        }
    }
}

fn init(asked: &Init, json: bool) -> Result<Exit, Error> {
    let roles = Roles {
        root: role_keys(Role::Root, &asked.root, asked.threshold)?,
        targets: one_key(Role::Targets, &asked.targets)?,
        snapshot: one_key(Role::Snapshot, &asked.snapshot)?,
        timestamp: one_key(Role::Timestamp, &asked.timestamp)?,
    };
    let root = Root::new(1, end(&asked.life)?, roles);
    begin(&asked.out, root, None, json)
}

fn rotate(asked: &Rotate, json: bool) -> Result<Exit, Error> {
    let before = trusted(&asked.old)?;
    let mut next = before.next(end(&asked.life)?);
    let add: Result<_, Error> = asked.add_root.iter().map(|it| public(it)).collect();
    let change = KeyChange {
        add: add?,
        drop: asked.drop_root.clone(),
        threshold: asked.threshold,
    };
    let root = before.roles.root.changed(Role::Root, &change);
    next.roles.root = root.map_err(|error| refused_root(&error))?;
    if let Some(path) = &asked.targets {
        next.roles.targets = one_key(Role::Targets, path)?;
    }
    if let Some(path) = &asked.snapshot {
        next.roles.snapshot = one_key(Role::Snapshot, path)?;
    }
    if let Some(path) = &asked.timestamp {
        next.roles.timestamp = one_key(Role::Timestamp, path)?;
    }
    begin(&asked.out, next, Some(&before), json)
}

fn add_signature(asked: &Sign, context: &Context, json: bool) -> Result<Exit, Error> {
    let before = asked.after.as_deref().map(trusted).transpose()?;
    let mut draft = draft(&asked.file, before.as_ref())?;
    let (id, der) = match (&asked.keys, &asked.signature) {
        (Some(folder), _) => sign(folder, &asked.name, draft.message(), context)?,
        (None, Some((id, path))) => (id.clone(), read(path)?),
        (None, None) => return Ok(Exit::WrongArguments),
    };
    let added = draft.add(&id, der, before.as_ref());
    added.map_err(|error| refused(&error))?;
    write(&asked.file, &text(&draft)?)?;
    show(&asked.file, &draft, before.as_ref(), json);
    Ok(Exit::Done)
}

/// Writes an unsigned root, where nothing is yet.
fn begin(out: &Path, root: Root, before: Option<&Root>, json: bool) -> Result<Exit, Error> {
    if out.exists() {
        return Err(Error::Refused {
            code: "file_exists".to_owned(),
            why: format!("{} is already there", out.display()),
        });
    }
    let draft = RootDraft::new(root).map_err(|error| refused(&error))?;
    write(out, &text(&draft)?)?;
    show(out, &draft, before, json);
    Ok(Exit::Done)
}

fn make_key(
    place: &KeyPlace,
    pem: Option<&Path>,
    context: &Context,
    json: bool,
) -> Result<Exit, Error> {
    let folder = &place.folder;
    let is_new = !folder.join(SEALING_FILE).exists();
    if is_new && context.passphrase.is_none() {
        return Err(Error::Passphrase {
            why: format!("keys in {} would not be sealed", folder.display()),
            help: "set KINTSUGI_KEY_PASSPHRASE to a passphrase for this folder",
        });
    }
    let keys = open(folder, context)?;
    let name = place.name.key();
    let text = wait_for(async { keys.public_key(&name).await.map_err(of_keys(folder)) })?;
    let key = PublicKey::from_pem(&text).map_err(|error| Error::Refused {
        code: error.code().to_owned(),
        why: error.to_string(),
    })?;
    if let Some(path) = pem {
        write(path, key.pem())?;
    }
    if json {
        let id = key.key_id();
        print::object(&json!({"key": name.to_string(), "id": id, "pem": key.pem()}));
    } else {
        print::out(&format_args!("{name}: {}", key.key_id()));
        print::out(key.pem().trim_end());
    }
    Ok(Exit::Done)
}

/// Signs with a key that is there: none is made for it.
fn sign(
    folder: &Path,
    name: &Name,
    message: &[u8],
    context: &Context,
) -> Result<(KeyId, Vec<u8>), Error> {
    let name = name.key();
    let file = folder.join(format!("{name}.key"));
    if !file.exists() {
        return Err(Error::read(&file, &"there is no such key"));
    }
    let keys = open(folder, context)?;
    let signed = async {
        let pem = keys.public_key(&name).await?;
        let der = keys.sign(&name, message).await?;
        Ok::<_, PortError>((pem, der))
    };
    let (pem, der) = wait_for(async { signed.await.map_err(of_keys(folder)) })?;
    let key = PublicKey::from_pem(&pem).map_err(|error| Error::read(&file, &error))?;
    Ok((key.key_id(), der))
}

fn open(folder: &Path, context: &Context) -> Result<KeyFiles, Error> {
    let passphrase = context.passphrase.as_ref().map(|it| it.0.as_str());
    KeyFiles::open(folder, passphrase).map_err(of_keys(folder))
}

fn of_keys(folder: &Path) -> impl Fn(PortError) -> Error {
    |error| Error::from_open(folder, error)
}

/// The keys of these files. That there are enough for the threshold is checked.
fn role_keys(role: Role, paths: &[PathBuf], threshold: usize) -> Result<RoleKeys, Error> {
    let keys: Vec<PublicKey> = paths
        .iter()
        .map(|it| public(it))
        .collect::<Result<_, _>>()?;
    RoleKeys::new(role, &keys, threshold).map_err(|error| refused_root(&error))
}

fn one_key(role: Role, path: &PathBuf) -> Result<RoleKeys, Error> {
    role_keys(role, std::slice::from_ref(path), 1)
}

fn public(path: &Path) -> Result<PublicKey, Error> {
    let text = String::from_utf8(read(path)?).map_err(|error| Error::read(path, &error))?;
    PublicKey::from_pem(&text).map_err(|error| refused_file(path, error.code(), &error))
}

/// In so many days, on a whole second, as roots say it.
fn end(life: &Life) -> Result<Timestamp, Error> {
    let seconds = SystemClock.now().as_second();
    let life = Duration::from_secs(u64::from(life.days) * SECONDS_A_DAY);
    Timestamp::from_second(seconds)
        .and_then(|now| now.checked_add(life))
        .map_err(|error| Error::unexpected("say when the root ends", &error))
}

/// A root that its own keys signed, as devices have it.
fn trusted(path: &Path) -> Result<Root, Error> {
    let trusted =
        Trusted::new(&read(path)?).map_err(|error| refused_file(path, error.code(), &error))?;
    Ok(trusted.root().clone())
}

/// A root that is being signed.
fn draft(path: &Path, before: Option<&Root>) -> Result<RootDraft, Error> {
    let draft = RootDraft::read(&read(path)?, before);
    let draft = draft.map_err(|error| refused_file(path, error.code(), &error))?;
    if before.is_none() && draft.root().version > 1 {
        return Err(Error::Refused {
            code: "ceremony.no_root_before".to_owned(),
            why: format!(
                "{} has version {}: its keys mean nothing without the root before it (--after)",
                path.display(),
                draft.root().version
            ),
        });
    }
    Ok(draft)
}

fn text(draft: &RootDraft) -> Result<String, Error> {
    draft.to_text().map_err(|error| refused(&error))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let length = fs::metadata(path)
        .map_err(|error| Error::read(path, &error))?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(Error::read(
            path,
            &format!("it is larger than {FILE_BYTES_MAX} bytes"),
        ));
    }
    fs::read(path).map_err(|error| Error::read(path, &error))
}

/// Writes a file whole or not at all, and waits for the disk.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    write_whole(path, |file| {
        let written = file.write_all(text.as_bytes());
        let written = written.and_then(|()| file.as_file().sync_all());
        written.map_err(|error| Error::write(path, &error))
    })
}

fn refused_file(path: &Path, code: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Refused {
        code: code.to_owned(),
        why: format!("{}: {error}", path.display()),
    }
}

fn refused(error: &CeremonyError) -> Error {
    Error::Refused {
        code: error.code().to_owned(),
        why: error.to_string(),
    }
}

fn refused_root(error: &TufError) -> Error {
    Error::Refused {
        code: error.code().to_owned(),
        why: error.to_string(),
    }
}
