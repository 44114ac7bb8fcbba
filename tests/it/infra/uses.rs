//! Which ports the stages use, from their source, and which actions of AWS that takes.

use super::template::titled;
use crate::functions::reader;
use kintsugi_domain::envelope::Queue;
use std::collections::BTreeSet;

/// An action and the resource that it is allowed on.
pub(super) type Grant = (String, String);

/// What the function of a stage does beside reading and writing records and relaying the outbox, which all do.
pub(super) struct Uses {
    pub(super) stage: &'static str,
    /// Methods of ports; of the forge only that it is used.
    pub(super) methods: &'static [&'static str],
    /// The folder of the bucket that it reads or writes.
    folder: &'static str,
    /// The members of `KeyUse` that its keys and secrets have.
    pub(super) keys: &'static [&'static str],
    /// What it takes from other stages' modules.
    pub(super) borrows: &'static [&'static str],
}

const NOTHING: Uses = Uses {
    stage: "",
    methods: &[],
    folder: "",
    keys: &[],
    borrows: &[],
};

/// The stages that have a function.
pub(super) const STAGES: &[Uses] = &[
    Uses {
        stage: "ingest",
        // Attachments, beside the bodies of reports.
        methods: &["blobs.put", "signer.secret"],
        folder: "events",
        keys: &["Batches", "Users"],
        borrows: &["events::keep"],
    },
    Uses {
        stage: "triage",
        borrows: &["events::batch", "events::keep", "ingest::COUNTER"],
        ..NOTHING
    },
    Uses {
        stage: "diagnose",
        methods: &["forge"],
        borrows: &["events::sample"],
        ..NOTHING
    },
    Uses {
        stage: "fix",
        methods: &["forge"],
        borrows: &["events::sample", "work::done_message"],
        ..NOTHING
    },
    Uses {
        stage: "schedule",
        methods: &["forge"],
        ..NOTHING
    },
    Uses {
        stage: "bundle",
        ..NOTHING
    },
    Uses {
        stage: "sign",
        methods: &[
            "blobs.digest",
            "blobs.get",
            "blobs.length",
            "blobs.put",
            "forge",
            "signer.public_key",
            "signer.sign",
        ],
        folder: "tuf",
        keys: &["Root", "Snapshot", "Targets", "Timestamp"],
        ..NOTHING
    },
    Uses {
        stage: "rollout",
        ..NOTHING
    },
    Uses {
        stage: "rollback",
        // By the grant that it borrows.
        methods: &["signer.public_key", "signer.sign"],
        keys: &["Targets"],
        borrows: &["sign::grant"],
        ..NOTHING
    },
    Uses {
        stage: "outcomes",
        methods: &["signer.secret"],
        keys: &["Tickets", "Users"],
        ..NOTHING
    },
    Uses {
        stage: "manifest",
        methods: &["blobs.get", "signer.secret"],
        folder: "tuf",
        keys: &["Tickets"],
        ..NOTHING
    },
    Uses {
        stage: "flags",
        ..NOTHING
    },
    Uses {
        stage: "notify",
        methods: &["notifier.notify"],
        ..NOTHING
    },
    Uses {
        stage: "admin",
        methods: &[
            "blobs.download_link",
            "blobs.get",
            "blobs.length",
            "blobs.put",
            "blobs.upload_link",
            "forge",
            "queues.done",
            "queues.extend",
            "queues.park",
            "queues.parked",
            "queues.receive",
            "queues.redrive",
            "queues.retry",
            "signer.public_key",
            "signer.secret",
            "signer.sign",
        ],
        // What runners read and write.
        folder: "tuf/*/targets",
        keys: &["Leases", "Tokens"],
        borrows: &[
            "events::filed",
            "ingest::COUNTER",
            "schedule::Plan",
            "schedule::next_build",
            "schedule::plan",
        ],
    },
];

/// What is borrowed, with the methods and keys that come with it.
pub(super) const BORROWED: &[(&str, &[&str], &[&str])] = &[
    // Bodies of reports: their folder is `BODIES`.
    ("events::batch", &[], &[]),
    ("events::filed", &[], &[]),
    ("events::keep", &[], &[]),
    ("events::sample", &[], &[]),
    ("ingest::COUNTER", &[], &[]),
    ("schedule::Plan", &[], &[]),
    ("schedule::next_build", &[], &[]),
    ("schedule::plan", &[], &[]),
    (
        "sign::grant",
        &["signer.public_key", "signer.sign"],
        &["Targets"],
    ),
    ("work::done_message", &[], &[]),
];

/// The calls of `shared/adapters-aws`, and the actions that each takes. A transaction takes those of its parts.
pub(super) const CALLS: &[(&str, &[&str])] = &[
    ("batch_get_item", &["dynamodb:BatchGetItem"]),
    (
        "change_message_visibility",
        &["sqs:ChangeMessageVisibility"],
    ),
    ("create_alias", &["kms:CreateAlias"]),
    ("create_key", &["kms:CreateKey", "kms:TagResource"]),
    ("create_secret", &["secretsmanager:CreateSecret"]),
    ("delete_item", &["dynamodb:DeleteItem"]),
    ("delete_message", &["sqs:DeleteMessage"]),
    ("get_item", &["dynamodb:GetItem"]),
    ("get_object", &["s3:GetObject", "s3:ListBucket"]),
    ("get_public_key", &["kms:GetPublicKey"]),
    // Asked for by no function's stage; Lambda's own reader asks.
    ("get_queue_attributes", &["sqs:GetQueueAttributes"]),
    ("get_queue_url", &["sqs:GetQueueUrl"]),
    ("get_secret_value", &["secretsmanager:GetSecretValue"]),
    ("head_object", &["s3:GetObject", "s3:ListBucket"]),
    ("put_item", &["dynamodb:PutItem"]),
    ("publish", &["sns:Publish"]),
    ("put_object", &["s3:PutObject", "s3:PutObjectRetention"]),
    ("query", &["dynamodb:Query"]),
    ("receive_message", &["sqs:ReceiveMessage"]),
    ("schedule_key_deletion", &["kms:ScheduleKeyDeletion"]),
    ("send_email", &["ses:SendEmail"]),
    ("send_message_batch", &["sqs:SendMessage"]),
    ("sign", &["kms:Sign"]),
    (
        "transact_write_items",
        &["dynamodb:PutItem", "dynamodb:UpdateItem"],
    ),
];

/// Actions that no call of ours takes: encryption by the services, logs.
pub(super) const OF_SERVICES: &[&str] = &[
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
];

/// What all KMS keys of the account and region match.
pub(super) const ANY_KEY: &str = "arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*";

/// The identity that mails come from.
const MAIL_IDENTITY: &str =
    "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:identity/${AlertMailIdentity}";

fn on(actions: &[&str], resource: &str) -> Vec<Grant> {
    let grant = |action: &&str| ((*action).to_owned(), resource.to_owned());
    actions.iter().map(grant).collect()
}

/// What stands in the name of a key for its use: `root-*`, because roots have numbers, and `tokens*`, because keys that can
/// be replaced have one from the second on.
fn use_in_name(key: &str) -> String {
    match key.to_lowercase().as_str() {
        "root" => "root-*".to_owned(),
        name @ ("tokens" | "targets" | "snapshot" | "timestamp") => format!("{name}*"),
        name => name.to_owned(),
    }
}

/// Whether the keys of a use are secrets, which lie in Secrets Manager, and not signing keys.
fn is_secret(key: &str) -> bool {
    ["Batches", "Leases", "Tickets", "Users"].contains(&key)
}

/// Aliases of the keys that a stage signs with.
pub(super) fn aliases(uses: &Uses) -> Vec<String> {
    let keys = uses.keys.iter().filter(|key| !is_secret(key));
    let keys = keys.map(|key| use_in_name(key));
    keys.map(|key| format!("alias/kintsugi-${{HomeName}}-*-{key}"))
        .collect()
}

/// The folder of the bodies of reports.
const BODIES: &str = "events";

fn objects(folder: &str, reads: bool, writes: bool) -> Vec<Grant> {
    let objects = format!("${{Bucket.Arn}}/{folder}/*");
    let mut grants = Vec::new();
    if writes {
        grants.extend(on(&["s3:PutObject"], &objects));
    }
    if reads {
        grants.extend(on(&["s3:GetObject"], &objects));
        // Without it S3 says of a missing object that it is forbidden.
        grants.extend(on(&["s3:ListBucket"], "${Bucket.Arn}"));
    }
    grants
}

impl Uses {
    fn method(&self, name: &str) -> bool {
        self.methods.contains(&name)
    }

    /// What the role of its function holds of its own.
    pub(super) fn grants(&self) -> BTreeSet<Grant> {
        let logs = format!("${{{}Logs.Arn}}", titled(self.stage));
        let mut grants = on(&["logs:CreateLogStream", "logs:PutLogEvents"], &logs);
        for queue in Queue::ALL {
            let name = titled(queue.name());
            if reader(queue) == Some(self.stage) {
                // Lambda reads the queue by the function's role.
                let read = [
                    "sqs:ReceiveMessage",
                    "sqs:DeleteMessage",
                    "sqs:GetQueueAttributes",
                ];
                grants.extend(on(&read, &format!("${{{name}Queue.Arn}}")));
            }
            // The one queue that a function reads itself: it hands jobs out to runners.
            if self.method("queues.receive") && queue == Queue::Jobs {
                let hand_out = [
                    "sqs:ReceiveMessage",
                    "sqs:DeleteMessage",
                    "sqs:ChangeMessageVisibility",
                ];
                grants.extend(on(&hand_out, &format!("${{{name}Queue.Arn}}")));
            }
            if self.method("queues.parked") || self.method("queues.redrive") {
                let collect = ["sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage"];
                grants.extend(on(&collect, &format!("${{{name}Dead.Arn}}")));
            }
        }
        let any = |names: &[&str]| names.iter().any(|it| self.method(it));
        let reads = any(&["blobs.get", "blobs.length", "blobs.digest"]);
        grants.extend(objects(self.folder, reads, self.method("blobs.put")));
        let any = |names: &[&str]| names.iter().any(|it| self.borrows.contains(it));
        let reads = any(&["events::batch", "events::filed", "events::sample"]);
        grants.extend(objects(BODIES, reads, any(&["events::keep"])));
        // Who signs locks what it has signed.
        if self.keys.contains(&"Timestamp") {
            let metadata = format!("${{Bucket.Arn}}/{}/*/metadata/*", self.folder);
            grants.extend(on(&["s3:PutObjectRetention"], &metadata));
        }
        if self.method("notifier.notify") {
            grants.extend(on(&["sns:Publish"], "${AlertTopic}"));
            grants.extend(on(&["ses:SendEmail"], MAIL_IDENTITY));
        }
        grants.extend(self.secrets());
        grants.extend(self.signatures());
        grants.into_iter().collect()
    }

    fn secrets(&self) -> Vec<Grant> {
        let home = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:kintsugi/${HomeName}";
        let mut grants = Vec::new();
        if self.method("forge") {
            let read = ["secretsmanager:GetSecretValue"];
            grants.extend(on(&read, &format!("{home}/forge*")));
        }
        if self.method("signer.secret") {
            let actions = [
                "secretsmanager:GetSecretValue",
                "secretsmanager:CreateSecret",
            ];
            for key in self.keys.iter().filter(|key| is_secret(key)) {
                let resource = format!("{home}/*/{}*", use_in_name(key));
                grants.extend(on(&actions, &resource));
            }
        }
        grants
    }

    fn signatures(&self) -> Vec<Grant> {
        if !self.method("signer.sign") {
            return Vec::new();
        }
        let mut grants = on(&["kms:Sign", "kms:GetPublicKey"], ANY_KEY);
        // Who only borrows a key must find it there: one that is drawn anew is trusted by nobody.
        if self.borrows.contains(&"sign::grant") {
            return grants;
        }
        let make = [
            "kms:CreateAlias",
            "kms:ScheduleKeyDeletion",
            "kms:TagResource",
        ];
        grants.extend(on(&["kms:CreateKey"], "*"));
        grants.extend(on(&make, ANY_KEY));
        for alias in aliases(self) {
            let alias =
                format!("arn:${{AWS::Partition}}:kms:${{AWS::Region}}:${{AWS::AccountId}}:{alias}");
            grants.extend(on(&["kms:CreateAlias"], &alias));
        }
        grants
    }
}

/// What every role holds: records, bodies too long for the table, the relay of the outbox, encryption.
pub(super) fn of_all() -> BTreeSet<Grant> {
    let records = [
        "dynamodb:BatchGetItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
    ];
    let mut grants = on(&records, "${Table.Arn}");
    for index in ["by1", "by2"] {
        let index = format!("${{Table.Arn}}/index/{index}");
        grants.extend(on(&["dynamodb:Query"], &index));
    }
    for folder in ["~records", "~messages"] {
        let bodies = format!("${{Bucket.Arn}}/{folder}/*");
        grants.extend(on(&["s3:GetObject", "s3:PutObject"], &bodies));
    }
    for queue in Queue::ALL {
        let queue = format!("${{{}Queue.Arn}}", titled(queue.name()));
        grants.extend(on(&["sqs:GetQueueUrl", "sqs:SendMessage"], &queue));
    }
    grants.extend(on(
        &["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
        "*",
    ));
    grants.extend(on(
        &["kms:Decrypt", "kms:GenerateDataKey"],
        "${DataKey.Arn}",
    ));
    grants.into_iter().collect()
}
