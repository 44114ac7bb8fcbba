//! Compact JWS with ES384 (RFC 7515, RFC 7518 §3.4), and nothing else.
//!
//! **Invariants: the algorithm is `ES384`, never what the token says; the `typ` must be the one that
//! is asked for, so one kind of token can never stand for another (RFC 8725 §3.11); keys come from the
//! caller, never from the token.**
//!
//! Signing happens elsewhere: [`signing_input`] gives what to sign, [`assemble`] takes the signature.

use crate::json;
use crate::key::{KeyError, PublicKey, raw_signature};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The one algorithm.
pub const ALGORITHM: &str = "ES384";
/// Longest token that is read, bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Longer than [`TOKEN_BYTES_MAX`].
    #[error("token longer than {TOKEN_BYTES_MAX} bytes")]
    TooLarge,
    /// Not three parts of unpadded base64url, or a header that is no header.
    #[error("not a compact JWS: {why}")]
    Malformed {
        /// What is wrong.
        why: String,
    },
    /// Another algorithm, or none.
    #[error("algorithm {found:?} is not accepted, only {ALGORITHM}")]
    Algorithm {
        /// What the token says.
        found: String,
    },
    /// Another kind of token.
    #[error("a token of type {found:?} where {expected:?} is needed")]
    Type {
        /// What is needed.
        expected: String,
        /// What the token says.
        found: String,
    },
    /// An extension that a reader must understand, and we do not.
    #[error("the token has a `crit` header")]
    Critical,
    /// Signed with a key that is not trusted for this.
    #[error("key {kid:?} is not trusted for this")]
    UnknownKey {
        /// The key id in the token.
        kid: String,
    },
    /// The signature does not fit.
    #[error("bad signature")]
    Signature(#[source] KeyError),
    /// The signature is right, but the content is not what this type of token holds.
    #[error("content does not fit its type: {why}")]
    Claims {
        /// What is wrong.
        why: String,
    },
}

impl JwsError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "jws.too_large",
            Self::Malformed { .. } => "jws.malformed",
            Self::Algorithm { .. } => "jws.algorithm",
            Self::Type { .. } => "jws.type",
            Self::Critical => "jws.critical",
            Self::UnknownKey { .. } => "jws.unknown_key",
            Self::Signature(_) => "jws.signature",
            Self::Claims { .. } => "jws.claims",
        }
    }
}

/// What to sign for these claims: `base64url(header).base64url(claims)`, with `kid` the id of the key
/// that will sign and `typ` the kind of token.
pub fn signing_input<T: Serialize>(kid: &str, typ: &str, claims: &T) -> Result<String, JwsError> {
    let header = json!({"alg": ALGORITHM, "kid": kid, "typ": typ});
    let claims = serde_json::to_string(claims).map_err(|error| JwsError::Claims {
        why: error.to_string(),
    })?;
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    Ok(format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims)))
}

/// The token of a signing input and its signature in DER, as the `Signer` port gives it.
pub fn assemble(input: &str, der: &[u8]) -> Result<String, JwsError> {
    let raw = raw_signature(der).map_err(JwsError::Signature)?;
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(raw)))
}

/// The claims of a token whose signature was checked. `keys` gives the trusted key of an id, or none.
pub fn verify<T: DeserializeOwned>(
    token: &str,
    typ: &str,
    keys: impl Fn(&str) -> Option<PublicKey>,
) -> Result<T, JwsError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(JwsError::TooLarge);
    }
    let malformed = |why: &str| JwsError::Malformed { why: why.into() };
    let (input, signature) = token
        .rsplit_once('.')
        .ok_or_else(|| malformed("not three parts"))?;
    let (header, claims) = input
        .split_once('.')
        .filter(|(_, claims)| !claims.contains('.'))
        .ok_or_else(|| malformed("not three parts"))?;
    let kid = check_header(&read(header)?, typ)?;
    let key = keys(&kid).ok_or(JwsError::UnknownKey { kid })?;
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| malformed("the signature is not unpadded base64url"))?;
    key.verify_raw(input.as_bytes(), &signature)
        .map_err(JwsError::Signature)?;
    serde_json::from_value(read(claims)?).map_err(|error| JwsError::Claims {
        why: error.to_string(),
    })
}

/// The key id that a token names, before anything was checked: good for nothing but to look the key up.
pub fn key_id(token: &str) -> Result<String, JwsError> {
    let header = unchecked_header(token)?;
    let kid = header.get("kid").and_then(Value::as_str);
    kid.map(str::to_owned).ok_or_else(|| JwsError::Malformed {
        why: "no key id".into(),
    })
}

/// The kind of token that a token says it is (`typ`), before anything was checked.
pub fn kind(token: &str) -> Result<Option<String>, JwsError> {
    let header = unchecked_header(token)?;
    Ok(header.get("typ").and_then(Value::as_str).map(str::to_owned))
}

/// The header of a token, before anything was checked.
pub(crate) fn unchecked_header(token: &str) -> Result<Value, JwsError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(JwsError::TooLarge);
    }
    match token.split_once('.') {
        Some((header, _)) => read(header),
        None => Err(JwsError::Malformed {
            why: "not three parts".into(),
        }),
    }
}

/// Checks everything that a header says, and returns the key id.
fn check_header(header: &Value, typ: &str) -> Result<String, JwsError> {
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let found = |name: &str| text(name).unwrap_or_default().to_owned();
    if text("alg") != Some(ALGORITHM) {
        return Err(JwsError::Algorithm {
            found: found("alg"),
        });
    }
    if header.get("crit").is_some() {
        return Err(JwsError::Critical);
    }
    if text("typ") != Some(typ) {
        return Err(JwsError::Type {
            expected: typ.to_owned(),
            found: found("typ"),
        });
    }
    text("kid")
        .map(str::to_owned)
        .ok_or_else(|| JwsError::Malformed {
            why: "no key id".into(),
        })
}

fn read(part: &str) -> Result<Value, JwsError> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| JwsError::Malformed {
            why: "a part is not unpadded base64url".into(),
        })?;
    json::parse(&bytes, TOKEN_BYTES_MAX).map_err(|error| JwsError::Malformed {
        why: error.to_string(),
    })
}
