//! `kintsugi init`: writes a commented `kintsugi.toml` with sensible guesses.

mod guess;
mod template;

use crate::args::Init;
use crate::error::Error;
use crate::exit::Exit;
use crate::print;
use guess::Guess;
use kintsugi_domain::config::Config;
use serde_json::json;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// Looks at the folder around the file and writes the file.
pub(crate) fn run(init: &Init, json: bool) -> Result<Exit, Error> {
    let path = &init.path;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let guess = Guess::look(folder);
    let text = template::text(&guess);
    // What is written can be read, whatever was guessed.
    Config::parse(&path.display().to_string(), &text)?;
    write(path, &text, init.force)?;
    let shown = path.display();
    if json {
        print::object(&json!({"file": shown.to_string(), "product": guess.name}));
    } else {
        print::out(&format_args!(
            "wrote {shown} for the product {}",
            guess.name
        ));
        print::out(&format_args!(
            "look it through (health.command above all), then: kintsugi check {shown}"
        ));
    }
    if !guess.has_python {
        let sentence = "no Python was found here: Kintsugi searches for fixes in Python only, everything else works for any product";
        print::warning(sentence, json);
    }
    Ok(Exit::Done)
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Error> {
    let mut options = File::options();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let failed = |error: io::Error| Error::File {
        act: "write",
        path: path.to_owned(),
        why: error.to_string(),
    };
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::Exists {
                path: path.to_owned(),
            });
        }
        Err(error) => return Err(failed(error)),
    };
    file.write_all(text.as_bytes()).map_err(failed)
}
