//! Real runners beside a real home that leaves its jobs to them: killed, stopped, refused, and in the end done once.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code"
)]

use crate::running::{record, until, with_home};
use crate::support::{ANY_PORT, Running, ask, assert_failed, git, kintsugi, stderr, write};
use kintsugi_app::admin::issue_token;
use kintsugi_domain::Timestamp;
use kintsugi_domain::config::Config;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Envelope, Message, Queue};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::job::{BuildOrder, Job, JobState, Order, Report};
use kintsugi_domain::ports::{Blobs as _, Commit, Queues as _, Store as _};
use kintsugi_trust::token::Role;
use rustix::process::{Pid, Signal, kill_process};
use semver::Version;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::time::Duration;

const PROJECT: ProjectId = ProjectId(1);

/// A product whose tests say that they began, and end well when they are told to.
const TEST: &str = "import pathlib, time, unittest


class Waiting(unittest.TestCase):
    def test(self) -> None:
        pathlib.Path('begun').write_text('')
        while not pathlib.Path('go').exists():
            time.sleep(0.05)
";
const CONFIG: &str = r#"
[product]
name = "waiting"
language = "python"
[test]
command = ["python3", "-m", "unittest"]
timeout_seconds = 3600
[package]
include = ["shop"]
[health]
command = ["python3", "-c", "import shop"]
"#;

/// Puts an order to build that product into a data folder.
fn order(data: &Path, product: &Path) -> Job {
    write(
        product,
        &[
            ("shop/__init__.py", ""),
            ("test_waiting.py", TEST),
            ("kintsugi.toml", CONFIG),
        ],
    );
    git(product, &["init", "--quiet", "--initial-branch=main"]);
    git(product, &["add", "."]);
    git(product, &["commit", "--quiet", "-m", "feat: a shop"]);
    let at = Timestamp::UNIX_EPOCH;
    let order = Order::Build(Box::new(BuildOrder {
        bundle: "bundle-1".parse().unwrap(),
        commit: git(product, &["rev-parse", "HEAD"]),
        fixes: Vec::new(),
        version: Version::new(1, 0, 0),
        at,
        delta_bases: Vec::new(),
        platform_bases: vec![],
        since: None,
        build: 0,
        notes: String::new(),
    }));
    let config = Config::parse("kintsugi.toml", CONFIG).unwrap();
    let repository = product.to_str().unwrap().to_owned();
    let job = Job::order(PROJECT, repository, order, config, at);
    let message = Message::RunJob {
        job: job.id.clone(),
    };
    let envelope = Envelope::new("test", PROJECT, message);
    with_home(data, async |home| {
        let commit = Commit::new().create(&job).send(envelope);
        home.store.commit(commit).await.unwrap();
    });
    job
}

/// Writes a token of a role for the home of a data folder into a file.
fn token(data: &Path, role: Role) -> PathBuf {
    let hour = Duration::from_hours(1);
    let text = with_home(data, async |home| {
        let ports = home.clone().ports();
        issue_token(&ports, "builder", role, hour).await.unwrap()
    });
    let file = data.with_file_name(format!("{role}.token"));
    fs::write(&file, text + "\n").unwrap();
    file
}

struct Worker {
    child: Child,
    lines: BufReader<ChildStdout>,
    work: PathBuf,
}

impl Worker {
    fn start(home: &Running, token: &Path, work: PathBuf, more: &[&str]) -> Self {
        let mut command = kintsugi();
        command.args(["runner", "--json", "--home", &home.url()]);
        command.arg("--token-file").arg(token);
        command.arg("--work").arg(&work).args(more);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines, work }
    }

    /// The next thing that it says.
    #[track_caller]
    fn says(&mut self, kind: &str) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["event"], kind, "{line}");
        event
    }

    /// Waits until the product's tests run, and says where.
    fn begun(&self) -> PathBuf {
        until(|| place_of(&self.work, "begun").is_some());
        place_of(&self.work, "begun").unwrap()
    }

    fn end(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    fn signal(&mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder below `folder` in which a file of that name lies.
fn place_of(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let entries: Vec<_> = entries.collect();
    if entries.iter().any(|entry| entry.file_name() == name) {
        return Some(folder.to_owned());
    }
    let is_folder = |entry: &&fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let mut folders = entries.iter().filter(is_folder);
    folders.find_map(|entry| place_of(&entry.path(), name))
}

#[test]
fn a_job_outlives_a_killed_and_a_stopped_runner_and_is_done_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (data, product) = (at("home"), at("product"));
    let job = order(&data, &product);
    let token = token(&data, Role::Runner);
    let home = Running::start(&data, &["--leave-jobs"]);

    let mut killed = Worker::start(&home, &token, at("killed"), &["--lease", "2"]);
    killed.says("ready");
    assert_eq!(killed.says("leased")["attempt"], 1);
    killed.begun();
    killed.signal(Signal::KILL);
    assert_eq!(killed.end().signal(), Some(Signal::KILL.as_raw()));

    // It gets the job when the dead one's lease has ended, and gives it back when it is stopped: its own lease is longer than
    // anybody waits.
    let mut stopped = Worker::start(&home, &token, at("stopped"), &["--lease", "900"]);
    stopped.says("ready");
    assert_eq!(stopped.says("leased")["attempt"], 2);
    stopped.begun();
    stopped.signal(Signal::TERM);
    assert_eq!(stopped.says("given_back")["again"], true);
    stopped.says("stopped");
    assert_eq!(stopped.end().code(), Some(0));

    let mut last = Worker::start(&home, &token, at("last"), &[]);
    last.says("ready");
    assert_eq!(last.says("leased")["attempt"], 3);
    fs::write(last.begun().join("go"), "").unwrap();
    let reported = last.says("reported");
    assert_eq!(
        (&reported["job"], &reported["accepted"]),
        (&job.id.to_string().into(), &true.into())
    );
    last.signal(Signal::TERM);
    last.says("stopped");
    assert_eq!(last.end().code(), Some(0));

    // Nothing waits any more.
    let mut idle = Worker::start(&home, &token, at("idle"), &["--once"]);
    idle.says("ready");
    idle.says("idle");
    assert_eq!(idle.end().code(), Some(0));
    assert!(home.signal(Signal::TERM).0.success());
    check_done(&data, &job);
}

/// Checks that a job has its report, what the report names is stored, and who ordered it was told once.
fn check_done(data: &Path, job: &Job) {
    let job = record::<Job>(data, job.id.as_str()).value;
    assert_eq!(job.state, JobState::Done);
    let Some(Report::Build(report)) = job.report else {
        panic!("{:?}", job.report);
    };
    let built = report.built.unwrap();
    with_home(data, async |home| {
        let package = home.blobs.get(&built.full.blob, usize::MAX).await.unwrap();
        let package = package.unwrap();
        assert_eq!(Digest::of(&package), built.full.digest);
        assert_eq!(home.queues.depth(Queue::Jobs).await.unwrap(), 0);
        // The bundle stage cannot handle it, because there is no such bundle.
        let told = home.queues.parked(Queue::Bundles).await.unwrap();
        let message = Message::BuildDone { job: job.id };
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].envelope.as_ref().unwrap().message, message);
    });
}

#[test]
fn a_runner_that_cannot_work_says_so_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let data = folder.path().join("home");
    let as_runner = token(&data, Role::Runner);
    let as_admin = token(&data, Role::Admin).to_str().unwrap().to_owned();
    let home = Running::start(&data, &["--leave-jobs"]);
    let url = home.url();
    let start = |home: &str, token: &str, work: &str| {
        let arguments = [
            "runner",
            "--once",
            "--home",
            home,
            "--token-file",
            token,
            "--work",
            work,
        ];
        ask(folder.path(), &arguments)
    };
    let failed = |home: &str, token: &str, exit: i32, code: &str, words: &[&str]| {
        let mut output = start(home, token, &at("work"));
        // It was ready before it was refused.
        output.stdout.clear();
        assert_failed(&output, exit, code, words);
    };
    failed(&url, &as_admin, 1, "token.role", &["runner", "admin"]);
    failed(&url, &at("no.token"), 3, "file", &["no.token"]);
    let elsewhere = "http://kintsugi.example.com";
    failed(elsewhere, &as_admin, 2, "home_address", &["https"]);
    let gone = format!("http://{}", ANY_PORT.replace(":0", ":1"));
    failed(&gone, &as_admin, 8, "home", &[&gone]);

    // One folder belongs to one runner.
    let mut first = Worker::start(&home, &as_runner, at("work").into(), &[]);
    first.says("ready");
    let output = start(&url, as_runner.to_str().unwrap(), &at("work"));
    assert_failed(&output, 5, "data_folder", &["another runner", "--work"]);
    first.signal(Signal::INT);
    first.says("stopped");
    assert_eq!(first.end().code(), Some(0));
}

#[test]
fn the_whole_loop_runs_with_a_runner_beside_the_home() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let data = at("home");
    let (as_runner, as_admin) = (token(&data, Role::Runner), token(&data, Role::Admin));
    let repository = at("repository");
    fs::create_dir(&repository).unwrap();
    git(
        &repository,
        &["init", "--quiet", "--bare", "--initial-branch=main"],
    );
    let home = Running::start(&data, &["--leave-jobs"]);
    let mut runner = Worker::start(&home, &as_runner, at("work"), &[]);
    let mut demo = kintsugi();
    demo.args(["demo", "--json", "--home", &home.url(), "--token-file"]);
    demo.arg(&as_admin).arg("--repository").arg(&repository);
    let done = demo.output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    // A search and three builds at the least: the first version, the healed one, and the one that is called back.
    runner.signal(Signal::TERM);
    assert!(runner.end().success());
    let said = runner.lines.by_ref().lines().map(Result::unwrap);
    let reported = said.filter(|line| line.contains("\"reported\"")).count();
    assert!(reported >= 4, "{reported}");
    assert!(home.signal(Signal::TERM).0.success());
    let left = with_home(&data, async |home| {
        home.queues.depth(Queue::Jobs).await.unwrap()
    });
    assert_eq!(left, 0);
}
