//! On what and with what a bench ran.

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Machine and versions.
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
    rustc: String,
    /// Processes that wanted to run in the last minute before it (`/proc/loadavg`).
    load: String,
    /// The commit; with `+` when files were changed since.
    commit: String,
}

impl Machine {
    /// This machine, and the repository in `root`. What cannot be found out is called `unknown`.
    pub(crate) fn of(root: &Path) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let dirty = !said(root, "git", &["status", "--porcelain"]).is_empty();
        let commit = said(root, "git", &["rev-parse", "--short", "HEAD"]);
        Self {
            cpu: or_unknown(field(&cpuinfo, "model name").unwrap_or_default()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kilobytes(&meminfo, "MemTotal").unwrap_or_default() / 1024,
            kernel: or_unknown(said(root, "uname", &["-sr"])),
            load: or_unknown(load.split(' ').next().unwrap_or_default().into()),
            rustc: or_unknown(said(root, "rustc", &["--version"])),
            commit: or_unknown(commit) + if dirty { "+" } else { "" },
        }
    }

    /// For machines.
    pub(crate) fn json(&self) -> Value {
        json!({
            "cpu": self.cpu,
            "cores": self.cores,
            "memory_mib": self.memory_mib,
            "kernel": self.kernel,
            "load": self.load,
            "rustc": self.rustc,
            "commit": self.commit,
        })
    }

    /// For people.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}, {} cores, {} MiB, load {} before; {}; {}; commit {}",
            self.cpu, self.cores, self.memory_mib, self.load, self.kernel, self.rustc, self.commit
        )
    }
}

/// The version of a crate in `Cargo.lock`; `unknown` when it is not there.
pub(crate) fn locked_version(root: &Path, name: &str) -> String {
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    or_unknown(version_in(&lock, name).unwrap_or_default())
}

fn version_in(lock: &str, name: &str) -> Option<String> {
    let package = lock.split("[[package]]").find(|package| {
        package
            .lines()
            .any(|line| line == format!("name = \"{name}\""))
    })?;
    let version = package
        .lines()
        .find_map(|line| line.strip_prefix("version = "))?;
    Some(version.trim_matches('"').to_owned())
}

/// The number of kilobytes that a file like `/proc/meminfo` gives for a name.
pub(crate) fn kilobytes(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.split_whitespace().next()?.parse().ok()
}

/// What stands after `name:` in a file of lines.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

fn said(root: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn or_unknown(text: String) -> String {
    if text.is_empty() {
        return "unknown".into();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_kilobytes_are_read_as_the_kernel_writes_them() {
        let status = "Name:\tingest\nVmPeak:\t  120000 kB\nVmHWM:\t   14208 kB\n";
        assert_eq!(kilobytes(status, "VmHWM"), Some(14_208));
        assert_eq!(kilobytes(status, "VmSwap"), None);
        assert_eq!(
            field("model name\t: A CPU @ 2.8", "model name").as_deref(),
            Some("A CPU @ 2.8")
        );
    }

    #[test]
    fn the_version_is_that_of_the_named_crate() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n\
                    [[package]]\nname = \"ab\"\nversion = \"2.0.0\"\n";
        assert_eq!(version_in(lock, "ab").as_deref(), Some("2.0.0"));
        assert_eq!(version_in(lock, "b"), None);
    }
}
