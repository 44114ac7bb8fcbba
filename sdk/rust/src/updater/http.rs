//! Talking to the home: bounded reads, resumed downloads.
//!
//! **Invariant: nothing that comes from here is believed.** Whoever asks compares it with signed
//! metadata before it is used.

use super::error::{OnPath, UpdateError};
use super::folder::{remove_file, write_atomically};
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Response, StatusCode, header};

/// The header that carries the ticket of an answer.
pub const TICKET_HEADER: &str = "kintsugi-ticket";

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_mins(1);
const READ: Duration = Duration::from_mins(1);
const REDIRECTS_MAX: u32 = 3;
const COPY_BYTES: usize = 64 * 1024;

/// The way to the home.
#[derive(Debug)]
pub(crate) struct Http {
    agent: Agent,
}

/// A small answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(super) ticket: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Http {
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(REDIRECTS_MAX)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(READ))
            // Lengths are compared with signed ones, and downloads are resumed by byte: no re-coding.
            .accept_encoding("identity")
            .user_agent(concat!("kintsugi-updater/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.new_agent(),
        }
    }

    /// Asks for something small. 200, 204 and 404 are answers, everything else is an error.
    pub(crate) fn get(&self, url: &str, bytes_max: usize) -> Result<Answer, UpdateError> {
        let response = self
            .agent
            .get(url)
            .call()
            .map_err(|e| unreachable(url, &e))?;
        let status = response.status().as_u16();
        if !matches!(status, 200 | 204 | 404) {
            return Err(UpdateError::Status {
                url: url.to_owned(),
                status,
            });
        }
        let ticket = text_header(&response, TICKET_HEADER);
        let limit = bytes_max as u64;
        let mut body = Vec::new();
        response
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader()
            .take(limit + 1)
            .read_to_end(&mut body)
            .map_err(|error| broken(url, &error))?;
        if body.len() > bytes_max {
            return Err(UpdateError::TooLarge {
                what: url.to_owned(),
                limit,
            });
        }
        Ok(Answer {
            status,
            ticket,
            body,
        })
    }

    /// Sends JSON; answers with the status.
    pub(super) fn post(&self, url: &str, json: &[u8]) -> Result<u16, UpdateError> {
        let response = self
            .agent
            .post(url)
            .content_type("application/json")
            .send(json)
            .map_err(|error| unreachable(url, &error))?;
        Ok(response.status().as_u16())
    }

    /// Loads a file of a known length into `path`, going on where an earlier attempt stopped. What is
    /// there afterwards has that length and nothing is known about its bytes yet. Answers with the
    /// bytes that came over the network.
    pub(crate) fn download(&self, url: &str, path: &Path, length: u64) -> Result<u64, UpdateError> {
        let tag_path = beside(path, ".etag");
        let have = std::fs::metadata(path).map_or(0, |data| data.len());
        if have == length {
            return Ok(0);
        }
        let tag = std::fs::read_to_string(&tag_path).ok();
        let resumed = have > 0 && have < length && tag.is_some();
        let mut request = self.agent.get(url);
        if let (true, Some(tag)) = (resumed, &tag) {
            request = request
                .header(header::RANGE, format!("bytes={have}-"))
                .header(header::IF_RANGE, tag);
        }
        let response = request.call().map_err(|error| unreachable(url, &error))?;
        let goes_on = resumed && continues(&response, have);
        if !goes_on && response.status() != StatusCode::OK {
            // Whatever was kept could not be gone on with; the next attempt begins afresh.
            remove_file(path)?;
            return Err(UpdateError::Status {
                url: url.to_owned(),
                status: response.status().as_u16(),
            });
        }
        match text_header(&response, "etag") {
            // A weak tag does not promise the same bytes (RFC 9110, section 8.8.3).
            Some(tag) if !tag.starts_with("W/") => write_atomically(&tag_path, tag.as_bytes())?,
            Some(_) | None => remove_file(&tag_path)?,
        }
        let start = if goes_on { have } else { 0 };
        let file = File::options()
            .create(true)
            .write(true)
            .append(goes_on)
            .truncate(!goes_on)
            .open(path)
            .on("write", path)?;
        copy(url, response, file, path, length - start)
    }
}

/// Copies a body of at most `length` bytes into a file and flushes it.
fn copy(
    url: &str,
    response: Response<ureq::Body>,
    mut file: File,
    path: &Path,
    length: u64,
) -> Result<u64, UpdateError> {
    let mut reader = response
        .into_body()
        .into_with_config()
        .limit(u64::MAX)
        .reader()
        .take(length + 1);
    let mut buffer = vec![0; COPY_BYTES];
    let mut copied = 0;
    loop {
        let count = reader
            .read(&mut buffer)
            .map_err(|error| broken(url, &error))?;
        copied += count as u64;
        if copied > length {
            drop(file);
            remove_file(path)?;
            return Err(UpdateError::TooLarge {
                what: url.to_owned(),
                limit: length,
            });
        }
        if count == 0 {
            break;
        }
        let bytes = buffer.get(..count).unwrap_or_default();
        file.write_all(bytes).on("write", path)?;
    }
    file.sync_all().on("flush", path)?;
    if copied < length {
        return Err(UpdateError::Unreachable {
            url: url.to_owned(),
            why: format!("the answer ended {} bytes early", length - copied),
        });
    }
    Ok(copied)
}

/// Whether an answer goes on exactly at a byte.
fn continues(response: &Response<ureq::Body>, at: u64) -> bool {
    response.status() == StatusCode::PARTIAL_CONTENT
        && text_header(response, "content-range")
            .is_some_and(|range| range.starts_with(&format!("bytes {at}-")))
}

fn text_header(response: &Response<ureq::Body>, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// The path with something added to its name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn unreachable(url: &str, error: &ureq::Error) -> UpdateError {
    UpdateError::Unreachable {
        url: url.to_owned(),
        why: error.to_string(),
    }
}

fn broken(url: &str, error: &std::io::Error) -> UpdateError {
    UpdateError::Unreachable {
        url: url.to_owned(),
        why: error.to_string(),
    }
}
