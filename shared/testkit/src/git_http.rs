//! Git repositories of a folder over HTTP on this machine: the real `git http-backend` behind a small server.
//!
//! For tests of whatever speaks git's smart HTTP protocol, and for demos that need a git host. It listens on 127.0.0.1 at a
//! port that the system chooses, takes pushes, and speaks as much HTTP as git and our own clients use: one request per
//! connection.
//!
//! What a repository allows beyond that is its own configuration: `uploadpack.allowFilter` decides whether answers may leave
//! objects out.
//!
//! Not here: TLS, many users. **It is for loopback only and trusts everybody who knows the login.**

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Longest line of a request's head, bytes.
const LINE_BYTES_MAX: u64 = 16 * 1024;
/// Most headers of a request.
const HEADERS_MAX: usize = 100;
/// Longest body of a request, bytes.
const BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A request, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// `GET` or `POST`.
    pub method: String,
    /// The path, with its leading slash.
    pub path: String,
    /// What follows `?`.
    pub query: String,
    /// The body.
    pub body: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Asked {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        let same = |it: &&(String, String)| it.0.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(same)
            .map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers, without those of the transfer.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer without a body.
    pub fn of(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }
}

type Change = dyn Fn(&Asked, Answer) -> Answer + Send + Sync;

/// What is served, before it is.
pub struct GitHttpBuilder {
    folder: PathBuf,
    login: Option<(String, String)>,
    change: Option<Box<Change>>,
}

impl fmt::Debug for GitHttpBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitHttpBuilder").finish_non_exhaustive()
    }
}

impl GitHttpBuilder {
    /// Asks everybody for this user and password (HTTP's basic scheme).
    #[must_use]
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Changes every answer before it is sent: a host that lies or fails.
    #[must_use]
    pub fn changing(
        mut self,
        change: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.change = Some(Box::new(change));
        self
    }

    /// Begins to listen.
    pub fn serve(self) -> io::Result<GitHttp> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let served = Arc::new(Served {
            folder: self.folder,
            login: self.login,
            change: self.change,
            stopped: AtomicBool::new(false),
            sent: AtomicU64::new(0),
        });
        let server = Arc::clone(&served);
        let thread = std::thread::Builder::new().spawn(move || {
            for connection in listener.incoming() {
                if server.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let server = Arc::clone(&server);
                // A client that goes away or talks nonsense is its own problem.
                std::thread::spawn(move || connection.and_then(|it| server.converse(&it)));
            }
        })?;
        Ok(GitHttp {
            address,
            served,
            thread: Some(thread),
        })
    }
}

/// A git host on this machine. It stops when it is dropped.
pub struct GitHttp {
    address: SocketAddr,
    served: Arc<Served>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for GitHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitHttp")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl GitHttp {
    /// Serves every repository below a folder to everybody on this machine. Needs the program `git`.
    pub fn serve(folder: &Path) -> io::Result<Self> {
        Self::of(folder).serve()
    }

    /// Says what is served in more detail.
    pub fn of(folder: &Path) -> GitHttpBuilder {
        GitHttpBuilder {
            folder: folder.to_owned(),
            login: None,
            change: None,
        }
    }

    /// Host and port, as credentials name it.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The address of a repository, named by its path below the folder: `till.git`.
    pub fn url(&self, repository: &str) -> String {
        format!("http://{}/{repository}", self.address)
    }

    /// Bytes of bodies that were sent so far.
    pub fn sent(&self) -> u64 {
        self.served.sent.load(Ordering::SeqCst)
    }
}

impl Drop for GitHttp {
    fn drop(&mut self) {
        self.served.stopped.store(true, Ordering::SeqCst);
        // Wakes the one that waits for connections.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Served {
    folder: PathBuf,
    login: Option<(String, String)>,
    change: Option<Box<Change>>,
    stopped: AtomicBool,
    sent: AtomicU64,
}

impl Served {
    fn converse(&self, connection: &TcpStream) -> io::Result<()> {
        let asked = read_request(connection)?;
        let answer = if self.is_welcome(&asked) {
            self.backend(&asked)?
        } else {
            let mut answer = Answer::of(401);
            let realm = "Basic realm=\"git\"".to_owned();
            answer.headers.push(("WWW-Authenticate".to_owned(), realm));
            answer
        };
        let answer = match &self.change {
            Some(change) => change(&asked, answer),
            None => answer,
        };
        let length = u64::try_from(answer.body.len()).unwrap_or(u64::MAX);
        self.sent.fetch_add(length, Ordering::SeqCst);
        write_answer(connection, &answer)
    }

    fn is_welcome(&self, asked: &Asked) -> bool {
        let Some((user, password)) = &self.login else {
            return true;
        };
        let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        asked.header("authorization") == Some(expected.as_str())
    }

    /// Runs `git http-backend`, a CGI program (RFC 3875), for one request.
    fn backend(&self, asked: &Asked) -> io::Result<Answer> {
        let header = |name: &str| asked.header(name).unwrap_or("").to_owned();
        let mut child = Command::new("git")
            .arg("http-backend")
            .env_clear()
            // Not a setting: only the way to the program, as any shell finds it.
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_COUNT", "2")
            .env("GIT_CONFIG_KEY_0", "http.receivepack")
            .env("GIT_CONFIG_VALUE_0", "true")
            .env("GIT_CONFIG_KEY_1", "safe.directory")
            .env("GIT_CONFIG_VALUE_1", "*")
            .env("GIT_PROJECT_ROOT", &self.folder)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GIT_PROTOCOL", header("git-protocol"))
            .env("REMOTE_ADDR", "127.0.0.1")
            .env("REQUEST_METHOD", &asked.method)
            .env("PATH_INFO", &asked.path)
            .env("QUERY_STRING", &asked.query)
            .env("CONTENT_TYPE", header("content-type"))
            .env("CONTENT_LENGTH", asked.body.len().to_string())
            .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // Beside the reading, so that neither waits for a full pipe; a backend that ends early answers why.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(&asked.body)));
            child.wait_with_output()
        })?;
        Ok(answer_of(&output.stdout).unwrap_or_else(|| Answer::of(500)))
    }
}

/// Reads what a CGI program printed.
fn answer_of(printed: &[u8]) -> Option<Answer> {
    let mut answer = Answer::of(200);
    let mut rest = printed;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = rest.split_at_checked(end + 1)?;
        rest = after;
        let line = std::str::from_utf8(line).ok()?.trim_end();
        if line.is_empty() {
            answer.body = rest.to_vec();
            return Some(answer);
        }
        let (name, value) = line.split_once(": ")?;
        if name.eq_ignore_ascii_case("status") {
            answer.status = value.split(' ').next()?.parse().ok()?;
        } else {
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
    }
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.take(LINE_BYTES_MAX).read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(line) => Ok(line.trim_end_matches('\r').to_owned()),
        None => Err(wrong("a line does not end")),
    }
}

fn read_request(connection: &TcpStream) -> io::Result<Asked> {
    let mut reader = BufReader::new(connection);
    let first = read_line(&mut reader)?;
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(wrong("a request without a target"));
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut asked = Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        ..Asked::default()
    };
    loop {
        let line = read_line(&mut reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("no header"))?;
        let header = (name.trim().to_owned(), value.trim().to_owned());
        asked.headers.push(header);
        if asked.headers.len() > HEADERS_MAX {
            return Err(wrong("too many headers"));
        }
    }
    let is = |name: &str, value: &str| {
        let found = asked.header(name);
        found.is_some_and(|found| found.eq_ignore_ascii_case(value))
    };
    if is("expect", "100-continue") {
        (&mut &*connection).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = if is("transfer-encoding", "chunked") {
        read_chunks(&mut reader)?
    } else {
        let length = asked.header("content-length").unwrap_or("0");
        let length = length.parse().map_err(|_| wrong("no length"))?;
        read_part(&mut reader, length)?
    };
    Ok(Asked { body, ..asked })
}

fn read_part(reader: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    if length > BODY_BYTES_MAX {
        return Err(wrong("a body is too long"));
    }
    let mut body = Vec::new();
    let read = reader.take(length).read_to_end(&mut body)?;
    if u64::try_from(read).is_ok_and(|read| read == length) {
        return Ok(body);
    }
    Err(wrong("a body ends early"))
}

/// A body in chunks (RFC 9112, section 7.1).
fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader)?;
        let length = line.split(';').next().unwrap_or("").trim();
        let length = u64::from_str_radix(length, 16).map_err(|_| wrong("no chunk"))?;
        let so_far = u64::try_from(body.len()).unwrap_or(u64::MAX);
        if length.saturating_add(so_far) > BODY_BYTES_MAX {
            return Err(wrong("a body is too long"));
        }
        body.extend(read_part(reader, length)?);
        read_line(reader)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

fn write_answer(mut connection: &TcpStream, answer: &Answer) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} -\r\nConnection: close\r\nContent-Length: {}\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    connection.write_all(head.as_bytes())?;
    connection.write_all(&answer.body)?;
    connection.flush()
}
