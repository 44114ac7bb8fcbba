//! From a function's environment to the ports of its home, the same for every function.
//!
//! | Variable | Meaning |
//! |---|---|
//! | `KINTSUGI_DATA` | the folder of a local home; when it is set, only the next is read. Not in a deployed function, see below |
//! | `KINTSUGI_GIT_CREDENTIALS` | the file with a local home's credentials for git hosts; may be missing |
//! | `KINTSUGI_TABLE` | the DynamoDB table |
//! | `KINTSUGI_BUCKET` | the S3 bucket |
//! | `KINTSUGI_QUEUE_PREFIX` | what the names of the queues begin with |
//! | `KINTSUGI_KEY_PREFIX` | what keys and secrets are named after |
//! | `KINTSUGI_RETENTION_DAYS` | for how many days signed metadata is locked in the bucket; may be missing |
//! | `KINTSUGI_ALERT_TOPIC` | the SNS topic for alerts, an ARN; may be missing |
//! | `KINTSUGI_ALERT_MAIL_FROM` | who mails alerts, an address of an identity that SES has verified; may be missing |
//! | `KINTSUGI_ALERT_MAIL_TO` | whom, addresses with a comma between; must be there when the sender is |
//! | `KINTSUGI_HOME_URL` | the home's address, for links in mails; may be missing |
//!
//! Region and keys come from AWS's own variables, which Lambda sets: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
//! `AWS_SESSION_TOKEN`; `AWS_ENDPOINT_URL` names an emulator. No profiles and no files: a cold start reads none.
//!
//! The feature `local` (on by default) brings the local home, over which tests start functions. A deployed function is built
//! without it, so it carries no SQLite: `cargo lambda build`, and with it `sam build`, reads that in the workspace's
//! manifest (`workspace.metadata.lambda.build`).
//!
//! **The forge of both homes is [`Forges`]**: folders through the `git` program, hosts by git's smart HTTP protocol, which needs
//! no program. A home in AWS takes its credentials for git hosts from the secret `kintsugi/<key prefix>/forge`, a local home
//! from the file `KINTSUGI_GIT_CREDENTIALS`; both hold the lines of `git-credential-store`.
//!
//! Not here: the programs that are no functions; `kintsugi` opens its local home itself.

use async_trait::async_trait;
use kintsugi_adapters_aws as aws;
use kintsugi_adapters_git::{Credential, Credentials, Forges, StoredCredentials};
use kintsugi_adapters_local as local;
use kintsugi_domain::ports::{PortError, Ports};
use kintsugi_runtime::{SettingError, Settings};
#[cfg(feature = "local")]
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
        let home = local::Home::open(Path::new(folder), None).await?;
        let file = settings.optional("KINTSUGI_GIT_CREDENTIALS");
        let file = file.filter(|it| !it.is_empty()).map(Path::new);
        return Ok(home.with_forge(Forges::with_credential_file(file)).ports());
    }
    let names = names(settings)?;
    let clients = aws::Clients::with_access(access(settings)?);
    let outside = outside(&clients, &names, topic(settings), mail(settings)?);
    let home = aws::Home::with(&clients, &names, outside)?;
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
        retention_days: retention_days(settings)?,
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

/// For how long signed metadata is locked; only the function that signs is told.
fn retention_days(settings: &Settings) -> Result<Option<u32>, SettingError> {
    let days = settings.optional("KINTSUGI_RETENTION_DAYS");
    let days = days.filter(|it| !it.is_empty()).map(str::parse);
    days.transpose().map_err(|_| SettingError::Unreadable {
        name: "KINTSUGI_RETENTION_DAYS",
        meaning: "a number of days",
    })
}

/// The topic for alerts; only the function that tells people is given one.
fn topic(settings: &Settings) -> Option<String> {
    let topic = settings.optional("KINTSUGI_ALERT_TOPIC");
    topic.filter(|it| !it.is_empty()).map(str::to_owned)
}

/// Who mails alerts to whom; only the function that tells people is told.
fn mail(settings: &Settings) -> Result<Option<aws::Mail>, SettingError> {
    let given = |name| settings.optional(name).filter(|it| !it.is_empty());
    let Some(from) = given("KINTSUGI_ALERT_MAIL_FROM") else {
        return Ok(None);
    };
    let meaning = "1 to 10 addresses with a comma between";
    let name = "KINTSUGI_ALERT_MAIL_TO";
    let to = settings.text(name, meaning)?;
    let to: Vec<String> = to.split(',').map(|it| it.trim().to_owned()).collect();
    if to.len() > aws::mail::RECIPIENTS_MAX || to.iter().any(|it| !it.contains('@')) {
        return Err(SettingError::Unreadable { name, meaning });
    }
    Ok(Some(aws::Mail {
        from: from.to_owned(),
        to,
        home: given("KINTSUGI_HOME_URL").map(|it| it.trim_end_matches('/').to_owned()),
    }))
}

/// What AWS does not give: the same as at home, but for where the credentials lie, and that a home in AWS has a topic and mails.
fn outside(
    clients: &aws::Clients,
    names: &aws::Settings,
    topic: Option<String>,
    mail: Option<aws::Mail>,
) -> aws::Outside {
    let name = format!("kintsugi/{}/forge", names.key_prefix);
    let clock = Arc::new(aws::SystemClock);
    let secret = aws::SecretText::new(clients.secrets.clone(), &name, clock);
    aws::Outside {
        forge: Arc::new(Forges::new(Arc::new(SecretCredentials(secret)))),
        notifier: Arc::new(aws::TopicNotifier::new(
            clients.sns.clone(),
            topic,
            Arc::new(aws::MailNotifier::new(
                clients.ses.clone(),
                mail,
                Arc::new(local::WebhookNotifier::new()),
            )),
        )),
        web: Arc::new(local::WebDocuments::new(Arc::new(aws::SystemClock))),
    }
}

/// The credentials for git hosts in a secret; without the secret there are none.
#[derive(Debug)]
struct SecretCredentials(aws::SecretText);

#[async_trait]
impl Credentials for SecretCredentials {
    async fn of(&self, host: &str) -> Result<Option<Credential>, PortError> {
        let text = self.0.read().await?.unwrap_or_default();
        Ok(StoredCredentials::parse(&text)?.get(host).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kintsugi_testkit::git_http::GitHttp;

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
    async fn a_local_home_takes_its_git_credentials_from_the_file_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let host = GitHttp::of(folder.path()).login("ada", "secret");
        let host = host.serve().unwrap();
        let line = format!("http://ada:secret@{}", host.host());
        std::fs::write(path("credentials"), line).unwrap();
        let (data, file) = (path("data"), path("credentials"));
        let mut pairs = vec![("KINTSUGI_DATA", data.as_str())];
        for (file, words) in [("", "none is stored"), (&file, "no such repository")] {
            pairs.push(("KINTSUGI_GIT_CREDENTIALS", file));
            let ports = open(&settings(&pairs)).await.unwrap();
            let answer = ports.forge.head(&host.url("none.git"), "main").await;
            let told = answer.unwrap_err().to_string();
            assert!(told.contains(words), "{told}");
        }
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
    fn who_mails_says_to_whom_and_who_does_not_is_told_nothing() {
        let told = |pairs: &[(&str, &str)]| mail(&settings(pairs));
        let from = ("KINTSUGI_ALERT_MAIL_FROM", "kintsugi@example.org");
        let to = |to| ("KINTSUGI_ALERT_MAIL_TO", to);
        assert_eq!(told(&[]).unwrap(), None);
        // As the template says it of a home that mails nobody.
        let empty = [("KINTSUGI_ALERT_MAIL_FROM", ""), to("")];
        assert_eq!(told(&empty).unwrap(), None);
        let home = ("KINTSUGI_HOME_URL", "https://home.example.org/");
        let found = told(&[from, to("ops@example.org, dev@example.org"), home]);
        let found = found.unwrap().unwrap();
        assert_eq!(found.from, "kintsugi@example.org");
        assert_eq!(found.to, ["ops@example.org", "dev@example.org"]);
        assert_eq!(found.home.unwrap(), "https://home.example.org");
        assert_eq!(told(&[from]).unwrap_err().code(), "setting.missing");
        let many = ["ops@example.org"; 11].join(",");
        for to_whom in [&*many, "ops", "ops@example.org,"] {
            let error = told(&[from, to(to_whom)]).unwrap_err();
            assert_eq!(error.code(), "setting.unreadable", "{to_whom}");
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
