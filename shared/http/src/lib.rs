//! The routes of the HTTP stages, one definition for Lambda and the local server.
//!
//! Each function here is the router of one stage, complete in itself, because each function of the
//! cloud serves one of them; [`everything`] is all of them together, for the local server. A handler
//! translates: the request into the stage's command, what was done into an answer. It decides nothing.
//!
//! Errors are `application/problem+json` ([`Problem`]), except where a foreign protocol says otherwise.
//!
//! Not here: sockets and TLS (the local server, Lambda), and what the stages do (`kintsugi-app`).
//!
//! **Invariants: no body is read beyond its cap. No answer tells a stranger what went wrong inside.
//! No address, body, key or ticket is logged.**

mod admin;
mod batch_keys;
mod batches;
mod body;
mod console;
mod cors;
mod dress;
mod file;
mod flags;
mod health;
mod ingest;
mod later;
mod manifest;
mod native;
mod otlp;
mod outcomes;
mod problem;
mod relay;
mod tuf;

pub use console::Transport;
pub use problem::Problem;
pub use relay::with_relay;

use axum::Router;
use dress::dress;
use kintsugi_domain::ports::Ports;
use later::divided;

/// Reports of Sentry's clients: `POST /api/{project}/envelope/`, `/store/`, `/security/` (and its
/// older name `/csp-report/`) and `/minidump/`; sealed batches of our own
/// reporter: `POST /v1/{project}/batches`, and `GET /v1/{project}/batch-keys`; metrics and feedback in forms of our own:
/// `POST /v1/{project}/{metrics,feedback}`; exceptions of OpenTelemetry:
/// `POST /otlp/v1/{logs,traces}`.
pub fn ingest(ports: &Ports) -> Router {
    let (of_sentry, of_others) = (ports.clone(), ports.clone());
    divided(
        "/api/",
        move || dress(ingest::routes(&of_sentry)),
        move || dress(batches::routes(&of_others)),
    )
}

/// Update checks: `GET /v1/{project}/updates/{channel}/{platform}/{arch}/{version}?device=…`.
pub fn manifest(ports: &Ports) -> Router {
    dress(manifest::routes(ports))
}

/// The signed repository: `GET /tuf/{project}/metadata/…` and `/targets/…`.
pub fn tuf(ports: &Ports) -> Router {
    dress(tuf::routes(ports))
}

/// Update checks and the signed repository: what one function of the cloud serves.
pub fn updates(ports: &Ports) -> Router {
    dress(manifest::routes(ports).merge(tuf::routes(ports)))
}

/// Install reports: `POST /v1/{project}/outcomes`.
pub fn outcomes(ports: &Ports) -> Router {
    dress(outcomes::routes(ports))
}

/// Feature flags by OFREP: `POST /ofrep/v1/evaluate/flags` and `/ofrep/v1/evaluate/flags/{key}`.
pub fn flags(ports: &Ports) -> Router {
    dress(flags::routes(ports))
}

/// The admin API: `/admin/v1/…`.
pub fn admin(ports: &Ports) -> Router {
    dress(admin::routes(ports))
}

/// The console, for people: `/console`.
pub fn console(ports: &Ports, transport: Transport) -> Router {
    dress(console::routes(ports, transport))
}

/// `GET /health` and `GET /version`.
pub fn health() -> Router {
    dress(health::routes())
}

/// The admin API, the console that browsers reach over `transport`, health and version: what one function of the
/// cloud serves.
pub fn control(ports: &Ports, transport: Transport) -> Router {
    let (for_pages, for_api) = (ports.clone(), ports.clone());
    divided(
        "/console",
        move || console(&for_pages, transport),
        move || dress(admin::routes(&for_api).merge(health::routes())),
    )
}

/// Every route, for the local server: with a relay, because no runtime around it has one.
pub fn everything(ports: &Ports, transport: Transport) -> Router {
    let routes = Router::new()
        .merge(ingest::routes(ports))
        .merge(batches::routes(ports))
        .merge(manifest::routes(ports))
        .merge(tuf::routes(ports))
        .merge(outcomes::routes(ports))
        .merge(flags::routes(ports))
        .merge(admin::routes(ports))
        .merge(console::routes(ports, transport))
        .merge(health::routes());
    with_relay(dress(routes), ports)
}
