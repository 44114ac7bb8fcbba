//! The room a job runs in: namespaces, mounts, limits and Landlock rules.
//!
//! The room is a fresh root folder with the host's programs read-only, a few files of `/etc`, the
//! job's folder at `/w`, and nothing else of the host. Not here: system calls (`syscalls`), and
//! the limits of a whole box (`supervise`).

use std::fs;
use std::path::{Path, PathBuf};

use hakoniwa::landlock::{CompatMode, FsAccess, Resource, Ruleset};
use hakoniwa::{Command, Container, MountOptions, Namespace, Rlimit, Stdio};

use crate::mounts::MountTable;
use crate::{Job, SandboxError};

/// Where the job's own folder appears.
pub(crate) const WORKDIR: &str = "/w";
/// The first byte on standard output, written when the room is complete and before the job starts.
/// Without it a failed set-up and a program that exits with the same code would look alike.
pub(crate) const READY: u8 = b'R';
/// Processes the room itself needs: the supervisor outside, and the shell inside.
pub(crate) const OWN_PROCESSES: u64 = 2;

/// Inside, everyone is this ordinary user, so that starting a program drops every capability.
const USER_ID: u32 = 1000;
/// How much `/tmp` holds; it is memory of the host.
const TMP_BYTES_MAX: u64 = 256 << 20;
/// How much `/dev/shm` holds; likewise.
const SHM_BYTES_MAX: u64 = 64 << 20;

const SYSTEM_FOLDERS: [&str; 6] = ["/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"];
/// What the loader, `awk` and friends, and clocks read. No accounts, no host names, no keys.
const SYSTEM_FILES: [&str; 5] = [
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
];
const DEVICES: [&str; 5] = [
    "/dev/full",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
];
/// Places a job may not replace with a folder of its own choice.
const RESERVED: [&str; 8] = [
    "/", "/dev", "/etc", "/proc", "/sys", "/tmp", "/usr", WORKDIR,
];

/// Starts the program as a child of a shell, for three reasons: a first process ignores most
/// signals, also its own; somebody must reap orphans; and the memory limit must not hold for the
/// set-up, which still has the caller's address space. The shell's own words go nowhere.
const START: &str = r#"exec 3>&2 2>/dev/null
(ulimit -v "$1" || exit 125; shift; printf R; exec "$@" 2>&3 3>&-)
exit "$?""#;

/// Puts the room together and the job into it; nothing is started yet.
pub(crate) fn furnish(job: &Job, landlock: bool) -> Result<Command, SandboxError> {
    let mut room = Room {
        container: Container::empty(),
        table: MountTable::read()?,
    };
    room.isolate();
    room.system()?;
    room.devices()?;
    room.folders(job)?;
    room.limits(job);
    if landlock {
        room.landlock();
    }
    // Out of the caller's session: a process could otherwise signal the caller's process group,
    // which a process namespace does not prevent.
    let mut command = room.container.command(setsid()?);
    command
        .args(["/bin/sh", "-c", START, "sandbox"])
        .arg(&(job.limits.memory_bytes / 1024).max(1).to_string())
        .args(&job.argv)
        .envs(&job.env)
        .current_dir(WORKDIR)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

fn setsid() -> Result<&'static str, SandboxError> {
    ["/usr/bin/setsid", "/bin/setsid"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .ok_or_else(|| SandboxError::Unavailable {
            reason: "the program setsid is missing; install the package util-linux".into(),
        })
}

struct Room {
    container: Container,
    table: MountTable,
}

impl Room {
    fn isolate(&mut self) {
        for namespace in [
            Namespace::Cgroup,
            Namespace::Ipc,
            Namespace::Mount,
            Namespace::Network,
            Namespace::Pid,
            Namespace::User,
            Namespace::Uts,
        ] {
            self.container.unshare(namespace);
        }
        self.container
            .uidmap(USER_ID)
            .gidmap(USER_ID)
            .hostname("box");
        // Read-only, because a caller who is root stays the owner of the host's kernel settings
        // under /proc/sys, whatever the namespaces.
        let options = MountOptions::NOSUID
            | MountOptions::NODEV
            | MountOptions::NOEXEC
            | MountOptions::RDONLY;
        self.container.mount("proc", "/proc", "proc", options, None);
        // No namespaces inside the box: they would hand the job capabilities again, and with them
        // a much larger part of the kernel.
        let lock = "/.user-namespaces";
        let options =
            MountOptions::BIND | MountOptions::NOSUID | MountOptions::NODEV | MountOptions::NOEXEC;
        self.container.mount(
            "/proc/sys/user/max_user_namespaces",
            lock,
            "",
            options,
            None,
        );
        self.container.file(lock, "0");
    }

    fn system(&mut self) -> Result<(), SandboxError> {
        self.read_only(Path::new("/usr"))?;
        for folder in SYSTEM_FOLDERS {
            let path = Path::new(folder);
            if let Ok(original) = fs::read_link(path) {
                self.container.symlink(text(&original)?, folder);
            } else if path.is_dir() {
                self.read_only(path)?;
            }
        }
        for file in SYSTEM_FILES
            .into_iter()
            .map(Path::new)
            .filter(|path| path.exists())
        {
            self.read_only(file)?;
        }
        let id = USER_ID;
        self.container
            .dir("/etc", 0o755)
            .file(
                "/etc/passwd",
                &format!("box:x:{id}:{id}:box:/tmp:/bin/sh\n"),
            )
            .file("/etc/group", &format!("box:x:{id}:\n"))
            .file("/etc/hosts", "127.0.0.1 localhost box\n");
        Ok(())
    }

    /// A few devices and no terminal: through one, a job could type into the caller's shell.
    /// Read-only, which a device does not mind, but taking everyone's rights to it away does.
    fn devices(&mut self) -> Result<(), SandboxError> {
        for device in DEVICES {
            let options = MountOptions::BIND | MountOptions::NOSUID | MountOptions::RDONLY;
            self.bind(Path::new(device), device, options)?;
        }
        for (link, original) in [
            ("/dev/fd", "/proc/self/fd"),
            ("/dev/stderr", "/proc/self/fd/2"),
            ("/dev/stdin", "/proc/self/fd/0"),
            ("/dev/stdout", "/proc/self/fd/1"),
        ] {
            self.container.symlink(original, link);
        }
        self.memory_folder("/dev/shm", SHM_BYTES_MAX);
        self.memory_folder("/tmp", TMP_BYTES_MAX);
        Ok(())
    }

    fn memory_folder(&mut self, target: &str, bytes_max: u64) {
        let options = MountOptions::NOSUID | MountOptions::NODEV;
        let data = format!("size={bytes_max},nr_inodes=65536,mode=1777");
        self.container
            .mount("tmpfs", target, "tmpfs", options, Some(data));
    }

    fn folders(&mut self, job: &Job) -> Result<(), SandboxError> {
        let workdir = fs::canonicalize(&job.workdir)
            .ok()
            .filter(|path| path.is_dir())
            .ok_or_else(|| missing("the work folder", &job.workdir))?;
        let options =
            MountOptions::BIND | MountOptions::REC | MountOptions::NOSUID | MountOptions::NODEV;
        self.bind(&workdir, WORKDIR, options)?;

        for path in &job.read_only {
            // Compared by components, so that `/tmp/` is seen to be `/tmp`.
            let plain: PathBuf = path.components().collect();
            if RESERVED.iter().any(|reserved| Path::new(reserved) == plain) || !is_direct(&plain) {
                return Err(SandboxError::bad_job(format!(
                    "{} cannot be lent",
                    path.display()
                )));
            }
            if !plain.exists() {
                return Err(missing("the read-only path", path));
            }
            self.read_only(&plain)?;
        }
        Ok(())
    }

    /// Binds `path` read-only where it is, and every mount beneath it, which would stay writable.
    fn read_only(&mut self, path: &Path) -> Result<(), SandboxError> {
        let source = fs::canonicalize(path).map_err(|_| missing("the system path", path))?;
        let beneath: Vec<PathBuf> = self.table.beneath(&source).map(Path::to_path_buf).collect();
        let options = MountOptions::BIND
            | MountOptions::REC
            | MountOptions::NOSUID
            | MountOptions::NODEV
            | MountOptions::RDONLY;
        self.bind(&source, text(path)?, options)?;
        for inner in beneath {
            let target = inner
                .strip_prefix(&source)
                .map_or_else(|_| inner.clone(), |it| path.join(it));
            self.bind(&inner, text(&target)?, options)?;
        }
        Ok(())
    }

    fn bind(
        &mut self,
        source: &Path,
        target: &str,
        mut options: MountOptions,
    ) -> Result<(), SandboxError> {
        if self.table.is_noexec(source) {
            options |= MountOptions::NOEXEC;
        }
        self.container
            .mount(text(source)?, target, "", options, None);
        Ok(())
    }

    fn limits(&mut self, job: &Job) {
        let limits = &job.limits;
        let processes = limits.processes.saturating_add(OWN_PROCESSES);
        // One second more until the kill, so that the signal says what happened.
        let cpu_kill = limits.cpu_seconds.saturating_add(1);
        self.container
            .setrlimit(Rlimit::Core, 0, 0)
            .setrlimit(Rlimit::Cpu, limits.cpu_seconds, cpu_kill)
            .setrlimit(Rlimit::Fsize, limits.file_bytes, limits.file_bytes)
            .setrlimit(Rlimit::Nofile, limits.open_files, limits.open_files)
            .setrlimit(Rlimit::Nproc, processes, processes);
    }

    /// A second lock on what the mounts already say, and on mounting anything at all.
    fn landlock(&mut self) {
        let read = FsAccess::R | FsAccess::X;
        let write = read | FsAccess::W;
        let mut rules = Ruleset::default();
        rules.restrict(Resource::FS, CompatMode::Enforce);
        rules.restrict(Resource::NET_TCP_CONNECT, CompatMode::Relax);
        rules.allow_path("/", read);
        for path in ["/dev", "/tmp", WORKDIR] {
            rules.allow_path(path, write);
        }
        self.container.landlock_ruleset(rules);
    }
}

/// Whether a path is absolute and says where it is without going up.
fn is_direct(path: &Path) -> bool {
    use std::path::Component;
    path.is_absolute() && !path.components().any(|part| part == Component::ParentDir)
}

fn missing(what: &str, path: &Path) -> SandboxError {
    SandboxError::bad_job(format!("{what} {} does not exist", path.display()))
}

fn text(path: &Path) -> Result<&str, SandboxError> {
    path.to_str()
        .ok_or_else(|| SandboxError::bad_job(format!("{} is not valid text", path.display())))
}
