//! Who visits: the cookie, how it is set, and the value that ties forms to it.

use super::{Home, Trouble, frame};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use kintsugi_app::admin::{AuthError, authenticate, redeem_entry};
use kintsugi_domain::digest::Digest;
use kintsugi_trust::token::{Role, Token, TokenError};
use maud::html;
use subtle::ConstantTimeEq as _;

/// The cookie that holds the token.
const COOKIE: &str = "kintsugi_console";

/// How browsers reach the home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP on the machine itself: the cookie cannot ask for TLS.
    Loopback,
    /// HTTPS: the cookie is never sent without it.
    Tls,
}

/// Somebody with a token in force.
#[derive(Debug)]
pub(super) struct Visitor {
    /// The claims of the token.
    pub(super) token: Token,
    /// What forms must carry. Made from the whole token, which nobody but the visitor's browser and we
    /// have; its id alone would not do, since the audit log shows it.
    pub(super) form: String,
}

impl Visitor {
    /// Whether the visitor's role allows what needs `role`.
    pub(super) fn may(&self, role: Role) -> bool {
        self.token.role >= role
    }

    /// Refuses a form that does not come from a page of this visitor.
    pub(super) fn check(&self, given: &str) -> Result<(), Trouble> {
        if bool::from(given.as_bytes().ct_eq(self.form.as_bytes())) {
            return Ok(());
        }
        let text = "The form did not come from a page of this visit. Go back, reload the page and \
                    try again.";
        Err(Trouble::new(StatusCode::FORBIDDEN, "Not done", text))
    }
}

/// There is no visitor.
#[derive(Debug)]
pub(super) enum Stranger {
    /// No token, or one that is not taken, with the reason.
    Unknown(String),
    /// It could not be checked.
    Trouble(Trouble),
}

impl IntoResponse for Stranger {
    fn into_response(self) -> Response {
        let why = match self {
            Self::Unknown(why) => why,
            Self::Trouble(trouble) => return trouble.into_response(),
        };
        let page = frame::bare(
            "Sign in",
            &html! {
                p { (why) }
                p {
                    "Open the console address that " code { "kintsugi up" } " prints when it starts, or that "
                    code { "kintsugi console" } " prints for who is logged in. Each is good once, for a quarter of "
                    "an hour."
                }
            },
        );
        (StatusCode::UNAUTHORIZED, Html(page.into_string())).into_response()
    }
}

impl FromRequestParts<Home> for Visitor {
    type Rejection = Stranger;

    async fn from_request_parts(parts: &mut Parts, home: &Home) -> Result<Self, Stranger> {
        match cookie(&parts.headers) {
            Some(text) => visitor(home, text).await,
            None => Err(Stranger::Unknown("You are not signed in.".to_owned())),
        }
    }
}

async fn visitor(home: &Home, text: &str) -> Result<Visitor, Stranger> {
    match authenticate(home.admin.ports(), text).await {
        Ok(token) => Ok(Visitor {
            token,
            form: Digest::of_parts(&[b"console form", text.as_bytes()]).to_string(),
        }),
        Err(error) => Err(stranger(error)),
    }
}

fn stranger(error: AuthError) -> Stranger {
    match error {
        AuthError::Token(TokenError::Revoked) => {
            Stranger::Unknown("That was used before, or taken back.".to_owned())
        }
        AuthError::Token(error) => Stranger::Unknown(format!("That was not accepted: {error}.")),
        AuthError::Port(error) => Stranger::Trouble(error.into()),
    }
}

/// Lets somebody in who brings a code that nobody used yet: a token of the visit goes into the cookie.
pub(super) async fn enter(home: &Home, code: &str) -> Result<Response, Stranger> {
    let text = redeem_entry(home.admin.ports(), code)
        .await
        .map_err(stranger)?;
    let visitor = visitor(home, &text).await?;
    let now = home.admin.ports().now().as_second();
    let seconds = visitor.token.exp.saturating_sub(now).max(0);
    let secure = match home.transport {
        Transport::Loopback => "",
        Transport::Tls => "; Secure",
    };
    let cookie = format!(
        "{COOKIE}={text}; Path=/console; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}"
    );
    let mut response = Redirect::to("/console").into_response();
    // A token is base64url and dots: it fits a header.
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(response)
}

/// The token in the request's cookies.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE);
    let texts = all.iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    })
}
