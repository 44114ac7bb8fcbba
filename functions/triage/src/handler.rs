//! From a message to the stage's command.

use kintsugi_app::triage::Triage;
use kintsugi_domain::ports::Ports;
use kintsugi_runtime::Function;

/// The function over its adapters.
pub(crate) fn serve(ports: Ports) -> Function {
    Function::triage(Triage::new(ports.clone()), ports)
}
