//! Secrets, made up: keys of vendors, tokens, credentials, cookies, connection strings, named values.

use crate::dice::{ALNUM, BASE64, DIGITS, Dice, HEX, LOWER, TOKEN, UPPER};
use crate::made::Made;
use crate::personal::ipv4;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// Forms of keys as the vendors document them: prefix, alphabet, length after the prefix.
const VENDORS: [(&str, &str, usize); 44] = [
    ("AKIA", UPPER, 16),
    ("ASIA", UPPER, 16),
    ("AIza", TOKEN, 35),
    ("GOCSPX-", TOKEN, 28),
    ("ya29.", TOKEN, 60),
    ("ghp_", ALNUM, 36),
    ("gho_", ALNUM, 36),
    ("ghu_", ALNUM, 36),
    ("ghs_", ALNUM, 36),
    ("ghr_", ALNUM, 36),
    ("github_pat_11ABCDEFG0", ALNUM, 60),
    ("glpat-", TOKEN, 20),
    ("glptt-", HEX, 40),
    ("xoxb-123456789012-123456789012-", ALNUM, 24),
    ("xoxp-123456789012-123456789012-", HEX, 32),
    ("xapp-1-A0123456789-1234567890123-", HEX, 64),
    ("sk_live_", ALNUM, 24),
    ("sk_test_", ALNUM, 24),
    ("rk_live_", ALNUM, 24),
    ("whsec_", ALNUM, 32),
    ("npm_", ALNUM, 36),
    ("pypi-AgEIcHlwaS5vcmc", TOKEN, 80),
    ("rubygems_", HEX, 48),
    ("dckr_pat_", TOKEN, 27),
    ("sk-ant-api03-", TOKEN, 93),
    ("sk-proj-", TOKEN, 74),
    ("hf_", ALNUM, 34),
    ("key-", HEX, 32),
    ("SK", HEX, 32),
    ("dop_v1_", HEX, 64),
    ("shpat_", HEX, 32),
    ("hvs.", TOKEN, 90),
    ("dapi", HEX, 32),
    ("lin_api_", ALNUM, 40),
    ("glsa_", ALNUM, 41),
    ("glc_", ALNUM, 60),
    ("sntrys_", ALNUM, 64),
    ("NRAK-", UPPER, 27),
    ("PMAK-", HEX, 59),
    ("pul-", HEX, 40),
    ("figd_", TOKEN, 40),
    ("sq0atp-", TOKEN, 22),
    ("xkeysib-", HEX, 64),
    ("ATATT3xFfGF0", TOKEN, 172),
];

pub(crate) fn vendor_key(dice: &mut Dice) -> Made {
    let text = match dice.below(50) {
        0 => format!(
            "https://hooks.slack.com/services/⟦T{}/B{}/{}⟧",
            dice.chars(UPPER, 8),
            dice.chars(UPPER, 8),
            dice.chars(ALNUM, 24)
        ),
        1 => format!("SG.{}.{}", dice.chars(TOKEN, 22), dice.chars(TOKEN, 43)),
        2 => format!(
            "https://api.telegram.org/bot⟦{}:AA{}⟧/getMe",
            dice.chars(DIGITS, 10),
            dice.chars(TOKEN, 33)
        ),
        3 => format!("{}-us{}", dice.chars(HEX, 32), dice.between(1, 21)),
        _ => {
            let (prefix, alphabet, length) = dice.one(&VENDORS);
            // A hyphen at the end would belong to the sentence.
            format!(
                "{prefix}{}{}",
                dice.chars(alphabet, length - 1),
                dice.one(&["2", "5", "7"])
            )
        }
    };
    Made::free("vendor_key", text)
}

pub(crate) fn jwt_text(dice: &mut Dice) -> String {
    let algorithm = dice.one(&["HS256", "RS256", "ES384"]);
    let header = format!("{{\"alg\":\"{algorithm}\",\"typ\":\"JWT\"}}");
    let claims = format!(
        "{{\"sub\":\"{}\",\"exp\":{}}}",
        dice.chars(DIGITS, 8),
        dice.between(1_700_000_000, 1_900_000_000)
    );
    format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims),
        dice.chars(ALNUM, 43)
    )
}

pub(crate) fn jwt(dice: &mut Dice) -> Made {
    Made::free("jwt", jwt_text(dice))
}

pub(crate) fn bearer(dice: &mut Dice) -> Made {
    let length = dice.count(20, 60);
    let token = dice.chars(ALNUM, length) + &dice.chars(DIGITS, 2);
    let user = format!("{}:{}", dice.chars(LOWER, 6), dice.password());
    match dice.below(5) {
        0 => Made::alone(
            "bearer",
            format!("curl -H 'Authorization: Bearer ⟦{token}⟧' https://api.example.com/v1/orders"),
        ),
        1 => Made::alone(
            "bearer",
            format!(
                "401 from upstream, sent Authorization: Basic ⟦{}⟧",
                STANDARD.encode(user)
            ),
        ),
        2 => Made::field("bearer", "Authorization", &format!("Bearer {token}")),
        3 => Made::alone(
            "bearer",
            format!("request headers: {{'Authorization': 'Bearer ⟦{token}⟧', 'Accept': '*/*'}}"),
        ),
        _ => Made::free("bearer", format!("Bearer ⟦{token}⟧")),
    }
}

pub(crate) fn pem(dice: &mut Dice) -> Made {
    let label = dice.one(&[
        "RSA PRIVATE KEY",
        "PRIVATE KEY",
        "EC PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
    ]);
    let line = dice.one(&["\n", "\\n"]);
    let lines = dice.count(3, 12);
    let body = dice.joined(lines, line, |dice| dice.chars(BASE64, 64));
    let before = dice.one(&[
        "could not load key: ",
        "ValueError: bad key\n",
        "key = \"",
        "",
    ]);
    Made::alone(
        "pem",
        format!("{before}-----BEGIN {label}-----{line}⟦{body}⟧{line}-----END {label}-----{line}"),
    )
}

pub(crate) fn url_credentials(dice: &mut Dice) -> Made {
    let scheme = dice.one(&[
        "https",
        "postgres",
        "postgresql+psycopg2",
        "mysql",
        "amqp",
        "redis",
        "mongodb+srv",
        "ftp",
        "smtp",
    ]);
    let host = dice.one(&[
        "db.example.com:5432/orders",
        "cache-1:6379/0",
        "mq.internal/vhost",
        "example.com/path?x=1",
    ]);
    let user = dice.one(&["svc", "admin", "root", "app_user"]);
    let password = dice.password().replace('$', "%24");
    Made::free(
        "url_credentials",
        format!("{scheme}://{user}:⟦{password}⟧@{host}"),
    )
}

pub(crate) fn connection(dice: &mut Dice) -> Made {
    let password = dice.password();
    let key = STANDARD.encode(dice.chars(ALNUM, 64));
    let server = ["db1.internal", "sql.example.com"];
    let text = match dice.below(6) {
        0 => format!(
            "Server={};Database=shop;User Id=sa;Password=⟦{password}⟧;Encrypt=true",
            dice.one(&server)
        ),
        1 => format!(
            "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=⟦{key}⟧;EndpointSuffix=core.windows.net"
        ),
        2 => format!(
            "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=⟦{key}⟧"
        ),
        3 => format!(
            "host={} port=5432 dbname=shop user=app password=⟦{password}⟧ sslmode=require",
            dice.one(&server)
        ),
        4 => format!(
            "jdbc:mysql://{}:3306/shop?user=app&password=⟦{}⟧&useSSL=true",
            dice.one(&server),
            password.replace('$', "%24")
        ),
        _ => format!(
            "Driver={{ODBC Driver 17}};Server={};UID=app;PWD=⟦{password}⟧;",
            dice.one(&server)
        ),
    };
    Made::alone("connection_string", text)
}

pub(crate) fn cookie(dice: &mut Dice) -> Made {
    let session = dice.chars(ALNUM, 32);
    match dice.below(4) {
        0 => Made::field(
            "cookie",
            "Cookie",
            &format!("sessionid={session}; theme=dark"),
        ),
        1 => Made::alone(
            "cookie",
            format!(
                "GET / HTTP/1.1\nHost: example.com\nCookie: ⟦sid={session}; csrftoken={}⟧\nAccept: */*",
                dice.chars(ALNUM, 32)
            ),
        ),
        2 => Made::field(
            "cookie",
            "Set-Cookie",
            &format!("JSESSIONID={session}; Path=/; HttpOnly"),
        ),
        _ => Made::alone(
            "cookie",
            format!(
                "replay failed: PHPSESSID=⟦{}⟧; path=/",
                dice.chars("abcdefghijklmnopqrstuv0123456789", 26)
            ),
        ),
    }
}

/// Names of fields whose values are secret, as products write them.
const NAMES: [&str; 26] = [
    "password",
    "passwd",
    "user_password",
    "newPassword",
    "db_password",
    "secret",
    "client_secret",
    "clientSecret",
    "api_key",
    "apiKey",
    "X-Api-Key",
    "access_token",
    "accessToken",
    "refresh_token",
    "auth_token",
    "X-Auth-Token",
    "private_key",
    "aws_secret_access_key",
    "SECRET_KEY",
    "session_id",
    "csrftoken",
    "credentials",
    "passphrase",
    "otp",
    "PGPASSWORD",
    "signing_key",
];

pub(crate) fn named(dice: &mut Dice) -> Made {
    let name = dice.one(&NAMES);
    let value = match name {
        "otp" => dice.chars(DIGITS, 6),
        "aws_secret_access_key" => dice.chars(BASE64, 40),
        _ => dice.password(),
    };
    let plain = value.replace(['+', '/', '$'], "x");
    match dice.below(9) {
        0..=3 => Made::field("named_secret", name, &value),
        4 => Made::alone(
            "named_secret",
            format!(
                "{{\"user\": \"u{}\", \"{name}\": \"⟦{value}⟧\", \"remember\": true}}",
                dice.below(900)
            ),
        ),
        5 => Made::alone(
            "named_secret",
            format!(
                "login {{'{name}': '⟦{value}⟧', 'retries': {}}}",
                dice.below(9)
            ),
        ),
        6 => Made::alone(
            "named_secret",
            format!("user=u{}&{name}=⟦{plain}⟧&submit=Login", dice.below(900)),
        ),
        7 => Made::alone(
            "named_secret",
            format!(
                "Settings({name}='⟦{value}⟧', host='{}')",
                ipv4_of_docs(dice)
            ),
        ),
        _ => Made::alone(
            "named_secret",
            format!("worker exited, env {name}=⟦{plain}⟧ LANG=C.UTF-8"),
        ),
    }
}

/// An address that names nobody, so that only the secret is to be removed.
fn ipv4_of_docs(dice: &mut Dice) -> &'static str {
    // The address is drawn all the same, so that the dice fall alike whatever is written.
    let _ = ipv4(dice);
    "127.0.0.1"
}

pub(crate) fn named_number(dice: &mut Dice) -> Made {
    match dice.below(5) {
        0 => Made::field("named_number", "ssn", &dice.chars("123456789", 9)),
        1 => Made::field(
            "named_number",
            "credit_card_number",
            &dice.chars("123456789", 16),
        ),
        2 => Made::field("named_number", "bank_account", &dice.chars("123456789", 10)),
        3 => Made::field(
            "named_number",
            "phone_number",
            &format!("0{}", dice.chars("123456789", 9)),
        ),
        _ => Made::alone(
            "named_number",
            format!(
                "tax_id=⟦{}-{}⟧ rejected",
                dice.chars("123456789", 2),
                dice.chars("123456789", 7)
            ),
        ),
    }
}
