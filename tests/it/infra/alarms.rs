//! What the alarms of the template watch: an alarm on a metric that nobody tells is quiet for ever.

#![expect(clippy::unwrap_used, reason = "test code")]

use super::template::{Template, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// The metrics that are watched, each with the dimensions under which its service tells it, as the service's own pages list them.
const TOLD: &[(&str, &str, &[&str])] = &[
    ("AWS/ApiGateway", "5xx", &["ApiId"]),
    ("AWS/DynamoDB", "ReadThrottleEvents", &["TableName"]),
    ("AWS/DynamoDB", "ReadThrottleEvents", INDEX),
    ("AWS/DynamoDB", "WriteThrottleEvents", &["TableName"]),
    ("AWS/DynamoDB", "WriteThrottleEvents", INDEX),
    ("AWS/Lambda", "Errors", &["FunctionName"]),
    ("AWS/Lambda", "Invocations", &["FunctionName"]),
    ("AWS/Lambda", "Throttles", &["FunctionName"]),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", &["QueueName"]),
    (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        &["QueueName"],
    ),
    ("Kintsugi", "Parked", &["Home"]),
];
/// An index is not counted with its table.
const INDEX: &[&str] = &["TableName", "GlobalSecondaryIndexName"];

/// The names and the values of an alarm's dimensions.
fn dimensions(alarm: &Value) -> Vec<(String, String)> {
    let pairs = alarm["Dimensions"].as_array().unwrap().iter();
    pairs
        .map(|pair| (text(&pair["Name"]), text(&pair["Value"])))
        .collect()
}

#[test]
fn every_alarm_watches_a_metric_under_dimensions_that_it_is_told_by() {
    let template = Template::read();
    for (name, alarm) in template.of_type("AWS::CloudWatch::Alarm") {
        let alarm = alarm.get("Properties").unwrap();
        let by: Vec<String> = dimensions(alarm)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let is_told = TOLD.iter().any(|(namespace, metric, dimensions)| {
            alarm["Namespace"] == *namespace && alarm["MetricName"] == *metric && by == *dimensions
        });
        assert!(is_told, "{name}: {alarm}");
    }
}

#[test]
fn reads_and_writes_that_are_turned_away_ring_for_the_table_and_for_each_index() {
    let template = Template::read();
    let mut watched = BTreeSet::new();
    for alarm in template.of_type("AWS::CloudWatch::Alarm").values() {
        let alarm = alarm.get("Properties").unwrap();
        if alarm["Namespace"] == "AWS/DynamoDB" {
            let of: Vec<String> = dimensions(alarm)
                .into_iter()
                .map(|(_, value)| value)
                .collect();
            watched.insert(format!("{} {}", text(&alarm["MetricName"]), of.join(" ")));
        }
    }
    let indexes = template.at("/Resources/Table/Properties/GlobalSecondaryIndexes");
    let indexes = indexes.as_array().unwrap().iter();
    let mut expected = BTreeSet::new();
    for of in indexes
        .map(|index| format!("${{Table}} {}", text(&index["IndexName"])))
        .chain(["${Table}".to_owned()])
    {
        for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] {
            expected.insert(format!("{metric} {of}"));
        }
    }
    assert_eq!(watched, expected);
}
