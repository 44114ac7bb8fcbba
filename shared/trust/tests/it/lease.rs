//! Leases: only a job that this home gave to a runner can be reported on, and by that runner only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::Delivery;
use kintsugi_trust::lease::{LEASE_BYTES_MAX, Lease, LeaseError};
use proptest::prelude::*;

const SECRET: [u8; 32] = [7; 32];

fn lease(receipt: &str) -> Lease {
    let message = Message::RunJob {
        job: "job-1".parse().unwrap(),
    };
    Lease {
        holder: "builder-1".to_owned(),
        seconds: 120,
        delivery: Delivery {
            envelope: Envelope::new("cause-1", ProjectId(1), message),
            receipt: receipt.to_owned(),
            attempt: 1,
        },
    }
}

#[test]
fn a_lease_comes_back_as_it_was_sealed() {
    let lease = lease("jobs/handle");
    let text = lease.seal(&SECRET).unwrap();
    assert_eq!(Lease::open(&text, &SECRET, "builder-1"), Ok(lease));
}

#[test]
fn a_lease_of_another_secret_or_another_holder_is_refused() {
    let text = lease("jobs/handle").seal(&[8; 32]).unwrap();
    let opened = Lease::open(&text, &SECRET, "builder-1");
    assert_eq!(opened, Err(LeaseError::Forged));
    let text = lease("jobs/handle").seal(&SECRET).unwrap();
    let opened = Lease::open(&text, &SECRET, "builder-2");
    assert_eq!(opened, Err(LeaseError::NotYours));
}

#[test]
fn a_runner_cannot_write_another_receipt_attempt_or_job_into_its_lease() {
    let text = lease("jobs/handle").seal(&SECRET).unwrap();
    let (body, tag) = text.split_once('.').unwrap();
    let body = String::from_utf8(URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
    for (old, new) in [
        ("jobs/handle", "signing/handle"),
        ("\"attempt\":1", "\"attempt\":2"),
        ("job-1", "job-2"),
        ("builder-1", "builder-2"),
    ] {
        assert!(body.contains(old), "{old} is not in {body}");
        let forged = URL_SAFE_NO_PAD.encode(body.replace(old, new));
        let opened = Lease::open(&format!("{forged}.{tag}"), &SECRET, "builder-2");
        assert_eq!(opened, Err(LeaseError::Forged));
    }
}

#[test]
fn what_is_no_lease_is_malformed_and_what_is_too_long_is_not_written() {
    for text in ["", "x", "x.=", &"x".repeat(LEASE_BYTES_MAX + 1)] {
        let opened = Lease::open(text, &SECRET, "builder-1");
        assert_eq!(opened, Err(LeaseError::Malformed), "{text:?}");
    }
    let long = lease(&"x".repeat(LEASE_BYTES_MAX)).seal(&SECRET);
    assert_eq!(long.unwrap_err().code(), "lease.encoding");
    // The receipts of SQS have up to 1,024 characters.
    lease(&"x".repeat(1_100)).seal(&SECRET).unwrap();
}

proptest! {
    #[test]
    fn a_lease_with_any_character_changed_is_refused(place in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]") {
        let text = lease("jobs/handle").seal(&SECRET).unwrap();
        let place = place.index(text.len());
        let mut changed = text.clone();
        changed.replace_range(place..=place, &with);
        prop_assume!(changed != text);
        prop_assert!(Lease::open(&changed, &SECRET, "builder-1").is_err());
    }
}
