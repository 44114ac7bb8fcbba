//! `kintsugi login`: keeps a token of a home for the commands that ask it, and finds it again.
//!
//! Tokens lie in one file of the user's configuration folder. **It is readable by its owner only, and replaced as a whole.** A token is
//! kept only after the home took it.

use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::print;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The file with the tokens.
const FILE: &str = "homes.json";
/// Longest token that is read, bytes.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The home, as sam deploy printed it (`ApiUrl`), or as kintsugi up did.
    #[arg(long, value_name = "URL")]
    home: String,
    /// The file with the token; without it the token is read from standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Which home to ask, and as whom.
#[derive(Debug, Args)]
pub(crate) struct HomeArgs {
    /// The home; without it the one of the last login.
    #[arg(long, global = true, value_name = "URL")]
    home: Option<String>,
    /// The file with a token; without it the one of the login.
    #[arg(long, global = true, value_name = "FILE", requires = "home")]
    token_file: Option<PathBuf>,
}

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// The home of the last login.
    last: Option<String>,
    /// Tokens by home.
    tokens: BTreeMap<String, String>,
}

/// Whom a token names, as the home says.
#[derive(Debug, Deserialize)]
struct Me {
    subject: String,
    role: String,
    expires_at: String,
}

impl HomeArgs {
    /// A client of the home that was named, or of the last login.
    pub(crate) fn client(&self, context: &Context) -> Result<Client, Error> {
        if let (Some(home), Some(file)) = (&self.home, &self.token_file) {
            return Client::new(home, &read_token(file)?);
        }
        let kept = load(&path(context)?)?;
        let missing = || Error::NotLoggedIn {
            home: self.home.clone(),
        };
        let home = match &self.home {
            // The address as a client writes it, so that a slash at its end makes no other home of it.
            Some(home) => Client::new(home, "")?.home().to_owned(),
            None => kept.last.clone().ok_or_else(missing)?,
        };
        let token = kept.tokens.get(&home).ok_or_else(missing)?;
        Client::new(&home, token)
    }
}

/// Asks the home whom the token names, and keeps it.
pub(crate) fn run(login: &Login, context: &Context, json: bool) -> Result<Exit, Error> {
    let token = match &login.token_file {
        Some(file) => read_token(file)?,
        None => ask_token()?,
    };
    let token = token.trim();
    let client = Client::new(&login.home, token)?;
    let me: Me = crate::wait_for(client.get("me"))?;
    let path = path(context)?;
    let mut kept = load(&path)?;
    let home = client.home().to_owned();
    kept.tokens.insert(home.clone(), token.to_owned());
    kept.last = Some(home.clone());
    save(&path, &kept)?;
    let (subject, role, until) = (&me.subject, &me.role, &me.expires_at);
    if json {
        print::object(
            &json!({"home": home, "subject": subject, "role": role, "expires_at": until}),
        );
    } else {
        print::out(&format_args!(
            "{home}: {subject}, role {role}, until {until}"
        ));
    }
    Ok(Exit::Done)
}

fn read_token(file: &Path) -> Result<String, Error> {
    let open = fs::File::open(file).map_err(|error| Error::read(file, &error))?;
    let mut text = String::new();
    let read = open.take(TOKEN_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Error::read(file, &error))?;
    Ok(text)
}

/// From standard input: a pipe, or somebody who pastes it.
fn ask_token() -> Result<String, Error> {
    if io::stdin().is_terminal() {
        print::say(&"Paste the token, then press Enter:");
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line);
        read.map_err(|error| Error::unexpected("read the token", &error))?;
        return Ok(line);
    }
    let mut text = String::new();
    let read = io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Error::unexpected("read the token", &error))?;
    Ok(text)
}

fn path(context: &Context) -> Result<PathBuf, Error> {
    let folder = context.config_folder.as_ref();
    let folder = folder.ok_or_else(|| Error::Setting {
        name: "HOME",
        why: "it names no folder for the login".to_owned(),
    })?;
    Ok(folder.join(FILE))
}

fn load(path: &Path) -> Result<Kept, Error> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| Error::read(path, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
        Err(error) => Err(Error::read(path, &error)),
    }
}

fn save(path: &Path, kept: &Kept) -> Result<(), Error> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Error::write(folder, &error))?;
    let text = serde_json::to_vec_pretty(kept).map_err(|error| Error::write(path, &error))?;
    write_for_owner(path, &text)
}

/// Writes a file that its owner alone reads. It is written beside the old one and renamed: never half a file, never one that
/// others may read.
pub(crate) fn write_for_owner(path: &Path, content: &[u8]) -> Result<(), Error> {
    let failed = |error: io::Error| Error::write(path, &error);
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    // A new file of this kind is for its owner only; said again, because it matters.
    let own = fs::Permissions::from_mode(0o600);
    file.as_file()
        .set_permissions(own)
        .and_then(|()| file.write_all(content))
        .and_then(|()| file.as_file().sync_all())
        .map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Prints an address that lets whoever has it into the console, once and soon.
pub(crate) fn console(home: &HomeArgs, context: &Context, json: bool) -> Result<Exit, Error> {
    let client = home.client(context)?;
    let code: Code = crate::wait_for(client.post("console", &json!({})))?;
    let address = format!("{}/console?code={}", client.home(), code.code);
    if json {
        print::object(&json!({ "console": address }));
    } else {
        print::out(&address);
    }
    Ok(Exit::Done)
}

/// A code for the console's address.
#[derive(Deserialize)]
struct Code {
    code: String,
}
