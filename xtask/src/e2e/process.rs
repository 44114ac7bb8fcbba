//! Programs that are run to their end, and programs that run beside.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

/// Runs a program to its end; its output is the person's to see.
pub(super) fn run(command: &mut Command) -> Result<(), String> {
    let name = name(command);
    let status = command.stdin(Stdio::null()).status();
    match status.map_err(|error| format!("{name} does not start: {error}"))? {
        status if status.success() => Ok(()),
        status => Err(format!("{name} failed ({status})")),
    }
}

/// Runs a program to its end and gives what it printed.
pub(super) fn output(command: &mut Command) -> Result<String, String> {
    let name = name(command);
    let ran = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let ran = ran.map_err(|error| format!("{name} does not start: {error}"))?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    Err(format!("{name} failed ({})", ran.status))
}

/// A program that runs beside, with its log in a file. It ends with this value.
pub(super) struct Background {
    name: &'static str,
    child: Child,
    /// What it says, where somebody listens.
    said: Option<Mutex<BufReader<ChildStdout>>>,
    /// Where it hears.
    told: Option<Mutex<ChildStdin>>,
}

impl Background {
    /// Starts it; all that it writes goes to a file of the folder.
    pub(super) fn start(
        name: &'static str,
        command: &mut Command,
        folder: &Path,
    ) -> Result<Self, String> {
        let log = log(name, folder)?;
        let same = log.try_clone().map_err(|error| not_started(name, &error))?;
        spawn(name, command.stdin(Stdio::null()).stdout(log).stderr(same))
    }

    /// Starts one that says what others need to know; what it logs goes to a file of the folder.
    pub(super) fn heard(
        name: &'static str,
        command: &mut Command,
        folder: &Path,
    ) -> Result<Self, String> {
        let log = log(name, folder)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        spawn(name, command.stderr(log))
    }

    /// Tells it a line, and waits until it says that it obeyed.
    pub(super) fn tell(&self, order: &str) -> Result<(), String> {
        let name = self.name;
        let written = match self.told.as_ref().map(Mutex::lock) {
            Some(Ok(mut told)) => writeln!(told, "{order}").and_then(|()| told.flush()),
            Some(Err(_)) | None => return Err(format!("{name} does not listen")),
        };
        written.map_err(|error| format!("{name}: {error}"))?;
        match self.line()?.as_str() {
            "ok" => Ok(()),
            said => Err(format!("{name} answers {order:?} with {said:?}")),
        }
    }

    /// The next line it says.
    pub(super) fn line(&self) -> Result<String, String> {
        let name = self.name;
        let mut line = String::new();
        let read = match self.said.as_ref().map(Mutex::lock) {
            Some(Ok(mut said)) => said.read_line(&mut line),
            Some(Err(_)) | None => Ok(0),
        };
        match read {
            Ok(0) => Err(format!("{name} ended; see {name}.log")),
            Ok(_) => Ok(line.trim().to_owned()),
            Err(error) => Err(format!("{name}: {error}")),
        }
    }
}

fn log(name: &str, folder: &Path) -> Result<File, String> {
    File::create(folder.join(format!("{name}.log"))).map_err(|error| not_started(name, &error))
}

fn spawn(name: &'static str, command: &mut Command) -> Result<Background, String> {
    let mut child = command.spawn().map_err(|error| not_started(name, &error))?;
    let said = child.stdout.take();
    let said = said.map(|said| Mutex::new(BufReader::new(said)));
    let told = child.stdin.take().map(Mutex::new);
    Ok(Background {
        name,
        child,
        said,
        told,
    })
}

fn not_started(name: &str, error: &std::io::Error) -> String {
    format!("{name} does not start: {error}")
}

impl Drop for Background {
    fn drop(&mut self) {
        // Its state lies in memory and in the run's folder: nothing is lost.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let first = command.get_args().next().unwrap_or_default();
    format!("{} {}", program.to_string_lossy(), first.to_string_lossy())
}
