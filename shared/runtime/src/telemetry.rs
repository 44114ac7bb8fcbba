//! Logs: one JSON object a line on standard output, which is where Lambda collects them.
//!
//! **Never bodies, tokens or personal data.** Ids, counts, durations and reasons only.

use crate::Settings;
use tracing_subscriber::EnvFilter;

/// What is logged when `KINTSUGI_LOG` does not say otherwise.
const DEFAULT: &str = "info";

/// Starts logging for this process. A second call changes nothing.
pub(crate) fn init(settings: &Settings) {
    let wanted = settings.optional("KINTSUGI_LOG").unwrap_or(DEFAULT);
    let filter = EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .try_init();
}
