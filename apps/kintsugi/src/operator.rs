//! Orders to a home in this process, through the same admin stage as everybody's.

use crate::error::Error;
use kintsugi_app::admin::{
    Action, Admin, Answer, Command, Done, authenticate, issue_entry, issue_token,
};
use kintsugi_app::stage::Stage as _;
use kintsugi_domain::ports::Ports;
use kintsugi_trust::token::{Role, Token};
use std::time::Duration;

/// For how long an operator's token holds.
const TOKEN_LIFE: Duration = Duration::from_hours(12);

/// Whoever runs the home.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    admin: Admin,
    actor: Token,
    token: String,
}

impl Operator {
    /// An operator of a home; the name is what its audit log shows.
    pub(crate) async fn of(ports: &Ports, name: &str) -> Result<Self, Error> {
        let token = issue_token(ports, name, Role::Admin, TOKEN_LIFE)
            .await
            .map_err(|error| Error::unexpected("issue a token", &error))?;
        let actor = authenticate(ports, &token)
            .await
            .map_err(|error| Error::unexpected("check a token", &error))?;
        Ok(Self {
            admin: Admin::new(ports.clone()),
            actor,
            token,
        })
    }

    /// The token, as text. A secret: whoever has it is an admin for half a day.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// A code that lets whoever has it into the console, once and soon.
    pub(crate) async fn entry(&self) -> Result<String, Error> {
        let code = issue_entry(self.admin.ports(), &self.actor).await;
        code.map_err(|error| Error::unexpected("make a console address", &error))
    }

    /// Has an action done.
    pub(crate) async fn order(&self, action: Action) -> Result<Answer, Error> {
        let command = Command {
            actor: self.actor.clone(),
            action,
        };
        match self.admin.run(command).await.map_err(Error::Store)? {
            Done::Answer(answer) => Ok(answer),
            Done::Refused(refusal) => Err(Error::Refused {
                code: refusal.code.to_owned(),
                why: refusal.why,
            }),
        }
    }
}
