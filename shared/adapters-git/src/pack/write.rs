//! Writes a pack: whole objects, no deltas.

use super::read::Object;
use crate::fault::Fault;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use gix_object::Kind;
use std::io::Write;

/// The pack of these objects; a pack of none is one too, and what a change of a ref without new objects sends.
pub(crate) fn write<'a>(
    objects: impl ExactSizeIterator<Item = &'a Object>,
) -> Result<Vec<u8>, Fault> {
    let count = u32::try_from(objects.len())
        .map_err(|_| Fault::TooLarge("more objects than a pack holds".to_owned()))?;
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend_from_slice(&count.to_be_bytes());
    for object in objects {
        header(&mut pack, object);
        let mut encoder = ZlibEncoder::new(&mut pack, Compression::default());
        encoder.write_all(&object.data)?;
        encoder.finish()?;
    }
    let mut hasher = gix_hash::hasher(gix_hash::Kind::Sha1);
    hasher.update(&pack);
    let sum = hasher
        .try_finalize()
        .map_err(|error| Fault::malformed(error.to_string()))?;
    pack.extend_from_slice(sum.as_slice());
    Ok(pack)
}

/// Kind and size: four bits of the size with the kind, then seven a byte.
fn header(pack: &mut Vec<u8>, object: &Object) {
    let kind = match object.kind {
        Kind::Commit => 1_u8,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let mut size = object.data.len();
    let low = |size: usize, mask: u8| u8::try_from(size & usize::from(mask)).unwrap_or(0);
    let mut byte = (kind << 4) | low(size, 0x0f);
    size >>= 4;
    while size > 0 {
        pack.push(byte | 0x80);
        byte = low(size, 0x7f);
        size >>= 7;
    }
    pack.push(byte);
}
