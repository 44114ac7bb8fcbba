//! Native crashes (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP; their like on Windows and macOS) of a product that embeds this.
//!
//! ```no_run
//! // First thing in `main`: in the process that watches, this never returns.
//! let watch = kintsugi_native::watch("data/reports".as_ref(), Some("till@1.0.0"));
//! // A product without a watcher works as well.
//! let _watch = watch.ok();
//! ```
//!
//! [`watch`] starts the product's own program once more, as a process that only waits. When the product crashes, its signal handler asks that
//! process to look at it from outside and write a [minidump]; then the product dies of its signal as it would have. The process leaves the
//! dump in the folder of the reporter (`kintsugi_sdk::reporter`), which seals it and sends it at its next start. The home makes an event of it
//! and keeps nothing of the memory in it.
//!
//! A saved crash is a file `<when, ms>-<process>.crash`: a line of JSON (`{"format": 1, "at": <ms since 1970>, "release": …}`), then the dump.
//!
//! **Invariants: nothing is kept where the folder has no file `device`, which the reporter makes once there is consent. Files are readable by
//! their owner alone, at most [`CRASHES_MAX`] wait, and none is longer than [`DUMP_BYTES_MAX`].** A dump holds what was on the stacks; unlike everything else in
//! that folder it lies there unsealed until the next start.
//!
//! The handler and the writing of dumps are `minidumper-child`, `crash-handler` and `minidump-writer`, which stand behind other crash reporters too. Not here: panics,
//! which the reporter's own hook reports with better frames; a panic that aborts is reported twice.
//!
//! [minidump]: https://learn.microsoft.com/en-us/windows/win32/debug/minidump-files

use minidumper_child::{ClientHandle, MinidumperChild};
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most saved crashes that wait: of a product that crashes at each start the first ones say as much as the later.
pub const CRASHES_MAX: usize = 8;
/// Longest dump that is kept, bytes.
pub const DUMP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What the names of saved crashes end with.
pub const ENDING: &str = ".crash";
/// The variable that tells the process that watches what it is.
const ROLE: &str = "KINTSUGI_WATCHES_CRASHES";
/// Without a sign of life for so long, the process that watches ends: a machine may sleep, a product may be stopped.
const PATIENCE: Duration = Duration::from_hours(1);
/// How long the start waits for it.
const START: Duration = Duration::from_secs(10);

/// As long as it lives, crashes are caught.
pub struct Watch(#[expect(dead_code, reason = "dropping it ends the watch")] ClientHandle);

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

/// Why crashes are not caught.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The folder for dumps cannot be made.
    #[error("folder for dumps {folder}: {why}")]
    Folder {
        /// The folder.
        folder: String,
        /// What happened.
        why: io::Error,
    },
    /// The process that watches did not start, or the handler cannot be installed.
    #[error("no watch over crashes")]
    Watch(#[from] minidumper_child::Error),
}

impl WatchError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Folder { .. } => "native.folder",
            Self::Watch(_) => "native.watch",
        }
    }
}

/// Has crashes of this process caught from now on. `folder` is that of the reporter, `release` what runs here, as the reporter names it.
///
/// Call it first in `main`: the process that watches is the same program with the same arguments, does everything up to here
/// as well, and never returns from here.
///
/// # Errors
/// The folder cannot be made, or nothing watches. The product goes on all the same.
pub fn watch(folder: &Path, release: Option<&str>) -> Result<Watch, WatchError> {
    let dumps = folder.join("dumps");
    make_private(&dumps).map_err(|why| WatchError::Folder {
        folder: dumps.display().to_string(),
        why,
    })?;
    let (folder, release) = (folder.to_owned(), release.map(str::to_owned));
    let watch = MinidumperChild::new()
        .with_server_env_var(ROLE.to_owned())
        .with_crashes_dir(dumps)
        .with_server_stale_timeout(PATIENCE)
        .with_client_connect_timeout(START)
        .on_process(|command| {
            // Whoever reads what the product says waits for the end of the product alone.
            command.args(std::env::args_os().skip(1));
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(Stdio::null());
        })
        .on_minidump(move |dump, _| {
            // There is nobody to tell where it fails.
            let _ = save(&folder, release.as_deref(), &dump);
        })
        .spawn()?;
    Ok(Watch(watch))
}

/// A folder that only its owner may look into.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Keeps a dump for the next start of the reporter; where it lies now, if it may be kept.
fn save(folder: &Path, release: Option<&str>, dump: &[u8]) -> io::Result<Option<PathBuf>> {
    let may_be_told = folder.join("device").is_file();
    if !may_be_told || dump.len() > DUMP_BYTES_MAX || waiting(folder)? >= CRASHES_MAX {
        return Ok(None);
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the process that watches has no clock but the machine's"
    )]
    let at = SystemTime::now().duration_since(UNIX_EPOCH);
    let at = at.unwrap_or_default().as_millis();
    let at = u64::try_from(at).unwrap_or(u64::MAX);
    let name = format!("{at:015}-{}", std::process::id());
    let (aside, path) = (
        folder.join(format!("{name}.part")),
        folder.join(name + ENDING),
    );
    let mut file = private(&aside)?;
    let header = json!({"format": 1, "at": at, "release": release});
    writeln!(file, "{header}")?;
    file.write_all(dump)?;
    file.sync_all()?;
    fs::rename(&aside, &path)?;
    Ok(Some(path))
}

fn waiting(folder: &Path) -> io::Result<usize> {
    let names = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.file_name());
    Ok(names
        .filter(|name| name.to_string_lossy().ends_with(ENDING))
        .count())
}

/// A new file that only its owner may read.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_kept_only_with_consent_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(save(path, None, b"MDMP").unwrap(), None);
        fs::write(path.join("device"), "0123").unwrap();
        let kept = save(path, Some("till@1.0.0"), b"MDMP\n\0")
            .unwrap()
            .unwrap();
        let (header, dump) = {
            let content = fs::read(&kept).unwrap();
            let end = content.iter().position(|byte| *byte == b'\n').unwrap();
            let header: serde_json::Value = serde_json::from_slice(&content[..end]).unwrap();
            (header, content[end + 1..].to_vec())
        };
        assert_eq!(
            (&header["format"], &header["release"]),
            (&1.into(), &"till@1.0.0".into())
        );
        assert_eq!(dump, b"MDMP\n\0");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            make_private(&path.join("dumps")).unwrap();
            assert_eq!((mode(&kept), mode(&path.join("dumps"))), (0o600, 0o700));
        }
    }

    #[test]
    fn the_first_crashes_are_kept_and_none_that_is_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("device"), "0123").unwrap();
        let long = vec![0; DUMP_BYTES_MAX + 1];
        assert_eq!(save(path, None, &long).unwrap(), None);
        for number in 0..CRASHES_MAX {
            fs::write(path.join(format!("{number}{ENDING}")), "").unwrap();
        }
        assert_eq!(save(path, None, b"MDMP").unwrap(), None);
        assert_eq!(waiting(path).unwrap(), CRASHES_MAX);
    }
}
