//! A copy of the sample product, to be changed by a test.
#![expect(clippy::unwrap_used, reason = "test code")]

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A copy of `samples/till` in a folder of its own.
pub(crate) struct Till {
    folder: TempDir,
}

impl Till {
    pub(crate) fn copy() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/till");
        copy(&original, folder.path());
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces a text that is there exactly once.
    #[track_caller]
    pub(crate) fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {name}");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    /// Puts a new file into the product, and into the last commit of its history.
    pub(crate) fn add(&self, name: &str, text: &str) {
        let content = format!("product/{name}");
        fs::write(self.path(&content), text).unwrap();
        let mut history: Value = serde_json::from_str(&self.read("history.json")).unwrap();
        let last = history.as_array_mut().unwrap().last_mut().unwrap();
        let files = last.get_mut("files").unwrap().as_object_mut().unwrap();
        files.insert(name.to_owned(), json!(content));
        fs::write(self.path("history.json"), history.to_string()).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
