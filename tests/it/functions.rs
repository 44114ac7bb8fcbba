//! Every function program, started as Lambda starts it and given its sample triggers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code"
)]

mod lambda;
pub(crate) mod samples;

use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Envelope, Queue};
use lambda::Lambda;
use samples::Sample;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::TcpListener;
use tempfile::TempDir;

/// Which stage reads a queue; orders for the build engine are read by no function.
pub(crate) fn reader(queue: Queue) -> Option<&'static str> {
    match queue {
        Queue::Events => Some("triage"),
        Queue::Diagnoses => Some("diagnose"),
        Queue::Fixes => Some("fix"),
        Queue::Jobs => None,
        Queue::Trains => Some("schedule"),
        Queue::Bundles => Some("bundle"),
        Queue::Signing => Some("sign"),
        Queue::Rollouts | Queue::Outcomes => Some("rollout"),
        Queue::Rollbacks => Some("rollback"),
        Queue::Alerts => Some("notify"),
    }
}

#[test]
fn every_sample_message_is_a_current_envelope_for_the_stage_that_reads_its_queue() {
    let mut covered = BTreeSet::new();
    for sample in samples::all() {
        for body in sample.bodies() {
            let envelope: Envelope = serde_json::from_str(body)
                .unwrap_or_else(|error| panic!("{}/{}: {error}", sample.stage, sample.case));
            assert_eq!(
                reader(envelope.queue()),
                Some(sample.stage.as_str()),
                "{}",
                sample.case
            );
            // What is written again is what was read: no field of the sample is unknown.
            let again = serde_json::to_value(&envelope).unwrap();
            assert_eq!(
                again,
                serde_json::from_str::<Value>(body).unwrap(),
                "{}",
                sample.case
            );
            covered.insert(envelope.queue());
        }
    }
    let wanted: BTreeSet<Queue> = Queue::ALL
        .into_iter()
        .filter(|&queue| reader(queue).is_some())
        .collect();
    assert_eq!(covered, wanted);
}

/// Starts a stage over a data folder of its own. The folder lives as long as the test holds it.
async fn started(stage: &str) -> (Lambda, TempDir) {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_str().unwrap();
    (Lambda::start(stage, &[("KINTSUGI_DATA", path)]).await, data)
}

/// The identifiers that the answer to a batch reports, or a panic when it is no such answer.
#[track_caller]
fn failures(answer: &Value) -> Vec<&str> {
    let items = answer.get("batchItemFailures").and_then(Value::as_array);
    items
        .unwrap_or_else(|| panic!("not an answer to a batch: {answer}"))
        .iter()
        .map(|item| item.get("itemIdentifier").and_then(Value::as_str).unwrap())
        .collect()
}

#[track_caller]
fn assert_shape(sample: &Sample, answer: &Value) {
    let name = format!("{}: {answer}", sample.name());
    if sample.is_http() {
        let status = answer
            .get("statusCode")
            .and_then(Value::as_u64)
            .expect(&name);
        assert!((200..500).contains(&status), "{name}");
        assert!(
            answer.get("headers").is_some_and(Value::is_object),
            "{name}"
        );
        assert!(
            answer.get("isBase64Encoded").is_some_and(Value::is_boolean),
            "{name}"
        );
    } else {
        // The samples name things that an empty home does not have; a stage records that and is done.
        assert!(failures(answer).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn every_function_starts_and_answers_its_sample_triggers() {
    for sample in samples::of_functions() {
        let (mut lambda, _data) = started(&sample.stage).await;
        let answer = lambda.invoke(&sample.event).await;
        assert_shape(&sample, &answer.response(&sample.name()));
    }
}

#[tokio::test]
async fn every_function_takes_the_next_trigger_after_one_that_it_cannot_read() {
    for sample in samples::of_functions() {
        if sample.is_http() {
            continue;
        }
        let name = sample.name();
        let (mut lambda, _data) = started(&sample.stage).await;
        let error = lambda.invoke(&json!({"hello": "world"})).await.error(&name);
        let kind = error.get("errorType").and_then(Value::as_str);
        assert_eq!(kind, Some("Function.UnknownEvent"), "{name}");
        lambda.invoke(&sample.event).await.response(&name);
    }
}

#[tokio::test]
async fn an_unreadable_record_is_reported_alone_and_the_others_are_done() {
    for sample in samples::of_functions() {
        let name = sample.name();
        let mut event = sample.event.clone();
        let Some(records) = event.get_mut("Records").and_then(Value::as_array_mut) else {
            continue;
        };
        records.insert(
            0,
            json!({"messageId": "unreadable", "body": "{\"format\":"}),
        );
        let (mut lambda, _data) = started(&sample.stage).await;
        let answer = lambda.invoke(&event).await.response(&name);
        assert_eq!(failures(&answer), ["unreadable"], "{name}");
    }
}

/// A parked message, as the admin API tells of it: its project, kind and cause, by its id.
async fn parked(data: &TempDir) -> BTreeMap<String, (Value, String, String)> {
    let path = data.path().to_str().unwrap();
    let mut lambda = Lambda::start("admin", &[("KINTSUGI_DATA", path)]).await;
    let order = json!({"kintsugi": "first_token", "subject": "ada"});
    let token = lambda.invoke(&order).await.response("first_token");
    let mut request = browser("GET", "/admin/v1/parked", None);
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    request["headers"]["authorization"] = json!(bearer);
    let (status, answer) = got(&mut lambda, &request).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    let items = answer.as_array().unwrap().iter();
    let one = |item: &Value| {
        let told = (
            item["project"].clone(),
            text(item, "kind"),
            text(item, "cause"),
        );
        (text(item, "id"), told)
    };
    items.map(one).collect()
}

#[tokio::test]
async fn what_no_function_can_handle_is_parked_with_its_cause_and_keeps_nobody_from_the_others() {
    for sample in samples::of_functions() {
        let name = sample.name();
        let mut event = sample.event.clone();
        let Some(records) = event.get_mut("Records").and_then(Value::as_array_mut) else {
            continue;
        };
        // A message of another stage, and what is no message at all.
        let mut others = samples::of_functions().into_iter();
        let other = others
            .find(|other| other.stage != sample.stage && other.event.get("Records").is_some());
        let mut astray = records[0].clone();
        astray["messageId"] = json!("astray");
        astray["body"] = json!(other.unwrap().bodies()[0]);
        let envelope: Envelope = serde_json::from_str(astray["body"].as_str().unwrap()).unwrap();
        let mut garbage = records[0].clone();
        garbage["messageId"] = json!("garbage");
        garbage["body"] = json!("a secret");
        records.extend([astray, garbage]);
        let (mut lambda, data) = started(&sample.stage).await;
        let answer = lambda.invoke(&event).await.response(&name);
        assert!(failures(&answer).is_empty(), "{name}: {answer}");
        let line = lambda.logged("/_aws").await;
        assert_eq!(
            (&line["Parked"], &line["Handled"]),
            (&json!(2), &json!(1)),
            "{name}: {line}"
        );
        lambda.stop().await;

        let parked = parked(&data).await;
        let (project, kind, cause) = &parked["garbage"];
        assert_eq!(
            (project, kind.as_str()),
            (&Value::Null, "unreadable"),
            "{name}"
        );
        assert_eq!(
            cause, "not an envelope: no JSON at line 1, column 1",
            "{name}"
        );
        let (project, _, cause) = &parked[envelope.id.as_str()];
        assert_eq!(*project, json!(envelope.project), "{name}");
        assert!(
            cause.contains("does not read that queue"),
            "{name}: {cause}"
        );
    }
}

#[tokio::test]
async fn every_invocation_writes_what_it_came_to_and_only_the_first_was_cold() {
    for sample in samples::of_functions() {
        let name = sample.name();
        let (mut lambda, _data) = started(&sample.stage).await;
        // Requests that were answered share a line, by the hundred; a cold start is told at once.
        let is_request = sample.event.get("requestContext").is_some();
        for cold in [json!(1), Value::Null] {
            let invocations = if is_request && cold.is_null() { 100 } else { 1 };
            for _ in 0..invocations {
                lambda.invoke(&sample.event).await.response(&name);
            }
            let line = lambda.logged("/_aws").await;
            assert_eq!(line["Stage"], sample.stage, "{name}");
            assert_eq!(line["Home"], "local", "{name}");
            assert_eq!(line["ColdStart"], cold, "{name}");
            assert!(
                line["Handled"].as_u64() >= Some(invocations),
                "{name}: {line}"
            );
            let durations = line["Duration"].as_array().map_or(1, Vec::len);
            assert_eq!(durations as u64, invocations, "{name}: {line}");
        }
    }
}

#[tokio::test]
async fn the_trace_of_a_message_is_in_the_lines_about_it() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for sample in samples::of_functions() {
        let Some(body) = sample.bodies().first().map(|body| (*body).to_owned()) else {
            continue;
        };
        let name = sample.name();
        let mut envelope: Envelope = serde_json::from_str(&body).unwrap();
        envelope.trace = trace.parse().ok();
        let mut event = sample.event.clone();
        event["Records"][0]["body"] = json!(serde_json::to_string(&envelope).unwrap());
        let (mut lambda, _data) = started(&sample.stage).await;
        lambda.invoke(&event).await.response(&name);
        let line = lambda.logged("/span/trace_id").await;
        assert_eq!(line["span"]["trace_id"], trace, "{name}: {line}");
        assert_eq!(line["span"]["stage"], sample.stage, "{name}: {line}");
    }
}

#[tokio::test]
async fn a_missing_variable_stops_the_cold_start_and_is_named() {
    for stage in samples::functions() {
        let mut lambda = Lambda::start(&stage, &[]).await;
        let error = lambda.answer().await.init_error(&stage);
        let message = error.get("errorMessage").and_then(Value::as_str).unwrap();
        assert!(message.contains("KINTSUGI_TABLE"), "{stage}: {message}");
        assert_eq!(lambda.end().await.code(), Some(1), "{stage}");
    }
}

/// The sample request of the admin API.
fn request() -> Value {
    let mut samples = samples::all().into_iter();
    samples
        .find(|it| it.name() == "admin/issues")
        .unwrap()
        .event
}

#[tokio::test]
async fn whoever_may_invoke_the_admin_function_gets_an_admins_first_token() {
    let (mut lambda, _data) = started("admin").await;
    let order = json!({"kintsugi": "first_token", "subject": "ada"});
    let answer = lambda.invoke(&order).await.response("first_token");
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap();
    assert_eq!(
        (text("type"), text("subject"), text("role")),
        ("token", "ada", "admin")
    );
    let mut request = request();
    let headers = request.pointer_mut("/headers").unwrap();
    headers["authorization"] = json!(format!("Bearer {}", text("token")));
    for (path, wanted) in [
        ("/admin/v1/me", "\"ada\""),
        ("/admin/v1/audit", "token.issue"),
    ] {
        request["rawPath"] = json!(path);
        request["requestContext"]["http"]["path"] = json!(path);
        let answer = lambda.invoke(&request).await.response(path);
        assert_eq!(answer.get("statusCode"), Some(&json!(200)), "{answer}");
        let body = answer.get("body").and_then(Value::as_str).unwrap();
        assert!(body.contains(wanted), "{body}");
    }
    for (order, code) in [
        (json!({"kintsugi": "rule"}), "Function.UnknownEvent"),
        (json!({"kintsugi": "first_token"}), "Function.UnknownEvent"),
        (
            json!({"kintsugi": "first_token", "subject": "a", "role": "x"}),
            "Function.UnknownEvent",
        ),
        (
            json!({"kintsugi": "first_token", "subject": "a", "hours": 25}),
            "token.hours",
        ),
        (
            json!({"kintsugi": "first_token", "subject": "a|b"}),
            "token.subject",
        ),
    ] {
        let error = lambda.invoke(&order).await.error("an odd order");
        assert_eq!(error.get("errorType"), Some(&json!(code)), "{order}");
    }
}

#[tokio::test]
async fn what_strangers_send_through_the_gateway_is_never_a_direct_invocation() {
    let (mut lambda, _data) = started("admin").await;
    let order = json!({"kintsugi": "first_token", "subject": "eve"});
    let mut request = request();
    request["body"] = json!(order.to_string());
    request["headers"]["kintsugi"] = json!("first_token");
    request["queryStringParameters"] = json!({"kintsugi": "first_token", "subject": "eve"});
    request["rawQueryString"] = json!("kintsugi=first_token&subject=eve");
    let answer = lambda.invoke(&request).await.response("a request");
    assert_eq!(answer.get("statusCode"), Some(&json!(401)), "{answer}");
}

/// A request of a browser to the console, as the gateway hands it on: cookies apart from the headers.
fn browser(method: &str, path: &str, cookie: Option<&str>) -> Value {
    let mut sample = samples::all()
        .into_iter()
        .find(|it| it.name() == "admin/page")
        .unwrap();
    let event = &mut sample.event;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    event["rawPath"] = json!(path);
    event["rawQueryString"] = json!(query);
    event["requestContext"]["http"]["path"] = json!(path);
    event["requestContext"]["http"]["method"] = json!(method);
    event["cookies"] = json!(cookie.into_iter().collect::<Vec<_>>());
    sample.event
}

async fn got(lambda: &mut Lambda, request: &Value) -> (u64, Value) {
    let answer = lambda.invoke(request).await.response("a page");
    (answer["statusCode"].as_u64().unwrap(), answer)
}

/// The address of the console that `kintsugi console` prints, without the home.
async fn entry(lambda: &mut Lambda) -> String {
    let order = json!({"kintsugi": "first_token", "subject": "ada"});
    let token = lambda.invoke(&order).await.response("first_token");
    let mut request = browser("POST", "/admin/v1/console", None);
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    request["headers"]["authorization"] = json!(bearer);
    request["headers"]["content-type"] = json!("application/json");
    request["body"] = json!("{}");
    let (status, answer) = got(lambda, &request).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    format!("/console?code={}", answer["code"].as_str().unwrap())
}

#[tokio::test]
async fn the_admin_function_serves_the_console_and_its_cookie_needs_tls() {
    let (mut lambda, _data) = started("admin").await;
    for path in ["/console", "/console/", "/console/parked"] {
        let (status, answer) = got(&mut lambda, &browser("GET", path, None)).await;
        assert_eq!(status, 401, "{answer}");
        let page = answer["body"].as_str().unwrap();
        assert!(page.contains("You are not signed in."), "{page}");
    }
    let entry = entry(&mut lambda).await;
    let (status, answer) = got(&mut lambda, &browser("GET", &entry, None)).await;
    assert_eq!(status, 303, "{answer}");
    assert_eq!(answer["headers"]["location"], "/console");
    let set = answer["cookies"][0].as_str().unwrap();
    for part in ["Path=/console;", "HttpOnly", "SameSite=Strict", "; Secure"] {
        assert!(set.contains(part), "{set}");
    }
    let (status, _) = got(&mut lambda, &browser("GET", &entry, None)).await;
    assert_eq!(status, 401, "a code is good once");

    let cookie = set.split(';').next();
    for path in ["/console", "/console/"] {
        let (status, answer) = got(&mut lambda, &browser("GET", path, cookie)).await;
        assert_eq!(status, 200, "{answer}");
        let page = answer["body"].as_str().unwrap();
        assert!(page.contains("ada, admin"), "{page}");
    }
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing_behind_the_gateway() {
    let (mut lambda, _data) = started("admin").await;
    let entry = entry(&mut lambda).await;
    let (_, answer) = got(&mut lambda, &browser("GET", &entry, None)).await;
    let cookie = answer["cookies"][0].as_str().unwrap().to_owned();
    let cookie = cookie.split(';').next();
    // What a page of the visit would carry: made from the whole token.
    let token = cookie.unwrap().split_once('=').unwrap().1;
    let ours = Digest::of_parts(&[b"console form", token.as_bytes()]).to_string();
    for (form, cookie, wanted) in [
        ("", cookie, 403),
        (ours.as_str(), None, 401),
        (&ours, cookie, 303),
    ] {
        let mut request = browser("POST", "/console/redrive", cookie);
        request["headers"]["content-type"] = json!("application/x-www-form-urlencoded");
        request["body"] = json!(format!("form={form}&queue=signing&reason=again"));
        let (status, answer) = got(&mut lambda, &request).await;
        assert_eq!(status, wanted, "{answer}");
    }
}

#[tokio::test]
async fn health_and_version_are_answered_without_a_call_to_aws() {
    let aws = TcpListener::bind("127.0.0.1:0").unwrap();
    aws.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", aws.local_addr().unwrap());
    let environment = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "sample"),
        ("AWS_SECRET_ACCESS_KEY", "sample"),
        ("KINTSUGI_TABLE", "table"),
        ("KINTSUGI_BUCKET", "bucket"),
        ("KINTSUGI_QUEUE_PREFIX", "kintsugi-sample-"),
        ("KINTSUGI_KEY_PREFIX", "sample"),
    ];
    let mut lambda = Lambda::start("admin", &environment).await;
    for (path, wanted) in [("/health", "\"ok\""), ("/version", "\"kintsugi\"")] {
        let (status, answer) = got(&mut lambda, &browser("GET", path, None)).await;
        assert_eq!(status, 200, "{answer}");
        assert!(
            answer["body"].as_str().unwrap().contains(wanted),
            "{answer}"
        );
    }
    let asked = aws.accept().map(|(_, address)| address);
    assert_eq!(asked.unwrap_err().kind(), ErrorKind::WouldBlock);
}
