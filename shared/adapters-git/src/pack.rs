//! Packs: many objects in one stream (gitformat-pack).
//!
//! Not here: packs on a disk and their indexes; a pack is read once, from the network, into memory.

mod delta;
mod read;
mod write;

pub(crate) use read::{Keep, Object, Objects, read};
pub(crate) use write::write;
