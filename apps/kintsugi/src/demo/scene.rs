//! What must be there before the story starts: the product, its repository, the client library, the
//! project in the home.

use super::reporter::Reporter;
use super::sample::{Repository, Sample};
use super::tell::Teller;
use crate::error::Error;
use crate::home::LocalHome;
use crate::operator::Operator;
use crate::project::{self, Product};
use crate::tools;
use kintsugi_app::admin::{Action, Answer};
use kintsugi_domain::id::ProjectId;
use kintsugi_sandbox::python_toolchain;
use std::path::{Path, PathBuf};

/// Everything the story needs.
pub(super) struct Scene {
    /// Where everything is.
    pub(super) folder: PathBuf,
    pub(super) sample: Sample,
    pub(super) repository: Repository,
    pub(super) reporter: Reporter,
    pub(super) python: PathBuf,
    pub(super) project: ProjectId,
    pub(super) channel: String,
    pub(super) dsn: String,
    operator: Operator,
}

impl Scene {
    pub(super) async fn set(
        sample: Option<&Path>,
        folder: &Path,
        home: &LocalHome,
        teller: &Teller,
    ) -> Result<Self, Error> {
        tools::git()?;
        let python = python_toolchain().map_err(|error| Error::Tool {
            name: "python3",
            why: error.to_string(),
        })?;
        let sample = match sample {
            Some(folder) => Sample::at(folder)?,
            None => Sample::unpack(&folder.join("sample"))?,
        };
        let repository = sample.make_repository(folder)?;
        let config = project::read_config(&sample.path("product/kintsugi.toml"))?;
        let channel = config.trains.channel.clone();
        teller.step(&format!(
            "the sample product “{}” is a git repository with its history",
            config.product.name
        ));
        let reporter = Reporter::install(&python.program, folder)?;
        teller.step("sentry-sdk is installed from PyPI, unmodified");
        let operator = Operator::of(&home.ports, "kintsugi demo").await?;
        let product = Product {
            config,
            repository: Some(repository.bare.clone()),
        };
        let project = project::add(&operator, product).await?;
        home.wake();
        let key = project.keys.first().map(ToString::to_string);
        let key = key.unwrap_or_default();
        Ok(Self {
            folder: folder.to_owned(),
            sample,
            repository,
            reporter,
            python: python.program,
            project: project.id,
            channel,
            dsn: format!("http://{key}@{}/{}", home.address, project.id),
            operator,
        })
    }

    /// Has an action done, as an admin.
    pub(super) async fn order(&self, action: Action) -> Result<Answer, Error> {
        self.operator.order(action).await
    }
}
