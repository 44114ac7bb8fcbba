//! An object told as the difference from another (gitformat-pack, "Deltified representation").

use crate::fault::Fault;

/// Takes a number of seven bits a byte, lowest first.
fn number(delta: &mut &[u8]) -> Result<usize, Fault> {
    let mut value = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let byte = byte(delta)?;
        let part = usize::from(byte & 0x7f);
        let moved = part.checked_shl(shift).filter(|it| it >> shift == part);
        value |= moved.ok_or_else(|| Fault::malformed("a delta's size is no number"))?;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Fault::malformed("a delta's size is no number"))
}

fn byte(delta: &mut &[u8]) -> Result<u8, Fault> {
    let (first, rest) = delta
        .split_first()
        .ok_or_else(|| Fault::malformed("a delta ends early"))?;
    *delta = rest;
    Ok(*first)
}

/// Takes the bytes of a number that the bits of `present` announce.
fn sparse(delta: &mut &[u8], present: u8, count: u32) -> Result<usize, Fault> {
    let mut value = 0_usize;
    for place in 0..count {
        if present & (1 << place) != 0 {
            value |= usize::from(byte(delta)?) << (8 * place);
        }
    }
    Ok(value)
}

/// The object that a delta makes of its base; refused when it is longer than `bytes_max`.
pub(super) fn apply(base: &[u8], mut delta: &[u8], bytes_max: usize) -> Result<Vec<u8>, Fault> {
    if number(&mut delta)? != base.len() {
        return Err(Fault::malformed("a delta is for another base"));
    }
    let size = number(&mut delta)?;
    if size > bytes_max {
        return Err(Fault::TooLarge(format!("an object of {size} bytes")));
    }
    let mut made = Vec::with_capacity(size);
    while !delta.is_empty() {
        let order = byte(&mut delta)?;
        let part = if order & 0x80 != 0 {
            let from = sparse(&mut delta, order, 4)?;
            let length = match sparse(&mut delta, order >> 4, 3)? {
                0 => 0x10000,
                length => length,
            };
            let to = from.checked_add(length);
            to.and_then(|to| base.get(from..to))
        } else if order != 0 {
            let part = delta.split_at_checked(usize::from(order));
            part.map(|(part, rest)| {
                delta = rest;
                part
            })
        } else {
            None
        };
        let part = part.ok_or_else(|| Fault::malformed("a delta copies what is not there"))?;
        if part.len() > size - made.len() {
            return Err(Fault::malformed("a delta makes more than it says"));
        }
        made.extend_from_slice(part);
    }
    if made.len() == size {
        return Ok(made);
    }
    Err(Fault::malformed("a delta makes less than it says"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_copies_and_inserts() {
        let delta = [5, 8, 0b1001_0001, 1, 3, 2, b'x', b'y', 0b1001_0000, 3];
        assert_eq!(apply(b"abcde", &delta, 100).unwrap(), b"bcdxyabc");
    }

    #[test]
    fn a_delta_that_lies_is_refused() {
        for delta in [
            &[4, 1, 1, b'x'][..],
            &[5, 2, 1, b'x'],
            &[5, 1, 2, b'x', b'y'],
            &[5, 1, 0],
            &[5, 4, 0b1001_0001, 4, 4],
            &[5, 4, 0b1000_0000],
            &[5, 4, 0b1111_1111, 255, 255],
            &[5, 4, 7, b'x'],
            &[5, 200, 1],
            &[255; 12],
            &[5],
            &[],
        ] {
            let refusal = apply(b"abcde", delta, 100).unwrap_err();
            let named = matches!(refusal, Fault::Malformed(_) | Fault::TooLarge(_));
            assert!(named, "{delta:?}: {refusal}");
        }
    }
}
