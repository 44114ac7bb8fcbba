//! Whether an installed version works: its own health check, run as the product would be.
//!
//! The command comes from the verified channel document. It runs in the version's folder with a small
//! environment, its output is bounded, and at its end, in time or not, nothing it started is left.
//!
//! Not here: a sandbox. The check is the product, which is about to run on this device anyway.

use super::settings::Settings;
use kintsugi_domain::channel::HealthCheck;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Output that is kept of each stream, bytes.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;
/// Characters of output in a reason.
const REASON_CHARS_MAX: usize = 500;
/// Longest a health check may be allowed to take, seconds.
const TIMEOUT_SECONDS_MAX: u32 = 3_600;
/// How long output is waited for after everything that could write it was ended.
const OUTPUT_WAIT: Duration = Duration::from_secs(5);

/// Runs a health check. The error is a sentence for people.
pub(super) fn check(settings: &Settings, health: &HealthCheck, tree: &Path) -> Result<(), String> {
    let app = tree.to_string_lossy();
    let mut words = health
        .command
        .iter()
        .map(|word| word.replace("{app}", &app));
    let Some(program) = words.next().filter(|program| !program.is_empty()) else {
        return Err("the release has no health check".to_owned());
    };
    let program = settings.interpreters.get(&program).map_or_else(
        || program.clone().into(),
        |path| path.clone().into_os_string(),
    );
    let mut command = Command::new(&program);
    command
        .args(words)
        .current_dir(tree)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(&settings.env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    own_group(&mut command);
    let timeout = Duration::from_secs(health.timeout_seconds.min(TIMEOUT_SECONDS_MAX).into());
    let mut child = command
        .spawn()
        .map_err(|error| format!("{} cannot be started: {error}", program.to_string_lossy()))?;
    let (out, err) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let in_time = wait(&child, timeout);
    end_group(&mut child);
    let status = child.wait().map_err(|error| format!("lost: {error}"))?;
    let said = [err, out]
        .into_iter()
        .filter_map(|output| output.recv_timeout(OUTPUT_WAIT).ok())
        .map(|bytes| last_line(&bytes))
        .find(|line| !line.is_empty());
    judge(in_time, status, timeout, said)
}

fn judge(
    in_time: bool,
    status: ExitStatus,
    timeout: Duration,
    said: Option<String>,
) -> Result<(), String> {
    let said = said.map(|line| format!(": {line}")).unwrap_or_default();
    if !in_time {
        let seconds = timeout.as_secs();
        return Err(format!("no answer within {seconds} seconds{said}"));
    }
    if status.success() {
        Ok(())
    } else {
        Err(format!("{status}{said}"))
    }
}

/// Reads a stream to its end on a thread of its own, so that a full pipe never stops the check.
fn collect(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    if let Some(mut stream) = stream {
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            // An unreadable rest is as good as none: the exit status decides.
            let _ = (&mut stream).take(OUTPUT_BYTES_MAX).read_to_end(&mut kept);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
            let _ = sender.send(kept);
        });
    }
    receiver
}

/// The last line that says something, cut to a readable length.
fn last_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or_default()
        .chars()
        .filter(|character| !character.is_control())
        .take(REASON_CHARS_MAX)
        .collect()
}

#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
}

/// Waits for the end of a process without collecting it, so that its number, which is its group's too,
/// stays taken until the group is ended.
#[cfg(unix)]
fn wait(child: &Child, timeout: Duration) -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let Some(pid) = pid(child) else { return false };
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(pid), options).err() == Some(rustix::io::Errno::INTR) {}
        let _ = sender.send(());
    });
    receiver.recv_timeout(timeout).is_ok()
}

#[cfg(unix)]
fn end_group(child: &mut Child) {
    use rustix::process::{Signal, kill_process_group};
    if let Some(pid) = pid(child) {
        // Fails only where nothing is left to end.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

#[cfg(unix)]
fn pid(child: &Child) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(child.id()).ok()?)
}

#[cfg(not(unix))]
fn own_group(_command: &mut Command) {}

#[cfg(not(unix))]
fn wait(_child: &Child, _timeout: Duration) -> bool {
    // Swapping versions is refused on these systems long before a health check.
    false
}

#[cfg(not(unix))]
fn end_group(child: &mut Child) {
    let _ = child.kill();
}

#[cfg(test)]
mod tests {
    use super::*;
    use kintsugi_domain::id::ProjectId;

    fn run(script: &str, timeout_seconds: u32) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(
            dir.path(),
            "http://127.0.0.1:1",
            ProjectId(1),
            "stable",
            "d1".parse().unwrap(),
            b"{}".to_vec(),
        );
        settings.env.insert("SHOP".into(), "harbour".into());
        settings
            .interpreters
            .insert("shell".into(), "/bin/sh".into());
        std::fs::write(dir.path().join("file"), "").unwrap();
        let health = HealthCheck {
            command: ["shell", "-c", script].map(str::to_owned).to_vec(),
            timeout_seconds,
        };
        check(&settings, &health, dir.path())
    }

    #[test]
    fn a_check_runs_in_the_versions_folder_with_the_devices_settings_and_little_else() {
        run("test -f file && test -f {app}/file", 60).unwrap();
        run("test $SHOP = harbour && test -z \"$CARGO\"", 60).unwrap();
    }

    #[test]
    fn the_reason_is_the_exit_status_and_the_last_line() {
        let reason = run("echo starting; echo tax_number is missing >&2; exit 3", 60).unwrap_err();
        assert_eq!(reason, "exit status: 3: tax_number is missing");
    }

    #[test]
    fn a_check_that_does_not_end_is_ended_with_all_it_started() {
        // The child of the check holds the output open: were it left alive, its output would not end.
        let reason = run("echo waiting; sleep 1000 & sleep 1000", 1).unwrap_err();
        assert_eq!(reason, "no answer within 1 seconds: waiting");
    }

    #[test]
    fn what_a_healthy_check_leaves_running_is_ended() {
        run("sleep 1000 & exit 0", 60).unwrap();
    }

    #[test]
    fn a_flood_of_output_does_not_stop_a_check() {
        run("head -c 1000000 /dev/zero | tr '\\0' x", 60).unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_is_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::new(
            dir.path(),
            "http://127.0.0.1:1",
            ProjectId(1),
            "stable",
            "d1".parse().unwrap(),
            b"{}".to_vec(),
        );
        for command in [vec![], vec!["/nowhere/program".to_owned()]] {
            let health = HealthCheck {
                command,
                timeout_seconds: 1,
            };
            assert!(check(&settings, &health, dir.path()).is_err());
        }
    }
}
