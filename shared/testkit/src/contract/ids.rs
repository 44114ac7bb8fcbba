//! What a source of ids promises.

use kintsugi_domain::ports::Ids;
use std::collections::BTreeSet;

/// Draws of one run; of a good source no two among them are ever the same.
const DRAWS: usize = 10_000;

/// Every promise, on a fresh port each.
pub fn all(fresh: impl Fn() -> Box<dyn Ids>) {
    no_two_are_the_same(fresh().as_ref());
    every_bit_is_drawn(fresh().as_ref());
}

fn no_two_are_the_same(ids: &dyn Ids) {
    let drawn: BTreeSet<_> = (0..DRAWS).map(|_| ids.fresh()).collect();
    assert_eq!(drawn.len(), DRAWS, "the same id was given twice");
}

fn every_bit_is_drawn(ids: &dyn Ids) {
    let mut ones = [0_u8; 32];
    let mut zeros = [0_u8; 32];
    for _ in 0..DRAWS {
        let drawn = ids.fresh();
        for ((one, zero), byte) in ones.iter_mut().zip(&mut zeros).zip(drawn.as_bytes()) {
            *one |= byte;
            *zero |= !byte;
        }
    }
    assert!(
        ones.iter().chain(&zeros).all(|seen| *seen == u8::MAX),
        "a bit of the ids never changes"
    );
}
