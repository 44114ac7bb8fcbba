//! The arguments of `kintsugi tuf`.

use crate::login::HomeArgs;
use clap::{ArgGroup, Args, Subcommand};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{KeyName, KeyUse};
use kintsugi_domain::signing::OnlineRole;
use kintsugi_trust::key::KeyId;
use std::path::PathBuf;

/// Ceremonies of keys: who speaks for a repository, decided by hands that hold keys offline.
#[derive(Debug, Subcommand)]
pub(crate) enum Tuf {
    /// Make a key, if there is none of that name, and print its id and its public part.
    Key {
        #[command(flatten)]
        key: KeyPlace,
        /// Where to write the public part, which is no secret.
        #[arg(long, value_name = "FILE")]
        pem: Option<PathBuf>,
    },
    /// Write the first root of a repository, signed by nobody yet.
    Init(Init),
    /// Write the root after one, with other keys, signed by nobody yet. What is not named stays.
    Rotate(Rotate),
    /// Write the root after one, with the same keys and a new end, signed by nobody yet.
    Refresh {
        /// The root before.
        old: PathBuf,
        /// Where to write the next one.
        out: PathBuf,
        #[command(flatten)]
        life: Life,
    },
    /// Sign a root with a key, or add a signature that was made elsewhere, and say what is still missing.
    Sign(Sign),
    /// Say what a root says and who signed it. Ends with 1 while signatures are missing.
    Show {
        /// The root.
        file: PathBuf,
        /// The root before it, unless it is the first.
        #[arg(long, value_name = "FILE")]
        after: Option<PathBuf>,
    },
    /// Say how a home signs: numbers, keys, when the root ends, and what waits for whom.
    Status {
        #[command(flatten)]
        place: HomePlace,
    },
    /// Have a home begin a new key. Where it signs its roots itself it is in force at once, else see wanted and bring.
    Order {
        /// Whose key: targets, snapshot or timestamp.
        role: OnlineRole,
        #[command(flatten)]
        place: HomePlace,
        /// Why, for the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Write the root that a home waits for, signed by nobody yet, and the one before it.
    Wanted {
        /// Where to write it. The one before is written beside it, as NUMBER.root.json.
        out: PathBuf,
        #[command(flatten)]
        place: HomePlace,
    },
    /// Bring a home a root that enough keys have signed. It is checked here first, as devices check it.
    Bring {
        /// The root.
        file: PathBuf,
        #[command(flatten)]
        place: HomePlace,
        /// Why, for the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// After a restore: have a home sign everything anew under numbers above those that devices have seen.
    Skip {
        #[command(flatten)]
        place: HomePlace,
        /// The highest version of timestamp, snapshot or targets that was seen, as far as it is known.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        above: u64,
        /// The highest version of the root that was seen, where it is above the restored one.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        root: u64,
        /// Why, for the audit log.
        #[arg(long)]
        reason: String,
    },
}

/// Which repository of which home.
#[derive(Debug, Args)]
pub(crate) struct HomePlace {
    #[command(flatten)]
    pub(crate) home: HomeArgs,
    /// The project's number.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(crate) project: ProjectId,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where to write it.
    pub(crate) out: PathBuf,
    /// The public part of a root key; repeat it for each.
    #[arg(long = "root", value_name = "PEM", required = true)]
    pub(crate) root: Vec<PathBuf>,
    /// How many root keys must sign.
    #[arg(long, default_value_t = 2)]
    pub(crate) threshold: usize,
    /// The public part of the key of targets and of statements.
    #[arg(long, value_name = "PEM")]
    pub(crate) targets: PathBuf,
    /// The public part of the key of snapshots.
    #[arg(long, value_name = "PEM")]
    pub(crate) snapshot: PathBuf,
    /// The public part of the key of timestamps.
    #[arg(long, value_name = "PEM")]
    pub(crate) timestamp: PathBuf,
    #[command(flatten)]
    pub(crate) life: Life,
}

#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// The root before.
    pub(crate) old: PathBuf,
    /// Where to write the next one.
    pub(crate) out: PathBuf,
    /// The public part of a new root key; may be repeated.
    #[arg(long, value_name = "PEM")]
    pub(crate) add_root: Vec<PathBuf>,
    /// The id of a root key that shall not sign any more; may be repeated.
    #[arg(long, value_name = "ID", value_parser = key_id)]
    pub(crate) drop_root: Vec<KeyId>,
    /// How many root keys must sign from now on.
    #[arg(long, value_name = "N")]
    pub(crate) threshold: Option<usize>,
    /// The public part of the new key of targets and of statements.
    #[arg(long, value_name = "PEM")]
    pub(crate) targets: Option<PathBuf>,
    /// The public part of the new key of snapshots.
    #[arg(long, value_name = "PEM")]
    pub(crate) snapshot: Option<PathBuf>,
    /// The public part of the new key of timestamps.
    #[arg(long, value_name = "PEM")]
    pub(crate) timestamp: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) life: Life,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("by").required(true))]
pub(crate) struct Sign {
    /// The root, which gets the signature.
    pub(crate) file: PathBuf,
    /// The root before it, unless it is the first.
    #[arg(long, value_name = "FILE")]
    pub(crate) after: Option<PathBuf>,
    /// A folder of keys, as `tuf key` makes it; also the `keys` of a local home.
    #[arg(long, value_name = "DIR", group = "by")]
    pub(crate) keys: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) name: Name,
    /// A signature from elsewhere, such as a key service: the key's id and a file with it as DER.
    #[arg(long, value_name = "ID=FILE", group = "by", value_parser = signature)]
    pub(crate) signature: Option<(KeyId, PathBuf)>,
}

/// Where a private key is.
#[derive(Debug, Args)]
pub(crate) struct KeyPlace {
    /// The folder of keys, sealed with the passphrase in `KINTSUGI_KEY_PASSPHRASE`; made on first use.
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) name: Name,
}

/// Which key of a folder.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// The number of the project.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    project: ProjectId,
    /// What it is for: `root-0`, `root-1` …, `targets`, `snapshot` or `timestamp`.
    #[arg(long = "use", value_name = "USE", default_value = "root-0", value_parser = key_use)]
    key_use: KeyUse,
}

impl Name {
    pub(crate) fn key(&self) -> KeyName {
        KeyName {
            project: self.project,
            key_use: self.key_use,
        }
    }
}

/// For how long a root holds.
#[derive(Debug, Args)]
pub(crate) struct Life {
    /// In how many days it ends.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,
}

fn key_use(text: &str) -> Result<KeyUse, String> {
    let wrong = || "expected root-0, root-1 …, targets, snapshot or timestamp".to_owned();
    // Keys that were replaced have their generation behind the name, from the second on.
    let (name, number) = match text.split_once('-') {
        Some((name, number)) => (name, Some(number.parse::<u32>().map_err(|_| wrong())?)),
        None => (text, None),
    };
    match (name, number) {
        ("root", Some(number)) => u8::try_from(number).map(KeyUse::Root).map_err(|_| wrong()),
        ("targets", None | Some(2..)) => Ok(KeyUse::Targets(number.unwrap_or(1))),
        ("snapshot", None | Some(2..)) => Ok(KeyUse::Snapshot(number.unwrap_or(1))),
        ("timestamp", None | Some(2..)) => Ok(KeyUse::Timestamp(number.unwrap_or(1))),
        (_, None | Some(_)) => Err(wrong()),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "clap asks for a result")]
fn key_id(text: &str) -> Result<KeyId, String> {
    Ok(KeyId::from(text.to_owned()))
}

fn signature(text: &str) -> Result<(KeyId, PathBuf), String> {
    match text.split_once('=') {
        Some((id, file)) if !id.is_empty() && !file.is_empty() => {
            Ok((KeyId::from(id.to_owned()), file.into()))
        }
        Some(_) | None => Err("expected ID=FILE".to_owned()),
    }
}
