//! A function as it stands after the cold start: what it does with a message, a tick or a request.

use crate::Tick;
use crate::event::{BatchAnswer, Event};
use crate::queue::{self, Deadline};
use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use kintsugi_app::outbox;
use kintsugi_app::stage::{Done, Stage, Wake, settle};
use kintsugi_domain::envelope::Envelope;
use kintsugi_domain::ports::{Clock, PortError, Ports};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use std::pin::Pin;
use std::sync::Arc;
use tracing::Instrument;

/// What a queue stage does with what wakes it: translates it into the stage's command and runs that.
#[async_trait]
pub(crate) trait Handler: Send + Sync + 'static {
    /// One message. A refusal by the stage is `Ok`; an error means only that the world failed. MUST
    /// be safe to call twice with the same message.
    async fn message(&self, envelope: Envelope) -> Result<(), PortError>;

    /// The clock struck. Stages without a schedule refuse.
    async fn tick(&self, tick: Tick) -> Result<(), PortError> {
        Err(PortError::broken(
            format_args!("tick {}", tick.id),
            "this stage has no schedule",
        ))
    }
}

/// Sends what the invocation committed to the outbox.
#[async_trait]
pub(crate) trait Relay: Send + Sync + 'static {
    /// Relays until the outbox is empty. MUST be safe to call while others relay.
    async fn relay(&self) -> Result<(), PortError>;
}

/// What a function does.
pub struct Function {
    work: Work,
    relay: Arc<dyn Relay>,
}

enum Work {
    Http(Router),
    Queue {
        handler: Arc<dyn Handler>,
        clock: Arc<dyn Clock>,
    },
}

impl Function {
    /// A function that answers HTTP requests.
    fn http(router: Router, relay: impl Relay) -> Self {
        Self {
            work: Work::Http(router),
            relay: Arc::new(relay),
        }
    }

    /// A function that is woken by its queues and, where its handler says so, by the clock.
    fn queue(handler: impl Handler, clock: Arc<dyn Clock>, relay: impl Relay) -> Self {
        Self {
            work: Work::Queue {
                handler: Arc::new(handler),
                clock,
            },
            relay: Arc::new(relay),
        }
    }

    /// A function of a stage: messages and ticks become its commands, and what it commits is relayed.
    pub fn stage<S>(stage: S, ports: Ports) -> Self
    where
        S: Stage<Command = Wake, Done = Done> + 'static,
    {
        let clock = Arc::clone(&ports.clock);
        Self::queue(Staged(stage), clock, Outbox(ports))
    }

    /// A function of the routes of a stage.
    pub fn routes(router: Router, ports: Ports) -> Self {
        Self::http(router, Outbox(ports))
    }

    /// Serves invocations until Lambda ends the process.
    ///
    /// A boxed future, so that the loop is compiled once and not in every function anew.
    pub(crate) fn run(
        self,
        stage: &'static str,
    ) -> Pin<Box<dyn Future<Output = Result<(), lambda_runtime::Error>>>> {
        Box::pin(self.serve(stage))
    }

    async fn serve(self, stage: &'static str) -> Result<(), lambda_runtime::Error> {
        let relay = self.relay;
        match self.work {
            Work::Http(router) => {
                let router =
                    router.layer(middleware::from_fn(move |request: Request, next: Next| {
                        let relay = Arc::clone(&relay);
                        async move {
                            let response = next.run(request).await;
                            relay_and_log(&relay, stage).await;
                            response
                        }
                    }));
                lambda_http::run(router).await
            }
            Work::Queue { handler, clock } => {
                let queue = Arc::new(QueueFunction {
                    stage,
                    handler,
                    clock,
                    relay,
                });
                lambda_runtime::run(service_fn(move |event| Arc::clone(&queue).invoke(event))).await
            }
        }
    }
}

/// A stage behind its queues.
struct Staged<S>(S);

#[async_trait]
impl<S> Handler for Staged<S>
where
    S: Stage<Command = Wake, Done = Done> + 'static,
{
    async fn message(&self, envelope: Envelope) -> Result<(), PortError> {
        let done = settle(&self.0, &Wake::Message(Arc::new(envelope))).await?;
        tracing::info!(stage = S::NAME, ?done, "handled");
        Ok(())
    }

    async fn tick(&self, _tick: Tick) -> Result<(), PortError> {
        let done = settle(&self.0, &Wake::Tick).await?;
        tracing::info!(stage = S::NAME, ?done, "ticked");
        Ok(())
    }
}

/// The outbox of a home.
struct Outbox(Ports);

#[async_trait]
impl Relay for Outbox {
    async fn relay(&self) -> Result<(), PortError> {
        outbox::relay(&self.0).await.map(|_| ())
    }
}

struct QueueFunction {
    stage: &'static str,
    handler: Arc<dyn Handler>,
    clock: Arc<dyn Clock>,
    relay: Arc<dyn Relay>,
}

impl QueueFunction {
    async fn invoke(self: Arc<Self>, event: LambdaEvent<Value>) -> Result<BatchAnswer, Diagnostic> {
        let stage = self.stage;
        let deadline = Deadline::new(Arc::clone(&self.clock), event.context.deadline);
        let event = Event::read(event.payload)
            .map_err(|error| refusal("Function.UnknownEvent", error.to_string()))?;
        let answer = match event {
            Event::Batch(records) => {
                Ok(queue::handle(&self.handler, stage, records, &deadline).await)
            }
            Event::Tick(tick) => self.tick(tick, &deadline).await,
        };
        // Also after a failure: what was committed before it must leave.
        relay_and_log(&self.relay, stage).await;
        answer
    }

    /// A tick has no others beside it: its failure is the invocation's, and the clock tries again.
    async fn tick(&self, tick: Tick, deadline: &Deadline) -> Result<BatchAnswer, Diagnostic> {
        let span = tracing::info_span!("command", stage = self.stage, command.id = %tick.id);
        let work = self.handler.tick(tick).instrument(span);
        match tokio::time::timeout(deadline.left(), work).await {
            Ok(Ok(())) => Ok(BatchAnswer::default()),
            Ok(Err(error)) => Err(refusal("Function.StageFailed", error.to_string())),
            Err(_) => Err(refusal(
                "Function.OutOfTime",
                "the invocation's time ran out".into(),
            )),
        }
    }
}

fn refusal(error_type: &str, error_message: String) -> Diagnostic {
    Diagnostic {
        error_type: error_type.into(),
        error_message,
    }
}

/// A relay that failed loses nothing: the messages stay in the outbox for the next invocation and for
/// the clock's sweep. So it is logged and does not spoil the answer.
async fn relay_and_log(relay: &Arc<dyn Relay>, stage: &'static str) {
    if let Err(error) = relay.relay().await {
        tracing::warn!(stage, reason = %error, "the outbox was not relayed and waits for the next sweep");
    }
}
