//! Full packages: Zstandard (RFC 8878) around the archive.
//!
//! Not here: deltas, which are compressed by their own format.

use std::io::Read;

/// The level of full packages: made once, loaded by everyone.
const LEVEL: i32 = 19;
/// Largest window a package may ask for, as a power of two: 128 MiB.
const WINDOW_LOG_MAX: u32 = 27;

/// A package that cannot be compressed or decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// There is more in it than was allowed.
    #[error("the package holds more than the {bytes_max} bytes it may")]
    TooLarge {
        /// What was allowed.
        bytes_max: u64,
    },
    /// It is not a whole Zstandard frame.
    #[error("the package is not readable: {why}")]
    Corrupt {
        /// What the decoder says.
        why: String,
    },
    /// The compressor failed; its memory ran out.
    #[error("the package could not be compressed: {why}")]
    Failed {
        /// What the compressor says.
        why: String,
    },
}

impl CompressionError {
    /// The stable name of this kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "package_too_large",
            Self::Corrupt { .. } => "package_corrupt",
            Self::Failed { .. } => "package_not_compressed",
        }
    }
}

/// Compresses an archive. The same bytes give the same bytes with one version of the library.
pub fn compress(content: &[u8]) -> Result<Vec<u8>, CompressionError> {
    zstd::bulk::compress(content, LEVEL).map_err(|error| CompressionError::Failed {
        why: error.to_string(),
    })
}

/// Decompresses a package of at most `bytes_max` bytes of content.
pub fn decompress(package: &[u8], bytes_max: u64) -> Result<Vec<u8>, CompressionError> {
    let corrupt = |error: std::io::Error| CompressionError::Corrupt {
        why: error.to_string(),
    };
    if package.is_empty() {
        let why = "it is empty".to_owned();
        return Err(CompressionError::Corrupt { why });
    }
    let mut decoder = zstd::stream::read::Decoder::with_buffer(package).map_err(corrupt)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(corrupt)?;
    let mut content = Vec::new();
    let read = decoder
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(corrupt)?;
    if u64::try_from(read).is_ok_and(|read| read <= bytes_max) {
        Ok(content)
    } else {
        Err(CompressionError::TooLarge { bytes_max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_package_comes_back_as_it_was() {
        let content = b"till ".repeat(10_000);
        let package = compress(&content).unwrap();
        assert!(package.len() < content.len() / 10);
        assert_eq!(decompress(&package, 50_000).unwrap(), content);
        assert_eq!(package, compress(&content).unwrap());
    }

    #[test]
    fn a_bomb_is_refused_at_the_declared_length() {
        let package = compress(&vec![0; 64 << 20]).unwrap();
        assert!(package.len() < 16_384);
        let error = decompress(&package, 1_000).unwrap_err();
        assert_eq!(error, CompressionError::TooLarge { bytes_max: 1_000 });
        assert_eq!(error.code(), "package_too_large");
    }

    #[test]
    fn a_cut_off_package_is_corrupt_at_every_length() {
        let package = compress(b"something to cut off, something to cut off").unwrap();
        for length in 0..package.len() {
            let error = decompress(&package[..length], 1_000).unwrap_err();
            assert_eq!(error.code(), "package_corrupt", "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_grow(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            if let Ok(content) = decompress(&bytes, 10_000) {
                prop_assert!(content.len() <= 10_000);
            }
            let mut framed = vec![0x28, 0xb5, 0x2f, 0xfd];
            framed.extend(bytes);
            if let Ok(content) = decompress(&framed, 10_000) {
                prop_assert!(content.len() <= 10_000);
            }
        }
    }
}
