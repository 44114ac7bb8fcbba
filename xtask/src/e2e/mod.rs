//! `cargo xtask aws-e2e`: the whole loop through a deployed stack.
//!
//! The real function binaries are built by `cargo lambda`, the template is validated, built and deployed by the SAM CLI, all as
//! `docs/deploy.md` says, to an AWS emulator on loopback. Then the demo plays against the deployed HTTP API with a runner beside it,
//! and the stack is deleted. What the emulator leaves out is in `stand_in.py`, and nothing else is.
//!
//! **Nothing here was shown on AWS itself**: the emulator enforces no permissions, limits, encryption or throttling.
//! Not here: what happens in the loop; the demo judges that.

pub(crate) mod process;

use crate::summary::{Stopwatch, say, spoken};
use crate::{Failure, tools};
use process::{Background, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The stack and, behind its prefix, the home.
const STACK: &str = "kintsugi-e2e";
/// The products' repositories: of the demo in peace, and of those with faults.
pub(crate) const REPOSITORIES: [&str; 4] =
    ["peace.git", "killed.git", "broken.git", "restarted.git"];
/// The emulator, in the repository.
pub(crate) const EMULATOR: &str = "shared/adapters-aws/tests/it/common/emulator.py";
/// What the emulator lacks.
const STAND_IN: &str = include_str!("stand_in.py");
/// What must be so at the end.
const INVARIANTS: &str = include_str!("invariants.py");
/// A client that reports without end.
const REPORTS: &str = include_str!("reports.py");
/// Whether requests meet the configuration that was deployed last.
const LIVE: &str = include_str!("live.py");
/// Messages that no function can handle.
const POISON: &str = include_str!("poison.py");
/// The share of requests to DynamoDB that are turned away while there are faults.
const THROTTLED: f64 = 0.03;
/// How often the emulator is given orders meanwhile.
const ORDERS_EVERY: Duration = Duration::from_secs(2);
/// Lets the clock of the queues go ahead: what a dead function held comes back soon.
const AHEAD: &str = "advance 20";
/// One more function breaks in the middle of its batch. Seldom, because one that runs out of time takes all of it.
const BREAK: [&str; 2] = ["break", "advance 120"];
/// How often.
const BREAK_EVERY: Duration = Duration::from_secs(5);
/// The emulator goes away and comes back.
const RESTART: [&str; 2] = ["restart", "advance 120"];
/// How often.
const RESTART_EVERY: Duration = Duration::from_secs(20);
/// Lets it go ahead by more than a message is hidden after a failed try (the template's `VisibilityTimeout`): at the end
/// nothing is to be waited for that was given back.
const NEXT_TRY: &str = "advance 370";
/// How the binaries are built for this: as all tests are, without optimisation. `docs/deploy.md` says how a deployment builds.
const BUILD: [(&str, &str); 3] = [
    ("SAM_BUILD_MODE", "debug"),
    ("CARGO_PROFILE_DEV_DEBUG", "false"),
    ("CARGO_PROFILE_DEV_STRIP", "symbols"),
];
/// Its settings for `cargo lambda`.
const CARGO_LAMBDA: &str = "[build]\ndisable_optimizations = true\n";

/// Where everything of one run is.
pub(crate) struct Site {
    root: PathBuf,
    /// Files of this run; kept afterwards, for whoever looks for the reason of a failure.
    pub(crate) folder: PathBuf,
    /// The programs `sam` and `cargo-lambda`.
    deploy_bin: PathBuf,
    /// The Python with the emulator.
    pub(crate) python: PathBuf,
    kintsugi: PathBuf,
}

/// A deployed home with a runner beside it.
pub(crate) struct Home {
    /// The address of its HTTP API.
    pub(crate) url: String,
    /// The address of the git server.
    git: String,
    /// The file with an admin's token.
    pub(crate) admin: PathBuf,
    /// Builds what is released, until it is dropped.
    pub(crate) runner: Background,
    _stand_in: Background,
}

impl Home {
    /// The address of one of [`REPOSITORIES`].
    pub(crate) fn repository(&self, name: &str) -> String {
        format!("{}/{name}", self.git)
    }
}

/// Runs it.
pub(crate) fn aws_e2e(root: &Path) -> Result<(), Failure> {
    let whole = Stopwatch::start();
    let site = Site::of(root, "aws-e2e")?;
    site.play().map_err(|error| {
        let logs = site.folder.display();
        Failure::Check(format!("aws-e2e: {error}; logs are in {logs}"))
    })?;
    say(&format!(
        "\nthe loop went through the deployed stack in {}",
        spoken(whole.elapsed())
    ));
    Ok(())
}

impl Site {
    /// An empty place for a run of that name, and what it needs.
    pub(crate) fn of(root: &Path, name: &str) -> Result<Self, Failure> {
        let target = crate::checks::target_folder(root);
        let tested = tools::ready(&target).map_err(Failure::Tools)?.python;
        let deploy = tools::DEPLOY.ready(&target).map_err(Failure::Tools)?;
        let folder = target.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| Failure::Check(error.to_string()))?;
        }
        fs::create_dir_all(&folder).map_err(|error| Failure::Check(error.to_string()))?;
        Ok(Self {
            root: root.to_owned(),
            folder,
            deploy_bin: deploy.with_file_name(""),
            python: tested,
            kintsugi: target.join("debug").join("kintsugi"),
        })
    }

    fn play(&self) -> Result<(), String> {
        self.look_for_insecure_settings()?;
        let build = self.built()?;
        let script = self.root.join(EMULATOR);
        self.with_stack(&build, &[script], |emulator, endpoint| {
            self.loop_through(emulator, endpoint)?;
            self.redeploy(&build, endpoint)
        })
    }

    /// Whatever checkov finds fails, however grave; what it need not look for stands in the template, with the reason.
    fn look_for_insecure_settings(&self) -> Result<(), String> {
        let target = crate::checks::target_folder(&self.root);
        let python = tools::CHECKOV.ready(&target)?;
        step("checkov", || {
            let mut checkov = Command::new(python);
            checkov.args(["-m", "checkov.main"]);
            checkov.args(["--config-file", "infra/.checkov.yaml"]);
            checkov.args(["--file", "infra/template.yaml"]);
            run(checkov.current_dir(&self.root))
        })
    }

    /// Builds the programs and, into the folder that this gives, the functions.
    pub(crate) fn built(&self) -> Result<PathBuf, String> {
        step("build programs", || {
            let mut cargo = Command::new(crate::checks::cargo());
            // As they are released: what only tests ask of their dependencies is not in them.
            cargo.args(["build", "--package", "kintsugi"]);
            cargo.args(["--package", "kintsugi-updater"]);
            run(cargo.current_dir(&self.root))
        })?;
        step("sam validate", || {
            run(self
                .sam("validate", None)
                .args(["--lint", "--region", "us-east-1"]))
        })?;
        let settings = self.folder.join("cargo-lambda.toml");
        fs::write(settings, CARGO_LAMBDA).map_err(|error| error.to_string())?;
        let build = self.folder.join("build");
        step("sam build", || {
            run(self.sam("build", None).arg("--build-dir").arg(&build))
        })?;
        Ok(build)
    }

    /// Has an emulator, which is a script with its arguments, hold the stack while something is done with it.
    pub(crate) fn with_stack<T>(
        &self,
        build: &Path,
        emulator: &[PathBuf],
        work: impl FnOnce(&Background, &str) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut command = self.emulator(emulator);
        let emulator = Background::heard("emulator", &mut command, &self.folder)?;
        let endpoint = format!("http://127.0.0.1:{}", emulator.line()?);
        step("sam deploy", || self.deploy(build, &endpoint, "info"))?;
        let done = work(&emulator, &endpoint);
        // Deleted whatever became of the work; its failure is told first.
        let deleted = step("sam delete", || self.delete(&endpoint));
        done.and_then(|done| deleted.map(|()| done))
    }

    /// Has the demo play against the deployed home with a runner beside it, once in peace and then with faults, each of its own
    /// kind; after each nothing is lost and nothing was done twice.
    fn loop_through(&self, emulator: &Background, endpoint: &str) -> Result<(), String> {
        let home = self.home(endpoint)?;
        let demo = |repository: &str| {
            let mut demo = Command::new(&self.kintsugi);
            demo.args(["demo", "--home", &home.url, "--token-file"])
                .arg(&home.admin)
                .args(["--repository", &home.repository(repository)]);
            run(&mut demo)
        };
        let judge = |products: usize| {
            let mut judge = self.script("invariants.py", INVARIANTS, endpoint, &home)?;
            judge.arg(products.to_string());
            meanwhile(emulator, (&[NEXT_TRY], ORDERS_EVERY), || run(&mut judge))
        };
        // The demo, and a client that reports all the while; it has ended when what clients saw is judged.
        let reported = |repository: &str| {
            let mut client = self.script("reports.py", REPORTS, endpoint, &home)?;
            let client = Background::heard("reports", &mut client, &self.folder)?;
            client.line()?;
            demo(repository)
        };
        let [peace, killed, broken, restarted] = REPOSITORIES;
        step("kintsugi demo", || demo(peace))?;
        step("kintsugi demo, while functions are killed", || {
            with_faults(emulator, || reported(killed))?;
            judge(2)
        })?;
        step("kintsugi demo, while functions break", || {
            meanwhile(emulator, (&BREAK, BREAK_EVERY), || reported(broken))?;
            emulator.tell("broken")?;
            judge(3)
        })?;
        step("kintsugi demo, while AWS restarts", || {
            meanwhile(emulator, (&RESTART, RESTART_EVERY), || reported(restarted))?;
            judge(4)
        })?;
        step("poison", || {
            let mut poison = self.script("poison.py", POISON, endpoint, &home)?;
            run(poison.arg(&self.kintsugi))?;
            judge(4)
        })
    }

    /// Deploys the same code with another parameter: the versions that requests go to must have it.
    fn redeploy(&self, build: &Path, endpoint: &str) -> Result<(), String> {
        let level = "warn";
        step("sam deploy with another parameter", || {
            self.deploy(build, endpoint, level)?;
            let script = self.folder.join("live.py");
            fs::write(&script, LIVE).map_err(|error| error.to_string())?;
            let mut live = Command::new(&self.python);
            run(live.arg(&script).args([STACK, endpoint, level]))
        })
    }

    /// A script about the home, with what tells it where that is.
    fn script(
        &self,
        name: &str,
        text: &str,
        endpoint: &str,
        home: &Home,
    ) -> Result<Command, String> {
        let script = self.folder.join(name);
        fs::write(&script, text).map_err(|error| error.to_string())?;
        let mut command = Command::new(&self.python);
        command.arg(&script).args([STACK, endpoint, &home.url]);
        command.arg(&home.admin);
        Ok(command)
    }

    /// What the emulator lacks, the first token, and a runner.
    pub(crate) fn home(&self, endpoint: &str) -> Result<Home, String> {
        let script = self.folder.join("stand_in.py");
        fs::write(&script, STAND_IN).map_err(|error| error.to_string())?;
        let mut stand_in = Command::new(&self.python);
        stand_in
            .arg(&script)
            .args([STACK, endpoint])
            .arg(&self.folder)
            .args(REPOSITORIES);
        let stand_in = Background::heard("stand-in", &mut stand_in, &self.folder)?;
        let (url, git) = (stand_in.line()?, stand_in.line()?);
        let admin = PathBuf::from(stand_in.line()?);
        let runner = self.runner(&url, &admin)?;
        Ok(Home {
            url,
            git,
            admin,
            runner,
            _stand_in: stand_in,
        })
    }

    /// A runner of the home, with a token of its own.
    fn runner(&self, url: &str, admin: &Path) -> Result<Background, String> {
        let token = self.folder.join("runner.token");
        let mut issue = Command::new(&self.kintsugi);
        issue
            .args(["keys", "issue", "--subject", "runner-1", "--role", "runner"])
            .args(["--home", url, "--token-file"])
            .arg(admin);
        let issued = process::output(&mut issue)?;
        fs::write(&token, issued).map_err(|error| error.to_string())?;
        let mut runner = Command::new(&self.kintsugi);
        runner
            .args(["runner", "--home", url, "--token-file"])
            .arg(&token)
            .arg("--work")
            .arg(self.folder.join("runner"));
        Background::start("runner", &mut runner, &self.folder)
    }

    fn emulator(&self, script: &[PathBuf]) -> Command {
        let mut command = Command::new(&self.python);
        command
            .args(script)
            // A function inherits all of the emulator's environment.
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.folder)
            .env("LANG", "C.UTF-8")
            // What it holds outlives its restarts.
            .env("PERSIST_STATE", "1")
            .env("S3_PERSIST", "1")
            .env("LAMBDA_EXECUTOR", "local")
            .env("LOG_LEVEL", "WARNING");
        command
    }

    fn deploy(&self, build: &Path, endpoint: &str, log_level: &str) -> Result<(), String> {
        let mut sam = self.sam("deploy", Some(endpoint));
        sam.arg("--template-file")
            .arg(build.join("template.yaml"))
            .args([
                "--stack-name",
                STACK,
                "--resolve-s3",
                "--no-confirm-changeset",
            ])
            .args(["--no-progressbar", "--capabilities", "CAPABILITY_IAM"])
            .arg("--parameter-overrides")
            .arg(format!("HomeName=e2e Edge=false LogLevel={log_level}"));
        run(&mut sam)
    }

    fn delete(&self, endpoint: &str) -> Result<(), String> {
        let mut sam = self.sam("delete", Some(endpoint));
        run(sam.args(["--stack-name", STACK, "--no-prompts"]))
    }

    /// A command of the SAM CLI, which downloads no toolchain and tells nobody that it ran.
    fn sam(&self, command: &str, endpoint: Option<&str>) -> Command {
        let mut sam = Command::new(self.deploy_bin.join("sam"));
        let mut path = self.deploy_bin.clone().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        sam.arg(command)
            .current_dir(self.root.join("infra"))
            .env("PATH", path)
            .env("SAM_CLI_TELEMETRY", "0")
            .env("SAM_CLI_BETA_RUST_CARGO_LAMBDA", "1")
            .env("CARGO_LAMBDA_COMPILER", "cargo")
            .env("RUSTUP_DIST_SERVER", "http://127.0.0.1:9")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("CARGO_LAMBDA_GLOBAL", self.folder.join("cargo-lambda.toml"))
            .envs(BUILD);
        if let Some(endpoint) = endpoint {
            sam.env("AWS_ENDPOINT_URL", endpoint);
        }
        sam
    }
}

/// Has something done while functions are killed in the middle of what they do, and DynamoDB is short of capacity.
fn with_faults(
    emulator: &Background,
    work: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    emulator.tell(&format!("throttle {THROTTLED}"))?;
    let worked = meanwhile(emulator, (&["kill", AHEAD], ORDERS_EVERY), work);
    worked.and(emulator.tell("throttle 0"))
}

/// Has something done, and the emulator obey these orders every so often until it is done.
fn meanwhile(
    emulator: &Background,
    (orders, every): (&[&str], Duration),
    work: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let (end, ended) = mpsc::channel::<()>();
    let (worked, obeyed) = thread::scope(|scope| {
        let obeying = scope.spawn(move || {
            while ended.recv_timeout(every) == Err(mpsc::RecvTimeoutError::Timeout) {
                orders.iter().try_for_each(|order| emulator.tell(order))?;
            }
            Ok(())
        });
        let worked = work();
        drop(end);
        (worked, obeying.join())
    });
    worked.and(obeyed.unwrap_or_else(|_| Err("whoever gives the orders panicked".to_owned())))
}

/// One step, with its duration.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    say(&format!("\n{name}"));
    let watch = Stopwatch::start();
    let done = work()?;
    say(&format!("{name:<36} {:>12}", spoken(watch.elapsed())));
    Ok(done)
}
