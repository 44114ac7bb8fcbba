//! Logs: one JSON object a line on standard output, which is where Lambda collects them.
//!
//! **Never bodies, tokens or personal data.** Ids, counts, durations and reasons only.

use crate::Settings;
use std::str::FromStr;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging for this process. A second call changes nothing.
///
/// `KINTSUGI_LOG` is a level, or `target=level` pairs with commas between them; what cannot be read counts as `info`.
/// Without the directives on fields that `kintsugi` knows: they need an engine of regular expressions at every cold start.
pub(crate) fn init(settings: &Settings) {
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false);
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(wanted(settings.optional("KINTSUGI_LOG")))
        .try_init();
}

fn wanted(log: Option<&str>) -> Targets {
    log.and_then(|directives| Targets::from_str(directives).ok())
        .unwrap_or_else(|| Targets::new().with_default(Level::INFO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets_are_understood_and_anything_else_is_info() {
        let logs = |log, target, level| wanted(log).would_enable(target, &level);
        assert!(logs(Some("debug"), "kintsugi_app", Level::DEBUG));
        assert!(!logs(Some("error"), "kintsugi_app", Level::WARN));
        assert!(logs(
            Some("warn,kintsugi_app=debug"),
            "kintsugi_app::triage",
            Level::DEBUG
        ));
        assert!(!logs(Some("warn,kintsugi_app=debug"), "hyper", Level::INFO));
        for unreadable in [None, Some("kintsugi_app=loud")] {
            assert!(logs(unreadable, "kintsugi_app", Level::INFO));
            assert!(!logs(unreadable, "kintsugi_app", Level::DEBUG));
        }
    }
}
