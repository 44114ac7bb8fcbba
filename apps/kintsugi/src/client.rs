//! A client of the admin API: how the command line reaches a home, be it on this machine or in AWS.
//!
//! **Invariant: the token goes to the home that it is for and nowhere else**: redirects are not followed, and plain `http` is
//! spoken with this machine only. Not here: what is asked of a home (`docs/admin-api.md`).

mod content;

use crate::context::Secret;
use crate::error::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::time::Duration;
use ureq::http::Request;
use ureq::{Agent, AsSendBody};

/// How long one request may take as a whole. A function that starts cold answers well within it.
const REQUEST_TIME: Duration = Duration::from_secs(40);
/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How often a request that only reads is made before the home counts as unreachable.
const READ_TRIES: u32 = 5;
/// The pause before the second of them; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest answer that is read, bytes. A page of records is far below it.
const ANSWER_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A home, as whoever holds a token of it sees it.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    home: String,
    token: Secret,
}

/// An answer, whatever it says.
struct Answered {
    /// Its status (RFC 9110 §15).
    status: u16,
    body: Vec<u8>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the home at an address such as `https://kintsugi.example.com`.
    pub(crate) fn new(home: &str, token: &str) -> Result<Self, Error> {
        let token = token.trim();
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Setting {
                name: "the token",
                why: "it has a space, a second line or characters that no token has".to_owned(),
            });
        }
        let config = Agent::config_builder()
            .timeout_global(Some(REQUEST_TIME))
            .timeout_connect(Some(CONNECT_TIME))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent("kintsugi")
            .build();
        Ok(Self {
            agent: Agent::new_with_config(config),
            home: address(home)?,
            token: Secret(token.to_owned()),
        })
    }

    /// The home's address, without a slash at the end.
    pub(crate) fn home(&self) -> &str {
        &self.home
    }

    /// What is at a path below `/admin/v1/`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let answer = self.send("GET", path, None).await?;
        self.taken(&answer)
    }

    /// What is at a path below `/admin/v1/`, or nothing where there is nothing.
    pub(crate) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        let answer = self.send("GET", path, None).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        self.taken(&answer).map(Some)
    }

    /// What everybody may read at a path of the home. The token is not sent.
    pub(crate) async fn public(&self, path: &str) -> Result<Vec<u8>, Error> {
        let client = self.clone();
        let url = format!("{}/{path}", self.home);
        let request = Request::get(&url).body(None);
        let request = request.map_err(|error| Error::unexpected("write a request", &error))?;
        let answer = off_the_runtime(move || client.exchange(request)).await?;
        match answer.status {
            200..300 => Ok(answer.body),
            _ => Err(self.refused(&answer)),
        }
    }

    /// Has something done: POST to a path below `/admin/v1/`.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::unexpected("write a request", &error))?;
        let answer = self.send("POST", path, Some(body)).await?;
        self.taken(&answer)
    }

    /// What an answer holds, if the home did as asked.
    fn taken<T: DeserializeOwned>(&self, answer: &Answered) -> Result<T, Error> {
        if !(200..300).contains(&answer.status) {
            return Err(self.refused(answer));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| self.unreachable(format!("its answer is not understood: {error}")))
    }

    /// One request with the token.
    async fn send(
        &self,
        method: &'static str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answered, Error> {
        let client = self.clone();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/admin/v1/{path}", self.home))
            .header("authorization", format!("Bearer {}", self.token.0));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(body);
        let request = request.map_err(|error| Error::unexpected("write a request", &error))?;
        off_the_runtime(move || client.exchange(request)).await
    }

    /// One request and its answer. One that only reads is made again where the home does not answer; whether one that changes
    /// something was taken, only whoever made it can find out.
    fn exchange(&self, request: Request<Option<Vec<u8>>>) -> Result<Answered, Error> {
        let (head, body) = request.into_parts();
        let Some(body) = body else {
            let mut pause = FIRST_PAUSE;
            for _ in 1..READ_TRIES {
                let answer = self.once(Request::from_parts(head.clone(), ()));
                if answer.as_ref().is_ok_and(|answer| answer.status < 500) {
                    return answer;
                }
                std::thread::sleep(pause);
                pause *= 2;
            }
            return self.once(Request::from_parts(head, ()));
        };
        self.once(Request::from_parts(head, body))
    }

    fn once(&self, request: Request<impl AsSendBody>) -> Result<Answered, Error> {
        let answer = self.agent.run(request);
        let mut answer = answer.map_err(|error| self.unreachable(error))?;
        let status = answer.status().as_u16();
        let read = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec();
        let body = read.map_err(|error| self.unreachable(error))?;
        Ok(Answered { status, body })
    }

    /// What a home says when it does not do as asked: `application/problem+json` (RFC 9457).
    fn refused(&self, answer: &Answered) -> Error {
        let status = answer.status;
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |name: &str| problem.get(name).and_then(Value::as_str);
        match (text("code"), text("detail")) {
            (Some(code), Some(why)) if status < 500 => Error::Refused {
                code: code.to_owned(),
                why: why.to_owned(),
            },
            (_, why) => {
                let why = why.unwrap_or("with no reason that can be read");
                self.unreachable(format!("it answered {status}: {why}"))
            }
        }
    }

    fn unreachable(&self, why: impl fmt::Display) -> Error {
        Error::Home {
            home: self.home.clone(),
            why: why.to_string(),
        }
    }
}

/// `ureq` blocks.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::unexpected("wait for the home", &error))?
}

/// Checks the address of a home and takes the slash from its end.
fn address(home: &str) -> Result<String, Error> {
    let wrong = |why: &dyn fmt::Display| Error::HomeAddress {
        home: home.to_owned(),
        why: why.to_string(),
    };
    if home.contains('?') {
        return Err(wrong(&"it has a query"));
    }
    // A token goes there.
    kintsugi_domain::address::check(home).map_err(|error| wrong(&error))?;
    Ok(home.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_sent_in_the_clear_to_another_machine() {
        for good in [
            "https://kintsugi.example.com/",
            "https://abc.execute-api.eu-central-1.amazonaws.com",
            "http://127.0.0.1:7373",
            "http://[::1]:7373",
            "http://abc.execute-api.localhost:4566",
        ] {
            assert_eq!(address(good).unwrap(), good.trim_end_matches('/'));
        }
        for bad in [
            "http://kintsugi.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "ftp://127.0.0.1",
            "kintsugi.example.com",
            "https://kintsugi.example.com/?a=b",
            "",
        ] {
            assert_eq!(address(bad).unwrap_err().code(), "home_address", "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_a_token_is_not_sent() {
        for odd in ["-----BEGIN KEY-----\nMHYw\n", "a b", "tökén", "a\0b"] {
            let error = Client::new("http://127.0.0.1:1", odd).unwrap_err();
            assert_eq!((error.code(), error.exit().code()), ("setting", 3), "{odd}");
            assert!(!error.to_string().contains(odd), "{error}");
        }
        Client::new("http://127.0.0.1:1", " a.b-c_d\n").unwrap();
    }

    #[test]
    fn a_problem_is_told_by_its_code_and_another_answer_as_no_answer() {
        let client = Client::new("http://127.0.0.1:1", "secret").unwrap();
        let problem = br#"{"code":"release.exists","detail":"1.0.0 is there"}"#;
        let refused = |status, body: &[u8]| {
            let body = body.to_vec();
            client.refused(&Answered { status, body })
        };
        let error = refused(409, problem);
        assert_eq!(error.code(), "release.exists");
        assert_eq!(error.to_string(), "1.0.0 is there");
        let error = refused(503, problem);
        assert_eq!(error.code(), "home");
        assert!(error.to_string().contains("503"), "{error}");
        assert_eq!(refused(404, b"<html>").code(), "home");
        assert!(!format!("{client:?}").contains("secret"));
    }
}
