//! Alerts published to an SNS topic, heard by a queue that is subscribed to it.

use crate::common::Aws;
use aws_sdk_sqs::types::QueueAttributeName;
use kintsugi_adapters_aws::TopicNotifier;
use kintsugi_domain::Timestamp;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::config::AlertChannel;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{Notifier, PortError};
use kintsugi_testkit::memory::MemoryNotifier;
use serde_json::Value;
use std::sync::Arc;

fn alert() -> Alert {
    Alert::new(
        ProjectId(3),
        Urgency::Page,
        "rollout.halted",
        &"r-1",
        "1.1.0 was halted: 4 of 5 canaries failed",
        Timestamp::UNIX_EPOCH,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_reaches_whoever_is_subscribed_with_what_filters_need() {
    let aws = Aws::start().await;
    let topic = aws.clients.sns.create_topic().name("alerts");
    let topic = topic.send().await.unwrap().topic_arn.unwrap();
    let queue = aws.clients.sqs.create_queue().queue_name("subscriber");
    let queue = queue.send().await.unwrap().queue_url.unwrap();
    let arn = aws.clients.sqs.get_queue_attributes().queue_url(&queue);
    let arn = arn.attribute_names(QueueAttributeName::QueueArn);
    let arn = arn.send().await.unwrap().attributes.unwrap();
    let subscribe = aws
        .clients
        .sns
        .subscribe()
        .topic_arn(&topic)
        .protocol("sqs");
    let subscribe = subscribe.endpoint(&arn[&QueueAttributeName::QueueArn]);
    subscribe.send().await.unwrap();

    let webhooks = MemoryNotifier::default();
    let notifier = TopicNotifier::new(
        aws.clients.sns.clone(),
        Some(topic),
        Arc::new(webhooks.clone()),
    );
    notifier
        .notify(&AlertChannel::Topic, &alert())
        .await
        .unwrap();
    assert!(webhooks.delivered().is_empty());
    let heard = aws.clients.sqs.receive_message().queue_url(&queue);
    let heard = heard.send().await.unwrap().messages.unwrap().remove(0);
    let heard: Value = serde_json::from_str(&heard.body.unwrap()).unwrap();
    assert_eq!(heard["Subject"], "Kintsugi page: rollout.halted, project 3");
    let told: Alert = serde_json::from_str(heard["Message"].as_str().unwrap()).unwrap();
    assert_eq!(told, alert());
    for (name, value) in [
        ("id", alert().id.as_str()),
        ("code", "rollout.halted"),
        ("urgency", "page"),
        ("project", "3"),
    ] {
        assert_eq!(heard["MessageAttributes"][name]["Value"], value, "{heard}");
    }

    let url = "https://chat.example.org/".to_owned();
    let channel = AlertChannel::Webhook { url };
    notifier.notify(&channel, &alert()).await.unwrap();
    assert_eq!(webhooks.delivered(), [(channel.name(), alert())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_without_a_topic_says_so_and_one_that_is_gone_may_come_back() {
    let aws = Aws::start().await;
    for (topic, is_transient) in [
        (None, false),
        (
            Some("arn:aws:sns:us-east-1:000000000000:gone".to_owned()),
            true,
        ),
    ] {
        let others = Arc::new(MemoryNotifier::default());
        let notifier = TopicNotifier::new(aws.clients.sns.clone(), topic, others);
        let error = notifier.notify(&AlertChannel::Topic, &alert()).await;
        let error: PortError = error.unwrap_err();
        assert_eq!(error.is_transient(), is_transient, "{error}");
    }
}
