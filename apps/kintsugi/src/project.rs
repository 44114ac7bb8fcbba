//! A product's `kintsugi.toml`, and the product that a home takes care of because of it.

use crate::error::Error;
use crate::operator::Operator;
use kintsugi_app::admin::{Action, Answer};
use kintsugi_domain::config::Config;
use kintsugi_domain::project::Project;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file's name in a product's repository.
pub const CONFIG_FILE: &str = "kintsugi.toml";
/// A larger file is none of ours, bytes.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// A product as its files describe it.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Its configuration.
    pub config: Config,
    /// Its repository, absolute; none where the file is in no repository, so reports are all it can do.
    pub repository: Option<PathBuf>,
}

/// Reads and checks a `kintsugi.toml`.
pub fn read_config(file: &Path) -> Result<Config, Error> {
    let failed = |why: String| Error::File {
        act: "read",
        path: file.to_owned(),
        why,
    };
    let length = match fs::metadata(file) {
        Ok(found) if found.is_file() => found.len(),
        Ok(_) => return Err(failed("it is not a file".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NoConfig {
                path: file.to_owned(),
            });
        }
        Err(error) => return Err(failed(error.to_string())),
    };
    if length > CONFIG_BYTES_MAX {
        return Err(failed(format!(
            "it has {length} bytes, a configuration has at most {CONFIG_BYTES_MAX}"
        )));
    }
    let text = fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    Ok(Config::parse(&file.display().to_string(), &text)?)
}

/// Reads a product from its `kintsugi.toml`, or from the folder that has one.
pub fn read(path: &Path) -> Result<Product, Error> {
    let file = if path.is_dir() {
        path.join(CONFIG_FILE)
    } else {
        path.to_owned()
    };
    let config = read_config(&file)?;
    let absolute = fs::canonicalize(&file).map_err(|error| Error::File {
        act: "read",
        path: file,
        why: error.to_string(),
    })?;
    let folder = absolute
        .parent()
        .filter(|folder| folder.join(".git").exists());
    Ok(Product {
        config,
        repository: folder.map(Path::to_owned),
    })
}

/// Has a home take care of a product: adds it, or brings what the home knows of it up to date. The same
/// product on every start is one project with one DSN. Returns what people should know, if its own rules say that a change of
/// its configuration needs a second person.
pub(crate) async fn add(operator: &Operator, product: Product) -> Result<Option<String>, Error> {
    let name = product.config.product.name.clone();
    let repository = product
        .repository
        .map(|folder| folder.display().to_string());
    let action = Action::AddProject {
        config: Box::new(product.config),
        repository,
    };
    match operator.order(action).await? {
        Answer::Project { .. } => Ok(None),
        Answer::Asked { request, .. } => Ok(Some(format!(
            "the configuration of {name} changed and waits for a second person (request {request}); the former one holds until then"
        ))),
        Answer::Key { .. }
        | Answer::Bundle { .. }
        | Answer::Changed { .. }
        | Answer::Ordered { .. }
        | Answer::Redriven { .. }
        | Answer::Token { .. }
        | Answer::TokenKey { .. } => {
            let why = "the admin stage answered with something else";
            Err(Error::unexpected("add a project", &why))
        }
    }
}

/// The DSN that a product's apps report to; none for a project without keys.
pub fn dsn(project: &Project, address: std::net::SocketAddr) -> Option<String> {
    let key = project.keys.first()?;
    Some(format!("http://{key}@{address}/{}", project.id))
}
