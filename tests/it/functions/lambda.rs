//! A small Lambda: the Runtime API on loopback and one function process that polls it.
//!
//! It speaks the four calls that a function makes (`invocation/next`, `…/response`, `…/error`,
//! `init/error`) and gives one event at a time. Not here: queues, permissions, limits.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code"
)]

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Once};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};

/// A function that says nothing for so long hangs; the test then fails instead of waiting forever.
const PATIENCE: Duration = Duration::from_mins(1);

/// The end of every invocation, milliseconds since 1970: far away, so no test depends on the time.
const DEADLINE_MS: &str = "4102444800000";

/// What a function told the Runtime API.
#[derive(Debug)]
pub(super) enum Answer {
    Response(Value),
    Error(Value),
    InitError(Value),
}

impl Answer {
    /// The response of an invocation that went well. `name` says which, when it did not.
    #[track_caller]
    pub(super) fn response(self, name: &str) -> Value {
        match self {
            Self::Response(response) => response,
            Self::Error(error) | Self::InitError(error) => panic!("{name}: {error}"),
        }
    }

    /// The error of an invocation that failed.
    #[track_caller]
    pub(super) fn error(self, name: &str) -> Value {
        match self {
            Self::Error(error) => error,
            Self::Response(other) | Self::InitError(other) => panic!("{name}: {other}"),
        }
    }

    /// The error of a start that failed.
    #[track_caller]
    pub(super) fn init_error(self, name: &str) -> Value {
        match self {
            Self::InitError(error) => error,
            Self::Response(other) | Self::Error(other) => panic!("{name}: {other}"),
        }
    }
}

/// One function, started.
pub(super) struct Lambda {
    events: mpsc::Sender<String>,
    answers: mpsc::Receiver<Answer>,
    /// What it writes to its log.
    lines: mpsc::UnboundedReceiver<String>,
    child: Child,
}

#[derive(Clone)]
struct Api {
    events: Arc<Mutex<mpsc::Receiver<String>>>,
    answers: mpsc::Sender<Answer>,
}

impl Lambda {
    /// Starts the program of a stage with nothing in its environment but what Lambda sets and
    /// `environment`.
    pub(super) async fn start(stage: &str, environment: &[(&str, &str)]) -> Self {
        let (events, events_out) = mpsc::channel(1);
        let (answers_in, answers) = mpsc::channel(8);
        let api = Api {
            events: Arc::new(Mutex::new(events_out)),
            answers: answers_in,
        };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route(
                "/2018-06-01/runtime/invocation/{id}/response",
                post(response),
            )
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .with_state(api);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut child = Command::new(program(stage))
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", stage)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let (lines_in, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = output.next_line().await {
                if lines_in.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            events,
            answers,
            lines,
            child,
        }
    }

    /// Sends one event and waits for the answer.
    pub(super) async fn invoke(&mut self, event: &Value) -> Answer {
        self.events.send(event.to_string()).await.unwrap();
        self.answer().await
    }

    /// What the function tells next.
    pub(super) async fn answer(&mut self) -> Answer {
        tokio::time::timeout(PATIENCE, self.answers.recv())
            .await
            .expect("the function says nothing")
            .unwrap()
    }

    /// The next line of its log that has this field. Every line up to it must be a JSON object.
    pub(super) async fn logged(&mut self, field: &str) -> Value {
        let wait = async {
            loop {
                let line = self.lines.recv().await.expect("the log ends");
                let line: Value = serde_json::from_str(&line).expect(&line);
                assert!(line.is_object(), "{line}");
                if line.pointer(field).is_some() {
                    return line;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("it is not logged")
    }

    /// Ends it, so that another may have its data folder.
    pub(super) async fn stop(mut self) {
        self.child.kill().await.unwrap();
    }

    /// How the process ends.
    pub(super) async fn end(&mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .expect("the function does not end")
            .unwrap()
    }
}

/// Waits for an event; the function's connection stays open meanwhile, as in Lambda.
async fn next(State(api): State<Api>) -> Response {
    let Some(event) = api.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("content-type", "application/json"),
        ("lambda-runtime-aws-request-id", "request-1"),
        ("lambda-runtime-deadline-ms", DEADLINE_MS),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-central-1:123456789012:function:sample",
        ),
    ];
    (headers, event).into_response()
}

async fn response(State(api): State<Api>, Path(_): Path<String>, body: String) -> StatusCode {
    tell(&api, Answer::Response(json(&body))).await
}

async fn error(State(api): State<Api>, Path(_): Path<String>, body: String) -> StatusCode {
    tell(&api, Answer::Error(json(&body))).await
}

async fn init_error(State(api): State<Api>, body: String) -> StatusCode {
    tell(&api, Answer::InitError(json(&body))).await
}

async fn tell(api: &Api, answer: Answer) -> StatusCode {
    api.answers.send(answer).await.unwrap();
    StatusCode::ACCEPTED
}

fn json(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

/// The program of a stage, built if it is not yet.
fn program(stage: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    // target/<profile>/deps/it-…: two up is where programs lie.
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap();
    BUILT.call_once(|| {
        let status = std::process::Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--workspace", "--bins"])
            .arg("--target-dir")
            .arg(folder.parent().unwrap())
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "the programs do not build");
    });
    folder.join(stage)
}
