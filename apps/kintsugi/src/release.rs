//! `kintsugi release`: what versions say of each other, and whether an artifact is what a release says.
//!
//! Not here: ordering a release, which is an order to a home (`docs/admin-api.md`).

mod verify;

use crate::error::Error;
use crate::exit::Exit;
use crate::print;
use clap::Subcommand;
use kintsugi_domain::version::{self, InvalidVersion};
use serde_json::json;

/// What is asked about releases.
#[derive(Debug, Subcommand)]
pub(crate) enum Release {
    /// Say what kind of update leads from one version to another.
    Compare {
        /// The version to start from.
        from: String,
        /// The version to arrive at.
        to: String,
    },
    /// Check a package or delta offline: the repository's metadata, the digest, and the release's signed provenance.
    Verify(verify::Verify),
}

/// Answers what was asked.
pub(crate) fn run(asked: &Release, json: bool) -> Result<Exit, Error> {
    match asked {
        Release::Compare { from, to } => compare(from, to, json),
        Release::Verify(asked) => verify::run(asked, json),
    }
}

fn compare(from: &str, to: &str, json: bool) -> Result<Exit, Error> {
    let from = version::parse(from).map_err(refused)?;
    let to = version::parse(to).map_err(refused)?;
    let found = version::compare(&from, &to);
    if json {
        print::object(&json!(found));
    } else {
        let update = found.update.name();
        print::out(&format_args!("{from} → {to}: {update}: {}", found.why));
    }
    Ok(Exit::Done)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: InvalidVersion) -> Error {
    Error::Refused {
        code: error.code().to_owned(),
        why: error.to_string(),
    }
}
