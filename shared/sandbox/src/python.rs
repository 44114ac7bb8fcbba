//! Finds the real Python behind `python3`, and the folders it needs.
//!
//! `python3` may be a version manager's script, a link, or a virtual environment, and may live
//! under a home folder that no box shows. The interpreter itself knows best, so it is asked. Not
//! here: installing anything.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::SandboxError;

/// A Python that can be started in a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// The interpreter, by its absolute path; the first word of a job's `argv`.
    pub program: PathBuf,
    /// What it needs beyond the system's own folders; goes into [`Job::read_only`](crate::Job).
    pub read_only: Vec<PathBuf>,
}

/// The interpreter, then every place it loads its own files from.
const QUESTION: &str = "import sys, sysconfig as s
print(sys.executable)
for p in (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix,
          s.get_path('stdlib'), s.get_path('platstdlib'), s.get_path('purelib')):
    print(p)";

/// Asks the `python3` found along this process's `PATH` where it lives.
pub fn python_toolchain() -> Result<Toolchain, SandboxError> {
    let refused = |detail: String| SandboxError::NoPython { detail };
    let answer = Command::new("python3")
        .args(["-I", "-c", QUESTION])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| refused(format!("python3 does not start: {error}")))?;
    if !answer.status.success() {
        let words = String::from_utf8_lossy(&answer.stderr);
        return Err(refused(format!(
            "python3 ended with {}: {}",
            answer.status,
            words.trim()
        )));
    }
    let lines = String::from_utf8(answer.stdout)
        .map_err(|_| refused("python3 lives at a path that is not valid text".into()))?;
    let toolchain =
        understand(&lines).ok_or_else(|| refused("python3 does not say where it lives".into()))?;
    let home = std::env::home_dir().unwrap_or_default();
    match toolchain
        .read_only
        .iter()
        .find(|folder| home.starts_with(folder))
    {
        Some(folder) => Err(refused(format!(
            "python3 lives right in {}, which also holds personal files",
            folder.display()
        ))),
        None => Ok(toolchain),
    }
}

fn understand(answer: &str) -> Option<Toolchain> {
    let mut lines = answer
        .lines()
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let program = lines.next()?;
    // A folder is needed under the name it was told by and, for links, under its real one.
    let mut folders: Vec<PathBuf> = lines
        .flat_map(|path| [path.canonicalize().ok(), path.exists().then_some(path)])
        .flatten()
        .collect();
    folders.extend(program.canonicalize().ok().and_then(|real| home_of(&real)));
    folders.retain(|path| !path.starts_with("/usr") && path != Path::new("/"));
    folders.sort();
    // Sorted, a folder stands right before all that lies in it.
    folders.dedup_by(|inner, outer| inner.starts_with(&*outer));
    Some(Toolchain {
        program,
        read_only: folders,
    })
}

/// `/x/bin/python3` belongs to `/x`.
fn home_of(program: &Path) -> Option<PathBuf> {
    let bin = program.parent()?;
    (bin.file_name()? == "bin").then(|| bin.parent().map(Path::to_path_buf))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_python_needs_nothing_more() {
        let told =
            "/usr/bin/python3\n/usr\n/usr\n/usr\n/usr\n/usr/lib/python3.11\n/usr/lib/python3.11\n";
        let toolchain = understand(told).unwrap();
        assert_eq!(toolchain.program, Path::new("/usr/bin/python3"));
        assert!(toolchain.read_only.is_empty());
    }

    #[test]
    fn folders_inside_one_another_are_named_once() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        std::fs::create_dir_all(home.join("lib/python3.11")).unwrap();
        let home = home.display();
        let told = format!("{home}/bin/python3\n{home}\n{home}\n{home}/lib/python3.11\n");
        let toolchain = understand(&told).unwrap();
        assert_eq!(toolchain.read_only, [PathBuf::from(home.to_string())]);
    }

    #[test]
    fn an_answer_without_a_path_is_no_toolchain() {
        assert!(understand("").is_none());
        assert!(understand("python3\n").is_none());
    }
}
