//! Tokens of foreign issuers: OpenID Connect ID tokens (OpenID Connect Core 1.0 §2) and JWT access tokens
//! (RFC 9068), signed with RS256, ES256 or ES384 (RFC 7518).
//!
//! **Invariants: the issuer is one that the home trusts, its keys come from the address that the home knows, never from
//! the token; a key verifies only the algorithm of its own kind, so no token chooses how it is checked (RFC 8725 §3.1);
//! what the token allows is what the home's mapping of its claim says.**
//!
//! Signatures are checked by `ring`, which TLS brings anyway. Not here: fetching keys (`kintsugi_app::admin`).

use crate::access::Issuer;
use crate::json;
use crate::jws::{JwsError, TOKEN_BYTES_MAX, unchecked_header};
use crate::key::KeyError;
use crate::token::{Role, TOKEN_TYP, Token, TokenError, check_times};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::Value;
use std::time::Duration;

/// Largest set of keys that is read, bytes.
pub const KEYS_BYTES_MAX: usize = 256 * 1024;
/// Most keys of a set that are looked at.
const KEYS_MAX: usize = 100;
/// Longest subject of an issuer, bytes (OpenID Connect Core 1.0 §2).
const SUBJECT_BYTES_MAX: usize = 255;
/// Most values of the claim that are looked at.
const VALUES_MAX: usize = 1_000;

/// The keys of an issuer (RFC 7517 §5). Kinds that we do not take are left out.
#[derive(Debug, Clone, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Debug, Clone)]
struct Key {
    kid: String,
    material: Material,
}

/// A public key; its kind says which one algorithm it verifies.
#[derive(Debug, Clone)]
enum Material {
    Rs256 { n: Vec<u8>, e: Vec<u8> },
    Es256(Vec<u8>),
    Es384(Vec<u8>),
}

impl Material {
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rs256 { .. } => "RS256",
            Self::Es256(_) => "ES256",
            Self::Es384(_) => "ES384",
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let checked =
            match self {
                Self::Rs256 { n, e } => RsaPublicKeyComponents { n, e }.verify(
                    &RSA_PKCS1_2048_8192_SHA256,
                    message,
                    signature,
                ),
                Self::Es256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature),
                Self::Es384(point) => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)
                    .verify(message, signature),
            };
        checked.map_err(|_| KeyError::WrongSignature)
    }
}

impl KeySet {
    /// Reads a JWK set. Keys without an id, for other uses, and of other kinds are left out.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let set = json::parse(text, KEYS_BYTES_MAX).map_err(|error| error.to_string())?;
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or_else(|| "not a JWK set: it has no keys".to_owned())?;
        Ok(Self(keys.iter().take(KEYS_MAX).filter_map(key).collect()))
    }

    fn find(&self, kid: &str, algorithm: &str) -> Option<&Material> {
        let fits = |key: &&Key| key.kid == kid && key.material.algorithm() == algorithm;
        self.0.iter().find(fits).map(|key| &key.material)
    }
}

fn key(jwk: &Value) -> Option<Key> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let point = |length: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        let fits = x.len() == length && y.len() == length;
        // SEC 1 §2.3.3, uncompressed.
        fits.then(|| [&[4][..], &x, &y].concat())
    };
    let material = match (text("kty")?, text("crv")) {
        ("RSA", _) => Material::Rs256 {
            n: without_zeros(bytes("n")?),
            e: without_zeros(bytes("e")?),
        },
        ("EC", Some("P-256")) => Material::Es256(point(32)?),
        ("EC", Some("P-384")) => Material::Es384(point(48)?),
        _ => return None,
    };
    if text("alg").is_some_and(|algorithm| algorithm != material.algorithm()) {
        return None;
    }
    Some(Key {
        kid: text("kid")?.to_owned(),
        material,
    })
}

fn without_zeros(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

/// The issuer that a token names, before anything was checked: good for nothing but to look it up.
pub fn unchecked_issuer(token: &str) -> Result<String, JwsError> {
    let (_, claims) = Parts::of(token)?.read()?;
    let issuer = claims.get("iss").and_then(Value::as_str);
    issuer.map(str::to_owned).ok_or_else(|| JwsError::Claims {
        why: "no issuer (iss)".to_owned(),
    })
}

/// The three parts of a compact JWS (RFC 7515 §7.1).
struct Parts<'t> {
    /// What is signed.
    input: &'t str,
    claims: &'t str,
    signature: &'t str,
}

impl<'t> Parts<'t> {
    fn of(token: &'t str) -> Result<Self, JwsError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(JwsError::TooLarge);
        }
        let malformed = || JwsError::Malformed {
            why: "not three parts".to_owned(),
        };
        let (input, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (_, claims) = input
            .split_once('.')
            .filter(|(_, claims)| !claims.contains('.'))
            .ok_or_else(malformed)?;
        Ok(Self {
            input,
            claims,
            signature,
        })
    }

    /// Header and claims, unchecked.
    fn read(&self) -> Result<(Value, Value), JwsError> {
        let header = unchecked_header(self.input)?;
        let malformed = |why: String| JwsError::Malformed { why };
        let claims = URL_SAFE_NO_PAD
            .decode(self.claims)
            .map_err(|_| malformed("a part is not unpadded base64url".to_owned()))?;
        let claims = json::parse(&claims, TOKEN_BYTES_MAX);
        Ok((
            header,
            claims.map_err(|error| malformed(error.to_string()))?,
        ))
    }
}

/// Checks a token of an issuer and says what it allows here. Its subject is written as `<sub>|<issuer>`, so that nobody can
/// be taken for somebody of another issuer; a token without an id gets one from its content.
///
/// [`JwsError::UnknownKey`] means that the issuer may have new keys: read them again, once.
pub fn verify(
    token: &str,
    issuer: &Issuer,
    keys: &KeySet,
    now: Timestamp,
    skew: Duration,
) -> Result<Token, TokenError> {
    let parts = Parts::of(token)?;
    let (header, claims) = parts.read()?;
    let material = trusted(&header, keys)?;
    let signature = URL_SAFE_NO_PAD
        .decode(parts.signature)
        .map_err(|_| JwsError::Malformed {
            why: "the signature is not unpadded base64url".to_owned(),
        })?;
    material
        .verify(parts.input.as_bytes(), &signature)
        .map_err(JwsError::Signature)?;
    // From here on the claims are the issuer's.
    let iss = text(&claims, "iss")?;
    if iss != issuer.url {
        return Err(TokenError::Issuer {
            found: iss.to_owned(),
        });
    }
    check_audience(&claims, issuer)?;
    let (iat, exp) = (seconds(&claims, "iat")?, seconds(&claims, "exp")?);
    check_times(iat, exp, now, skew)?;
    if claims.get("nbf").is_some() {
        check_times(seconds(&claims, "nbf")?, exp, now, skew)?;
    }
    let subject = text(&claims, "sub")?;
    let fits = |c: char| !c.is_control();
    if !(1..=SUBJECT_BYTES_MAX).contains(&subject.len()) || !subject.chars().all(fits) {
        return Err(wrong("a subject of 1 to 255 characters is needed (sub)").into());
    }
    let id = claims.get("jti").and_then(Value::as_str);
    let id = id.filter(|id| is_id(id)).map_or_else(
        || Digest::of(parts.input.as_bytes()).short(32),
        str::to_owned,
    );
    Ok(Token {
        sub: format!("{subject}|{}", issuer.url),
        role: role(&claims, issuer)?,
        iss: issuer.url.clone(),
        aud: issuer.audience.clone(),
        iat,
        exp,
        jti: id,
    })
}

/// The key for a header, by its id and for its algorithm.
fn trusted<'k>(header: &Value, keys: &'k KeySet) -> Result<&'k Material, JwsError> {
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let algorithm = text("alg").unwrap_or_default();
    if !matches!(algorithm, "RS256" | "ES256" | "ES384") {
        return Err(JwsError::Algorithm {
            found: algorithm.to_owned(),
        });
    }
    if header.get("crit").is_some() {
        return Err(JwsError::Critical);
    }
    if let Some(found) = text("typ").filter(|typ| *typ == TOKEN_TYP) {
        return Err(JwsError::Type {
            expected: "JWT".to_owned(),
            found: found.to_owned(),
        });
    }
    let kid = text("kid").unwrap_or_default();
    let unknown = || JwsError::UnknownKey {
        kid: kid.to_owned(),
    };
    keys.find(kid, algorithm).ok_or_else(unknown)
}

fn wrong(why: &str) -> JwsError {
    JwsError::Claims {
        why: why.to_owned(),
    }
}

fn text<'c>(claims: &'c Value, name: &str) -> Result<&'c str, JwsError> {
    let value = claims.get(name).and_then(Value::as_str);
    value.ok_or_else(|| wrong(&format!("no text {name}")))
}

fn seconds(claims: &Value, name: &str) -> Result<i64, JwsError> {
    let value = claims.get(name).and_then(Value::as_i64);
    value.ok_or_else(|| wrong(&format!("no whole number of seconds {name}")))
}

/// One audience or several (RFC 7519 §4.1.3).
fn check_audience(claims: &Value, issuer: &Issuer) -> Result<(), TokenError> {
    let audience = claims.get("aud").unwrap_or(&Value::Null);
    let is_ours = |value: &Value| value.as_str() == Some(&issuer.audience);
    let found = audience.as_array();
    if is_ours(audience) || found.is_some_and(|several| several.iter().any(is_ours)) {
        return Ok(());
    }
    Err(TokenError::Audience {
        expected: issuer.audience.clone(),
        found: audience.to_string(),
    })
}

/// The greatest role that a value of the claim gives.
fn role(claims: &Value, issuer: &Issuer) -> Result<Role, TokenError> {
    let whole = claims.get(&issuer.claim);
    let found = whole.or_else(|| {
        let mut parts = issuer.claim.split('.');
        parts.try_fold(claims, |value, part| value.get(part))
    });
    let values: Vec<&str> = match found {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several
            .iter()
            .take(VALUES_MAX)
            .filter_map(Value::as_str)
            .collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
            Vec::new()
        }
    };
    let roles = values
        .into_iter()
        .filter_map(|value| issuer.roles.get(value));
    roles.max().copied().ok_or_else(|| TokenError::NoRole {
        claim: issuer.claim.clone(),
    })
}

/// Whether an id can stand in the audit log and be revoked as it is.
fn is_id(id: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=64).contains(&id.len()) && id.chars().all(fits)
}
