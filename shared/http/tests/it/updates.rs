//! Update checks: who is offered what, and with which ticket.

use crate::home::{Answer, Home, PROJECT, document, home};
use kintsugi_domain::channel::{Grant, Request, decide};
use kintsugi_domain::cohort::{Arm, Share, arm};
use kintsugi_domain::id::DeviceId;
use kintsugi_domain::manifest::Manifest;
use kintsugi_domain::ports::{Blobs as _, Clock as _};
use kintsugi_trust::ticket::Ticket;
use semver::Version;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

async fn check(home: &Home, version: &str, device: &str) -> Answer {
    let path = format!("/v1/1/updates/stable/linux/x86_64/{version}?device={device}");
    home.get(&path).await
}

/// A device of that arm of the running comparison.
fn device(wanted: Arm) -> DeviceId {
    (0..1_000)
        .map(|number| format!("device-{number}").parse().unwrap())
        .find(|device| arm("rollout-new", device, Share::from_percent(50), Share::NONE) == wanted)
        .unwrap()
}

async fn ticket(home: &Home, answer: &Answer) -> Ticket {
    let text = answer.header("kintsugi-ticket").unwrap();
    Ticket::open(text, &home.ticket_secret().await, home.clock.now(), DAY).unwrap()
}

#[tokio::test]
async fn a_device_of_the_new_arm_is_offered_exactly_what_the_document_says() {
    let home = home().await;
    let document = document();
    home.publish(&document, "{}").await;
    let device = device(Arm::New);
    let answer = check(&home, "1.0.0", device.as_str()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));

    let manifest: Manifest = serde_json::from_slice(&answer.body).unwrap();
    let release = document.release(&Version::new(1, 1, 0)).unwrap();
    let package = release.package("linux", "x86_64").unwrap();
    let installed = Version::new(1, 0, 0);
    let expected = Manifest::of(release, package, &installed, None);
    assert_eq!(manifest, expected);

    let ticket = ticket(&home, &answer).await;
    assert_eq!(ticket.project, PROJECT);
    assert_eq!(ticket.rollout.as_str(), "rollout-new");
    assert_eq!(ticket.version, Version::new(1, 1, 0));
    assert_eq!(ticket.device, device);
    assert_eq!(ticket.arm, Arm::New);
}

#[tokio::test]
async fn a_device_of_the_control_arm_stays_with_a_ticket() {
    let home = home().await;
    home.publish(&document(), "{}").await;
    let device = device(Arm::Control);
    let answer = check(&home, "1.0.0", device.as_str()).await;
    assert_eq!(answer.status, 204);
    assert!(answer.body.is_empty());
    let ticket = ticket(&home, &answer).await;
    assert_eq!((ticket.arm, ticket.device), (Arm::Control, device));
    assert_eq!(ticket.version, Version::new(1, 1, 0));
}

#[tokio::test]
async fn an_install_outside_any_comparison_has_no_ticket() {
    let home = home().await;
    home.publish(&document(), "{}").await;
    // New to the product and in the control arm: 1.0.0 is for everybody.
    let answer = check(&home, "0.0.0", device(Arm::Control).as_str()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["version"], "1.0.0");
    assert_eq!(answer.header("kintsugi-ticket"), None);
}

#[tokio::test]
async fn a_rollback_is_heard_by_the_next_check() {
    let home = home().await;
    let mut document = document();
    home.publish(&document, "{}").await;
    let device = device(Arm::New);
    let path = "/v1/1/updates/stable/linux/x86_64/1.1.0";
    let path = format!("{path}?device={device}");
    assert_eq!(home.get(&path).await.status, 204);

    document.serial = 2;
    document.revoked.push(Version::new(1, 1, 0));
    document.grants.push(Grant {
        from: Version::new(1, 1, 0),
        to: Version::new(1, 0, 0),
        statement: "grant".into(),
    });
    home.publish(&document, "{}").await;
    let answer = home.get(&path).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["version"], "1.0.0");
    assert_eq!(answer.json()["grant"], "grant");
    let offered = check(&home, "1.0.0", device.as_str()).await;
    assert_eq!(offered.status, 204);
    assert_eq!(offered.header("kintsugi-ticket"), None);
}

#[tokio::test]
async fn every_device_gets_what_it_would_decide_itself() {
    let home = home().await;
    let document = document();
    home.publish(&document, "{}").await;
    for number in 0..40 {
        for version in ["0.0.0", "1.0.0", "1.1.0", "2.0.0-rc.1"] {
            let device = format!("device-{number}");
            let request = Request {
                device: device.parse().unwrap(),
                platform: "linux".into(),
                arch: "x86_64".into(),
                version: version.parse().unwrap(),
            };
            let decided = match decide(&document, &request) {
                kintsugi_domain::channel::Decision::Update { version, .. } => Some(version),
                kintsugi_domain::channel::Decision::Stay { .. } => None,
            };
            let answer = check(&home, version, &device).await;
            let offered = (answer.status == 200).then(|| {
                let manifest: Manifest = serde_json::from_slice(&answer.body).unwrap();
                manifest.version
            });
            assert_eq!(offered, decided, "{device} on {version}");
        }
    }
}

#[tokio::test]
async fn a_platform_without_a_package_is_offered_nothing() {
    let home = home().await;
    home.publish(&document(), "{}").await;
    let answer = home
        .get("/v1/1/updates/stable/windows/x86_64/1.0.0?device=d")
        .await;
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn projects_and_channels_that_are_not_there_look_the_same() {
    let home = home().await;
    let unpublished = check(&home, "1.0.0", "d").await;
    unpublished.is_problem(404, "channel.unknown");
    home.publish(&document(), "{}").await;
    for path in [
        "/v1/2/updates/stable/linux/x86_64/1.0.0?device=d",
        "/v1/0/updates/stable/linux/x86_64/1.0.0?device=d",
        "/v1/till/updates/stable/linux/x86_64/1.0.0?device=d",
        "/v1/1/updates/beta/linux/x86_64/1.0.0?device=d",
        "/v1/1/updates/..%2F..%2Fstable/linux/x86_64/1.0.0?device=d",
    ] {
        let answer = home.get(path).await;
        answer.is_problem(404, "channel.unknown");
        assert_eq!(answer.body, unpublished.body, "{path}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_well_formed_is_refused() {
    let home = home().await;
    home.publish(&document(), "{}").await;
    for path in [
        "/v1/1/updates/stable/linux/x86_64/1.0.0",
        "/v1/1/updates/stable/linux/x86_64/1.0.0?device=",
        "/v1/1/updates/stable/linux/x86_64/1.0.0?device=a%2Fb",
        "/v1/1/updates/stable/linux/x86_64/1.0?device=d",
        "/v1/1/updates/stable/linux/x86_64/latest?device=d",
        "/v1/1/updates/stable/lin%20ux/x86_64/1.0.0?device=d",
        "/v1/1/updates/stable/linux/%3Cb%3E/1.0.0?device=d",
        "/v1/1/updates/stable/linux/%FF/1.0.0?device=d",
    ] {
        home.get(path).await.is_problem(400, "request.malformed");
    }
    let build = "/v1/1/updates/stable/linux/x86_64/1.1.0%2Bbuild.5?device=d";
    assert_eq!(home.get(build).await.status, 204);
}

#[tokio::test]
async fn a_document_that_is_lost_is_a_failure_of_ours_and_says_nothing_more() {
    let home = home().await;
    let mut document = document();
    home.publish(&document, "{}").await;
    document.channel = "beta".into();
    home.publish(&document, "{}").await;
    // The head now names this document; make it another channel's.
    let blob = home
        .blobs
        .keys()
        .into_iter()
        .find(|key| key.contains("beta"));
    let content = serde_json::to_vec(&crate::home::document()).unwrap();
    home.blobs.put(&blob.unwrap(), content).await.unwrap();
    let path = "/v1/1/updates/beta/linux/x86_64/1.0.0?device=d";
    let answer = home.get(path).await;
    answer.is_problem(500, "home.broken");
    assert!(!String::from_utf8_lossy(&answer.body).contains("tuf/1"));
}
