//! The cold start: settings, adapters, then the loop; a failure before the loop is told to Lambda.

use crate::function::Function;
use crate::{Settings, telemetry};
use serde_json::json;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the report of a failed start may take.
const REPORT_TIME_MAX: Duration = Duration::from_secs(2);

/// Runs a function: `open` turns the environment into adapters, `serve` those into a [`Function`].
///
/// A failed start is reported to Lambda's `init/error` with its reason and ends the process with
/// exit code 1; so does a broken loop.
pub fn start<C, F>(
    stage: &'static str,
    open: impl FnOnce(Settings) -> F,
    serve: impl FnOnce(C) -> Function,
) -> ExitCode
where
    F: Future<Output = anyhow::Result<C>>,
{
    let settings = Settings::of_process();
    telemetry::init(&settings);
    // One thread: Lambda gives a function of this size a share of one processor, and threads take time at a cold start.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(stage, reason = %error, "the function cannot start");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let api = settings
            .optional("AWS_LAMBDA_RUNTIME_API")
            .map(str::to_owned);
        let home = settings
            .optional("KINTSUGI_KEY_PREFIX")
            .unwrap_or("local")
            .to_owned();
        match open(settings).await {
            Ok(context) => match serve(context).run(stage, &home).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!(stage, reason = %error, "the function stopped");
                    ExitCode::FAILURE
                }
            },
            Err(error) => {
                let reason = format!("{error:#}");
                tracing::error!(stage, reason, "the function cannot start");
                report(stage, api, &reason).await;
                ExitCode::FAILURE
            }
        }
    })
}

/// Tells Lambda why the start failed. When it cannot be told, the log has the reason.
async fn report(stage: &'static str, api: Option<String>, reason: &str) {
    let Some(api) = api else {
        return;
    };
    let told = tokio::time::timeout(REPORT_TIME_MAX, post_init_error(&api, reason)).await;
    if !matches!(told, Ok(Ok(()))) {
        tracing::warn!(stage, "the failed start could not be reported");
    }
}

/// One HTTP/1.1 request of the Lambda Runtime API, `POST /runtime/init/error`. `lambda_runtime` keeps
/// its own client for its loop, which has not begun yet.
async fn post_init_error(api: &str, reason: &str) -> std::io::Result<()> {
    let body = json!({"errorType": "Function.ColdStart", "errorMessage": reason}).to_string();
    let request = format!(
        "POST /2018-06-01/runtime/init/error HTTP/1.1\r\n\
         Host: {api}\r\n\
         Content-Type: application/json\r\n\
         Lambda-Runtime-Function-Error-Type: Function.ColdStart\r\n\
         Content-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(api).await?;
    stream.write_all(request.as_bytes()).await?;
    // The answer says only "accepted"; reading it keeps the connection open until it was.
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(())
}
