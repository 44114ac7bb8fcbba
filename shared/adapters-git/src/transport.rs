//! HTTP to a host: what goes out, how long it may take, and what the host's status means.
//!
//! **Redirects are not followed**: the credential is for the host that it is stored for.

use crate::credential::Credential;
use crate::remote::Remote;
use kintsugi_domain::ports::PortError;
use std::time::Duration;
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Agent, Body, BodyReader};

/// How long one exchange may take as a whole; shorter than the functions of the admin API may run.
const EXCHANGE_TIME: Duration = Duration::from_secs(25);
/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// A program of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Gives objects.
    Upload,
    /// Takes objects.
    Receive,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Upload => "git-upload-pack",
            Self::Receive => "git-receive-pack",
        }
    }
}

/// Connections to hosts. Clones share them.
#[derive(Clone)]
pub(crate) struct Transport {
    agent: Agent,
}

/// One repository as we are allowed to see it.
pub(crate) struct Session<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) remote: &'a Remote,
    pub(crate) credential: Option<&'a Credential>,
}

impl Transport {
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(EXCHANGE_TIME))
            .timeout_connect(Some(CONNECT_TIME))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent("git/kintsugi")
            .build();
        Self {
            agent: Agent::new_with_config(config),
        }
    }
}

impl Session<'_> {
    /// What a service says of itself.
    pub(crate) fn ask(&self, service: Service) -> Result<BodyReader<'static>, PortError> {
        let name = service.name();
        let url = format!("{}/info/refs?service={name}", self.remote.url());
        let mut request = self.transport.agent.get(url);
        if let Some(credential) = self.credential {
            request = request.header("Authorization", credential.header());
        }
        if service == Service::Upload {
            request = request.header("Git-Protocol", "version=2");
        }
        let answer = request.call().map_err(|error| self.failed(&error))?;
        self.body(answer, &format!("application/x-{name}-advertisement"))
    }

    /// Has a service do something.
    pub(crate) fn order(
        &self,
        service: Service,
        order: &[u8],
    ) -> Result<BodyReader<'static>, PortError> {
        let name = service.name();
        let url = format!("{}/{name}", self.remote.url());
        let mut request = self
            .transport
            .agent
            .post(url)
            .header("Content-Type", format!("application/x-{name}-request"));
        if let Some(credential) = self.credential {
            request = request.header("Authorization", credential.header());
        }
        if service == Service::Upload {
            request = request.header("Git-Protocol", "version=2");
        }
        let answer = request.send(order).map_err(|error| self.failed(&error))?;
        self.body(answer, &format!("application/x-{name}-result"))
    }

    /// What is being talked to, for errors.
    pub(crate) fn what(&self) -> String {
        format!("repository {}", self.remote.url())
    }

    fn failed(&self, error: &ureq::Error) -> PortError {
        let what = self.what();
        if matches!(error, ureq::Error::BadUri(_) | ureq::Error::Http(_)) {
            return PortError::broken(what, "its address or its credential is not usable");
        }
        PortError::unavailable(what, error)
    }

    fn body(
        &self,
        answer: Response<Body>,
        expected: &str,
    ) -> Result<BodyReader<'static>, PortError> {
        let status = answer.status();
        if !status.is_success() {
            return Err(self.refused(status, answer.headers()));
        }
        let kind = header(answer.headers(), "content-type");
        if kind.split(';').next().map(str::trim) != Some(expected) {
            let why = "the host answers, but not by git's smart HTTP protocol";
            return Err(PortError::broken(self.what(), why));
        }
        Ok(answer.into_body().into_reader())
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap) -> PortError {
        let (what, host, code) = (self.what(), self.remote.host(), status.as_u16());
        // A host that names a time asks for patience, whatever its status.
        let patience = !header(headers, "retry-after").is_empty();
        if patience || status.is_server_error() || matches!(code, 408 | 429) {
            return PortError::unavailable(what, format!("{host} answered {code}"));
        }
        let help = "(docs/configuration.md, “Credentials for git hosts”)";
        let why = match (code, self.credential) {
            (401 | 403, Some(_)) => format!(
                "{host} answered {code}: the credential stored for {host} is refused or may not do this; renew it {help}"
            ),
            (401 | 403, None) => format!(
                "{host} answered {code}: it wants a credential and none is stored for {host}; store one {help}"
            ),
            (404 | 410, Some(_)) => {
                format!("there is no such repository, or the credential for {host} may not see it")
            }
            (404 | 410, None) => format!(
                "there is no such repository, or {host} shows it only to those who have a credential {help}"
            ),
            (300..=399, _) => format!(
                "it has moved to {:?}; give the project its new address",
                crate::fault::words_of(header(headers, "location").as_bytes())
            ),
            _ => format!("{host} answered {code}"),
        };
        PortError::broken(what, why)
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    let value = headers.get(name);
    value.and_then(|value| value.to_str().ok()).unwrap_or("")
}
