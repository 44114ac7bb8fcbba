//! What a delta says of itself.

use super::layout::Kind;
use super::{DeltaError, apply, header};
use kintsugi_domain::digest::Digest;

/// The facts of a delta. They are as trustworthy as the delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The version of its form.
    pub format: u16,
    /// The digest of the content that it starts from.
    pub base: Digest,
    /// The length of that content, bytes.
    pub base_length: u64,
    /// The digest of the content that it leads to.
    pub digest: Digest,
    /// The length of that content, bytes.
    pub length: u64,
    /// The lengths of base and result with their members unpacked, bytes, if they are archives that are
    /// diffed by member.
    pub opened: Option<[u64; 2]>,
    /// Copied parts.
    pub copies: usize,
    /// Bytes of the result (unpacked, if it is opened) that are copied from the base, perhaps corrected.
    pub copied_bytes: u64,
    /// Bytes of code in the base whose references are predicted.
    pub code_bytes: u64,
    /// Bytes of the delta that say which members are unpacked and how they are packed again.
    pub opening_bytes: u64,
    /// Bytes of the delta that say what is copied.
    pub plan_bytes: u64,
    /// Bytes of the delta that correct what is copied.
    pub correction_bytes: u64,
    /// Bytes of the delta that hold new content, packed.
    pub fresh_bytes: u64,
}

impl Info {
    /// Reads what a delta says of itself. Nothing is applied, and what is copied is not looked at.
    pub fn read(delta: &[u8]) -> Result<Self, DeltaError> {
        let (header, streams) = header::read(delta)?;
        let plan = apply::read_plan(&header, &streams)?;
        let copied = plan.copies.iter().map(|copy| u64::from(copy.length));
        let code = plan.old_layout.regions().iter();
        let code = code.filter(|region| matches!(region.kind, Kind::X64 | Kind::A64));
        Ok(Self {
            format: u16::from(header::FORMAT),
            base: header.base,
            base_length: u64::from(header.base_length),
            digest: header.result,
            length: header.length,
            opened: header.opened.map(|lengths| lengths.map(u64::from)),
            opening_bytes: streams.opening.len() as u64,
            copies: plan.copies.len(),
            copied_bytes: copied.sum(),
            code_bytes: code.map(|region| u64::from(region.length)).sum(),
            plan_bytes: streams.plan.len() as u64,
            correction_bytes: streams.corrections.iter().map(|it| it.len() as u64).sum(),
            fresh_bytes: streams.fresh.len() as u64,
        })
    }
}
