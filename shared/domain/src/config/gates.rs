//! `[gates]`: what a version must pass besides its test suite before it is released (ledger E8). What is run is in the build engine.

use super::Command;
use serde::{Deserialize, Serialize};

/// What a version must pass besides its test suite. A command that is empty is not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateRules {
    /// Looks for known faults in what the product depends on.
    pub audit: Vec<String>,
    /// Reads the source for faults.
    pub static_checks: Vec<String>,
    /// Tests of single parts.
    pub unit: Vec<String>,
    /// Tests of parts together.
    pub integration: Vec<String>,
    /// Tests of the product as a whole.
    pub e2e: Vec<String>,
    /// A browser extension's `manifest.json` in the package: a patch may not ask for more than the version before. Empty: none.
    pub manifest: String,
    /// A command that takes longer has failed, seconds.
    pub timeout_seconds: u32,
}

impl Default for GateRules {
    fn default() -> Self {
        Self {
            audit: Vec::new(),
            static_checks: Vec::new(),
            unit: Vec::new(),
            integration: Vec::new(),
            e2e: Vec::new(),
            manifest: String::new(),
            timeout_seconds: 600,
        }
    }
}

/// A command that is a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateCommand {
    /// The gate's name.
    pub name: &'static str,
    /// The code of a version that does not pass it.
    pub code: &'static str,
    /// What is run.
    pub command: Command,
}

/// The code of a version that a scan finds fault with.
pub const SCAN_FAILURE: &str = "SCAN_FAILURE";
/// The code of a version that fails a test.
pub const TEST_FAILURE: &str = "TEST_FAILURE";

impl GateRules {
    /// The commands to run, in their order: the cheap ones first.
    pub fn commands(&self) -> Vec<GateCommand> {
        let gates = [
            ("audit", SCAN_FAILURE, &self.audit),
            ("static_checks", SCAN_FAILURE, &self.static_checks),
            ("unit", TEST_FAILURE, &self.unit),
            ("integration", TEST_FAILURE, &self.integration),
            ("e2e", TEST_FAILURE, &self.e2e),
        ];
        let asked = gates.into_iter().filter(|(.., argv)| !argv.is_empty());
        asked
            .map(|(name, code, argv)| GateCommand {
                name,
                code,
                command: Command {
                    command: argv.clone(),
                    timeout_seconds: self.timeout_seconds,
                },
            })
            .collect()
    }
}
