//! The client interface of the TUF conformance suite, around [`kintsugi_sdk::tuf`]. Standard error says why
//! something was refused.

use crate::args::{Tuf, TufCommand, missing};
use crate::print;
use kintsugi_sdk::tuf::{Client, Timestamp};
use kintsugi_sdk::updater::UpdateError;

/// Runs a command. Ends with 0, or with 1 where any part of it failed.
pub(crate) fn run(arguments: &Tuf) -> u8 {
    let done = match &arguments.command {
        TufCommand::Init { root } => std::fs::read(root)
            .map_err(|source| UpdateError::Disk {
                doing: "read",
                path: root.clone(),
                source,
            })
            .and_then(|root| Client::init(&arguments.metadata_dir, &root)),
        TufCommand::Refresh => refreshed(arguments, now()).map(|_| ()),
        TufCommand::Download => download(arguments),
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            print::error(&error, false);
            1
        }
    }
}

fn refreshed(arguments: &Tuf, now: Timestamp) -> Result<Client, UpdateError> {
    let url = needed(arguments.metadata_url.as_deref(), "--metadata-url <URL>");
    let mut client = Client::open(&arguments.metadata_dir, url)?;
    client.refresh(now)?;
    Ok(client)
}

fn download(arguments: &Tuf) -> Result<(), UpdateError> {
    let name = needed(arguments.target_name.as_deref(), "--target-name <PATH>");
    let url = needed(
        arguments.target_base_url.as_deref(),
        "--target-base-url <URL>",
    );
    let folder = needed(arguments.target_dir.as_deref(), "--target-dir <DIR>");
    // One instant for the whole of it (specification section 5.1).
    let now = now();
    refreshed(arguments, now)?
        .download(name, url, folder, now)
        .map(|_| ())
}

fn needed<'a, T: ?Sized>(argument: Option<&'a T>, name: &str) -> &'a T {
    argument.unwrap_or_else(|| missing(name))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where this command reads the clock"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
