//! From a function's environment to the ports of its home, the same for every function.
//!
//! | Variable | Meaning |
//! |---|---|
//! | `KINTSUGI_DATA` | the folder of a local home; when it is set, no other is read. Not in a deployed function, see below |
//! | `KINTSUGI_TABLE` | the DynamoDB table |
//! | `KINTSUGI_BUCKET` | the S3 bucket |
//! | `KINTSUGI_QUEUE_PREFIX` | what the names of the queues begin with |
//! | `KINTSUGI_KEY_PREFIX` | what keys and secrets are named after |
//!
//! Region and keys come from AWS's own variables, which Lambda sets: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
//! `AWS_SESSION_TOKEN`; `AWS_ENDPOINT_URL` names an emulator. No profiles and no files: a cold start reads none.
//!
//! The feature `local` (on by default) brings the local home, over which tests start functions. A deployed function is built
//! without it, so it carries no SQLite: `cargo lambda build`, and with it `sam build`, reads that in the workspace's
//! manifest (`workspace.metadata.lambda.build`).
//!
//! **The forge of both homes is the `git` program**, which the functions' runtime does not have: until there is a forge that
//! speaks to a host's API, the stages that change a product's source fail there, saying so, and try again.
//!
//! Not here: the programs that are no functions; `kintsugi` opens its local home itself.

use kintsugi_adapters_aws as aws;
use kintsugi_adapters_local as local;
use kintsugi_domain::ports::{PortError, Ports};
use kintsugi_runtime::{SettingError, Settings};
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

#[cfg_attr(
    not(feature = "local"),
    expect(
        clippy::unused_async,
        reason = "a home in AWS is opened without waiting"
    )
)]
async fn open_one(settings: &Settings) -> Result<Ports, OpenError> {
    #[cfg(feature = "local")]
    if let Some(folder) = settings
        .optional("KINTSUGI_DATA")
        .filter(|it| !it.is_empty())
    {
        let home = local::Home::open(std::path::Path::new(folder), None).await?;
        return Ok(home.ports());
    }
    let names = names(settings)?;
    let home = aws::Home::open(&names, access(settings)?, outside())?;
    Ok(home.ports())
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

/// What Lambda puts into every function's environment.
fn access(settings: &Settings) -> Result<aws::Access, SettingError> {
    let text = |name, meaning| settings.text(name, meaning).map(str::to_owned);
    let given = |name| {
        let value = settings.optional(name).filter(|value| !value.is_empty());
        value.map(str::to_owned)
    };
    Ok(aws::Access {
        region: text("AWS_REGION", "the region; Lambda sets it")?,
        key_id: text("AWS_ACCESS_KEY_ID", "the role's key; Lambda sets it")?,
        key: text(
            "AWS_SECRET_ACCESS_KEY",
            "the role's secret key; Lambda sets it",
        )?,
        session: given("AWS_SESSION_TOKEN"),
        endpoint: given("AWS_ENDPOINT_URL"),
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

    const AWS: [(&str, &str); 7] = [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDSAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "sample"),
        ("KINTSUGI_TABLE", "kintsugi-prod"),
        ("KINTSUGI_BUCKET", "kintsugi-prod-blobs"),
        ("KINTSUGI_QUEUE_PREFIX", "kintsugi-prod-"),
        ("KINTSUGI_KEY_PREFIX", "prod"),
    ];

    #[cfg(feature = "local")]
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

    #[tokio::test]
    async fn a_home_in_aws_is_opened_without_a_word_to_aws() {
        // Nobody listens there; a call would fail.
        let mut pairs = AWS.to_vec();
        pairs.push(("AWS_ENDPOINT_URL", "http://127.0.0.1:1"));
        let ports = open(&settings(&pairs)).await.unwrap();
        let error = ports.store.projects().await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }

    #[test]
    fn keys_are_not_shown() {
        let access = access(&settings(&AWS)).unwrap();
        assert!(!format!("{access:?}").contains("sample"));
        assert_eq!(access.session, None);
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
