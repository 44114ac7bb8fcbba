//! The template of the AWS home against what it is the home of: functions, queues, routes, schedules, permissions.

#![expect(clippy::unwrap_used, reason = "test code")]

mod alarms;
mod builds;
mod checks;
mod parameters;
mod routes;
mod services;
mod source;
mod template;
mod uses;

use crate::functions::{reader, samples};
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::limits::DELIVERIES_MAX;
use kintsugi_domain::record::Kind;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use template::{Template, text, texts, titled};
use uses::{ANY_KEY, CALLS, Grant, OF_SERVICES, STAGES};

/// The events of a type that wake a function.
fn events<'t>(template: &'t Template, stage: &str, kind: &str) -> Vec<&'t Value> {
    let pointer = format!("/Resources/{}Function/Properties/Events", titled(stage));
    let events = template.at(&pointer).as_object().unwrap().values();
    events
        .filter(|event| event.get("Type").is_some_and(|it| it == kind))
        .map(|event| event.get("Properties").unwrap())
        .collect()
}

/// The alarms that watch a metric of a queue, by the text of its name.
fn watched(template: &Template, metric: &str) -> BTreeSet<String> {
    let alarms = template.of_type("AWS::CloudWatch::Alarm");
    alarms
        .values()
        .map(|alarm| alarm.get("Properties").unwrap())
        .filter(|alarm| alarm.get("MetricName").is_some_and(|it| it == metric))
        .filter(|alarm| {
            let actions = alarm.get("AlarmActions");
            actions.is_some_and(|it| texts(it) == ["${AlarmTopic}"])
        })
        .map(|alarm| text(alarm.pointer("/Dimensions/0/Value").unwrap()))
        .collect()
}

#[test]
fn every_function_folder_has_its_function_and_no_other_has() {
    let template = Template::read();
    let functions = template.of_type("AWS::Serverless::Function");
    let folders = samples::functions();
    let expected: BTreeSet<String> = folders.iter().map(|it| titled(it) + "Function").collect();
    let there: BTreeSet<String> = functions.keys().map(ToString::to_string).collect();
    assert_eq!(there, expected);
    let errors = watched(&template, "Errors");
    let throttles = watched(&template, "Throttles");
    for stage in &folders {
        let function = functions.get(&*(titled(stage) + "Function")).unwrap();
        let at = |pointer| text(function.pointer(pointer).unwrap_or(&Value::Null));
        assert_eq!(at("/Properties/CodeUri"), format!("../functions/{stage}"));
        assert_eq!(at("/Metadata/BuildMethod"), "rust-cargolambda", "{stage}");
        assert_eq!(at("/Metadata/BuildProperties/Binary"), **stage);
        assert_eq!(
            at("/Properties/Role"),
            format!("${{{}Role.Arn}}", titled(stage))
        );
        assert_eq!(
            at("/Properties/LoggingConfig/LogGroup"),
            format!("${{{}Logs}}", titled(stage))
        );
        let name = format!("kintsugi-${{HomeName}}-{stage}");
        assert_eq!(at("/Properties/FunctionName"), name);
        assert!(
            errors.contains(&name) && throttles.contains(&name),
            "{stage}"
        );
    }
}

#[test]
fn functions_are_told_the_names_of_what_they_work_with() {
    let template = Template::read();
    let variables = template.at("/Globals/Function/Environment/Variables");
    let told: BTreeMap<&str, String> = variables
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), text(value)))
        .collect();
    let expected = BTreeMap::from([
        ("KINTSUGI_TABLE", "${Table}".to_owned()),
        ("KINTSUGI_BUCKET", "${Bucket}".to_owned()),
        ("KINTSUGI_QUEUE_PREFIX", "kintsugi-${HomeName}-".to_owned()),
        ("KINTSUGI_KEY_PREFIX", "${HomeName}".to_owned()),
        ("KINTSUGI_LOG", "${LogLevel}".to_owned()),
    ]);
    assert_eq!(told, expected);
    for stage in samples::functions() {
        let pointer = format!("/Resources/{}Function/Properties", titled(&stage));
        let own = template.at(&pointer).pointer("/Environment/Variables");
        let own: BTreeMap<&str, String> = own
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), text(value)))
            .collect();
        let expected = match &*stage {
            "notify" => &[
                ("KINTSUGI_ALERT_TOPIC", "${AlertTopic}"),
                ("KINTSUGI_ALERT_MAIL_FROM", "${AlertMailFrom}"),
                ("KINTSUGI_ALERT_MAIL_TO", "${AlertMailTo}"),
                (
                    "KINTSUGI_HOME_URL",
                    "https://${HttpApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}",
                ),
            ][..],
            "sign" => &[("KINTSUGI_RETENTION_DAYS", "${MetadataDays}")],
            _ => &[],
        };
        let expected = expected
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        assert_eq!(own, expected.collect(), "{stage}");
    }
}

#[test]
fn every_queue_has_its_dead_letter_queue_and_the_alarms_of_both() {
    let template = Template::read();
    let queues = template.of_type("AWS::SQS::Queue");
    assert_eq!(queues.len(), 2 * Queue::ALL.len());
    let dead_letters = watched(&template, "ApproximateNumberOfMessagesVisible");
    let ages = watched(&template, "ApproximateAgeOfOldestMessage");
    for queue in Queue::ALL {
        let name = titled(queue.name());
        let at = |name: &str, pointer: &str| {
            let queue = queues.get(name).expect(name);
            queue.pointer(pointer).cloned().unwrap_or(Value::Null)
        };
        let (live, dead) = (format!("{name}Queue"), format!("{name}Dead"));
        let full = format!("kintsugi-${{HomeName}}-{queue}");
        assert_eq!(text(&at(&live, "/Properties/QueueName")), full);
        assert_eq!(text(&at(&dead, "/Properties/QueueName")), full + "-dead");
        let redrive = at(&live, "/Properties/RedrivePolicy");
        assert_eq!(redrive["maxReceiveCount"], json!(DELIVERIES_MAX), "{queue}");
        let target = text(&redrive["deadLetterTargetArn"]);
        assert_eq!(target, format!("${{{dead}.Arn}}"));
        for queue in [&live, &dead] {
            let key = text(&at(queue, "/Properties/KmsMasterKeyId"));
            assert_eq!(key, "${DataKey.Arn}", "{queue}");
        }
        assert!(
            dead_letters.contains(&format!("${{{dead}.QueueName}}")),
            "{queue}"
        );
        assert!(ages.contains(&format!("${{{live}.QueueName}}")), "{queue}");
        // Lambda wants messages hidden for six times as long as their reader may take.
        if let Some(stage) = reader(queue) {
            let pointer = format!("/Resources/{}Function/Properties/Timeout", titled(stage));
            let timeout = template.at(&pointer).as_u64().unwrap();
            let hidden = at(&live, "/Properties/VisibilityTimeout").as_u64().unwrap();
            assert!(hidden >= 6 * timeout, "{queue}: {hidden} s for {timeout} s");
        }
    }
}

#[test]
fn what_functions_park_rings() {
    let template = Template::read();
    // The home's name in metrics is that of its keys (`runtime/src/start.rs`).
    assert_eq!(
        watched(&template, "Parked"),
        BTreeSet::from(["${HomeName}".to_owned()])
    );
    let alarm = template.at("/Resources/ParkedAlarm/Properties");
    assert_eq!(alarm["Namespace"], "Kintsugi");
    assert_eq!(alarm["Dimensions"][0]["Name"], "Home");
}

#[test]
fn a_function_is_woken_by_the_queues_that_its_stage_reads() {
    let template = Template::read();
    for stage in samples::functions() {
        let sources = events(&template, &stage, "SQS");
        let there: BTreeSet<String> = sources.iter().map(|it| text(&it["Queue"])).collect();
        let reads = Queue::ALL
            .into_iter()
            .filter(|&queue| reader(queue) == Some(stage.as_str()))
            .map(|queue| format!("${{{}Queue.Arn}}", titled(queue.name())));
        assert_eq!(there, reads.collect::<BTreeSet<_>>(), "{stage}");
        for source in sources {
            let answers = texts(&source["FunctionResponseTypes"]);
            assert_eq!(answers, ["ReportBatchItemFailures"], "{stage}");
        }
    }
}

#[test]
fn a_tick_wakes_the_stages_that_have_a_sample_of_one() {
    let template = Template::read();
    let ticked: BTreeSet<String> = samples::of_functions()
        .into_iter()
        .filter(|sample| sample.case == "tick")
        .map(|sample| sample.stage)
        .collect();
    for stage in samples::functions() {
        let ticks = events(&template, &stage, "ScheduleV2");
        assert_eq!(ticks.len(), usize::from(ticked.contains(&stage)), "{stage}");
        for tick in ticks {
            // The two fields that the runtime reads (`runtime/src/event.rs`), as EventBridge Scheduler fills them in.
            let input: Value = serde_json::from_str(&text(&tick["Input"])).unwrap();
            let expected = json!({
                "id": "<aws.scheduler.execution-id>",
                "time": "<aws.scheduler.scheduled-time>",
            });
            assert_eq!(input, expected, "{stage}");
        }
    }
}

#[test]
fn a_clock_that_stopped_rings_for_every_stage_that_it_wakes() {
    let template = Template::read();
    let mut ticked = BTreeMap::new();
    for stage in samples::functions() {
        for tick in events(&template, &stage, "ScheduleV2") {
            let seconds = match text(&tick["ScheduleExpression"]).as_str() {
                "rate(1 minute)" => 60,
                "rate(5 minutes)" => 300,
                other => {
                    assert_eq!(other, "rate(1 hour)", "{stage}");
                    3600
                }
            };
            ticked.insert(format!("kintsugi-${{HomeName}}-{stage}"), seconds);
        }
    }
    let expected = ticked.keys().cloned().collect();
    assert_eq!(watched(&template, "Invocations"), expected);
    for alarm in template.of_type("AWS::CloudWatch::Alarm").values() {
        let alarm = alarm.get("Properties").unwrap();
        if alarm["MetricName"] != "Invocations" {
            continue;
        }
        let every = ticked[&text(&alarm["Dimensions"][0]["Value"])];
        let number = |name: &str| alarm[name].as_u64().unwrap();
        // A tick may come a little late: three in a row have to be missing.
        assert!(number("Period") >= every);
        assert!(number("Period") * number("EvaluationPeriods") >= 3 * every);
        assert_eq!(alarm["TreatMissingData"], "breaching");
        assert_eq!(alarm["ComparisonOperator"], "LessThanThreshold");
        assert_eq!(number("Threshold"), 1);
        assert_eq!(alarm["Statistic"], "Sum");
    }
}

#[test]
fn the_table_of_uses_says_what_the_stages_do() {
    let stages: BTreeSet<&str> = STAGES.iter().map(|uses| uses.stage).collect();
    let functions = samples::functions();
    assert_eq!(stages, functions.iter().map(String::as_str).collect());
    for uses in STAGES {
        let found = source::found(uses.stage);
        let set = |names: &[&str]| {
            names
                .iter()
                .map(ToString::to_string)
                .collect::<BTreeSet<_>>()
        };
        // What every function does after its stage.
        let after_stage = ["queues.send", "queues.set_aside"];
        let methods: BTreeSet<String> = found
            .methods
            .into_iter()
            .filter(|it| !after_stage.contains(&it.as_str()) && !it.contains(".clone"))
            .collect();
        assert_eq!(methods, set(uses.methods), "{}", uses.stage);
        assert_eq!(found.keys, set(uses.keys), "{}", uses.stage);
        assert_eq!(found.borrows, set(uses.borrows), "{}", uses.stage);
    }
}

#[test]
fn the_table_of_calls_says_what_the_adapters_do() {
    let calls = source::calls();
    // The adapters join the workspace after the template.
    if !calls.is_empty() {
        let known: BTreeSet<String> = CALLS.iter().map(|(call, _)| (*call).to_owned()).collect();
        assert_eq!(calls, known);
    }
    let known = CALLS
        .iter()
        .flat_map(|(_, actions)| *actions)
        .chain(OF_SERVICES);
    let known: BTreeSet<&str> = known.copied().collect();
    let granted = STAGES
        .iter()
        .flat_map(uses::Uses::grants)
        .chain(uses::of_all());
    for (action, _) in granted {
        assert!(known.contains(&*action), "{action} is taken by no call");
    }
}

fn grants(template: &Template, name: &str) -> BTreeSet<Grant> {
    let mut grants = BTreeSet::new();
    for statement in template.statements(name) {
        for action in &statement.actions {
            for resource in &statement.resources {
                grants.insert((action.clone(), resource.clone()));
            }
        }
    }
    grants
}

#[test]
fn a_role_holds_what_its_stage_uses_and_nothing_else() {
    let template = Template::read();
    assert_eq!(grants(&template, "StageAccess"), uses::of_all());
    for uses in STAGES {
        let role = titled(uses.stage) + "Role";
        assert_eq!(grants(&template, &role), uses.grants(), "{role}");
        let managed = template.at(&format!("/Resources/{role}/Properties/ManagedPolicyArns"));
        let expected: &[&str] = match uses.stage {
            "admin" => &["${StageAccess}"],
            _ => &["${StageAccess}", "${AdminsRecords}"],
        };
        assert_eq!(texts(managed), expected, "{role}");
    }
    let mut roles: BTreeSet<String> = template
        .of_type("AWS::IAM::Role")
        .keys()
        .map(ToString::to_string)
        .collect();
    // Those of builds: `infra/builds.rs`.
    roles.retain(|role| !role.starts_with("Build"));
    assert_eq!(roles.len(), STAGES.len());
}

/// IAM itself is not enforced by the emulator: what is shown is that the policy says it, of the right partitions.
#[test]
fn what_says_who_may_do_what_is_denied_to_every_function_but_admin() {
    let template = Template::read();
    let denied = |name: &str, actions: &[&str], kinds: &[Kind]| {
        let kinds = kinds.iter().map(|&kind| source::partitions(kind));
        let keys: BTreeSet<String> = kinds.collect();
        template.denials(name).into_iter().any(|statement| {
            let each = BTreeSet::from_iter(statement.actions);
            assert_eq!(statement.resources, ["${Table.Arn}"], "{name}");
            // One key is enough for a refusal, of a batch or a transaction too.
            let pointer = "/ForAnyValue:StringLike/dynamodb:LeadingKeys";
            let found = texts(statement.condition.pointer(pointer).unwrap());
            actions.iter().all(|it| each.contains(*it)) && BTreeSet::from_iter(found) == keys
        })
    };
    let every = ["dynamodb:*"];
    assert!(denied("AdminsRecords", &every, &[Kind::Access]));
    let write = [
        "dynamodb:BatchWriteItem",
        "dynamodb:DeleteItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:PartiQLDelete",
        "dynamodb:PartiQLInsert",
        "dynamodb:PartiQLUpdate",
    ];
    let admins = [Kind::Audit, Kind::Flag, Kind::Request];
    assert!(denied("AdminsRecords", &write, &admins));
    let change = ["dynamodb:DeleteItem", "dynamodb:UpdateItem"];
    assert!(denied("StageAccess", &change, &[Kind::Audit]));
    assert_eq!(source::partitions(Kind::Access), "record#*#access#*");
    for uses in STAGES {
        assert_eq!(template.denials(&(titled(uses.stage) + "Role")).len(), 0);
    }
}

#[test]
fn keys_are_made_and_used_only_under_the_tag_of_their_use() {
    let template = Template::read();
    for uses in STAGES {
        for statement in template.statements(&(titled(uses.stage) + "Role")) {
            if !statement
                .resources
                .iter()
                .any(|it| it == ANY_KEY || it == "*")
            {
                continue;
            }
            // The tag of a key that was just made may not count yet.
            if statement.sid == "NameKeys" {
                let nameless = json!({
                    "StringEquals": {"kms:KeySpec": "ECC_NIST_P384", "kms:KeyUsage": "SIGN_VERIFY"},
                    "Null": {"kms:ResourceAliases": "true"},
                });
                assert_eq!(statement.condition, nameless, "{}", uses.stage);
                continue;
            }
            // A key that is yet to be made has no kind that a condition could ask for.
            if statement.sid == "TagNewKeys" {
                let kind = json!({"kms:KeySpec": "ECC_NIST_P384", "kms:KeyUsage": "SIGN_VERIFY"});
                let equals = statement.condition.get("StringEqualsIfExists");
                assert_eq!(equals, Some(&kind), "{}", uses.stage);
                assert_eq!(statement.condition.get("StringEquals"), None);
            }
            let like = statement.condition.get("StringLike").unwrap();
            let tag = [
                "aws:ResourceTag/kintsugi:alias",
                "aws:RequestTag/kintsugi:alias",
            ];
            let allowed = tag.iter().find_map(|tag| like.get(tag)).unwrap();
            assert_eq!(
                texts(allowed).into_iter().collect::<BTreeSet<_>>(),
                uses::aliases(uses).into_iter().collect(),
                "{} {}",
                uses.stage,
                statement.sid
            );
        }
    }
}

#[test]
fn a_resource_that_is_not_the_homes_own_is_given_with_its_reason() {
    let template = Template::read();
    let roles = STAGES.iter().map(|uses| titled(uses.stage) + "Role");
    for name in roles.chain(["StageAccess".to_owned()]) {
        let reasons = template.at(&format!("/Resources/{name}/Metadata/KintsugiWildcards"));
        let reasons: BTreeSet<String> = reasons
            .as_object()
            .map(|it| it.keys().cloned().collect())
            .unwrap_or_default();
        // A pattern names the home, its bucket or its table.
        let own = ["${HomeName}", "${Bucket.Arn}/"];
        let wide: BTreeSet<String> = template
            .statements(&name)
            .into_iter()
            .filter(|statement| {
                let is_wide = |resource: &String| {
                    resource.contains('*') && !own.iter().any(|it| resource.contains(it))
                };
                statement.resources.iter().any(is_wide)
                    || statement.actions.iter().any(|it| it.contains('*'))
            })
            .map(|statement| statement.sid)
            .collect();
        assert_eq!(wide, reasons, "{name}");
    }
}

#[test]
fn data_outlives_the_stack() {
    let template = Template::read();
    for name in ["DataKey", "Table", "Bucket", "BucketPolicy"] {
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
            assert_eq!(
                text(template.at(&format!("/Resources/{name}/{policy}"))),
                "Retain",
                "{name}"
            );
        }
    }
}

#[test]
fn the_table_has_the_keys_the_indexes_and_the_time_to_live_that_the_adapter_takes() {
    let template = Template::read();
    let table = |pointer: &str| {
        template
            .at(&format!("/Resources/Table/Properties{pointer}"))
            .clone()
    };
    let keys = |first| {
        json!([
            {"AttributeName": first, "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ])
    };
    assert_eq!(table("/KeySchema"), keys("pk"));
    let index = |name| {
        let projection = json!({"ProjectionType": "KEYS_ONLY"});
        json!({"IndexName": name, "KeySchema": keys(name), "Projection": projection})
    };
    assert_eq!(
        table("/GlobalSecondaryIndexes"),
        json!([index("by1"), index("by2")])
    );
    let expires = json!({"AttributeName": "expires", "Enabled": true});
    assert_eq!(table("/TimeToLiveSpecification"), expires);
    let recovery = "/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled";
    assert_eq!(table(recovery), json!(true));
    assert_eq!(
        text(&table("/SSESpecification/KMSMasterKeyId")),
        "${DataKey.Arn}"
    );
}
