//! Install reports: 202, or a problem that says why not.

use crate::body;
use crate::dress::staged;
use crate::problem::Problem;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::routing::post;
use kintsugi_app::outcomes::{Command, Done, OUTCOME_BYTES_MAX, Outcomes, Refusal};
use kintsugi_app::stage::Stage as _;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::Ports;
use std::sync::Arc;

pub(crate) fn routes(ports: &Ports) -> Router {
    let routes = Router::new()
        .route("/v1/{project}/outcomes", post(report))
        .with_state(Arc::new(Outcomes::new(ports.clone())));
    staged(routes, Outcomes::NAME, &ports.ids)
}

async fn report(
    State(stage): State<Arc<Outcomes>>,
    Path(project): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let command = Command {
        // What is no project's number is counted by the stage like an unknown project.
        project: project.parse().unwrap_or(ProjectId(0)),
        body: body::read(request.into_body(), OUTCOME_BYTES_MAX).await?,
    };
    match stage.run(command).await? {
        Done::Accepted => Ok(StatusCode::ACCEPTED),
        Done::Refused(refusal) => Err(Problem::new(status(&refusal), refusal.code(), refusal)),
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    use kintsugi_app::outcomes::TicketError;
    match refusal {
        Refusal::UnknownProject => StatusCode::NOT_FOUND,
        Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Malformed
        | Refusal::Silent
        | Refusal::Ticket(TicketError::Malformed | TicketError::Encoding { .. }) => {
            StatusCode::BAD_REQUEST
        }
        Refusal::OtherProject
        | Refusal::Ticket(TicketError::Forged | TicketError::TooOld { .. } | TicketError::NotYet) => {
            StatusCode::FORBIDDEN
        }
    }
}
