//! New bytes, packed: by LZMA or Zstandard (RFC 8878), whichever is smaller, or not at all.

use super::DeltaError;
use liblzma::stream::{LzmaOptions, Stream};
use std::io::Read;

/// Largest window of a packed stream, bytes: what a reader may have to hold.
const WINDOW_BYTES_MAX: u32 = 64 << 20;
/// What an LZMA reader needs beside its window.
const READER_BYTES: u64 = 4 << 20;
const ZSTD_LEVEL: i32 = 19;
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// How a stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    None,
    /// As an `.lzma` file.
    Lzma,
    /// As a Zstandard frame.
    Zstd,
}

impl Packing {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Lzma => 1,
            Self::Zstd => 2,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        [Self::None, Self::Lzma, Self::Zstd]
            .into_iter()
            .find(|packing| packing.number() == number)
    }
}

/// Packs bytes well with one try, for comparing.
pub(super) fn quick(bytes: &[u8]) -> Result<Vec<u8>, DeltaError> {
    lzma(bytes, 3, 0)
}

/// Packs bytes as small as possible; `quick` is what [`quick`] gave.
pub(super) fn pack(bytes: &[u8], quick: Vec<u8>) -> Result<(Packing, Vec<u8>), DeltaError> {
    let mut best = (Packing::None, bytes.to_vec());
    let zstd = zstd::bulk::compress(bytes, ZSTD_LEVEL).map_err(not_made)?;
    let mut candidates = vec![(Packing::Lzma, quick), (Packing::Zstd, zstd)];
    // Contexts of literals: those above are for code, these for text and for tables.
    for (context, position) in [(4, 0), (0, 2)] {
        candidates.push((Packing::Lzma, lzma(bytes, context, position)?));
    }
    for (packing, packed) in candidates {
        if packed.len() < best.1.len() {
            best = (packing, packed);
        }
    }
    Ok(best)
}

fn lzma(bytes: &[u8], context: u32, position: u32) -> Result<Vec<u8>, DeltaError> {
    const EXTREME: u32 = 9 | 1 << 31;
    let window = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut options = LzmaOptions::new_preset(EXTREME).map_err(not_made)?;
    options
        .dict_size(window.clamp(4096, WINDOW_BYTES_MAX))
        .literal_context_bits(context)
        .literal_position_bits(position)
        .position_bits(position);
    let stream = Stream::new_lzma_encoder(&options).map_err(not_made)?;
    let mut packed = Vec::new();
    liblzma::read::XzEncoder::new_stream(bytes, stream)
        .read_to_end(&mut packed)
        .map_err(not_made)?;
    Ok(packed)
}

fn not_made(error: impl std::fmt::Display) -> DeltaError {
    DeltaError::NotMade {
        why: error.to_string(),
    }
}

/// Reads packed bytes as they are asked for.
pub(super) fn unpack<'a>(
    packing: Packing,
    packed: &'a [u8],
) -> Result<Box<dyn Read + Send + 'a>, DeltaError> {
    let unreadable = |_| super::corrupt("a compressed stream in it is not readable");
    Ok(match packing {
        Packing::None => Box::new(packed),
        Packing::Lzma => {
            let memory = u64::from(WINDOW_BYTES_MAX) + READER_BYTES;
            let stream = Stream::new_lzma_decoder(memory);
            let stream =
                stream.map_err(|_| super::corrupt("a compressed stream in it is not readable"))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
        }
        Packing::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(packed).map_err(unreadable)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(unreadable)?;
            Box::new(decoder)
        }
    })
}
