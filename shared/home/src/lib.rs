//! From a function's environment to the ports of its home, the same for every function.
//!
//! | Variable | Meaning |
//! |---|---|
//! | `KINTSUGI_DATA` | the folder of a local home; when it is set, no other is read |
//! | `KINTSUGI_TABLE` | the DynamoDB table |
//! | `KINTSUGI_BUCKET` | the S3 bucket |
//! | `KINTSUGI_QUEUE_PREFIX` | what the names of the queues begin with |
//! | `KINTSUGI_KEY_PREFIX` | what keys and secrets are named after |
//!
//! Region, credentials and endpoint come from AWS's own variables.
//!
//! **The forge of both homes is the `git` program**, which the functions' runtime does not have: until there is a forge that
//! speaks to a host's API, the stages that change a product's source fail there, saying so, and try again.
//!
//! Not here: the programs that are no functions; `kintsugi` opens its local home itself.

use kintsugi_adapters_aws as aws;
use kintsugi_adapters_local as local;
use kintsugi_domain::ports::{PortError, Ports};
use kintsugi_runtime::{SettingError, Settings};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Why a home cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The environment does not say what it must.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The home is not usable.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl OpenError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setting(error) => error.code(),
            Self::Port(_) => "home.unusable",
        }
    }
}

/// Opens the home that the environment names.
///
/// A boxed future, so that what it does is compiled once and not in every function anew.
pub fn open(
    settings: &Settings,
) -> Pin<Box<dyn Future<Output = Result<Ports, OpenError>> + Send + '_>> {
    Box::pin(open_one(settings))
}

async fn open_one(settings: &Settings) -> Result<Ports, OpenError> {
    match settings.optional("KINTSUGI_DATA") {
        Some(folder) if !folder.is_empty() => {
            let home = local::Home::open(Path::new(folder), None).await?;
            Ok(home.ports())
        }
        Some(_) | None => {
            let names = names(settings)?;
            let home = aws::Home::open(&names, outside()).await?;
            Ok(home.ports())
        }
    }
}

/// The names of a home in AWS, each of which must be set.
fn names(settings: &Settings) -> Result<aws::Settings, SettingError> {
    let text = |name, meaning| settings.text(name, meaning).map(str::to_owned);
    Ok(aws::Settings {
        table: text("KINTSUGI_TABLE", "the DynamoDB table")?,
        bucket: text("KINTSUGI_BUCKET", "the S3 bucket")?,
        queue_prefix: text(
            "KINTSUGI_QUEUE_PREFIX",
            "what the names of the queues begin with",
        )?,
        key_prefix: text(
            "KINTSUGI_KEY_PREFIX",
            "what keys and secrets are named after",
        )?,
        // A function is woken by SQS with its messages in hand.
        receive_wait: Duration::ZERO,
    })
}

/// What AWS does not give: the same as at home.
fn outside() -> aws::Outside {
    aws::Outside {
        forge: Arc::new(local::GitForge::new()),
        notifier: Arc::new(local::WebhookNotifier::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    }

    const AWS: [(&str, &str); 4] = [
        ("KINTSUGI_TABLE", "kintsugi-prod"),
        ("KINTSUGI_BUCKET", "kintsugi-prod-blobs"),
        ("KINTSUGI_QUEUE_PREFIX", "kintsugi-prod-"),
        ("KINTSUGI_KEY_PREFIX", "prod"),
    ];

    #[tokio::test]
    async fn a_data_folder_is_a_local_home_whatever_else_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let mut pairs = AWS.to_vec();
        pairs.push(("KINTSUGI_DATA", folder.path().to_str().unwrap()));
        let ports = open(&settings(&pairs)).await.unwrap();
        assert!(ports.store.projects().await.unwrap().is_empty());
        assert!(folder.path().join("home.db").exists());
    }

    #[tokio::test]
    async fn each_missing_name_of_a_home_in_aws_is_told() {
        for left_out in 0..AWS.len() {
            let mut pairs = AWS.to_vec();
            let (name, _) = pairs.remove(left_out);
            let error = open(&settings(&pairs)).await.unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert_eq!(error.code(), "setting.missing");
        }
    }

    #[test]
    fn the_names_are_those_of_the_environment() {
        let names = names(&settings(&AWS)).unwrap();
        assert_eq!(names.table, "kintsugi-prod");
        assert_eq!(names.bucket, "kintsugi-prod-blobs");
        assert_eq!(names.queue_prefix, "kintsugi-prod-");
        assert_eq!(names.key_prefix, "prod");
    }
}
