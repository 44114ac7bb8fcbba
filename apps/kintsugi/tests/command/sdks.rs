//! Unmodified Sentry SDKs report to a home that runs: everything they send is taken, kept scrubbed, and in the account.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use crate::support::{Running, kintsugi, sample, stderr, stdout};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long what another process does may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// Waits until something is there; `what` says what was missed.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a limit for another process")]
pub(crate) fn within_minutes<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A home with one project, asked over the admin API.
pub(crate) struct Asked {
    home: Running,
    folder: tempfile::TempDir,
}

impl Asked {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let product = sample();
        let project = ["--project", product.to_str().unwrap()];
        let home = Running::start(&folder.path().join("home"), &project);
        Self { home, folder }
    }

    pub(crate) fn ask(&self, path: &str) -> Value {
        let url = format!("{}/admin/v1/projects/1{path}", self.home.url());
        let token = format!("Bearer {}", self.home.token().trim());
        let asked = ureq::get(url).header("authorization", token).call();
        asked.unwrap().body_mut().read_json().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        self.home.url()
    }

    /// The reporting key of the project.
    pub(crate) fn key(&self) -> String {
        self.ask("")["keys"][0].as_str().unwrap().to_owned()
    }

    pub(crate) fn dsn(&self) -> String {
        format!("http://{}@{}/1", self.key(), self.home.address())
    }

    /// Runs `kintsugi` against this home; what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let token = self.folder.path().join("token");
        std::fs::write(&token, self.home.token()).unwrap();
        let mut command = kintsugi();
        command.args(arguments).args(["--home", &self.home.url()]);
        let done = command.arg("--token-file").arg(token).output().unwrap();
        assert!(done.status.success(), "{}", stderr(&done));
        stdout(&done)
    }

    /// The first issue, with its sample event, once there is one.
    pub(crate) fn issue(&self) -> Value {
        let id = within_minutes("an issue", || {
            let id = self.ask("/issues")["items"][0]["id"].clone();
            id.as_str().map(str::to_owned)
        });
        self.ask(&format!("/issues/{id}"))
    }

    /// Runs a script with the DSN of the project, to its end.
    pub(crate) fn report(&self, program: &Path, script: &str, environment: &[(&str, &Path)]) {
        let dsn = self.dsn();
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/sdks")
            .join(script);
        let mut command = Command::new(program);
        command.arg(script).arg(dsn);
        for (name, value) in environment {
            command.env(name, value);
        }
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", stderr(&done));
    }

    /// Every category has at least so many accepted, and nothing was refused or dropped.
    pub(crate) fn accepted(&self, least: &[(&str, i64)]) -> Value {
        let stats = self.ask("/stats");
        assert_eq!(stats["adds_up"], true, "{stats:#}");
        let categories = stats["account"]["categories"].clone();
        for (category, least) in least {
            let accepted = categories[category]["accepted"].as_i64().unwrap_or(0);
            assert!(accepted >= *least, "{category}: {stats:#}");
        }
        for (name, row) in categories.as_object().unwrap() {
            for fate in ["refused", "dropped"] {
                assert_eq!(row[fate].as_object().unwrap().len(), 0, "{name}: {stats:#}");
            }
        }
        categories
    }

    /// What is kept, and that nothing of it says what it must not.
    pub(crate) fn kept(&self, list: &str) -> Vec<Value> {
        let page = self.ask(list);
        let text = page.to_string();
        for secret in ["alice", "Alice", "hunter2", "4111 1111"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        page["items"].as_array().unwrap().clone()
    }

    fn has_one_session_and_one_action(&self) {
        let health = self.kept("/health");
        assert_eq!(health.len(), 1, "{health:?}");
        assert_eq!(health[0]["release"], "till@1.2.3");
        let numbers = &health[0]["health"];
        assert_eq!(
            (&numbers["sessions"], &numbers["errored"]),
            (&1.into(), &1.into())
        );
        assert_eq!(numbers["crash_free_sessions"], 100.0);
        let actions = self.kept("/performance");
        let action = actions
            .iter()
            .find(|it| it["name"] == "close the day")
            .unwrap();
        assert_eq!(
            (&action["operation"], &action["durations"]["count"]),
            (&"task".into(), &1.into())
        );
    }
}

#[test]
fn the_sdk_for_python_reports_everything_it_can() {
    let python = std::env::var_os("KINTSUGI_TEST_PYTHON")
        .expect("KINTSUGI_TEST_PYTHON must name a Python with sentry-sdk: run `cargo xtask test`");
    let home = Asked::start();
    home.report(Path::new(&python), "report.py", &[]);
    let categories = home.accepted(&[
        ("error", 1),
        ("transaction", 1),
        ("session", 1),
        ("attachment", 1),
        ("log_item", 2),
        ("monitor", 2),
        ("internal", 1),
    ]);
    assert_eq!(categories["error"]["client_discarded"]["before_send"], 1);
    home.has_one_session_and_one_action();
    assert_eq!(home.kept("/attachments")[0]["name"], "till.log");
    assert_eq!(home.kept("/monitors")[0]["checks"][0]["status"], "ok");
    let logs = home.kept("/logs");
    assert_eq!(logs[0]["entries"][1]["body"], "the till is stuck");
}

#[test]
fn the_sdk_for_node_reports_everything_it_can() {
    let modules = std::env::var_os("KINTSUGI_TEST_NODE").map(PathBuf::from).expect(
        "KINTSUGI_TEST_NODE must name a folder of modules with @sentry/node: run `cargo xtask test`",
    );
    let home = Asked::start();
    let found = [("NODE_PATH", modules.as_path())];
    home.report(Path::new("node"), "report.cjs", &found);
    let categories = home.accepted(&[
        ("error", 2),
        ("transaction", 1),
        ("session", 1),
        ("attachment", 2),
        ("feedback", 1),
        ("log_item", 2),
        ("monitor", 2),
        ("internal", 1),
    ]);
    assert_eq!(categories["error"]["client_discarded"]["before_send"], 1);
    home.has_one_session_and_one_action();
    assert_eq!(home.kept("/feedback")[0]["message"], "the till is stuck");
    assert_eq!(home.kept("/attachments")[0]["name"], "till.log");
    assert_eq!(home.kept("/monitors")[0]["checks"][0]["status"], "ok");
    assert_eq!(
        home.kept("/logs")[0]["entries"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn the_sdk_for_rust_reports_everything_it_can() {
    use sentry::protocol::{Attachment, User};
    let home = Asked::start();
    let options = sentry::ClientOptions::new()
        .dsn(&home.dsn())
        .release("till@1.2.3")
        .environment("test")
        .traces_sample_rate(1.0);
    let client = Arc::new(sentry::Client::from(sentry::apply_defaults(options)));
    let hub = Arc::new(sentry::Hub::new(Some(client.clone()), Arc::default()));
    sentry::Hub::run(hub, || {
        sentry::configure_scope(|scope| {
            scope.set_user(Some(User {
                id: Some("17".into()),
                email: Some("alice@example.org".into()),
                ..User::default()
            }));
            scope.set_extra("password", "hunter2".into());
            scope.add_attachment(Attachment {
                buffer: "alice@example.org logged in\n".repeat(100).into_bytes(),
                filename: "till.log".into(),
                ..Attachment::default()
            });
        });
        sentry::start_session();
        let action = sentry::TransactionContext::new("close the day", "task");
        let action = sentry::start_transaction(action);
        let error = "x".parse::<i32>().unwrap_err();
        sentry::capture_error(&error);
        action.finish();
        sentry::end_session();
    });
    assert!(client.close(Some(Duration::from_secs(20))));
    home.accepted(&[
        ("error", 1),
        ("transaction", 1),
        ("session", 1),
        ("attachment", 1),
    ]);
    home.has_one_session_and_one_action();
    assert_eq!(home.kept("/attachments")[0]["name"], "till.log");
}
