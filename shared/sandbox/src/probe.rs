//! Finds out whether this machine can build a box, and whether the box holds.
//!
//! The probe does not look at versions and settings to guess: it builds a real box, has a shell in
//! it report what it sees, and compares. Settings are read only to explain a refusal.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::{Exit, Finished, Job, SandboxError, supervise};

/// A machine that was seen to box a program.
#[derive(Clone, Debug)]
pub struct Sandbox {
    landlock: bool,
}

/// Prints what a process in the box is, then tries what must not work. Every line is judged.
const PROBE: &str = r#"
for n in cgroup ipc mnt net pid user uts; do echo "ns $n $(readlink /proc/self/ns/$n)"; done
while read -r key value; do
  case "$key" in CapEff:|CapPrm:|CapBnd:|NoNewPrivs:|Seccomp:) echo "is $key $value";; esac
done </proc/self/status
if [ -e "$1" ]; then echo "leak host-file"; fi
if [ "$(wc -l </proc/net/route)" -gt 1 ]; then echo "leak route"; fi
for p in /usr/.probe /etc/.probe /.probe /proc/sys/kernel/core_pattern; do
  if (: >>"$p") 2>/dev/null; then echo "leak write $p"; fi
done
: >/w/done
"#;
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
const EXPECTED: [&str; 4] = [
    "is CapEff: 0000000000000000",
    "is CapPrm: 0000000000000000",
    "is NoNewPrivs: 1",
    "is Seccomp: 2",
];
const PROBE_WALL: Duration = Duration::from_secs(20);

impl Sandbox {
    /// Starts a trivial boxed process and checks that it has namespaces of its own, no privileges,
    /// no network, no sight of the host's files and no way to write its programs and settings.
    pub fn probe() -> Result<Self, SandboxError> {
        match Self::attempt(true) {
            // Landlock is the second of two locks; old kernels do without it.
            Err(SandboxError::SetUp { detail }) if detail.contains("landlock") => {
                Self::attempt(false)
            }
            other => other,
        }
        .map_err(explain)
    }

    /// Runs one job in a box of its own and waits for the end of all its processes.
    ///
    /// Calls do not share anything: several may run at the same time on several threads.
    pub fn run(&self, job: &Job) -> Result<Finished, SandboxError> {
        supervise::run(job, self.landlock)
    }

    /// Whether the kernel's Landlock backs up the mounts here. Without it the box rests on them
    /// alone.
    pub fn has_landlock(&self) -> bool {
        self.landlock
    }

    fn attempt(landlock: bool) -> Result<Self, SandboxError> {
        let folder = tempfile::tempdir().map_err(SandboxError::io("no folder to probe with"))?;
        let mut marker =
            tempfile::NamedTempFile::new().map_err(SandboxError::io("no file to probe with"))?;
        marker
            .write_all(b"outside")
            .map_err(SandboxError::io("no file to probe with"))?;
        let marker = marker.path().display().to_string();

        let mut job = Job::new(["/bin/sh", "-c", PROBE, "probe", &marker], folder.path());
        job.env.insert("PATH".into(), "/usr/bin:/bin".into());
        job.limits.wall = PROBE_WALL;
        let finished = supervise::run(&job, landlock)?;
        judge(&finished, folder.path()).map(|()| Self { landlock })
    }
}

fn judge(finished: &Finished, folder: &Path) -> Result<(), SandboxError> {
    let leaky = |what: String| Err(SandboxError::Leaky { what });
    if finished.status != Exit::Code(0) {
        let words = String::from_utf8_lossy(&finished.stderr);
        return Err(SandboxError::set_up(format!(
            "the probe ended with {:?}: {words}",
            finished.status
        )));
    }
    let report = String::from_utf8_lossy(&finished.stdout);
    let lines: Vec<String> = report
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    if let Some(leak) = lines.iter().find(|line| line.starts_with("leak")) {
        return leaky(leak.clone());
    }
    for expected in EXPECTED {
        if !lines.iter().any(|line| line == expected) {
            return leaky(format!("not seen inside: {expected:?}"));
        }
    }
    for namespace in NAMESPACES {
        let ours = fs::read_link(format!("/proc/self/ns/{namespace}"))
            .map_err(SandboxError::io("could not read our own namespaces"))?;
        let prefix = format!("ns {namespace} ");
        let theirs = lines.iter().find_map(|line| line.strip_prefix(&prefix));
        if theirs.is_none_or(|it| !it.starts_with(namespace) || ours == Path::new(it)) {
            return leaky(format!("the {namespace} namespace is shared with the host"));
        }
    }
    if !folder.join("done").exists() {
        return Err(SandboxError::set_up(
            "the job's folder did not reach the box",
        ));
    }
    Ok(())
}

/// Turns a failed set-up into one sentence with a remedy, from the settings known to forbid boxes.
fn explain(error: SandboxError) -> SandboxError {
    let SandboxError::SetUp { detail } = error else {
        return error;
    };
    let remedy = if setting("user/max_user_namespaces") == Some(0) {
        "user namespaces are switched off; raise the kernel setting user.max_user_namespaces"
    } else if setting("kernel/unprivileged_userns_clone") == Some(0) {
        "user namespaces are for root only; set kernel.unprivileged_userns_clone to 1"
    } else if setting("kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        "AppArmor forbids user namespaces to ordinary programs; give this program a profile with \
         `userns`, or set kernel.apparmor_restrict_unprivileged_userns to 0"
    } else {
        "user, mount, process and network namespaces with their own /proc are needed; in a \
         container, run it with nesting allowed, or run on the machine itself"
    };
    SandboxError::Unavailable {
        reason: format!("{remedy} ({detail})"),
    }
}

fn setting(name: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/proc/sys").join(name))
        .ok()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: Exit, stdout: String) -> Finished {
        Finished {
            status,
            stdout: stdout.into_bytes(),
            stdout_truncated: false,
            stderr: Vec::new(),
            stderr_truncated: false,
            wall: Duration::ZERO,
            cpu: None,
            breach: None,
        }
    }

    fn sound() -> String {
        let namespaces = NAMESPACES.map(|name| format!("ns {name} {name}:[1]"));
        namespaces.join("\n") + "\n" + &EXPECTED.join("\n")
    }

    #[test]
    fn a_sound_report_passes_and_each_missing_line_is_a_leak() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("done"), "").unwrap();
        assert!(judge(&report(Exit::Code(0), sound()), folder.path()).is_ok());
        for line in sound().lines() {
            let less = sound().replace(line, "");
            let judged = judge(&report(Exit::Code(0), less), folder.path());
            assert!(matches!(judged, Err(SandboxError::Leaky { .. })), "{line}");
        }
    }

    #[test]
    fn the_mounts_alone_hold_where_landlock_is_missing() {
        Sandbox::attempt(false).unwrap();
    }

    #[test]
    fn a_namespace_shared_with_the_host_is_a_leak() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("done"), "").unwrap();
        let ours = fs::read_link("/proc/self/ns/net").unwrap();
        let shared = sound().replace("net:[1]", ours.to_str().unwrap());
        let judged = judge(&report(Exit::Code(0), shared), folder.path());
        assert!(matches!(judged, Err(SandboxError::Leaky { .. })));
    }

    #[test]
    fn whatever_the_probe_could_do_is_a_leak() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("done"), "").unwrap();
        let judged = judge(
            &report(Exit::Code(0), sound() + "\nleak write /usr/.probe"),
            folder.path(),
        );
        assert!(matches!(judged, Err(SandboxError::Leaky { .. })));
    }
}
