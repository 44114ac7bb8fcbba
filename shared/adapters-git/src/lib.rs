//! The forge: where the products' source lives, as git keeps it.
//!
//! [`Forges`] chooses by how a repository is named: an absolute path is a folder of this machine ([`folder`], through the
//! `git` program), an `https://` address is a repository on a host ([`http`], by git's smart HTTP protocol, without any
//! program, so that it works in a function). `http://` is for this machine alone: tests and demos.
//!
//! **Both make the same commit of the same proposal, byte for byte.** **A credential goes to the host it is stored for and
//! nowhere else: not into a log, not into an error, not after a redirect.** **What a host sends is bounded before it is
//! read and checked before it is used; no answer of a host can make this crate panic.**
//!
//! Not here: pull requests, which are each host's own; `ssh`; repositories with SHA-256 names.

pub mod credential;
pub mod folder;
pub mod http;

mod fault;
mod forges;
mod git;
mod line;
mod pack;
mod proposal;
mod push;
mod remote;
mod snapshot;
mod transport;
mod upload;

use kintsugi_domain::ports::PortError;

pub use credential::{Credential, CredentialFile, Credentials, NoCredentials, StoredCredentials};
pub use folder::GitForge;
pub use forges::Forges;
pub use http::HttpForge;

/// Runs work that waits where it does not hold up other tasks.
async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => Err(PortError::unavailable(what, error)),
    }
}
