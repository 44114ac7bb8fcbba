//! A product to test with: its configuration and its record.
//!
//! Not here: its source (`samples/till`); tests that build or repair use that.

#![expect(clippy::expect_used, reason = "test code")]

use kintsugi_domain::Timestamp;
use kintsugi_domain::config::Config;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::project::Project;

/// The least that is a `kintsugi.toml`. More sections may follow.
pub const CONFIG: &str = r#"
[product]
name = "till"
language = "python"
[test]
command = ["true"]
[package]
include = ["till"]
[health]
command = ["true"]
"#;

/// [`CONFIG`], with more sections behind it.
///
/// # Panics
///
/// When that is no configuration.
pub fn config(sections: &str) -> Config {
    Config::parse("kintsugi.toml", &format!("{CONFIG}{sections}")).expect("a configuration")
}

/// A product that was added in 1970 and that nobody may report for, without a source.
pub fn project(id: ProjectId, config: Config) -> Project {
    Project {
        id,
        config,
        keys: Vec::new(),
        repository: None,
        batch_keys: kintsugi_domain::batch::BatchKeys::default(),
        added_at: Timestamp::UNIX_EPOCH,
    }
}
