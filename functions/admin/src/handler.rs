//! From a request to the stage's command: the routes are the local server's too. A direct invocation is an order of
//! whoever deploys the home.

use async_trait::async_trait;
use kintsugi_app::admin::{Admin, Done, FirstToken};
use kintsugi_domain::ports::Ports;
use kintsugi_runtime::{Direct, DirectError, Function};
use serde_json::Value;

/// The function over its adapters.
pub(crate) fn serve(ports: Ports) -> Function {
    let direct = Deployer(Admin::new(ports.clone()));
    Function::routes(kintsugi_http::admin(&ports), ports).with_direct(direct)
}

/// Whoever may invoke the function itself.
struct Deployer(Admin);

#[async_trait]
impl Direct for Deployer {
    async fn invoke(&self, event: Value) -> Result<Value, DirectError> {
        let order = read(event)?;
        match self.0.first_token(&order).await? {
            Done::Answer(answer) => serde_json::to_value(answer).map_err(|error| unknown(&error)),
            Done::Refused(refusal) => Err(DirectError {
                code: refusal.code.to_owned(),
                why: refusal.why,
            }),
        }
    }
}

/// `{"kintsugi": "first_token", "subject": …, "hours": …}`, hours may be absent.
fn read(mut event: Value) -> Result<FirstToken, DirectError> {
    let order = event
        .as_object_mut()
        .and_then(|event| event.remove("kintsugi"));
    if order.as_ref().and_then(Value::as_str) != Some("first_token") {
        return Err(unknown(&"the only order is first_token"));
    }
    serde_json::from_value(event).map_err(|error| unknown(&error))
}

fn unknown(why: &dyn std::fmt::Display) -> DirectError {
    DirectError {
        code: "Function.UnknownEvent".to_owned(),
        why: why.to_string(),
    }
}
