//! What a caught panic costs with each hook and with none.

use super::peer::Peer;
use super::work::{self, deep};
use super::{LONG, ROUNDS, options, timed, told};
use kintsugi_sdk::reporter::{Consent, Reporter};
use serde_json::{Value, json};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// Panics of each side in a round.
const PANICS: usize = 20;

type Hook = Arc<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// What was measured, and how many reports the peer was given.
pub(crate) struct Measured {
    pub(crate) told: Value,
    pub(crate) reports: usize,
}

/// The hook that is there now; the next is installed over one that does nothing.
fn taken() -> Hook {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    Arc::from(hook)
}

pub(crate) fn measure(url: &str, folder: &Path, peer: &Peer) -> Measured {
    // The client that the peer was made with installed its own.
    let theirs = taken();
    let in_memory = Reporter::start(options(url), Consent::Given).unwrap();
    in_memory.install_panic_hook();
    let queued = taken();
    let mut with_folder = options(url);
    with_folder.folder = Some(folder.to_owned());
    let on_disk = Reporter::start(with_folder, Consent::Given).unwrap();
    on_disk.install_panic_hook();
    let saved = taken();
    let none: Hook = Arc::new(|_| {});
    let sides = [
        ("none", none),
        ("kintsugi, queued", queued),
        ("kintsugi, saved to disk", saved),
        ("sentry", theirs),
    ];
    let mut times = [const { Vec::new() }; 4];
    sentry::Hub::run(peer.hub(), || {
        for _ in 0..ROUNDS {
            for ((_, hook), times) in sides.iter().zip(&mut times) {
                let hook = Arc::clone(hook);
                panic::set_hook(Box::new(move |info| hook(info)));
                times.extend((0..PANICS).map(|_| timed(caught)));
                assert!(in_memory.flush(LONG) && on_disk.flush(LONG));
            }
        }
    });
    panic::set_hook(Box::new(|_| {}));
    for reporter in [&in_memory, &on_disk] {
        let metrics = reporter.metrics();
        assert_eq!(
            (metrics.sent, metrics.discarded.len()),
            ((ROUNDS * PANICS) as u64, 0)
        );
    }
    let mut result = json!({});
    for ((name, _), times) in sides.iter().zip(times) {
        result[name] = told(times);
    }
    Measured {
        told: result,
        reports: ROUNDS * PANICS,
    }
}

/// A panic a good way down the stack, caught at the top.
fn caught() {
    let ended = catch_unwind(AssertUnwindSafe(|| {
        deep(work::DEPTH, &mut |place| {
            std::hint::black_box(place);
            panic!("drawer 3 is stuck")
        });
    }));
    assert!(ended.is_err());
}
