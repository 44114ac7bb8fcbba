//! The unmodified Sentry SDK for browsers in a browser: a page of one origin reports to a home of another.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::sdks::{Asked, within_minutes};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PAGE: &str = include_str!("../sdks/till.html");
const SCRIPT: &str = include_str!("../sdks/till.mjs");

/// Serves the page, its script, and the SDK as it lies in the folder of modules; its address.
fn serve(dsn: String, modules: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (dsn, modules) = (dsn.clone(), modules.clone());
            std::thread::spawn(move || answer(&stream.unwrap(), &dsn, &modules));
        }
    });
    url
}

fn answer(stream: &TcpStream, dsn: &str, modules: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    while reader.read_line(&mut line)? > 2 {}
    let script = "text/javascript";
    let module = |path: &str| {
        let path = Path::new(path);
        let is_plain = |part| matches!(part, Component::Normal(_));
        let is_plain = path.components().all(is_plain);
        is_plain
            .then(|| fs::read(modules.join(path)).ok())
            .flatten()
    };
    let (status, kind, body) = match path.strip_prefix("/modules/") {
        None if path == "/" => (200, "text/html", PAGE.replace("DSN", dsn).into_bytes()),
        None if path == "/till.mjs" => (200, script, SCRIPT.into()),
        None => (404, script, Vec::new()),
        Some(path) => module(path).map_or((404, script, Vec::new()), |body| (200, script, body)),
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

/// A browser that is there until it is dropped.
struct Browser(Child);

impl Browser {
    fn open(program: &OsStr, url: &str, profile: &Path) -> Self {
        let mut command = Command::new(program);
        // Its sandbox does not work for root. Nothing but our own page is opened.
        command.args(["--headless", "--no-sandbox", "--disable-gpu"]);
        command.args(["--disable-dev-shm-usage", "--no-first-run"]);
        command.args(["--disable-background-networking", "--no-proxy-server"]);
        // It stays until it is ended.
        command
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", profile.display()));
        let child = command.arg(url).stdout(Stdio::null()).stderr(Stdio::null());
        Self(child.spawn().unwrap())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_sdk_for_browsers_reports_across_origins() {
    let modules = std::env::var_os("KINTSUGI_TEST_NODE").map(PathBuf::from).expect(
        "KINTSUGI_TEST_NODE must name a folder of modules with @sentry/browser: run `cargo xtask test`",
    );
    let program = std::env::var_os("KINTSUGI_TEST_BROWSER")
        .expect("KINTSUGI_TEST_BROWSER must name a Chromium: run `cargo xtask test`");
    let home = Asked::start();
    let page = serve(home.dsn(), modules);
    let profile = tempfile::tempdir().unwrap();
    let browser = Browser::open(&program, &page, profile.path());
    let issue = home.issue();
    // The session of the page comes in a request of its own.
    within_minutes("the session of the page", || {
        let health = home.ask("/health");
        health["items"]
            .as_array()
            .is_some_and(|it| !it.is_empty())
            .then_some(())
    });
    drop(browser);

    let event = &issue["sample"];
    assert_eq!(event["release"], "till@1.2.3", "{issue:#}");
    assert_eq!(event["environment"], "test");
    assert_eq!(event["platform"], "javascript");
    let raised = &event["exceptions"][0];
    assert_eq!(raised["kind"], "TypeError");
    assert!(raised["value"].as_str().unwrap().contains("null"));
    let frames = raised["frames"].as_array().unwrap();
    let raising = frames.last().unwrap();
    assert_eq!(
        raising["function"], "HTMLButtonElement.closeTheDay",
        "{frames:?}"
    );
    assert!(raising["file"].as_str().unwrap().ends_with("/till.mjs"));
    let line = SCRIPT
        .lines()
        .position(|line| line.contains("drawer.total()"));
    assert_eq!(raising["line"], line.unwrap() + 1);
    let crumbs = event["breadcrumbs"].as_array().unwrap();
    let of = |category: &str| crumbs.iter().find(|it| it["category"] == category).unwrap();
    assert!(
        of("ui.click")["message"]
            .as_str()
            .unwrap()
            .contains("button#close")
    );
    assert!(
        of("console")["message"]
            .as_str()
            .unwrap()
            .contains("was declined")
    );
    let text = issue.to_string();
    for secret in ["alice", "4111 1111"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    home.accepted(&[("error", 1), ("session", 1)]);
}
