//! Everything of one home in AWS, opened together.

use crate::lazy::Lazy;
use crate::{DynamoStore, KmsSigner, RandomIds, S3Blobs, SqsQueues, SystemClock, Table};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_smithy_http_client::{Builder, tls};
use aws_types::SdkConfig;
use kintsugi_domain::ports::{Forge, Notifier, PortError, Ports, Web};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// How long one try of a call may take; longer than SQS lets a reader wait.
const ATTEMPT_TIME: Duration = Duration::from_secs(25);
/// How long a call may take with all its tries.
const CALL_TIME: Duration = Duration::from_mins(1);

/// The names of a home in AWS, as the template gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The DynamoDB table.
    pub table: String,
    /// The S3 bucket.
    pub bucket: String,
    /// What the names of the queues begin with: `kintsugi-prod-`.
    pub queue_prefix: String,
    /// What keys and secrets are named after: `prod`. Letters, digits, `-` and `_`.
    pub key_prefix: String,
    /// Days for which signed metadata is locked in the bucket, which must have Object Lock; nothing: it is not.
    pub retention_days: Option<u32>,
    /// How long a reader of a queue waits for a message. Functions are woken by SQS and never wait.
    pub receive_wait: Duration,
}

/// What a home needs and AWS does not give.
#[derive(Clone)]
pub struct Outside {
    /// The products' source.
    pub forge: Arc<dyn Forge>,
    /// Alerts to people.
    pub notifier: Arc<dyn Notifier>,
    /// Documents of other services.
    pub web: Arc<dyn Web>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

/// Where AWS is and who asks it, as Lambda puts both into a function's environment. No files, no profiles, no calls for
/// credentials: a function has none of them, and reading them would be part of each cold start.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub key: String,
    /// `AWS_SESSION_TOKEN`; a role's keys have one.
    pub session: Option<String>,
    /// `AWS_ENDPOINT_URL`: an emulator or a proxy instead of AWS's own addresses.
    pub endpoint: Option<String>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Access {
    fn config(self) -> SdkConfig {
        let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let credentials =
            Credentials::new(self.key_id, self.key, self.session, None, "the environment");
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(Builder::new().tls_provider(tls).build_https());
        config.set_endpoint_url(self.endpoint);
        config.build()
    }
}

/// The clients of the services. Making them connects to nothing; each is made when it is first used.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Records, counters, the outbox, parked messages.
    pub dynamodb: Lazy<aws_sdk_dynamodb::Client>,
    /// Queues.
    pub sqs: Lazy<aws_sdk_sqs::Client>,
    /// Alerts to people.
    pub sns: Lazy<aws_sdk_sns::Client>,
    /// Mail to people.
    pub ses: Lazy<aws_sdk_sesv2::Client>,
    /// Content.
    pub s3: Lazy<aws_sdk_s3::Client>,
    /// Signing keys.
    pub kms: Lazy<aws_sdk_kms::Client>,
    /// Symmetric secrets.
    pub secrets: Lazy<aws_sdk_secretsmanager::Client>,
}

impl Clients {
    /// Clients with that access.
    pub fn with_access(access: Access) -> Self {
        Self::later(Lazy::new(|| access.config()))
    }

    /// Clients of one configuration, which must bring an HTTP client: the services' crates have none built in.
    pub fn new(given: &SdkConfig) -> Self {
        let given = given.clone();
        Self::later(Lazy::new(|| given))
    }

    fn later(given: Lazy<SdkConfig>) -> Self {
        // A client of a configuration that does not wait for ever.
        fn patient<C: 'static>(given: &Lazy<SdkConfig>, make: fn(&SdkConfig) -> C) -> Lazy<C> {
            let given = given.clone();
            Lazy::new(move || {
                let patience = TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIME)
                    .operation_attempt_timeout(ATTEMPT_TIME)
                    .operation_timeout(CALL_TIME)
                    .build();
                let config = (*given).clone().into_builder().timeout_config(patience);
                make(&config.build())
            })
        }
        Self {
            dynamodb: patient(&given, aws_sdk_dynamodb::Client::new),
            sqs: patient(&given, aws_sdk_sqs::Client::new),
            sns: patient(&given, aws_sdk_sns::Client::new),
            kms: patient(&given, aws_sdk_kms::Client::new),
            secrets: patient(&given, aws_sdk_secretsmanager::Client::new),
            // A mail cannot be taken back, and SES does not know a second request for the first: who asks again after an
            // answer that did not come is the queue, once, and not the client, twice more each time.
            ses: patient(&given, |config| {
                let config = aws_sdk_sesv2::config::Builder::from(config);
                aws_sdk_sesv2::Client::from_conf(
                    config.retry_config(RetryConfig::disabled()).build(),
                )
            }),
            // Content may be long: for S3 there is no bound on a call, which ends when nothing moves any more. Another
            // endpoint than AWS's own is an emulator or a proxy, which has no name for each bucket.
            s3: Lazy::new(move || {
                let config = aws_sdk_s3::config::Builder::from(&*given)
                    .force_path_style(given.endpoint_url().is_some());
                aws_sdk_s3::Client::from_conf(config.build())
            }),
        }
    }
}

/// The ports of one home in AWS.
#[derive(Debug, Clone)]
pub struct Home {
    /// Records, counters and the outbox.
    pub store: DynamoStore,
    /// Queues.
    pub queues: SqsQueues,
    /// Content by key.
    pub blobs: S3Blobs,
    /// Private keys.
    pub signer: KmsSigner,
    /// The machine's clock.
    pub clock: SystemClock,
    /// The machine's randomness.
    pub ids: RandomIds,
    /// Forge, notifier and documents of others.
    pub outside: Outside,
}

impl Home {
    /// Opens a home. Connects to nothing yet and makes no client: a cold start pays only for the services that its first
    /// request needs.
    pub fn with(
        clients: &Clients,
        settings: &Settings,
        outside: Outside,
    ) -> Result<Self, PortError> {
        let clock = SystemClock;
        let mut blobs = S3Blobs::new(clients.s3.clone(), &settings.bucket);
        if let Some(days) = settings.retention_days {
            blobs = blobs.with_retention(days, Arc::new(clock));
        }
        let table = Table::new(clients.dynamodb.clone(), &settings.table);
        Ok(Self {
            store: DynamoStore::new(table.clone(), blobs.clone(), Arc::new(clock)),
            queues: SqsQueues::new(
                clients.sqs.clone(),
                table,
                blobs.clone(),
                &settings.queue_prefix,
                settings.receive_wait,
                Arc::new(clock),
            ),
            blobs,
            signer: KmsSigner::new(
                clients.kms.clone(),
                clients.secrets.clone(),
                &settings.key_prefix,
            )?,
            clock,
            ids: RandomIds,
            outside,
        })
    }

    /// All of them as the stages take them.
    pub fn ports(self) -> Ports {
        Ports {
            store: Arc::new(self.store),
            queues: Arc::new(self.queues),
            blobs: Arc::new(self.blobs),
            signer: Arc::new(self.signer),
            forge: self.outside.forge,
            notifier: self.outside.notifier,
            web: self.outside.web,
            clock: Arc::new(self.clock),
            ids: Arc::new(self.ids),
        }
    }
}
