//! The machine's randomness.

use kintsugi_domain::digest::Digest;
use kintsugi_domain::ports::Ids;
use rand_core::{OsRng, RngCore};

/// Digests of 32 bytes from the operating system's generator (`getrandom`).
///
/// The port has no error: on every system this home runs on, the generator cannot fail once the machine has booted.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn fresh(&self) -> Digest {
        let mut bytes = [0; 32];
        OsRng.fill_bytes(&mut bytes);
        Digest::of(&bytes)
    }
}
