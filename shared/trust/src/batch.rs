//! Sealed batches: reports of an app that only the project's home can read.
//!
//! A batch is three parts, one after the other:
//!
//! ```text
//! {"format":1,"project":7,"key":"…","batch":"…","created":"2026-11-21T12:00:00Z","compression":"zstd"}\n
//! <SHA-256 of the first line without its break and of everything after the second line, 64 hex digits>\n
//! <encapsulated key, 97 bytes><sealed content>
//! ```
//!
//! The content is sealed by HPKE (RFC 9180) in base mode, single shot: DHKEM(P-384, HKDF-SHA384), HKDF-SHA384,
//! AES-256-GCM. `info`, which is where a single shot has its associated data (RFC 9180 §8.1), is `kintsugi batch 1`, a line break and
//! **the first line, byte by byte as it was received**, so key id, batch id and time cannot be changed on the way, and
//! nothing is written anew to be checked. The checksum tells a batch that was damaged on its way or on disk (send it again) from one that
//! cannot be opened (do not); it protects nothing, since whoever changes a batch can make it anew. It is over what is
//! sealed: a checksum of the content in the clear would let a reader of the line confirm a guess.
//!
//! Base mode names no sender: whoever knows the public key, which ships inside the product, can seal. So a batch is
//! believed no more than any other report; the seal keeps others from reading it.
//!
//! **Invariants: the checksum is compared before any part is believed, and nothing of the content is seen before the seal is
//! open. Reading allocates no more than the body it was given.** Randomness is an argument.
//!
//! Not here: compression and what the content means (the SDK and ingestion), which keys are accepted and whether a batch came
//! before (ingestion).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha384;
use hpke::kem::{DhP384HkdfSha384, Kem};
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable as _, OpModeR, OpModeS, Serializable as _};
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::{Digest, Hashing};
use kintsugi_domain::id::{BatchId, ProjectId};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// The version of a batch's form.
pub const BATCH_FORMAT: u16 = 1;
/// Longest first line, bytes.
pub const HEADER_BYTES_MAX: usize = 1024;
/// What a seal adds to a compressed content at most, bytes: both lines, the encapsulated key and the tag.
pub const OVERHEAD_BYTES_MAX: usize = HEADER_BYTES_MAX + 1 + 65 + PUBLIC_KEY_BYTES + 16;
/// Bytes of randomness that one seal takes.
pub const SEAL_RANDOM_BYTES: usize = 48;
/// An uncompressed point of P-384 (SEC 1 §2.3.3), bytes; an encapsulated key has the same form.
const PUBLIC_KEY_BYTES: usize = 97;
/// Hex digits of a key's id.
const KEY_ID_DIGITS: usize = 32;
/// Hex digits of the checksum.
const CHECKSUM_DIGITS: usize = 64;
/// Separates these seals from any other use of the key.
const INFO: &[u8] = b"kintsugi batch 1\n";

type Secret = <DhP384HkdfSha384 as Kem>::PrivateKey;
type Public = <DhP384HkdfSha384 as Kem>::PublicKey;
type Encapsulated = <DhP384HkdfSha384 as Kem>::EncappedKey;

/// What is wrong with a batch or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Not the form of a batch.
    #[error("not a batch: {0}")]
    Malformed(&'static str),
    /// The checksum does not fit.
    #[error("the batch was damaged: its checksum does not fit")]
    InvalidChecksum,
    /// Sealed to another key or for another project, or changed since.
    #[error("the batch cannot be opened with the key that it names")]
    NotOpened,
    /// Not a public key of batches.
    #[error("not a public key of batches: expected a point of P-384 in base64url, 130 characters")]
    NotAKey,
    /// It could not be sealed.
    #[error("the batch cannot be sealed")]
    NotSealed,
}

/// How the content is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Zstandard (RFC 8878).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
}

impl Compression {
    /// The name, as in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

/// The first line: what everybody may read and nobody can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchHeader {
    /// [`BATCH_FORMAT`].
    pub format: u16,
    /// The project it is for.
    pub project: ProjectId,
    /// The id of the key it is sealed to, see [`BatchKey::id`].
    pub key: String,
    /// The batch; drawn by the sender, taken once.
    pub batch: BatchId,
    /// When it was sealed, by the sender's clock.
    pub created: Timestamp,
    /// How the content is compressed.
    pub compression: Compression,
}

/// The public key that batches of a project are sealed to. Written as the uncompressed point (SEC 1 §2.3.3) in base64url
/// without padding (RFC 4648 §5).
#[derive(Clone)]
pub struct BatchKey {
    key: Public,
    text: String,
    id: String,
}

/// The private key that opens them.
#[derive(Clone)]
pub struct BatchSecret {
    secret: Secret,
    public: BatchKey,
}

impl BatchKey {
    fn new(key: Public) -> Self {
        let bytes = key.to_bytes();
        Self {
            id: Digest::of(&bytes).short(KEY_ID_DIGITS),
            text: URL_SAFE_NO_PAD.encode(bytes),
            key,
        }
    }

    /// The id: the first 32 hex digits of the SHA-256 of the point. A key is named by its content.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for BatchKey {
    type Err = BatchError;

    fn from_str(text: &str) -> Result<Self, BatchError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim())
            .map_err(|_| BatchError::NotAKey)?;
        if bytes.len() != PUBLIC_KEY_BYTES {
            return Err(BatchError::NotAKey);
        }
        let key = Public::from_bytes(&bytes).map_err(|_| BatchError::NotAKey)?;
        Ok(Self::new(key))
    }
}

impl fmt::Debug for BatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BatchKey({})", self.id)
    }
}

impl PartialEq for BatchKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for BatchKey {}

impl BatchSecret {
    /// The key pair that a secret stands for (`DeriveKeyPair`, RFC 9180 §7.1.3). The RFC recommends as much entropy as a
    /// private key has bits, 384; these 256 are more than the 192 that the strength of the curve asks for.
    pub fn derive(secret: &[u8; 32]) -> Self {
        let (secret, public) = DhP384HkdfSha384::derive_keypair(secret);
        Self {
            secret,
            public: BatchKey::new(public),
        }
    }

    /// The private key as its 48 bytes (SEC 1 §2.3.7), for whoever moves it to another implementation. No log shows it.
    pub fn scalar(&self) -> Vec<u8> {
        self.secret.to_bytes().to_vec()
    }

    /// Its public key.
    pub fn public(&self) -> &BatchKey {
        &self.public
    }
}

impl fmt::Debug for BatchSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BatchSecret({})", self.public.id)
    }
}

/// Hands out the bytes it was given, once: one key pair takes [`SEAL_RANDOM_BYTES`].
struct Given([u8; SEAL_RANDOM_BYTES]);

impl TryRng for Given {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        // Asked a second time it goes on by hashing, so that no two answers are ever the same.
        for (to, from) in into.iter_mut().zip(self.0) {
            *to = from;
        }
        let next = Digest::of_parts(&[b"next", &self.0]);
        for (to, from) in self.0.iter_mut().zip(next.as_bytes().iter().cycle()) {
            *to = *from;
        }
        Ok(())
    }
}

impl TryCryptoRng for Given {}

fn info(line: &[u8]) -> Vec<u8> {
    [INFO, line].concat()
}

fn checksum(line: &[u8], sealed: &[u8]) -> String {
    let mut hashing = Hashing::new();
    hashing.update(line);
    hashing.update(sealed);
    hashing.finish().0.to_string()
}

/// Seals a compressed content. `random` MUST come from the system's generator and be used for nothing else.
pub fn seal(
    header: &BatchHeader,
    content: &[u8],
    key: &BatchKey,
    random: [u8; SEAL_RANDOM_BYTES],
) -> Result<Vec<u8>, BatchError> {
    let line = serde_json::to_vec(header).map_err(|_| BatchError::NotSealed)?;
    if line.len() > HEADER_BYTES_MAX {
        return Err(BatchError::NotSealed);
    }
    let (encapsulated, sealed) =
        hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha384, DhP384HkdfSha384>(
            &OpModeS::Base,
            &key.key,
            &info(&line),
            content,
            &[],
            &mut Given(random),
        )
        .map_err(|_| BatchError::NotSealed)?;
    let sealed = [encapsulated.to_bytes().as_slice(), &sealed].concat();
    let sum = checksum(&line, &sealed);
    Ok([&line, b"\n".as_slice(), sum.as_bytes(), b"\n", &sealed].concat())
}

/// A batch whose checksum fits, still sealed.
#[derive(Debug)]
pub struct SealedBatch<'b> {
    header: BatchHeader,
    line: &'b [u8],
    encapsulated: &'b [u8],
    sealed: &'b [u8],
}

impl<'b> SealedBatch<'b> {
    /// Takes a body apart.
    pub fn read(body: &'b [u8]) -> Result<Self, BatchError> {
        let no_line = BatchError::Malformed("no line of JSON at its beginning");
        let start = body
            .get(..=HEADER_BYTES_MAX.min(body.len().saturating_sub(1)))
            .unwrap_or_default();
        let end = start.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| no_line.clone())?;
        let (line, rest) = body.split_at_checked(end).ok_or(no_line)?;
        let rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        let no_sum = BatchError::Malformed("no checksum on its second line");
        let (sum, rest) = rest
            .split_at_checked(CHECKSUM_DIGITS)
            .ok_or(no_sum.clone())?;
        let rest = rest.strip_prefix(b"\n").ok_or(no_sum)?;
        if sum != checksum(line, rest).as_bytes() {
            return Err(BatchError::InvalidChecksum);
        }
        let header: BatchHeader = serde_json::from_slice(line)
            .map_err(|_| BatchError::Malformed("its first line is not the header of a batch"))?;
        if header.format != BATCH_FORMAT {
            return Err(BatchError::Malformed("its format is not 1"));
        }
        let (encapsulated, sealed) = rest
            .split_at_checked(PUBLIC_KEY_BYTES)
            .ok_or(BatchError::Malformed("no encapsulated key"))?;
        Ok(Self {
            header,
            line,
            encapsulated,
            sealed,
        })
    }

    /// Its header. **Not authentic before the batch is open.**
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The content, still compressed. From here on the header is what the sender wrote.
    pub fn open(&self, secret: &BatchSecret) -> Result<Vec<u8>, BatchError> {
        if self.header.key != secret.public.id {
            return Err(BatchError::NotOpened);
        }
        let encapsulated =
            Encapsulated::from_bytes(self.encapsulated).map_err(|_| BatchError::NotOpened)?;
        hpke::single_shot_open::<AesGcm256, HkdfSha384, DhP384HkdfSha384>(
            &OpModeR::Base,
            &secret.secret,
            &encapsulated,
            &info(self.line),
            self.sealed,
            &[],
        )
        .map_err(|_| BatchError::NotOpened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(seed: u8) -> BatchSecret {
        BatchSecret::derive(&[seed; 32])
    }

    fn header(key: &BatchKey) -> BatchHeader {
        BatchHeader {
            format: BATCH_FORMAT,
            project: ProjectId(7),
            key: key.id().to_owned(),
            batch: "b1".parse().unwrap(),
            created: "2026-11-21T12:00:00Z".parse().unwrap(),
            compression: Compression::Zstd,
        }
    }

    fn sealed(seed: u8, random: u8) -> Vec<u8> {
        let secret = secret(seed);
        let header = header(secret.public());
        seal(&header, b"content", secret.public(), [random; 48]).unwrap()
    }

    /// The same bytes with a checksum that fits them.
    fn summed(body: &[u8]) -> Vec<u8> {
        let mut parts = body.splitn(3, |byte| *byte == b'\n');
        let (line, _, rest) = (parts.next().unwrap(), parts.next(), parts.next().unwrap());
        let sum = checksum(line, rest);
        [line, b"\n", sum.as_bytes(), b"\n", rest].concat()
    }

    fn open(body: &[u8], seed: u8) -> Result<Vec<u8>, BatchError> {
        SealedBatch::read(body)?.open(&secret(seed))
    }

    #[test]
    fn what_is_sealed_is_opened_by_its_key_and_by_no_other() {
        let body = sealed(1, 9);
        assert_eq!(open(&body, 1), Ok(b"content".to_vec()));
        assert_eq!(open(&body, 2), Err(BatchError::NotOpened));
        let read = SealedBatch::read(&body).unwrap();
        assert_eq!(*read.header(), header(secret(1).public()));
        assert!(body.len() <= b"content".len() + OVERHEAD_BYTES_MAX);
        assert!(!body.windows(7).any(|window| window == b"content"));
        assert_ne!(sealed(1, 9), sealed(1, 10));
    }

    #[test]
    fn keys_are_read_as_they_are_written_and_named_by_content() {
        let key = secret(1).public().clone();
        assert_eq!(key.as_str().len(), 130);
        assert_eq!(key.as_str().parse(), Ok(key.clone()));
        assert_ne!(key.id(), secret(2).public().id());
        let longer = format!("{}A", key.as_str());
        for text in ["", "AAAA", &"A".repeat(130), &longer] {
            assert_eq!(text.parse::<BatchKey>(), Err(BatchError::NotAKey), "{text}");
        }
    }

    #[test]
    fn a_header_that_was_changed_does_not_open_even_with_a_fitting_checksum() {
        let body = sealed(1, 9);
        let text = |body: &[u8]| body.to_vec();
        for (from, to) in [
            (&b"\"b1\""[..], &b"\"b2\""[..]),
            (b"12:00:00Z", b"12:00:01Z"),
            (b"\"project\":7", b"\"project\":8"),
            (b"zstd", b"gzip"),
        ] {
            let at = body.windows(from.len()).position(|it| it == from).unwrap();
            let mut changed = text(&body);
            changed[at..at + from.len()].copy_from_slice(to);
            assert_eq!(open(&changed, 1), Err(BatchError::InvalidChecksum));
            assert_eq!(open(&summed(&changed), 1), Err(BatchError::NotOpened));
        }
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let body = sealed(1, 9);
        for at in 0..body.len() {
            let mut damaged = body.clone();
            damaged[at] ^= 1;
            assert!(open(&damaged, 1).is_err(), "{at}");
            let cut = &body[..at];
            assert!(open(cut, 1).is_err(), "{at}");
        }
        let mut last = body.clone();
        *last.last_mut().unwrap() ^= 1;
        assert_eq!(open(&last, 1), Err(BatchError::InvalidChecksum));
        assert_eq!(open(&summed(&last), 1), Err(BatchError::NotOpened));
    }

    proptest! {
        #[test]
        fn hostile_bodies_are_refused(body in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert!(open(&body, 1).is_err());
        }
    }
}
