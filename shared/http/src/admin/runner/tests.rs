//! The routes of runners over memory ports: a job's whole way, who is let in, what is refused, links.

use crate::admin::tests::{Got, Home, call, home};
use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Envelope, Message, Queue};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::job::{BuildOrder, Job, Order, artifact_key, package_name};
use kintsugi_domain::limits::REPORT_BYTES_MAX;
use kintsugi_domain::ports::{Blobs, Link, PortError, Queues as _};
use kintsugi_testkit::memory::MemoryBlobs;
use kintsugi_testkit::product;
use kintsugi_trust::token::Role;
use semver::Version;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const BASE: &str = "tuf/1/targets/0.base";
const FULL: &[u8] = b"the full package";

async fn order(home: &Home) -> Job {
    let order = Order::Build(Box::new(BuildOrder {
        bundle: "bundle-1".parse().unwrap(),
        commit: "c0ffee".to_owned(),
        fixes: vec![],
        version: Version::new(1, 0, 1),
        at: Timestamp::UNIX_EPOCH,
        delta_bases: vec![(Version::new(1, 0, 0), BASE.to_owned())],
        platform_bases: vec![],
        since: None,
        build: 0,
        notes: String::new(),
    }));
    let config = product::config("");
    let (project, at) = (ProjectId(1), Timestamp::UNIX_EPOCH);
    let job = Job::order(project, "/src/till".to_owned(), order, config, at);
    home.put(&job).await;
    let message = Message::RunJob {
        job: job.id.clone(),
    };
    let envelope = Envelope::new("bundle-1", project, message);
    home.queues.send(&[envelope]).await.unwrap();
    job
}

/// A request below `/admin/v1/runner/` with the token of a role and, for content, a lease.
async fn ask(home: &Home, role: Role, request: (&str, &str), lease: &str, body: Vec<u8>) -> Got {
    let (method, path) = request;
    let request = Request::builder()
        .method(method)
        .uri(format!("/admin/v1/runner/{path}"))
        .header("kintsugi-lease", lease)
        .header(
            header::AUTHORIZATION,
            format!("Bearer {}", home.token(role).await),
        );
    let request = request.body(Body::from(body)).unwrap();
    call(crate::admin(&home.ports), request).await
}

async fn post(home: &Home, path: &str, body: &Value) -> Got {
    let body = body.to_string().into_bytes();
    ask(home, Role::Runner, ("POST", path), "", body).await
}

fn json_of(got: &Got) -> Value {
    serde_json::from_str(&got.text).unwrap()
}

#[track_caller]
fn refused(got: &Got, status: u16, code: &str) {
    assert_eq!(
        (got.status.as_u16(), json_of(got)["code"].as_str()),
        (status, Some(code)),
        "{}",
        got.text
    );
}

async fn lease(home: &Home) -> String {
    let leased = json_of(&post(home, "lease", &json!({})).await);
    assert_eq!(leased["seconds"], 120);
    leased["lease"].as_str().unwrap().to_owned()
}

fn report() -> Value {
    let digest = Digest::of(FULL);
    let name = package_name("till", &Version::new(1, 0, 1));
    json!({
        "type": "build", "applied": [], "set_aside": {}, "gates": [],
        "built": {"Ok": {
            "commit": "d0d0",
            "full": {"blob": artifact_key(ProjectId(1), &digest, &name), "digest": digest, "length": FULL.len()},
            "content": {"digest": digest, "length": 1},
            "deltas": [],
        }},
    })
}

fn key() -> String {
    let full = &report()["built"]["Ok"]["full"]["blob"];
    full.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_job_goes_to_a_runner_and_its_report_comes_back() {
    let home = home();
    let nothing = post(&home, "lease", &json!({})).await;
    assert_eq!(
        (nothing.status, nothing.text.as_str()),
        (StatusCode::OK, "null")
    );
    let job = order(&home).await;
    home.ports.blobs.put(BASE, b"base".to_vec()).await.unwrap();
    let lease = lease(&home).await;
    let alive = post(&home, "heartbeat", &json!({"lease": lease})).await;
    assert_eq!(alive.text, "{\"seconds\":120}");
    let path = format!("blobs/{BASE}");
    let base = ask(&home, Role::Runner, ("GET", &path), &lease, vec![]).await;
    assert_eq!((base.status, base.text.as_str()), (StatusCode::OK, "base"));
    let asked = json!({"lease": lease, "key": key(), "length": FULL.len()});
    assert_eq!(post(&home, "uploads", &asked).await.text, "null");
    let path = format!("blobs/{}", key());
    let put = ask(&home, Role::Runner, ("PUT", &path), &lease, FULL.to_vec()).await;
    assert_eq!(put.status, StatusCode::NO_CONTENT, "{}", put.text);
    let body = json!({"lease": lease, "report": report()});
    assert_eq!(
        post(&home, "report", &body).await.text,
        "{\"accepted\":true}"
    );
    assert_eq!(
        post(&home, "report", &body).await.text,
        "{\"accepted\":false}"
    );
    let told = home.waiting(Queue::Bundles).await;
    assert_eq!(told, [Message::BuildDone { job: job.id }]);
}

#[tokio::test]
async fn a_job_that_is_given_back_goes_out_again() {
    let home = home();
    order(&home).await;
    let body = json!({"lease": lease(&home).await, "reason": "stopped", "may_pass": true});
    let given = post(&home, "give-back", &body).await;
    assert_eq!(given.text, "{\"again\":true}");
    home.clock.advance(Duration::from_secs(2));
    let body = json!({"lease": lease(&home).await, "reason": "no git here", "may_pass": false});
    let given = post(&home, "give-back", &body).await;
    assert_eq!(given.text, "{\"again\":false}");
    assert_eq!(home.queues.parked(Queue::Jobs).await.unwrap().len(), 1);
}

#[tokio::test]
async fn people_have_no_part_in_it_and_a_runner_none_in_theirs() {
    let home = home();
    order(&home).await;
    for role in [Role::Viewer, Role::Triager, Role::Releaser, Role::Admin] {
        for path in ["lease", "heartbeat", "report", "give-back", "uploads"] {
            let body = match path {
                "lease" => json!({}),
                "heartbeat" => json!({"lease": "x"}),
                "report" => json!({"lease": "x", "report": report()}),
                "give-back" => json!({"lease": "x", "reason": "", "may_pass": true}),
                _ => json!({"lease": "x", "key": "a", "length": 1}),
            };
            let body = body.to_string().into_bytes();
            let got = ask(&home, role, ("POST", path), "", body).await;
            refused(&got, 403, "token.role");
        }
        for method in ["GET", "PUT"] {
            let got = ask(&home, role, (method, "blobs/a"), "x", vec![]).await;
            refused(&got, 403, "token.role");
        }
    }
    for path in ["projects", "parked", "stats", "audit"] {
        let request = Request::get(format!("/admin/v1/{path}")).header(
            header::AUTHORIZATION,
            format!("Bearer {}", home.token(Role::Runner).await),
        );
        let request = request.body(Body::empty()).unwrap();
        let got = call(crate::admin(&home.ports), request).await;
        refused(&got, 403, "token.role");
    }
}

#[tokio::test]
async fn what_is_not_of_the_job_or_too_long_is_refused() {
    let home = home();
    order(&home).await;
    let lease = lease(&home).await;
    let get = async |path: &str, lease: &str| {
        ask(&home, Role::Runner, ("GET", path), lease, vec![]).await
    };
    refused(
        &get("blobs/events/1/a", &lease).await,
        403,
        "blob.not_of_job",
    );
    refused(
        &get("blobs/a/..%2f..%2fb", &lease).await,
        403,
        "blob.not_of_job",
    );
    refused(
        &get(&format!("blobs/{BASE}"), &lease).await,
        404,
        "blob.unknown",
    );
    refused(
        &get(&format!("blobs/{BASE}"), "").await,
        403,
        "lease.malformed",
    );
    let path = format!("blobs/{}", key());
    let put = ask(&home, Role::Runner, ("PUT", &path), &lease, b"cut".to_vec()).await;
    refused(&put, 422, "blob.digest");
    let body = json!({"lease": lease, "report": report()});
    refused(&post(&home, "report", &body).await, 409, "artifact.missing");
    let long = vec![b' '; REPORT_BYTES_MAX + 1024 * 1024];
    let got = ask(&home, Role::Runner, ("POST", "report"), "", long).await;
    refused(&got, 413, "body.unreadable");
}

/// Blobs that can be reached past the home, as those in S3.
struct Linked(MemoryBlobs);

#[async_trait]
impl Blobs for Linked {
    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), PortError> {
        self.0.put(key, content).await
    }

    async fn get(&self, key: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, PortError> {
        self.0.get(key, bytes_max).await
    }

    async fn length(&self, key: &str) -> Result<Option<u64>, PortError> {
        self.0.length(key).await
    }

    async fn digest(&self, key: &str) -> Result<Option<(Digest, u64)>, PortError> {
        self.0.digest(key).await
    }

    async fn download_link(&self, key: &str, _: Duration) -> Result<Option<Link>, PortError> {
        let url = format!("https://bucket.example.com/{key}?signed");
        let headers = vec![];
        Ok(Some(Link { url, headers }))
    }

    async fn upload_link(
        &self,
        key: &str,
        (digest, length): (Digest, u64),
        _: Duration,
    ) -> Result<Option<Link>, PortError> {
        let url = format!("https://bucket.example.com/{key}?{length}");
        let headers = vec![("x-digest".to_owned(), digest.to_string())];
        Ok(Some(Link { url, headers }))
    }
}

#[tokio::test]
async fn where_there_are_links_content_goes_past_the_home() {
    let mut home = home();
    home.ports.blobs = Arc::new(Linked(MemoryBlobs::new()));
    order(&home).await;
    let lease = lease(&home).await;
    let path = format!("blobs/{BASE}");
    let got = ask(&home, Role::Runner, ("GET", &path), &lease, vec![]).await;
    assert_eq!(got.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(
        got.header(header::LOCATION),
        format!("https://bucket.example.com/{BASE}?signed")
    );
    assert_eq!(got.header(header::CACHE_CONTROL), "no-store");
    let asked = json!({"lease": lease, "key": key(), "length": 16});
    let link: Link = serde_json::from_str(&post(&home, "uploads", &asked).await.text).unwrap();
    let headers = [("x-digest".to_owned(), Digest::of(FULL).to_string())];
    assert_eq!(link.url, format!("https://bucket.example.com/{}?16", key()));
    assert_eq!(link.headers, headers);
}
