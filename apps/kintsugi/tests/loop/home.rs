//! A home of the sample product, and whoever talks to it: its operator, apps that crash, devices.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code"
)]

use crate::support::{Running, git, kintsugi};
use crate::till::Till;
use kintsugi_domain::id::ProjectId;
use kintsugi_sandbox::python_toolchain;
use kintsugi_sdk::updater::{Settings, Updater};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use ureq::Agent;

const PROJECT: u32 = 1;
/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often is looked.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until something is there; `what` says what was missed.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not come about");
        thread::sleep(PAUSE);
    }
}

/// Starts a home on a folder.
pub(crate) fn start(data: &Path, listen: &str) -> Running {
    let mut command = kintsugi();
    command.args(["up", "--json", "--listen", listen, "--data"]);
    command.arg(data);
    Running::of(command)
}

#[derive(Deserialize)]
struct Commit {
    message: String,
    date: String,
    files: BTreeMap<String, String>,
    delete: Vec<String>,
}

/// Makes the product's repository, a bare one, from the history of a sample.
pub(crate) fn make_repository(till: &Till, folder: &Path) -> PathBuf {
    let (work, bare) = (folder.join("work"), folder.join("product.git"));
    fs::create_dir_all(&work).unwrap();
    git(&work, &["init", "--quiet", "--initial-branch=main"]);
    let history: Vec<Commit> = serde_json::from_str(&till.read("history.json")).unwrap();
    for commit in history {
        for (to, from) in &commit.files {
            let to = work.join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(till.path(from), to).unwrap();
        }
        for path in &commit.delete {
            fs::remove_file(work.join(path)).unwrap();
        }
        git(&work, &["add", "--all"]);
        let date = format!("--date={}", commit.date);
        git(&work, &["commit", "--quiet", &date, "-m", &commit.message]);
    }
    git(
        &work,
        &["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()],
    );
    bare
}

/// Somebody who talks to a home over HTTP. Nothing is answered while it is dead.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) url: String,
    token: String,
    agent: Agent,
}

impl Client {
    /// A client with the token that the home left for its owner.
    pub(crate) fn of(home: &Running) -> Self {
        let file = home.event("home")["token"].as_str().unwrap();
        let token = fs::read_to_string(file).unwrap();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .build();
        Self {
            url: home.url(),
            token,
            agent: config.new_agent(),
        }
    }

    /// A GET; nothing where nobody answers.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, Vec<u8>)> {
        let request = self.agent.get(format!("{}{path}", self.url));
        let answer = request
            .header("authorization", format!("Bearer {}", self.token))
            .call();
        let mut answer = answer.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.body_mut().read_to_vec().ok()?))
    }

    /// A POST; nothing where nobody answers.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.agent.post(format!("{}{path}", self.url));
        let answer = request
            .header("authorization", format!("Bearer {}", self.token))
            .send(body.to_string());
        let mut answer = answer.ok()?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    /// What the admin API shows of the project; nothing where nobody answers.
    pub(crate) fn look(&self, what: &str) -> Option<Value> {
        let (status, body) = self.get(&format!("/admin/v1/projects/{PROJECT}{what}"))?;
        assert_eq!(status, 200, "{what}: {}", String::from_utf8_lossy(&body));
        Some(serde_json::from_slice(&body).unwrap())
    }

    /// A whole list of the project.
    pub(crate) fn list(&self, what: &str) -> Option<Vec<Value>> {
        let page = self.look(&format!("/{what}"))?;
        assert!(page["next"].is_null(), "{what} has more than one page");
        Some(page["items"].as_array().unwrap().clone())
    }

    /// Has the home take care of the product.
    pub(crate) fn add_project(&self, till: &Till, repository: &Path) {
        let config = till.read("product/kintsugi.toml");
        let body = json!({"config": config, "repository": repository});
        let (status, answer) = self.post("/admin/v1/projects", &body).unwrap();
        assert_eq!(status, 200, "{answer}");
    }

    /// Orders a version from the product's branch; false where nobody answered.
    pub(crate) fn order(&self, version: &str) -> bool {
        let body = json!({"ref": "main", "version": version, "notes": "Ordered."});
        let Some((status, answer)) =
            self.post(&format!("/admin/v1/projects/{PROJECT}/releases"), &body)
        else {
            return false;
        };
        // An order whose answer was lost is refused the next time, since it is there.
        assert!(matches!(status, 202 | 409), "{status} {answer}");
        true
    }

    /// Whether a version is published and offered.
    pub(crate) fn is_offered(&self, version: &str) -> Option<bool> {
        let rollouts = self.list("rollouts")?;
        let state = rollouts
            .iter()
            .find(|it| it["rollout"]["version"] == version)
            .map(|it| it["rollout"]["state"].as_str().unwrap().to_owned());
        Some(state.is_some_and(|state| state != "pending"))
    }

    /// Whether some device that asks now is answered with a version: what a rollout decided is published a
    /// moment later.
    pub(crate) fn is_served(&self, version: &str) -> Option<bool> {
        let answers = (0..20).map(|number| {
            let path = format!("/v1/{PROJECT}/updates/stable/linux/x86_64/0.0.0");
            let (status, body) = self.get(&format!("{path}?device=probe-{number}"))?;
            let manifest: Value = serde_json::from_slice(&body).unwrap_or_default();
            Some(status == 200 && manifest["version"] == version)
        });
        answers
            .collect::<Option<Vec<_>>>()
            .map(|it| it.contains(&true))
    }

    /// A device of the fleet, with nothing installed.
    pub(crate) fn device(&self, till: &Till, folder: &Path, name: &str) -> Settings {
        let (_, root) = self
            .get(&format!("/tuf/{PROJECT}/metadata/1.root.json"))
            .unwrap();
        let mut settings = Settings::new(
            folder.join(name),
            &self.url,
            ProjectId(PROJECT),
            "stable",
            name.parse().unwrap(),
            root,
        );
        let python = python_toolchain().unwrap().program;
        settings.interpreters.insert("python3".to_owned(), python);
        let file = till.path("device-settings.json").display().to_string();
        settings.env.insert("TILL_SETTINGS".to_owned(), file);
        settings.save().unwrap();
        settings
    }
}

/// The version that a device runs.
pub(crate) fn version_of(device: &Settings) -> Option<String> {
    let state = Updater::look(&device.dir).unwrap();
    state.installed.map(|it| it.version.to_string())
}

/// An app that reports crashes: the event that the unmodified `sentry-sdk` sent for one, with an id of
/// its own each time.
pub(crate) struct Reporter {
    client: Client,
    auth: String,
    sample: Value,
}

impl Reporter {
    pub(crate) fn of(client: &Client, till: &Till) -> Self {
        let project = client.look("").unwrap();
        let key = project["keys"][0].as_str().unwrap();
        Self {
            client: client.clone(),
            auth: format!("Sentry sentry_version=7, sentry_key={key}, sentry_client=test/1"),
            sample: serde_json::from_str(&till.read("sample-event.json")).unwrap(),
        }
    }

    /// Sends a report; whether it was accepted, or nothing where nobody answered.
    pub(crate) fn send(&self, number: u64) -> Option<bool> {
        let id = format!("{number:032x}");
        let mut event = self.sample.clone();
        event["event_id"] = json!(id);
        let payload = event.to_string();
        let header = json!({"event_id": id});
        let item = json!({"type": "event", "length": payload.len()});
        let body = format!("{header}\n{item}\n{payload}\n");
        let url = format!("{}/api/{PROJECT}/envelope/", self.client.url);
        let request = self
            .client
            .agent
            .post(url)
            .header("x-sentry-auth", &self.auth);
        let answer = request.send(body).ok()?;
        Some(answer.status().as_u16() == 200)
    }
}

/// The number of commits that a branch has.
pub(crate) fn commits(repository: &Path, branch: &str) -> usize {
    git(repository, &["rev-list", "--count", branch])
        .parse()
        .unwrap()
}

/// A loopback address of this test's own, so that no other test takes its port while it is down.
pub(crate) fn own_address(seed: u64) -> String {
    let [a, b, ..] = seed.to_le_bytes();
    let part = |byte: u8| 1 + byte % 250;
    format!("127.77.{}.{}:0", part(a), part(b))
}
