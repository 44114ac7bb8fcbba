//! The account adds up over any crash.

use super::{PROJECT, envelope_of, home, request};
use crate::ingest::{COUNTER, Done, Ingest};
use crate::stage::Stage as _;
use futures::executor::block_on;
use kintsugi_domain::accounting::Account;
use kintsugi_domain::envelope::Message;
use kintsugi_domain::ports::{Ports, Store as _};
use kintsugi_testkit::fault::{Crashing, Faults};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Envelope `number`: something of everything, one of it broken.
fn body(number: usize) -> Vec<u8> {
    let event = json!({"event_id": format!("{number:032x}"), "message": "m"}).to_string();
    let session = |end: &str| {
        json!({"sid": format!("s{number}"), "status": end, "did": "u", "attrs": {"release": "r"}})
            .to_string()
    };
    let feedback = json!({"contexts": {"feedback": {"message": format!("it broke {number}")}}});
    let transaction = json!({
        "transaction": format!("t{}", number % 3), "start_timestamp": 1, "timestamp": 2,
    });
    let report = json!({"discarded_events": [{"reason": "sample_rate", "category": "error", "quantity": 1}]});
    envelope_of(&[
        ("event", event),
        ("session", session("ok")),
        ("session", session("crashed")),
        ("feedback", feedback.to_string()),
        ("transaction", transaction.to_string()),
        ("attachment", format!("log {number}")),
        ("log", json!({"items": [{"body": "a"}, {"body": number}, 7]}).to_string()),
        ("check_in", json!({"monitor_slug": "m", "status": "ok", "check_in_id": format!("{:032x}", number + 1)}).to_string()),
        ("client_report", report.to_string()),
        ("profile", "{}".to_owned()),
        ("event", "{".to_owned()),
    ])
}

/// Items of an envelope: eleven, and two more entries in its log.
const ITEMS: i64 = 13;

#[test]
fn what_arrived_is_what_ended_whatever_fails_and_whenever() {
    let mut interrupted = 0;
    for effect in 1..=60 {
        for applied in [false, true] {
            let home = home();
            let faults = Faults::new();
            let ingest = || {
                let ports = home.memory.ports();
                Ingest::new(&Ports {
                    store: Arc::new(Crashing::new(ports.store.clone(), &faults)),
                    queues: Arc::new(Crashing::new(ports.queues.clone(), &faults)),
                    blobs: Arc::new(Crashing::new(ports.blobs.clone(), &faults)),
                    ..ports
                })
            };
            let mut process = ingest();
            if applied {
                faults.crash_after(effect);
            } else {
                faults.crash_before(effect);
            }
            for number in 0..4 {
                // The client sends it until it hears an answer, as an SDK with a spool does.
                let mut answered = false;
                while !answered {
                    match block_on(process.run(request(body(number)))) {
                        Ok(Done::Accepted { .. }) => answered = true,
                        Ok(done @ Done::Refused { .. }) => panic!("{done:?}"),
                        Err(_) => {
                            interrupted += 1;
                            faults.restart();
                            process = ingest();
                        }
                    }
                    let counted = block_on(home.memory.store.counter(PROJECT, COUNTER)).unwrap();
                    let account = Account::of(&counted);
                    assert!(account.adds_up(), "effect {effect}: {account:?}");
                }
            }
            // With what triage files.
            let account = home.account();
            assert!(account.adds_up(), "effect {effect}: {account:?}");
            let arrived: i64 = account.categories.values().map(|row| row.received).sum();
            assert!(
                (4 * ITEMS..=5 * ITEMS).contains(&arrived),
                "effect {effect}: {arrived}"
            );
            // What is counted as accepted is there, each event once.
            let there: BTreeSet<String> = home
                .messages()
                .iter()
                .flat_map(|envelope| {
                    let Message::Reported { events } = &envelope.message else {
                        panic!("{envelope:?}");
                    };
                    events.clone()
                })
                .map(|body| body.event().unwrap().id.to_string())
                .collect();
            assert_eq!(there.len(), 4, "effect {effect}");
            assert_eq!(account.categories["error"].accepted, 4, "effect {effect}");
            let discarded = &account.categories["error"].client_discarded;
            assert!((4..=5).contains(&discarded["sample_rate"]));
            // A session that is told of twice is one.
            let sessions = home
                .memory
                .store
                .records(kintsugi_domain::record::Kind::Session);
            assert_eq!(sessions.len(), 4);
        }
    }
    assert!(interrupted > 60, "{interrupted}");
}
