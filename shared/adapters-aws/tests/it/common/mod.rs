//! AWS on loopback, and what the template would have made there.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use aws_sdk_s3::config::Credentials;
use aws_sdk_sqs::types::QueueAttributeName;
use kintsugi_adapters_aws::{Clients, S3Blobs, Table};
use kintsugi_domain::envelope::Queue;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const MISSING: &str = "KINTSUGI_TEST_AWS must name the program `ministack` of a virtual environment that has it and \
                       `cryptography`: run `cargo xtask test`, which makes one";

/// One emulator. It ends with this value, or with the process that holds it, whatever ends that.
pub(crate) struct Aws {
    pub(crate) clients: Clients,
    /// Its address.
    pub(crate) url: String,
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    child: Mutex<Child>,
    next: AtomicU32,
    _folder: TempDir,
}

impl Drop for Aws {
    fn drop(&mut self) {
        // Its state lies in memory and in our folder: nothing is lost.
        let mut child = self.child.lock().unwrap();
        child.kill().ok();
        child.wait().ok();
    }
}

fn line(from: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// Clients of what answers at an address.
pub(crate) async fn clients(url: &str) -> Clients {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(http)
        .load();
    Clients::new(&config.await)
}

impl Aws {
    #[expect(clippy::disallowed_methods, reason = "a test has no context.rs")]
    pub(crate) async fn start() -> Self {
        let program = PathBuf::from(std::env::var("KINTSUGI_TEST_AWS").expect(MISSING));
        let python = program.with_file_name("python");
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(python)
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/it/common/emulator.py"
            ))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect(MISSING);
        let talk = child.stdin.take().unwrap();
        let mut listen = BufReader::new(child.stdout.take().unwrap());
        let port: u16 = line(&mut listen).parse().expect(MISSING);
        let url = format!("http://127.0.0.1:{port}");
        Self {
            clients: clients(&url).await,
            url,
            talk: Mutex::new((talk, listen)),
            child: Mutex::new(child),
            next: AtomicU32::new(0),
            _folder: folder,
        }
    }

    /// Lets time pass for the emulator's queues.
    pub(crate) fn advance(&self, by: Duration) {
        let mut talk = self.talk.lock().unwrap();
        writeln!(talk.0, "advance {}", by.as_secs_f64()).unwrap();
        assert_eq!(line(&mut talk.1), "ok");
    }

    /// A name that was not used before.
    pub(crate) fn name(&self) -> String {
        format!("home-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Ends it, as if the network were cut.
    pub(crate) fn stop(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) async fn bucket(&self) -> S3Blobs {
        self.named_bucket().await.1
    }

    pub(crate) async fn named_bucket(&self) -> (String, S3Blobs) {
        let name = self.name();
        let create = self.clients.s3.create_bucket().bucket(&name);
        create.send().await.unwrap();
        let blobs = S3Blobs::new(self.clients.s3.clone(), &name);
        (name, blobs)
    }

    pub(crate) async fn table(&self) -> Table {
        let name = self.name();
        let key = |attribute: &str, key_type| {
            let element = KeySchemaElement::builder().attribute_name(attribute);
            element.key_type(key_type).build().unwrap()
        };
        let mut create = self.clients.dynamodb.create_table().table_name(&name);
        for attribute in ["pk", "sk", "by1", "by2"] {
            let definition = AttributeDefinition::builder()
                .attribute_name(attribute)
                .attribute_type(ScalarAttributeType::S);
            create = create.attribute_definitions(definition.build().unwrap());
        }
        for index in ["by1", "by2"] {
            let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly);
            let index = GlobalSecondaryIndex::builder()
                .index_name(index)
                .key_schema(key(index, KeyType::Hash))
                .key_schema(key("sk", KeyType::Range))
                .projection(keys_only.build());
            create = create.global_secondary_indexes(index.build().unwrap());
        }
        create
            .key_schema(key("pk", KeyType::Hash))
            .key_schema(key("sk", KeyType::Range))
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await
            .unwrap();
        let forget = TimeToLiveSpecification::builder()
            .attribute_name("expires")
            .enabled(true);
        self.clients
            .dynamodb
            .update_time_to_live()
            .table_name(&name)
            .time_to_live_specification(forget.build().unwrap())
            .send()
            .await
            .unwrap();
        Table::new(self.clients.dynamodb.clone(), name)
    }

    /// Queues, each with its dead-letter queue behind `deliveries_max` deliveries; returns what their names begin with.
    pub(crate) async fn queues(&self, deliveries_max: u32) -> String {
        let prefix = format!("{}-", self.name());
        let sqs = &self.clients.sqs;
        for queue in Queue::ALL {
            let name = format!("{prefix}{queue}");
            let dead = sqs.create_queue().queue_name(format!("{name}-dead"));
            let dead = dead.send().await.unwrap().queue_url.unwrap();
            let arn = sqs
                .get_queue_attributes()
                .queue_url(dead)
                .attribute_names(QueueAttributeName::QueueArn)
                .send()
                .await
                .unwrap()
                .attributes
                .unwrap()
                .remove(&QueueAttributeName::QueueArn)
                .unwrap();
            let policy = format!(
                "{{\"deadLetterTargetArn\":\"{arn}\",\"maxReceiveCount\":\"{deliveries_max}\"}}"
            );
            sqs.create_queue()
                .queue_name(&name)
                .attributes(QueueAttributeName::RedrivePolicy, policy)
                .send()
                .await
                .unwrap();
        }
        prefix
    }
}
