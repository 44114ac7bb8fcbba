//! The `sentry` crate with its default integrations and a transport that only keeps what it is given: its own transports hand
//! over to a thread, which costs the caller more than this.

use sentry::{
    Breadcrumb, Client, ClientOptions, Envelope, Hub, Scope, Transport, TransportFactory, User,
};
use std::error::Error;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Keeps(Mutex<Vec<Envelope>>);

impl Transport for Keeps {
    fn send_envelope(&self, envelope: Envelope) {
        self.0.lock().unwrap().push(envelope);
    }
}

struct Hands(Arc<Keeps>);

impl TransportFactory for Hands {
    fn create_transport(&self, _: &ClientOptions) -> Arc<dyn Transport> {
        self.0.clone()
    }
}

/// A client of theirs.
pub(crate) struct Peer {
    hub: Arc<Hub>,
    keeps: Arc<Keeps>,
}

impl Peer {
    /// One that takes a stack trace with each event, or does not.
    pub(crate) fn new(has_stacktraces: bool) -> Self {
        let keeps = Arc::new(Keeps::default());
        let options = ClientOptions::new()
            .dsn("http://0123abcd@127.0.0.1:9/1")
            .release("till@1.0.0")
            .attach_stacktrace(has_stacktraces)
            .transport(Hands(Arc::clone(&keeps)));
        let client = Client::from(sentry::apply_defaults(options));
        let mut scope = Scope::default();
        scope.set_tag("drawer", "3");
        scope.set_user(Some(User {
            id: Some("17".into()),
            ..User::default()
        }));
        let hub = Arc::new(Hub::new(Some(Arc::new(client)), Arc::new(scope)));
        Self { hub, keeps }
    }

    pub(crate) fn hub(&self) -> Arc<Hub> {
        Arc::clone(&self.hub)
    }

    pub(crate) fn breadcrumb(&self, category: &str, message: &str) {
        self.hub.add_breadcrumb(Breadcrumb {
            category: Some(category.to_owned()),
            message: Some(message.to_owned()),
            ..Breadcrumb::default()
        });
    }

    pub(crate) fn capture(&self, error: &dyn Error) {
        let _ = self.hub.capture_error(error);
    }

    /// How many envelopes it was given.
    pub(crate) fn kept(&self) -> usize {
        self.keeps.0.lock().unwrap().len()
    }
}
