//! Tickets: only an offer that was made can be answered.

use crate::repository::{at, now};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kintsugi_domain::cohort::Arm;
use kintsugi_domain::id::ProjectId;
use kintsugi_trust::ticket::{Ticket, TicketError};
use proptest::prelude::*;
use semver::Version;
use std::time::Duration;

const SECRET: [u8; 32] = [7; 32];
const DAY: Duration = Duration::from_hours(24);

fn ticket(device: &str, arm: Arm) -> Ticket {
    Ticket {
        project: ProjectId(1),
        rollout: "rollout-1".parse().unwrap(),
        version: Version::new(1, 0, 1),
        device: device.parse().unwrap(),
        arm,
        issued_at: now(),
    }
}

#[test]
fn a_ticket_comes_back_as_it_was_sealed() {
    let ticket = ticket("device-1", Arm::New);
    let text = ticket.seal(&SECRET).unwrap();
    assert_eq!(Ticket::open(&text, &SECRET, now(), DAY), Ok(ticket));
}

#[test]
fn a_ticket_of_another_secret_is_forged() {
    let text = ticket("device-1", Arm::New).seal(&[8; 32]).unwrap();
    assert_eq!(
        Ticket::open(&text, &SECRET, now(), DAY),
        Err(TicketError::Forged)
    );
}

#[test]
fn a_device_cannot_write_itself_into_the_other_arm_or_another_device() {
    let text = ticket("device-1", Arm::Control).seal(&SECRET).unwrap();
    let (body, tag) = text.split_once('.').unwrap();
    let body = String::from_utf8(URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
    for (old, new) in [
        ("control", "new"),
        ("device-1", "device-2"),
        ("1.0.1", "1.0.2"),
    ] {
        assert!(body.contains(old));
        let forged = URL_SAFE_NO_PAD.encode(body.replace(old, new));
        let opened = Ticket::open(&format!("{forged}.{tag}"), &SECRET, now(), DAY);
        assert_eq!(opened, Err(TicketError::Forged));
    }
}

#[test]
fn an_old_ticket_and_one_from_the_future_are_refused() {
    let text = ticket("device-1", Arm::New).seal(&SECRET).unwrap();
    let open = |time| Ticket::open(&text, &SECRET, at(time), DAY);
    assert!(open("2026-11-22T12:00:00Z").is_ok());
    let too_old = TicketError::TooOld {
        seconds_max: 86_400,
    };
    assert_eq!(open("2026-11-22T12:00:01Z"), Err(too_old));
    assert!(open("2026-11-21T11:55:00Z").is_ok());
    assert_eq!(open("2026-11-21T11:54:59Z"), Err(TicketError::NotYet));
}

#[test]
fn what_is_not_a_ticket_is_malformed() {
    for text in ["", "x", "x.=", &"x".repeat(5_000)] {
        let opened = Ticket::open(text, &SECRET, now(), DAY);
        assert_eq!(opened, Err(TicketError::Malformed), "{text:?}");
    }
    let text = ticket("device-1", Arm::New).seal(&SECRET).unwrap();
    let cut = &text[..text.len() - 4];
    assert!(Ticket::open(cut, &SECRET, now(), DAY).is_err());
}

proptest! {
    #[test]
    fn a_ticket_with_any_character_changed_is_refused(place in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]") {
        let text = ticket("device-1", Arm::New).seal(&SECRET).unwrap();
        let place = place.index(text.len());
        let mut changed = text.clone();
        changed.replace_range(place..=place, &with);
        prop_assume!(changed != text);
        prop_assert!(Ticket::open(&changed, &SECRET, now(), DAY).is_err());
    }
}
