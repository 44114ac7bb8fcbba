//! One batch on its way to the home.
//!
//! **Only the home's own words end a batch**: an answer that is not 200 with the batch's id, or a problem with a code of the home, may be
//! a portal of a hotel or a proxy, and the batch is kept.

use super::Options;
use super::metrics::Contents;
use super::pause::asked;
use serde_json::Value;
use std::io::Read as _;
use std::time::Duration;
use ureq::Agent;
use ureq::http::header;

const CONNECT: Duration = Duration::from_secs(10);
const ALL: Duration = Duration::from_mins(1);
/// Longest answer that is read, bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// How long the quota is waited for where the home does not say.
const LIMITED: Duration = Duration::from_mins(1);
/// Codes of the home that no later try will change.
const FOR_GOOD: [&str; 8] = [
    "WRONG_KEY",
    "TOO_LARGE",
    "MALFORMED",
    "UNKNOWN_KEY",
    "STALE",
    "AHEAD",
    "NOT_OPENED",
    "DAMAGED",
];

/// How one try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    /// The home has it, now or from an earlier try, but for what it says that there was no quota for.
    Taken(Contents),
    /// There is no quota for any of it; after so long there is some again.
    Limited(Duration),
    /// The home will never take it.
    Refused,
    /// It did not arrive as it was sealed.
    Damaged,
    /// It may be taken later; after so long, where the home said.
    Later(Option<Duration>),
}

pub(super) struct Sender {
    agent: Agent,
    url: String,
    authorization: String,
}

impl Sender {
    pub(super) fn new(options: &Options) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(ALL))
            .user_agent(concat!("kintsugi-reporter/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.new_agent(),
            url: format!("{}/v1/{}/batches", options.home, options.project),
            authorization: format!("Bearer {}", options.key),
        }
    }

    pub(super) fn send(&self, id: &str, body: &[u8]) -> Sent {
        let request = self
            .agent
            .post(&self.url)
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/vnd.kintsugi.batch");
        let Ok(response) = request.send(body) else {
            return Sent::Later(None);
        };
        let status = response.status().as_u16();
        let after = response.headers().get(header::RETRY_AFTER);
        let after = asked(after.and_then(|value| value.to_str().ok()));
        let mut answer = Vec::new();
        let read = response
            .into_body()
            .into_reader()
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut answer);
        let answer: Value = match read {
            Ok(_) => serde_json::from_slice(&answer).unwrap_or_default(),
            Err(_) => Value::Null,
        };
        judge(status, &answer, id, after)
    }
}

fn judge(status: u16, answer: &Value, id: &str, after: Option<Duration>) -> Sent {
    let member = |name: &str| answer.get(name).and_then(Value::as_str);
    match (status, member("code")) {
        (200, _) if member("batch") == Some(id) => Sent::Taken(refused(answer)),
        // What was refused of it was told to an answer that was lost.
        (409, Some("REPLAYED")) => Sent::Taken(Contents::default()),
        (429, Some("RATE_LIMITED")) => Sent::Limited(after.unwrap_or(LIMITED)),
        (400, Some("INVALID_CHECKSUM")) => Sent::Damaged,
        (400..=499, Some(code)) if FOR_GOOD.contains(&code) => Sent::Refused,
        _ => Sent::Later(after),
    }
}

/// What there was no quota for, by the home's names for its categories.
fn refused(answer: &Value) -> Contents {
    let refused = answer.get("refused");
    let of = |category: &str| refused.and_then(|refused| refused.get(category)?.as_u64());
    Contents {
        reports: of("error").unwrap_or(0),
        sessions: of("session").unwrap_or(0),
        metrics: of("metric_bucket").unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_homes_own_words_end_a_batch() {
        let minute = Some(Duration::from_mins(1));
        let taken = Sent::Taken(Contents::default());
        for (status, answer, expected) in [
            (200, json!({"batch": "b1", "events": 1}), taken.clone()),
            (
                200,
                json!({"batch": "b1", "refused": {"error": 2, "metric_bucket": 1, "default": 9, "session": "x"}}),
                Sent::Taken(Contents {
                    reports: 2,
                    sessions: 0,
                    metrics: 1,
                }),
            ),
            (409, json!({"code": "REPLAYED"}), taken),
            (
                429,
                json!({"code": "RATE_LIMITED"}),
                Sent::Limited(Duration::from_mins(1)),
            ),
            (422, json!({"code": "UNKNOWN_KEY"}), Sent::Refused),
            (403, json!({"code": "WRONG_KEY"}), Sent::Refused),
            (400, json!({"code": "INVALID_CHECKSUM"}), Sent::Damaged),
            (200, json!({"batch": "b2"}), Sent::Later(minute)),
            (200, json!("<html>sign in</html>"), Sent::Later(minute)),
            (302, Value::Null, Sent::Later(minute)),
            (404, json!({"code": "route.unknown"}), Sent::Later(minute)),
            (429, json!({"code": "quota"}), Sent::Later(minute)),
            (
                503,
                json!({"code": "home.unavailable"}),
                Sent::Later(minute),
            ),
            (500, json!({"code": "STALE"}), Sent::Later(minute)),
        ] {
            assert_eq!(
                judge(status, &answer, "b1", minute),
                expected,
                "{status} {answer}"
            );
        }
    }
}
