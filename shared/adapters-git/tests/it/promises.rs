//! Folders and hosts keep the promises of a forge.

use crate::common::{Site, git, product};
use kintsugi_adapters_git::{Forges, GitForge, HttpForge, NoCredentials};
use kintsugi_domain::ports::Forge;
use kintsugi_testkit::contract;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// A new folder for each repository that a suite asks for, all removed at the end.
struct Folders {
    root: TempDir,
    next: AtomicU32,
}

impl Folders {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            next: AtomicU32::new(0),
        }
    }

    fn fresh(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.root.path().join(number.to_string())
    }
}

#[tokio::test]
async fn a_forge_of_folders_keeps_its_promises_on_a_bare_repository() {
    let folders = Folders::new();
    let fresh = async || {
        let (work, bare) = (folders.fresh(), folders.fresh());
        product(&work);
        git(
            &work,
            &["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()],
        );
        contract::forge::Subject {
            forge: Arc::new(GitForge::new()) as Arc<dyn Forge>,
            repository: bare.to_str().unwrap().to_owned(),
        }
    };
    contract::forge::all(fresh).await;
}

#[tokio::test]
async fn a_forge_of_folders_keeps_its_promises_beside_a_working_tree() {
    let folders = Folders::new();
    let fresh = async || {
        let work = folders.fresh();
        product(&work);
        git(&work, &["switch", "--quiet", "--create", "elsewhere"]);
        contract::forge::Subject {
            forge: Arc::new(Forges::new(Arc::new(NoCredentials))) as Arc<dyn Forge>,
            repository: work.to_str().unwrap().to_owned(),
        }
    };
    contract::forge::all(fresh).await;
}

/// The suite against `git http-backend`, each time at another repository of one host.
async fn over_http(filter: bool, forge: impl Fn(&Site) -> Arc<dyn Forge>) {
    let site = Site::new();
    let next = AtomicU32::new(0);
    let forge = forge(&site);
    let fresh = async || {
        let name = format!("{}.git", next.fetch_add(1, Ordering::Relaxed));
        site.make(&name, filter);
        contract::forge::Subject {
            forge: Arc::clone(&forge),
            repository: site.host.url(&name),
        }
    };
    contract::forge::all(fresh).await;
}

#[tokio::test]
async fn a_forge_of_hosts_keeps_its_promises() {
    over_http(true, |site| Arc::new(HttpForge::new(site.credentials()))).await;
}

#[tokio::test]
async fn a_forge_of_hosts_keeps_its_promises_where_the_host_leaves_nothing_out() {
    over_http(false, |site| Arc::new(Forges::new(site.credentials()))).await;
}
