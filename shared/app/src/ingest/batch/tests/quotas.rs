//! Quotas of what is sealed: what is let in, what is told, and an account that adds up whatever fails.

use super::*;
use crate::ingest::COUNTER;
use crate::ingest::tests::limits::limited;
use kintsugi_domain::record::Kind;

/// A line of everything that a reporter sends: three categories, two metrics in one line, and what it threw away.
fn everything(events: usize) -> Vec<Value> {
    let mut lines: Vec<Value> = (0..events)
        .map(|number| event(&number.to_string()))
        .collect();
    lines.push(json!({"kind": "session_start", "sid": "s", "release": "till@1.0.0", "started": "2027-01-15T07:59:00Z"}));
    lines.push(
        json!({"metrics": [{"type": "feature", "name": "a"}, {"type": "feature", "name": "b"}]}),
    );
    lines.push(
        json!({"discarded_events": [{"reason": "consent", "category": "error", "quantity": 2}]}),
    );
    lines
}

fn refused(of: &[(Category, usize)]) -> BTreeMap<Category, usize> {
    of.iter().copied().collect()
}

#[test]
fn what_there_is_no_quota_for_is_refused_by_category_and_the_rest_of_a_batch_is_taken() {
    let home = limited(&json!({"categories": {"error": 3, "metric_bucket": 0}}));
    let receipt = take(&home, batch(&home, "b1", &everything(5))).unwrap();
    assert_eq!(
        receipt.refused,
        refused(&[(Category::Error, 2), (Category::MetricBucket, 2)])
    );
    assert_eq!(
        (receipt.events, receipt.counted, receipt.dropped),
        (3, 1, 0)
    );
    let messages: Vec<_> = home.events().into_iter().map(|it| it.message).collect();
    assert_eq!(messages, ["0", "1", "2"].map(|text| Some(text.to_owned())));
    let account = home.account();
    assert!(account.adds_up(), "{account:?}");
    let error = &account.categories["error"];
    assert_eq!((error.accepted, error.refused["rate_limited"]), (3, 2));
    assert_eq!(error.client_discarded["consent"], 2);
    let metrics = &account.categories["metric_bucket"];
    assert_eq!((metrics.received, metrics.refused["rate_limited"]), (2, 2));
    // It is done with: what was refused does not come again.
    let again = batch(&home, "b1", &everything(5));
    assert_eq!(take(&home, again), Err(Refusal::Replayed));
}

#[test]
fn a_batch_of_which_nothing_is_let_in_may_come_again_and_tells_then_what_was_thrown_away() {
    let home = limited(&json!({"categories": {"error": 1, "session": 0, "metric_bucket": 0}}));
    take(&home, batch(&home, "b1", &[event("first")])).unwrap();
    let later = |seconds| Request {
        at: at(seconds),
        ..batch(&home, "b2", &everything(2))
    };
    assert_eq!(
        take(&home, later(20)),
        Err(Refusal::RateLimited { seconds: 60 })
    );
    let account = home.account();
    assert!(account.adds_up(), "{account:?}");
    assert!(account.categories["error"].client_discarded.is_empty());
    assert_eq!(
        account.categories["internal"].refused,
        BTreeMap::from([("rate_limited".to_owned(), 1)])
    );
    // No request is refused besides: each of its items has its own end.
    assert!(!account.categories.contains_key("request"));
    let receipt = take(&home, later(80)).unwrap();
    assert_eq!(receipt.events, 1);
    assert_eq!(receipt.refused[&Category::Error], 1);
    let account = home.account();
    assert!(account.adds_up(), "{account:?}");
    assert_eq!(account.categories["error"].client_discarded["consent"], 2);
    assert_eq!(account.categories["error"].received, 1 + 2 * 2);
}

#[test]
fn a_batch_that_is_not_opened_and_what_cannot_be_read_cost_no_quota() {
    let home = limited(&json!({"categories": {"error": 1}}));
    let lines = [json!({"metrics": []}), json!({"metrics": 7}), event("good")];
    let good = batch(&home, "b1", &lines);
    let mut broken = good.clone();
    *broken.body.last_mut().unwrap() ^= 1;
    assert_eq!(take(&home, broken), Err(Refusal::InvalidChecksum));
    let mut content = b"not json\n[1]\n".to_vec();
    content.extend(super::lines(&lines));
    let key = newest(&home);
    let body = sealed(&header(&key, "b2"), &key, &content);
    let receipt = take(&home, request(body)).unwrap();
    assert_eq!((receipt.events, receipt.dropped), (1, 3));
    assert!(receipt.refused.is_empty());
    assert_eq!(home.memory.store.records(Kind::Quota).len(), 1);
    // Nothing but what cannot be read is no batch to come again with.
    let body = sealed(&header(&key, "b3"), &key, b"not json");
    assert_eq!(take(&home, request(body)).unwrap().dropped, 1);
    assert!(home.account().adds_up());
}

#[test]
fn a_quota_holds_over_more_lines_than_are_read_ahead() {
    let home = limited(&json!({"categories": {"error": 4}}));
    let long = "x".repeat(EVENT_BYTES_MAX / 3);
    let lines: Vec<Value> = (0..9).map(|_| event(&long)).collect();
    let receipt = take(&home, batch(&home, "b1", &lines)).unwrap();
    assert_eq!(receipt.events, 4);
    assert_eq!(receipt.refused, refused(&[(Category::Error, 5)]));
    assert!(home.account().adds_up());
}

#[test]
fn what_arrived_in_batches_is_what_ended_whatever_fails_and_whenever() {
    let mut interrupted = 0;
    for effect in 1..=40 {
        for applied in [false, true] {
            let home = limited(&json!({"categories": {"error": 10, "session": 2}}));
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
            // Eighteen events for ten places; the last batch has nothing but errors and is refused as a whole.
            let batches = [everything(5), everything(5), everything(5)].map(|mut lines| {
                lines.push(json!({"metrics": 7}));
                lines
            });
            let batches = [batches.as_slice(), &[vec![event("late"); 3]]].concat();
            let (mut taken, mut limited) = (0, 0);
            for (number, lines) in batches.iter().enumerate() {
                let request = batch(&home, &format!("b{number}"), lines);
                loop {
                    match block_on(process.take_batch(request.clone())) {
                        Ok(Done::Accepted(_) | Done::Refused(Refusal::Replayed)) => taken += 1,
                        Ok(Done::Refused(Refusal::RateLimited { .. })) => limited += 1,
                        Ok(done) => panic!("{done:?}"),
                        Err(_) => {
                            interrupted += 1;
                            faults.restart();
                            process = ingest();
                            continue;
                        }
                    }
                    break;
                }
                let counted = block_on(home.memory.store.counter(PROJECT, COUNTER)).unwrap();
                let account = Account::of(&counted);
                assert!(account.adds_up(), "effect {effect}: {account:?}");
            }
            assert_eq!((taken, limited), (3, 1), "effect {effect}");
            let account = home.account();
            assert!(account.adds_up(), "effect {effect}: {account:?}");
            let error = &account.categories["error"];
            // A batch that was counted and whose answer was lost took its share of the quota: never more than ten.
            assert!((5..=10).contains(&error.accepted), "{account:?}");
            assert_eq!(
                error.received - error.accepted,
                error.refused["rate_limited"]
            );
            // What the reporter threw away is counted once for each batch that was taken.
            assert_eq!(error.client_discarded["consent"], 6, "effect {effect}");
        }
    }
    assert!(interrupted > 40, "{interrupted}");
}
