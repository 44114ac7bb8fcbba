//! Flags by OFREP.

use crate::home::{Answer, Home, KEY, PROJECT, home};
use kintsugi_domain::cohort::Share;
use kintsugi_domain::flag::Flag;
use kintsugi_domain::ports::{Commit, Store as _};
use serde_json::{Value, json};

async fn home_with_flags() -> Home {
    let home = home().await;
    let flag = |key: &str, enabled, percent| Flag {
        project: PROJECT,
        key: key.into(),
        enabled,
        share: Share::from_percent(percent),
    };
    let commit = Commit::new()
        .create(&flag("for-all", true, 100))
        .create(&flag("for-half", true, 50))
        .create(&flag("for-nobody", true, 0))
        .create(&flag("off", false, 100));
    home.store.commit(commit).await.unwrap();
    home
}

fn bearer() -> String {
    format!("Bearer 1.{KEY}")
}

async fn evaluate(home: &Home, path: &str, context: Value) -> Answer {
    let path = format!("/ofrep/v1/evaluate/flags{path}");
    let body = json!({ "context": context }).to_string();
    home.post(&path, &[("authorization", &bearer())], body)
        .await
}

#[tokio::test]
async fn a_flag_has_a_value_a_variant_and_a_reason() {
    let home = home_with_flags().await;
    for (key, value, reason) in [
        ("for-all", true, "STATIC"),
        ("for-nobody", false, "STATIC"),
        ("off", false, "DISABLED"),
    ] {
        let answer = evaluate(&home, &format!("/{key}"), json!({})).await;
        assert_eq!(answer.status, 200);
        let variant = if value { "on" } else { "off" };
        let expected = json!({"key": key, "value": value, "variant": variant, "reason": reason, "metadata": {}});
        assert_eq!(answer.json(), expected);
    }
}

#[tokio::test]
async fn a_share_splits_users_the_same_way_each_time() {
    let home = home_with_flags().await;
    let mut on = 0;
    for number in 0..200 {
        let context = json!({"targetingKey": format!("user-{number}@example.org")});
        let first = evaluate(&home, "/for-half", context.clone()).await.json();
        assert_eq!(first["reason"], "SPLIT");
        assert_eq!(evaluate(&home, "/for-half", context).await.json(), first);
        on += usize::from(first["value"] == true);
    }
    assert!((70..=130).contains(&on), "{on}");
}

#[tokio::test]
async fn what_cannot_be_evaluated_says_so_in_the_protocols_words() {
    let home = home_with_flags().await;
    for (path, context, status, code) in [
        ("/no-such-flag", json!({}), 404, "FLAG_NOT_FOUND"),
        ("/..%2Fproject", json!({}), 404, "FLAG_NOT_FOUND"),
        ("/for-half", json!({}), 400, "TARGETING_KEY_MISSING"),
        (
            "/for-half",
            json!({"targetingKey": ""}),
            400,
            "TARGETING_KEY_MISSING",
        ),
        (
            "/for-half",
            json!({"targetingKey": 5}),
            400,
            "INVALID_CONTEXT",
        ),
        ("/for-half", json!("user"), 400, "INVALID_CONTEXT"),
    ] {
        let answer = evaluate(&home, path, context).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.json()["errorCode"], code);
        assert!(answer.json()["key"].is_string());
    }
    let headers = [("authorization", &*bearer())];
    let answer = home
        .post("/ofrep/v1/evaluate/flags/for-all", &headers, "{")
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["errorCode"], "PARSE_ERROR");
    assert_eq!(answer.json()["key"], "for-all");
    let large = vec![b' '; 64 * 1024 + 1];
    let answer = home
        .post("/ofrep/v1/evaluate/flags/for-all", &headers, large)
        .await;
    answer.is_problem(413, "context.too_large");
}

#[tokio::test]
async fn all_flags_come_at_once_and_only_when_they_changed() {
    let home = home_with_flags().await;
    let answer = evaluate(&home, "", json!({})).await;
    assert_eq!(answer.status, 200);
    let flags = answer.json()["flags"].clone();
    let keys: Vec<_> = flags
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["key"])
        .collect();
    assert_eq!(keys, ["for-all", "for-half", "for-nobody", "off"]);
    assert_eq!(flags[1]["errorCode"], "TARGETING_KEY_MISSING");
    assert_eq!(flags[1].get("value"), None);

    let tag = answer.header("etag").unwrap().to_owned();
    let ask = async |tag: &str| {
        let headers = [("authorization", &*bearer()), ("if-none-match", tag)];
        let body = json!({"context": {}}).to_string();
        home.post("/ofrep/v1/evaluate/flags", &headers, body).await
    };
    let again = ask(&tag).await;
    assert_eq!(again.status, 304);
    assert!(again.body.is_empty());
    let mut flag = kintsugi_app::records::get::<Flag>(&home.store, PROJECT, "off")
        .await
        .unwrap()
        .unwrap();
    flag.value.enabled = true;
    home.store
        .commit(Commit::new().update(&flag))
        .await
        .unwrap();
    let changed = ask(&tag).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), Some(&*tag));
}

#[tokio::test]
async fn the_project_is_shown_by_one_of_its_keys() {
    let home = home_with_flags().await;
    let path = "/ofrep/v1/evaluate/flags/for-all";
    let api_key = format!("1.{KEY}");
    let answer = home.post(path, &[("x-api-key", &api_key)], "{}").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    for headers in [
        vec![],
        vec![("authorization", "Basic abc")],
        vec![("authorization", "Bearer")],
        vec![("x-api-key", KEY)],
        vec![("x-api-key", "0.abc")],
        vec![("x-api-key", "1.<script>")],
    ] {
        let answer = home.post(path, &headers, "{}").await;
        answer.is_problem(401, "credential.missing");
        assert!(answer.header("www-authenticate").is_some());
    }
    for value in ["1.abc".to_owned(), format!("2.{KEY}")] {
        let answer = home.post(path, &[("x-api-key", &value)], "{}").await;
        answer.is_problem(403, "credential.wrong");
    }
}
