//! `kintsugi project stats` against a home that runs and was reported to.

use crate::running::until;
use crate::support::{Running, kintsugi, stderr, stdout};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

#[test]
fn everything_that_was_sent_has_its_line_in_the_account() {
    let folder = tempfile::tempdir().unwrap();
    let till =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/till/product/kintsugi.toml");
    let home = Running::start(
        &folder.path().join("home"),
        &["--project", till.to_str().unwrap()],
    );
    let token = folder.path().join("token");
    fs::write(&token, home.token()).unwrap();
    let url = home.url();
    let run = |arguments: &[&str]| {
        let mut command = kintsugi();
        command.args(["project", "stats"]).args(arguments);
        command.args(["--home", &url, "--token-file"]).arg(&token);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };

    let project: Value = ureq::get(format!("{url}/admin/v1/projects/1"))
        .header("authorization", format!("Bearer {}", home.token().trim()))
        .call()
        .unwrap()
        .body_mut()
        .read_json()
        .unwrap();
    let key = project["keys"][0].as_str().unwrap();
    let event = json!({"message": "stuck"});
    let report = json!({"discarded_events": [{"reason": "sample_rate", "category": "error", "quantity": 7}]});
    let body = format!(
        "{{}}\n{{\"type\":\"event\"}}\n{event}\n{{\"type\":\"profile\"}}\n{{}}\n{{\"type\":\"client_report\"}}\n{report}\n"
    );
    ureq::post(format!("{url}/api/1/envelope/?sentry_key={key}"))
        .send(body)
        .unwrap();

    // Accepted is what triage has filed, and triage has its own pace.
    until(|| {
        let told: Value = serde_json::from_str(&run(&["--json"])).unwrap();
        let stats = &told["projects"][0]["stats"];
        assert_eq!(stats["adds_up"], true);
        stats["account"]["categories"]["error"]["accepted"] == 1
    });
    let text = run(&["--project", "1"]);
    for line in [
        "project 1 \"till\"",
        "  error: 1 received = 1 accepted + 0 refused + 0 dropped",
        "    discarded by the client: 7 sample_rate",
        "  profile: 1 received = 0 accepted + 0 refused + 1 dropped",
        "    dropped: 1 profile",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in {text}");
    }
    assert!(!text.contains("no project"), "{text}");

    // A product that names a project which is not there would otherwise be heard of nowhere.
    let astray = ureq::post(format!("{url}/api/99/envelope/?sentry_key={key}")).send("{}");
    assert!(
        matches!(astray, Err(ureq::Error::StatusCode(403))),
        "{astray:?}"
    );
    let text = run(&[]);
    let (_, astray) = text.split_once("\nno project of this home\n").unwrap();
    let lines: Vec<&str> = astray.lines().collect();
    assert_eq!(
        lines,
        [
            "  request: 1 received = 0 accepted + 1 refused + 0 dropped",
            "    refused: 1 wrong_key",
        ]
    );
    let told: Value = serde_json::from_str(&run(&["--json"])).unwrap();
    let row = &told["no_project"]["account"]["categories"]["request"];
    assert_eq!(row["received"], 1);
}
