//! Keys of other kinds than ours, for reading repositories of others: RSA-PSS (RFC 8017), ECDSA on P-256
//! and Ed25519 (RFC 8032), by the names that the TUF specification and securesystemslib give them.
//!
//! `ring` verifies, which TLS brings anyway. RSA keys have 2048 to 8192 bits, and the salt of their
//! signatures is as long as the hash, as securesystemslib writes it. Not here: signing with any of them.

use p384::pkcs8::der::asn1::AnyRef;
use p384::pkcs8::{Document, ObjectIdentifier, SubjectPublicKeyInfoRef};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::Value;

/// The longest key that is read, bytes of text: RSA with 8192 bits in PEM has 1,500.
const KEY_BYTES_MAX: usize = 4 * 1024;
/// RSA encryption (RFC 8017, appendix A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// Keys on elliptic curves (RFC 5480, section 2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// The curve P-256 (RFC 5480, section 2.1.1.1).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// Length of an uncompressed point on P-256, bytes, and what it begins with (SEC 1, section 2.3.3).
const POINT_BYTES: usize = 65;
const UNCOMPRESSED: u8 = 4;
/// Length of an Ed25519 key, bytes.
const ED25519_BYTES: usize = 32;

/// A public key of a kind that we only verify with.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    scheme: Scheme,
    /// The point, the 32 bytes, or the RSA key in DER.
    material: Vec<u8>,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Ed25519,
    P256,
    RsaPssSha256,
    RsaPssSha384,
    RsaPssSha512,
}

/// Keys are told apart by what they are: one RSA key under two schemes is one key.
impl PartialEq for ForeignKey {
    fn eq(&self, other: &Self) -> bool {
        self.material == other.material
    }
}

impl Eq for ForeignKey {}

impl Scheme {
    fn named(keytype: &str, scheme: &str) -> Option<Self> {
        Some(match (keytype, scheme) {
            ("ed25519", "ed25519") => Self::Ed25519,
            ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => Self::P256,
            ("rsa", "rsassa-pss-sha256") => Self::RsaPssSha256,
            ("rsa", "rsassa-pss-sha384") => Self::RsaPssSha384,
            ("rsa", "rsassa-pss-sha512") => Self::RsaPssSha512,
            _ => return None,
        })
    }

    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Ed25519 => &ED25519,
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::RsaPssSha256 => &RSA_PSS_2048_8192_SHA256,
            Self::RsaPssSha384 => &RSA_PSS_2048_8192_SHA384,
            Self::RsaPssSha512 => &RSA_PSS_2048_8192_SHA512,
        }
    }

    fn material(self, public: &str) -> Option<Vec<u8>> {
        if public.len() > KEY_BYTES_MAX {
            return None;
        }
        match self {
            Self::Ed25519 => {
                let key = hex::decode(public).ok()?;
                (key.len() == ED25519_BYTES).then_some(key)
            }
            Self::P256 => {
                let point = subject(public, EC, Some(P256))?;
                let is_whole = point.len() == POINT_BYTES && point.first() == Some(&UNCOMPRESSED);
                is_whole.then_some(point)
            }
            Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512 => {
                subject(public, RSA, None)
            }
        }
    }
}

/// The key in PEM `SubjectPublicKeyInfo` (RFC 5280), if it has that algorithm and that curve.
fn subject(
    pem: &str,
    algorithm: ObjectIdentifier,
    curve: Option<ObjectIdentifier>,
) -> Option<Vec<u8>> {
    let (label, document) = Document::from_pem(pem.trim_end()).ok()?;
    if label != "PUBLIC KEY" {
        return None;
    }
    let info = SubjectPublicKeyInfoRef::try_from(document.as_bytes()).ok()?;
    let found: Option<AnyRef<'_>> = info.algorithm.parameters;
    let has_curve = curve.is_none_or(|curve| {
        found.and_then(|found| found.decode_as::<ObjectIdentifier>().ok()) == Some(curve)
    });
    if info.algorithm.oid != algorithm || !has_curve {
        return None;
    }
    Some(info.subject_public_key.as_bytes()?.to_vec())
}

impl ForeignKey {
    pub(super) fn from_value(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let scheme = Scheme::named(text("keytype")?, text("scheme")?)?;
        let public = value.get("keyval")?.get("public")?.as_str()?;
        Some(Self {
            scheme,
            material: scheme.material(public)?,
            value: value.clone(),
        })
    }

    pub(super) fn to_value(&self) -> Value {
        self.value.clone()
    }

    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.scheme.algorithm(), &self.material)
            .verify(message, signature)
            .is_ok()
    }
}
