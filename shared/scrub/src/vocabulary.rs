//! The words of names that promise a secret, and of those that only sound so.
//!
//! Not here: how a name is split and read ([`crate::keys`]).

use crate::text::Rule;

/// Last words of names that are about a secret and do not hold one.
pub(crate) const ABOUT: [&str; 108] = [
    "count",
    "counts",
    "len",
    "length",
    "size",
    "type",
    "types",
    "kind",
    "limit",
    "limits",
    "index",
    "idx",
    "max",
    "min",
    "total",
    "used",
    "usage",
    "budget",
    "position",
    "pos",
    "offset",
    "line",
    "column",
    "name",
    "names",
    "class",
    "status",
    "state",
    "enabled",
    "disabled",
    "required",
    "valid",
    "expired",
    "expires",
    "expiry",
    "expiration",
    "ttl",
    "age",
    "timeout",
    "at",
    "time",
    "timestamp",
    "start",
    "started",
    "end",
    "duration",
    "date",
    "version",
    "algorithm",
    "alg",
    "method",
    "mode",
    "scheme",
    "provider",
    "backend",
    "policy",
    "strategy",
    "strength",
    "field",
    "label",
    "prompt",
    "error",
    "errors",
    "attempts",
    "retries",
    "failures",
    "factory",
    "manager",
    "handler",
    "service",
    "module",
    "middleware",
    "file",
    "dir",
    "flow",
    "rate",
    "scope",
    "scopes",
    "role",
    "level",
    "format",
    "parser",
    "stream",
    "set",
    "requests",
    "seconds",
    "bits",
    "exists",
    "model",
    // Names of classes, as they stand before the message of an exception.
    "exception",
    "exceptions",
    "warning",
    "failure",
    "failed",
    "mismatch",
    "validator",
    "validators",
    "repository",
    "controller",
    "hasher",
    "encoder",
    "decoder",
    "helper",
    "filter",
    "interceptor",
    "resolver",
    "generator",
    "builder",
];

/// Last words of names of two words that say how something everyday is done: `tokenUrl`, `session_driver`.
pub(crate) const SETTINGS: [&str; 15] = [
    "url", "uri", "endpoint", "path", "domain", "driver", "lifetime", "engine", "secure",
    "samesite", "guard", "host", "port", "issuer", "audience",
];

/// First words of names of yes, no and how many.
pub(crate) const ASKING: [&str; 18] = [
    "is", "has", "use", "num", "max", "min", "total", "count", "n", "needs", "requires", "allow",
    "enable", "disable", "supports", "require", "should", "can",
];

/// Words before `token` that make it a parser's.
pub(crate) const PARSING: [&str; 20] = [
    "unexpected",
    "expected",
    "invalid",
    "unknown",
    "illegal",
    "next",
    "current",
    "cur",
    "prev",
    "previous",
    "last",
    "lookahead",
    "peek",
    "eof",
    "parse",
    "syntax",
    "bad",
    "found",
    "got",
    "lex",
];

/// Words that are about secrets, and everyday words as well.
pub(crate) fn is_everyday(word: &str) -> bool {
    matches!(
        word,
        "auth"
            | "oauth"
            | "authorization"
            | "authorisation"
            | "token"
            | "cookie"
            | "cookies"
            | "session"
            | "credential"
            | "credentials"
            | "creds"
            | "bearer"
            | "jwt"
    )
}

/// What a name of one word promises.
pub(crate) fn word_rule(word: &str) -> Option<Rule> {
    if is_everyday(word)
        || ["password", "passwd", "passwort", "passphrase"]
            .iter()
            .any(|stem| word.contains(stem))
        || word.ends_with("secret")
    {
        return Some(Rule::NamedSecret);
    }
    match word {
        "pwd"
        | "passcode"
        | "secrets"
        | "mysqlpwd"
        | "apikey"
        | "privatekey"
        | "secretkey"
        | "accesskey"
        | "accountkey"
        | "authkey"
        | "encryptionkey"
        | "signingkey"
        | "sharedkey"
        | "otp"
        | "totp"
        | "cvv"
        | "cvc"
        | "pincode"
        | "connectionstring"
        | "sessionid"
        | "sessid"
        | "sessionkey"
        | "sessiontoken"
        | "phpsessid"
        | "jsessionid"
        | "csrf"
        | "xsrf"
        | "csrftoken"
        | "xsrftoken"
        | "csrfmiddlewaretoken"
        | "authtoken"
        | "accesstoken"
        | "refreshtoken"
        | "idtoken"
        | "apitoken"
        | "usertoken"
        | "devicetoken"
        | "bearertoken"
        | "oauthtoken"
        | "privatetoken"
        | "dbpass"
        | "userpass"
        | "rootpass"
        | "mysqlpass"
        | "smtppass"
        | "setcookie" => Some(Rule::NamedSecret),
        "ssn" | "ssns" | "socialsecurity" => Some(Rule::NamedSsn),
        "creditcard" | "cardnumber" | "ccnumber" | "ccnum" | "debitcard" => Some(Rule::NamedCard),
        "bankaccount" | "accountnumber" | "acctnumber" | "routingnumber" | "sortcode" | "iban" => {
            Some(Rule::NamedBank)
        }
        "taxid" | "taxnumber" | "itin" | "taxpayerid" => Some(Rule::NamedTax),
        "phone" | "phones" | "telephone" | "mobile" | "cellphone" | "phonenumber" | "tel"
        | "fax" => Some(Rule::NamedPhone),
        _ => None,
    }
}

/// What two words of a name, one behind the other, promise.
pub(crate) fn pair_rule(first: &str, second: &str) -> Option<Rule> {
    match (first, second) {
        (
            "api" | "private" | "secret" | "access" | "account" | "encryption" | "signing" | "ssh"
            | "master" | "shared" | "service" | "storage" | "license" | "licence" | "auth"
            | "session" | "sas" | "subscription" | "crypto" | "hmac" | "aes" | "rsa" | "gpg"
            | "pgp",
            "key" | "keys",
        )
        | ("pass", "word" | "phrase")
        | (
            "db" | "database" | "user" | "admin" | "root" | "redis" | "mysql" | "pg" | "postgres"
            | "sql" | "mongo" | "rabbitmq" | "mq" | "amqp" | "smtp" | "imap" | "mail" | "email"
            | "ftp" | "sftp" | "ssh" | "sudo" | "http" | "proxy" | "ldap" | "login" | "auth"
            | "api" | "my" | "new" | "old",
            "pass",
        )
        | ("recovery" | "backup" | "verification" | "factor" | "mfa", "code" | "codes")
        | ("seed" | "recovery", "phrase")
        // Who has an address with a signature has what it leads to.
        | ("amz" | "goog", "signature")
        | ("pin", "code")
        | ("security", "code" | "answer")
        | ("session", "id")
        | ("connection", "string")
        | (
            "auth" | "access" | "api" | "refresh" | "bearer" | "session" | "device" | "secret",
            "tokens" | "token",
        )
        | ("passport", "number" | "no")
        | ("driver" | "drivers" | "driving", "license" | "licence") => Some(Rule::NamedSecret),
        ("social", "security" | "insurance") | ("national", "insurance") => Some(Rule::NamedSsn),
        ("credit" | "debit", "card") | ("card" | "cc", "number" | "no" | "num" | "nr") => {
            Some(Rule::NamedCard)
        }
        (
            "phone" | "telephone" | "mobile" | "cell" | "fax",
            "number" | "numbers" | "no" | "num" | "phone",
        ) => Some(Rule::NamedPhone),
        ("bank", "account" | "acct")
        | ("account" | "acct" | "routing", "number" | "no" | "num")
        | ("sort", "code") => Some(Rule::NamedBank),
        ("tax", "id" | "number" | "no" | "identifier") | ("taxpayer" | "vat", "id" | "number") => {
            Some(Rule::NamedTax)
        }
        _ => None,
    }
}
