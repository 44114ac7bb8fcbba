//! The reporter of `kintsugi-sdk` and a home that runs: from a sealed batch to an issue, with the key that the command line prints.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::sdks::Asked;
use kintsugi_sdk::reporter::{Consent, Options, Report, Reporter};
use serde_json::Value;
use std::time::Duration;

const LONG: Duration = Duration::from_mins(3);

fn reporter(home: &Asked, batch_key: &str) -> Reporter {
    let project = "1".parse().unwrap();
    let key = home.key().parse().unwrap();
    let mut options = Options::new(&home.url(), project, key, batch_key.trim().parse().unwrap());
    options.release = Some("till@1.2.3".to_owned());
    options.own_code = vec!["command::reporter".to_owned()];
    Reporter::start(options, Consent::Given).unwrap()
}

#[test]
fn what_the_reporter_seals_to_the_printed_key_becomes_an_issue_and_is_in_the_account() {
    let home = Asked::start();
    let key = home.run(&["project", "batch-keys"]);
    let reporter = reporter(&home, &key);
    reporter.breadcrumb("ui", "alice@example.org opened the drawer");
    let error = "12,50".parse::<i32>().unwrap_err();
    reporter.report(
        Report::of(&error)
            .user("alice@example.org")
            .tag("drawer", "3")
            .with_backtrace(),
    );
    reporter.report(Report::feature("export"));
    assert!(reporter.flush(LONG));
    // What was used rides along as a number.
    assert_eq!(reporter.metrics().sent, 1, "{:?}", reporter.metrics());

    let issue = home.issue();
    let event = &issue["sample"];
    assert_eq!(event["release"], "till@1.2.3", "{issue:#}");
    assert_eq!(event["tags"]["drawer"], "3");
    let raised = &event["exceptions"][0];
    assert_eq!(raised["kind"], "core::num::error::ParseIntError");
    let frames = raised["frames"].as_array().unwrap();
    let ours = frames.iter().find(|frame| frame["in_app"] == true).unwrap();
    assert!(
        ours["function"]
            .as_str()
            .unwrap()
            .contains("the_printed_key"),
        "{frames:?}"
    );
    let crumb = &event["breadcrumbs"][0];
    assert_eq!(crumb["category"], "ui");
    assert!(
        crumb["message"]
            .as_str()
            .unwrap()
            .contains("opened the drawer")
    );
    assert!(!issue.to_string().contains("alice"), "{issue:#}");

    home.accepted(&[("error", 1), ("metric_bucket", 1)]);
    let usage = home.ask("/usage");
    assert!(usage.to_string().contains("\"export\""), "{usage:#}");
    let told: Value = serde_json::from_str(&home.run(&["--json", "project", "stats"])).unwrap();
    let stats = &told["projects"][0]["stats"];
    assert_eq!(stats["adds_up"], true);
    assert_eq!(stats["account"]["categories"]["error"]["accepted"], 1);
}

#[test]
fn a_rotated_key_is_for_the_next_release_and_a_retired_one_is_heard_no_more() {
    let home = Asked::start();
    let first = home.run(&["project", "batch-keys"]);
    let second = home.run(&["project", "batch-keys", "rotate", "--reason", "yearly"]);
    assert_ne!(first, second);
    let listed = home.run(&["--json", "project", "batch-keys", "--project", "1"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let keys = listed["keys"].as_array().unwrap();
    let keys: Vec<_> = keys
        .iter()
        .map(|key| key["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, [second.trim(), first.trim()]);

    let (old, new) = (reporter(&home, &first), reporter(&home, &second));
    let sent = |reporter: &Reporter| {
        reporter.report(Report::error("E", "the drawer is stuck"));
        assert!(reporter.flush(LONG));
        reporter.metrics().sent
    };
    assert_eq!((sent(&old), sent(&new)), (1, 1));
    let left = home.run(&["project", "batch-keys", "retire", "1"]);
    assert_eq!(left, second);
    assert_eq!(sent(&old), 1);
    assert_eq!(old.metrics().discarded["send_error"], 1);
    assert_eq!(sent(&new), 2);
}
