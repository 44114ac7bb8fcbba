//! From a request to the stage's command: the routes are the local server's too.

use kintsugi_domain::ports::Ports;
use kintsugi_runtime::Function;

/// The function over its adapters.
pub(crate) fn serve(ports: Ports) -> Function {
    Function::routes(kintsugi_http::admin(&ports), ports)
}
