//! Measures what the reporter costs the thread that reports, beside the `sentry` crate in the same process.
//!
//! ```text
//! sdk measure FOLDER   prints medians and 99th percentiles in microseconds as JSON
//! ```
//!
//! `cargo xtask bench sdk` runs it and judges. Rounds of both sides take turns, so that what else the machine does meets both.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench ends when something does not go as it must"
)]

mod home;
mod panics;
mod peer;
mod work;

use kintsugi_sdk::reporter::{Consent, Options, Report, Reporter};
use kintsugi_trust::batch::BatchSecret;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use work::{Place, deep, mistake};

/// How often both sides take turns.
const ROUNDS: usize = 10;
/// Reports of each side in a round while the worker rests before each.
const ALONE: usize = 100;
/// Reports of each side in a round as fast as they can be made; fewer than the queue holds.
const BURST: usize = 500;
/// How long nobody reports before a report that comes alone: by then the worker waits again.
const REST: Duration = Duration::from_millis(3);
/// Longest wait for the worker.
const LONG: Duration = Duration::from_mins(2);
/// What happened before: as many notes as either side keeps.
const CRUMBS: usize = 100;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["measure", folder] => println!("{}", measure(Path::new(folder))),
        _ => println!("sdk measure FOLDER"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn now() -> Instant {
    Instant::now()
}

/// How long something takes.
fn timed(work: impl FnOnce()) -> Duration {
    let begun = now();
    work();
    begun.elapsed()
}

/// The smallest measurement that at least so many percent do not exceed, microseconds with two digits.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    let found = sorted.get(rank - 1).unwrap();
    (found.as_secs_f64() * 1e8).round() / 100.0
}

fn told(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    json!({"calls": times.len(), "median_us": percentile(&times, 50), "p99_us": percentile(&times, 99)})
}

fn options(home: &str) -> Options {
    let key = BatchSecret::derive(&[7; 32]).public().clone();
    let mut options = Options::new(home, "1".parse().unwrap(), "0123abcd".parse().unwrap(), key);
    options.release = Some("till@1.0.0".to_owned());
    options.own_code = vec!["sdk::".to_owned()];
    options
}

fn measure(folder: &Path) -> Value {
    std::panic::set_hook(Box::new(|_| {}));
    let url = home::start();
    let reporter = Reporter::start(options(&url), Consent::Given).unwrap();
    let peer = peer::Peer::new(false);
    let tracing_peer = peer::Peer::new(true);
    let panics = panics::measure(&url, folder, &peer);
    for number in 0..CRUMBS {
        let text = format!("step {number} of closing the day");
        reporter.breadcrumb("ui", &text);
        peer.breadcrumb("ui", &text);
        tracing_peer.breadcrumb("ui", &text);
    }
    let error = mistake();
    let ours = |error: &_| Report::of(error).user("17").tag("drawer", "3");
    let report = both(&reporter, &|| reporter.report(ours(&error)), &|| {
        peer.capture(&error);
    });
    let with_backtrace = both(
        &reporter,
        &|| reporter.report(ours(&error).with_backtrace()),
        &|| tracing_peer.capture(&error),
    );
    let breadcrumb = both(
        &reporter,
        &|| reporter.breadcrumb("ui", "opened the drawer"),
        &|| peer.breadcrumb("ui", "opened the drawer"),
    );
    let metrics = reporter.metrics();
    // Every report was a real one: nothing was thrown away, and the home has them all.
    assert!(metrics.discarded.is_empty(), "{metrics:?}");
    assert_eq!(metrics.sent, metrics.reported);
    assert_eq!(
        peer.kept() + tracing_peer.kept(),
        2 * ROUNDS * (ALONE + BURST) + panics.reports
    );
    json!({
        "breadcrumbs": CRUMBS, "frames": work::DEPTH, "reports_taken_by_the_home": metrics.sent,
        "report": report, "report_with_backtrace": with_backtrace, "breadcrumb": breadcrumb, "panic": panics.told,
    })
}

/// Both sides in turns, each alone and in bursts.
fn both(reporter: &Reporter, ours: &dyn Fn(), theirs: &dyn Fn()) -> Value {
    let sides = [("kintsugi", ours), ("sentry", theirs)];
    let mut alone = [const { Vec::new() }; 2];
    let mut burst = [const { Vec::new() }; 2];
    deep(work::DEPTH, &mut |_: Place| {
        for _ in 0..ROUNDS {
            for ((_, call), times) in sides.iter().zip(&mut alone) {
                for _ in 0..ALONE {
                    std::thread::sleep(REST);
                    times.push(timed(call));
                }
                assert!(reporter.flush(LONG));
            }
            for ((_, call), times) in sides.iter().zip(&mut burst) {
                times.extend((0..BURST).map(|_| timed(call)));
                assert!(reporter.flush(LONG));
            }
        }
    });
    let mut result = json!({});
    for (((name, _), alone), burst) in sides.iter().zip(alone).zip(burst) {
        result[name] = json!({"alone": told(alone), "burst": told(burst)});
    }
    result
}
