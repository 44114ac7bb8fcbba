//! Events as large as real ones: a Python service's error with deep stack, source lines, printed
//! variables, breadcrumbs, request and the list of installed modules.

use crate::corpus::{Case, corpus};
use crate::dice::{ALNUM, DIGITS, Dice, HEX, LOWER};
use crate::personal;
use serde_json::{Map, Value, json};

/// How large an event is made, bytes of JSON.
const EVENT_BYTES: usize = 48 * 1024;

const CODE: [&str; 12] = [
    "def total(self, items):",
    "    return sum(item.price * item.quantity for item in items)",
    "",
    "        response = self.session.get(url, timeout=self.timeout)",
    "        if response.status_code >= 400:",
    "            raise UpstreamError(response.status_code, response.text[:200])",
    "    for line in reader:",
    "        yield Entry(time=line[0], kind=line[1], amount_cents=int(line[4]))",
    "    # the receipt is printed before the drawer opens",
    "    with transaction.atomic():",
    "        order = Order.objects.select_for_update().get(pk=order_id)",
    "    token = tokenizer.next_token(self.buffer, self.position)",
];

const MODULES: [&str; 10] = [
    "django",
    "requests",
    "urllib3",
    "celery",
    "kombu",
    "psycopg2-binary",
    "redis",
    "sentry-sdk",
    "certifi",
    "idna",
];

/// So many events.
pub(crate) fn events(seed: u64, count: usize) -> Vec<Value> {
    let mut dice = Dice::new(seed);
    // Texts of the corpus stand in them, as many of each kind as there are in it.
    let texts: Vec<String> = corpus(seed ^ 0x5eed)
        .into_iter()
        .take(800)
        .map(|Case { text, .. }| text)
        .collect();
    (0..count).map(|_| event(&mut dice, &texts)).collect()
}

fn event(dice: &mut Dice, texts: &[String]) -> Value {
    let mut event = json!({
        "event_id": dice.chars(HEX, 32),
        "timestamp": format!("2026-11-21T09:{}:{}.{}Z", dice.between(10, 59), dice.between(10, 59), dice.chars(DIGITS, 6)),
        "platform": "python",
        "level": "error",
        "release": "shop@4.18.2.1",
        "environment": "production",
        "server_name": format!("web-{}", dice.below(40)),
        "transaction": "shop.checkout.views.pay",
        "logentry": {"formatted": sentence(dice, texts)},
        "user": {"id": dice.chars(DIGITS, 6), "email": format!("{}@example.com", dice.chars(LOWER, 8)), "ip_address": personal::ipv4(dice)},
        "request": request(dice),
        "contexts": {
            "runtime": {"name": "CPython", "version": "3.11.7", "build": "3.11.7 (main, May  9 2026, 07:35:25) [GCC 12.2.0]"},
            "os": {"name": "Linux", "version": "6.1.0-18-amd64"},
            "trace": {"trace_id": dice.chars(HEX, 32), "span_id": dice.chars(HEX, 16), "op": "http.server", "status": "internal_error"},
        },
        "tags": {"handled": "no", "mechanism": "django", "region": "eu-central-1", "worker": dice.below(64).to_string()},
        "extra": {"sys.argv": ["gunicorn", "shop.wsgi", "--workers", "8"], "attempt": 3, "cart": sentence(dice, texts)},
        "sdk": {"name": "sentry.python.django", "version": "2.75.0", "packages": [{"name": "pypi:sentry-sdk", "version": "2.75.0"}]},
        "modules": MODULES.iter().map(|name| ((*name).to_owned(), json!(format!("{}.{}.{}", dice.below(9), dice.below(30), dice.below(9))))).collect::<Map<String, Value>>(),
    });
    event["breadcrumbs"] =
        json!({"values": (0..40).map(|_| breadcrumb(dice, texts)).collect::<Vec<_>>()});
    let mut frames = Vec::new();
    let mut size = event.to_string().len() + 300;
    while size < EVENT_BYTES {
        let frame = frame(dice, texts);
        size += frame.to_string().len() + 1;
        frames.push(frame);
    }
    event["exception"] = json!({"values": [{
        "type": "UpstreamError", "module": "shop.upstream", "value": sentence(dice, texts),
        "mechanism": {"type": "django", "handled": false}, "stacktrace": {"frames": frames},
    }]});
    event
}

/// Mostly plain talk, now and then with something of the corpus.
fn sentence(dice: &mut Dice, texts: &[String]) -> String {
    if dice.chance(12) {
        return texts[dice.count(0, texts.len() - 1)].clone();
    }
    let words = dice.count(4, 14);
    dice.joined(words, " ", |dice| {
        dice.one(&[
            "order",
            "could",
            "not",
            "be",
            "placed",
            "for",
            "cart",
            "while",
            "upstream",
            "answered",
            "after",
            "31 ms",
            "with",
            "status=502",
            "retrying",
            "in",
            "queue",
            "payments",
            "user_id=8812",
            "items: 3",
            "(attempt 2)",
            "the",
        ])
        .to_owned()
    })
}

fn request(dice: &mut Dice) -> Value {
    json!({
        "method": "POST",
        "url": "https://shop.example.com/checkout/pay",
        "query_string": [["step", "3"], ["token", dice.chars(ALNUM, 20)]],
        "headers": {
            "Host": "shop.example.com",
            "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.7390.54 Safari/537.36",
            "Accept-Language": "en-GB,en;q=0.9",
            "Cookie": format!("sessionid={}; csrftoken={}", dice.chars(ALNUM, 32), dice.chars(ALNUM, 32)),
            "X-Forwarded-For": personal::ipv4(dice),
            "Content-Type": "application/json",
        },
        "data": {"card": {"number": personal::with_luhn("4", 16, dice, true), "cvv": dice.chars(DIGITS, 3)}, "note": "leave at the door"},
        "env": {"SERVER_NAME": "web", "SERVER_PORT": "8000", "REMOTE_ADDR": personal::ipv4(dice)},
    })
}

fn breadcrumb(dice: &mut Dice, texts: &[String]) -> Value {
    let at = format!(
        "2026-11-21T09:{}:{}.000Z",
        dice.between(10, 59),
        dice.between(10, 59)
    );
    match dice.below(3) {
        0 => {
            json!({"timestamp": at, "type": "http", "category": "httplib", "data": {"url": format!("http://stock.internal/api/v2/items/{}", dice.below(99_999)), "method": "GET", "status_code": 200, "reason": "OK"}})
        }
        1 => {
            json!({"timestamp": at, "type": "default", "category": "query", "message": "SELECT \"shop_order\".\"id\", \"shop_order\".\"state\" FROM \"shop_order\" WHERE \"shop_order\".\"id\" = %s LIMIT 21"})
        }
        _ => {
            json!({"timestamp": at, "type": "log", "level": "info", "category": "shop.checkout", "message": sentence(dice, texts)})
        }
    }
}

fn frame(dice: &mut Dice, texts: &[String]) -> Value {
    let module = dice.one(&[
        "shop/checkout/views",
        "shop/upstream",
        "django/core/handlers/base",
        "django/db/models/query",
        "requests/sessions",
    ]);
    let code =
        |dice: &mut Dice, count: usize| (0..count).map(|_| dice.one(&CODE)).collect::<Vec<_>>();
    let mut vars = Map::new();
    for name in [
        "self", "request", "order_id", "items", "timeout", "kwargs", "response", "line",
    ] {
        if dice.chance(70) {
            vars.insert(name.to_owned(), variable(dice, texts));
        }
    }
    json!({
        "filename": format!("{module}.py"),
        "abs_path": format!("/srv/shop/lib/python3.11/site-packages/{module}.py"),
        "function": dice.one(&["pay", "get_response", "request", "send", "_fetch_all", "total", "inner"]),
        "module": module.replace('/', "."),
        "lineno": dice.between(10, 900),
        "in_app": module.starts_with("shop"),
        "pre_context": code(dice, 5),
        "context_line": dice.one(&CODE),
        "post_context": code(dice, 5),
        "vars": vars,
    })
}

fn variable(dice: &mut Dice, texts: &[String]) -> Value {
    match dice.below(7) {
        0 => json!(format!(
            "<WSGIRequest: POST '/checkout/pay?step={}'>",
            dice.below(9)
        )),
        1 => json!(format!(
            "<shop.checkout.views.Pay object at 0x{}>",
            dice.chars(HEX, 12)
        )),
        2 => json!(dice.below(100_000).to_string()),
        3 => {
            json!({"retries": "3", "verify": "True", "stream": "False", "headers": {"Accept": "'*/*'", "X-Request-Id": format!("'{}'", dice.chars(HEX, 32))}})
        }
        4 => json!(["'12.50'", "'3'", "None", "Decimal('19.99')"]),
        5 => json!(format!(
            "Entry(time='08:34:20', kind='void', receipt='H12-{}', amount_cents={})",
            dice.chars(DIGITS, 4),
            dice.below(9999)
        )),
        _ => json!(format!("'{}'", sentence(dice, texts).replace('\'', "\\'"))),
    }
}
