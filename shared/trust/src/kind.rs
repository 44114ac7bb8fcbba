//! What a key is that is not ours: its algorithm and curve, by the object identifiers that it comes with.
//!
//! Only asked for once a key was refused, to say the exact reason. Not here: keys that are taken
//! ([`crate::key`], `tuf::foreign`).

use crate::key::KeyError;
use p384::pkcs8::der::asn1::AnyRef;
use p384::pkcs8::spki::AlgorithmIdentifierRef;
use p384::pkcs8::{Document, ObjectIdentifier, PrivateKeyInfo, SubjectPublicKeyInfoRef};

/// Keys on elliptic curves (RFC 5480, section 2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// The curve that we use, P-384 (RFC 5480, section 2.1.1.1).
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// Curves that tools draw keys on (RFC 5480, RFC 5639, SEC 2).
const CURVES: [(&str, &str); 7] = [
    ("1.2.840.10045.3.1.7", "P-256"),
    ("1.3.132.0.33", "P-224"),
    ("1.3.132.0.35", "P-521"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
];
/// Other algorithms (RFC 8017, RFC 8410, RFC 3279).
const ALGORITHMS: [(&str, &str); 6] = [
    ("1.2.840.113549.1.1.1", "RSA"),
    ("1.2.840.113549.1.1.10", "RSA-PSS"),
    ("1.2.840.10040.4.1", "DSA"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("1.3.101.110", "X25519"),
];

/// Why a public key in PEM is not one on P-384: the curve or the algorithm that it names.
pub(crate) fn of_public_pem(pem: &str) -> KeyError {
    let found = || {
        let (label, document) = Document::from_pem(pem.trim_end()).ok()?;
        let info = SubjectPublicKeyInfoRef::try_from(document.as_bytes()).ok()?;
        (label == "PUBLIC KEY").then(|| mismatch(&info.algorithm))?
    };
    found().unwrap_or(KeyError::NotAPublicKey)
}

/// The same of a private key in PKCS#8.
pub(crate) fn of_secret_der(der: &[u8]) -> KeyError {
    let found = PrivateKeyInfo::try_from(der).ok();
    let found = found.and_then(|info| mismatch(&info.algorithm));
    found.unwrap_or(KeyError::NotASecretKey)
}

/// What differs from ECDSA on P-384, or nothing where the identifiers are the right ones.
fn mismatch(algorithm: &AlgorithmIdentifierRef<'_>) -> Option<KeyError> {
    if algorithm.oid != EC {
        let found = name(&ALGORITHMS, &algorithm.oid);
        return Some(KeyError::WrongAlgorithm { found });
    }
    let curve = |found: AnyRef<'_>| found.decode_as::<ObjectIdentifier>().ok();
    let found = match algorithm.parameters.and_then(curve) {
        Some(P384) => return None,
        Some(curve) => name(&CURVES, &curve),
        None => "without a name".to_owned(),
    };
    Some(KeyError::WrongCurve { found })
}

/// The name that people use, with the identifier that was found.
fn name(known: &[(&str, &str)], found: &ObjectIdentifier) -> String {
    let oid = found.to_string();
    match known.iter().find(|(known, _)| *known == oid) {
        Some((_, name)) => format!("{name} ({oid})"),
        None => oid,
    }
}
