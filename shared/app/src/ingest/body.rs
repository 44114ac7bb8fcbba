//! Content encodings of request bodies, undone under a cap.
//!
//! **No more than [`REQUEST_DECODED_BYTES_MAX`] bytes are ever decompressed**, so a small body that
//! would unfold into gigabytes costs no more than a large honest one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use brotli_decompressor::Decompressor;
use kintsugi_domain::limits::REQUEST_DECODED_BYTES_MAX;
use std::io::Read;
use zlib_rs::{Inflate, InflateFlush, Status};

/// Most encodings one body may be wrapped in.
const ENCODINGS_MAX: usize = 2;
/// Buffer of the Brotli reader, bytes.
const BROTLI_BUFFER_BYTES: usize = 4096;
/// Unpacked at a time, bytes.
const PART_BYTES: usize = 16 * 1024;
/// The largest window of deflate (RFC 1951 §2), as a power of two.
const DEFLATE_WINDOW_LOG_MAX: u8 = 15;
/// Added to the window, it has zlib read gzip's header instead of its own.
const GZIP_HEADER: u8 = 16;
/// Most members that one gzip body is put together from (RFC 1952 §2.2): each costs memory of its own, and clients send one.
const GZIP_MEMBERS_MAX: usize = 100;
/// Largest Zstandard window, as a power of two: 8 MiB, what RFC 8878 §3.1.1.1.2 asks of decoders.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Why a body could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It unfolds into more than the cap.
    #[error("decompressed body is larger than {REQUEST_DECODED_BYTES_MAX} bytes")]
    TooLarge,
    /// Its encoding is none of ours.
    #[error("content encoding is not one of identity, gzip, x-gzip, deflate, br, zstd")]
    UnknownEncoding,
    /// It is cut off or damaged.
    #[error("{encoding} body is cut off or damaged")]
    Damaged {
        /// The encoding.
        encoding: &'static str,
    },
}

/// Undoes the encodings that a `Content-Encoding` header names (RFC 9110 §8.4), last one first.
pub fn decode(header: Option<&str>, body: Vec<u8>) -> Result<Vec<u8>, BodyError> {
    let names: Vec<String> = header
        .unwrap_or_default()
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty() && name != "identity")
        .collect();
    if names.len() > ENCODINGS_MAX {
        return Err(BodyError::UnknownEncoding);
    }
    let mut body = body;
    for name in names.iter().rev() {
        body = undo(name, &body)?;
    }
    Ok(body)
}

/// An event as clients of before envelopes send it, which name no encoding: zlib, Base64, or zlib in Base64. What is none of those stays
/// as it is.
pub(super) fn unwrapped(body: Vec<u8>) -> Result<Vec<u8>, BodyError> {
    if body.trim_ascii_start().starts_with(b"{") {
        return Ok(body);
    }
    let text = body.iter().filter(|byte| !byte.is_ascii_whitespace());
    let text: Vec<u8> = text.copied().collect();
    let body = STANDARD.decode(text).unwrap_or(body);
    if is_zlib(&body) {
        undo("deflate", &body)
    } else {
        Ok(body)
    }
}

fn undo(encoding: &str, body: &[u8]) -> Result<Vec<u8>, BodyError> {
    match encoding {
        "gzip" | "x-gzip" => gunzipped(body),
        // RFC 9110 §8.4.1.2 means zlib; some clients send the bare stream (RFC 1951).
        "deflate" => {
            let inflate = Inflate::new(is_zlib(body), DEFLATE_WINDOW_LOG_MAX);
            let mut decoded = Vec::new();
            inflated("deflate", inflate, body, &mut decoded)?;
            Ok(decoded)
        }
        "br" => read("br", Decompressor::new(body, BROTLI_BUFFER_BYTES)),
        "zstd" => {
            let damaged = |_| BodyError::Damaged { encoding: "zstd" };
            let mut decoder = zstd::stream::read::Decoder::new(body).map_err(damaged)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(damaged)?;
            read("zstd", decoder)
        }
        _ => Err(BodyError::UnknownEncoding),
    }
}

/// The two header bytes of RFC 1950 §2.2: method 8, and a check that makes them a multiple of 31.
fn is_zlib(body: &[u8]) -> bool {
    match body {
        [method, flags, ..] => {
            method & 0x0f == 8 && (u16::from(*method) * 256 + u16::from(*flags)) % 31 == 0
        }
        _ => false,
    }
}

fn gunzipped(body: &[u8]) -> Result<Vec<u8>, BodyError> {
    let mut decoded = Vec::new();
    let mut rest = body;
    for _ in 0..GZIP_MEMBERS_MAX {
        let inflate = Inflate::new(true, GZIP_HEADER + DEFLATE_WINDOW_LOG_MAX);
        rest = inflated("gzip", inflate, rest, &mut decoded)?;
        if rest.is_empty() {
            return Ok(decoded);
        }
    }
    Err(BodyError::Damaged { encoding: "gzip" })
}

/// Adds what one stream unfolds into to what was decoded, and returns what follows the stream.
fn inflated<'b>(
    encoding: &'static str,
    mut inflate: Inflate,
    body: &'b [u8],
    decoded: &mut Vec<u8>,
) -> Result<&'b [u8], BodyError> {
    let mut rest = body;
    let mut part = [0; PART_BYTES];
    loop {
        let before = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(rest, &mut part, InflateFlush::NoFlush);
        let taken = usize::try_from(inflate.total_in() - before.0);
        let made = usize::try_from(inflate.total_out() - before.1);
        let (Ok(status), Ok(taken), Ok(made)) = (status, taken, made) else {
            return Err(BodyError::Damaged { encoding });
        };
        rest = rest.get(taken..).unwrap_or_default();
        decoded.extend_from_slice(part.get(..made).unwrap_or_default());
        if decoded.len() > REQUEST_DECODED_BYTES_MAX {
            return Err(BodyError::TooLarge);
        }
        if status == Status::StreamEnd {
            return Ok(rest);
        }
        if taken == 0 && made == 0 {
            return Err(BodyError::Damaged { encoding });
        }
    }
}

fn read(encoding: &'static str, decoder: impl Read) -> Result<Vec<u8>, BodyError> {
    let mut decoded = Vec::new();
    decoder
        .take(REQUEST_DECODED_BYTES_MAX as u64 + 1)
        .read_to_end(&mut decoded)
        .map_err(|_| BodyError::Damaged { encoding })?;
    if decoded.len() > REQUEST_DECODED_BYTES_MAX {
        return Err(BodyError::TooLarge);
    }
    Ok(decoded)
}
