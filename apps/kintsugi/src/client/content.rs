//! Content of jobs, to and from where the home says that it lies: the home itself, or a store that it links to.
//!
//! **Invariant: where the home links to gets neither the token nor the lease.** A link is a right of its own.

use super::{Answered, Client, off_the_runtime};
use crate::error::Error;
use kintsugi_domain::ports::Link;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Request, header};

/// How long getting or sending one blob may take as a whole: as long as a link is good.
const CONTENT_TIME: Duration = Duration::from_mins(15);
/// The header that shows the lease of the job that content is for.
const LEASE: &str = "kintsugi-lease";

impl Client {
    /// The content of a blob that a leased job reads, or nothing where there is none; at most `bytes_max` bytes.
    pub(crate) async fn content(
        &self,
        lease: &str,
        key: &str,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let (client, key, lease) = (self.clone(), key.to_owned(), lease.to_owned());
        off_the_runtime(move || {
            let request = client.content_request("GET", &lease, &key).body(None);
            let answer = client.transfer(request, bytes_max)?;
            let answer = match answer.place {
                Some(place) if answer.answered.status == 307 => {
                    client.check_link(&place)?;
                    client.transfer(Request::get(&place).body(None), bytes_max)?
                }
                Some(_) | None => answer,
            };
            match answer.answered.status {
                200 => Ok(Some(answer.answered.body)),
                404 => Ok(None),
                _ => Err(client.refused(&answer.answered)),
            }
        })
        .await
    }

    /// Stores an artifact of a leased job: by a link, or in the home where it gave none.
    pub(crate) async fn store(
        &self,
        lease: &str,
        key: &str,
        link: Option<Link>,
        content: Vec<u8>,
    ) -> Result<(), Error> {
        let (client, key, lease) = (self.clone(), key.to_owned(), lease.to_owned());
        off_the_runtime(move || {
            let request = match &link {
                Some(link) => {
                    client.check_link(&link.url)?;
                    let mut request = Request::put(&link.url);
                    // The other two are said by every request.
                    let said = |name: &str| name == "host" || name == "content-length";
                    for (name, value) in link.headers.iter().filter(|(name, _)| !said(name)) {
                        request = request.header(name, value);
                    }
                    request
                }
                None => client.content_request("PUT", &lease, &key),
            };
            let answer = client.transfer(request.body(Some(content)), 64 * 1024)?;
            match answer.answered.status {
                200..300 => Ok(()),
                _ => Err(client.refused(&answer.answered)),
            }
        })
        .await
    }

    fn check_link(&self, url: &str) -> Result<(), Error> {
        kintsugi_domain::address::check(url)
            .map(drop)
            .map_err(|why| self.unreachable(format!("its link is not followed: {why}")))
    }

    fn content_request(
        &self,
        method: &str,
        lease: &str,
        key: &str,
    ) -> ureq::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{}/admin/v1/runner/blobs/{key}", self.home))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.0))
            .header(LEASE, lease)
    }

    fn transfer(
        &self,
        request: Result<Request<Option<Vec<u8>>>, ureq::http::Error>,
        bytes_max: usize,
    ) -> Result<Transferred, Error> {
        let request = request.map_err(|error| Error::unexpected("write a request", &error))?;
        let answer = match request.into_parts() {
            (head, Some(body)) => patient(&self.agent, Request::from_parts(head, body)),
            (head, None) => patient(&self.agent, Request::from_parts(head, ())),
        };
        let mut answer = answer.map_err(|error| self.unreachable(error))?;
        let status = answer.status().as_u16();
        let place = answer.headers().get(header::LOCATION);
        let place = place.and_then(|value| value.to_str().ok().map(str::to_owned));
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        let read = answer.body_mut().with_config().limit(limit).read_to_vec();
        let body = read.map_err(|error| self.unreachable(error))?;
        Ok(Transferred {
            answered: Answered { status, body },
            place,
        })
    }
}

/// An answer and where it points.
struct Transferred {
    answered: Answered,
    place: Option<String>,
}

/// Sends a request that may take long.
fn patient<S: ureq::AsSendBody>(
    agent: &Agent,
    request: Request<S>,
) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
    let request = agent
        .configure_request(request)
        .timeout_global(Some(CONTENT_TIME))
        .build();
    agent.run(request)
}
