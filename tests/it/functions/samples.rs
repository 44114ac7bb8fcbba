//! The sample triggers of `events/<stage>/<case>.json`.

#![expect(clippy::unwrap_used, reason = "test code")]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// One sample trigger.
pub(crate) struct Sample {
    pub(crate) stage: String,
    /// The file's name without its ending.
    pub(crate) case: String,
    pub(crate) event: Value,
}

impl Sample {
    /// `stage/case`, for messages.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.stage, self.case)
    }

    /// The bodies of its messages; none when it is a tick or a request.
    pub(crate) fn bodies(&self) -> Vec<&str> {
        let records = self.event.get("Records").and_then(Value::as_array);
        records
            .into_iter()
            .flatten()
            .map(|record| record.get("body").unwrap().as_str().unwrap())
            .collect()
    }

    /// Whether it is a request from API Gateway.
    pub(crate) fn is_http(&self) -> bool {
        self.event.pointer("/requestContext/http").is_some()
    }
}

/// Every sample, sorted.
pub(crate) fn all() -> Vec<Sample> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut samples = Vec::new();
    for folder in entries(&root.join("events")) {
        for file in entries(&folder) {
            samples.push(Sample {
                stage: text(folder.file_name()),
                case: text(file.file_stem()),
                event: serde_json::from_slice(&fs::read(&file).unwrap()).unwrap(),
            });
        }
    }
    samples
}

/// Every sample of a stage that has a function. That none is missing is a rule of the architecture.
pub(crate) fn of_functions() -> Vec<Sample> {
    let functions = functions();
    let mut samples = all();
    samples.retain(|sample| functions.contains(&sample.stage));
    samples
}

/// The stages that have a function.
pub(crate) fn functions() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    entries(&root.join("functions"))
        .iter()
        .filter(|folder| folder.join("Cargo.toml").is_file())
        .map(|folder| text(folder.file_name()))
        .collect()
}

fn text(name: Option<&std::ffi::OsStr>) -> String {
    name.unwrap().to_str().unwrap().to_owned()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}
