//! A home that is killed with SIGKILL at random instants of the whole loop, started again on the same
//! folder each time, and that in the end has lost nothing and done nothing twice.
//!
//! Reports and devices go on all the while. A report is sent until it was accepted, and some are sent
//! again after that. The instants come from a seed, which is printed; `KINTSUGI_SEED` sets it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "test code"
)]

use crate::home::{
    Client, Reporter, commits, make_repository, own_address, start, until, version_of,
};
use crate::support::{ANY_PORT, Running, git};
use crate::till::Till;
use kintsugi_adapters_local::Home;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::ports::{Queues as _, Store as _};
use kintsugi_sdk::updater::{ErrorKind, Settings, Updater};
use rustix::process::Signal;
use serde_json::Value;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const SEED: u64 = 1;
const DEVICES: usize = 10;
/// Every so many reports are sent once more after they were accepted.
const SENT_AGAIN: u64 = 4;
/// Time between reports, and between the rounds of the fleet: neither is a busy loop.
const REPORT_PAUSE: Duration = Duration::from_millis(30);
const ROUND_PAUSE: Duration = Duration::from_millis(100);

/// How far the loop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Ordered,
    Offered,
    Reported,
    Searching,
    Fixed,
    Building,
    Packaged,
    Published,
    Canary,
    Ramping,
    Finalised,
    Resolved,
}

/// From which stage on, how often, and within how many milliseconds the home is killed.
const KILLS: [(Stage, u32, u64); 9] = [
    (Stage::Ordered, 3, 1_500),
    (Stage::Offered, 1, 500),
    (Stage::Reported, 2, 300),
    (Stage::Searching, 3, 3_000),
    (Stage::Fixed, 2, 400),
    (Stage::Building, 2, 1_500),
    (Stage::Packaged, 1, 300),
    (Stage::Published, 2, 1_000),
    (Stage::Ramping, 2, 1_500),
];

/// Random numbers that a seed repeats (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn seed() -> u64 {
    let given = std::env::var("KINTSUGI_SEED").ok();
    given.map_or(SEED, |text| text.parse().unwrap())
}

/// The sample with numbers for ten devices.
fn small_fleet() -> Till {
    let till = Till::copy();
    let file = "product/kintsugi.toml";
    till.replace(file, "steps_percent = [25, 90]", "steps_percent = [40, 90]");
    till.replace(file, "gate_installs_min = 6", "gate_installs_min = 2");
    // So that two healthy installs are enough.
    till.replace(
        file,
        "gate_margin_percent = 40.0",
        "gate_margin_percent = 90.0",
    );
    till
}

/// How far the loop has come; nothing where the home is down.
fn stage(client: &Client) -> Option<Stage> {
    let bundles = client.list("bundles")?;
    let state = |version: &str| {
        let found = bundles.iter().find(|it| it["version"] == version);
        found.map(|it| it["state"].as_str().unwrap().to_owned())
    };
    if let Some(state) = state("1.0.1") {
        let rollouts = client.list("rollouts")?;
        let found = rollouts
            .iter()
            .find(|it| it["rollout"]["version"] == "1.0.1");
        let rollout = found.map(|it| it["rollout"]["state"].as_str().unwrap());
        return Some(match (state.as_str(), rollout) {
            (_, Some("canary")) => Stage::Canary,
            (_, Some("ramping")) => Stage::Ramping,
            (_, Some("finalised")) if issue(client)?["state"] == "resolved" => Stage::Resolved,
            (_, Some("finalised")) => Stage::Finalised,
            ("signed", _) => Stage::Published,
            ("collecting" | "building", _) => Stage::Building,
            ("failed", _) => panic!("the bundle failed: {bundles:#?}"),
            _ => Stage::Packaged,
        });
    }
    let issues = client.list("issues")?;
    Some(
        match issues.first().map(|it| it["state"].as_str().unwrap()) {
            None if client.is_offered("1.0.0")? => Stage::Offered,
            None => Stage::Ordered,
            Some("fixing") => Stage::Searching,
            Some("fixed") => Stage::Fixed,
            Some("needs_human") => panic!("the issue needs a person: {issues:#?}"),
            Some(_) => Stage::Reported,
        },
    )
}

fn issue(client: &Client) -> Option<Value> {
    let issues = client.list("issues")?;
    assert_eq!(issues.len(), 1, "{issues:#?}");
    issues.into_iter().next()
}

/// A home that is killed and started again.
struct Victim {
    running: Option<Running>,
    data: PathBuf,
    listen: String,
    deaths: u32,
}

impl Victim {
    fn start(data: &Path, listen: &str) -> Self {
        let running = start(data, listen);
        let listen = running.address();
        Self {
            running: Some(running),
            data: data.to_owned(),
            listen,
            deaths: 0,
        }
    }

    fn kill(&mut self) {
        let (status, _) = self.running.take().unwrap().signal(Signal::KILL);
        assert_eq!(
            status.signal(),
            Some(Signal::KILL.as_raw()),
            "it ended by itself"
        );
        self.deaths += 1;
        self.running = Some(start(&self.data, &self.listen));
    }
}

/// Something that goes on beside the kills until it is told to stop.
struct Beside<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Beside<T> {
    fn start(work: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || work(&told));
        Self { stop, thread }
    }

    fn stop(self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Sends reports, each until it is accepted; returns how many there were.
fn report(reporter: &Reporter, stop: &AtomicBool) -> u64 {
    let mut accepted = 0;
    while !stop.load(Ordering::Relaxed) {
        let number = accepted + 1;
        let send = || reporter.send(number);
        let taken = until("an accepted report", || send().map(|taken| (taken,))).0;
        assert!(taken, "a good report was refused");
        accepted = number;
        if number % SENT_AGAIN == 0 {
            // Whether anybody answers does not matter: it is there.
            let _ = send();
        }
        thread::sleep(REPORT_PAUSE);
    }
    accepted
}

/// Runs the updaters of the fleet in turn; returns what they said that must not be.
fn update(devices: &[Settings], stop: &AtomicBool) -> Vec<String> {
    let mut faults = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for device in devices {
            match Updater::open(device.clone()).and_then(|mut it| it.run_once()) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Unreachable => {}
                Err(error) => faults.push(format!("{}: {error}", device.device)),
            }
        }
        thread::sleep(ROUND_PAUSE);
    }
    faults
}

#[test]
fn a_home_that_is_killed_all_along_the_loop_loses_nothing_and_does_nothing_twice() {
    let seed = seed();
    eprintln!("KINTSUGI_SEED={seed}");
    let mut dice = Dice(seed);
    let folder = tempfile::tempdir().unwrap();
    let till = small_fleet();
    let repository = make_repository(&till, folder.path());
    let history = commits(&repository, "main");
    let data = folder.path().join("home");
    let mut home = Victim::start(&data, &own_address(seed ^ u64::from(std::process::id())));
    let client = Client::of(home.running.as_ref().unwrap());
    client.add_project(&till, &repository);
    until("an order", || client.order("1.0.0").then_some(()));

    let mut crowd = None;
    for (from, times, within) in KILLS {
        for _ in 0..times {
            let at = until("the next stage", || stage(&client).filter(|it| *it >= from));
            if at >= Stage::Offered && crowd.is_none() {
                crowd = Some(Crowd::start(&client, &till, folder.path()));
            }
            thread::sleep(Duration::from_millis(dice.below(within)));
            let at = stage(&client);
            home.kill();
            eprintln!("killed at {at:?}");
        }
    }
    let crowd = crowd.unwrap();
    until("the end", || {
        (stage(&client)? == Stage::Resolved).then_some(())
    });
    let (reports, devices) = crowd.stop();
    assert!(home.deaths >= 12, "{}", home.deaths);

    for device in &devices {
        assert_eq!(
            version_of(device).as_deref(),
            Some("1.0.1"),
            "{}",
            device.device
        );
    }
    check_records(&client, reports);
    check_repository(&repository, history);
    assert!(home.running.unwrap().signal(Signal::TERM).0.success());
    check_queues(&data);
}

/// The fleet and the apps that crash.
struct Crowd {
    devices: Vec<Settings>,
    updates: Beside<Vec<String>>,
    reports: Beside<u64>,
}

impl Crowd {
    fn start(client: &Client, till: &Till, folder: &Path) -> Self {
        let (folder, mut devices) = (folder.join("devices"), Vec::new());
        for number in 1..=DEVICES {
            devices.push(client.device(till, &folder, &format!("device-{number:03}")));
        }
        let fleet = devices.clone();
        let updates = Beside::start(move |stop| update(&fleet, stop));
        let reporter = Reporter::of(client, till);
        let reports = Beside::start(move |stop| report(&reporter, stop));
        Self {
            devices,
            updates,
            reports,
        }
    }

    /// Stops both; returns the number of accepted reports, and the devices.
    fn stop(self) -> (u64, Vec<Settings>) {
        let all = || {
            let versions = self.devices.iter().map(version_of);
            versions
                .map(Option::unwrap_or_default)
                .all(|it| it == "1.0.1")
        };
        until("the last device", || all().then_some(()));
        let faults = self.updates.stop();
        assert!(faults.is_empty(), "{faults:#?}");
        (self.reports.stop(), self.devices)
    }
}

/// Every report filed once; one fix, one bundle and one release each; nothing parked.
fn check_records(client: &Client, reports: u64) {
    let filed = || issue(client).and_then(|it| it["events"].as_u64());
    until("the last report", || filed().filter(|it| *it >= reports));
    assert_eq!(filed(), Some(reports));
    assert_eq!(issue(client).unwrap()["state"], "resolved");
    let fixes = client.list("fixes").unwrap();
    assert_eq!(fixes.len(), 1, "{fixes:#?}");
    assert_eq!(fixes[0]["state"], "effective");
    for (what, state) in [("bundles", "signed"), ("releases", "published")] {
        let found = client.list(what).unwrap();
        let mut versions: Vec<&str> = Vec::new();
        for it in &found {
            versions.push(it["version"].as_str().unwrap());
            assert_eq!(it["state"], state, "{it:#}");
        }
        versions.sort_unstable();
        assert_eq!(versions, ["1.0.0", "1.0.1"], "{what}");
    }
    let rollouts = client.list("rollouts").unwrap();
    assert_eq!(rollouts.len(), 2, "{rollouts:#?}");
    let parked = client.look("/parked").unwrap();
    assert_eq!(parked.as_array().map(Vec::len), Some(0), "{parked:#}");
}

/// One commit for the fix and one for each version, and one branch for each of the three.
fn check_repository(repository: &Path, history: usize) {
    let log = git(repository, &["log", "--format=%s", "main"]);
    let made: Vec<&str> = log
        .lines()
        .take(commits(repository, "main") - history)
        .collect();
    let fix = "Fix ZeroDivisionError in till.totals.average_sale";
    assert_eq!(made, ["release: till 1.0.1", fix, "release: till 1.0.0"]);
    let tags = git(repository, &["tag"]);
    assert_eq!(tags.lines().collect::<Vec<_>>(), ["v1.0.0", "v1.0.1"]);
    let branches = git(repository, &["branch", "--format=%(refname:short)"]);
    let of = |start: &str| branches.lines().filter(|it| it.starts_with(start)).count();
    assert_eq!(of("kintsugi/fix/"), 1, "{branches}");
    assert_eq!(of("kintsugi/release/"), 2, "{branches}");
}

/// Nothing waits anywhere. A message that came in just before the stop is left to the next start.
fn check_queues(data: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    until("an idle home", || {
        if runtime.block_on(waiting(data)) == 0 {
            return Some(());
        }
        let home = start(data, ANY_PORT);
        assert!(home.signal(Signal::TERM).0.success());
        None
    });
}

/// The messages in the outbox and the queues of a home that is down.
async fn waiting(data: &Path) -> usize {
    let home = Home::open(data, None).await.unwrap();
    let mut found = home.store.outbox(10).await.unwrap().len();
    for queue in Queue::ALL {
        found += home.queues.depth(queue).await.unwrap();
    }
    found
}
