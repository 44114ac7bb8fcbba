//! What a repository says about the content of a file.

use kintsugi_domain::digest::{Digest, Hashing};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha512};
use std::fmt;

/// Digests by algorithm. Algorithms that we do not know are ignored when reading; a file with none that
/// we know can be compared with nothing and is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    /// SHA-256, which is what we write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// SHA-512, for foreign repositories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<Sha512Digest>,
}

/// A SHA-512 digest, written as 128 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha512Digest([u8; 64]);

/// Compares content that comes in parts with what is stated.
#[derive(Debug)]
pub struct Checking {
    hashes: Hashes,
    sha256: Hashing,
    sha512: Option<Sha512>,
}

impl Hashes {
    /// SHA-256 alone.
    pub fn sha256(digest: Digest) -> Self {
        Self {
            sha256: Some(digest),
            sha512: None,
        }
    }

    /// Whether there is a digest that we can compare with.
    pub fn is_known(&self) -> bool {
        self.sha256.is_some() || self.sha512.is_some()
    }

    /// Whether the content has every digest that we know, and at least one is stated.
    pub fn fit(&self, content: &[u8]) -> bool {
        let mut checking = self.checking();
        checking.update(content);
        checking.fits()
    }

    /// Begins a comparison with content that comes in parts.
    pub fn checking(&self) -> Checking {
        Checking {
            hashes: self.clone(),
            sha256: Hashing::new(),
            sha512: self.sha512.map(|_| Sha512::new()),
        }
    }

    /// The digest in the name under which a repository with consistent snapshots serves a target: the
    /// strongest habit first.
    pub fn prefix(&self) -> Option<String> {
        let sha512 = || self.sha512.map(|digest| digest.to_string());
        self.sha256.map(|digest| digest.to_string()).or_else(sha512)
    }
}

impl Checking {
    /// The next part.
    pub fn update(&mut self, part: &[u8]) {
        self.sha256.update(part);
        if let Some(hasher) = &mut self.sha512 {
            hasher.update(part);
        }
    }

    /// Whether all parts together have every stated digest that we know, and there is one.
    pub fn fits(self) -> bool {
        let (sha256, _) = self.sha256.finish();
        let sha512 = self
            .sha512
            .map(|hasher| Sha512Digest(hasher.finalize().into()));
        self.hashes.is_known()
            && self.hashes.sha256.is_none_or(|stated| stated == sha256)
            && self.hashes.sha512 == sha512
    }
}

impl TryFrom<String> for Sha512Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0; 64];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| "not a SHA-512 digest: expected 128 hex digits")?;
        Ok(Self(bytes))
    }
}

impl From<Sha512Digest> for String {
    fn from(digest: Sha512Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Sha512Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha512Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha512Digest({self})")
    }
}
