//! Update checks: 200 with a manifest, or 204; either with the ticket of a comparison.

use crate::dress::staged;
use crate::problem::Problem;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use kintsugi_app::manifest::{Command, Done, Manifests};
use kintsugi_app::stage::Stage as _;
use kintsugi_domain::ports::Ports;
use semver::Version;
use serde::Deserialize;
use std::sync::Arc;

/// The header that carries a ticket.
pub(crate) const TICKET: HeaderName = HeaderName::from_static("kintsugi-ticket");
/// Longest part of the address, bytes.
const PART_BYTES_MAX: usize = 128;

/// The parts of the address, as text.
#[derive(Debug, Deserialize)]
struct Address {
    project: String,
    channel: String,
    platform: String,
    arch: String,
    version: String,
}

#[derive(Debug, Deserialize)]
struct Asker {
    device: Option<String>,
}

pub(crate) fn routes(ports: &Ports) -> Router {
    let routes = Router::new()
        .route(
            "/v1/{project}/updates/{channel}/{platform}/{arch}/{version}",
            get(check),
        )
        .with_state(Arc::new(Manifests::new(ports.clone())));
    staged(routes, Manifests::NAME, &ports.ids)
}

async fn check(
    State(stage): State<Arc<Manifests>>,
    address: Result<Path<Address>, PathRejection>,
    asker: Result<Query<Asker>, QueryRejection>,
) -> Result<Response, Problem> {
    let Path(address) = address.map_err(|_| Problem::malformed("the address is not UTF-8"))?;
    let Query(asker) = asker.map_err(|_| Problem::malformed("the query cannot be read"))?;
    let done = stage.run(command(address, asker)?).await?;
    let (mut response, ticket) = match done {
        Done::Offer { manifest, ticket } => (Json(manifest).into_response(), ticket),
        Done::Stay { ticket, .. } => (StatusCode::NO_CONTENT.into_response(), ticket),
        Done::Unknown => return Err(unknown()),
    };
    let headers = response.headers_mut();
    // A ticket is one device's own.
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store"),
    );
    if let Some(ticket) = ticket.and_then(|ticket| HeaderValue::try_from(ticket).ok()) {
        headers.insert(TICKET, ticket);
    }
    Ok(response)
}

/// One answer for a project and for a channel that is not there: strangers learn nothing.
fn unknown() -> Problem {
    let detail = "there is no such project, or nothing was published on that channel";
    Problem::not_found("channel.unknown", detail)
}

fn command(address: Address, asker: Asker) -> Result<Command, Problem> {
    let device = asker.device.unwrap_or_default();
    Ok(Command {
        project: address.project.parse().map_err(|_| unknown())?,
        channel: address.channel,
        platform: part("platform", address.platform)?,
        arch: part("processor", address.arch)?,
        version: version(&address.version)?,
        device: device
            .parse()
            .map_err(|error| Problem::malformed(format_args!("the query's `device` is {error}")))?,
    })
}

/// A platform or a processor: compared with what the document says, and never anything else.
fn part(what: &str, text: String) -> Result<String, Problem> {
    let fits = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits && (1..=PART_BYTES_MAX).contains(&text.len()) {
        Ok(text)
    } else {
        let expected = "letters, digits, '.', '_' and '-'";
        Err(Problem::malformed(format_args!(
            "the {what} is not made of {expected}"
        )))
    }
}

fn version(text: &str) -> Result<Version, Problem> {
    if text.len() > PART_BYTES_MAX {
        return Err(Problem::malformed("the version is too long"));
    }
    text.parse()
        .map_err(|error| Problem::malformed(format_args!("not a semantic version: {error}")))
}
