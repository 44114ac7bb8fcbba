//! `kintsugi check`: whether a `kintsugi.toml` can be used.

use crate::error::Error;
use crate::exit::Exit;
use crate::print;
use crate::project::read_config;
use serde_json::json;
use std::path::Path;

/// Says `ok`, or fails with file, line, key and what was expected.
pub(crate) fn run(file: &Path, json: bool) -> Result<Exit, Error> {
    let config = read_config(file)?;
    let file = file.display();
    let name = &config.product.name;
    if json {
        print::object(&json!({"file": file.to_string(), "ok": true, "product": name}));
    } else {
        print::out(&format_args!(
            "{file}: {}ok{:#}, product {name}",
            print::GOOD,
            print::GOOD
        ));
    }
    Ok(Exit::Done)
}
