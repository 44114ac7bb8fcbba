//! A home that runs, is stopped, is killed, and goes on.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::support::{Running, git, sample, write};
use kintsugi_adapters_local::Home;
use kintsugi_domain::Timestamp;
use kintsugi_domain::config::Config;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Envelope, Message, Queue};
use kintsugi_domain::id::{BundleId, JobId, ProjectId};
use kintsugi_domain::job::{BuildOrder, Job, JobState, Order};
use kintsugi_domain::ports::{Commit, Queues as _, RecordKey, Store as _};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::{Record, Stored};
use rustix::process::Signal;
use semver::Version;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

const PROJECT: ProjectId = ProjectId(1);

/// Waits for something that another process does.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn behind_a_proxy_with_tls_addresses_are_the_proxys_and_the_consoles_cookie_is_secure() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("home");
    let project = sample();
    let proxy = "https://home.example";
    let arguments = [
        "--project",
        project.to_str().unwrap(),
        "--behind-tls",
        proxy,
    ];
    let home = Running::start(&data, &arguments);
    let console = home.event("home")["console"].as_str().unwrap();
    let answer = home.get(console.strip_prefix(proxy).unwrap());
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    assert!(answer.contains("; Secure\r\n"), "{answer}");
    let dsn = home.event("project")["dsn"].as_str().unwrap();
    assert!(dsn.starts_with("https://"), "{dsn}");
    assert!(dsn.ends_with("@home.example/1"), "{dsn}");
    home.signal(Signal::TERM);
}

#[test]
fn it_says_where_it_is_answers_and_stops_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("home");
    let project = sample();
    for signal in [Signal::TERM, Signal::INT] {
        let home = Running::start(&data, &["--project", project.to_str().unwrap()]);
        let event = home.event("home").clone();
        let shown = fs::canonicalize(&data).unwrap();
        assert_eq!(event["data"], shown.to_str().unwrap());
        let console = event["console"].as_str().unwrap();
        let path = console.strip_prefix(&home.url()).unwrap();
        assert!(path.starts_with("/console?code="), "{console}");
        let answer = home.get(path);
        assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
        let again = home.get(path);
        assert!(
            again.starts_with("HTTP/1.1 401"),
            "the address is good once: {again}"
        );
        let token = Path::new(event["token"].as_str().unwrap());
        assert_eq!(
            fs::metadata(token).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let dsn = home.event("project")["dsn"].as_str().unwrap().to_owned();
        assert!(dsn.ends_with(&format!("@{}/1", home.address())), "{dsn}");
        let answer = home.get("/health");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        let (status, rest) = home.signal(signal);
        assert_eq!(status.code(), Some(0));
        assert_eq!(rest, "{\"event\":\"stopped\"}\n");
    }
}

#[test]
fn a_project_keeps_its_key_over_starts_and_kills() {
    let folder = tempfile::tempdir().unwrap();
    let project = sample().join("kintsugi.toml");
    let mut keys = Vec::new();
    for signal in [Signal::KILL, Signal::KILL, Signal::TERM] {
        let home = Running::start(folder.path(), &["--project", project.to_str().unwrap()]);
        assert_eq!(
            home.events
                .iter()
                .filter(|it| it["event"] == "project")
                .count(),
            1
        );
        let dsn = home.event("project")["dsn"].as_str().unwrap();
        keys.push(dsn.split_once('@').unwrap().0.to_owned());
        home.signal(signal);
    }
    keys.dedup();
    assert_eq!(keys.len(), 1, "{keys:?}");
}

#[test]
fn each_product_is_a_project_with_a_key_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (data, product) = (folder.path().join("home"), folder.path().join("product"));
    endless(&product);
    let (one, two) = (sample(), product);
    let projects = [
        "--project",
        one.to_str().unwrap(),
        "--project",
        two.to_str().unwrap(),
    ];
    for more in [&projects[..], &projects[2..], &[]] {
        let home = Running::start(&data, more);
        let shown = home
            .events
            .iter()
            .filter(|event| event["event"] == "project");
        let shown: Vec<_> = shown
            .map(|it| (it["project"].as_u64(), it["name"].as_str()))
            .collect();
        assert_eq!(shown, [(Some(1), Some("till")), (Some(2), Some("endless"))]);
        assert!(home.signal(Signal::TERM).0.success());
    }
}

#[test]
fn a_changed_configuration_is_taken_over_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (data, product) = (folder.path().join("home"), folder.path().join("product"));
    endless(&product);
    let file = product.join("kintsugi.toml");
    let text = fs::read_to_string(&file).unwrap();
    let mut seen = Vec::new();
    for seconds in [3600, 7] {
        let changed = text.replace("3600", &seconds.to_string());
        fs::write(&file, changed).unwrap();
        let home = Running::start(&data, &["--project", product.to_str().unwrap()]);
        assert!(home.signal(Signal::TERM).0.success());
        seen.push(record::<Project>(&data, "project").value);
    }
    let timeouts: Vec<u32> = seen
        .iter()
        .map(|it| it.config.test.timeout_seconds)
        .collect();
    assert_eq!(timeouts, [3600, 7]);
    assert!(seen.windows(2).all(|pair| pair[0].keys == pair[1].keys));
    let repository = fs::canonicalize(&product).unwrap();
    assert_eq!(seen[1].repository.as_deref(), repository.to_str());
}

/// A product whose tests say that they began, and then take longer than anybody waits.
fn endless(folder: &Path) -> (Config, String) {
    let test = "import pathlib, time, unittest\n\n\nclass Endless(unittest.TestCase):\n    def test(self) -> None:\n        pathlib.Path('begun').write_text('')\n        time.sleep(3600)\n";
    let config = "[product]\nname = \"endless\"\nlanguage = \"python\"\n[test]\ncommand = [\"python3\", \"-m\", \"unittest\"]\ntimeout_seconds = 3600\n[package]\ninclude = [\"shop\"]\n[health]\ncommand = [\"python3\", \"-c\", \"import shop\"]\n";
    write(
        folder,
        &[
            ("shop/__init__.py", ""),
            ("test_endless.py", test),
            ("kintsugi.toml", config),
        ],
    );
    git(folder, &["init", "--quiet", "--initial-branch=main"]);
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "-m", "feat: a shop"]);
    let config = Config::parse("kintsugi.toml", config).unwrap();
    (config, git(folder, &["rev-parse", "HEAD"]))
}

/// Puts an order to build that product into a data folder.
fn order(data: &Path, product: &Path) -> Job {
    let (config, commit) = endless(product);
    let at = Timestamp::UNIX_EPOCH;
    let bundle = BundleId::from_digest(Digest::of(b"bundle"));
    let build = BuildOrder {
        bundle,
        commit,
        fixes: Vec::new(),
        version: Version::new(1, 0, 0),
        at,
        delta_bases: Vec::new(),
        platform_bases: vec![],
        since: None,
        build: 0,
        notes: String::new(),
    };
    let job = Job {
        id: JobId::from_digest(Digest::of(b"job")),
        project: PROJECT,
        repository: product.to_str().unwrap().to_owned(),
        order: Order::Build(Box::new(build)),
        config,
        state: JobState::Ordered,
        ordered_at: at,
        report: None,
    };
    let message = Message::RunJob {
        job: job.id.clone(),
    };
    let envelope = Envelope::new("test", PROJECT, message);
    with_home(data, async |home| {
        home.store
            .commit(Commit::new().create(&job).send(envelope))
            .await
            .unwrap();
    });
    job
}

/// Works with a data folder that no home runs on.
pub(crate) fn with_home<T>(data: &Path, work: impl AsyncFnOnce(&Home) -> T) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let home = Home::open(data, None).await.unwrap();
        work(&home).await
    })
}

pub(crate) fn record<T: Record>(data: &Path, key: &str) -> Stored<T> {
    let key = RecordKey {
        project: PROJECT,
        kind: T::KIND,
        key: key.to_owned(),
    };
    let raw = with_home(data, async |home| {
        home.store.get(&key).await.unwrap().unwrap()
    });
    Stored {
        value: serde_json::from_str(&raw.body).unwrap(),
        version: raw.version,
    }
}

/// Whether the tests of the product run now, in a folder of the engine.
fn has_begun(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| {
        entry.file_name() == "begun"
            || entry.file_type().is_ok_and(|kind| kind.is_dir()) && has_begun(&entry.path())
    })
}

#[test]
fn a_job_that_is_cut_by_a_stop_or_a_kill_is_done_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (data, product) = (folder.path().join("home"), folder.path().join("product"));
    let work = data.join("work");
    let ordered = order(&data, &product);
    for signal in [Signal::TERM, Signal::KILL, Signal::KILL, Signal::TERM] {
        let home = Running::start(&data, &[]);
        until(|| has_begun(&work));
        let (status, _) = home.signal(signal);
        match signal {
            Signal::TERM => assert_eq!(status.code(), Some(0)),
            _ => assert_eq!(status.signal(), Some(Signal::KILL.as_raw())),
        }
        // Cut, not lost.
        assert_eq!(
            record::<Job>(&data, ordered.id.as_str()).value.state,
            JobState::Ordered
        );
        let waiting = with_home(&data, async |home| {
            home.queues.depth(Queue::Jobs).await.unwrap()
        });
        assert_eq!(waiting, 1);
        // What a killed engine left is swept by the next; until then it would look like a run.
        if work.exists() {
            fs::remove_dir_all(&work).unwrap();
        }
    }

    // Now the tests may take some seconds: the job ends, with a report that says that they did not. Not less, so that they are
    // seen running on a machine that has other work too.
    let mut stored = record::<Job>(&data, ordered.id.as_str());
    stored.value.config.test.timeout_seconds = 6;
    with_home(&data, async |home| {
        home.store
            .commit(Commit::new().update(&stored))
            .await
            .unwrap();
    });
    let home = Running::start(&data, &[]);
    until(|| has_begun(&work));
    until(|| !has_begun(&work));
    assert!(home.signal(Signal::TERM).0.success());
    let done = record::<Job>(&data, ordered.id.as_str()).value;
    assert_eq!(done.state, JobState::Done);
    assert!(done.report.is_some());
}
