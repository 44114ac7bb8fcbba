//! From a message or a tick to the stage's command.

use kintsugi_app::rollout::Rollouts;
use kintsugi_domain::ports::Ports;
use kintsugi_runtime::Function;

/// The function over its adapters.
pub(crate) fn serve(ports: Ports) -> Function {
    Function::stage(Rollouts::new(ports.clone()), ports)
}
