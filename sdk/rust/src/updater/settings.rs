//! What a device knows about itself and its home. Read once; the first trusted root comes with the
//! product and lies beside it.

use super::error::{OnPath, UpdateError};
use kintsugi_domain::id::{DeviceId, ProjectId};
use kintsugi_domain::limits::{METADATA_BYTES_MAX, PACKAGE_BYTES_MAX};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The version of `device.json`.
pub const SETTINGS_FORMAT: u16 = 1;
/// The settings' file name in the device's folder.
pub const SETTINGS_FILE: &str = "device.json";
/// The first trusted root's file name in the device's folder.
pub const ROOT_FILE: &str = "root.json";

/// What a device knows about itself and its home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where updates come from: the base URL, without a slash at its end.
    pub home: String,
    /// The project.
    pub project: ProjectId,
    /// The channel.
    pub channel: String,
    /// This device.
    pub device: DeviceId,
    /// `linux`, `windows` or `darwin`.
    pub platform: String,
    /// `x86_64` or `aarch64`.
    pub arch: String,
    /// The device's folder: versions, state and caches.
    pub dir: PathBuf,
    /// The first trusted `root.json`, as shipped with the product.
    pub root: Vec<u8>,
    /// The environment of the health check, besides `PATH`.
    pub env: BTreeMap<String, String>,
    /// Programs that health checks name, and where they are on this device: `python3` → a path.
    pub interpreters: BTreeMap<String, PathBuf>,
    /// Largest package content this device takes, bytes.
    pub content_bytes_max: u64,
}

/// `device.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u16,
    home: String,
    project: ProjectId,
    channel: String,
    device: DeviceId,
    platform: String,
    arch: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    interpreters: BTreeMap<String, PathBuf>,
    #[serde(default = "content_bytes_max")]
    content_bytes_max: u64,
}

fn content_bytes_max() -> u64 {
    PACKAGE_BYTES_MAX
}

impl Settings {
    /// Settings of this machine's platform, with nothing in the environment.
    pub fn new(
        dir: impl Into<PathBuf>,
        home: &str,
        project: ProjectId,
        channel: &str,
        device: DeviceId,
        root: Vec<u8>,
    ) -> Self {
        let platform = match std::env::consts::OS {
            "macos" => "darwin",
            other => other,
        };
        Self {
            home: home.trim_end_matches('/').to_owned(),
            project,
            channel: channel.to_owned(),
            device,
            platform: platform.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            dir: dir.into(),
            root,
            env: BTreeMap::new(),
            interpreters: BTreeMap::new(),
            content_bytes_max: PACKAGE_BYTES_MAX,
        }
    }

    /// Reads `device.json` and `root.json` from a device's folder.
    pub fn load(dir: &Path) -> Result<Self, UpdateError> {
        let path = dir.join(SETTINGS_FILE);
        let bytes = std::fs::read(&path).map_err(|error| UpdateError::Settings {
            path: path.display().to_string(),
            why: format!("cannot be read: {error}; run `kintsugi-updater init` first"),
        })?;
        let written: Written =
            serde_json::from_slice(&bytes).map_err(|error| UpdateError::Settings {
                path: path.display().to_string(),
                why: error.to_string(),
            })?;
        if written.format != SETTINGS_FORMAT {
            return Err(UpdateError::Settings {
                path: path.display().to_string(),
                why: format!("format {} is not {SETTINGS_FORMAT}", written.format),
            });
        }
        let root_path = dir.join(ROOT_FILE);
        let settings = Self {
            home: written.home.trim_end_matches('/').to_owned(),
            project: written.project,
            channel: written.channel,
            device: written.device,
            platform: written.platform,
            arch: written.arch,
            dir: dir.to_owned(),
            root: std::fs::read(&root_path).on("read", &root_path)?,
            env: written.env,
            interpreters: written.interpreters,
            content_bytes_max: written.content_bytes_max,
        };
        settings.check()?;
        Ok(settings)
    }

    /// Writes `device.json` and `root.json` into the device's folder, which is made where it is missing.
    pub fn save(&self) -> Result<(), UpdateError> {
        self.check()?;
        std::fs::create_dir_all(&self.dir).on("make", &self.dir)?;
        let written = Written {
            format: SETTINGS_FORMAT,
            home: self.home.clone(),
            project: self.project,
            channel: self.channel.clone(),
            device: self.device.clone(),
            platform: self.platform.clone(),
            arch: self.arch.clone(),
            env: self.env.clone(),
            interpreters: self.interpreters.clone(),
            content_bytes_max: self.content_bytes_max,
        };
        super::folder::write_atomically(&self.dir.join(ROOT_FILE), &self.root)?;
        super::folder::write_json(&self.dir.join(SETTINGS_FILE), &written)
    }

    /// Refuses what could never work, and what would reach into other places of a URL.
    pub fn check(&self) -> Result<(), UpdateError> {
        let refuse = |path: &str, why: &str| {
            Err(UpdateError::Settings {
                path: path.to_owned(),
                why: why.to_owned(),
            })
        };
        let is_http = self.home.starts_with("http://") || self.home.starts_with("https://");
        if !is_http || self.home.contains(['?', '#', ' ']) {
            return refuse(
                "home",
                "expected http:// or https://, a host, and maybe a path",
            );
        }
        for (field, value) in [
            ("channel", &self.channel),
            ("platform", &self.platform),
            ("arch", &self.arch),
        ] {
            let fits = (1..=64).contains(&value.len())
                && value
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
            if !fits {
                return refuse(field, "expected 1 to 64 letters, digits, '-' or '_'");
            }
        }
        if self.root.is_empty() || self.root.len() > METADATA_BYTES_MAX {
            return refuse("root", "expected the first trusted root.json");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dir: &Path) -> Settings {
        let mut settings = Settings::new(
            dir,
            "http://127.0.0.1:1/",
            ProjectId(1),
            "stable",
            "d1".parse().unwrap(),
            b"{}".to_vec(),
        );
        settings.env.insert("A".into(), "b".into());
        settings
            .interpreters
            .insert("python3".into(), "/usr/bin/python3".into());
        settings
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        settings.save().unwrap();
        assert_eq!(Settings::load(dir.path()).unwrap(), settings);
    }

    #[test]
    fn a_folder_without_settings_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let error = Settings::load(dir.path()).unwrap_err();
        assert_eq!(error.code(), "settings_invalid");
        assert!(error.to_string().contains("init"), "{error}");
    }

    #[test]
    fn a_channel_cannot_be_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path());
        settings.channel = "../stable".into();
        assert_eq!(settings.save().unwrap_err().code(), "settings_invalid");
    }
}
