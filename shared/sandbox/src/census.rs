//! Counts who lives in a box, from outside, through the host's `/proc`.
//!
//! It is how the limits of a *whole* box are held where the kernel has none (it never limits the
//! processes of root, and memory only one process at a time), and how the supervisor knows that
//! nobody is left. Not here: what to do about a count (`supervise`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One box, known by its process namespace.
#[derive(Debug)]
pub(crate) struct Census {
    namespace: PathBuf,
}

/// What lives in a box at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Processes, each with all its threads.
    pub(crate) tasks: u64,
    /// Those of them that still run: a dead one stays in the list until its parent has noticed,
    /// and the last parent may be a slow one outside.
    pub(crate) running: u64,
    /// Memory that belongs to one process alone, added up, in bytes.
    pub(crate) memory_bytes: u64,
}

impl Census {
    /// The box whose first process is a child of process `monitor`.
    pub(crate) fn of_child_of(monitor: u32) -> io::Result<Self> {
        let namespace = fs::read_link(format!("/proc/{monitor}/ns/pid_for_children"))?;
        // A monitor that has not moved yet would make the whole host look boxed.
        if namespace == fs::read_link("/proc/self/ns/pid")? {
            return Err(io::Error::other("the box has no process namespace"));
        }
        Ok(Self { namespace })
    }

    /// Counts everyone in the box now. Processes that end meanwhile are left out.
    pub(crate) fn count(&self) -> io::Result<Count> {
        let mut count = Count::default();
        for entry in fs::read_dir("/proc")?.filter_map(Result::ok) {
            if entry
                .file_name()
                .as_encoded_bytes()
                .first()
                .is_some_and(u8::is_ascii_digit)
                && fs::read_link(entry.path().join("ns/pid")).is_ok_and(|it| it == self.namespace)
            {
                count.add(&entry.path());
            }
        }
        Ok(count)
    }
}

impl Count {
    fn add(&mut self, process: &Path) {
        let Ok(status) = fs::read_to_string(process.join("status")) else {
            return;
        };
        let tasks = field(&status, "Threads:").unwrap_or(1);
        let is_dead = tasks <= 1 && status.contains("\nState:\tZ");
        self.tasks += tasks;
        self.running += if is_dead { 0 } else { tasks };
        self.memory_bytes += field(&status, "RssAnon:").unwrap_or(0) * 1024;
    }
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
