//! Provenance of a release: an in-toto Statement v1 with a SLSA Provenance v1 predicate in a DSSE v1 envelope (ledger F6).
//!
//! A statement names every artifact of a release as a subject, and says what it was made from, by what, and which tests ran.
//! Signatures are ECDSA P-384 over SHA-384, as DER, by the key of the targets role.
//!
//! **Invariants: the signature is checked over the pre-authentication encoding of exactly the bytes that are then parsed; keys come
//! from the caller, never from the envelope; the payload type, the statement type and the predicate type must be the ones that are
//! written here.** Unknown fields of the predicate are skipped: the specification lets producers add some.
//!
//! Not here: where an envelope is served and whose word it is that it belongs to a release (TUF targets, [`crate::tuf`]).

use crate::json;
use crate::key::{KeyError, KeyId, PublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The payload type of an in-toto statement (in-toto attestation specification, envelope layer).
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The type of a statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of the predicate.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// What a build of ours is: how its parameters are to be read.
pub const BUILD_TYPE: &str = "urn:kintsugi:build:1";
/// Longest envelope that is read, bytes.
pub const ENVELOPE_BYTES_MAX: usize = 1024 * 1024;
/// Most signatures of an envelope that are looked at.
const SIGNATURES_MAX: usize = 16;

/// Why an attestation is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// Not an envelope.
    #[error("not a DSSE envelope: {why}")]
    Envelope {
        /// What is wrong.
        why: String,
    },
    /// An envelope of something else.
    #[error("the payload is of type {found:?}, expected {PAYLOAD_TYPE:?}")]
    PayloadType {
        /// What it says.
        found: String,
    },
    /// No signature of a trusted key is there.
    #[error("no signature is by a trusted key: they name {found:?}")]
    UnknownKey {
        /// The ids that the signatures name.
        found: Vec<String>,
    },
    /// A trusted key's signature does not fit.
    #[error("the signature of key {kid} does not fit the payload")]
    Signature {
        /// The key.
        kid: String,
        /// What is wrong with it.
        #[source]
        error: KeyError,
    },
    /// Rightly signed, but no statement of this kind.
    #[error("not an in-toto statement with SLSA provenance: {why}")]
    Statement {
        /// What is wrong.
        why: String,
    },
}

impl AttestationError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Envelope { .. } => "attestation.envelope",
            Self::PayloadType { .. } => "attestation.payload_type",
            Self::UnknownKey { .. } => "attestation.unknown_key",
            Self::Signature { .. } => "attestation.signature",
            Self::Statement { .. } => "attestation.statement",
        }
    }
}

/// A statement about the artifacts of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// What it is about.
    pub subject: Vec<Subject>,
    /// [`PREDICATE_TYPE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// How it was made.
    pub predicate: Provenance,
}

/// One artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its name among the targets of its repository.
    pub name: String,
    /// Its digests, by algorithm.
    pub digest: BTreeMap<String, String>,
}

/// How artifacts were made (SLSA Provenance v1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// What was asked for, and what went in.
    pub build_definition: BuildDefinition,
    /// What did it, and what came out besides.
    pub run_details: RunDetails,
}

/// What was asked for, and what went in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildDefinition {
    /// How the parameters are to be read: [`BUILD_TYPE`].
    pub build_type: String,
    /// What was asked for.
    pub external_parameters: Parameters,
    /// What went in: the commit that the build started from, and lock files by their digests.
    #[serde(default)]
    pub resolved_dependencies: Vec<Resource>,
}

/// What was asked of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameters {
    /// The product.
    pub product: String,
    /// The version.
    pub version: String,
    /// The build number; 0 where it was not counted.
    #[serde(default)]
    pub build: u64,
    /// The channel it goes to.
    pub channel: String,
    /// What kind of step it is: `hotfix`, `patch`, `minor`, `major`.
    pub train: String,
    /// What made it depart; nothing where people ordered it.
    pub predicate: Option<String>,
    /// The commit that was built, with the fixes in it.
    pub commit: String,
    /// The fixes in it.
    pub fixes: Vec<FixMade>,
    /// The issues that they end.
    pub issues: Vec<String>,
}

/// A fix, and who or what made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FixMade {
    /// Its id.
    pub id: String,
    /// The issue it ends.
    pub issue: String,
    /// The rule that made it.
    pub rule: String,
    /// What kind of change it is: `corrects`, `guards`, `suppresses`.
    pub class: String,
    /// Its commit as it was proposed.
    pub commit: Option<String>,
    /// The gates it went through before it was proposed.
    pub gates: Vec<TestRun>,
    /// Who let it depart: people by the subject of their token, or the policy's stage.
    pub approved_by: Vec<String>,
}

/// A test, scan or check that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRun {
    /// Its name.
    pub name: String,
    /// Whether it was passed.
    pub passed: bool,
}

/// Something that went in or came out (in-toto `ResourceDescriptor`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// Where it is from, where that may be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its digests, by algorithm.
    pub digest: BTreeMap<String, String>,
    /// What else is known of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Value>,
}

/// What did the build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDetails {
    /// The build engine.
    pub builder: Builder,
    /// Which run it was.
    pub metadata: RunMetadata,
    /// Tests, scans and checks, with what was seen.
    #[serde(default)]
    pub byproducts: Vec<Resource>,
}

/// The build engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builder {
    /// What it is.
    pub id: String,
    /// Versions of its parts.
    #[serde(default)]
    pub version: BTreeMap<String, String>,
}

/// Which run it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunMetadata {
    /// The job.
    pub invocation_id: String,
    /// When it was ordered.
    pub started_on: Timestamp,
}

impl Statement {
    /// A statement about artifacts.
    pub fn new(subject: Vec<Subject>, predicate: Provenance) -> Self {
        Self {
            kind: STATEMENT_TYPE.to_owned(),
            subject,
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate,
        }
    }

    /// The names of the subjects with that digest: more than one where artifacts have the same bytes.
    pub fn names(&self, digest: &Digest) -> impl Iterator<Item = &str> {
        let digest = digest.to_string();
        let has_it = move |subject: &&Subject| subject.digest.get("sha256") == Some(&digest);
        let subjects = self.subject.iter().filter(has_it);
        subjects.map(|subject| subject.name.as_str())
    }

    /// The payload to sign.
    pub fn payload(&self) -> Result<Vec<u8>, AttestationError> {
        serde_json::to_vec(self).map_err(|error| AttestationError::Statement {
            why: error.to_string(),
        })
    }
}

/// SHA-256 in the form of in-toto's digest sets.
pub fn sha256(digest: &Digest) -> BTreeMap<String, String> {
    BTreeMap::from([("sha256".to_owned(), digest.to_string())])
}

/// What is signed: the pre-authentication encoding of DSSE v1.
pub fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {PAYLOAD_TYPE} {} ",
        PAYLOAD_TYPE.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

/// The envelope of a payload and its signatures, each the id of a key and a signature as DER over
/// [`pre_authentication_encoding`].
pub fn assemble(payload: &[u8], signatures: &[(KeyId, Vec<u8>)]) -> String {
    let signatures: Vec<Value> = signatures
        .iter()
        .map(|(id, der)| json!({"keyid": id, "sig": STANDARD.encode(der)}))
        .collect();
    json!({
        "payload": STANDARD.encode(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": signatures,
    })
    .to_string()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// The statement of an envelope that a trusted key signed. `keys` gives the trusted key of an id, or none.
pub fn verify(
    envelope: &[u8],
    keys: impl Fn(&str) -> Option<PublicKey>,
) -> Result<Statement, AttestationError> {
    let malformed = |why: String| AttestationError::Envelope { why };
    let value =
        json::parse(envelope, ENVELOPE_BYTES_MAX).map_err(|error| malformed(error.to_string()))?;
    let envelope: Envelope =
        serde_json::from_value(value).map_err(|error| malformed(error.to_string()))?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(AttestationError::PayloadType {
            found: envelope.payload_type,
        });
    }
    let payload = STANDARD
        .decode(&envelope.payload)
        .map_err(|error| malformed(format!("the payload is not base64: {error}")))?;
    check(&envelope.signatures, &payload, keys)?;
    let odd = |why: String| AttestationError::Statement { why };
    let value =
        json::parse(&payload, ENVELOPE_BYTES_MAX).map_err(|error| odd(error.to_string()))?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    for (name, expected) in [("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)] {
        if text(name) != expected {
            let found = text(name);
            return Err(odd(format!("{name} is {found:?}, expected {expected:?}")));
        }
    }
    serde_json::from_value(value).map_err(|error| odd(error.to_string()))
}

/// One valid signature of a trusted key is enough; a trusted key's signature that does not fit is told before unknown ones.
fn check(
    signatures: &[Signature],
    payload: &[u8],
    keys: impl Fn(&str) -> Option<PublicKey>,
) -> Result<(), AttestationError> {
    let message = pre_authentication_encoding(payload);
    let mut failed = None;
    for signature in signatures.iter().take(SIGNATURES_MAX) {
        let Some(key) = keys(&signature.keyid) else {
            continue;
        };
        let checked = match STANDARD.decode(&signature.sig) {
            Ok(der) => key.verify(&message, &der),
            Err(_) => Err(KeyError::NotASignature),
        };
        match checked {
            Ok(()) => return Ok(()),
            Err(error) => {
                let kid = signature.keyid.clone();
                failed = Some(AttestationError::Signature { kid, error });
            }
        }
    }
    let ids = signatures.iter().take(SIGNATURES_MAX);
    Err(failed.unwrap_or_else(|| AttestationError::UnknownKey {
        found: ids.map(|it| it.keyid.clone()).collect(),
    }))
}
