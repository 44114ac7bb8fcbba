//! The machine's randomness.

use kintsugi_domain::digest::Digest;
use kintsugi_domain::ports::Ids;
use rand_core::{OsRng, RngCore};

/// Digests of 32 bytes from the operating system's generator (`getrandom`), which cannot fail once a machine has booted.
///
/// Never kept in memory for later: a function that Lambda restores from a snapshot would hand out the same ids twice.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn fresh(&self) -> Digest {
        let mut bytes = [0; 32];
        OsRng.fill_bytes(&mut bytes);
        Digest::of(&bytes)
    }
}
