//! The serving half of the test home: HTTP/1.1 on loopback, with ranges, and with lies where a test asks
//! for them.

use kintsugi_domain::channel::{ChannelDocument, Decision, Request, decide};
use kintsugi_domain::digest::Digest;
use kintsugi_sdk::updater::{Manifest, OutcomeReport};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;

/// What the server does with a request before it answers as it should.
type Lie = Box<dyn Fn(&str) -> Option<Reply> + Send>;

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    /// Close the connection after so many bytes of the body.
    pub cut_at: Option<usize>,
}

pub fn reply(body: impl Into<Vec<u8>>) -> Reply {
    Reply {
        status: 200,
        body: body.into(),
        cut_at: None,
    }
}

/// Everything the server knows.
pub struct Shelf {
    /// Served files by path below `/tuf/1/`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The document as published.
    pub published: ChannelDocument,
    /// Says of an honest manifest what to answer instead.
    pub forge: Option<Box<dyn Fn(Manifest) -> Vec<u8> + Send>>,
    /// Answers a path before the honest answer.
    pub lie: Option<Lie>,
    /// Asked paths, with the range where there was one.
    pub asked: Vec<String>,
    /// Outcomes that were taken.
    pub outcomes: Vec<OutcomeReport>,
    /// Whether outcomes are taken.
    pub takes_outcomes: bool,
}

/// Answers the requests of one connection.
pub(super) fn serve(stream: &TcpStream, shelf: &Mutex<Shelf>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap(), words.next().unwrap().to_owned());
        let is_post = method == "POST";
        let mut headers = BTreeMap::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers
            .get("content-length")
            .map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let range = headers.get("range").cloned();
        let if_range = headers.get("if-range").cloned();
        let mut shelf = shelf.lock().unwrap();
        let noted = range
            .iter()
            .fold(path.clone(), |path, range| format!("{path} {range}"));
        shelf.asked.push(noted);
        let lied = shelf.lie.as_ref().and_then(|lie| lie(&path));
        let (reply, ticket) = match lied {
            Some(reply) => (reply, None),
            None if is_post => (take_outcome(&mut shelf, &body), None),
            None => honest(&shelf, &path),
        };
        drop(shelf);
        let more = ticket.map(|ticket| format!("kintsugi-ticket: {ticket}\r\n"));
        write_reply(
            stream,
            &reply,
            range.zip(if_range),
            &more.unwrap_or_default(),
        )?;
        if reply.cut_at.is_some() {
            return stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn take_outcome(shelf: &mut Shelf, body: &[u8]) -> Reply {
    let status = if shelf.takes_outcomes { 202 } else { 503 };
    if shelf.takes_outcomes {
        shelf.outcomes.push(serde_json::from_slice(body).unwrap());
    }
    Reply {
        status,
        body: vec![],
        cut_at: None,
    }
}

fn honest(shelf: &Shelf, path: &str) -> (Reply, Option<String>) {
    let status = |status| Reply {
        status,
        body: vec![],
        cut_at: None,
    };
    if let Some(path) = path.strip_prefix("/tuf/1/") {
        let found = shelf.files.get(path).cloned().map(reply);
        return (found.unwrap_or_else(|| status(404)), None);
    }
    let Some(rest) = path.strip_prefix("/v1/1/updates/stable/") else {
        return (status(404), None);
    };
    let (path, query) = rest.split_once('?').unwrap();
    let parts: Vec<_> = path.split('/').collect();
    let request = Request {
        device: query.strip_prefix("device=").unwrap().parse().unwrap(),
        platform: parts[0].into(),
        arch: parts[1].into(),
        version: parts[2].parse().unwrap(),
    };
    let document = &shelf.published;
    let (honest, ticket) = match decide(document, &request) {
        Decision::Update {
            version,
            grant,
            enrolment,
        } => {
            let release = document.release(&version).unwrap();
            let package = release.package(&request.platform, &request.arch).unwrap();
            let manifest = Manifest::of(release, package, &request.version, grant.as_ref());
            (
                Some(manifest),
                enrolment.map(|(rollout, arm)| format!("{rollout}/{arm:?}")),
            )
        }
        Decision::Stay { enrolment, .. } => (
            None,
            enrolment.map(|(rollout, _, arm)| format!("{rollout}/{arm:?}")),
        ),
    };
    let answer = match (honest, &shelf.forge) {
        (None, _) => status(204),
        (Some(manifest), Some(forge)) => reply(forge(manifest)),
        (Some(manifest), None) => reply(serde_json::to_vec(&manifest).unwrap()),
    };
    (answer, ticket)
}

fn write_reply(
    mut stream: &TcpStream,
    reply: &Reply,
    range: Option<(String, String)>,
    more: &str,
) -> std::io::Result<()> {
    let tag = format!("\"{}\"", Digest::of(&reply.body).short(16));
    let from = range
        .filter(|(_, if_range)| *if_range == tag)
        .map(|(range, _)| {
            range["bytes=".len()..]
                .trim_end_matches('-')
                .parse()
                .unwrap()
        });
    let (status, body) = match from {
        Some(from) if reply.status == 200 => (
            206,
            reply
                .body
                .get::<std::ops::RangeFrom<usize>>(from..)
                .unwrap(),
        ),
        Some(_) | None => (reply.status, reply.body.as_slice()),
    };
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    if status == 206 {
        let (from, all) = (from.unwrap(), reply.body.len());
        write!(head, "content-range: bytes {from}-{}/{all}\r\n", all - 1).unwrap();
    }
    write!(head, "etag: {tag}\r\n{more}\r\n").unwrap();
    stream.write_all(head.as_bytes())?;
    let body = reply.cut_at.map_or(body, |at| &body[..at.min(body.len())]);
    stream.write_all(body)?;
    stream.flush()
}
