//! The sample product as a repository, its event, and an engine to work on it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use jiff::Timestamp;
use kintsugi_domain::config::Config;
use kintsugi_domain::event::{Event, Exception, Frame, Level};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::job::{Job, Order, Report};
use kintsugi_domain::ports::{BuildEngine, PortError};
use kintsugi_engine::Engine;
use kintsugi_sandbox::Sandbox;
use kintsugi_testkit::memory::MemoryBlobs;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// The line of the sample that fails, and a right one.
pub(crate) const DEFECT: &str = "    return (total_cents + count // 2) // count\n";
pub(crate) const RIGHT: &str =
    "    if count == 0:\n        return 0\n    return (total_cents + count // 2) // count\n";

const CONFIG: &str = r#"
[product]
name = "till"
language = "python"

[test]
command = ["python3", "-m", "unittest", "discover", "-s", "tests", "-t", "."]
timeout_seconds = 60

[package]
include = ["till"]
version_file = "till/VERSION"

[health]
command = ["python3", "-m", "till", "health"]
timeout_seconds = 20
"#;

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/till")
}

pub(crate) fn config() -> Config {
    Config::parse("kintsugi.toml", CONFIG).unwrap()
}

pub(crate) fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

/// A repository of the product, and an engine beside it.
pub(crate) struct Product {
    folder: TempDir,
    pub(crate) blobs: MemoryBlobs,
    pub(crate) config: Config,
}

impl Product {
    /// The sample with its whole history.
    pub(crate) fn sample() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let product = Self {
            folder,
            blobs: MemoryBlobs::new(),
            config: config(),
        };
        fs::create_dir(product.repository()).unwrap();
        product.git(&["init", "--quiet", "--initial-branch=main"]);
        let history = fs::read_to_string(sample().join("history.json")).unwrap();
        let commits: Vec<Value> = serde_json::from_str(&history).unwrap();
        for commit in commits {
            for (target, source) in commit["files"].as_object().unwrap() {
                let content = fs::read(sample().join(source.as_str().unwrap())).unwrap();
                product.write(target, &content);
            }
            product.commit(commit["message"].as_str().unwrap());
        }
        product
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    pub(crate) fn work_dir(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.repository().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn replace(&self, path: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.repository().join(path)).unwrap();
        assert!(text.contains(old), "{old:?} is not in {path}");
        self.write(path, text.replace(old, new));
    }

    /// Commits everything as it is and returns the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", message]);
        self.head()
    }

    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Makes a change on a branch of its own that starts at `base`, and goes back to `main`.
    pub(crate) fn on_branch(&self, branch: &str, base: &str, change: impl Fn(&Self)) -> String {
        self.git(&["checkout", "--quiet", "-b", branch, base]);
        change(self);
        let commit = self.commit(&format!("fix: {branch}"));
        self.git(&["checkout", "--quiet", "main"]);
        commit
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Mara", "-c", "user.email=mara@example.com"])
            .args(arguments)
            .current_dir(self.repository())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_DATE", "@1747036680 +0000")
            .env("GIT_COMMITTER_DATE", "@1747036680 +0000")
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {words}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn engine(&self) -> Engine {
        let sandbox = Sandbox::probe().unwrap();
        Engine::new(Arc::new(self.blobs.clone()), self.work_dir(), sandbox)
    }

    /// Has an order done, and checks that nothing is left in the work folder.
    pub(crate) async fn run(&self, order: Order) -> Result<Report, PortError> {
        let repository = self.repository().display().to_string();
        let job = Job::order(ProjectId(1), repository, order, self.config.clone(), at());
        let report = self.engine().run(&job).await;
        assert_eq!(fs::read_dir(self.work_dir()).unwrap().count(), 0);
        report
    }
}

/// The event that the sample's own client sends, read as far as a search needs it.
pub(crate) fn event() -> Event {
    let text = fs::read_to_string(sample().join("sample-event.json")).unwrap();
    let raw: Value = serde_json::from_str(&text).unwrap();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let values = raw["exception"]["values"].as_array().unwrap();
    let exceptions = values.iter().map(|value| {
        let frames = value["stacktrace"]["frames"].as_array().unwrap();
        Exception {
            kind: word(&value["type"]),
            value: word(&value["value"]),
            module: None,
            handled: Some(false),
            frames: frames.iter().map(frame).collect(),
        }
    });
    Event {
        id: word(&raw["event_id"]).parse().unwrap(),
        project: ProjectId(1),
        occurred_at: at(),
        received_at: at(),
        level: Level::Fatal,
        platform: "python".into(),
        release: Some("till@1.0.0".into()),
        environment: None,
        transaction: None,
        message: None,
        exceptions: exceptions.collect(),
        breadcrumbs: vec![],
        user: None,
        fingerprint: vec![],
        tags: BTreeMap::new(),
        system: BTreeMap::new(),
        sdk: None,
        details: BTreeMap::new(),
        remarks: vec![],
        category: kintsugi_domain::accounting::Category::Error,
    }
}

fn frame(raw: &Value) -> Frame {
    let word = |key: &str| raw[key].as_str().map(str::to_owned);
    let vars = raw["vars"].as_object().cloned().unwrap_or_default();
    Frame {
        file: word("filename").unwrap_or_default(),
        path: word("abs_path"),
        function: word("function").unwrap_or_default(),
        module: word("module"),
        line: raw["lineno"].as_u64().and_then(|line| line.try_into().ok()),
        source: word("context_line"),
        in_app: raw["in_app"].as_bool().unwrap_or_default(),
        vars: vars.into_iter().collect(),
    }
}
