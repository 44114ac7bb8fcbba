//! AWS on loopback for a bench: the emulator that the adapters are tested with, and an empty home in it.

use crate::bench::lambda::Ended;
use crate::e2e::EMULATOR;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The home's name.
const HOME: &str = "bench";

/// A running emulator; ends with this value, and its state with it.
pub(crate) struct Emulator {
    endpoint: String,
    folder: PathBuf,
    _process: Ended,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // What is left lies in the target folder and is replaced by the next run.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Emulator {
    /// Starts it with the Python of the tests' environment and makes an empty home. `scratch` is a folder for its state.
    pub(crate) fn start(root: &Path, python: &Path, scratch: &Path) -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("the emulator does not start: {error}");
        let folder = scratch.join(format!("emulator-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(cannot)?;
        let mut child = Command::new(python)
            .arg(root.join(EMULATOR))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(cannot)?;
        let out = child.stdout.take();
        let process = Ended(child);
        let mut port = String::new();
        if let Some(out) = out {
            BufReader::new(out).read_line(&mut port).map_err(cannot)?;
        }
        let port: u16 = port
            .trim()
            .parse()
            .map_err(|_| "the emulator does not start: it names no port".to_owned())?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let made = Command::new(python)
            .arg(root.join("xtask/src/bench/home.py"))
            .arg(&endpoint)
            .arg(root.join("infra/template.yaml"))
            .arg(HOME)
            .stdin(Stdio::null())
            .output()
            .map_err(cannot)?;
        if !made.status.success() {
            let why = String::from_utf8_lossy(&made.stderr).into_owned();
            return Err(format!("the home in the emulator cannot be made: {why}"));
        }
        Ok(Self {
            endpoint,
            folder,
            _process: process,
        })
    }

    /// The environment of a function of this home, as the template sets it, and Lambda's credentials.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        let pairs = [
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ACCESS_KEY_ID", "test".into()),
            ("AWS_SECRET_ACCESS_KEY", "test".into()),
            ("KINTSUGI_TABLE", format!("kintsugi-{HOME}")),
            ("KINTSUGI_BUCKET", format!("kintsugi-{HOME}")),
            ("KINTSUGI_QUEUE_PREFIX", format!("kintsugi-{HOME}-")),
            ("KINTSUGI_KEY_PREFIX", HOME.into()),
            ("KINTSUGI_LOG", "info".into()),
        ];
        pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }
}
