//! New bytes, packed: by LZMA or Zstandard (RFC 8878), whichever is smaller, or not at all.

use super::DeltaError;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{Filters, LzmaOptions, Stream};
use std::io::{self, ErrorKind, Read};

/// Smallest and largest window of a packed stream, as powers of two: the largest is what a reader may have
/// to hold.
const WINDOW_LOGS: std::ops::RangeInclusive<u32> = 12..=26;
const ZSTD_LEVEL: i32 = 22;
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// How a stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    None,
    /// By LZMA, with an end mark. Two bytes before it: the contexts (as an `.lzma` file has them), and the
    /// window as a power of two.
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

/// What LZMA has to save, as a part of what Zstandard gives, where that is worth a device's time: it takes ten times
/// as long to unpack.
const LZMA_SAVES: usize = 10;
/// Packed bytes below which no time is worth counting.
const QUICK: usize = 1 << 16;

/// Packs bytes as small as possible; `quick` is what [`quick`] gave. Long streams are packed by Zstandard unless LZMA
/// saves a tenth.
pub(super) fn pack(bytes: &[u8], quick: Vec<u8>) -> Result<(Packing, Vec<u8>), DeltaError> {
    let mut best = (Packing::None, bytes.to_vec());
    let zstd = zstd::bulk::compress(bytes, ZSTD_LEVEL).map_err(not_made)?;
    if zstd.len() >= QUICK && quick.len() + zstd.len() / LZMA_SAVES >= zstd.len() {
        return Ok((Packing::Zstd, zstd));
    }
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
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let window = length.max(1).ilog2() + 1;
    let window = window.clamp(*WINDOW_LOGS.start(), *WINDOW_LOGS.end());
    let options = options((context, position, position), window).map_err(not_made)?;
    let stream = Stream::new_raw_encoder(Filters::new().lzma1(&options)).map_err(not_made)?;
    let properties = (position * 5 + position) * 9 + context;
    let mut packed: Vec<u8> = [properties, window]
        .into_iter()
        .filter_map(|byte| u8::try_from(byte).ok())
        .collect();
    liblzma::read::XzEncoder::new_stream(bytes, stream)
        .read_to_end(&mut packed)
        .map_err(not_made)?;
    Ok(packed)
}

/// Options for contexts (of literals, of their position, of matches) and a window.
fn options(
    (context, literal, position): (u32, u32, u32),
    window: u32,
) -> Result<LzmaOptions, liblzma::stream::Error> {
    const EXTREME: u32 = 9 | 1 << 31;
    let mut options = LzmaOptions::new_preset(EXTREME)?;
    options
        .dict_size(1 << window)
        .literal_context_bits(context)
        .literal_position_bits(literal)
        .position_bits(position);
    Ok(options)
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
            let ([properties, window], packed) =
                packed.split_first_chunk::<2>().ok_or(super::CUT_OFF)?;
            let (properties, window) = (u32::from(*properties), u32::from(*window));
            let (context, rest) = (properties % 9, properties / 9);
            let (literal, position) = (rest % 5, rest / 5);
            if !WINDOW_LOGS.contains(&window) || context + literal > 4 || position > 4 {
                return Err(super::corrupt("a compressed stream in it has odd options"));
            }
            let stream = options((context, literal, position), window)
                .and_then(|options| Stream::new_raw_decoder(Filters::new().lzma1(&options)));
            let stream =
                stream.map_err(|_| super::corrupt("a compressed stream in it is not readable"))?;
            Box::new(Whole {
                decoder: XzDecoder::new_stream(packed, stream),
                is_used: |decoder| decoder.get_ref().is_empty(),
            })
        }
        Packing::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(unreadable)?;
            let mut decoder = decoder.single_frame();
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(unreadable)?;
            Box::new(Whole {
                decoder,
                is_used: |decoder| decoder.get_ref().is_empty(),
            })
        }
    })
}

/// Unpacks one stream, and takes nothing that follows it.
struct Whole<D> {
    decoder: D,
    is_used: fn(&D) -> bool,
}

impl<D: Read> Read for Whole<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        if count == 0 && !buffer.is_empty() && !(self.is_used)(&self.decoder) {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(count)
    }
}
