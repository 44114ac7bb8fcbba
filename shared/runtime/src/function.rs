//! A function as it stands after the cold start: what it does with a message, a tick or a request.

use crate::Tick;
use crate::event::{BatchAnswer, Event};
use crate::metrics::{Begun, Counts, Meter};
use crate::queue::{Batch, Deadline};
use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use kintsugi_app::stage::{Done, Stage, Wake, settle};
use kintsugi_app::triage::Triage;
use kintsugi_app::{deliveries, outbox};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::Envelope;
use kintsugi_domain::ports::{Clock, Letter, PortError, Ports};
use kintsugi_domain::trace::{TraceId, in_trace};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Service as _};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use std::pin::Pin;
use std::sync::Arc;
use tower::Layer as _;
use tracing::Instrument;

/// What a queue stage does with what wakes it: translates it into the stage's command and runs that.
#[async_trait]
pub(crate) trait Handler: Send + Sync + 'static {
    /// Messages that were delivered together: one, or all of a batch where [`Handler::is_joint`]. One answer for each, in
    /// their order. A refusal by the stage is `Ok`; an error means only that the world failed. MUST be safe to call twice
    /// with the same messages.
    async fn messages(&self, envelopes: Vec<Envelope>) -> Vec<Result<(), PortError>>;

    /// Whether the stage does better with all messages of a batch at once than with one after the other.
    fn is_joint(&self) -> bool {
        false
    }

    /// The clock struck. Stages without a schedule refuse.
    async fn tick(&self, tick: Tick) -> Result<(), PortError> {
        Err(PortError::broken(
            format_args!("tick {}", tick.id),
            "this stage has no schedule",
        ))
    }
}

/// Takes over what a function cannot handle.
#[async_trait]
pub(crate) trait Park: Send + Sync + 'static {
    /// Sets a letter aside with its cause, and has people told of the message in it. MUST be safe to call twice.
    async fn park(
        &self,
        letter: &Letter,
        envelope: Option<&Envelope>,
        cause: &str,
    ) -> Result<(), PortError>;
}

/// Sends what was committed to the outbox. MUST be safe to call while others do.
#[async_trait]
pub(crate) trait Relay: Send + Sync + 'static {
    /// Sends what this process committed.
    async fn relay(&self) -> Result<(), PortError>;

    /// Sends what anybody committed.
    async fn sweep(&self) -> Result<(), PortError>;
}

/// What a function that answers HTTP requests does when it is invoked past the gateway, with an event that has the
/// member `kintsugi`. Only who holds `lambda:InvokeFunction` can do that: the gateway puts whatever strangers send
/// below members of its own.
#[async_trait]
pub trait Direct: Send + Sync + 'static {
    /// Does what the event asks for and gives the answer. A refusal is the invocation's error.
    async fn invoke(&self, event: Value) -> Result<Value, DirectError>;
}

/// Why a direct invocation was not taken.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{why}")]
pub struct DirectError {
    /// A stable name for programs.
    pub code: String,
    /// What is wrong and, where there is something, what to do.
    pub why: String,
}

impl From<PortError> for DirectError {
    fn from(error: PortError) -> Self {
        let code = if error.is_transient() {
            "home.unavailable"
        } else {
            "home.broken"
        };
        Self {
            code: code.to_owned(),
            why: error.to_string(),
        }
    }
}

/// The member of an event that is a direct invocation.
const DIRECT_MEMBER: &str = "kintsugi";

/// What a function does.
pub struct Function {
    work: Work,
    relay: Arc<dyn Relay>,
    clock: Arc<dyn Clock>,
}

enum Work {
    Http {
        router: Router,
        direct: Option<Arc<dyn Direct>>,
    },
    Queue {
        handler: Arc<dyn Handler>,
        aside: Arc<dyn Park>,
    },
}

impl Function {
    /// A function that answers HTTP requests.
    fn http(router: Router, clock: Arc<dyn Clock>, relay: impl Relay) -> Self {
        Self {
            work: Work::Http {
                router,
                direct: None,
            },
            relay: Arc::new(relay),
            clock,
        }
    }

    /// A function of a stage, woken by its queues and, where the stage has a schedule, by the clock: messages and ticks become
    /// its commands, what it commits is relayed, and what it cannot handle is set aside.
    pub fn stage<S>(stage: S, ports: Ports) -> Self
    where
        S: Stage<Command = Wake, Done = Done> + 'static,
    {
        Self::queue(Staged(stage), ports)
    }

    /// The function of triage, which files what is delivered together by one commit where it can.
    pub fn triage(stage: Triage, ports: Ports) -> Self {
        Self::queue(Filed(stage), ports)
    }

    fn queue(handler: impl Handler, ports: Ports) -> Self {
        Self {
            work: Work::Queue {
                handler: Arc::new(handler),
                aside: Arc::new(Aside(ports.clone())),
            },
            clock: Arc::clone(&ports.clock),
            relay: Arc::new(Outbox(ports)),
        }
    }

    /// A function of the routes of a stage.
    pub fn routes(router: Router, ports: Ports) -> Self {
        let clock = Arc::clone(&ports.clock);
        Self::http(router, clock, Outbox(ports))
    }

    /// The same, and direct invocations.
    #[must_use]
    pub fn with_direct(mut self, handler: impl Direct) -> Self {
        if let Work::Http { direct, .. } = &mut self.work {
            *direct = Some(Arc::new(handler));
        }
        self
    }

    /// Serves invocations until Lambda ends the process. `home` is the home's name in metrics.
    ///
    /// A boxed future, so that the loop is compiled once and not in every function anew.
    pub(crate) fn run<'a>(
        self,
        stage: &'static str,
        home: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), lambda_runtime::Error>> + 'a>> {
        Box::pin(self.serve(stage, home))
    }

    async fn serve(self, stage: &'static str, home: &str) -> Result<(), lambda_runtime::Error> {
        let meter = Arc::new(Meter::new(home, stage, Arc::clone(&self.clock)));
        match self.work {
            Work::Http { router, direct } => {
                let around = Arc::new(Around {
                    stage,
                    meter,
                    relay: self.relay,
                });
                let measured = middleware::from_fn(move |request: Request, next: Next| {
                    Arc::clone(&around).request(request, next)
                });
                // Once around all routes, not once around each: a cold start waits for it.
                let router = Router::new().fallback_service(measured.layer(router));
                match direct {
                    Some(direct) => run_with_direct(router, direct).await,
                    None => lambda_http::run(router).await,
                }
            }
            Work::Queue { handler, aside } => {
                let queue = Arc::new(QueueFunction {
                    handler,
                    aside,
                    clock: self.clock,
                    around: Around {
                        stage,
                        meter,
                        relay: self.relay,
                    },
                });
                lambda_runtime::run(service_fn(move |event| Arc::clone(&queue).invoke(event))).await
            }
        }
    }
}

/// What is around every invocation: the relay before the answer where something may have been committed, and the line
/// of its metrics.
struct Around {
    stage: &'static str,
    meter: Arc<Meter>,
    relay: Arc<dyn Relay>,
}

impl Around {
    async fn request(self: Arc<Self>, request: Request, next: Next) -> Response {
        let begun = self.meter.begin();
        // What only looks hands nothing on: no messages leave, and `/health` calls nobody.
        let may_commit = !request.method().is_safe();
        let response = next.run(request).await;
        let counts = Counts::one(!response.status().is_server_error());
        if may_commit && let Err(error) = self.relay.relay().await {
            self.not_relayed(&error);
        }
        self.meter.end_request(begun, counts);
        response
    }

    /// A queue's invocation ends: what it committed leaves, or what anybody did.
    fn end(&self, begun: Begun, counts: Counts, relayed: Result<(), PortError>) {
        if let Err(error) = relayed {
            self.not_relayed(&error);
        }
        self.meter.end(begun, counts);
    }

    /// A relay that failed loses nothing: the messages stay in the outbox for this process's next invocation and for
    /// the clock's sweep. So it is logged and does not spoil the answer.
    fn not_relayed(&self, error: &PortError) {
        tracing::warn!(stage = self.stage, reason = %error, "the outbox was not relayed and waits for the next sweep");
    }
}

/// Serves requests of the gateway and direct invocations until Lambda ends the process.
async fn run_with_direct(
    router: Router,
    direct: Arc<dyn Direct>,
) -> Result<(), lambda_runtime::Error> {
    let adapter = Adapter::from(router);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let (mut adapter, direct) = (adapter.clone(), Arc::clone(&direct));
        async move {
            let (payload, context) = event.into_parts();
            if payload.get(DIRECT_MEMBER).is_some() {
                let answer = direct.invoke(payload).await;
                return answer.map_err(|error| refusal(&error.code, error.why));
            }
            let unknown = |error: serde_json::Error| {
                refusal("Function.UnknownEvent", format!("not a request: {error}"))
            };
            let request: LambdaRequest = serde_json::from_value(payload).map_err(unknown)?;
            // The router's error type has no value.
            let Ok(answer) = adapter.call(LambdaEvent::new(request, context)).await;
            serde_json::to_value(answer).map_err(unknown)
        }
    }))
    .await
}

/// A stage behind its queues.
struct Staged<S>(S);

#[async_trait]
impl<S> Handler for Staged<S>
where
    S: Stage<Command = Wake, Done = Done> + 'static,
{
    async fn messages(&self, envelopes: Vec<Envelope>) -> Vec<Result<(), PortError>> {
        let mut ended = Vec::with_capacity(envelopes.len());
        for envelope in envelopes {
            let done = settle(&self.0, &Wake::Message(Arc::new(envelope))).await;
            ended.push(done.map(|done| tracing::info!(stage = S::NAME, ?done, "handled")));
        }
        ended
    }

    async fn tick(&self, _tick: Tick) -> Result<(), PortError> {
        let done = settle(&self.0, &Wake::Tick).await?;
        tracing::info!(stage = S::NAME, ?done, "ticked");
        Ok(())
    }
}

/// Triage behind its queue: what is delivered together is filed together.
struct Filed(Triage);

#[async_trait]
impl Handler for Filed {
    async fn messages(&self, envelopes: Vec<Envelope>) -> Vec<Result<(), PortError>> {
        let messages: Vec<&Envelope> = envelopes.iter().collect();
        let ended = self.0.run_all(&messages).await;
        // One line for all of them: a report's own would cost as much as its place in the queue. Their traces stand in it.
        let handled = ended.iter().filter(|done| done.is_ok()).count();
        let traces = envelopes.iter().filter_map(|envelope| envelope.trace);
        let traces: Vec<String> = traces.map(|trace| trace.to_string()).collect();
        tracing::info!(
            stage = Triage::NAME,
            messages = ended.len(),
            handled,
            traces = traces.join(" "),
            "handled together"
        );
        ended.into_iter().map(|done| done.map(|_| ())).collect()
    }

    fn is_joint(&self) -> bool {
        true
    }
}

/// The outbox of a home.
struct Outbox(Ports);

#[async_trait]
impl Relay for Outbox {
    async fn relay(&self) -> Result<(), PortError> {
        outbox::relay(&self.0).await.map(|_| ())
    }

    async fn sweep(&self) -> Result<(), PortError> {
        outbox::sweep(&self.0).await.map(|_| ())
    }
}

/// What a home has set aside.
struct Aside(Ports);

#[async_trait]
impl Park for Aside {
    async fn park(
        &self,
        letter: &Letter,
        envelope: Option<&Envelope>,
        cause: &str,
    ) -> Result<(), PortError> {
        deliveries::give_up(&self.0, letter, envelope, cause).await
    }
}

struct QueueFunction {
    handler: Arc<dyn Handler>,
    aside: Arc<dyn Park>,
    clock: Arc<dyn Clock>,
    around: Around,
}

impl QueueFunction {
    async fn invoke(self: Arc<Self>, event: LambdaEvent<Value>) -> Result<BatchAnswer, Diagnostic> {
        let begun = self.around.meter.begin();
        let deadline = Deadline::new(Arc::clone(&self.clock), event.context.deadline);
        // Also after a failure, what was committed before it must leave.
        match Event::read(event.payload) {
            Ok(Event::Batch(records)) => {
                let batch = Batch {
                    stage: self.around.stage,
                    handler: Arc::clone(&self.handler),
                    aside: Arc::clone(&self.aside),
                    deadline,
                };
                let (answer, counts) = batch.handle(records).await;
                let relayed = self.around.relay.relay().await;
                self.around.end(begun, counts, relayed);
                Ok(answer)
            }
            Ok(Event::Tick(tick)) => {
                let answer = self.tick(tick, &deadline).await;
                let swept = self.around.relay.sweep().await;
                let counts = Counts::one(answer.is_ok());
                self.around.end(begun, counts, swept);
                answer
            }
            Err(error) => {
                self.around.end(begun, Counts::one(false), Ok(()));
                Err(refusal("Function.UnknownEvent", error.to_string()))
            }
        }
    }

    /// A tick has no others beside it: its failure is the invocation's, and the clock tries again.
    async fn tick(&self, tick: Tick, deadline: &Deadline) -> Result<BatchAnswer, Diagnostic> {
        // Named by the tick: every delivery of it is the same trace.
        let trace = TraceId::from_digest(Digest::of(tick.id.as_bytes()));
        let span = tracing::info_span!(
            "command",
            stage = self.around.stage,
            command.id = %tick.id,
            trace_id = %trace,
        );
        let work = in_trace(Some(trace), self.handler.tick(tick)).instrument(span);
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
