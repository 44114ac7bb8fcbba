//! A small Lambda: the Runtime API on loopback, one function process that polls it, and when each thing was said.
//!
//! It speaks the calls that a function makes (`invocation/next`, `…/response`, `…/error`, `init/error`) over HTTP/1.1, with
//! the bodies of known length that `lambda_runtime` sends, and gives one event. Plain threads, so that nothing of this
//! process competes with the one that is measured. Not here: permissions, limits, the bound of 1/14 of a processor that
//! Lambda sets for small memory.

use crate::bench::machine::kilobytes;
use serde_json::Value;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A function that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_mins(1);

/// The end of the invocation, milliseconds since 1970: far away.
const DEADLINE_MS: &str = "4102444800000";

/// Longest body that is read, bytes; Lambda's own bound on an answer.
const BODY_BYTES_MAX: usize = 6 * 1024 * 1024;

/// One cold start.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// From the start of the process to its first request for an event.
    pub(crate) init: Duration,
    /// From handing it the event to its answer.
    pub(crate) first_answer: Duration,
    /// The most memory that was resident until then (`VmHWM`), kilobytes of 1024 bytes.
    pub(crate) peak_kib: u64,
    /// What it answered.
    pub(crate) answer: Value,
}

/// What a function said, and when.
struct Said {
    at: Instant,
    what: What,
}

enum What {
    Next,
    Response(Vec<u8>),
    Failed(Vec<u8>),
}

/// A process that ends with this value.
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell either way.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn now() -> Instant {
    Instant::now()
}

/// Starts the program with nothing in its environment but what Lambda sets and `environment`, gives it the event and
/// ends it after its answer.
pub(crate) fn start(
    program: &Path,
    environment: &[(OsString, OsString)],
    event: &Value,
) -> Result<Start, String> {
    let cannot = |error: std::io::Error| format!("{}: {error}", program.display());
    let listener = TcpListener::bind("127.0.0.1:0").map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let (say, said) = channel();
    let (give, given) = channel();
    let given = Arc::new(Mutex::new(given));
    let done = Done(Arc::new(AtomicBool::new(false)), address);
    let ended = Arc::clone(&done.0);
    thread::spawn(move || accept(&listener, &ended, &say, &given));

    let mut command = Command::new(program);
    command
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begun = now();
    let process = Ended(command.spawn().map_err(cannot)?);
    let ready = expect(&said, program, &|what| matches!(what, What::Next))?;
    let handed = now();
    give.send(event.to_string()).map_err(|e| e.to_string())?;
    let answered = expect(&said, program, &|what| matches!(what, What::Response(_)))?;
    let peak_kib = peak(process.0.id())?;
    let What::Response(body) = answered.what else {
        return Err(format!("{}: no answer", program.display()));
    };
    Ok(Start {
        init: ready.at.duration_since(begun),
        first_answer: answered.at.duration_since(handed),
        peak_kib,
        answer: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}

/// The next thing the function says, which must be of the wanted kind.
fn expect(
    said: &Receiver<Said>,
    program: &Path,
    wanted: &dyn Fn(&What) -> bool,
) -> Result<Said, String> {
    let heard = said
        .recv_timeout(PATIENCE)
        .map_err(|_| format!("{}: it says nothing", program.display()))?;
    if wanted(&heard.what) {
        return Ok(heard);
    }
    let why = match heard.what {
        What::Next => "it asks for another event without having answered".into(),
        What::Response(body) | What::Failed(body) => String::from_utf8_lossy(&body).into_owned(),
    };
    Err(format!("{}: {why}", program.display()))
}

fn peak(process: u32) -> Result<u64, String> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    kilobytes(&status, "VmHWM").ok_or_else(|| format!("{path}: no VmHWM"))
}

type Events = Arc<Mutex<Receiver<String>>>;

/// Ends the loop of [`accept`] when it is dropped.
struct Done(Arc<AtomicBool>, SocketAddr);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        // Wakes the loop, so that it sees that it is done.
        let _ = TcpStream::connect(self.1);
    }
}

fn accept(listener: &TcpListener, done: &AtomicBool, say: &Sender<Said>, events: &Events) {
    while let Ok((stream, _)) = listener.accept() {
        if done.load(Ordering::Acquire) {
            return;
        }
        let (say, events) = (say.clone(), Arc::clone(events));
        thread::spawn(move || serve(&stream, &say, &events));
    }
}

/// One connection; ends when the function closes it, or says what is not understood.
fn serve(stream: &TcpStream, say: &Sender<Said>, events: &Events) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (line, body) = request(&mut reader)?;
        let at = now();
        let tell = |what| say.send(Said { at, what }).ok();
        let mut words = line.split_whitespace();
        let path = words.nth(1)?;
        let answer = match path.rsplit('/').next()? {
            "next" => {
                tell(What::Next)?;
                // No event comes any more when the bench is done with the process.
                let event = events
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .recv()
                    .ok()?;
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                     lambda-runtime-aws-request-id: request-1\r\nlambda-runtime-deadline-ms: {DEADLINE_MS}\r\n\
                     lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:123456789012:function:bench\r\n\
                     content-length: {}\r\n\r\n{event}",
                    event.len()
                )
            }
            "response" => accepted(tell(What::Response(body))?),
            _ => accepted(tell(What::Failed(body))?),
        };
        (&*stream).write_all(answer.as_bytes()).ok()?;
    }
}

fn accepted((): ()) -> String {
    "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".into()
}

/// One request: its first line and its body.
fn request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut first = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if first.is_empty() {
            line.clone_into(&mut first);
        } else if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    if length > BODY_BYTES_MAX {
        return None;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_with_exactly_its_body() {
        let mut sent =
            &b"POST /2018-06-01/runtime/invocation/1/response HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET"[..];
        let (line, body) = request(&mut sent).unwrap();
        assert!(line.starts_with("POST /2018-06-01"), "{line}");
        assert_eq!(body, b"{}");
        assert_eq!(sent, b"GET");
    }

    #[test]
    fn a_request_that_is_cut_or_too_long_is_none() {
        assert!(request(&mut &b""[..]).is_none());
        assert!(request(&mut &b"POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\n{}"[..]).is_none());
        let long = format!(
            "POST /x HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
            BODY_BYTES_MAX + 1
        );
        assert!(request(&mut long.as_bytes()).is_none());
    }
}
