//! Writing metadata. Signing waits in between and may be far away: [`canonical`] gives the bytes that
//! each key signs, [`assemble`] puts the metadata and its signatures into the file that is served.

use crate::json;
use crate::key::KeyId;
use crate::tuf::{Metadata, Role, TufError};
use serde_json::json;

/// The bytes that every key of the role signs (ECDSA P-384 over SHA-384).
pub fn canonical<T: Metadata>(metadata: &T) -> Result<Vec<u8>, TufError> {
    json::canonical(&metadata.to_signed()?).map_err(|error| TufError::Json {
        role: T::ROLE,
        error,
    })
}

/// The file to serve: metadata and signatures, each the id of a key and its signature as DER.
pub fn assemble<T: Metadata>(
    metadata: &T,
    signatures: &[(KeyId, Vec<u8>)],
) -> Result<String, TufError> {
    let signatures: Vec<_> = signatures
        .iter()
        .map(|(id, der)| json!({"keyid": id, "sig": hex::encode(der)}))
        .collect();
    let file = json!({"signatures": signatures, "signed": metadata.to_signed()?});
    Ok(file.to_string())
}

/// The name under which a version of a role's metadata is served (consistent snapshots).
pub fn file_name(role: Role, version: u64) -> String {
    match role {
        Role::Root | Role::Targets | Role::Snapshot => format!("{version}.{role}.json"),
        Role::Timestamp => "timestamp.json".to_owned(),
    }
}
