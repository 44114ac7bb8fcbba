//! Reads events as clients send them, and runs Python.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use kintsugi_domain::Timestamp;
use kintsugi_domain::event::{Event, Exception, Frame, Level};
use kintsugi_domain::id::ProjectId;
use kintsugi_repair::Source;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of this repository, from its root.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// An event with one exception.
pub(crate) fn event(kind: &str, value: &str, frames: Vec<Frame>) -> Event {
    Event {
        id: "a".parse().unwrap(),
        project: ProjectId(1),
        occurred_at: Timestamp::UNIX_EPOCH,
        received_at: Timestamp::UNIX_EPOCH,
        level: Level::Error,
        platform: "python".into(),
        release: None,
        environment: None,
        transaction: None,
        message: None,
        exceptions: vec![Exception {
            kind: kind.into(),
            value: value.into(),
            frames,
            ..Exception::default()
        }],
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

/// The event in a file as the client sent it.
pub(crate) fn sent(path: &Path) -> Event {
    let wire: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let raised = wire
        .pointer("/exception/values")
        .unwrap()
        .as_array()
        .unwrap()
        .last()
        .unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let frames = raised
        .pointer("/stacktrace/frames")
        .and_then(Value::as_array)
        .unwrap();
    let frames = frames
        .iter()
        .map(|frame| Frame {
            file: text(&frame["filename"]),
            path: frame["abs_path"].as_str().map(str::to_owned),
            function: text(&frame["function"]),
            module: frame["module"].as_str().map(str::to_owned),
            line: frame["lineno"]
                .as_u64()
                .and_then(|line| u32::try_from(line).ok()),
            source: frame["context_line"].as_str().map(str::to_owned),
            in_app: frame["in_app"].as_bool().unwrap_or_default(),
            vars: frame["vars"]
                .as_object()
                .map(|vars| vars.clone().into_iter().collect())
                .unwrap_or_default(),
        })
        .collect();
    event(&text(&raised["type"]), &text(&raised["value"]), frames)
}

/// All files of a product, Python or not, as path and text.
pub(crate) fn files(root: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_none_or(|extension| extension != "pyc") {
                found.push(Source {
                    path: path
                        .strip_prefix(root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The files that the engine would read for an event.
pub(crate) fn sources(files: &[Source], event: &Event) -> Vec<Source> {
    let read = |paths: Vec<String>| {
        let known = |path: &String| files.iter().find(|file| file.path == *path).cloned();
        paths.iter().filter_map(known).collect::<Vec<Source>>()
    };
    let suspects = kintsugi_domain::diagnosis::suspects(event);
    let mut sources = read(kintsugi_repair::files_needed(event, &suspects));
    sources.extend(read(kintsugi_repair::files_imported(&sources)));
    sources
}

/// A copy of a product in a folder of its own.
pub(crate) struct Checkout {
    folder: tempfile::TempDir,
}

impl Checkout {
    /// Writes the files out.
    pub(crate) fn of(files: &[Source]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let checkout = Self { folder };
        for file in files {
            checkout.write(&file.path, &file.text);
        }
        checkout
    }

    /// Writes one file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs test modules; the output where they fail. A test that hangs ends with the alarm.
    pub(crate) fn unittest(&self, arguments: &[&str]) -> Result<String, String> {
        let start = "import signal, sys, unittest; signal.alarm(20); sys.path.insert(0, ''); \
                     unittest.main(module=None, argv=['unittest', *sys.argv[1:]])";
        let output = Command::new("python3")
            .args(["-B", "-c", start])
            .args(arguments)
            .current_dir(self.folder.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap_or_else(|error| panic!("python3 is needed: {error}"));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Ok(text)
        } else {
            Err(text)
        }
    }

    /// Runs the product's own tests.
    pub(crate) fn suite(&self) -> Result<String, String> {
        self.unittest(&["discover", "-s", "tests", "-t", "."])
    }
}
