//! `kintsugi parked` and `redrive` against a home that runs.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use crate::support::{Running, assert_failed, kintsugi, stderr, stdout};
use kintsugi_adapters_local::Home;
use kintsugi_domain::envelope::{Envelope, Message, Queue};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::Queues as _;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Leaves a message in a home that does not run, as one that nobody could handle.
fn park(folder: &Path) {
    let channel = "stable".to_owned();
    let message = Envelope::new("a test", ProjectId(1), Message::Publish { channel });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let queues = Home::open(folder, None).await.unwrap().queues;
        queues.send(&[message]).await.unwrap();
        let lease = Duration::from_mins(1);
        let taken = queues.receive(Queue::Signing, 1, lease).await.unwrap();
        let cause = "the key\n\u{1b}[2J is gone";
        queues.park(&taken[0], cause).await.unwrap();
    });
}

#[test]
fn what_is_parked_is_listed_with_its_cause_and_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("home");
    park(&data);
    let home = Running::start(&data, &[]);
    let token = folder.path().join("token");
    fs::write(&token, home.token()).unwrap();
    let url = home.url();
    let run = |arguments: &[&str]| {
        let mut command = kintsugi();
        command.args(arguments);
        command.args(["--home", &url, "--token-file"]).arg(&token);
        command.output().unwrap()
    };
    let json = |arguments: &[&str]| -> Value {
        let output = run(arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    };

    let listed = json(&["parked", "--json"]);
    assert_eq!(listed["parked"][0]["queue"], "signing");
    assert_eq!(listed["parked"][0]["kind"], "publish");
    let listed = stdout(&run(&["parked"]));
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.starts_with("signing  project 1  "), "{listed}");
    assert!(!listed.contains('\u{1b}'), "{listed}");

    let unknown = run(&["redrive", "sining"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("signing"));
    let back = json(&["redrive", "signing", "--reason", "it is back", "--json"]);
    assert_eq!(back["messages"], 1);
    let none = stdout(&run(&["redrive", "events"]));
    assert_eq!(none, "events: 0 put back\n");
    drop(home);
    let gone = run(&["parked"]);
    assert_failed(&gone, 8, "home", &[]);
}
