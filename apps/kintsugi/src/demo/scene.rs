//! What must be there before the story starts: the product, its repository, the client library, the
//! project in the home.

use super::Demo;
use super::reporter::Reporter;
use super::sample::{Repository, Sample};
use super::tell::Teller;
use crate::client::Client;
use crate::error::Error;
use crate::{project, tools};
use kintsugi_app::admin::{Answer, ProjectView};
use kintsugi_domain::id::ProjectId;
use kintsugi_sandbox::python_toolchain;
use semver::Version;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often an order is given to a home that does not answer.
const ORDER_TRIES: u32 = 8;
/// The pause between.
const ORDER_PAUSE: Duration = Duration::from_millis(700);
/// How a home refuses an order that it has.
const ORDERED: [&str; 3] = ["bundle.open", "bundle.exists", "release.exists"];

/// Everything the story needs.
pub(super) struct Scene {
    /// Where everything is.
    pub(super) folder: PathBuf,
    pub(super) sample: Sample,
    pub(super) repository: Repository,
    pub(super) reporter: Reporter,
    pub(super) python: PathBuf,
    pub(super) client: Client,
    pub(super) project: ProjectId,
    pub(super) channel: String,
    pub(super) dsn: String,
}

impl Scene {
    pub(super) async fn set(
        demo: &Demo,
        folder: &Path,
        client: Client,
        teller: &Teller,
    ) -> Result<Self, Error> {
        tools::git()?;
        let python = python_toolchain().map_err(|error| Error::Tool {
            name: "python3",
            why: error.to_string(),
        })?;
        let sample = match &demo.sample {
            Some(folder) => Sample::at(folder)?,
            None => Sample::unpack(&folder.join("sample"))?,
        };
        let repository = sample.make_repository(folder, demo.repository.as_deref())?;
        let file = sample.path("product/kintsugi.toml");
        let config = project::read_config(&file)?;
        teller.step(&format!(
            "the sample product “{}” is a git repository with its history",
            config.product.name
        ));
        let reporter = Reporter::install(&python.program, folder)?;
        teller.step("sentry-sdk is installed from PyPI, unmodified");
        let text = fs::read_to_string(&file).map_err(|error| Error::read(&file, &error))?;
        let project = add_project(&client, &text, &repository.address).await?;
        let key = project.keys.first().map(ToString::to_string);
        Ok(Self {
            folder: folder.to_owned(),
            sample,
            repository,
            reporter,
            python: python.program,
            project: project.id,
            channel: config.trains.channel,
            dsn: dsn(client.home(), &key.unwrap_or_default(), project.id),
            client,
        })
    }

    /// Orders a version from the product's branch.
    pub(super) async fn order_release(&self, version: &Version, notes: &str) -> Result<(), Error> {
        let path = format!("projects/{}/releases", self.project);
        let order = json!({"ref": "main", "version": version, "notes": notes});
        let mut unheard = None;
        for _ in 0..ORDER_TRIES {
            match self.client.post::<Answer>(&path, &order).await {
                Ok(_) => return Ok(()),
                Err(error @ Error::Home { .. }) => unheard = Some(error),
                // An order that was not answered was taken all the same.
                Err(Error::Refused { code, .. })
                    if unheard.is_some() && ORDERED.contains(&code.as_str()) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(ORDER_PAUSE).await;
        }
        unheard.map_or(Ok(()), Err)
    }
}

/// Has the home take care of the product.
async fn add_project(
    client: &Client,
    config: &str,
    repository: &str,
) -> Result<ProjectView, Error> {
    let order = json!({"config": config, "repository": repository});
    let mut answer = client.post("projects", &order).await;
    for _ in 1..ORDER_TRIES {
        // The same product again is the same project: it may be added until the home answers.
        if !matches!(answer, Err(Error::Home { .. })) {
            break;
        }
        tokio::time::sleep(ORDER_PAUSE).await;
        answer = client.post("projects", &order).await;
    }
    match answer? {
        Answer::Project { project } => Ok(*project),
        Answer::Key { .. }
        | Answer::Bundle { .. }
        | Answer::Changed { .. }
        | Answer::Ordered { .. }
        | Answer::Redriven { .. }
        | Answer::Asked { .. }
        | Answer::Token { .. }
        | Answer::TokenKey { .. } => {
            let why = "the home answered with something else";
            Err(Error::unexpected("add a project", why))
        }
    }
}

/// Where apps report to: the home's address with the key before the host and the project behind the path.
fn dsn(home: &str, key: &str, project: ProjectId) -> String {
    let (scheme, rest) = home.split_once("://").unwrap_or(("https", home));
    format!("{scheme}://{key}@{rest}/{project}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsn_has_the_key_before_the_host() {
        let dsn = dsn("https://a.example/base", "0f", ProjectId(7));
        assert_eq!(dsn, "https://0f@a.example/base/7");
    }
}
